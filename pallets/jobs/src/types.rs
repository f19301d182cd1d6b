//! What the pallet stores of a job, and the messages of providers.

use assay_primitives::{
	economics::{Fault, Rates},
	limits::{MAX_ATTEMPTS, MAX_BATCH, MAX_COMMITTEE},
	model::ModelTerms,
	vote::Salt,
	Balance, Commitment, Hash32, InputHash, JobId, ModelId, Output, SamplingParams, Vote,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;

/// The chain's parameters of a job, in one struct.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct JobParams<BlockNumber> {
	/// Blocks in which a committee must be found.
	pub draw_blocks: BlockNumber,
	/// Blocks in which the executor must publish.
	pub execute_blocks: BlockNumber,
	/// Blocks in which the verifiers must commit.
	pub commit_blocks: BlockNumber,
	/// Blocks in which the committed votes must be revealed.
	pub reveal_blocks: BlockNumber,
	/// Largest committee, n = 3f + 1.
	pub max_committee: u32,
	/// Jobs that may be open at once.
	pub max_open_jobs: u32,
	/// Jobs whose deadline is handled in one block; the others wait for the next.
	pub max_due_per_block: u32,
	/// Committees drawn in one block.
	pub max_draws_per_block: u32,
	/// Blocks after the verdict from which anyone may prune a receipt.
	pub retention: BlockNumber,
	/// Held for every job until its receipt is pruned.
	pub deposit_base: Balance,
	/// Held on top for each byte of prompt and answer.
	pub deposit_per_byte: Balance,
	/// Who pays whom, and what faults cost.
	pub rates: Rates,
}

/// The phase of an open job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum Phase {
	/// The job waits in the queue for its committee.
	Drawing {
		/// Its index in the queue.
		index: u64,
	},
	/// The executor computes.
	Executing,
	/// The verifiers compute and commit.
	Committing,
	/// Committed votes are being revealed.
	Revealing,
}

/// A committee member and its vote. The first seat is the executor's.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Seat<AccountId> {
	/// The member's account.
	pub provider: AccountId,
	/// Its blinded vote.
	pub commitment: Option<Commitment>,
	/// Its vote, once revealed.
	pub vote: Option<Vote>,
	/// The fault for which it was slashed, if any.
	pub fault: Option<Fault>,
}

impl<AccountId> Seat<AccountId> {
	/// Returns the seat of a provider that has not voted yet.
	pub(crate) fn new(provider: AccountId) -> Self {
		Self {
			provider,
			commitment: None,
			vote: None,
			fault: None,
		}
	}
}

/// The sampling seed of a job and its source, fixed at the first draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct JobSeed<BlockNumber> {
	/// The block whose VRF output it comes from.
	pub block: BlockNumber,
	/// The sampling seed.
	pub value: Hash32,
}

/// An open job. Its prompt and its answer are stored separately, so that votes do not read them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Job<AccountId, BlockNumber> {
	/// Who requested the job and pays for it.
	pub requester: AccountId,
	/// The requested model.
	pub model: ModelId,
	/// The model's terms at the time of the request: a later price is for later jobs.
	pub terms: ModelTerms<AccountId>,
	/// How tokens are sampled.
	pub params: SamplingParams,
	/// Hash of the prompt.
	pub input_hash: InputHash,
	/// Most prompt tokens that are paid.
	pub input_ceiling: u32,
	/// The most that the job can cost, held from the requester.
	pub fee_ceiling: Balance,
	/// Committee size that was requested, and is paid.
	pub requested_size: u32,
	/// Committee size of this attempt.
	pub size: u32,
	/// Whether the next committee shall be larger than the last.
	pub enlarge: bool,
	/// Attempt, from 0.
	pub attempt: u8,
	/// The phase of the job.
	pub phase: Phase,
	/// Last block of the phase.
	pub deadline: BlockNumber,
	/// Block of the request.
	pub requested_at: BlockNumber,
	/// The sampling seed, from the first draw on.
	pub seed: Option<JobSeed<BlockNumber>>,
	/// The committee of this attempt; while drawing, that of the attempt before.
	pub committee: BoundedVec<Seat<AccountId>, ConstU32<MAX_COMMITTEE>>,
	/// Executors of failed attempts.
	pub failed: BoundedVec<AccountId, ConstU32<MAX_ATTEMPTS>>,
}

impl<AccountId: PartialEq, BlockNumber> Job<AccountId, BlockNumber> {
	/// Returns the executor's account, if a committee was drawn.
	pub fn executor(&self) -> Option<&AccountId> {
		self.committee.first().map(|seat| &seat.provider)
	}

	/// Returns a provider's seat.
	pub fn seat(&self, who: &AccountId) -> Option<&Seat<AccountId>> {
		self.committee.iter().find(|seat| seat.provider == *who)
	}

	/// Returns a provider's seat for writing.
	pub fn seat_mut(&mut self, who: &AccountId) -> Option<&mut Seat<AccountId>> {
		self.committee.iter_mut().find(|seat| seat.provider == *who)
	}

	/// Returns whether a committee is at work.
	pub fn is_at_work(&self) -> bool {
		!matches!(self.phase, Phase::Drawing { .. })
	}
}

/// A job that waits in the queue of draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Waiting<BlockNumber> {
	/// The job.
	pub job: JobId,
	/// Block in which it was enqueued; it is drawn in a later one.
	pub since: BlockNumber,
}

/// The executor's message: the answer and its own blinded vote.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Publication<AccountId, BlockNumber> {
	/// The executor, who sends it.
	pub voter: AccountId,
	/// The job.
	pub job: JobId,
	/// Which attempt, from 0.
	pub attempt: u8,
	/// The answer.
	pub output: Output,
	/// The executor's blinded vote.
	pub commitment: Commitment,
	/// The block the worker saw.
	pub at: BlockNumber,
}

/// A blinded vote on one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct CommitItem {
	/// The job.
	pub job: JobId,
	/// Which attempt, from 0.
	pub attempt: u8,
	/// The blinded vote.
	pub commitment: Commitment,
}

/// The vote behind a commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct RevealItem {
	/// The job.
	pub job: JobId,
	/// Which attempt, from 0.
	pub attempt: u8,
	/// The vote.
	pub vote: Vote,
	/// What blinded it.
	pub salt: Salt,
}

/// All votes that a provider sends in one block. An empty batch is a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Batch<AccountId, BlockNumber> {
	/// The provider, who sends it.
	pub voter: AccountId,
	/// The block the worker saw.
	pub at: BlockNumber,
	/// Blinded votes.
	pub commitments: BoundedVec<CommitItem, ConstU32<MAX_BATCH>>,
	/// Revealed votes.
	pub reveals: BoundedVec<RevealItem, ConstU32<MAX_BATCH>>,
}

impl<AccountId: Encode, BlockNumber: Encode> Publication<AccountId, BlockNumber> {
	/// Returns the bytes that the inference key signs.
	pub fn message(&self, genesis: &Hash32) -> alloc::vec::Vec<u8> {
		(b"assay/v1/publish", genesis, self).encode()
	}
}

impl<AccountId: Encode, BlockNumber: Encode> Batch<AccountId, BlockNumber> {
	/// Returns the bytes that the inference key signs.
	pub fn message(&self, genesis: &Hash32) -> alloc::vec::Vec<u8> {
		(b"assay/v1/vote", genesis, self).encode()
	}

	/// Returns whether the batch carries no votes.
	pub fn is_heartbeat(&self) -> bool {
		self.commitments.is_empty() && self.reveals.is_empty()
	}
}
