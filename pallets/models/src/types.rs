//! The types of the catalog: what is registered, what is stored, what a chain may set.

use alloc::vec::Vec;
use assay_primitives::{
	limits::MAX_LISTINGS,
	model::{ModelFacts, ModelTerms, PriceBounds, PriceChange, Prices},
	Balance, ListingId, ModelId,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::Permill;

/// The parameters a chain sets, in one struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelParams<BlockNumber> {
	/// Least deposit of every listing.
	pub deposit_base: Balance,
	/// Least deposit on top for each byte that is stored of a listing and its model.
	pub deposit_per_byte: Balance,
	/// The largest part of a fee that an owner may take.
	pub royalty_max: Permill,
	/// Bounds of prices and of their changes.
	pub prices: PriceBounds,
	/// Blocks until a change of prices is in force.
	pub price_delay: BlockNumber,
	/// Longest context that may be registered, in tokens.
	pub max_context: u32,
	/// Blocks between a listing's retirement and its removal. Must outlast every earlier job (`T_max`).
	pub retention: BlockNumber,
}

/// The terms on which somebody lists a model.
#[derive(
	Clone,
	Copy,
	Debug,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
pub struct ListingTerms {
	/// The prices; in JSON these are fields of the terms themselves.
	#[serde(flatten)]
	pub prices: Prices,
	/// The owner's part of a fee.
	pub royalty: Permill,
}

/// A model that exists from the start, and its first listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
	/// The SCALE encoding of the manifest, as `0x` and hex digits in JSON.
	#[serde(with = "hex")]
	pub manifest: Vec<u8>,
	/// The terms; in JSON these are fields of the registration itself.
	#[serde(flatten)]
	pub terms: ListingTerms,
}

/// A model of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ModelRecord {
	/// What its manifest proves. The parent was registered then; it may have been removed since.
	pub facts: ModelFacts,
	/// Its listings that take jobs, the oldest first.
	pub active: BoundedVec<ListingId, ConstU32<MAX_LISTINGS>>,
	/// All its listings, retired ones too. With the last one the model goes.
	pub listings: u32,
}

/// A listing: a model on somebody's terms.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Listing<AccountId, BlockNumber> {
	/// The model.
	pub model: ModelId,
	/// Who receives the royalty, and may change it.
	pub owner: AccountId,
	/// The prices before the last change.
	pub prices: Prices,
	/// The last change, if there was one.
	pub next_prices: Option<PriceChange<BlockNumber>>,
	/// The owner's part of a fee.
	pub royalty: Permill,
	/// Held from the owner for this listing.
	pub deposit: Balance,
	/// Block in which it was listed.
	pub listed_at: BlockNumber,
	/// Block of the retirement; none while it takes jobs.
	pub retired_at: Option<BlockNumber>,
}

impl<AccountId, BlockNumber: PartialOrd + Clone> Listing<AccountId, BlockNumber> {
	/// Returns the prices that are in force in a block.
	pub fn prices_at(&self, now: &BlockNumber) -> Prices {
		match &self.next_prices {
			Some(change) if change.at <= *now => change.prices,
			_ => self.prices,
		}
	}

	/// Returns the change of prices that is not in force yet.
	pub(crate) fn pending(&self, now: &BlockNumber) -> Option<PriceChange<BlockNumber>> {
		self.next_prices.clone().filter(|change| change.at > *now)
	}

	/// Returns what a job needs to know of it in a block.
	pub(crate) fn terms(self, id: ListingId, facts: &ModelFacts, now: &BlockNumber) -> ModelTerms<AccountId> {
		ModelTerms {
			listing: id,
			parameters: facts.parameters,
			prices: self.prices_at(now),
			royalty: self.royalty,
			context_length: facts.context_length,
			prompt_overhead: facts.prompt_overhead,
			retired: self.retired_at.is_some(),
			owner: self.owner,
		}
	}
}

/// Serde of bytes as hex digits, so that genesis files can hold them.
mod hex {
	use alloc::{string::String, vec::Vec};
	use serde::{de::Error, Deserialize, Deserializer, Serializer};

	pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
		s.serialize_str(&const_hex::encode_prefixed(bytes))
	}

	pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
		const_hex::decode(String::deserialize(d)?).map_err(D::Error::custom)
	}
}
