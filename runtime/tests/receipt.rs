//! Receipts of this chain are verified without it: what the verifier knows of storage, headers and votes is what the
//! runtime and GRANDPA write.

mod common;

use assay_primitives::{JobId, Receipt, State, Verdict};
use assay_receipt::{
	unbonding_key, verify_file, Anchor, Authority, ChainReceipt, Finality, Handover, Leaf, Outcome, Policy, ReadAt,
	Reason, ReceiptFile, StoredClaim, ANCHOR_FORMAT, FORMAT, MIN_UNBONDING_SECONDS, SLOT_SECONDS, UNBONDING_SECONDS,
};
use assay_runtime::{
	configs::inference::ProviderLimits, constants::time::SLOT_DURATION, AccountId, Hash, Header, Runtime,
};
use codec::{DecodeAll, Encode};
use common::{
	claims::{chain_hash, claim, drawn, receipt, settle, truth, vote_all, TRUTH},
	genesis, Chain,
};
use sp_consensus_grandpa::{
	localized_payload, AuthorityId, Commit, ConsensusLog, GrandpaJustification, Message, Precommit, ScheduledChange,
	GRANDPA_ENGINE_ID,
};
use sp_core::ed25519;
use sp_io::TestExternalities;
use sp_keyring::Ed25519Keyring::{self, Alice, Bob, Charlie, Dave};
use sp_runtime::{
	generic::{Digest, DigestItem},
	traits::{BlakeTwo256, Hash as _, Header as _},
};
use std::collections::BTreeMap;

/// The validators of set 0, and those of set 1.
const SETS: [&[Ed25519Keyring]; 2] = [&[Alice], &[Bob, Charlie, Dave, Alice]];

fn authorities(set: usize) -> Vec<(AuthorityId, u64)> {
	SETS[set]
		.iter()
		.map(|key| (AuthorityId::from(key.public()), 1))
		.collect()
}

fn header(number: u32, state_root: Hash, digest: Vec<DigestItem>) -> Header {
	Header::new(
		number,
		Hash::repeat_byte(2),
		state_root,
		Hash::repeat_byte(3),
		Digest { logs: digest },
	)
}

/// Returns a block's justification by its set. The first voter has voted for its child.
fn justification(header: &Header, set_id: usize) -> Vec<u8> {
	let child = Header::new(
		header.number + 1,
		Default::default(),
		Default::default(),
		header.hash(),
		Default::default(),
	);
	let vote = |(i, key): (usize, &Ed25519Keyring)| {
		let target = if i == 0 { &child } else { header };
		let precommit = Precommit::<Header> {
			target_hash: target.hash(),
			target_number: target.number,
		};
		let payload = localized_payload(9, set_id as u64, &Message::<Header>::Precommit(precommit.clone()));
		(precommit, key.sign(&payload), AuthorityId::from(key.public()))
	};
	let votes: Vec<_> = SETS[set_id].iter().enumerate().map(vote).collect();
	let commit = (header.hash(), header.number, votes).encode();
	let justification = GrandpaJustification::<Header> {
		round: 9,
		commit: Commit::<Header>::decode_all(&mut &commit[..]).expect("a commit"),
		votes_ancestries: vec![child],
	};
	justification.encode()
}

/// Returns a receipt as the verifier reads it.
fn plain(receipt: &Receipt<AccountId, u32>) -> ChainReceipt {
	ChainReceipt::decode_all(&mut &receipt.encode()[..]).expect("accounts have 32 bytes")
}

/// Returns the file of a job with evidence that two sets give, and the anchor at block 0.
fn bundle(mut chain: Chain, job: JobId) -> (ReceiptFile, Anchor) {
	let genesis = chain_hash(&mut chain);
	let receipt = plain(&receipt(&mut chain, job));
	let accumulator = chain.read(|| {
		let index = pallet_jobs::Leaves::<Runtime>::get(job)?;
		let proof = pallet_jobs::ReceiptAccumulator::<Runtime>::get().prove(index, |_| None);
		Some(Leaf {
			index,
			proof: Some(proof.expect("it is the only one")),
		})
	});
	let (input, output) = chain.read(|| {
		let input = pallet_jobs::Inputs::<Runtime>::get(job).expect("an input");
		(input, pallet_jobs::Outputs::<Runtime>::get(job))
	});
	let (ext, _, number, _) = chain.suspend();
	let mut file = ReceiptFile {
		format: FORMAT,
		genesis,
		read_at: ReadAt {
			number,
			hash: genesis,
			finalized: true,
		},
		input,
		output,
		receipt,
		accumulator,
		stream: None,
		finality: None,
	};
	let (root, state) = prove(ext, &file.storage_keys());
	let change = ConsensusLog::ScheduledChange(ScheduledChange {
		next_authorities: authorities(1),
		delay: 0u32,
	});
	let pre_runtime = DigestItem::PreRuntime(*b"BABE", vec![1, 2, 3]);
	let digest = vec![pre_runtime, DigestItem::Consensus(GRANDPA_ENGINE_ID, change.encode())];
	let handover = header(1, Hash::repeat_byte(1), digest);
	let header = header(
		number,
		root,
		vec![DigestItem::RuntimeEnvironmentUpdated, DigestItem::Other(vec![5])],
	);
	file.read_at.hash = header.hash().0;
	file.finality = Some(Finality {
		header: header.encode(),
		justification: justification(&header, 1),
		set_id: 1,
		handovers: vec![Handover {
			header: handover.encode(),
			justification: justification(&handover, 0),
		}],
		state,
	});
	let authority = |(key, weight): (AuthorityId, u64)| Authority {
		key: ed25519::Public::from(key).0,
		weight,
	};
	let anchor = Anchor {
		format: ANCHOR_FORMAT,
		chain: "In memory".into(),
		genesis,
		number: 0,
		hash: genesis,
		time: None,
		set_id: 0,
		authorities: authorities(0).into_iter().map(authority).collect(),
		max_age: None,
	};
	(file, anchor)
}

