//! Continuous batching: executions and verifications of one model, in one forward pass a step.
//!
//! A sequence gets pages for its worst case when it is admitted, first come, first served, so none is ever preempted for want of
//! memory. Each step ([`step`]) takes one token of every answer that is being generated, and tokens of prompts and claims up to a
//! budget, in turn: as many as a step has room for, or while answers are being generated, as many as are computed in a time that
//! their readers do not notice ([`pace`]). None of this can affect a result: a row depends on its tokens and their prefix alone.

mod pace;
mod pages;
mod step;
#[cfg(test)]
mod tests;

use crate::{
	model::decoder::Decoder,
	sequence::{Ending, Outcome, Prepared, Sequence},
	Error, Model, Result,
};
use assay_numerics::trace::CHUNK;
use assay_primitives::{stream::StreamToken, Work, WorkId};
use pace::Pace;
pub use pace::{LEAST_PREFILL, MAX_PAUSE};
use pages::{PageCache, PageTable};
use std::{
	collections::VecDeque,
	ops::Range,
	panic::{catch_unwind, AssertUnwindSafe},
	sync::Arc,
	time::{Duration, Instant},
};
pub(crate) use step::{finite_rows, sample};

/// Bounds of a scheduler. They decide about time and memory, never about a result.
#[derive(Clone, Copy, Debug)]
pub struct SchedulerLimits {
	/// Most tokens of prompts and claims in one step. While answers are being generated, which wait for each step's end, no more
	/// than it computes within [`MAX_PAUSE`], by the last step's speed, but [`LEAST_PREFILL`] at least.
	pub max_batched_tokens: usize,
	/// Bytes of keys and values.
	pub kv_bytes: usize,
	/// Sequences that have their pages at the same time.
	pub max_running: usize,
	/// Sequences that wait for pages.
	pub max_waiting: usize,
}

impl Default for SchedulerLimits {
	fn default() -> Self {
		Self {
			max_batched_tokens: 128,
			kv_bytes: 1 << 30,
			max_running: 64,
			max_waiting: 64,
		}
	}
}

/// A work item's id and result.
pub type Completion = (WorkId, Result<Outcome>);

/// The work items of one model.
pub struct Scheduler {
	model: Model,
	/// What computes: the model's own decoder, or another on the same weights.
	decoder: Arc<Decoder>,
	limits: SchedulerLimits,
	total_pages: usize,
	/// The pages that it may have. If they are more than it has, it gets them once nothing runs.
	granted_pages: usize,
	pages: PageCache,
	pace: Pace,
	waiting: VecDeque<(WorkId, Box<Sequence>)>,
	running: Vec<RunningSequence>,
	/// Work items that were complete without a step.
	completed: Vec<Completion>,
	steps: u64,
	computed_tokens: u64,
	/// What goes wrong in each step.
	#[cfg(test)]
	fault: Option<Fault>,
	/// How long a step of so many tokens takes, instead of the time that it does take.
	#[cfg(test)]
	clock: Option<fn(usize) -> Duration>,
}

#[cfg(test)]
#[derive(Clone, Copy)]
enum Fault {
	Panic,
	Device,
}

/// A sequence that has its pages.
struct RunningSequence {
	id: WorkId,
	sequence: Box<Sequence>,
	table: PageTable,
	/// The step that last took tokens of its prompt or claim, for turns.
	last_prefill: u64,
	/// Its rows in the batch of this step; empty if it isn't in it.
	rows: Range<usize>,
	/// How it ended, if it did in this step.
	ending: Option<Ending>,
	/// Whether its answer grew in this step.
	grew: bool,
}

impl Scheduler {
	/// Makes a scheduler with as many pages as fit into `limits.kv_bytes`, but no more than its sequences can fill.
	pub fn new(model: &Model, limits: SchedulerLimits) -> Result<Self> {
		let decoder = model.decoder()?;
		let pages = pages_of(model, decoder, limits);
		Self::with_pages(model, decoder.clone(), limits, pages)
	}

	/// Makes a scheduler of one sequence alone, which a decoder on the weights of its model computes, with no more pages than that
	/// needs.
	pub(crate) fn for_one(
		model: &Model,
		decoder: Arc<Decoder>,
		sequence: Box<Sequence>,
		limits: SchedulerLimits,
	) -> Result<Self> {
		let pages = sequence.max_rows().div_ceil(CHUNK);
		let mut scheduler = Self::with_pages(model, decoder, limits, pages)?;
		scheduler.enqueue(WorkId::default(), Prepared::Sequence(sequence))?;
		Ok(scheduler)
	}

	fn with_pages(model: &Model, decoder: Arc<Decoder>, limits: SchedulerLimits, pages: usize) -> Result<Self> {
		Ok(Self {
			model: model.clone(),
			limits,
			total_pages: pages,
			granted_pages: pages,
			pages: PageCache::new(decoder.pool(pages)?, pages),
			decoder,
			pace: Pace::default(),
			waiting: VecDeque::new(),
			running: Vec::new(),
			completed: Vec::new(),
			steps: 0,
			computed_tokens: 0,
			#[cfg(test)]
			fault: None,
			#[cfg(test)]
			clock: None,
		})
	}

