//! A model with the scheduler of its work.

use crate::{
	known_answer,
	scheduler::{Completion, Scheduler, SchedulerLimits},
	sequence::{Executed, Outcome, Prepared, Sequence},
	Error, Model, Result,
};
use assay_numerics::trace::CHUNK;
use assay_primitives::{stream::StreamToken, ModelId, Work, WorkId};
use assay_protocol::ServedModel;
use std::time::{Duration, Instant};

/// How far a model has come.
pub(super) enum Standing {
	/// It computes its known answer, one step at a time among those of other models.
	OnTrial(Trial),
	/// It takes work.
	Serving,
	/// Its work ends; it takes no more.
	Leaving,
}

/// What a model has shown of its known answer.
pub(super) enum Trial {
	/// Nothing yet: it decodes.
	Decoding,
	/// It decoded this, which prefill is to confirm.
	Prefill(Box<Executed>),
}

/// A model in an executor. An encoder has no scheduler: nothing of a chain is computed with it.
pub(super) struct Served {
	scheduler: Option<Scheduler>,
	model: Model,
	/// Its directory in that of all models; empty if it came otherwise.
	pub(super) directory: String,
	pub(super) standing: Standing,
	/// How long its known answer took.
	tested: Duration,
	since: Instant,
}

impl Served {
	/// Makes the scheduler of a model, with memory of its own.
	pub(super) fn new(model: Model, limits: SchedulerLimits, tested: Duration) -> Result<Self> {
		let scheduler = match model.decoder() {
			Ok(_) => Some(Scheduler::new(&model, limits)?),
			Err(_) => None,
		};
		Ok(Self {
			scheduler,
			model,
			directory: String::new(),
			standing: Standing::Serving,
			tested,
			since: Instant::now(),
		})
	}

	/// Returns the model.
	pub(super) fn model(&self) -> &Model {
		&self.model
	}

	/// Returns what a node is told of it, which knows it by this id.
	pub(super) fn described(&self, id: ModelId) -> ServedModel {
		describe(id, &self.model, self.tested)
	}

	/// Takes a work item in. Returns its outcome if there is nothing to compute for it.
	pub(super) fn submit(&mut self, id: WorkId, work: Work) -> Result<Option<Outcome>> {
		match (Sequence::prepare(&self.model, work)?, &mut self.scheduler) {
			(Prepared::Done(outcome), _) => Ok(Some(outcome)),
			(prepared, Some(scheduler)) => scheduler.enqueue(id, prepared).map(|()| None),
			(_, None) => Err(Error::Compute("a sequence of a model that computes none".into())),
		}
	}

	/// Computes a step that is to be over within `pause`, if that is given.
	pub(super) fn step(
		&mut self,
		pause: Option<Duration>,
		on_token: &mut dyn FnMut(&WorkId, StreamToken),
	) -> Vec<Completion> {
		let scheduler = self.scheduler.as_mut();
		scheduler.map_or_else(Vec::new, |scheduler| scheduler.step_within(pause, on_token))
	}

	/// Drops a work item; returns whether it was here.
	pub(super) fn cancel(&mut self, id: &WorkId) -> bool {
		self.scheduler.as_mut().is_some_and(|scheduler| scheduler.cancel(id))
	}

	/// Returns whether it takes work.
	pub(super) fn is_serving(&self) -> bool {
		matches!(self.standing, Standing::Serving)
	}

	/// Returns whether it takes no more work.
	pub(super) fn is_leaving(&self) -> bool {
		matches!(self.standing, Standing::Leaving)
	}

	/// Returns whether its known answer is being computed.
	pub(super) fn is_on_trial(&self) -> bool {
		matches!(self.standing, Standing::OnTrial(_))
	}

	/// Returns whether it has nothing to compute.
	pub(super) fn is_idle(&self) -> bool {
		self.scheduler.as_ref().is_none_or(Scheduler::is_idle)
	}

	/// Returns whether somebody waits for the next token of an answer.
	pub(super) fn is_decoding(&self) -> bool {
		!self.is_on_trial() && self.scheduler.as_ref().is_some_and(Scheduler::is_decoding)
	}

	/// Returns the bytes of keys and values that it has memory for; none of a model that needs none.
	pub(super) fn kv_bytes(&self) -> Option<usize> {
		self.scheduler.as_ref().map(Scheduler::kv_bytes)
	}

	/// Changes the bytes of keys and values that it may have.
	pub(super) fn set_kv_bytes(&mut self, bytes: usize) -> Result<()> {
		let scheduler = self.scheduler.as_mut();
		scheduler.map_or(Ok(()), |scheduler| scheduler.set_kv_bytes(bytes))
	}

	/// Begins the test of its known answer. An encoder's is one short row, which is computed at once.
	pub(super) fn begin_trial(&mut self) -> Result<()> {
		self.since = Instant::now();
		if self.scheduler.is_none() {
			known_answer::test_vector(&self.model)?;
			self.end_trial();
			return Ok(());
		}
		self.standing = Standing::OnTrial(Trial::Decoding);
		let work = known_answer::work(&self.model)?;
		match self.submit(WorkId::default(), work)? {
			Some(outcome) => self.go_on_trial(Ok(outcome)),
			None => Ok(()),
		}
	}

	/// Takes in what a step of its test gave. An error if it has failed.
	pub(super) fn go_on_trial(&mut self, outcome: Result<Outcome>) -> Result<()> {
		match (std::mem::replace(&mut self.standing, Standing::Leaving), outcome?) {
			(Standing::OnTrial(Trial::Decoding), Outcome::Executed(executed)) => {
				known_answer::check_decoded(&self.model, &executed)?;
				let mut work = known_answer::work(&self.model)?;
				work.claim = Some(executed.output.clone());
				self.standing = Standing::OnTrial(Trial::Prefill(Box::new(executed)));
				match self.submit(WorkId::default(), work)? {
					Some(outcome) => self.go_on_trial(Ok(outcome)),
					None => Ok(()),
				}
			}
			(Standing::OnTrial(Trial::Prefill(executed)), Outcome::Verified(found)) => {
				known_answer::check_prefilled(&self.model, &executed, found)?;
				self.end_trial();
				Ok(())
			}
			_ => Err(Error::Compute(
				"a test of a known answer gave what it was not to".into(),
			)),
		}
	}

	fn end_trial(&mut self) {
		self.tested += self.since.elapsed();
		self.standing = Standing::Serving;
	}
}

/// Returns what a node is told of a model whose known answer took `tested`.
pub(super) fn describe(id: ModelId, model: &Model, tested: Duration) -> ServedModel {
	ServedModel {
		id,
		name: model.manifest().name.clone(),
		parameters: model.manifest().parameters(),
		load_ms: u64::try_from((model.load_time() + tested).as_millis()).unwrap_or(u64::MAX),
	}
}

/// Returns the error of a model of which one whole context does not fit the share of each of so many decoders.
pub(super) fn kv_memory(id: ModelId, model: &Model, share: usize, decoders: usize) -> Error {
	let needed = context_bytes(model);
	Error::KvMemory {
		model: model.manifest().name.clone(),
		id,
		context: model.manifest().context_length(),
		needed,
		share,
		enough: needed.saturating_mul(decoders),
	}
}

/// Returns the bytes of keys and values of one whole context of a model; an encoder keeps none.
pub(super) fn context_bytes(model: &Model) -> usize {
	let pages = (model.manifest().context_length() as usize).div_ceil(CHUNK);
	model
		.decoder()
		.map_or(0, |decoder| decoder.page_bytes().saturating_mul(pages))
}
