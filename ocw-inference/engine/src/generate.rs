//! Execute and verify: one work item by itself, which a scheduler of its own runs. An engine gives a scheduler many.

use crate::{
	model::decoder::Decoder,
	recheck,
	scheduler::{Scheduler, SchedulerLimits},
	sequence::{Executed, Outcome, Prepared, Sequence},
	Error, Model, Result,
};
use assay_primitives::{
	job::{Output, SamplingParams, UncheckedInput},
	limits::MAX_INPUT_BYTES,
	stream::StreamToken,
	Finding, Hash32, Work,
};
use std::sync::Arc;

/// Generates the answer to a text or a conversation.
pub fn execute(
	model: &Model,
	input: impl Into<UncheckedInput>,
	params: &SamplingParams,
	seed: Hash32,
) -> Result<Executed> {
	execute_with(model, input, params, seed, &mut |_| ())
}

/// [`execute`] that calls `on_token` with the text so far after each token, without an end that may begin a stop string. Each text
/// begins with the one before, and the last is the answer's.
pub fn execute_with(
	model: &Model,
	input: impl Into<UncheckedInput>,
	params: &SamplingParams,
	seed: Hash32,
	on_token: &mut dyn FnMut(&str),
) -> Result<Executed> {
	let work = work(model, input, params, seed, None)?;
	let mut shown = String::new();
	let mut grow = |token: StreamToken| {
		shown.push_str(&token.text);
		on_token(&shown);
	};
	match run(model, work, SchedulerLimits::default(), &mut grow)? {
		Outcome::Executed(executed) => {
			let Output { text, finish, .. } = &executed.output;
			if finish.model_ran() && text.len() > shown.len() {
				on_token(&String::from_utf8_lossy(text));
			}
			Ok(executed)
		}
		Outcome::Verified(_) => Err(Error::Compute("an execution ended as a verification".into())),
	}
}

/// Checks a claimed answer by one prefill of prompt and claim. What is claimed is never a reason for an error. A rejection is
/// computed once more with the portable instructions, and what these find is returned.
pub fn verify(
	model: &Model,
	input: impl Into<UncheckedInput>,
	params: &SamplingParams,
	seed: Hash32,
	claim: &Output,
) -> Result<Finding> {
	let input = input.into();
	let found = verify_once(model, input.clone(), params, seed, claim)?;
	let work = work(model, input, params, seed, Some(claim))?;
	recheck::confirmed(model, &work, found, &|| true)
}

/// Checks a claimed answer with the model's own instructions or GPU alone.
pub fn verify_once(
	model: &Model,
	input: impl Into<UncheckedInput>,
	params: &SamplingParams,
	seed: Hash32,
	claim: &Output,
) -> Result<Finding> {
	let tokens = SchedulerLimits::default().max_batched_tokens;
	verify_with(model, input, params, seed, claim, tokens)
}

/// [`verify_once`] with at most `max_batched_tokens` in a step; the finding doesn't depend on it.
pub fn verify_with(
	model: &Model,
	input: impl Into<UncheckedInput>,
	params: &SamplingParams,
	seed: Hash32,
	claim: &Output,
	max_batched_tokens: usize,
) -> Result<Finding> {
	let work = work(model, input, params, seed, Some(claim))?;
	let limits = SchedulerLimits {
		max_batched_tokens,
		..SchedulerLimits::default()
	};
	match run(model, work, limits, &mut |_| ())? {
		Outcome::Verified(finding) => Ok(finding),
		Outcome::Executed(_) => Err(Error::Compute("a verification ended as an execution".into())),
	}
}

/// Returns the work item of a model; an error if the input is too long.
pub(crate) fn work(
	model: &Model,
	input: impl Into<UncheckedInput>,
	params: &SamplingParams,
	seed: Hash32,
	claim: Option<&Output>,
) -> Result<Work> {
	let too_long = || Error::Work(format!("the input is longer than {MAX_INPUT_BYTES} bytes"));
	Ok(Work {
		model: model.id(),
		input: input.into().bounded().ok_or_else(too_long)?,
		params: params.clone(),
		seed,
		claim: claim.cloned(),
	})
}

fn run(model: &Model, work: Work, limits: SchedulerLimits, on_token: &mut dyn FnMut(StreamToken)) -> Result<Outcome> {
	match Sequence::prepare(model, work)? {
		Prepared::Done(outcome) => Ok(outcome),
		Prepared::Sequence(sequence) => run_on(model, model.decoder()?.clone(), sequence, limits, on_token, &|| true),
	}
}

/// Runs a sequence with a decoder on the weights of its model. Before each step asks `go_on`; an error if it is not to.
pub(crate) fn run_on(
	model: &Model,
	decoder: Arc<Decoder>,
	sequence: Box<Sequence>,
	limits: SchedulerLimits,
	on_token: &mut dyn FnMut(StreamToken),
	go_on: &dyn Fn() -> bool,
) -> Result<Outcome> {
	let mut scheduler = Scheduler::for_one(model, decoder, sequence, limits)?;
	while !scheduler.is_idle() {
		if !go_on() {
			return Err(Error::Work("it was cancelled".into()));
		}
		let completed = scheduler.step(&mut |_, token| on_token(token));
		if let Some((_, result)) = completed.into_iter().next() {
			return result;
		}
	}
	Err(Error::Compute("the work item was lost".into()))
}
