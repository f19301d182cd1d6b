//! A rejection accuses somebody, so a machine that computes wrongly must not make one: before it leaves the engine, its claim is
//! computed once more with the portable instructions, on the CPU and with pages of its own, and what these find counts.
//!
//! In an engine this runs on a thread of its own beside the schedulers, one claim at a time: the portable instructions are slow,
//! and rejections are rare. While it runs it takes the memory of the claim's keys and values, and where a GPU has the weights that
//! of the weights, both of the CPU.

use crate::{
	generate,
	scheduler::SchedulerLimits,
	sequence::{Outcome, Prepared, Sequence},
	Error, Model, Result,
};
use assay_numerics::trace::CHUNK;
use assay_primitives::{Finding, Work, WorkId};
use std::{
	collections::BTreeMap,
	fmt::Debug,
	panic::{catch_unwind, AssertUnwindSafe},
	sync::{
		atomic::{AtomicBool, Ordering},
		mpsc::{channel, Receiver, Sender},
		Arc,
	},
	thread,
	time::Duration,
};

const LOG_TARGET: &str = "assay::engine";

/// How long a thread that has nothing else to do waits for a result before it looks for new work.
const WAIT: Duration = Duration::from_millis(20);

/// Returns whether a finding must be computed once more before it leaves the engine.
pub(crate) fn is_needed(model: &Model, found: &Finding) -> bool {
	matches!(found, Finding::Reject { .. }) && model.decoder().is_ok() && !model.is_portable()
}

/// Returns the finding that may leave the engine. Before each step asks `go_on`; an error if it is not to.
pub(crate) fn confirmed(model: &Model, work: &Work, found: Finding, go_on: &dyn Fn() -> bool) -> Result<Finding> {
	if !is_needed(model, &found) {
		return Ok(found);
	}
	let outcome = match Sequence::prepare(model, work.clone())? {
		Prepared::Done(outcome) => outcome,
		Prepared::Sequence(sequence) => {
			let decoder = Arc::new(model.portable_decoder()?);
			let limits = SchedulerLimits {
				max_batched_tokens: CHUNK,
				..SchedulerLimits::default()
			};
			generate::run_on(model, decoder, sequence, limits, &mut |_| (), go_on)?
		}
	};
	let Outcome::Verified(again) = outcome else {
		return Err(Error::Compute("a verification ended as an execution".into()));
	};
	compare(model, work, &found, &again);
	Ok(again)
}

/// Logs that this machine computed wrongly, if the portable instructions find something else than it found.
pub(crate) fn compare<T: PartialEq + Debug>(model: &Model, work: &Work, found: &T, again: &T) {
	if again != found {
		log::error!(
			target: LOG_TARGET,
			"WRONG COMPUTATION on this machine: work {} on model {}: {} found {found:?}, the portable instructions find \
			{again:?}, which is returned. Check the hardware, or report this as a bug.",
			work.id(),
			model.id(),
			model.computed_by(),
		);
	}
}

/// A rejection to compute once more.
struct Rejection {
	ticket: u64,
	model: Model,
	work: Work,
	found: Finding,
	/// Set when nobody waits for it any more.
	abandoned: Arc<AtomicBool>,
}

/// A rejection's ticket and what became of it.
type Rechecked = (u64, Result<Finding>);

/// The rejections of an engine on their way out.
pub(crate) struct Rechecks {
	/// To the thread that computes, once there is one.
	queue: Option<Sender<Rejection>>,
	results: (Sender<Rechecked>, Receiver<Rechecked>),
	/// Those without a result, by their tickets.
	pending: BTreeMap<u64, (WorkId, Arc<AtomicBool>)>,
	next_ticket: u64,
	/// How many threads compute one of them.
	threads: usize,
}

impl Rechecks {
	/// Makes an empty queue; claims are computed by as many threads as the calling thread's pool has.
	pub(crate) fn new() -> Self {
		Self {
			queue: None,
			results: channel(),
			pending: BTreeMap::new(),
			next_ticket: 0,
			threads: rayon::current_num_threads(),
		}
	}

	/// Returns whether nothing is on its way.
	pub(crate) fn is_idle(&self) -> bool {
		self.pending.is_empty()
	}

	/// Takes a rejection in.
	pub(crate) fn add(&mut self, id: WorkId, model: Model, work: Work, found: Finding) -> Result<()> {
		let queue = match &self.queue {
			Some(queue) => queue,
			None => self.queue.insert(start(self.threads, self.results.0.clone())?),
		};
		let (ticket, abandoned) = (self.next_ticket, Arc::new(AtomicBool::new(false)));
		let rejection = Rejection {
			ticket,
			model,
			work,
			found,
			abandoned: abandoned.clone(),
		};
		if queue.send(rejection).is_err() {
			self.queue = None;
			return Err(Error::Compute("the thread that checks rejections ended".into()));
		}
		self.next_ticket += 1;
		self.pending.insert(ticket, (id, abandoned));
		Ok(())
	}

	/// Drops a rejection; returns whether it was here.
	pub(crate) fn cancel(&mut self, id: &WorkId) -> bool {
		let before = self.pending.len();
		self.pending.retain(|_, (pending, abandoned)| {
			if pending == id {
				abandoned.store(true, Ordering::Relaxed);
			}
			pending != id
		});
		self.pending.len() < before
	}

	/// Returns the results that are there; if `wait`, waits a moment for the first.
	pub(crate) fn results(&mut self, wait: bool) -> Vec<(WorkId, Result<Finding>)> {
		let results = &self.results.1;
		let first = if wait && !self.pending.is_empty() {
			results.recv_timeout(WAIT).ok()
		} else {
			None
		};
		let all = first.into_iter().chain(results.try_iter());
		// Those that were cancelled have no ticket any more.
		all.filter_map(|(ticket, result)| Some((self.pending.remove(&ticket)?.0, result)))
			.collect()
	}
}

impl Drop for Rechecks {
	fn drop(&mut self) {
		for (_, abandoned) in self.pending.values() {
			abandoned.store(true, Ordering::Relaxed);
		}
	}
}

/// Starts the thread that computes, which ends with the queue.
fn start(threads: usize, results: Sender<Rechecked>) -> Result<Sender<Rejection>> {
	let failed = |e: &dyn std::fmt::Display| Error::Compute(format!("no threads to check a rejection on: {e}"));
	// A pool of its own: a thread of the schedulers' pool that waits for its part of a batch must not begin a whole claim.
	let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
	let pool = pool.map_err(|e| failed(&e))?;
	let (queue, rejections) = channel::<Rejection>();
	let compute = move || {
		for rejection in rejections {
			let wanted = || !rejection.abandoned.load(Ordering::Relaxed);
			let Rejection { model, work, found, .. } = &rejection;
			let computed = catch_unwind(AssertUnwindSafe(|| {
				pool.install(|| confirmed(model, work, *found, &wanted))
			}));
			let result = computed.unwrap_or_else(|_| Err(Error::Compute("checking a rejection panicked".into())));
			if results.send((rejection.ticket, result)).is_err() {
				return;
			}
		}
	};
	thread::Builder::new()
		.name("rejections".into())
		.spawn(compute)
		.map_err(|e| failed(&e))?;
	Ok(queue)
}
