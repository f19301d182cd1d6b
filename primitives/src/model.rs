//! Models: the numeric profile and the terms on which a model is offered.

use crate::Balance;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_arithmetic::Permill;

/// A named numeric definition. Any change of a single bit of a result is a new profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Profile {
	/// `c1-w8`: int8 weights and activations in blocks of 32, canonical f32 elsewhere (`docs/spec/c1-w8.md`).
	#[codec(index = 1)]
	#[cfg_attr(feature = "serde", serde(rename = "c1-w8"))]
	C1W8,
}

/// What a job needs to know of a model: who is paid, how much, and how long a prompt may be.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ModelTerms<AccountId> {
	/// Who registered the model and receives its royalty.
	pub owner: AccountId,
	/// Parameter count: what a check costs at least follows from it.
	pub parameters: u64,
	/// Price of one prompt token.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub price_in: Balance,
	/// Price of one generated token.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub price_out: Balance,
	/// The owner's part of a fee; at most the chain's royalty share.
	pub royalty: Permill,
	/// Most tokens, prompt and answer together.
	pub context_length: u32,
	/// Most tokens that the chat template adds to a prompt of one message.
	pub prompt_overhead: u32,
	/// A retired model takes no new jobs.
	pub retired: bool,
}

impl<AccountId> ModelTerms<AccountId> {
	/// Returns the most prompt tokens that an input of `bytes` bytes can become. Tokenizers of this chain never make
	/// more tokens than bytes.
	pub fn input_ceiling(&self, bytes: u32) -> u32 {
		bytes.saturating_add(self.prompt_overhead).min(self.context_length)
	}
}
