//! A block's header, and the change of validators that it may announce.

use super::{AuthoritySet, Block};
use crate::Reason;
use alloc::vec::Vec;
use assay_primitives::Hash32;
use codec::{Compact, Decode, DecodeAll, Encode};
use sp_crypto_hashing::blake2_256;

/// The engine whose digests GRANDPA writes.
const GRANDPA: [u8; 4] = *b"FRNK";
/// The engine whose digests BABE writes.
#[cfg(feature = "std")]
const BABE: [u8; 4] = *b"BABE";

/// The header of a block. The types of `sp-runtime` have the same encoding, and need a node's host functions.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Header {
	pub(crate) parent_hash: Hash32,
	number: Compact<u32>,
	pub(crate) state_root: Hash32,
	extrinsics_root: Hash32,
	digest: Vec<DigestItem>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
enum DigestItem {
	#[codec(index = 0)]
	Other(Vec<u8>),
	#[codec(index = 4)]
	Consensus([u8; 4], Vec<u8>),
	#[codec(index = 5)]
	Seal([u8; 4], Vec<u8>),
	#[codec(index = 6)]
	PreRuntime([u8; 4], Vec<u8>),
	#[codec(index = 8)]
	RuntimeEnvironmentUpdated,
}

/// What GRANDPA writes into a digest.
#[derive(Decode)]
#[allow(dead_code, reason = "what is not needed has to decode too")]
enum ConsensusLog {
	#[codec(index = 1)]
	ScheduledChange(ScheduledChange),
	#[codec(index = 2)]
	ForcedChange(u32, ScheduledChange),
	#[codec(index = 3)]
	OnDisabled(u64),
	#[codec(index = 4)]
	Pause(u32),
	#[codec(index = 5)]
	Resume(u32),
}

#[derive(Decode)]
struct ScheduledChange {
	next_authorities: Vec<(Hash32, u64)>,
	delay: u32,
}

impl Header {
	/// Reads a header from all of these bytes.
	pub(crate) fn read(bytes: &[u8]) -> Result<Self, Reason> {
		Self::decode_all(&mut &*bytes).map_err(|_| Reason::BadHeader)
	}

	/// Returns the header of a block 0, which has no parent, no extrinsics and no digest.
	#[cfg(feature = "std")]
	pub(crate) fn genesis(state_root: Hash32) -> Self {
		Self {
			parent_hash: [0; 32],
			number: Compact(0),
			state_root,
			extrinsics_root: blake2_256(&super::node::EMPTY),
			digest: Vec::new(),
		}
	}

	/// Returns the block's number and its hash.
	pub(crate) fn block(&self) -> Block {
		Block {
			number: self.number.0,
			hash: blake2_256(&self.encode()),
		}
	}

	/// Returns the set that the block hands over to: that of its one change, which takes effect at once.
	pub(crate) fn next_set(&self) -> Result<AuthoritySet, Reason> {
		let mut next = None;
		for item in &self.digest {
			let DigestItem::Consensus(GRANDPA, log) = item else {
				continue;
			};
			match ConsensusLog::decode_all(&mut &**log).map_err(|_| Reason::BadHeader)? {
				ConsensusLog::ForcedChange(..) => return Err(Reason::ForcedChange),
				ConsensusLog::ScheduledChange(change) if next.is_none() && change.delay == 0 => next = Some(change),
				ConsensusLog::ScheduledChange(_) => return Err(Reason::NoChange),
				ConsensusLog::OnDisabled(_) | ConsensusLog::Pause(_) | ConsensusLog::Resume(_) => {}
			}
		}
		let change = next.ok_or(Reason::NoChange)?;
		AuthoritySet::new(change.next_authorities).ok_or(Reason::BadAuthorities)
	}

	/// Returns the slot in which BABE had the block made.
	#[cfg(feature = "std")]
	pub(crate) fn slot(&self) -> Option<u64> {
		self.digest.iter().find_map(|item| match item {
			// Each kind of claim begins with its index, the author's and the slot.
			DigestItem::PreRuntime(BABE, claim) => {
				<(u8, u32, u64)>::decode(&mut &**claim).ok().map(|(_, _, slot)| slot)
			}
			_ => None,
		})
	}
}
