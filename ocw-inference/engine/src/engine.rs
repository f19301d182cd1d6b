//! The loaded models, and the work that is done on them.

use crate::{
	generate::{self, Executed, Finished, Job},
	gpu::Gpu,
	manifest::KnownAnswer,
	scheduler::{Limits, Scheduler},
	Error, Model, Result,
};
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

/// The models that this process answers for.
#[derive(Default)]
pub struct Engine {
	models: BTreeMap<ModelId, Served>,
	limits: Limits,
	isa: Option<Isa>,
	gpu: Option<Arc<dyn Gpu>>,
}

struct Served {
	model: Model,
	loading: Duration,
}

impl Engine {
	/// An engine without models.
	pub fn new() -> Self {
		Self::default()
	}

	/// An engine without models, with these limits for all of them together. Without an instruction set it takes the
	/// fastest.
	pub fn with(limits: Limits, isa: Option<Isa>) -> Self {
		Self {
			limits,
			isa,
			..Self::default()
		}
	}

	/// Computes decoders on a graphics card; encoders stay where they are. For models that are added from now on.
	pub fn on_gpu(self, gpu: Arc<dyn Gpu>) -> Self {
		Self { gpu: Some(gpu), ..self }
	}

	/// Gives keys and values so many bytes, all models together.
	pub fn set_kv_bytes(&mut self, bytes: usize) {
		self.limits.kv_bytes = bytes;
	}

	/// [`Self::load`] with the limits of the default.
	pub fn open(dir: &Path) -> Result<Self> {
		let mut engine = Self::new();
		engine.load(dir)?;
		Ok(engine)
	}

	/// Loads every model folder in `dir`. A bad folder is logged with its reason and left out; a graphics card that fails ends it.
	pub fn load(&mut self, dir: &Path) -> Result<()> {
		let mut folders: Vec<_> = fs::read_dir(dir)
			.map_err(Error::io(dir))?
			.filter_map(|entry| Some(entry.ok()?.path()))
			.filter(|path| path.is_dir())
			.collect();
		folders.sort();
		for folder in folders {
			let begun = Instant::now();
			// A defect met in one folder must not take the others away.
			let added = catch_unwind(AssertUnwindSafe(|| {
				Model::load(&folder).and_then(|model| self.add(model))
			}));
			let shown = folder.display();
			match added {
				Ok(Ok(id)) => log::info!("{shown}: serving model {id}, ready after {:?}", begun.elapsed()),
				Ok(Err(error @ Error::Device(_))) => return Err(error),
				Ok(Err(error)) => log::error!("{shown}: not served: {error}"),
				Err(_) => log::error!("{shown}: not served: loading it panicked"),
			}
		}
		Ok(())
	}

	/// Serves a model, if this computer reproduces the model's known answer, by decoding and by prefill.
	pub fn add(&mut self, mut model: Model) -> Result<ModelId> {
		let begun = Instant::now();
		if let Some(isa) = self.isa {
			model = model.with_isa(isa);
		}
		if let (Some(gpu), true) = (&self.gpu, model.decoder().is_ok()) {
			model = model.on_gpu(gpu.clone())?;
			prove_on(gpu.as_ref(), &model)?;
		} else {
			known_answer_test(&model)?;
		}
		let (id, loading) = (model.id(), begun.elapsed());
		self.models.insert(id, Served { model, loading });
		Ok(id)
	}

	/// Serves a model under another's id and without its test. Only for tests that play a liar.
	pub fn add_as(&mut self, claimed: ModelId, model: Model) {
		let loading = Duration::ZERO;
		self.models.insert(claimed, Served { model, loading });
	}

	/// The models that are served.
	pub fn served(&self) -> Vec<ServedModel> {
		let describe = |(id, served): (&ModelId, &Served)| ServedModel {
			id: *id,
			name: served.model.manifest().name.clone(),
			parameters: served.model.manifest().parameters(),
			load_ms: u64::try_from((served.model.load_time() + served.loading).as_millis()).unwrap_or(u64::MAX),
		};
		self.models.iter().map(describe).collect()
	}

	/// Everything that works on the models at once.
	pub fn workshop(&self) -> Result<Workshop<'_>> {
		let decoders = || self.models.iter().filter(|(_, served)| served.model.decoder().is_ok());
		let limits = Limits {
			kv_bytes: self.limits.kv_bytes / decoders().count().max(1),
			..self.limits
		};
		let mut schedulers = BTreeMap::new();
		for (id, Served { model, .. }) in decoders() {
			schedulers.insert(*id, Scheduler::new(model, limits)?);
		}
		Ok(Workshop { schedulers, last: None })
	}

	/// Does one piece of work by itself. In doubt it abstains: no error and no panic leaves this function.
	pub fn run(&self, work: &Work) -> WorkResult {
		const ID: WorkId = WorkId([0; 32]);
		let mut workshop = match self.workshop() {
			Ok(workshop) => workshop,
			Err(error) => return abstained(&error),
		};
		let mut done = workshop.submit(ID, work.clone());
		while done.is_none() && !workshop.is_idle() {
			done = match workshop.step() {
				Ok(mut done) => done.pop().map(|(_, result)| result),
				Err(error) => Some(abstained(&error)),
			};
		}
		done.unwrap_or_else(|| abstained(&Error::Compute("the work was lost".into())))
	}
}