/// Proves what a state has under some keys, as a node does.
fn prove(mut ext: TestExternalities, keys: &[Vec<u8>]) -> (Hash, Vec<Vec<u8>>) {
	ext.commit_all().expect("nothing is open");
	let backend = ext.as_backend();
	let root = *backend.root();
	let proof = sp_state_machine::prove_read(backend, keys).expect("a proof");
	(root, proof.into_iter_nodes().collect())
}

fn final_or_not(file: &ReceiptFile, anchor: &Anchor) -> (Outcome, Option<Reason>, Vec<&'static str>) {
	let report = verify_file(file, Some(anchor), &Policy::at(0));
	println!("{:#?}", report.steps);
	(report.outcome, report.reason, report.not_proved)
}

#[test]
fn an_open_receipt_of_this_chain_is_final() {
	let mut chain = Chain::new("development", 1);
	let (job, id) = drawn(&mut chain, 2, truth(), TRUTH);
	vote_all(&mut chain, id, |_| Some(TRUTH));
	assert_eq!(claim(&mut chain, id).state, State::Window);
	let (mut file, anchor) = bundle(chain, job);
	assert_eq!(file.receipt.verdict, Verdict::Confirmed);
	let (outcome, reason, not_proved) = final_or_not(&file, &anchor);
	assert_eq!((outcome, reason), (Outcome::Final, None));
	assert_eq!(not_proved, ["fee", "requested_at", "answer.input_tokens", "listing"]);
	file.receipt.claim.as_mut().expect("a claim").slashable += 1;
	assert_eq!(final_or_not(&file, &anchor).1, Some(Reason::OtherReceipt));
}

#[test]
fn a_settled_receipt_of_this_chain_is_final() {
	let mut chain = Chain::new("development", 2);
	let (job, id) = drawn(&mut chain, 2, truth(), TRUTH);
	vote_all(&mut chain, id, |_| Some(TRUTH));
	settle(&mut chain, id, TRUTH);
	let (mut file, anchor) = bundle(chain, job);
	assert!(file.receipt.is_settled() && file.accumulator.is_some());
	assert_eq!(final_or_not(&file, &anchor), (Outcome::Final, None, Vec::new()));
	file.receipt.fee += 1;
	assert_eq!(final_or_not(&file, &anchor).1, Some(Reason::OtherReceipt));
}

#[test]
fn the_verifier_reads_a_claim_as_it_is_stored() {
	let mut chain = Chain::new("development", 3);
	let (_, id) = drawn(&mut chain, 2, truth(), TRUTH);
	let stored = claim(&mut chain, id);
	let read = StoredClaim::decode_all(&mut &stored.encode()[..]).expect("the same fields");
	assert_eq!(read.encode(), stored.encode());
	assert_eq!(
		(read.origin, read.state, read.due),
		(stored.origin, stored.state, stored.due)
	);
	assert_eq!(read.record.seal, stored.record.seal);
}

#[test]
fn the_anchor_of_a_specification_is_its_block_0() {
	for (preset, kind, max_age) in [
		("development", "Development", None),
		("staging", "Live", Some(UNBONDING_SECONDS)),
	] {
		let mut ext = genesis(preset);
		let (top, first) = ext.execute_with(|| {
			let (mut top, mut key) = (BTreeMap::new(), Vec::new());
			while let Some(next) = sp_io::storage::next_key(&key) {
				let value = sp_io::storage::get(&next).expect("a value");
				top.insert(hex(&next), hex(&value));
				key = next;
			}
			(top, pallet_grandpa::Pallet::<Runtime>::grandpa_authorities())
		});
		let (root, _) = prove(ext, &[]);
		let no_extrinsics = BlakeTwo256::hash(&[0]);
		let block = Header::new(0, no_extrinsics, root, Default::default(), Default::default());
		let spec = serde_json::json!({
			"name": "A chain", "chainType": kind, "genesis": { "raw": { "top": top, "childrenDefault": {} } },
		});
		let anchor = Anchor::from_chain_spec(&spec.to_string()).expect("a raw specification");
		assert_eq!(
			(anchor.genesis, anchor.hash, anchor.number),
			(block.hash().0, block.hash().0, 0)
		);
		let keys = anchor
			.authorities
			.iter()
			.map(|one| (AuthorityId::from(ed25519::Public::from_raw(one.key)), one.weight));
		assert!(!first.is_empty() && keys.eq(first), "{preset}");
		assert_eq!((anchor.set_id, anchor.time, anchor.max_age), (0, None, max_age));
	}
}

fn hex(bytes: &[u8]) -> String {
	bytes.iter().fold("0x".into(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn the_verifier_knows_slots_and_unbonding() {
	assert_eq!(SLOT_SECONDS * 1_000, SLOT_DURATION);
	let limits = ProviderLimits::get();
	let seconds = |blocks: u32| u64::from(blocks) * SLOT_SECONDS;
	assert_eq!(UNBONDING_SECONDS, seconds(limits.unbonding_period));
	assert_eq!(MIN_UNBONDING_SECONDS, seconds(limits.min_unbonding_period));
	assert_eq!(
		unbonding_key(),
		pallet_providers::UnbondingPeriod::<Runtime>::hashed_key()
	);
}
