//! The loaded models ([`Engine`]), and the executor of work on them, to which models come and from which they go while it works
//! ([`Executor`]).

mod executor;
mod served;

pub use executor::{Executor, ModelNews};

use crate::{gpu::Gpu, known_answer, scheduler::SchedulerLimits, Error, Model, Result};
use assay_numerics::Isa;
use assay_primitives::{ModelId, WorkId};
use assay_protocol::{ServedModel, Work, WorkResult};
use served::{context_bytes, describe, kv_memory};
use std::{
	collections::BTreeMap,
	fs,
	panic::{catch_unwind, AssertUnwindSafe},
	path::{Path, PathBuf},
	sync::Arc,
	time::{Duration, Instant},
};

/// Returns how many bytes of a GPU's memory are free.
pub type FreeMemory = Arc<dyn Fn() -> Result<usize> + Send + Sync>;

/// The models that this process serves from its start on, and how it serves them and others.
#[derive(Default)]
pub struct Engine {
	models: BTreeMap<ModelId, Loaded>,
	setup: Setup,
	directory: Option<PathBuf>,
}

/// What computes all models, and within which limits.
#[derive(Clone, Default)]
struct Setup {
	limits: SchedulerLimits,
	/// The fastest if there is none.
	isa: Option<Isa>,
	/// It computes the decoders.
	gpu: Option<Arc<dyn Gpu>>,
	/// Where the memory for keys and values is a part of what a GPU has left.
	free_memory: Option<FreeMemory>,
}

impl Setup {
	/// Moves a model to what is to compute it.
	fn equip(&self, mut model: Model) -> Result<Model> {
		if let Some(isa) = self.isa {
			model = model.with_isa(isa);
		}
		match self.gpu_of(&model) {
			Some(gpu) => model.on_gpu(gpu.clone()),
			None => Ok(model),
		}
	}

	/// Returns what an error of the test of a model's known answer means.
	fn judge(&self, model: &Model, error: Error) -> Error {
		match self.gpu_of(model) {
			Some(gpu) => known_answer::on_gpu(gpu.as_ref(), model, error),
			None => error,
		}
	}

	/// Returns the GPU that computes a model, if one does.
	fn gpu_of(&self, model: &Model) -> Option<&Arc<dyn Gpu>> {
		self.gpu.as_ref().filter(|_| model.decoder().is_ok())
	}
}

struct Loaded {
	model: Model,
	/// How long its known answer took.
	tested: Duration,
}

impl Engine {
	/// Makes an engine without models.
	pub fn new() -> Self {
		Self::default()
	}

	/// Makes an engine without models, with limits for all of them together; without an instruction set it takes the fastest.
	pub fn with(limits: SchedulerLimits, isa: Option<Isa>) -> Self {
		Self {
			setup: Setup {
				limits,
				isa,
				..Setup::default()
			},
			..Self::default()
		}
	}

	/// Computes decoders that are added from now on on a GPU; encoders stay on the CPU.
	pub fn on_gpu(mut self, gpu: Arc<dyn Gpu>) -> Self {
		self.setup.gpu = Some(gpu);
		self
	}

	/// Takes three quarters of what a GPU's models leave of its memory for keys and values, instead of a number of bytes.
	pub fn with_free_memory(mut self, free_memory: FreeMemory) -> Self {
		self.setup.free_memory = Some(free_memory);
		self
	}

	/// Names the directory that holds the model directories which a node may ask for while this engine serves.
	pub fn serving_from(self, directory: PathBuf) -> Self {
		Self {
			directory: Some(directory),
			..self
		}
	}

	/// Returns the directory that holds the model directories which a node may ask for.
	pub fn directory(&self) -> Option<&Path> {
		self.directory.as_deref()
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
			let shown = directory.display();
			let added = guarded("loading it", || {
				Model::load(&directory).and_then(|model| self.add(model))
			});
			match added {
				Ok(id) => log::info!("{shown}: serving model {id}, ready after {:?}", start.elapsed()),
				Err(error @ Error::Device(_)) => return Err(error),
				Err(error) => log::error!("{shown}: not served: {error}"),
			}
		}
		Ok(())
	}

	/// Serves a model, if this machine reproduces the model's known answer, by decoding and by prefill.
	pub fn add(&mut self, model: Model) -> Result<ModelId> {
		let start = Instant::now();
		let model = self.setup.equip(model)?;
		known_answer::test(&model).map_err(|error| self.setup.judge(&model, error))?;
		let (id, tested) = (model.id(), start.elapsed());
		self.models.insert(id, Loaded { model, tested });
		Ok(id)
	}

	/// Serves a model under another's id and without its test: for tests with a lying provider.
	#[cfg(feature = "test-utils")]
	pub fn add_as(&mut self, claimed: ModelId, model: Model) {
		let tested = Duration::ZERO;
		self.models.insert(claimed, Loaded { model, tested });
	}

	/// Returns the models that are served.
	pub fn served(&self) -> Vec<ServedModel> {
		let models = self.models.iter();
		models
			.map(|(id, loaded)| describe(*id, &loaded.model, loaded.tested))
			.collect()
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
		let largest = self
			.models
			.iter()
			.max_by_key(|(_, loaded)| context_bytes(&loaded.model));
		let (id, Loaded { model, .. }) = largest?;
		let needed = context_bytes(model);
		(needed > share).then(|| (*id, kv_memory(*id, model, share, self.decoders())))
	}

	fn decoders(&self) -> usize {
		self.models
			.values()
			.filter(|loaded| loaded.model.decoder().is_ok())
			.count()
	}

	/// Returns the bytes of keys and values that each decoder may have.
	fn kv_share(&self) -> usize {
		self.setup.limits.kv_bytes / self.decoders().max(1)
	}

	/// Makes the executor of work on all models; it allocates the memory of keys and values. An [`Error::KvMemory`] if that is too
	/// little for one of the models.
	pub fn executor(&self) -> Result<Executor> {
		match self.beyond_memory() {
			Some((_, error)) => Err(error),
			None => Executor::new(self, self.kv_share()),
		}
	}

	/// Executes one work item by itself. In doubt it abstains: no error and no panic leaves this function.
	pub fn run(&self, work: &Work) -> WorkResult {
		self.try_run(work).unwrap_or_else(|error| executor::abstained(&error))
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

/// Calls `f`, which reads what strangers made. A defect that one model reveals must not take others away: a panic is an error.
pub(crate) fn guarded<T>(what: &str, f: impl FnOnce() -> Result<T>) -> Result<T> {
	catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| Err(Error::Compute(format!("{what} panicked"))))
}
