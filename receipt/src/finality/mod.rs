//! Finality evidence: what shows, to whoever trusts a set of validators, that a block is finalized and what its state
//! stores. `docs/spec/receipt.md` is its specification.

mod authorities;
#[cfg(feature = "std")]
mod build;
mod header;
mod justification;
mod node;
mod proof;
#[cfg(all(test, feature = "std"))]
mod tests;

pub(crate) use authorities::AuthoritySet;
#[cfg(all(feature = "std", any(test, feature = "test-utils")))]
pub use build::prove;
#[cfg(feature = "std")]
pub(crate) use build::root;
pub(crate) use header::Header;
pub use justification::trimmed_justification;
pub(crate) use justification::Justification;
pub(crate) use proof::Proof;

use alloc::vec::Vec;
use assay_primitives::Hash32;

/// Longest header, SCALE-encoded, in bytes.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Longest justification, SCALE-encoded, in bytes.
pub const MAX_JUSTIFICATION_BYTES: usize = 1024 * 1024;
/// Most handovers of one file.
pub const MAX_HANDOVERS: usize = 4_096;
/// Most trie nodes of one file.
pub const MAX_NODES: usize = 1_024;
/// Longest trie node, in bytes.
pub const MAX_NODE_BYTES: usize = 64 * 1024;

/// Finality evidence of one block, J.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct Finality {
	/// The header of J, SCALE-encoded; at most [`MAX_HEADER_BYTES`].
	#[cfg_attr(feature = "std", serde(with = "crate::json::bytes"))]
	pub header: Vec<u8>,
	/// The GRANDPA justification whose commit's target is J, SCALE-encoded; at most [`MAX_JUSTIFICATION_BYTES`].
	#[cfg_attr(feature = "std", serde(with = "crate::json::bytes"))]
	pub justification: Vec<u8>,
	/// The id of the set of validators that signed it.
	pub set_id: u64,
	/// The handovers of the sets before `set_id`, without a gap and in order; at most [`MAX_HANDOVERS`].
	pub handovers: Vec<Handover>,
	/// The trie nodes that lead from J's state root to what is stored of the job; at most [`MAX_NODES`].
	#[cfg_attr(feature = "std", serde(with = "crate::json::list_of_bytes"))]
	pub state: Vec<Vec<u8>>,
}

/// The block in which a set of validators named the next one, justified by the set itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct Handover {
	/// The header, SCALE-encoded; at most [`MAX_HEADER_BYTES`].
	#[cfg_attr(feature = "std", serde(with = "crate::json::bytes"))]
	pub header: Vec<u8>,
	/// Its justification, SCALE-encoded; at most [`MAX_JUSTIFICATION_BYTES`].
	#[cfg_attr(feature = "std", serde(with = "crate::json::bytes"))]
	pub justification: Vec<u8>,
}

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct Block {
	/// Its number.
	pub number: u32,
	/// Its hash.
	#[cfg_attr(feature = "std", serde(with = "assay_primitives::hash::hex32"))]
	pub hash: Hash32,
}

impl Finality {
	/// Returns whether nothing is longer than it may be, and no set has an id below 0.
	pub fn is_within_limits(&self) -> bool {
		let signed = |header: &[u8], justification: &[u8]| {
			header.len() <= MAX_HEADER_BYTES && justification.len() <= MAX_JUSTIFICATION_BYTES
		};
		signed(&self.header, &self.justification)
			&& self.handovers.len() <= MAX_HANDOVERS
			&& self.handovers.iter().all(|one| signed(&one.header, &one.justification))
			&& self.first_set().is_some()
			&& self.state.len() <= MAX_NODES
			&& self.state.iter().all(|node| node.len() <= MAX_NODE_BYTES)
	}

	/// Returns the id of the set of the first handover, or that of J's if there is none; none if it were below 0.
	pub(crate) fn first_set(&self) -> Option<u64> {
		self.set_id.checked_sub(u64::try_from(self.handovers.len()).ok()?)
	}
}