	/// Changes the bytes of keys and values, on whose first whole context everything that is here must fit. A smaller pool is made at
	/// once: what runs gets new pages and computes its rows again, from the tokens that it has. A larger one is made when nothing
	/// runs. An error leaves it without pages.
	pub(crate) fn set_kv_bytes(&mut self, kv_bytes: usize) -> Result<()> {
		self.limits.kv_bytes = kv_bytes;
		self.granted_pages = pages_of(&self.model, &self.decoder, self.limits);
		if self.granted_pages >= self.total_pages {
			return Ok(());
		}
		for RunningSequence { id, mut sequence, .. } in std::mem::take(&mut self.running).into_iter().rev() {
			sequence.restart();
			self.waiting.push_front((id, sequence));
		}
		self.make_pool()
	}

	/// Returns the bytes of keys and values that it has memory for.
	pub(crate) fn kv_bytes(&self) -> usize {
		self.total_pages.saturating_mul(self.decoder.page_bytes())
	}

	/// Makes a pool of the pages that it may have, in the place of the one that it has, which nothing uses any more.
	fn make_pool(&mut self) -> Result<()> {
		// The old one first: there may be no memory for both.
		(self.pages, self.total_pages) = (PageCache::new(self.decoder.pool(1)?, 1), 1);
		let pages = self.granted_pages;
		(self.pages, self.total_pages) = (PageCache::new(self.decoder.pool(pages)?, pages), pages);
		Ok(())
	}

	/// Takes a work item in. An error says nothing about its claim: the work item is invalid, or there is no room for it.
	pub fn submit(&mut self, id: WorkId, work: Work) -> Result<()> {
		self.enqueue(id, Sequence::prepare(&self.model, work)?)
	}

	/// Takes in a work item that was checked. An error says nothing about its claim.
	pub(crate) fn enqueue(&mut self, id: WorkId, prepared: Prepared) -> Result<()> {
		let sequence = match prepared {
			Prepared::Done(outcome) => {
				self.completed.push((id, Ok(outcome)));
				return Ok(());
			}
			Prepared::Sequence(sequence) => sequence,
		};
		let (needed, total) = (sequence.max_rows().div_ceil(CHUNK), self.total_pages);
		if needed > total {
			return Err(Error::Work(format!(
				"it needs {needed} pages of keys and values; the memory for them has {total}"
			)));
		}
		if self.waiting.len() >= self.limits.max_waiting {
			return Err(Error::Work(format!("{} work items wait already", self.waiting.len())));
		}
		self.waiting.push_back((id, sequence));
		Ok(())
	}

	/// Drops a work item without a result; returns whether it was here.
	pub fn cancel(&mut self, id: &WorkId) -> bool {
		let before = self.waiting.len() + self.completed.len();
		self.waiting.retain(|(waiting, _)| waiting != id);
		self.completed.retain(|(completed, _)| completed != id);
		match self.running.iter().position(|running| running.id == *id) {
			Some(at) => {
				let cancelled = self.running.remove(at);
				self.pages.release(cancelled.table);
				true
			}
			None => self.waiting.len() + self.completed.len() < before,
		}
	}

	/// Returns whether there is nothing to do.
	pub fn is_idle(&self) -> bool {
		self.waiting.is_empty() && self.running.is_empty() && self.completed.is_empty()
	}

	/// Returns how many sequences have their pages.
	pub fn running(&self) -> usize {
		self.running.len()
	}

	/// Returns how many sequences wait for their pages.
	pub fn waiting(&self) -> usize {
		self.waiting.len()
	}

	/// Returns how many tokens went through the model so far. Those of reused pages count once.
	pub fn computed_tokens(&self) -> u64 {
		self.computed_tokens
	}

	/// Returns whether it generates an answer, of which somebody waits for the next token.
	pub(crate) fn is_decoding(&self) -> bool {
		self.running.iter().any(|running| running.sequence.is_decoding())
	}

	/// Returns how many steps computed a batch so far.
	pub fn steps(&self) -> u64 {
		self.steps
	}

	/// Computes one batch. Calls `on_token` with each new token of an answer and the text that it adds; returns the work items that
	/// are complete. The texts together are the beginning of the answer's: what may begin a stop string is held back, and where it
	/// is in the answer after all, only the answer has it.
	pub fn step(&mut self, on_token: &mut dyn FnMut(&WorkId, StreamToken)) -> Vec<Completion> {
		let pause = self.is_decoding().then_some(MAX_PAUSE);
		self.step_within(pause, on_token)
	}

