//! The runtime API: everything a dApp reads, typed in metadata, so that clients need no hand-made types.

use crate::{
	hash::Hash32, limits::MAX_COMMITTEE, model::ModelTerms, model::Profile, Balance, JobId, ModelId, Output,
	SamplingParams,
};
use alloc::{string::String, vec::Vec};
use bounded_collections::{BoundedVec, ConstU32};
use codec::{Decode, Encode};
use scale_info::TypeInfo;

/// A catalog entry as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ModelView<AccountId> {
	/// The model's name: the root of its manifest.
	pub id: ModelId,
	/// What people call it.
	pub name: String,
	/// Architecture, e.g. `llama`.
	pub architecture: String,
	/// Numeric profile.
	pub profile: Profile,
	/// Parameter count.
	pub parameters: u64,
	/// Size of the weights in bytes.
	pub weight_bytes: u64,
	/// The model it was made from, if any.
	pub parent: Option<ModelId>,
	/// Owner, prices, limits.
	pub terms: ModelTerms<AccountId>,
	/// Providers that serve it and could be drawn now.
	pub providers: u32,
}

/// A provider of a model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ProviderView<AccountId> {
	/// Who.
	pub provider: AccountId,
	/// Active bond: the weight in a draw.
	pub bond: Balance,
	/// Jobs it may hold at once.
	pub capacity: u32,
	/// Jobs it holds now.
	pub load: u32,
	/// Whether it could be drawn now.
	pub available: bool,
}

/// The price of a job before it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct Quote {
	/// The most that the job can cost: what a request's `max_fee` must cover, and what is held.
	pub fee_ceiling: Balance,
	/// Held besides, until the receipt is pruned.
	pub deposit: Balance,
	/// Most prompt tokens that are paid.
	pub input_tokens: u32,
	/// Most generated tokens that are paid.
	pub output_tokens: u32,
	/// Providers that could be drawn now.
	pub candidates: u32,
	/// Most blocks until the verdict, whatever happens.
	pub t_max: u32,
}

/// Why there is no quote: the error that a request would meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum QuoteError {
	/// No such model is registered.
	UnknownModel,
	/// The model takes no new jobs.
	RetiredModel,
	/// The prompt is empty.
	EmptyInput,
	/// The prompt is longer than the chain's limit or the model's context.
	InputTooLong,
	/// `max_tokens` is zero or over the limit.
	BadParams,
	/// The committee size is not 1, 4, 7, 10 … up to the chain's limit.
	BadCommitteeSize,
	/// Fewer providers can be drawn now than the committee needs.
	TooFewProviders,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum JobPhase {
	/// Waits for its committee.
	Drawing,
	/// The executor computes.
	Executing,
	/// The verifiers compute and commit.
	Committing,
	/// Votes are being opened.
	Revealing,
	/// There is a receipt.
	Concluded,
}

/// A committee place as clients see it while a job runs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SeatView<AccountId> {
	/// Who sits here; the first is the executor.
	pub provider: AccountId,
	/// Whether its blinded vote is in.
	pub committed: bool,
	/// Whether its vote is open.
	pub revealed: bool,
}

/// A job as clients see it, open or concluded.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct JobView<AccountId, BlockNumber> {
	/// The job.
	pub id: JobId,
	/// Who asked.
	pub requester: AccountId,
	/// The model asked.
	pub model: ModelId,
	/// How tokens are chosen.
	pub params: SamplingParams,
	/// Where it stands.
	pub phase: JobPhase,
	/// Attempt, counted from 1.
	pub attempt: u8,
	/// The committee, the executor first; empty before the draw.
	pub committee: BoundedVec<SeatView<AccountId>, ConstU32<MAX_COMMITTEE>>,
	/// Last block of the current phase; none once concluded.
	pub deadline: Option<BlockNumber>,
	/// The prompt.
	pub input: Vec<u8>,
	/// The published answer. Trust it only once the verdict is `Confirmed`.
	pub output: Option<Output>,
	/// Block of the request.
	pub requested_at: BlockNumber,
	/// Genesis hash that the job's commitments name.
	pub genesis: Hash32,
}

#[cfg(feature = "substrate")]
sp_api::decl_runtime_apis! {
	/// Everything a dApp reads.
	pub trait AssayApi<AccountId, BlockNumber> where AccountId: codec::Codec, BlockNumber: codec::Codec {
		/// Registered models in the order of storage, after `start`, at most `limit` (and at most 100): each once, page by page.
		fn models(start: Option<ModelId>, limit: u32) -> Vec<ModelView<AccountId>>;
		/// One model.
		fn model(id: ModelId) -> Option<ModelView<AccountId>>;
		/// The providers that serve a model.
		fn providers_of(model: ModelId) -> Vec<ProviderView<AccountId>>;
		/// What a job would cost at most, or the error it would meet.
		fn quote(model: ModelId, input_bytes: u32, max_tokens: u32, committee_size: u32) -> Result<Quote, QuoteError>;
		/// One job, open or concluded and not yet pruned.
		fn job(id: JobId) -> Option<JobView<AccountId, BlockNumber>>;
		/// The receipt of a concluded job.
		fn receipt(id: JobId) -> Option<crate::Receipt<AccountId, BlockNumber>>;
	}
}
