//! The runtime API: everything a dApp reads, typed in metadata, so that clients need no hand-made types.

use crate::{
	hash::Hash32,
	limits::MAX_SEAT_RECORDS,
	model::{ListingId, PriceChange, Prices, Profile},
	receipt::{ElectorateSummary, SeatRecord},
	Balance, ClaimId, JobId, ModelId, Output, SamplingParams, State, UncheckedInput, Verdict, WorkId,
};
use alloc::{string::String, vec::Vec};
use bounded_collections::{BoundedVec, ConstU32};
use codec::{Decode, Encode};
use scale_info::TypeInfo;
use sp_arithmetic::Permill;

/// A model of the catalog as clients see it: what its manifest proves, and who lists it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ModelView<AccountId, BlockNumber> {
	/// The model's name: the root of its manifest.
	pub id: ModelId,
	/// Its name for people. Other models may have the same.
	pub name: String,
	/// Architecture, e.g. `llama`.
	pub architecture: String,
	/// Numeric profile.
	pub profile: Profile,
	/// Number of weights.
	pub parameters: u64,
	/// Size of the weights in bytes.
	pub weight_bytes: u64,
	/// Most tokens, prompt and answer together.
	pub context_length: u32,
	/// Most tokens that the chat template adds to a prompt of one message.
	pub prompt_overhead: u32,
	/// The model it was made from, if any.
	pub parent: Option<ModelId>,
	/// Members of the electorate that is in force.
	pub providers: u32,
	/// Their stake.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub stake: Balance,
	/// The listings that take jobs, the oldest first.
	pub listings: Vec<ListingView<AccountId, BlockNumber>>,
}

/// A listing as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ListingView<AccountId, BlockNumber> {
	/// The listing.
	pub listing: ListingId,
	/// The model it offers.
	pub model: ModelId,
	/// Who listed the model and receives the royalty.
	pub owner: AccountId,
	/// The prices in force; in JSON these are fields of the listing itself.
	#[cfg_attr(feature = "serde", serde(flatten))]
	pub prices: Prices,
	/// The prices it will have, if they were changed lately.
	pub next_prices: Option<PriceChange<BlockNumber>>,
	/// The owner's part of a fee.
	pub royalty: Permill,
	/// Held from the owner until the listing is removed.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub deposit: Balance,
	/// Block in which it was listed.
	pub listed_at: BlockNumber,
	/// Block of its retirement; none while it takes jobs.
	pub retired_at: Option<BlockNumber>,
	/// The stake of the members of the electorate that execute at its prices.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub willing: Balance,
	/// Whether that is two thirds of all stake, so that the listing takes jobs that are checked.
	pub takes_checked_jobs: bool,
}

/// A provider of a model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProviderView<AccountId> {
	/// The provider's account.
	pub provider: AccountId,
	/// The least prices at which it executes, for the electorates that are sealed next; in JSON these are fields of the
	/// provider itself.
	#[cfg_attr(feature = "serde", serde(flatten))]
	pub least: Prices,
	/// Active bond.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub bond: Balance,
	/// Jobs it may hold at once.
	pub capacity: u32,
	/// Jobs it holds now.
	pub load: u32,
	/// Its stake in the electorate that is in force; 0 if it is not a member.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub sealed: Balance,
	/// Whether the next electorate will include it: bonded, keyed, alive, ready and not suspended.
	pub ready: bool,
	/// Whether it could execute a job now.
	pub available: bool,
	/// Where its node serves streams, `ws://` or `wss://`; none if it published no endpoint.
	#[cfg_attr(feature = "serde", serde(with = "json::endpoint"))]
	pub endpoint: Option<Vec<u8>>,
}

