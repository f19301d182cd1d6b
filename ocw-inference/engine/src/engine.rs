//! The loaded models, and the executor of work on them.

use crate::{
	gpu::Gpu,
	known_answer,
	model::decoder::Decoder,
	recheck::{self, Rechecks},
	scheduler::{Completion, Scheduler, SchedulerLimits},
	sequence::{Executed, Outcome, Prepared, Sequence},
	Error, Model, Result,
};
use assay_numerics::{trace::CHUNK, Isa};
use assay_primitives::{stream::StreamToken, ModelId, WorkId};
use assay_protocol::{ServedModel, Work, WorkResult};
use std::{
	collections::{BTreeMap, HashMap},
	fs,
	panic::{catch_unwind, AssertUnwindSafe},
	path::Path,
	sync::Arc,
	time::{Duration, Instant},
};

/// The models that this process serves.
#[derive(Default)]
pub struct Engine {
	models: BTreeMap<ModelId, Served>,
	limits: SchedulerLimits,
	isa: Option<Isa>,
	gpu: Option<Arc<dyn Gpu>>,
}

struct Served {
	/// Shared with the thread that computes rejections once more.
	model: Arc<Model>,
	loading: Duration,
}

impl Served {
	fn new(model: Model, loading: Duration) -> Self {
		Self {
			model: Arc::new(model),
			loading,
		}
	}

	/// Returns the bytes of keys and values of one whole context; an encoder keeps none.
	fn context_bytes(&self) -> usize {
		let pages = (self.model.manifest().context_length() as usize).div_ceil(CHUNK);
		let of = |decoder: &Decoder| decoder.page_bytes().saturating_mul(pages);
		self.model.decoder().map_or(0, of)
	}
}

impl Engine {
	/// Makes an engine without models.
	pub fn new() -> Self {
		Self::default()
	}

	/// Makes an engine without models, with limits for all of them together; without an instruction set it takes the fastest.
	pub fn with(limits: SchedulerLimits, isa: Option<Isa>) -> Self {
		Self {
			limits,
			isa,
			..Self::default()
		}
	}

	/// Computes decoders that are added from now on on a GPU; encoders stay on the CPU.
	pub fn on_gpu(self, gpu: Arc<dyn Gpu>) -> Self {
		Self { gpu: Some(gpu), ..self }
	}

	/// Sets the bytes of keys and values of all models together.
	pub fn set_kv_bytes(&mut self, bytes: usize) {
		self.limits.kv_bytes = bytes;
	}

	/// Makes an engine with default limits and the models of `dir`, as [`Self::load`] does.
	pub fn open(dir: &Path) -> Result<Self> {
		let mut engine = Self::new();
		engine.load(dir)?;
		Ok(engine)
	}

	/// Loads every model directory in `dir`. A bad one is logged with the reason and left out; only a GPU that fails is an error.
	pub fn load(&mut self, dir: &Path) -> Result<()> {
		let mut directories: Vec<_> = fs::read_dir(dir)
			.map_err(Error::io(dir))?
			.filter_map(|entry| Some(entry.ok()?.path()))
			.filter(|path| path.is_dir())
			.collect();
		directories.sort();
		for directory in directories {
			let start = Instant::now();
			// A defect that one directory reveals must not take the others away.
			let added = catch_unwind(AssertUnwindSafe(|| {
				Model::load(&directory).and_then(|model| self.add(model))
			}));
			let shown = directory.display();
			match added {
				Ok(Ok(id)) => log::info!("{shown}: serving model {id}, ready after {:?}", start.elapsed()),
				Ok(Err(error @ Error::Device(_))) => return Err(error),
				Ok(Err(error)) => log::error!("{shown}: not served: {error}"),
				Err(_) => log::error!("{shown}: not served: loading it panicked"),
			}
		}
		Ok(())
	}

	/// Serves a model, if this machine reproduces the model's known answer, by decoding and by prefill.
	pub fn add(&mut self, mut model: Model) -> Result<ModelId> {
		let start = Instant::now();
		if let Some(isa) = self.isa {
			model = model.with_isa(isa);
		}
		if let (Some(gpu), true) = (&self.gpu, model.decoder().is_ok()) {
			model = model.on_gpu(gpu.clone())?;
			known_answer::test_on(gpu.as_ref(), &model)?;
		} else {
			known_answer::test(&model)?;
		}
		let (id, loading) = (model.id(), start.elapsed());
		self.models.insert(id, Served::new(model, loading));
		Ok(id)
	}

