//! What clients receive of a job.

use assay_primitives::{
	api::JobView, receipt::SeatRecord, ClaimId, FinishReason, JobId, ListingId, ModelId, Output, State, Verdict,
};
use assay_runtime::{AccountId, BlockNumber};
use serde::{Deserialize, Serialize};

/// A published answer. The verdict says what it is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedOutput {
	/// Prompt length in tokens.
	pub input_tokens: u32,
	/// Generated tokens.
	pub output_tokens: u32,
	/// The text.
	pub text: String,
	/// Why it ended.
	pub finish: FinishReason,
}

impl From<Output> for PublishedOutput {
	fn from(output: Output) -> Self {
		Self {
			input_tokens: output.input_tokens,
			output_tokens: output.tokens.len() as u32,
			text: String::from_utf8_lossy(&output.text).into_owned(),
			finish: output.finish,
		}
	}
}

/// A job as `assay_jobStatus` answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
	/// The job.
	pub job: JobId,
	/// Who requested it.
	pub requester: AccountId,
	/// The model that answers.
	pub model: ModelId,
	/// The listing on whose terms it answers.
	pub listing: ListingId,
	/// How many verifiers were asked for.
	pub verifiers: u8,
	/// Its state in the best block.
	pub state: State,
	/// Attempt, counted from 1; 0 while it waits for its first executor.
	pub attempt: u8,
	/// The block in which something is due next; null once the state is final.
	pub deadline: Option<BlockNumber>,
	/// The executor of this attempt; null before it is drawn.
	pub executor: Option<AccountId>,
	/// The claim of this attempt; null before the executor is drawn.
	pub claim: Option<ClaimId>,
	/// All seats drawn so far, with their votes.
	pub seats: Vec<SeatRecord<AccountId>>,
	/// The published answer, if any.
	pub output: Option<PublishedOutput>,
	/// The verdict, once there is one. It may change until the state is final.
	pub verdict: Option<Verdict>,
	/// Block of the request.
	pub requested_at: BlockNumber,
	/// Block of the verdict.
	pub verdict_at: Option<BlockNumber>,
	/// Block of the final state, once it is reached.
	pub closed_at: Option<BlockNumber>,
	/// Whether the block of the verdict is finalized.
	pub finalized: bool,
	/// Whether the block of the final state is finalized: nothing can change any more.
	pub closed: bool,
}

impl JobStatus {
	/// Makes it from a view of the best chain's state, on which every block up to `finalized` is finalized.
	pub(super) fn new(
		view: JobView<AccountId, BlockNumber>,
		closed_at: Option<BlockNumber>,
		finalized: BlockNumber,
	) -> Self {
		let is_final = |block: Option<BlockNumber>| block.is_some_and(|number| number <= finalized);
		Self {
			job: view.id,
			requester: view.requester,
			model: view.model,
			listing: view.listing,
			verifiers: view.verifiers,
			state: view.state,
			attempt: view.attempt,
			deadline: view.deadline,
			executor: view.executor,
			claim: view.claim,
			seats: view.seats.into_inner(),
			output: view.output.map(Into::into),
			verdict: view.verdict,
			requested_at: view.requested_at,
			verdict_at: view.verdict_at,
			closed_at,
			finalized: is_final(view.verdict_at),
			closed: is_final(closed_at),
		}
	}
}

/// How long a subscription goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
	/// Until the block of the verdict is finalized.
	#[default]
	Verdict,
	/// Until the block of the final state is finalized.
	Settled,
}

impl Until {
	/// Returns whether a job is as its subscribers wait for it.
	pub(super) fn is_reached(self, status: &JobStatus) -> bool {
		match self {
			Self::Verdict => status.finalized,
			Self::Settled => status.closed,
		}
	}
}

/// Why a subscription has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
	/// The verdict, or the final state, is in a finalized block.
	Final,
	/// The best chain has the job's request but no longer the job: it was pruned before this node saw its end. An archive
	/// node has it.
	Pruned,
	/// The best chain has had no such job for many blocks: as a rule its request was on a fork that lost, and has to be sent
	/// again.
	Lost,
	/// The subscription has lasted as long as one may. The job goes on; subscribe again.
	Expired,
}

/// What `assay_job` notifies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobUpdate {
	/// The job; its fields are fields of the update.
	#[serde(flatten)]
	pub status: JobStatus,
	/// Why this is the last notification; null while others may follow.
	pub ended: Option<EndReason>,
}
