//! One paid request and its answer.

use crate::{
	hash::{Hash32, InputHash, JobId, ModelId},
	limits::*,
	model::ListingId,
};
use alloc::vec::Vec;
use bounded_collections::{BoundedVec, ConstU32};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

impl JobId {
	/// Returns the name of the `count`-th job of `requester`. `listing` is the listing that the request named; none if it
	/// named the model.
	pub fn derive<AccountId: Encode>(
		genesis: &Hash32,
		requester: &AccountId,
		count: u64,
		model: &ModelId,
		listing: Option<ListingId>,
		input_hash: &InputHash,
		params: &SamplingParams,
	) -> Self {
		let mut bytes = (b"assay/v2/job", genesis, requester, count, model, input_hash, params).encode();
		// Parameters end where they say, so no name with a listing is one without.
		if let Some(listing) = listing {
			listing.encode_to(&mut bytes);
		}
		Self(sp_crypto_hashing::blake2_256(&bytes))
	}
}

/// What a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Target {
	/// A model, at the listing that is cheapest for this job among those that may take it.
	#[codec(index = 0)]
	Model(ModelId),
	/// One listing and no other.
	#[codec(index = 1)]
	Listing(ListingId),
}

impl Target {
	/// Returns the listing, if one is named.
	pub fn listing(&self) -> Option<ListingId> {
		match self {
			Self::Model(_) => None,
			Self::Listing(id) => Some(*id),
		}
	}
}

impl From<ModelId> for Target {
	fn from(model: ModelId) -> Self {
		Self::Model(model)
	}
}

impl From<ListingId> for Target {
	fn from(listing: ListingId) -> Self {
		Self::Listing(listing)
	}
}

/// What the model is asked. Its bytes are what the input's hash binds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Input<Bytes = BoundedVec<u8, ConstU32<MAX_INPUT_BYTES>>> {
	/// UTF-8 text of one user message.
	#[codec(index = 0)]
	Text(Bytes),
	/// A conversation as JSON: OpenAI's `messages`, `tools`, `tool_choice` and `response_format`.
	#[codec(index = 1)]
	Chat(Bytes),
}

/// An input as a call brings it, of any length: see [`UncheckedParams`].
pub type UncheckedInput = Input<Vec<u8>>;

impl<Bytes: AsRef<[u8]>> Input<Bytes> {
	/// Returns the text, or the conversation's JSON.
	pub fn bytes(&self) -> &[u8] {
		match self {
			Self::Text(bytes) | Self::Chat(bytes) => bytes.as_ref(),
		}
	}
}

impl UncheckedInput {
	/// Returns the same input; none if it is too long.
	pub fn bounded(self) -> Option<Input> {
		Some(match self {
			Self::Text(bytes) => Input::Text(bytes.try_into().ok()?),
			Self::Chat(bytes) => Input::Chat(bytes.try_into().ok()?),
		})
	}
}

impl<S: AsRef<str> + ?Sized> From<&S> for UncheckedInput {
	fn from(text: &S) -> Self {
		Self::Text(text.as_ref().as_bytes().to_vec())
	}
}

impl From<Input> for UncheckedInput {
	fn from(input: Input) -> Self {
		match input {
			Input::Text(bytes) => Self::Text(bytes.into_inner()),
			Input::Chat(bytes) => Self::Chat(bytes.into_inner()),
		}
	}
}

/// A string that ends the answer.
pub type Stop = BoundedVec<u8, ConstU32<MAX_STOP_BYTES>>;

/// The stop strings that a job can have.
pub type Stops = BoundedVec<Stop, ConstU32<MAX_STOPS>>;

/// How tokens are sampled: sampler `s1`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SamplingParams<S = Stops> {
	/// Most tokens to generate; 1 up to the chain's limit.
	pub max_tokens: u32,
	/// Temperature as Q16.16 (65 536 = 1.0). Zero takes the largest logit.
	pub temperature: u32,
	/// Keep only this many largest logits; 0 keeps all.
	pub top_k: u32,
	/// Keep only tokens at least this probable relative to the best, as Q16.16 (65 536 = 1.0); 0 keeps all.
	pub min_p: u32,
	/// Strings that end the answer.
	pub stop: S,
}

/// Parameters as a call brings them, with any number of stop strings of any length: what exceeds a bound of a type does
/// not decode, and then nobody could be told why.
pub type UncheckedParams = SamplingParams<Vec<Vec<u8>>>;

