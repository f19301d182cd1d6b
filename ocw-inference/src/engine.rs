//! The loaded models, and one piece of work at a time.

use crate::{
	generate::{self, Executed},
	manifest::KnownAnswer,
	protocol::{ServedModel, Work, WorkResult},
	Error, Model, Result,
};
use assay_primitives::{Hash32, ModelId, SamplingParams, Vote};
use std::{
	collections::BTreeMap,
	fs,
	panic::{catch_unwind, AssertUnwindSafe},
	path::Path,
	time::{Duration, Instant},
};

/// The models that this process answers for.
#[derive(Default)]
pub struct Engine {
	models: BTreeMap<ModelId, Served>,
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

	/// Loads every model folder in `dir`. A bad folder is logged with its reason and left out.
	pub fn open(dir: &Path) -> Result<Self> {
		let mut engine = Self::new();
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
				Model::load(&folder).and_then(|model| engine.add(model))
			}));
			let shown = folder.display();
			match added {
				Ok(Ok(id)) => log::info!("{shown}: serving model {id}, ready after {:?}", begun.elapsed()),
				Ok(Err(error)) => log::error!("{shown}: not served: {error}"),
				Err(_) => log::error!("{shown}: not served: loading it panicked"),
			}
		}
		Ok(engine)
	}

	/// Serves a model, if this computer reproduces the model's known answer, by decoding and by prefill.
	pub fn add(&mut self, model: Model) -> Result<ModelId> {
		let begun = Instant::now();
		known_answer_test(&model)?;
		let id = model.id();
		self.models.insert(
			id,
			Served {
				model,
				loading: begun.elapsed(),
			},
		);
		Ok(id)
	}

	/// Serves a model under another's id and without its test. Only for tests that play a liar.
	pub fn add_as(&mut self, claimed: ModelId, model: Model) {
		self.models.insert(
			claimed,
			Served {
				model,
				loading: Duration::ZERO,
			},
		);
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

	/// Does one piece of work. In doubt it abstains: no error and no panic leaves this function.
	pub fn run(&self, work: &Work) -> WorkResult {
		match catch_unwind(AssertUnwindSafe(|| self.try_run(work))) {
			Ok(Ok(result)) => result,
			Ok(Err(error)) => WorkResult::Abstained {
				reason: error.to_string(),
			},
			Err(_) => WorkResult::Abstained {
				reason: "the computation panicked".into(),
			},
		}
	}

	fn try_run(&self, work: &Work) -> Result<WorkResult> {
		let Some(Served { model, .. }) = self.models.get(&work.model) else {
			return Err(Error::Work(format!("model {} is not served here", work.model)));
		};
		let input = std::str::from_utf8(&work.input).map_err(|_| Error::Work("the prompt is not UTF-8".into()))?;
		match &work.claim {
			None => {
				let Executed { output, trace_root } = generate::execute(model, input, &work.params, work.seed)?;
				Ok(WorkResult::Executed { output, trace_root })
			}
			Some(claim) => Ok(WorkResult::Verified {
				vote: generate::verify(model, input, &work.params, work.seed, claim)?,
			}),
		}
	}
}

/// Computes the model's known answer by decoding, and checks it by prefill.
pub fn known_answer_test(model: &Model) -> Result<()> {
	let failed = |reason: &str| Error::KnownAnswer {
		model: model.id().to_string(),
		reason: reason.into(),
	};
	let known = model.known_answer().ok_or_else(|| failed("manifest.json has none"))?;
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
