//! The loaded models, and the executor of work on them.

use crate::{
	generate,
	gpu::Gpu,
	scheduler::{Scheduler, SchedulerLimits},
	sequence::{Executed, Outcome},
	Error, Model, Result,
};
use assay_model_folder::manifest::KnownAnswer;
use assay_numerics::Isa;
use assay_primitives::{Hash32, ModelId, SamplingParams, Vote, WorkId};
use assay_protocol::{ServedModel, Work, WorkResult};
use std::{
	collections::BTreeMap,
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
	model: Model,
	loading: Duration,
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
			known_answer_test_on(gpu.as_ref(), &model)?;
		} else {
			known_answer_test(&model)?;
		}
		let (id, loading) = (model.id(), start.elapsed());
		self.models.insert(id, Served { model, loading });
		Ok(id)
	}

	/// Serves a model under another's id and without its test: for tests with a lying provider.
	#[cfg(feature = "test-utils")]
	pub fn add_as(&mut self, claimed: ModelId, model: Model) {
		let loading = Duration::ZERO;
		self.models.insert(claimed, Served { model, loading });
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

	/// Makes the executor of work on all models; it allocates the memory of keys and values.
	pub fn executor(&self) -> Result<Executor<'_>> {
		let decoders = || self.models.iter().filter(|(_, served)| served.model.decoder().is_ok());
		let limits = SchedulerLimits {
			kv_bytes: self.limits.kv_bytes / decoders().count().max(1),
			..self.limits
		};
		let mut schedulers = BTreeMap::new();
		for (id, Served { model, .. }) in decoders() {
			schedulers.insert(*id, Scheduler::new(model, limits)?);
		}
		Ok(Executor {
			schedulers,
			last_served: None,
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
			result = executor.step()?.pop().map(|(_, result)| result);
		}
		result.ok_or_else(|| Error::Compute("the work item was lost".into()))
	}
}

/// The schedulers of an engine's models, which take turns.
pub struct Executor<'e> {
	schedulers: BTreeMap<ModelId, Scheduler<'e>>,
	/// The model of the last step.
	last_served: Option<ModelId>,
}

impl Executor<'_> {
	/// Takes a work item in. Returns a result only if it can't be executed.
	pub fn submit(&mut self, id: WorkId, work: Work) -> Option<WorkResult> {
		// Tokenizer and template are untrusted: whatever they do, this work item alone ends.
		let submitted = catch_unwind(AssertUnwindSafe(|| {
			let model = work.model;
			let scheduler = self.schedulers.get_mut(&model);
			scheduler
				.ok_or_else(|| Error::Work(format!("model {model} is not served here")))?
				.submit(id, work)
		}));
		let submitted = submitted.unwrap_or_else(|_| Err(Error::Compute("reading the prompt panicked".into())));
		submitted.err().map(|error| abstained(&error))
	}

	/// Drops a work item; returns whether it was here.
	pub fn cancel(&mut self, id: &WorkId) -> bool {
		self.schedulers.values_mut().any(|scheduler| scheduler.cancel(id))
	}

	/// Returns whether there is nothing to do.
	pub fn is_idle(&self) -> bool {
		self.schedulers.values().all(Scheduler::is_idle)
	}

	/// Computes one step of the next model that has work; returns the results of it. An error is a GPU's: this process can do no more.
	pub fn step(&mut self) -> Result<Vec<(WorkId, WorkResult)>> {
		let had_its_turn = |(id, _): &(&ModelId, &mut Scheduler<'_>)| self.last_served.is_some_and(|last| **id <= last);
		let mut busy: Vec<_> = self.schedulers.iter_mut().filter(|(_, s)| !s.is_idle()).collect();
		busy.sort_by_key(had_its_turn);
		let Some((id, scheduler)) = busy.into_iter().next() else {
			return Ok(Vec::new());
		};
		self.last_served = Some(*id);
		let completed = scheduler.step(&mut |_, _| ()).into_iter();
		completed
			.map(|(id, result)| match result {
				Ok(outcome) => Ok((id, outcome.into())),
				Err(error @ Error::Device(_)) => Err(error),
				Err(error) => Ok((id, abstained(&error))),
			})
			.collect()
	}
}

impl From<Outcome> for WorkResult {
	fn from(outcome: Outcome) -> Self {
		match outcome {
			Outcome::Executed(Executed { output, trace_root }) => Self::Executed { output, trace_root },
			Outcome::Verified(vote) => Self::Verified { vote },
		}
	}
}

fn abstained(error: &Error) -> WorkResult {
	WorkResult::Abstained {
		reason: error.to_string(),
	}
}

/// [`known_answer_test`] on a GPU. One that computes another answer has failed, whatever its driver reports.
fn known_answer_test_on(gpu: &dyn Gpu, model: &Model) -> Result<()> {
	known_answer_test(model).map_err(|error| match error {
		Error::KnownAnswer { model: id, reason } if model.known_answer().is_some() => {
			Error::Device(format!("{} computes model {id} wrongly: {reason}", gpu.name()))
		}
		error => error,
	})
}

/// Computes the model's known answer by decoding, and checks it by prefill.
pub fn known_answer_test(model: &Model) -> Result<()> {
	let failed = |reason: &str| Error::KnownAnswer {
		model: model.id().to_string(),
		reason: reason.into(),
	};
	let known = model.known_answer().ok_or_else(|| failed("manifest.json has none"))?;
	if model.encoder().is_ok() {
		return if known_vector(model, known)? == known.answer {
			Ok(())
		} else {
			Err(failed("encoding gives another vector"))
		};
	}
	let (params, seed) = known_answer_request(known);
	let executed = generate::execute(model, &known.prompt, &params, seed)?;
	if executed.hash() != known.answer {
		return Err(failed("decoding gives another answer"));
	}
	let vote = generate::verify(model, &known.prompt, &params, seed, &executed.output)?;
	let trace_root = executed.trace_root;
	if vote == (Vote::Confirm { trace_root }) {
		Ok(())
	} else {
		Err(failed("prefill doesn't confirm what decoding gives"))
	}
}

/// Returns an encoder's known answer: the hash of the prompt's vector.
fn known_vector(model: &Model, known: &KnownAnswer) -> Result<Hash32> {
	let mut hasher = blake3::Hasher::new_derive_key("assay/v1/known-answer");
	for v in model.embed(&known.prompt)? {
		hasher.update(&v.to_le_bytes());
	}
	Ok(*hasher.finalize().as_bytes())
}

/// Computes a known answer, for its record in the manifest.
pub fn known_answer_of(model: &Model, known: &KnownAnswer) -> Result<Hash32> {
	let (params, seed) = known_answer_request(known);
	match model.encoder() {
		Ok(_) => known_vector(model, known),
		Err(_) => Ok(generate::execute(model, &known.prompt, &params, seed)?.hash()),
	}
}

/// Returns the parameters and the seed of a known answer.
fn known_answer_request(known: &KnownAnswer) -> (SamplingParams, Hash32) {
	let params = SamplingParams {
		temperature: known.temperature,
		..SamplingParams::greedy(known.max_tokens)
	};
	(params, known.seed)
}
