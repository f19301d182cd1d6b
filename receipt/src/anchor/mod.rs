//! The anchor: the set of validators that a verifier trusts, and from when it is.

#[cfg(feature = "std")]
mod chain_spec;
#[cfg(feature = "std")]
mod json;
#[cfg(all(test, feature = "std"))]
mod tests;

#[cfg(feature = "std")]
pub use chain_spec::MAX_SPEC_BYTES;
#[cfg(feature = "std")]
pub use json::AnchorError;

use crate::finality::AuthoritySet;
use alloc::{string::String, vec::Vec};
use assay_primitives::Hash32;
use codec::DecodeAll;

/// Version of the anchor's JSON form.
pub const ANCHOR_FORMAT: u32 = 1;
/// Seconds of a slot of BABE, on every chain of this runtime.
pub const SLOT_SECONDS: u64 = 3;
/// Seconds for which a validator's bond stays when it stops, unless the genesis of a chain sets others.
pub const UNBONDING_SECONDS: u64 = 7 * 24 * 60 * 60;
/// The fewest that a genesis may set.
pub const MIN_UNBONDING_SECONDS: u64 = 3 * 24 * 60 * 60;

/// Returns the seconds for which bonds stay on a chain that stores this, if anything, under
/// [`unbonding_key`](crate::unbonding_key); none if it cannot be read.
pub fn unbonding_seconds(stored: Option<&[u8]>) -> Option<u64> {
	let Some(mut bytes) = stored else {
		return Some(UNBONDING_SECONDS);
	};
	let blocks = u32::decode_all(&mut bytes).ok()?;
	Some(u64::from(blocks).saturating_mul(SLOT_SECONDS))
}

/// An authority of GRANDPA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct Authority {
	/// Its ed25519 key.
	#[cfg_attr(feature = "std", serde(with = "assay_primitives::hash::hex32"))]
	pub key: Hash32,
	/// Its weight.
	pub weight: u64,
}

/// A set of validators that a verifier's user trusts, with the block after which it finalizes blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct Anchor {
	/// [`ANCHOR_FORMAT`].
	pub format: u32,
	/// The chain's name.
	pub chain: String,
	/// Hash of the chain's block 0.
	#[cfg_attr(feature = "std", serde(with = "assay_primitives::hash::hex32"))]
	pub genesis: Hash32,
	/// Number of the block.
	pub number: u32,
	/// Hash of the block.
	#[cfg_attr(feature = "std", serde(with = "assay_primitives::hash::hex32"))]
	pub hash: Hash32,
	/// When the block was made, in Unix seconds; none for block 0, which was not made at any time.
	pub time: Option<u64>,
	/// The id of the set that finalizes the blocks after it.
	pub set_id: u64,
	/// The authorities of that set.
	pub authorities: Vec<Authority>,
	/// Seconds for which validators that stop remain bonded at least; none on development chains, whose keys are public.
	pub max_age: Option<u64>,
}

/// How old an anchor may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaxAge {
	/// As old as it says itself.
	#[default]
	OfAnchor,
	/// So many seconds.
	Seconds(u64),
	/// As old as it likes: whoever verifies knows in another way that its validators signed one history only.
	Unlimited,
}

impl Anchor {
	/// Returns how old it is in seconds; none if it has no time.
	pub fn age(&self, now: u64) -> Option<u64> {
		self.time.map(|time| now.saturating_sub(time))
	}

	/// Returns whether its validators may have withdrawn their bonds, so that nothing keeps them from signing another
	/// history.
	pub fn is_old(&self, now: u64, max_age: MaxAge) -> bool {
		let most = match max_age {
			MaxAge::OfAnchor => self.max_age,
			MaxAge::Seconds(seconds) => Some(seconds),
			MaxAge::Unlimited => None,
		};
		most.is_some_and(|most| self.age(now).is_none_or(|age| age > most))
	}

	/// Returns the set; none if it has no authorities, too many, one twice, or one without weight.
	pub(crate) fn set(&self) -> Option<AuthoritySet> {
		AuthoritySet::new(self.authorities.iter().map(|one| (one.key, one.weight)))
	}
}