impl UncheckedParams {
	/// Returns the same parameters; none if the stop strings are too many or one is too long.
	pub fn bounded(self) -> Option<SamplingParams> {
		let Self {
			max_tokens,
			temperature,
			top_k,
			min_p,
			stop,
		} = self;
		// No more are converted than there may be.
		let stop = BoundedVec::<_, ConstU32<MAX_STOPS>>::try_from(stop).ok()?;
		let stop: Option<Vec<Stop>> = stop.into_iter().map(|text| text.try_into().ok()).collect();
		Some(SamplingParams {
			max_tokens,
			temperature,
			top_k,
			min_p,
			stop: stop?.try_into().ok()?,
		})
	}
}

impl From<SamplingParams> for UncheckedParams {
	fn from(params: SamplingParams) -> Self {
		let SamplingParams {
			max_tokens,
			temperature,
			top_k,
			min_p,
			stop,
		} = params;
		Self {
			max_tokens,
			temperature,
			top_k,
			min_p,
			stop: stop.into_iter().map(BoundedVec::into_inner).collect(),
		}
	}
}

impl SamplingParams {
	/// Returns parameters with temperature 0, no filter and no stop string.
	pub fn greedy(max_tokens: u32) -> Self {
		Self {
			max_tokens,
			temperature: 0,
			top_k: 0,
			min_p: 0,
			stop: BoundedVec::new(),
		}
	}

	/// Returns the longest text that the answer may have, in bytes: in proportion to `max_tokens`, so that a requester
	/// pays a deposit for what it asks. An answer that grows beyond it ends there.
	pub fn max_text_bytes(&self) -> u32 {
		max_text_bytes(self.max_tokens)
	}

	/// Returns whether every number is in its range (1 ≤ `max_tokens` ≤ [`MAX_OUTPUT_TOKENS`], temperature ≤ 16,
	/// `min_p` ≤ 1) and every stop string is non-empty UTF-8.
	pub fn is_valid(&self) -> bool {
		const ONE: u32 = 1 << 16;
		(1..=MAX_OUTPUT_TOKENS).contains(&self.max_tokens)
			&& self.temperature <= 16 * ONE
			&& self.min_p <= ONE
			&& self
				.stop
				.iter()
				.all(|s| !s.is_empty() && core::str::from_utf8(s).is_ok())
	}
}

/// Returns the longest text that an answer of at most so many tokens may have, in bytes.
pub fn max_text_bytes(max_tokens: u32) -> u32 {
	max_tokens
		.saturating_mul(OUTPUT_BYTES_PER_TOKEN)
		.clamp(MIN_OUTPUT_BYTES, MAX_OUTPUT_BYTES)
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum FinishReason {
	/// The model generated an end-of-sequence token.
	#[codec(index = 0)]
	Eos,
	/// A stop string appeared.
	#[codec(index = 1)]
	Stop,
	/// `max_tokens` tokens were generated, or the context is full.
	#[codec(index = 2)]
	Length,
	/// Nothing can be generated, and every honest machine finds the same reason.
	#[codec(index = 3)]
	Failed(Failure),
}

impl FinishReason {
	/// Returns whether the model ran, at least over the prompt. If it did not, nothing was computed that is paid for.
	pub fn model_ran(&self) -> bool {
		match self {
			Self::Eos | Self::Stop | Self::Length | Self::Failed(Failure::NonFinite) => true,
			Self::Failed(
				Failure::PromptTooLong
				| Failure::Template
				| Failure::NoTokens
				| Failure::NotGenerative
				| Failure::PartLeftOut
				| Failure::Grammar,
			) => false,
		}
	}
}

/// A deterministic reason to generate nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Failure {
	/// The prompt fills the context and leaves nothing for an answer.
	#[codec(index = 0)]
	PromptTooLong,
	/// A NaN or an infinity appeared in a row.
	#[codec(index = 1)]
	NonFinite,
	/// The model's chat template refuses the prompt: it raises an exception, fails, or exceeds its budget.
	#[codec(index = 2)]
	Template,
	/// The rendered prompt has no tokens.
	#[codec(index = 3)]
	NoTokens,
	/// The model generates nothing: it is an encoder.
	#[codec(index = 4)]
	NotGenerative,
	/// The chat template leaves out a part of the conversation, which the answer's text names.
	#[codec(index = 5)]
	PartLeftOut,
	/// The answer cannot be held to the tools or the schema that were asked for: the grammar library refuses them, or no
	/// token may come first.
	#[codec(index = 6)]
	Grammar,
}

