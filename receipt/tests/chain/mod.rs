//! Made-up chains: validators with known keys finalize blocks whose states store the receipts of the stories.

use crate::story::{Story, GENESIS};
use assay_primitives::Hash32;
use assay_receipt::{prove, Account, Anchor, Authority, Finality, Handover, ReceiptFile, StoredClaim, ANCHOR_FORMAT};
use codec::{Compact, Encode, Output};
use ed25519_zebra::{SigningKey, VerificationKey};
use sp_crypto_hashing::{blake2_128, blake2_256, twox_128};
use std::collections::BTreeMap;

/// The round in which all commits are made.
const ROUND: u64 = 17;
/// Blocks from one handover to the next.
const SESSION: u32 = 20;

/// The entries of a state.
pub(crate) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;
/// An item of a header's digest: its kind, its engine and its content.
pub(crate) type Item = (u8, [u8; 4], Vec<u8>);

/// A header.
#[derive(Clone)]
pub(crate) struct Header {
	pub(crate) parent: Hash32,
	pub(crate) number: u32,
	pub(crate) state_root: Hash32,
	pub(crate) digest: Vec<Item>,
}

impl Encode for Header {
	fn encode_to<T: Output + ?Sized>(&self, out: &mut T) {
		let Self {
			parent,
			number,
			state_root,
			digest,
		} = self;
		(parent, Compact(*number), state_root, [4u8; 32], digest).encode_to(out);
	}
}

impl Header {
	/// Returns a header that only its number and its state tell from others.
	fn new(number: u32, state_root: Hash32) -> Self {
		Self {
			parent: [number as u8; 32],
			number,
			state_root,
			digest: vec![(6, *b"BABE", vec![2; 21]), (5, *b"BABE", vec![9; 64])],
		}
	}

	/// Returns a child of this header.
	pub(crate) fn child(&self) -> Self {
		Self {
			parent: self.hash(),
			..Self::new(self.number + 1, [8; 32])
		}
	}

	pub(crate) fn hash(&self) -> Hash32 {
		blake2_256(&self.encode())
	}
}

/// Returns the digest item with which a set hands over to another.
pub(crate) fn scheduled(set: &Set, delay: u32) -> Item {
	(4, *b"FRNK", (1u8, set.authorities(), delay).encode())
}

/// Returns the digest item of a change by force.
pub(crate) fn forced(set: &Set) -> Item {
	(4, *b"FRNK", (2u8, 7u32, set.authorities(), 0u32).encode())
}

/// A set of validators.
#[derive(Clone)]
pub(crate) struct Set {
	pub(crate) keys: Vec<SigningKey>,
	pub(crate) weights: Vec<u64>,
}

impl Set {
	/// Returns the validators of a set with these weights. Each set has others.
	pub(crate) fn new(id: u8, weights: &[u64]) -> Self {
		let key = |i: usize| SigningKey::from(blake2_256(&[b's', id, i as u8]));
		Self {
			keys: (0..weights.len()).map(key).collect(),
			weights: weights.to_vec(),
		}
	}

	fn authorities(&self) -> Vec<(Hash32, u64)> {
		let ids = self.keys.iter().map(|key| VerificationKey::from(key).into());
		ids.zip(self.weights.iter().copied()).collect()
	}
}

/// A vote for a block.
#[derive(Clone, Encode)]
pub(crate) struct Precommit {
	pub(crate) target_hash: Hash32,
	pub(crate) target_number: u32,
	pub(crate) signature: [u8; 64],
	pub(crate) id: Hash32,
}

impl Precommit {
	pub(crate) fn new(key: &SigningKey, target: &Header, set_id: u64) -> Self {
		let message = (1u8, target.hash(), target.number, ROUND, set_id).encode();
		Self {
			target_hash: target.hash(),
			target_number: target.number,
			signature: key.sign(&message).to_bytes(),
			id: VerificationKey::from(key).into(),
		}
	}
}

/// A justification.
#[derive(Clone, Encode)]
pub(crate) struct Commit {
	pub(crate) round: u64,
	pub(crate) target_hash: Hash32,
	pub(crate) target_number: u32,
	pub(crate) precommits: Vec<Precommit>,
	pub(crate) ancestries: Vec<Header>,
}

impl Commit {
	/// Returns the commit to a block of a whole set.
	pub(crate) fn new(target: &Header, set: &Set, set_id: u64) -> Self {
		Self {
			round: ROUND,
			target_hash: target.hash(),
			target_number: target.number,
			precommits: set.keys.iter().map(|key| Precommit::new(key, target, set_id)).collect(),
			ancestries: Vec::new(),
		}
	}
}

/// A chain that has finalized a block whose state stores a receipt. Every part of it can be changed before it is bundled.
#[derive(Clone)]
pub(crate) struct Chain {
	pub(crate) file: ReceiptFile,
	pub(crate) sets: Vec<Set>,
	pub(crate) handovers: Vec<(Header, Commit)>,
	pub(crate) header: Header,
	pub(crate) commit: Commit,
	pub(crate) nodes: Vec<Vec<u8>>,
}

impl Chain {
	/// Returns a chain with sets of these weights, of which the last finalizes the block at which the file was read.
	pub(crate) fn new(file: ReceiptFile, weights: &[&[u64]]) -> Self {
		let entries = stored(&file);
		Self::with_state(file, weights, &entries)
	}

