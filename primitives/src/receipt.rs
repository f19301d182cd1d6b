//! The stored outcome of a job.

use crate::{
	economics::Fault,
	hash::{Digest, Hash32, InputHash, JobId, ModelId, OutputHash, TraceRoot},
	limits::*,
	Balance, FinishReason, SamplingParams, Vote,
};
use bounded_collections::{BoundedVec, ConstU32};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Verdict {
	/// A supermajority computed the same answer.
	#[codec(index = 0)]
	Confirmed,
	/// A committee of one answered: nobody checked it.
	#[codec(index = 1)]
	Unchecked,
	/// No answer was agreed on; the requester was refunded.
	#[codec(index = 2)]
	Refunded(RefundReason),
}

/// Why a job was refunded. The reason of the last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum RefundReason {
	/// Too few providers were available until the deadline of the draw.
	#[codec(index = 0)]
	NoCommittee,
	/// The executor published nothing in time.
	#[codec(index = 1)]
	NoOutput,
	/// A supermajority rejected the output.
	#[codec(index = 2)]
	Rejected,
	/// No vote had a supermajority.
	#[codec(index = 3)]
	NoSupermajority,
}

/// A committee member and its vote, as the receipt keeps them. The first seat is the executor's.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SeatRecord<AccountId> {
	/// The member's account.
	pub provider: AccountId,
	/// The revealed vote, if any.
	pub vote: Option<Vote>,
	/// The fault for which it was slashed, if any.
	pub fault: Option<Fault>,
}

/// The outcome of a job, with everything it takes to recompute its hashes from input and output.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Receipt<AccountId, BlockNumber> {
	/// The job.
	pub job: JobId,
	/// The requested model.
	pub model: ModelId,
	/// Who requested the job and paid for it.
	pub requester: AccountId,
	/// How tokens were sampled.
	pub params: SamplingParams,
	/// [`crate::digest::input_hash`] of the prompt.
	pub input_hash: InputHash,
	/// How it ended.
	pub verdict: Verdict,
	/// The answer's facts; none if refunded.
	pub answer: Option<AnswerRecord>,
	/// The last attempt's committee, the executor first. Empty if none was ever drawn.
	pub committee: BoundedVec<SeatRecord<AccountId>, ConstU32<MAX_COMMITTEE>>,
	/// Attempts used, counted from 1.
	pub attempts: u8,
	/// The block whose VRF output gave the seed; none if no committee was ever drawn.
	pub seed_block: Option<BlockNumber>,
	/// The sampling seed.
	#[cfg_attr(feature = "serde", serde(with = "crate::hash::hex32"))]
	pub seed: Hash32,
	/// What the requester paid, in base units.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub fee: Balance,
	/// Block of the request.
	pub requested_at: BlockNumber,
	/// Block of the verdict.
	pub concluded_at: BlockNumber,
}

/// What the committee agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AnswerRecord {
	/// [`crate::digest::output_hash`] of the output.
	pub output_hash: OutputHash,
	/// Root over every row of the residual stream.
	pub trace_root: TraceRoot,
	/// [`crate::digest::Subject::digest`]: the 32 bytes that were agreed on.
	pub digest: Digest,
	/// Prompt tokens paid for.
	pub input_tokens: u32,
	/// Generated tokens paid for.
	pub output_tokens: u32,
	/// Why the answer ended.
	pub finish: FinishReason,
}

impl<AccountId, BlockNumber> Receipt<AccountId, BlockNumber> {
	/// Returns how many of the last committee gave the vote that won.
	pub fn agreeing(&self) -> usize {
		let Some(answer) = &self.answer else { return 0 };
		let won = Vote::Confirm {
			trace_root: answer.trace_root,
		};
		self.committee.iter().filter(|seat| seat.vote == Some(won)).count()
	}
}