	/// Serves a model under another's id and without its test: for tests with a lying provider.
	#[cfg(feature = "test-utils")]
	pub fn add_as(&mut self, claimed: ModelId, model: Model) {
		let loading = Duration::ZERO;
		self.models.insert(claimed, Served::new(model, loading));
	}

	/// Returns the models that are served.
	pub fn served(&self) -> Vec<ServedModel> {
		let describe = |(id, served): (&ModelId, &Served)| ServedModel {
			id: *id,
			name: served.model.manifest().name.clone(),
			parameters: served.model.manifest().parameters(),
			load_ms: u64::try_from((served.model.load_time() + served.loading).as_millis()).unwrap_or(u64::MAX),
		};
		self.models.iter().map(describe).collect()
	}

	/// Stops serving models of which one whole context does not fit their share of the memory for keys and values, those with the
	/// largest contexts first; returns an [`Error::KvMemory`] for each. Work that is accepted on the others never lacks memory.
	pub fn drop_models_beyond_memory(&mut self) -> Vec<Error> {
		let mut dropped = Vec::new();
		while let Some((id, error)) = self.beyond_memory() {
			self.models.remove(&id);
			dropped.push(error);
		}
		dropped
	}

	/// Returns the model with the largest context that does not fit its share of the memory, if one doesn't.
	fn beyond_memory(&self) -> Option<(ModelId, Error)> {
		let share = self.kv_share();
		let (id, served) = self.models.iter().max_by_key(|(_, served)| served.context_bytes())?;
		let needed = served.context_bytes();
		(needed > share).then(|| {
			let error = Error::KvMemory {
				model: served.model.manifest().name.clone(),
				id: *id,
				context: served.model.manifest().context_length(),
				needed,
				share,
				enough: needed.saturating_mul(self.decoders().count()),
			};
			(*id, error)
		})
	}

	fn decoders(&self) -> impl Iterator<Item = (&ModelId, &Served)> {
		self.models.iter().filter(|(_, served)| served.model.decoder().is_ok())
	}

	/// Returns the bytes of keys and values that each decoder may have.
	fn kv_share(&self) -> usize {
		self.limits.kv_bytes / self.decoders().count().max(1)
	}

	/// Makes the executor of work on all models; it allocates the memory of keys and values. An [`Error::KvMemory`] if that is too
	/// little for one of the models.
	pub fn executor(&self) -> Result<Executor<'_>> {
		if let Some((_, error)) = self.beyond_memory() {
			return Err(error);
		}
		let limits = SchedulerLimits {
			kv_bytes: self.kv_share(),
			..self.limits
		};
		let mut schedulers = BTreeMap::new();
		for (id, Served { model, .. }) in self.decoders() {
			schedulers.insert(*id, Scheduler::new(model, limits)?);
		}
		Ok(Executor {
			models: &self.models,
			schedulers,
			last_served: None,
			claims: HashMap::new(),
			rechecks: Rechecks::new(),
		})
	}

	/// Executes one work item by itself. In doubt it abstains: no error and no panic leaves this function.
	pub fn run(&self, work: &Work) -> WorkResult {
		self.try_run(work).unwrap_or_else(|error| abstained(&error))
	}

	fn try_run(&self, work: &Work) -> Result<WorkResult> {
		let mut executor = self.executor()?;
		let mut result = executor.submit(WorkId::default(), work.clone());
		while result.is_none() && !executor.is_idle() {
			result = executor.step(&mut |_, _| ())?.pop().map(|(_, result)| result);
		}
		result.ok_or_else(|| Error::Compute("the work item was lost".into()))
	}
}

/// The schedulers of an engine's models, which take turns.
///
/// What they reject is computed once more with the portable instructions before it is a result.
pub struct Executor<'e> {
	models: &'e BTreeMap<ModelId, Served>,
	/// Those of the decoders.
	schedulers: BTreeMap<ModelId, Scheduler<'e>>,
	/// The model of the last step.
	last_served: Option<ModelId>,
	/// The verifications in the schedulers whose rejections must be computed once more.
	claims: HashMap<WorkId, Work>,
	rechecks: Rechecks,
}

