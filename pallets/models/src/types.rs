//! The types of the catalog: what is registered, what is stored, what a chain may set.

use assay_primitives::{
	model::{ModelTerms, Profile},
	Balance, ModelId,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::Permill;

/// The longest name of a model, in bytes.
pub const MAX_NAME_BYTES: u32 = 64;
/// The longest name of an architecture, in bytes.
pub const MAX_ARCHITECTURE_BYTES: u32 = 32;

/// A model's display name: UTF-8 text.
pub type Name = BoundedVec<u8, ConstU32<MAX_NAME_BYTES>>;
/// An architecture's name, e.g. `llama`: lower-case ASCII letters, digits, `-`, `_` and `.`.
pub type Architecture = BoundedVec<u8, ConstU32<MAX_ARCHITECTURE_BYTES>>;

/// The parameters a chain sets, in one struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelParams<BlockNumber> {
	/// Deposit of every entry.
	pub deposit_base: Balance,
	/// Deposit on top for each byte of the encoded registration.
	pub deposit_per_byte: Balance,
	/// The largest part of a fee that an owner may take.
	pub royalty_max: Permill,
	/// Longest context that may be registered, in tokens.
	pub max_context: u32,
	/// Blocks between an entry's retirement and its removal. Must outlast every earlier job (`T_max`).
	pub retention: BlockNumber,
}

/// What an owner registers of a model.
#[derive(
	Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo, Serialize, Deserialize,
)]
pub struct Registration {
	/// The root of the model's manifest.
	pub id: ModelId,
	/// The model's display name. A string in JSON.
	#[serde(with = "text")]
	pub name: Name,
	/// Architecture, e.g. `llama`. A string in JSON.
	#[serde(with = "text")]
	pub architecture: Architecture,
	/// The numeric profile its results are defined by.
	pub profile: Profile,
	/// Parameter count.
	pub parameters: u64,
	/// Size of the weights in bytes.
	pub weight_bytes: u64,
	/// Price of one prompt token for a job that nobody checks.
	pub price_in: Balance,
	/// Price of one generated token for a job that nobody checks.
	pub price_out: Balance,
	/// The owner's part of a fee.
	pub royalty: Permill,
	/// Most tokens, prompt and answer together.
	pub context_length: u32,
	/// Most tokens that the chat template adds to a prompt of one message.
	pub prompt_overhead: u32,
	/// The model it was made from, if any.
	pub parent: Option<ModelId>,
}

/// A catalog entry.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ModelRecord<AccountId, BlockNumber> {
	/// Owner, size, prices, limits.
	pub terms: ModelTerms<AccountId>,
	/// The model's display name.
	pub name: Name,
	/// Architecture, e.g. `llama`.
	pub architecture: Architecture,
	/// The numeric profile its results are defined by.
	pub profile: Profile,
	/// Size of the weights in bytes.
	pub weight_bytes: u64,
	/// The model it was made from, if any. It was registered then; it may have been removed since.
	pub parent: Option<ModelId>,
	/// Held from the owner for this entry.
	pub deposit: Balance,
	/// Block of the registration.
	pub registered_at: BlockNumber,
	/// Block of the retirement; none while the model takes jobs.
	pub retired_at: Option<BlockNumber>,
}

impl<AccountId, BlockNumber> ModelRecord<AccountId, BlockNumber> {
	/// Returns the entry of a registration.
	pub(crate) fn new(registration: Registration, owner: AccountId, deposit: Balance, now: BlockNumber) -> Self {
		let Registration {
			id: _,
			name,
			architecture,
			profile,
			parameters,
			weight_bytes,
			price_in,
			price_out,
			royalty,
			context_length,
			prompt_overhead,
			parent,
		} = registration;
		let terms = ModelTerms {
			owner,
			parameters,
			price_in,
			price_out,
			royalty,
			context_length,
			prompt_overhead,
			retired: false,
		};
		Self {
			terms,
			name,
			architecture,
			profile,
			weight_bytes,
			parent,
			deposit,
			registered_at: now,
			retired_at: None,
		}
	}
}

/// Returns whether these bytes are a display name: UTF-8, neither empty nor padded, no control characters.
pub(crate) fn is_name(bytes: &[u8]) -> bool {
	core::str::from_utf8(bytes)
		.is_ok_and(|text| !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control))
}

/// Returns whether these bytes are the name of an architecture.
pub(crate) fn is_architecture(bytes: &[u8]) -> bool {
	!bytes.is_empty()
		&& bytes
			.iter()
			.all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
}

/// Serde of bounded bytes as text, so that genesis files can be written by hand.
mod text {
	use alloc::string::String;
	use frame_support::{traits::Get, BoundedVec};
	use serde::{de, ser, Deserialize, Deserializer, Serializer};

	pub(super) fn serialize<N, S: Serializer>(bytes: &BoundedVec<u8, N>, s: S) -> Result<S::Ok, S::Error> {
		s.serialize_str(core::str::from_utf8(bytes).map_err(ser::Error::custom)?)
	}

	pub(super) fn deserialize<'de, N: Get<u32>, D: Deserializer<'de>>(d: D) -> Result<BoundedVec<u8, N>, D::Error> {
		let text = String::deserialize(d)?;
		text.into_bytes()
			.try_into()
			.map_err(|_| de::Error::custom("text too long"))
	}
}