/// The price of a job before it is requested, and what its answer will be worth.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Quote {
	/// The listing on whose terms the job would be answered.
	pub listing: ListingId,
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
	/// The part of the fee ceiling that pays one check.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub seat_fee: Balance,
	/// The electorate that verifiers are drawn from; no executor is known yet.
	pub electorate: ElectorateSummary,
	/// The stake of its members that execute at the listing's prices: the executor is drawn from them.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub willing: Balance,
	/// The median of its members' bonds: what an executor can lose.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub median_stake: Balance,
	/// Jobs that wait for the same model.
	pub jobs_ahead: u32,
	/// Most blocks that the job waits for an executor before it is refunded.
	pub longest_wait: u32,
	/// Most blocks until the job is final, whatever happens.
	pub t_max: u32,
}

/// Why there is no quote: the error that a request would meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum QuoteError {
	/// No such model is registered.
	UnknownModel,
	/// No listing of the model takes new jobs.
	RetiredModel,
	/// The prompt is empty.
	EmptyInput,
	/// The prompt is longer than the chain's limit or the model's context.
	InputTooLong,
	/// `max_tokens` is zero or over the limit.
	BadParams,
	/// More verifiers than the chain allows.
	TooManyVerifiers,
	/// Nobody serves the model in the electorate that is in force.
	NoProvider,
	/// Nobody but the executor serves the model, so nobody could check it.
	NoVerifier,
	/// There is no such listing.
	UnknownListing,
	/// The listing takes no new jobs.
	RetiredListing,
	/// Nobody in the electorate executes at the listing's prices.
	NobodyWilling,
	/// Members that execute at the listing's prices hold less than two thirds of the electorate's stake, so it takes no
	/// job that is checked.
	TooFewWilling,
}

/// A job as clients see it, open or closed.
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
	/// The listing on whose terms it answers.
	pub listing: ListingId,
	/// How tokens are chosen.
	pub params: SamplingParams,
	/// How many verifiers were asked for.
	pub verifiers: u8,
	/// Its state.
	pub state: State,
	/// The verdict, once there is one. It may change until the state is final.
	pub verdict: Option<Verdict>,
	/// The block of the verdict.
	pub verdict_at: Option<BlockNumber>,
	/// Attempt, counted from 1; 0 while it waits for its first executor.
	pub attempt: u8,
	/// The executor of this attempt; none before it is drawn.
	pub executor: Option<AccountId>,
	/// The claim of this attempt; none before the executor is drawn.
	pub claim: Option<ClaimId>,
	/// All seats drawn so far.
	pub seats: BoundedVec<SeatRecord<AccountId>, ConstU32<MAX_SEAT_RECORDS>>,
	/// The block in which something is due next; none once the state is final.
	pub deadline: Option<BlockNumber>,
	/// What the model is asked.
	#[cfg_attr(feature = "serde", serde(serialize_with = "json::input"))]
	pub input: UncheckedInput,
	/// The published answer. The verdict says what it is worth.
	#[cfg_attr(feature = "serde", serde(rename = "published", serialize_with = "json::published"))]
	pub output: Option<Output>,
	/// Block of the request.
	pub requested_at: BlockNumber,
	/// Genesis hash of the chain, which the claim's name is made from.
	#[cfg_attr(feature = "serde", serde(with = "crate::hash::hex32"))]
	pub genesis: Hash32,
}

/// Who makes a job's draft, and under which names: what it takes to stream it, and to check the stream.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ExecutionView<AccountId> {
	/// The attempt, counted from 1.
	pub attempt: u8,
	/// The executor of this attempt.
	pub executor: AccountId,
	/// The inference key, sr25519, with which it signs; none if it has removed it.
	#[cfg_attr(feature = "serde", serde(serialize_with = "json::key"))]
	pub key: Option<Hash32>,
	/// The claim that the draft becomes: the stream's chain of hashes begins with it.
	pub claim: ClaimId,
	/// The executor's work item, under which its node knows the draft.
	pub work: WorkId,
	/// Where the executor's node serves the stream, `ws://` or `wss://`; none if it published no endpoint.
	#[cfg_attr(feature = "serde", serde(with = "json::endpoint"))]
	pub endpoint: Option<Vec<u8>>,
	/// Whether the answer is published already.
	pub published: bool,
}