/// The schedulers of an engine's models, which take turns.
pub struct Workshop<'e> {
	schedulers: BTreeMap<ModelId, Scheduler<'e>>,
	/// Whose step was the last.
	last: Option<ModelId>,
}

impl Workshop<'_> {
	/// Takes a piece of work in. A result comes back only if it can't be done.
	pub fn submit(&mut self, id: WorkId, work: Work) -> Option<WorkResult> {
		// Tokenizer and template are programs from strangers: whatever they do, it's this piece of work alone that ends.
		let taken = catch_unwind(AssertUnwindSafe(|| self.try_submit(id, work)));
		match taken.unwrap_or_else(|_| Err(Error::Compute("reading the prompt panicked".into()))) {
			Ok(()) => None,
			Err(error) => Some(abstained(&error)),
		}
	}

	fn try_submit(&mut self, id: WorkId, work: Work) -> Result<()> {
		let Work {
			model,
			input,
			params,
			seed,
			claim,
		} = work;
		let scheduler = self.schedulers.get_mut(&model);
		let scheduler = scheduler.ok_or_else(|| Error::Work(format!("model {model} is not served here")))?;
		let input = String::from_utf8(input.into_inner()).map_err(|_| Error::Work("the prompt is not UTF-8".into()))?;
		scheduler.submit(
			id,
			Job {
				input,
				params,
				seed,
				claim,
			},
		)
	}

	/// Drops a piece of work; false if it isn't here.
	pub fn cancel(&mut self, id: &WorkId) -> bool {
		self.schedulers.values_mut().any(|scheduler| scheduler.cancel(id))
	}

	/// Whether there is nothing to do.
	pub fn is_idle(&self) -> bool {
		self.schedulers.values().all(Scheduler::is_idle)
	}

	/// One step of the next model that has work. Returns what is done. An error is a graphics card's, and the end of this process's work.
	pub fn step(&mut self) -> Result<Vec<(WorkId, WorkResult)>> {
		let behind = |(id, _): &(&ModelId, &mut Scheduler<'_>)| self.last.is_some_and(|last| **id <= last);
		let mut busy: Vec<_> = self.schedulers.iter_mut().filter(|(_, s)| !s.is_idle()).collect();
		busy.sort_by_key(behind);
		let Some((id, scheduler)) = busy.into_iter().next() else {
			return Ok(Vec::new());
		};
		self.last = Some(*id);
		let done = scheduler.step(&mut |_, _| ()).into_iter();
		done.map(|(id, result)| match result {
			Ok(Finished::Executed(Executed { output, trace_root })) => {
				Ok((id, WorkResult::Executed { output, trace_root }))
			}
			Ok(Finished::Verified(vote)) => Ok((id, WorkResult::Verified { vote })),
			Err(error @ Error::Device(_)) => Err(error),
			Err(error) => Ok((id, abstained(&error))),
		})
		.collect()
	}
}

fn abstained(error: &Error) -> WorkResult {
	WorkResult::Abstained {
		reason: error.to_string(),
	}
}

/// [`known_answer_test`] on a graphics card. One that gives another answer has failed, whatever its driver says.
fn prove_on(gpu: &dyn Gpu, model: &Model) -> Result<()> {
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
		return match known_vector(model, known)? == known.answer {
			true => Ok(()),
			false => Err(failed("encoding gives another vector")),
		};
	}
	let (params, seed) = question_of(known);
	let executed = generate::execute(model, &known.prompt, &params, seed)?;
	if executed.hash() != known.answer {
		return Err(failed("decoding gives another answer"));
	}
	let vote = generate::verify(model, &known.prompt, &params, seed, &executed.output)?;
	match vote
		== (Vote::Confirm {
			trace_root: executed.trace_root,
		}) {
		true => Ok(()),
		false => Err(failed("prefill doesn't confirm what decoding gives")),
	}
}

/// An encoder's known answer: the hash of the prompt's vector.
fn known_vector(model: &Model, known: &KnownAnswer) -> Result<Hash32> {
	let mut hasher = blake3::Hasher::new_derive_key("assay/v1/known-answer");
	for v in model.embed(&known.prompt)? {
		hasher.update(&v.to_le_bytes());
	}
	Ok(*hasher.finalize().as_bytes())
}

/// Computes a known answer, for the record.
pub(crate) fn known_answer_of(model: &Model, known: &KnownAnswer) -> Result<Hash32> {
	let (params, seed) = question_of(known);
	match model.encoder() {
		Ok(_) => known_vector(model, known),
		Err(_) => Ok(generate::execute(model, &known.prompt, &params, seed)?.hash()),
	}
}

/// A known answer still without its answer. Temperature 1, so that the sampler's noise is tested too.
pub(crate) fn known_question(prompt: &str, max_tokens: u32, seed: Hash32) -> KnownAnswer {
	KnownAnswer {
		prompt: prompt.into(),
		max_tokens,
		temperature: 1 << 16,
		seed,
		answer: [0; 32],
	}
}

/// What a known answer asks.
pub(crate) fn question_of(known: &KnownAnswer) -> (SamplingParams, Hash32) {
	let params = SamplingParams {
		temperature: known.temperature,
		..SamplingParams::greedy(known.max_tokens)
	};
	(params, known.seed)
}
