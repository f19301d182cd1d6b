//! Known answers: what an engine has to reproduce before it serves a model, and what is worth recording as one.

use crate::{
	generate::{self, execute, verify_once},
	gpu::Gpu,
	sequence::KNOWN_ANSWER,
	Error, Executed, Model, Result,
};
use assay_model_folder::{files, manifest::KnownAnswer};
use assay_primitives::{job::Failure, Finding, FinishReason, Hash32, SamplingParams, Work};

/// The prompt of every new known answer.
pub const PROMPT: &str = "What is this model good for?";
/// Most tokens of a new known answer.
const MAX_TOKENS: u32 = 24;
/// A known answer with fewer tokens shows nothing of decoding, and no engine serves its model.
pub const LEAST_TOKENS: usize = 2;
/// Tokens that a new known answer should have; if no seed gives so many, the longest is taken.
const ENOUGH_TOKENS: usize = 8;
/// Seeds that are tried.
const SEEDS: u8 = 16;

/// Computes a model's known answer, for its manifest. A model that answers nothing has none.
pub fn choose(model: &Model) -> Result<KnownAnswer> {
	let mut known = KnownAnswer {
		prompt: PROMPT.into(),
		max_tokens: MAX_TOKENS,
		// So that the sampler's noise is tested too.
		temperature: 1 << 16,
		seed: files::root(PROMPT.as_bytes()),
		answer: Hash32::default(),
	};
	if model.encoder().is_ok() {
		known.answer = vector(model, &known.prompt)?;
		return Ok(known);
	}
	let mut most = 0;
	let mut chosen = known.clone();
	for seed in 0..SEEDS {
		if seed > 0 {
			known.seed = files::root(&[PROMPT.as_bytes(), &[seed]].concat());
		}
		let executed = run(model, &known)?;
		if let FinishReason::Failed(failure) = executed.output.finish {
			return Err(worthless(model, reason(failure)));
		}
		let tokens = executed.output.tokens.len();
		if tokens > most {
			most = tokens;
			chosen = KnownAnswer {
				answer: executed.hash(),
				..known.clone()
			};
		}
		if most >= ENOUGH_TOKENS {
			break;
		}
	}
	if most < LEAST_TOKENS {
		return Err(worthless(model, TOO_SHORT));
	}
	Ok(chosen)
}

/// Computes the model's known answer by decoding, and checks it by prefill.
pub fn test(model: &Model) -> Result<()> {
	if model.encoder().is_ok() {
		return test_vector(model);
	}
	let known = recorded(model)?;
	let executed = run(model, known)?;
	check_decoded(model, &executed)?;
	let (params, seed) = request(known);
	// Not computed once more: a machine that would need it must not serve the model.
	let found = verify_once(model, &known.prompt, &params, seed, &executed.output)?;
	check_prefilled(model, &executed, found)
}

/// Returns the work whose result is a decoder's known answer.
pub(crate) fn work(model: &Model) -> Result<Work> {
	let known = recorded(model)?;
	let (params, seed) = request(known);
	generate::work(model, known.prompt.as_str(), &params, seed, None)
}

/// Checks an encoder's known answer.
pub(crate) fn test_vector(model: &Model) -> Result<()> {
	let known = recorded(model)?;
	if vector(model, &known.prompt)? == known.answer {
		Ok(())
	} else {
		Err(failed(model, "encoding gives another vector"))
	}
}

/// Checks that what decoding gave is the known answer.
pub(crate) fn check_decoded(model: &Model, executed: &Executed) -> Result<()> {
	if executed.hash() != recorded(model)?.answer {
		return Err(failed(model, "decoding gives another answer"));
	}
	match executed.output.finish {
		FinishReason::Failed(failure) => Err(worthless(model, reason(failure))),
		_ if executed.output.tokens.len() < LEAST_TOKENS => Err(worthless(model, TOO_SHORT)),
		_ => Ok(()),
	}
}

/// Checks that prefill confirmed what decoding gave.
pub(crate) fn check_prefilled(model: &Model, executed: &Executed, found: Finding) -> Result<()> {
	let trace_root = executed.trace_root;
	if found == (Finding::Confirm { trace_root }) {
		Ok(())
	} else {
		Err(failed(model, "prefill doesn't confirm what decoding gives"))
	}
}

/// Returns the known answer in the model's manifest.
fn recorded(model: &Model) -> Result<&KnownAnswer> {
	let known = model.known_answer();
	known.ok_or_else(|| failed(model, "manifest.json has none"))
}

fn failed(model: &Model, reason: &str) -> Error {
	Error::KnownAnswer {
		model: model.id().to_string(),
		reason: reason.into(),
	}
}

/// Returns what an error of the test means where a GPU computed: one that computes another answer has failed, whatever its driver
/// reports.
pub(crate) fn on_gpu(gpu: &dyn Gpu, model: &Model, error: Error) -> Error {
	match error {
		Error::KnownAnswer { model: id, reason } if model.known_answer().is_some() => {
			Error::Device(format!("{} computes model {id} wrongly: {reason}", gpu.name()))
		}
		error => error,
	}
}

const TOO_SHORT: &str = "the model ends its answers before they begin. Check which tokens end an answer \
	(`eos_token_id`), and whether the chat template is the model's own";

/// Returns why a failure is no known answer, with what to do about it.
fn reason(failure: Failure) -> &'static str {
	match failure {
		Failure::PromptTooLong => {
			"the context is too short for the chat template and a question. Import the model with a longer context"
		}
		Failure::NonFinite => {
			"a NaN or an infinity appears while it is computed. The weights are broken, or made for numbers that this \
			 profile does not have: import another version of the model"
		}
		Failure::Template => "the chat template refuses a plain question. Import the model with --chat-template FILE",
		Failure::NoTokens => "the chat template makes no tokens. Import the model with --chat-template FILE",
		Failure::NotGenerative => "the model is an encoder, which answers nothing",
		Failure::PartLeftOut => {
			"the chat template leaves a plain question out. Import the model with --chat-template FILE"
		}
		Failure::Grammar => "a plain question has no grammar, and this engine found one: report this as a bug",
	}
}

fn worthless(model: &Model, reason: &str) -> Error {
	Error::NoAnswer {
		model: model.manifest().name.clone(),
		reason: reason.into(),
	}
}

fn run(model: &Model, known: &KnownAnswer) -> Result<Executed> {
	let (params, seed) = request(known);
	execute(model, &known.prompt, &params, seed)
}

/// Returns the parameters and the seed of a known answer.
fn request(known: &KnownAnswer) -> (SamplingParams, Hash32) {
	let params = SamplingParams {
		temperature: known.temperature,
		..SamplingParams::greedy(known.max_tokens)
	};
	(params, known.seed)
}

/// Returns an encoder's known answer: the hash of the prompt's vector, which has to be one.
fn vector(model: &Model, prompt: &str) -> Result<Hash32> {
	let mut hasher = blake3::Hasher::new_derive_key(KNOWN_ANSWER);
	for v in model.embed(prompt)? {
		if !v.is_finite() {
			return Err(worthless(model, reason(Failure::NonFinite)));
		}
		hasher.update(&v.to_le_bytes());
	}
	Ok(*hasher.finalize().as_bytes())
}
