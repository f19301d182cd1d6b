//! Models: what a manifest proves of them, and the terms on which they are listed.

use crate::{
	hash::ModelId,
	limits::{MAX_ARCHITECTURE_BYTES, MAX_MODEL_NAME_BYTES},
	Balance,
};
use bounded_collections::{BoundedVec, ConstU32};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_arithmetic::Permill;

/// A named numeric definition. Any change of a single bit of a result is a new profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Profile {
	/// `c1-w8`, the first edition. No engine computes it and no model of it can be registered, but what a chain stores of
	/// such models stays readable.
	#[codec(index = 1)]
	#[cfg_attr(feature = "serde", serde(rename = "c1-w8"))]
	C1W8,
	/// `c2`: weights of 8 or 4 bits in groups, int8 activations, canonical f32 elsewhere (`docs/spec/c2.md`).
	#[codec(index = 2)]
	#[cfg_attr(feature = "serde", serde(rename = "c2"))]
	C2,
}

/// A model's name for people, as its manifest has it: UTF-8 text without control characters.
pub type ModelName = BoundedVec<u8, ConstU32<MAX_MODEL_NAME_BYTES>>;
/// An architecture's name, e.g. `llama`: lower-case ASCII letters, digits, `-`, `_` and `.`.
pub type Architecture = BoundedVec<u8, ConstU32<MAX_ARCHITECTURE_BYTES>>;

/// What a manifest proves of its model. The model's name is the hash of the manifest, so these are nobody's statements.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ModelFacts {
	/// The name for people. Others may give their models the same.
	pub name: ModelName,
	/// The family, e.g. `llama`.
	pub architecture: Architecture,
	/// The numeric profile its results are defined by.
	pub profile: Profile,
	/// Number of weights, without scales, zero points and tables: what a check costs at least follows from it.
	pub parameters: u64,
	/// Size of all tensors in bytes.
	pub weight_bytes: u64,
	/// Most tokens, prompt and answer together.
	pub context_length: u32,
	/// Most tokens that the chat template adds to a prompt of one message.
	pub prompt_overhead: u32,
	/// The model it was made from, if any.
	pub parent: Option<ModelId>,
}

/// The name of a listing, which the chain counts.
#[derive(
	Clone,
	Copy,
	Debug,
	Default,
	PartialEq,
	Eq,
	PartialOrd,
	Ord,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ListingId(pub u32);

impl core::fmt::Display for ListingId {
	fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
		self.0.fmt(f)
	}
}

impl core::str::FromStr for ListingId {
	type Err = core::num::ParseIntError;

	fn from_str(text: &str) -> Result<Self, Self::Err> {
		text.parse().map(Self)
	}
}

/// The prices of a listing, or the least at which a provider executes.
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Prices {
	/// Price of one prompt token.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub price_in: Balance,
	/// Price of one generated token.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub price_out: Balance,
}

impl Prices {
	/// Returns whether neither price is below the other's.
	pub fn cover(&self, least: &Self) -> bool {
		self.price_in >= least.price_in && self.price_out >= least.price_out
	}
}

/// The bounds of prices. A chain parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceBounds {
	/// The most that one token may cost.
	pub most: Balance,
	/// Prices below this count as this one in a change: otherwise a price of 0 could never rise again.
	pub step: Balance,
}

impl PriceBounds {
	/// Returns whether a listing may have these prices.
	pub fn contain(&self, prices: &Prices) -> bool {
		prices.price_in <= self.most && prices.price_out <= self.most
	}

	/// Returns whether one change may lead from some prices to others: each at most doubles and at most halves.
	pub fn allow(&self, from: &Prices, to: &Prices) -> bool {
		let near = |a: Balance, b: Balance| {
			let (a, b) = (a.max(self.step), b.max(self.step));
			// ⌈larger / 2⌉ ≤ smaller, which cannot overflow.
			a.max(b).div_ceil(2) <= a.min(b)
		};
		self.contain(to) && near(from.price_in, to.price_in) && near(from.price_out, to.price_out)
	}
}

/// Prices that a listing will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PriceChange<BlockNumber> {
	/// The new prices.
	#[cfg_attr(feature = "serde", serde(flatten))]
	pub prices: Prices,
	/// The first block whose requests they apply to.
	pub at: BlockNumber,
}

/// What a job needs to know of its listing and its model: who is paid, how much, and how long a prompt may be.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ModelTerms<AccountId> {
	/// The listing.
	pub listing: ListingId,
	/// Who listed the model and receives the royalty.
	pub owner: AccountId,
	/// The model's number of weights.
	pub parameters: u64,
	/// The prices in force.
	pub prices: Prices,
	/// The owner's part of a fee; at most the chain's royalty share.
	pub royalty: Permill,
	/// Most tokens, prompt and answer together.
	pub context_length: u32,
	/// Most tokens that the chat template adds to a prompt of one message.
	pub prompt_overhead: u32,
	/// A retired listing takes no new jobs.
	pub retired: bool,
}

impl<AccountId> ModelTerms<AccountId> {
	/// Returns the most prompt tokens that an input of `bytes` bytes can become. Tokenizers of this chain never make
	/// more tokens than bytes.
	pub fn input_ceiling(&self, bytes: u32) -> u32 {
		bytes.saturating_add(self.prompt_overhead).min(self.context_length)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	const BOUNDS: PriceBounds = PriceBounds {
		most: 1_000_000,
		step: 100,
	};

	fn prices(price_in: Balance, price_out: Balance) -> Prices {
		Prices { price_in, price_out }
	}

	#[test]
	fn a_price_doubles_or_halves_at_most() {
		let from = prices(1_000, 301);
		for (to, allowed) in [
			(prices(2_000, 602), true),
			(prices(2_001, 301), false),
			(prices(500, 151), true),
			(prices(499, 301), false),
			(prices(1_000, 150), false),
			(prices(1_000, 603), false),
		] {
			assert_eq!(BOUNDS.allow(&from, &to), allowed, "{to:?}");
		}
		assert!(
			!BOUNDS.allow(&prices(900_000, 1), &prices(1_000_001, 1)),
			"over the most"
		);
	}

	#[test]
	fn a_price_of_zero_can_rise_again() {
		assert!(BOUNDS.allow(&prices(0, 0), &prices(200, 100)));
		assert!(!BOUNDS.allow(&prices(0, 0), &prices(201, 0)));
		assert!(BOUNDS.allow(&prices(200, 200), &prices(0, 0)));
		assert!(!BOUNDS.allow(&prices(201, 200), &prices(0, 0)));
	}

	proptest! {
		#[test]
		fn a_change_that_is_allowed_is_allowed_back(a in 0u128..1 << 40, b in 0u128..1 << 40, c in any::<u128>(), d in any::<u128>()) {
			let bounds = PriceBounds { most: Balance::MAX, ..BOUNDS };
			let (low, high) = (prices(a, c), prices(b, d));
			prop_assert_eq!(bounds.allow(&low, &high), bounds.allow(&high, &low));
			prop_assert!(bounds.allow(&low, &low));
		}

		#[test]
		fn no_number_of_changes_passes_the_most(changes in prop::collection::vec((any::<u64>(), any::<u64>()), 0..50)) {
			let mut now = prices(7, 7);
			for (a, b) in changes {
				let next = prices((a % 3_000_000).into(), (b % 3_000_000).into());
				if BOUNDS.allow(&now, &next) {
					prop_assert!(next.price_in <= 2 * now.price_in.max(BOUNDS.step));
					now = next;
				}
			}
			prop_assert!(BOUNDS.contain(&now));
		}
	}
}