/// More jobs were asked for in one call than [`MAX_JOB_VIEWS`](crate::limits::MAX_JOB_VIEWS). Ask in several calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct TooManyJobs;

/// How a job's prompt and answer read in JSON.
#[cfg(feature = "serde")]
mod json {
	use crate::{hash::Hash32, FinishReason, Input, Output, UncheckedInput};
	use alloc::{borrow::Cow, string::String};
	use serde::{Serialize, Serializer};

	#[derive(Serialize)]
	struct Published<'a> {
		text: Cow<'a, str>,
		/// A count, not the ids.
		tokens: usize,
		finish: FinishReason,
	}

	/// Writes an input as `{"text": …}` or `{"chat": …}`, whose JSON is a string: its bytes are what is hashed.
	pub(super) fn input<S: Serializer>(input: &UncheckedInput, s: S) -> Result<S::Ok, S::Error> {
		match input {
			Input::Text(bytes) => Input::Text(String::from_utf8_lossy(bytes)),
			Input::Chat(bytes) => Input::Chat(String::from_utf8_lossy(bytes)),
		}
		.serialize(s)
	}

	/// Writes a key as 0x and 64 hex digits.
	pub(super) fn key<S: Serializer>(key: &Option<Hash32>, s: S) -> Result<S::Ok, S::Error> {
		match key {
			Some(key) => crate::hash::hex32::serialize(key, s),
			None => s.serialize_none(),
		}
	}

	/// An endpoint as a string.
	pub(super) mod endpoint {
		use alloc::{string::String, vec::Vec};
		use serde::{Deserialize, Deserializer, Serialize, Serializer};

		pub(in super::super) fn serialize<S: Serializer>(endpoint: &Option<Vec<u8>>, s: S) -> Result<S::Ok, S::Error> {
			endpoint.as_deref().map(String::from_utf8_lossy).serialize(s)
		}

		pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<u8>>, D::Error> {
			Ok(Option::<String>::deserialize(d)?.map(String::into_bytes))
		}
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
	/// Everything a dApp reads. Anybody may call it through any node, so each method reads a bounded number of entries,
	/// which it names, whatever the arguments are. Version 3 knows conversations and streams.
	#[api_version(3)]
	pub trait AssayApi<AccountId, BlockNumber> where AccountId: codec::Codec, BlockNumber: codec::Codec {
		/// Registered models in the order of storage, after `start`, at most `limit` (and at most 100): each once, page by page.
		/// Reads two entries for each, and one for each of their active listings, at most 16.
		fn models(start: Option<ModelId>, limit: u32) -> Vec<ModelView<AccountId, BlockNumber>>;
		/// One model. Reads two entries, and one for each of its active listings, at most 16.
		fn model(id: ModelId) -> Option<ModelView<AccountId, BlockNumber>>;
		/// One listing, also a retired one. Reads at most three entries.
		fn listing(id: ListingId) -> Option<ListingView<AccountId, BlockNumber>>;
		/// The providers that serve a model, at most 128. Reads three entries for each, and two.
		fn providers_of(model: ModelId) -> Vec<ProviderView<AccountId>>;
		/// What a job of a model or a listing would cost at most, or the error it would meet. Reads a few entries of the model,
		/// its active listings, at most 16, and an electorate of at most 64 members.
		fn quote(target: crate::Target, input_bytes: u32, max_tokens: u32, verifiers: u8) -> Result<Quote, QuoteError>;
		/// One job, open or closed and not yet pruned. Reads at most four entries; prompt and answer are at most 64 KiB each.
		fn job(id: JobId) -> Option<JobView<AccountId, BlockNumber>>;
		/// At most 16 jobs, each as `job` returns it, in the same order; an error for more.
		fn jobs(ids: Vec<JobId>) -> Result<Vec<Option<JobView<AccountId, BlockNumber>>>, TooManyJobs>;
		/// Who makes a job's draft; none before an executor is drawn and once the job is closed. Reads at most four entries.
		fn execution(job: JobId) -> Option<ExecutionView<AccountId>>;
		/// The receipt of a job that has a verdict. It may change until its state is final. Reads at most four entries.
		fn receipt(id: JobId) -> Option<crate::Receipt<AccountId, BlockNumber>>;
		/// The index of a final receipt's leaf in the accumulator; none once the receipt is pruned.
		fn receipt_leaf(id: JobId) -> Option<u64>;
		/// What the chain stores of all receipts that ever became final: their number, and the peaks over them.
		fn receipt_accumulator() -> crate::accumulator::Accumulator;
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::FinishReason;
	use serde_json::json;

	#[test]
	fn a_model_has_its_listings_with_exact_prices() {
		let model = ModelView {
			id: ModelId([1; 32]),
			name: "demo".into(),
			architecture: "llama".into(),
			profile: Profile::C2,
			parameters: 3,
			weight_bytes: 4,
			context_length: 8,
			prompt_overhead: 9,
			parent: None,
			providers: 10,
			stake: 11,
			listings: vec![ListingView {
				listing: ListingId(2),
				model: ModelId([1; 32]),
				owner: 7u32,
				prices: Prices {
					price_in: Balance::MAX,
					price_out: 6,
				},
				next_prices: Some(PriceChange {
					prices: Prices {
						price_in: 1,
						price_out: 2,
					},
					at: 14u32,
				}),
				royalty: Permill::from_percent(5),
				deposit: 12,
				listed_at: 13,
				retired_at: None,
				willing: 5,
				takes_checked_jobs: false,
			}],
		};
		let json = serde_json::to_value(&model).unwrap();
		let expected = json!({
			"id": model.id, "name": "demo", "architecture": "llama", "profile": "c2", "parameters": 3,
			"weight_bytes": 4, "context_length": 8, "prompt_overhead": 9, "parent": null, "providers": 10, "stake": "11",
			"listings": [{
				"listing": 2, "model": model.id, "owner": 7, "price_in": "340282366920938463463374607431768211455",
				"price_out": "6", "next_prices": { "price_in": "1", "price_out": "2", "at": 14 }, "royalty": 50_000,
				"deposit": "12", "listed_at": 13, "retired_at": null, "willing": "5", "takes_checked_jobs": false,
			}],
		});
		assert_eq!(json, expected);
		assert_eq!(serde_json::from_value::<ModelView<u32, u32>>(json).unwrap(), model);
	}

	#[test]
	fn a_job_shows_its_texts_as_text() {
		let job = JobView {
			id: JobId([1; 32]),
			requester: 2u32,
			model: ModelId([3; 32]),
			listing: ListingId(12),
			params: SamplingParams::greedy(4),
			verifiers: 1,
			state: State::Voting,
			verdict: None,
			verdict_at: None,
			attempt: 1,
			executor: Some(5u32),
			claim: Some(ClaimId([11; 32])),
			seats: vec![SeatRecord {
				provider: 6u32,
				tranche: 1,
				vote: None,
				fault: None,
			}]
			.try_into()
			.unwrap(),
			deadline: Some(6u32),
			input: UncheckedInput::Text(b"Hello".to_vec()),
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
			"job": job.id, "requester": 2, "model": job.model, "listing": 12, "params": job.params, "verifiers": 1, "state": "voting",
			"verdict": null, "verdict_at": null, "attempt": 1, "executor": 5, "claim": job.claim,
			"seats": [{ "provider": 6, "tranche": 1, "vote": null, "fault": null }], "deadline": 6, "input": { "text": "Hello" },
			"published": { "text": "Hi.", "tokens": 2, "finish": "eos" }, "requested_at": 9,
			"genesis": format!("0x{}", "0a".repeat(32)),
		});
		assert_eq!(serde_json::to_value(&job).unwrap(), expected);
	}
}