impl Executor<'_> {
	/// Takes a work item in. Returns its result if there is nothing to compute for it, or if it can't be computed here.
	pub fn submit(&mut self, id: WorkId, work: Work) -> Option<WorkResult> {
		// Tokenizer and template are untrusted: whatever they do, this work item alone ends.
		let submitted = catch_unwind(AssertUnwindSafe(|| self.try_submit(id, work)));
		let submitted = submitted.unwrap_or_else(|_| Err(Error::Compute("reading the prompt panicked".into())));
		submitted.unwrap_or_else(|error| Some(abstained(&error)))
	}

	fn try_submit(&mut self, id: WorkId, work: Work) -> Result<Option<WorkResult>> {
		let served = self.models.get(&work.model);
		let Served { model, .. } =
			served.ok_or_else(|| Error::Work(format!("model {} is not served here", work.model)))?;
		let prepared = Sequence::prepare(model, work.clone())?;
		match (prepared, self.schedulers.get_mut(&work.model)) {
			(Prepared::Done(outcome), _) => Ok(Some(outcome.into())),
			(prepared, Some(scheduler)) => {
				scheduler.enqueue(id, prepared)?;
				if work.claim.is_some() && !model.is_portable() {
					self.claims.insert(id, work);
				}
				Ok(None)
			}
			(_, None) => Err(Error::Compute("a sequence of a model that computes none".into())),
		}
	}

	/// Drops a work item; returns whether it was here.
	pub fn cancel(&mut self, id: &WorkId) -> bool {
		self.claims.remove(id);
		self.schedulers.values_mut().any(|scheduler| scheduler.cancel(id)) || self.rechecks.cancel(id)
	}

	/// Returns whether there is nothing to do.
	pub fn is_idle(&self) -> bool {
		self.rechecks.is_idle() && self.schedulers_are_idle()
	}

	fn schedulers_are_idle(&self) -> bool {
		self.schedulers.values().all(Scheduler::is_idle)
	}

	/// Computes one step of the next model that has work: calls `on_token` with each new token of an answer and the text that it
	/// adds, and returns the results that are there. Where only rejections are left, which another thread computes, waits a moment
	/// for one. An error is a GPU's: this process can do no more.
	pub fn step(&mut self, on_token: &mut dyn FnMut(&WorkId, StreamToken)) -> Result<Vec<(WorkId, WorkResult)>> {
		let mut results = Vec::new();
		for (id, result) in self.step_schedulers(on_token) {
			match result {
				Err(error @ Error::Device(_)) => return Err(error),
				result => results.extend(self.completed(id, result).map(|result| (id, result))),
			}
		}
		let wait = results.is_empty() && self.schedulers_are_idle();
		for (id, result) in self.rechecks.results(wait) {
			let result = match result {
				Ok(finding) => WorkResult::Verified { finding },
				Err(error) => {
					log::error!("work {id}: a rejection could not be computed once more and is held back: {error}");
					abstained(&error)
				}
			};
			results.push((id, result));
		}
		Ok(results)
	}

	/// Returns the result of a work item that left its scheduler, unless it is a rejection to compute once more.
	fn completed(&mut self, id: WorkId, result: Result<Outcome>) -> Option<WorkResult> {
		let work = self.claims.remove(&id);
		let rechecked = match (&result, work) {
			(Ok(Outcome::Verified(found)), Some(work)) => match self.models.get(&work.model) {
				Some(served) if recheck::is_needed(&served.model, found) => {
					Some(self.rechecks.add(id, served.model.clone(), work, *found))
				}
				_ => None,
			},
			_ => None,
		};
		match rechecked {
			Some(Ok(())) => None,
			Some(Err(error)) => Some(abstained(&error)),
			None => Some(result.map_or_else(|error| abstained(&error), WorkResult::from)),
		}
	}

	fn step_schedulers(&mut self, on_token: &mut dyn FnMut(&WorkId, StreamToken)) -> Vec<Completion> {
		let had_its_turn = |(id, _): &(&ModelId, &mut Scheduler<'_>)| self.last_served.is_some_and(|last| **id <= last);
		let mut busy: Vec<_> = self.schedulers.iter_mut().filter(|(_, s)| !s.is_idle()).collect();
		busy.sort_by_key(had_its_turn);
		let Some((id, scheduler)) = busy.into_iter().next() else {
			return Vec::new();
		};
		self.last_served = Some(*id);
		scheduler.step(on_token)
	}
}

impl From<Outcome> for WorkResult {
	fn from(outcome: Outcome) -> Self {
		match outcome {
			Outcome::Executed(Executed { output, trace_root }) => Self::Executed { output, trace_root },
			Outcome::Verified(finding) => Self::Verified { finding },
		}
	}
}

fn abstained(error: &Error) -> WorkResult {
	WorkResult::Abstained {
		reason: error.to_string(),
	}
}
