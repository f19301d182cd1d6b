//! Execute and verify: one run of the model, made by decoding or checked by one prefill.
//!
//! Both are the same run ([`run`]): rows are fed, each row behind the prompt chooses a token, and what it chooses is either
//! fed next or compared with a claim. The functions here give a [`Scheduler`] one piece of work; an engine gives it many.

mod answer;
pub(crate) mod run;

use crate::{
	scheduler::{Limits, Scheduler},
	Error, Model, Result,
};
use assay_primitives::{
	job::{Output, SamplingParams},
	Hash32, TraceRoot, Vote, WorkId,
};
use codec::Encode;
use run::Run;

/// An answer and the trace of how it was computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
	/// The answer.
	pub output: Output,
	/// Root over every row.
	pub trace_root: TraceRoot,
}

impl Executed {
	/// One hash of both: what a known-answer test compares.
	pub fn hash(&self) -> Hash32 {
		let mut hasher = blake3::Hasher::new_derive_key("assay/v1/known-answer");
		hasher.update(&(assay_primitives::digest::output_hash(&self.output), self.trace_root).encode());
		*hasher.finalize().as_bytes()
	}
}

/// An answer to make, or one to check.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
	/// The prompt.
	pub input: String,
	/// How tokens are chosen.
	pub params: SamplingParams,
	/// The sampling seed.
	pub seed: Hash32,
	/// The answer to check; none to make one.
	pub claim: Option<Output>,
}

/// What a job comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Finished {
	/// The answer was made.
	Executed(Executed),
	/// The claim was checked.
	Verified(Vote),
}

/// Generates the answer to a prompt.
pub fn execute(model: &Model, input: &str, params: &SamplingParams, seed: Hash32) -> Result<Executed> {
	execute_with(model, input, params, seed, &mut |_| ())
}

/// [`execute`], telling the text so far after each token.
pub fn execute_with(
	model: &Model,
	input: &str,
	params: &SamplingParams,
	seed: Hash32,
	told: &mut dyn FnMut(&str),
) -> Result<Executed> {
	let job = Job {
		input: input.into(),
		params: params.clone(),
		seed,
		claim: None,
	};
	match alone(model, job, Limits::default(), told)? {
		Finished::Executed(executed) => Ok(executed),
		Finished::Verified(_) => Err(Error::Compute("an execution ended as a verification".into())),
	}
}

/// Checks a claimed answer by one prefill of prompt and claim. Never an error because of what is claimed.
pub fn verify(model: &Model, input: &str, params: &SamplingParams, seed: Hash32, claim: &Output) -> Result<Vote> {
	verify_with(model, input, params, seed, claim, Limits::default().rows)
}

/// [`verify`] with so many rows at a time; the vote doesn't depend on it.
pub fn verify_with(
	model: &Model,
	input: &str,
	params: &SamplingParams,
	seed: Hash32,
	claim: &Output,
	rows: usize,
) -> Result<Vote> {
	let job = Job {
		input: input.into(),
		params: params.clone(),
		seed,
		claim: Some(claim.clone()),
	};
	let limits = Limits {
		rows,
		..Limits::default()
	};
	match alone(model, job, limits, &mut |_| ())? {
		Finished::Verified(vote) => Ok(vote),
		Finished::Executed(_) => Err(Error::Compute("a verification ended as an execution".into())),
	}
}

/// Runs one job by itself, with pages for no more than it needs.
fn alone(model: &Model, job: Job, limits: Limits, told: &mut dyn FnMut(&str)) -> Result<Finished> {
	const ID: WorkId = WorkId([0; 32]);
	let start = Run::start(model, job)?;
	let mut scheduler = Scheduler::for_one(model, &start, limits)?;
	scheduler.enqueue(ID, start)?;
	loop {
		let done = scheduler.step(&mut |_, text| told(text));
		if let Some((_, result)) = done.into_iter().next() {
			return result;
		}
		if scheduler.is_idle() {
			return Err(Error::Compute("the run was lost".into()));
		}
	}
}