	/// [`Self::step`] that is to be over within `pause`, because answers wait for its end, of this model or of others.
	pub(crate) fn step_within(
		&mut self,
		pause: Option<Duration>,
		on_token: &mut dyn FnMut(&WorkId, StreamToken),
	) -> Vec<Completion> {
		let mut completed = std::mem::take(&mut self.completed);
		self.admit();
		self.reuse_prefixes();
		let Some(planned) = self.plan(pause) else {
			return completed;
		};
		self.steps += 1;
		let begun = Instant::now();
		// A defect must end no more than the work items of this step.
		let computed = catch_unwind(AssertUnwindSafe(|| self.compute()))
			.unwrap_or_else(|_| Err(Error::Compute("the computation panicked".into())));
		match computed {
			Ok(()) => {
				let took = begun.elapsed();
				#[cfg(test)]
				let took = self.clock.map_or(took, |clock| clock(planned.rows));
				self.pace.measure(planned.rows, planned.prefill, took);
				self.report(on_token);
				self.publish_pages();
				self.remove_ended(&mut completed);
			}
			Err(error) => self.recover(&error, &mut completed),
		}
		completed
	}

	/// Calls `on_token` for the answers that grew in this step.
	fn report(&self, on_token: &mut dyn FnMut(&WorkId, StreamToken)) {
		for RunningSequence { id, sequence, .. } in self.running.iter().filter(|running| running.grew) {
			if let Some(token) = sequence.last_token() {
				on_token(id, token);
			}
		}
	}

	/// Gives waiting sequences their pages, in order, while there is room.
	fn admit(&mut self) {
		if self.running.is_empty() && self.granted_pages > self.total_pages {
			self.grow();
		}
		while self.running.len() < self.limits.max_running.max(1) {
			let Some((id, sequence)) = self.waiting.pop_front() else {
				return;
			};
			let Some(table) = self.pages.reserve(sequence.max_rows()) else {
				self.waiting.push_front((id, sequence));
				return;
			};
			self.running.push(RunningSequence {
				id,
				sequence,
				table,
				last_prefill: 0,
				rows: 0..0,
				ending: None,
				grew: false,
			});
		}
	}

	/// Makes the larger pool that it may have. Where there is no memory for that, it goes on with as many pages as it had.
	fn grow(&mut self) {
		let before = self.total_pages;
		if let Err(error) = self.make_pool() {
			log::warn!("no more pages for keys and values: {error}");
			self.granted_pages = before;
			if let Err(error) = self.make_pool() {
				self.lose_waiting(&error);
			}
		}
	}

	/// Lets other sequences reuse the pages that this step filled.
	fn publish_pages(&mut self) {
		for RunningSequence { sequence, table, .. } in &mut self.running {
			for chunk in table.published()..sequence.computed() / CHUNK {
				let tokens = sequence.tokens().get(chunk * CHUNK..(chunk + 1) * CHUNK);
				if let (Some(tokens), Some(leaves)) = (tokens, sequence.trace().chunk(chunk)) {
					self.pages.publish(table, tokens, leaves);
				}
			}
		}
	}

	/// Releases the sequences that ended in this step.
	fn remove_ended(&mut self, completed: &mut Vec<Completion>) {
		let (ended, running) = std::mem::take(&mut self.running)
			.into_iter()
			.partition::<Vec<_>, _>(|running| running.ending.is_some());
		self.running = running;
		for RunningSequence {
			id,
			mut sequence,
			table,
			ending,
			..
		} in ended
		{
			self.pages.release(table);
			completed.extend(ending.map(|ending| (id, sequence.conclude(ending))));
		}
	}

	/// After a defect: the work items of this step end without a result, the others are preempted and start again with new pages.
	/// Not on a GPU that failed, because there is none to start on.
	fn recover(&mut self, error: &Error, completed: &mut Vec<Completion>) {
		for running in std::mem::take(&mut self.running).into_iter().rev() {
			let RunningSequence {
				id, mut sequence, rows, ..
			} = running;
			if rows.is_empty() {
				sequence.restart();
				self.waiting.push_front((id, sequence));
			} else {
				completed.push((id, Err(copy_of(error))));
			}
		}
		if matches!(error, Error::Device(_)) {
			return;
		}
		if let Err(error) = self.make_pool() {
			self.lose_waiting(&error);
			completed.append(&mut self.completed);
		}
	}

	/// Ends what waits without a result, because there are no pages for it.
	fn lose_waiting(&mut self, error: &Error) {
		let lost = std::mem::take(&mut self.waiting).into_iter();
		self.completed.extend(lost.map(|(id, _)| (id, Err(copy_of(error)))));
	}
}

/// Returns how many pages fit into the memory for keys and values, but no more than a model's sequences can fill.
fn pages_of(model: &Model, decoder: &Decoder, limits: SchedulerLimits) -> usize {
	let context = model.manifest().context_length() as usize;
	let useful = context.div_ceil(CHUNK).saturating_mul(limits.max_running);
	(limits.kv_bytes / decoder.page_bytes().max(1)).min(useful)
}

/// Returns the error of a step for one of its work items.
fn copy_of(error: &Error) -> Error {
	match error {
		Error::Device(why) => Error::Device(why.clone()),
		error => Error::Compute(error.to_string()),
	}
}
