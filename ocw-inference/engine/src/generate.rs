//! Execute and verify: one work item by itself, which a scheduler of its own runs. An engine gives a scheduler many.

use crate::{
	scheduler::{Scheduler, SchedulerLimits},
	sequence::{Executed, Outcome},
	Error, Model, Result,
};
use assay_primitives::{
	job::{Output, SamplingParams},
	limits::MAX_INPUT_BYTES,
	Hash32, Vote, Work, WorkId,
};

/// Generates the answer to a prompt.
pub fn execute(model: &Model, input: &str, params: &SamplingParams, seed: Hash32) -> Result<Executed> {
	execute_with(model, input, params, seed, &mut |_| ())
}

/// [`execute`] that calls `on_token` with the text so far after each token.
pub fn execute_with(
	model: &Model,
	input: &str,
	params: &SamplingParams,
	seed: Hash32,
	on_token: &mut dyn FnMut(&str),
) -> Result<Executed> {
	let work = work(model, input, params, seed, None)?;
	match run(model, work, SchedulerLimits::default(), on_token)? {
		Outcome::Executed(executed) => Ok(executed),
		Outcome::Verified(_) => Err(Error::Compute("an execution ended as a verification".into())),
	}
}

/// Checks a claimed answer by one prefill of prompt and claim. What is claimed is never a reason for an error.
pub fn verify(model: &Model, input: &str, params: &SamplingParams, seed: Hash32, claim: &Output) -> Result<Vote> {
	let tokens = SchedulerLimits::default().max_batched_tokens;
	verify_with(model, input, params, seed, claim, tokens)
}

/// [`verify`] with at most `max_batched_tokens` in a step; the vote doesn't depend on it.
pub fn verify_with(
	model: &Model,
	input: &str,
	params: &SamplingParams,
	seed: Hash32,
	claim: &Output,
	max_batched_tokens: usize,
) -> Result<Vote> {
	let work = work(model, input, params, seed, Some(claim))?;
	let limits = SchedulerLimits {
		max_batched_tokens,
		..SchedulerLimits::default()
	};
	match run(model, work, limits, &mut |_| ())? {
		Outcome::Verified(vote) => Ok(vote),
		Outcome::Executed(_) => Err(Error::Compute("a verification ended as an execution".into())),
	}
}

fn work(model: &Model, input: &str, params: &SamplingParams, seed: Hash32, claim: Option<&Output>) -> Result<Work> {
	let too_long = |_| Error::Work(format!("the prompt is longer than {MAX_INPUT_BYTES} bytes"));
	Ok(Work {
		model: model.id(),
		input: input.as_bytes().to_vec().try_into().map_err(too_long)?,
		params: params.clone(),
		seed,
		claim: claim.cloned(),
	})
}

fn run(model: &Model, work: Work, limits: SchedulerLimits, on_token: &mut dyn FnMut(&str)) -> Result<Outcome> {
	let mut scheduler = Scheduler::for_one(model, WorkId::default(), work, limits)?;
	while !scheduler.is_idle() {
		let completed = scheduler.step(&mut |_, text| on_token(text));
		if let Some((_, result)) = completed.into_iter().next() {
			return result;
		}
	}
	Err(Error::Compute("the work item was lost".into()))
}
