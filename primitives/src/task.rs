//! What a worker asks of the engine, and what it receives.

use crate::{
	hash::{Hash32, ModelId, TraceRoot, WorkId},
	job::Input,
	vote::Salt,
	Output, SamplingParams,
};
use codec::{Decode, Encode};
use scale_info::TypeInfo;

/// A work item of the engine: an answer to make, or one to check.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct Work {
	/// The model to run.
	pub model: ModelId,
	/// What it is asked.
	pub input: Input,
	/// How tokens are sampled.
	pub params: SamplingParams,
	/// The sampling seed.
	pub seed: Hash32,
	/// The answer to check; none for the executor, who makes it.
	pub claim: Option<Output>,
}

impl Work {
	/// Returns the work's name. The same work has the same name after a restart.
	pub fn id(&self) -> WorkId {
		WorkId(sp_crypto_hashing::blake2_256(&(b"assay/v1/work", self).encode()))
	}
}

/// What an engine finds of a claimed answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum Finding {
	/// The model generates exactly this answer.
	#[codec(index = 0)]
	Confirm {
		/// Root over every row of the residual stream, prompt and answer.
		trace_root: TraceRoot,
	},
	/// The model generates something else.
	#[codec(index = 1)]
	Reject {
		/// First wrong position, counted in generated tokens; the number of tokens if only ending, length or text is
		/// wrong.
		position: u32,
		/// Root of the trace over the prompt and the tokens before `position`.
		prefix_root: TraceRoot,
	},
}

/// The engine's result of a work item, written to the node's disk before it is first returned. It never leaves the
/// node: messages carry what is derived from it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct Answer {
	/// The generated output; only for an executor.
	pub output: Option<Output>,
	/// What was found: for an executor, its own answer confirmed.
	pub finding: Finding,
	/// Random bytes that blind the votes of a jury made from this result.
	pub secret: Salt,
}