/// The answer: what the executor publishes and the verifiers check.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Output<
	Tokens = BoundedVec<u32, ConstU32<MAX_OUTPUT_TOKENS>>,
	Text = BoundedVec<u8, ConstU32<MAX_OUTPUT_BYTES>>,
> {
	/// Prompt length in tokens, chat template included.
	pub input_tokens: u32,
	/// The generated token ids, the end-of-sequence token included if there is one.
	pub tokens: Tokens,
	/// The text of `tokens` without special tokens, cut before a stop string; of a refusal, what it names. Always UTF-8.
	pub text: Text,
	/// Why it ended.
	pub finish: FinishReason,
}

/// An answer as a message brings it, of any length: see [`UncheckedParams`].
pub type UncheckedOutput = Output<Vec<u32>, Vec<u8>>;

impl UncheckedOutput {
	/// Returns the same answer; none if it has too many tokens or too long a text.
	pub fn bounded(self) -> Option<Output> {
		let Self {
			input_tokens,
			tokens,
			text,
			finish,
		} = self;
		Some(Output {
			input_tokens,
			tokens: tokens.try_into().ok()?,
			text: text.try_into().ok()?,
			finish,
		})
	}
}

impl From<Output> for UncheckedOutput {
	fn from(output: Output) -> Self {
		let Output {
			input_tokens,
			tokens,
			text,
			finish,
		} = output;
		Self {
			input_tokens,
			tokens: tokens.into_inner(),
			text: text.into_inner(),
			finish,
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_jobs_name_depends_on_the_listing_that_was_named() {
		let name = |listing| {
			let params = SamplingParams::greedy(7);
			JobId::derive(
				&[1; 32],
				&2u32,
				3,
				&ModelId([4; 32]),
				listing,
				&InputHash([5; 32]),
				&params,
			)
		};
		let names = [None, Some(ListingId(0)), Some(ListingId(1))].map(name);
		assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2]);
	}

	#[test]
	fn parameters_of_a_call_are_encoded_like_those_of_a_job() {
		let mut params = SamplingParams::greedy(7);
		params.stop = vec![b"\n\n".to_vec().try_into().unwrap(); MAX_STOPS as usize]
			.try_into()
			.unwrap();
		let unchecked = UncheckedParams::from(params.clone());
		assert_eq!(unchecked.encode(), params.encode());
		assert_eq!(unchecked.bounded(), Some(params));
	}

	#[test]
	fn parameters_beyond_a_bound_decode_and_are_none_of_a_job() {
		let with = |stop| UncheckedParams {
			stop,
			..SamplingParams::greedy(7).into()
		};
		for stop in [
			vec![b"x".to_vec(); MAX_STOPS as usize + 1],
			vec![vec![b'x'; MAX_STOP_BYTES as usize + 1]],
		] {
			let bytes = with(stop).encode();
			assert!(SamplingParams::<Stops>::decode(&mut &bytes[..]).is_err());
			let decoded = UncheckedParams::decode(&mut &bytes[..]).unwrap();
			assert_eq!(decoded.bounded(), None);
		}
	}

	#[test]
	fn an_output_of_a_message_is_encoded_like_an_answer() {
		let full = UncheckedOutput {
			input_tokens: 3,
			tokens: vec![9; MAX_OUTPUT_TOKENS as usize],
			text: vec![b'x'; MAX_OUTPUT_BYTES as usize],
			finish: FinishReason::Length,
		};
		let output = full.clone().bounded().unwrap();
		assert_eq!(output.encode(), full.encode());
		assert_eq!(UncheckedOutput::from(output), full);
		let mut long = full.clone();
		long.tokens.push(9);
		assert_eq!(long.bounded(), None);
		let mut wordy = full;
		wordy.text.push(b'x');
		assert_eq!(wordy.bounded(), None);
	}

	#[test]
	fn a_target_is_an_object_of_one_field() {
		let model = Target::from(ModelId([1; 32]));
		assert_eq!(
			serde_json::to_value(model).unwrap()["model"],
			ModelId([1; 32]).to_string()
		);
		assert_eq!(
			serde_json::to_string(&Target::from(ListingId(7))).unwrap(),
			r#"{"listing":7}"#
		);
		assert_eq!(
			(model.listing(), Target::Listing(ListingId(7)).listing()),
			(None, Some(ListingId(7)))
		);
	}
}
