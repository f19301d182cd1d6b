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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ModelView<AccountId> {
	/// The model's name: the root of its manifest.
	pub id: ModelId,
	/// Its name for people.
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
	/// Owner, prices, limits; in JSON these are fields of the model itself.
	#[cfg_attr(feature = "serde", serde(flatten))]
	pub terms: ModelTerms<AccountId>,
	/// Providers that serve it and could be drawn now.
	pub providers: u32,
}

/// A provider of a model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProviderView<AccountId> {
	/// The provider's account.
	pub provider: AccountId,
	/// Active bond: the weight in a draw.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub bond: Balance,
	/// Jobs it may hold at once.
	pub capacity: u32,
	/// Jobs it holds now.
	pub load: u32,
	/// Whether it could be drawn now.
	pub available: bool,
}

/// The price of a job before it is requested.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Quote {
	/// The most that the job can cost: what a request's `max_fee` must cover, and what is held.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub fee_ceiling: Balance,
	/// Deposit held as well, until the receipt is pruned.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
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

/// The phase of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum JobPhase {
	/// The job waits for its committee.
	Drawing,
	/// The executor computes.
	Executing,
	/// The verifiers compute and commit.
	Committing,
	/// Votes are being revealed.
	Revealing,
	/// There is a receipt.
	Concluded,
}

/// A committee place as clients see it while a job runs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SeatView<AccountId> {
	/// The provider; the first seat is the executor's.
	pub provider: AccountId,
	/// Whether its blinded vote is in.
	pub committed: bool,
	/// Whether its vote is revealed.
	pub revealed: bool,
}

/// A job as clients see it, open or concluded.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct JobView<AccountId, BlockNumber> {
	/// The job.
	#[cfg_attr(feature = "serde", serde(rename = "job"))]
	pub id: JobId,
	/// Who requested it.
	pub requester: AccountId,
	/// The model that answers.
	pub model: ModelId,
	/// How tokens are chosen.
	pub params: SamplingParams,
	/// Its phase.
	pub phase: JobPhase,
	/// Attempt, counted from 1.
	pub attempt: u8,
	/// The committee, the executor first; empty before the draw.
	pub committee: BoundedVec<SeatView<AccountId>, ConstU32<MAX_COMMITTEE>>,
	/// Last block of the current phase; none once concluded.
	pub deadline: Option<BlockNumber>,
	/// The prompt.
	#[cfg_attr(feature = "serde", serde(rename = "prompt", serialize_with = "json::text"))]
	pub input: Vec<u8>,
	/// The published answer. Trust it only once the verdict is `Confirmed`.
	#[cfg_attr(feature = "serde", serde(rename = "published", serialize_with = "json::published"))]
	pub output: Option<Output>,
	/// Block of the request.
	pub requested_at: BlockNumber,
	/// Genesis hash that the job's commitments name.
	#[cfg_attr(feature = "serde", serde(with = "crate::hash::hex32"))]
	pub genesis: Hash32,
}

/// How a job's prompt and answer read in JSON.
#[cfg(feature = "serde")]
mod json {
	use crate::{FinishReason, Output};
	use alloc::{borrow::Cow, string::String};
	use serde::{Serialize, Serializer};

	#[derive(Serialize)]
	struct Published<'a> {
		text: Cow<'a, str>,
		/// A count, not the ids.
		tokens: usize,
		finish: FinishReason,
	}

	/// Writes UTF-8 bytes as a string.
	pub(super) fn text<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
		s.serialize_str(&String::from_utf8_lossy(bytes))
	}

	/// Writes what a reader wants of an answer: text, token count and finish reason.
	pub(super) fn published<S: Serializer>(output: &Option<Output>, s: S) -> Result<S::Ok, S::Error> {
		let published = output.as_ref().map(|output| Published {
			text: String::from_utf8_lossy(&output.text),
			tokens: output.tokens.len(),
			finish: output.finish,
		});
		published.serialize(s)
	}
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

#[cfg(test)]
mod tests {
	use super::*;
	use crate::FinishReason;
	use serde_json::json;
	use sp_arithmetic::Permill;

	#[test]
	fn a_model_is_one_flat_object_with_exact_prices() {
		let model = ModelView {
			id: ModelId([1; 32]),
			name: "demo".into(),
			architecture: "llama".into(),
			profile: Profile::C1W8,
			parameters: 3,
			weight_bytes: 4,
			parent: None,
			terms: ModelTerms {
				owner: 7u32,
				price_in: Balance::MAX,
				price_out: 6,
				royalty: Permill::from_percent(5),
				context_length: 8,
				prompt_overhead: 9,
				retired: false,
			},
			providers: 10,
		};
		let json = serde_json::to_value(&model).unwrap();
		let expected = json!({
			"id": model.id, "name": "demo", "architecture": "llama", "profile": "c1-w8", "parameters": 3,
			"weight_bytes": 4, "parent": null, "owner": 7, "price_in": "340282366920938463463374607431768211455",
			"price_out": "6", "royalty": 50_000, "context_length": 8, "prompt_overhead": 9, "retired": false,
			"providers": 10,
		});
		assert_eq!(json, expected);
		assert_eq!(serde_json::from_value::<ModelView<u32>>(json).unwrap(), model);
	}

	#[test]
	fn a_job_shows_its_texts_as_text() {
		let job = JobView {
			id: JobId([1; 32]),
			requester: 2u32,
			model: ModelId([3; 32]),
			params: SamplingParams::greedy(4),
			phase: JobPhase::Committing,
			attempt: 1,
			committee: vec![SeatView {
				provider: 5u32,
				committed: true,
				revealed: false,
			}]
			.try_into()
			.unwrap(),
			deadline: Some(6u32),
			input: b"Hello".to_vec(),
			output: Some(Output {
				input_tokens: 1,
				tokens: vec![7, 8].try_into().unwrap(),
				text: b"Hi.".to_vec().try_into().unwrap(),
				finish: FinishReason::Eos,
			}),
			requested_at: 9,
			genesis: [10; 32],
		};
		let expected = json!({
			"job": job.id, "requester": 2, "model": job.model, "params": job.params, "phase": "committing", "attempt": 1,
			"committee": [{ "provider": 5, "committed": true, "revealed": false }], "deadline": 6, "prompt": "Hello",
			"published": { "text": "Hi.", "tokens": 2, "finish": "eos" }, "requested_at": 9,
			"genesis": format!("0x{}", "0a".repeat(32)),
		});
		assert_eq!(serde_json::to_value(&job).unwrap(), expected);
	}
}