	/// Returns a chain with another state.
	pub(crate) fn with_state(file: ReceiptFile, weights: &[&[u64]], entries: &Entries) -> Self {
		let keys = file.storage_keys();
		let (state_root, nodes) = prove(entries, &keys);
		let sets: Vec<Set> = (0u8..)
			.zip(weights)
			.map(|(id, weights)| Set::new(id, weights))
			.collect();
		let mut handovers = Vec::new();
		for (id, pair) in sets.windows(2).enumerate() {
			let mut header = Header::new(SESSION * (id as u32 + 1), [5; 32]);
			header.digest.insert(1, scheduled(&pair[1], 0));
			let commit = Commit::new(&header, &pair[0], id as u64);
			handovers.push((header, commit));
		}
		let header = Header::new(file.read_at.number, state_root);
		let commit = Commit::new(&header, &sets[sets.len() - 1], sets.len() as u64 - 1);
		Self {
			file,
			sets,
			handovers,
			header,
			commit,
			nodes,
		}
	}

	/// Returns the id of the last set.
	pub(crate) fn set_id(&self) -> u64 {
		self.sets.len() as u64 - 1
	}

	/// Returns the last set.
	pub(crate) fn last(&self) -> &Set {
		&self.sets[self.sets.len() - 1]
	}

	/// Signs the commit to the last block again, after a change of its header.
	pub(crate) fn commit_again(mut self) -> Self {
		self.commit = Commit::new(&self.header, self.last(), self.set_id());
		self
	}

	/// Signs the commit to a handover again.
	pub(crate) fn hand_over_again(mut self, set_id: usize) -> Self {
		let (header, commit) = &mut self.handovers[set_id];
		*commit = Commit::new(header, &self.sets[set_id], set_id as u64);
		self
	}

	/// Returns the file with its evidence.
	pub(crate) fn bundle(&self) -> ReceiptFile {
		let mut file = self.file.clone();
		file.read_at.hash = self.header.hash();
		let handover = |(header, commit): &(Header, Commit)| Handover {
			header: header.encode(),
			justification: commit.encode(),
		};
		file.finality = Some(Finality {
			header: self.header.encode(),
			justification: self.commit.encode(),
			set_id: self.set_id(),
			handovers: self.handovers.iter().map(handover).collect(),
			state: self.nodes.clone(),
		});
		file
	}

	/// Returns the anchor at block 0.
	pub(crate) fn anchor(&self) -> Anchor {
		self.anchor_of(0, 0, GENESIS)
	}

	/// Returns the anchor at the handover to a set.
	pub(crate) fn anchor_at(&self, set_id: usize) -> Anchor {
		let (header, _) = &self.handovers[set_id - 1];
		self.anchor_of(set_id, header.number, header.hash())
	}

	fn anchor_of(&self, set_id: usize, number: u32, hash: Hash32) -> Anchor {
		let authorities = self.sets[set_id].authorities().into_iter();
		Anchor {
			format: ANCHOR_FORMAT,
			chain: "Made-up".into(),
			genesis: GENESIS,
			number,
			hash,
			time: None,
			set_id: set_id as u64,
			authorities: authorities.map(|(key, weight)| Authority { key, weight }).collect(),
			max_age: None,
		}
	}
}

fn key(pallet: &str, item: &str, of: &[u8]) -> Vec<u8> {
	[&twox_128(pallet.as_bytes())[..], &twox_128(item.as_bytes()), of].concat()
}

/// Returns the key of a final receipt.
pub(crate) fn receipt_key(file: &ReceiptFile) -> Vec<u8> {
	key("Jobs", "Receipts", &file.receipt.job.0)
}

/// Returns the key of the number of open claims of an executor.
pub(crate) fn count_key(executor: &Account) -> Vec<u8> {
	let hash = blake2_128(&executor.0);
	key("Verification", "ClaimCount", &[&hash[..], &executor.0].concat())
}

/// Returns a state that stores what a file says, among other things.
pub(crate) fn stored(file: &ReceiptFile) -> Entries {
	let mut entries = Entries::new();
	for i in 0u8..16 {
		entries.insert(key("System", "Account", &blake2_256(&[i])), vec![i; 80]);
		entries.insert(key("Jobs", "Receipts", &blake2_256(&[i, 1])), vec![i; 500]);
		entries.insert(key("Jobs", "Leaves", &blake2_256(&[i, 1])), u64::from(i).encode());
		entries.insert(key("Verification", "ClaimCount", &blake2_256(&[i, 2])), 1u32.encode());
	}
	let receipt = &file.receipt;
	match (&receipt.claim, receipt.closed_at) {
		(Some(record), None) => {
			let mut record = record.clone();
			entries.insert(count_key(&record.executor), (record.open_claims + 1).encode());
			record.open_claims = 0;
			let claim = StoredClaim {
				origin: receipt.job,
				requester: receipt.requester,
				model: receipt.model,
				state: receipt.state,
				verdict: Some(receipt.verdict),
				verdict_at: Some(receipt.verdict_at),
				due: 45,
				settle_at: 225,
				audit_at: 0,
				auditors: 0,
				reopened: false,
				work: 1_000,
				seat_fee: 70_000_000,
				next_seats: 2,
				deadlines: vec![40; record.seats.len()],
				record,
			};
			let id = assay_receipt::check(file).unwrap().claim.unwrap();
			entries.insert(key("Verification", "Claims", &id.0), claim.encode());
		}
		_ => {
			entries.insert(receipt_key(file), receipt.encode());
		}
	}
	if let Some(leaf) = &file.accumulator {
		let leaves = leaf.proof.as_ref().map_or(leaf.index + 1, |proof| proof.leaves);
		let (_, accumulator) = Story::accumulated(file.clone(), leaf.index, leaves);
		entries.insert(key("Jobs", "ReceiptAccumulator", &[]), accumulator.encode());
		entries.insert(key("Jobs", "Leaves", &receipt.job.0), leaf.index.encode());
	}
	entries
}
