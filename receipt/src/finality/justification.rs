//! The justification with which GRANDPA's voters finalized a block.

use super::{AuthoritySet, Block, Header};
use crate::Reason;
use alloc::{
	collections::{BTreeMap, BTreeSet},
	vec::Vec,
};
use assay_primitives::Hash32;
use codec::{Decode, DecodeAll, Encode};
use ed25519_zebra::{Signature, VerificationKey};

/// The index of a precommit among what voters sign.
const PRECOMMIT: u8 = 1;

/// A commit, and the headers that lead from its votes to its target.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Justification {
	round: u64,
	target_hash: Hash32,
	target_number: u32,
	precommits: Vec<Precommit>,
	votes_ancestries: Vec<Header>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Precommit {
	target_hash: Hash32,
	target_number: u32,
	signature: [u8; 64],
	id: Hash32,
}

impl Precommit {
	fn is_signed(&self, round: u64, set_id: u64) -> bool {
		let message = (PRECOMMIT, self.target_hash, self.target_number, round, set_id).encode();
		let signature = Signature::from_bytes(&self.signature);
		VerificationKey::try_from(self.id).is_ok_and(|key| key.verify(&signature, &message).is_ok())
	}
}

impl Justification {
	/// Reads a justification from all of these bytes.
	pub(crate) fn read(bytes: &[u8]) -> Result<Self, Reason> {
		Self::decode_all(&mut &*bytes).map_err(|_| Reason::BadJustification)
	}

	/// Checks that this set finalized this block. Everything in the justification has to be valid and needed, so that of
	/// one commit there is one justification. Returns the number of voters.
	pub(crate) fn verify(&self, block: &Block, set_id: u64, set: &AuthoritySet) -> Result<usize, Reason> {
		let target = Block {
			number: self.target_number,
			hash: self.target_hash,
		};
		if target != *block {
			return Err(Reason::WrongBlock);
		}
		// What costs little is checked first.
		let (mut weight, mut voters) = (0u128, BTreeSet::new());
		for vote in &self.precommits {
			let of_voter = set.weight(&vote.id).ok_or(Reason::UnknownVoter)?;
			if !voters.insert(vote.id) {
				return Err(Reason::DuplicateVote);
			}
			weight = weight.saturating_add(of_voter.into());
		}
		self.check_ancestries(block)?;
		if weight < set.threshold() {
			return Err(Reason::TooFewVotes);
		}
		if !self.precommits.iter().all(|vote| vote.is_signed(self.round, set_id)) {
			return Err(Reason::BadSignature);
		}
		Ok(voters.len())
	}

	/// Checks that every vote is for the block or a descendant, and that every header is needed to see that.
	fn check_ancestries(&self, block: &Block) -> Result<(), Reason> {
		let mut headers = BTreeMap::new();
		for header in &self.votes_ancestries {
			let Block { number, hash } = header.block();
			if headers.insert(hash, (number, header.parent_hash)).is_some() {
				return Err(Reason::UnusedAncestry);
			}
		}
		let mut used = BTreeSet::new();
		for vote in &self.precommits {
			let (mut hash, mut number) = (vote.target_hash, vote.target_number);
			while hash != block.hash {
				let (of_header, parent) = headers.get(&hash).ok_or(Reason::NotDescendant)?;
				if *of_header != number {
					return Err(Reason::NotDescendant);
				}
				// From a header that an earlier vote has used the way is known.
				if !used.insert(hash) {
					(hash, number) = (block.hash, block.number);
					break;
				}
				hash = *parent;
				number = number.checked_sub(1).ok_or(Reason::NotDescendant)?;
			}
			if (hash, number) != (block.hash, block.number) {
				return Err(Reason::NotDescendant);
			}
		}
		if used.len() == headers.len() {
			Ok(())
		} else {
			Err(Reason::UnusedAncestry)
		}
	}

	/// Returns it without second votes of a voter, and without headers that no vote needs then. Whoever votes twice is not
	/// a reason to refuse what the others finalized.
	fn trimmed(mut self) -> Self {
		let mut voters = BTreeSet::new();
		self.precommits.retain(|vote| voters.insert(vote.id));
		let parents: BTreeMap<Hash32, Hash32> = self
			.votes_ancestries
			.iter()
			.map(|header| (header.block().hash, header.parent_hash))
			.collect();
		let mut used = BTreeSet::new();
		for vote in &self.precommits {
			let mut hash = vote.target_hash;
			while hash != self.target_hash && used.insert(hash) {
				match parents.get(&hash) {
					Some(parent) => hash = *parent,
					None => break,
				}
			}
		}
		self.votes_ancestries
			.retain(|header| used.contains(&header.block().hash));
		self
	}
}

/// Returns a node's justification as a receipt file has it: with one vote of each voter. What is no justification stays as it
/// is, and is refused by whoever verifies it.
pub fn trimmed_justification(bytes: &[u8]) -> Vec<u8> {
	match Justification::read(bytes) {
		Ok(justification) => justification.trimmed().encode(),
		Err(_) => bytes.to_vec(),
	}
}
