//! Evidence that proves nothing, each with the reason for which it is refused.

use super::{accepted::usual, Case, NOW};
use crate::{
	chain::{count_key, forced, receipt_key, scheduled, stored, Chain, Commit, Entries, Header, Precommit, Set},
	story::*,
};
use assay_primitives::State;
use assay_receipt::{Anchor, Authority, ReceiptFile, StoredClaim};
use codec::{Decode, Encode};

const FOUR: &[u64] = &[1, 1, 1, 1];

pub(super) fn cases() -> Vec<Case> {
	[
		anchors(),
		handovers(),
		changes(),
		votes(),
		ancestries(),
		blocks(),
		states(),
		opens(),
		contents(),
	]
	.into_iter()
	.flatten()
	.collect()
}

/// One set of four validators.
fn four() -> Chain {
	Chain::new(settled(), &[FOUR])
}

fn changed(name: &'static str, reason: &'static str, change: impl FnOnce(&mut Chain)) -> Case {
	let mut chain = usual();
	change(&mut chain);
	Case::of(name, reason, &chain)
}

fn anchors() -> Vec<Case> {
	let chain = usual();
	let anchored = |name, reason, change: &dyn Fn(&mut Anchor)| {
		let mut anchor = chain.anchor();
		change(&mut anchor);
		Case::refused(name, reason, &chain.bundle(), anchor)
	};
	let authority = |byte: u8| Authority {
		key: [byte; 32],
		weight: 1,
	};
	let mut gap = usual();
	gap.handovers.remove(0);
	let older = Chain::new(settled(), &[FOUR, FOUR]);
	let mut later = older.anchor_at(1);
	(later.number, later.hash) = (401, [1; 32]);
	let mut aged = chain.anchor();
	(aged.time, aged.max_age) = (Some(NOW - 101), Some(100));
	vec![
		Case {
			anchor: None,
			..Case::of("no_anchor", "no_anchor", &chain)
		},
		anchored("other_chain", "other_chain", &|anchor| {
			(anchor.genesis, anchor.hash) = ([8; 32], [8; 32]);
		}),
		anchored("other_anchor", "unknown_voter", &|anchor| {
			anchor.authorities[0] = authority(1)
		}),
		anchored("anchor_without_time", "old_anchor", &|anchor| {
			anchor.max_age = Some(604_800)
		}),
		Case::refused("old_anchor", "old_anchor", &chain.bundle(), aged),
		anchored("anchor_without_validators", "bad_authorities", &|anchor| {
			anchor.authorities.clear()
		}),
		anchored("anchor_with_a_validator_twice", "bad_authorities", &|anchor| {
			anchor.authorities.push(anchor.authorities[0])
		}),
		anchored("anchor_with_a_validator_without_weight", "bad_authorities", &|anchor| {
			anchor.authorities[0].weight = 0
		}),
		Case::of("gap_before_the_anchor", "gap", &gap),
		Case::refused(
			"anchor_of_a_later_set_than_the_evidence",
			"before_anchor",
			&older.bundle(),
			chain.anchor_at(2),
		),
		Case::refused("anchor_after_the_evidence", "before_anchor", &older.bundle(), later),
	]
}

fn handovers() -> Vec<Case> {
	let before = |name, reason, change: &dyn Fn(&mut ReceiptFile)| {
		let chain = usual();
		let mut file = chain.bundle();
		change(&mut file);
		Case::refused(name, reason, &file, chain.anchor_at(2))
	};
	let mut out_of_order = usual();
	out_of_order.handovers[1].0.number = out_of_order.handovers[0].0.number;
	vec![
		changed("handovers_swapped", "unknown_voter", |chain| chain.handovers.swap(0, 1)),
		Case::of("handovers_out_of_order", "bad_order", &out_of_order.hand_over_again(1)),
		Case::refused("handover_at_the_anchor", "bad_order", &usual().bundle(), {
			let mut anchor = usual().anchor();
			anchor.number = usual().handovers[0].0.number;
			anchor
		}),
		changed("handover_with_votes_of_its_next_set", "wrong_block", |chain| {
			chain.handovers[0].1 = chain.handovers[1].1.clone()
		}),
		changed("handover_one_vote_short", "too_few_votes", |chain| {
			chain.handovers[1].1.precommits.truncate(1)
		}),
		changed("handover_without_votes", "too_few_votes", |chain| {
			chain.handovers[1].1.precommits.clear()
		}),
		file_with("handover_header_with_bytes_left", "bad_header", |file| {
			evidence(file).handovers[0].header.push(0)
		}),
		file_with("handover_justification_with_bytes_left", "bad_justification", |file| {
			evidence(file).handovers[0].justification.push(0)
		}),
		before("earlier_handover_header_unreadable", "bad_header", &|file| {
			evidence(file).handovers[0].header.truncate(9)
		}),
		before(
			"earlier_handover_justification_unreadable",
			"bad_justification",
			&|file| evidence(file).handovers[0].justification.truncate(9),
		),
	]
}

fn evidence(file: &mut ReceiptFile) -> &mut assay_receipt::Finality {
	file.finality.as_mut().unwrap()
}

/// Returns a case whose file is changed after its evidence was made.
fn file_with(name: &'static str, reason: &'static str, change: impl FnOnce(&mut ReceiptFile)) -> Case {
	let chain = usual();
	let mut file = chain.bundle();
	change(&mut file);
	Case::refused(name, reason, &file, chain.anchor())
}

/// Returns a case in which the second handover has another digest, which its set has finalized.
fn digest(name: &'static str, reason: &'static str, change: impl FnOnce(&Set, &mut Header)) -> Case {
	let mut chain = usual();
	let next = chain.sets[2].clone();
	change(&next, &mut chain.handovers[1].0);
	Case::of(name, reason, &chain.hand_over_again(1))
}

fn changes() -> Vec<Case> {
	let with_weights = |weights: &[u64]| Set::new(2, weights);
	vec![
		digest("handover_without_change", "no_change", |_, header| {
			drop(header.digest.remove(1))
		}),
		digest("handover_of_another_engine", "no_change", |_, header| {
			header.digest[1].1 = *b"BEEF"
		}),
		digest("handover_that_pauses", "no_change", |_, header| {
			header.digest[1].2 = (4u8, 0u32).encode();
		}),
		digest("delayed_change", "no_change", |next, header| {
			header.digest[1] = scheduled(next, 1)
		}),
		digest("two_changes", "no_change", |next, header| {
			header.digest.push(scheduled(next, 0))
		}),
		digest("forced_change", "forced_change", |next, header| {
			header.digest[1] = forced(next)
		}),
		digest("forced_change_beside_another", "forced_change", |next, header| {
			header.digest.push(forced(next))
		}),
		digest("unknown_change", "bad_header", |_, header| header.digest[1].2[0] = 9),
		digest("change_with_bytes_left", "bad_header", |_, header| {
			header.digest[1].2.push(0)
		}),
		digest("change_to_nobody", "bad_authorities", |_, header| {
			header.digest[1] = scheduled(&with_weights(&[]), 0)
		}),
		digest(
			"change_to_a_validator_without_weight",
			"bad_authorities",
			|_, header| header.digest[1] = scheduled(&with_weights(&[1, 0]), 0),
		),
		digest("change_to_a_validator_twice", "bad_authorities", |_, header| {
			let mut twice = with_weights(&[1, 1]);
			twice.keys[1] = twice.keys[0];
			header.digest[1] = scheduled(&twice, 0)
		}),
		digest("change_to_too_many", "bad_authorities", |_, header| {
			let mut many = with_weights(&[1; 256]);
			let more = (3..7u8).flat_map(|id| Set::new(id, &[1; 256]).keys);
			many.keys.extend(more.take(769));
			many.weights = vec![1; many.keys.len()];
			header.digest[1] = scheduled(&many, 0)
		}),
	]
}

fn votes() -> Vec<Case> {
	let mut stranger = four();
	stranger.commit.precommits[0] = Precommit::new(&Set::new(9, &[1]).keys[0], &stranger.header, 0);
	let mut heavy = Chain::new(settled(), &[&[9, 4, 4, 3, 3, 2, 2]]);
	// 9 + 4 + 3 + 2 of 27 are eighteen, exactly two thirds.
	heavy.commit.precommits = [0, 1, 3, 5].map(|i| heavy.commit.precommits[i].clone()).to_vec();
	let mut set_before = usual();
	set_before.commit = Commit::new(&set_before.header, set_before.last(), 2);
	let mut other_round = four();
	other_round.commit.round += 1;
	let one = |name, reason, change: &dyn Fn(&mut Commit)| {
		let mut chain = four();
		change(&mut chain.commit);
		Case::of(name, reason, &chain)
	};
	vec![
		Case::of("wrong_set_id", "bad_signature", &set_before),
		one("one_vote_short", "too_few_votes", &|commit| {
			commit.precommits.truncate(2)
		}),
		Case::of("exactly_two_thirds", "too_few_votes", &heavy),
		one("no_votes", "too_few_votes", &|commit| commit.precommits.clear()),
		one("duplicate_vote", "duplicate_vote", &|commit| {
			commit.precommits[3] = commit.precommits[0].clone()
		}),
		one("vote_twice_beside_all_others", "duplicate_vote", &|commit| {
			commit.precommits.push(commit.precommits[0].clone())
		}),
		Case::of("vote_of_a_stranger", "unknown_voter", &stranger),
		Case::of("other_round", "bad_signature", &other_round),
		one("signature_of_another_voter", "bad_signature", &|commit| {
			commit.precommits[0].signature = commit.precommits[1].signature
		}),
		one("signature_changed", "bad_signature", &|commit| {
			commit.precommits[3].signature[63] ^= 1
		}),
		one("signature_with_a_large_scalar", "bad_signature", &|commit| {
			// s + l, which other verifiers of ed25519 would take for s.
			const ORDER: [u8; 32] = [
				0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
				0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
			];
			let mut carry = 0u16;
			for (byte, more) in commit.precommits[0].signature[32..].iter_mut().zip(ORDER) {
				carry += u16::from(*byte) + u16::from(more);
				*byte = carry as u8;
				carry >>= 8;
			}
		}),
	]
}

fn ancestries() -> Vec<Case> {
	let ahead = |name, reason, change: &dyn Fn(&mut Chain, Header)| {
		let mut chain = four();
		let child = chain.header.child();
		change(&mut chain, child);
		Case::of(name, reason, &chain)
	};
	let vote = |chain: &mut Chain, target: &Header| {
		let key = chain.sets[0].keys[0];
		chain.commit.precommits[0] = Precommit::new(&key, target, 0);
	};
	vec![
		ahead(
			"vote_for_a_descendant_without_ancestry",
			"not_descendant",
			&|chain, child| vote(chain, &child),
		),
		ahead("vote_for_a_non_descendant", "not_descendant", &|chain, mut child| {
			child.parent = [9; 32];
			vote(chain, &child);
			chain.commit.ancestries = vec![child];
		}),
		ahead("vote_for_an_ancestor", "not_descendant", &|chain, mut child| {
			child.number -= 2;
			chain.header.parent = child.hash();
			*chain = chain.clone().commit_again();
			vote(chain, &child);
			chain.commit.ancestries = vec![child];
		}),
		ahead("vote_with_another_number", "not_descendant", &|chain, child| {
			vote(chain, &Header { number: 400, ..child });
			chain.commit.precommits[0].target_hash = chain.header.hash();
			chain.commit.precommits[0].target_number += 1;
		}),
		ahead(
			"ancestry_with_a_gap_in_its_numbers",
			"not_descendant",
			&|chain, mut child| {
				child.number += 1;
				vote(chain, &child);
				chain.commit.ancestries = vec![child];
			},
		),
		ahead("unused_ancestry", "unused_ancestry", &|chain, child| {
			chain.commit.ancestries = vec![child]
		}),
		ahead("ancestry_beyond_the_vote", "unused_ancestry", &|chain, child| {
			vote(chain, &child);
			let beyond = child.child();
			chain.commit.ancestries = vec![child, beyond];
		}),
		ahead("ancestry_twice", "unused_ancestry", &|chain, child| {
			vote(chain, &child);
			chain.commit.ancestries = vec![child.clone(), child];
		}),
		ahead("ancestry_of_the_block_itself", "unused_ancestry", &|chain, _| {
			chain.commit.ancestries = vec![chain.header.clone()]
		}),
	]
}

fn blocks() -> Vec<Case> {
	let mut other_target = usual();
	other_target.commit = Commit::new(&other_target.header.child(), other_target.last(), 3);
	let mut early = usual();
	early.handovers[2].0.number = 401;
	let mut beside = usual();
	beside.handovers[2].0.number = 400;
	let mut before = usual().anchor_at(3);
	(before.number, before.hash) = (400, [1; 32]);
	vec![
		Case::of("justification_of_another_block", "wrong_block", &other_target),
		file_with("other_number_read_at", "read_at", |file| file.read_at.number += 1),
		file_with("other_block_read_at", "read_at", |file| file.read_at.hash[0] ^= 1),
		file_with("read_at_not_finalized", "read_at", |file| {
			file.read_at.finalized = false
		}),
		file_with("header_with_bytes_left", "bad_header", |file| {
			evidence(file).header.push(0)
		}),
		file_with("header_cut_off", "bad_header", |file| {
			evidence(file).header.truncate(80)
		}),
		file_with("header_with_a_long_number", "bad_header", |file| {
			// 400 in four bytes instead of two.
			evidence(file).header.splice(32..34, [0x42, 0x06, 0, 0]);
		}),
		file_with("justification_with_bytes_left", "bad_justification", |file| {
			evidence(file).justification.push(0)
		}),
		file_with("justification_cut_off", "bad_justification", |file| {
			evidence(file).justification.truncate(300)
		}),
		file_with("justification_empty", "bad_justification", |file| {
			evidence(file).justification.clear()
		}),
		Case::of("block_before_the_last_handover", "bad_order", &early.hand_over_again(2)),
		Case::of(
			"block_beside_the_last_handover",
			"bad_order",
			&beside.hand_over_again(2),
		),
		Case::refused("block_beside_the_anchor", "bad_order", &usual().bundle(), before),
		file_with("set_id_of_other_handovers", "gap", |file| evidence(file).set_id += 1),
	]
}

fn states() -> Vec<Case> {
	let nodes = |name, change: &dyn Fn(&mut Vec<Vec<u8>>)| {
		let mut chain = four();
		change(&mut chain.nodes);
		Case::of(name, "bad_state", &chain)
	};
	let with = |name, reason, file: ReceiptFile, change: &dyn Fn(&mut Entries)| {
		let mut entries = stored(&file);
		change(&mut entries);
		Case::of(name, reason, &Chain::with_state(file, &[FOUR], &entries))
	};
	let other_key = {
		let mut chain = four();
		let file = one_head();
		chain.nodes = Chain::with_state(file.clone(), &[FOUR], &stored(&file)).nodes;
		chain
	};
	let key = receipt_key(&settled());
	let by_index = |index: u64| {
		let mut file = unchecked_by(settled());
		file.accumulator.as_mut().unwrap().index = index;
		file
	};
	let mut other_index = Chain::new(by_index(5), &[FOUR]);
	other_index.file = by_index(6);
	let mut no_leaf = settled();
	no_leaf.accumulator = None;
	vec![
		nodes("node_missing", &|nodes| drop(nodes.pop())),
		nodes("no_nodes", &|nodes| nodes.clear()),
		nodes("node_unused", &|nodes| nodes.push(vec![1, 2, 3])),
		nodes("node_twice", &|nodes| nodes.push(nodes[0].clone())),
		nodes("node_changed", &|nodes| nodes[0][4] ^= 1),
		Case::of("proof_of_another_state", "bad_state", &other_key),
		with("not_stored", "not_stored", no_leaf, &|entries| {
			drop(entries.remove(&key))
		}),
		with("other_receipt_stored", "other_receipt", settled(), &|entries| {
			entries.get_mut(&key).unwrap()[40] ^= 1;
		}),
		with("more_stored_than_the_receipt", "other_receipt", settled(), &|entries| {
			entries.get_mut(&key).unwrap().push(0);
		}),
		with("other_accumulator", "other_receipt", settled(), &|entries| {
			let (_, other) = Story::accumulated(settled(), 5, 12);
			let (place, _) = with_accumulator(entries);
			entries.insert(place, other.encode());
		}),
		with("no_accumulator", "not_stored", settled(), &|entries| {
			let (place, _) = with_accumulator(entries);
			entries.remove(&place);
		}),
		with("accumulator_unreadable", "other_receipt", settled(), &|entries| {
			let (place, mut value) = with_accumulator(entries);
			value.push(0);
			entries.insert(place, value);
		}),
		with("pruned_by_index", "not_stored", by_index(5), &|entries| {
			drop(entries.remove(&key))
		}),
		Case::of("other_index", "other_receipt", &other_index),
	]
}

/// Returns a file without a proof in the accumulator.
fn unchecked_by(mut file: ReceiptFile) -> ReceiptFile {
	file.accumulator.as_mut().unwrap().proof = None;
	file
}

/// Returns the entry of the accumulator: the one whose key is no map's.
fn with_accumulator(entries: &Entries) -> (Vec<u8>, Vec<u8>) {
	let (key, value) = entries.iter().find(|(key, _)| key.len() == 32).unwrap();
	(key.clone(), value.clone())
}

/// Receipts of open claims: what the chain stores of a claim is another.
fn opens() -> Vec<Case> {
	let honest = stored(&confirmed());
	let with = |name, reason, entries: &Entries| {
		let mut file = confirmed();
		file.read_at.number = 100;
		Case::of(name, reason, &Chain::with_state(file, &[FOUR], entries))
	};
	let (key, claim) = honest
		.iter()
		.find(|(key, value)| key.len() == 64 && value.len() > 500)
		.unwrap();
	let with_bytes = |name, reason, bytes: Option<Vec<u8>>| {
		let mut entries = honest.clone();
		entries.remove(key);
		entries.extend(bytes.map(|bytes| (key.clone(), bytes)));
		with(name, reason, &entries)
	};
	let with_claim = |name, change: &dyn Fn(&mut StoredClaim)| {
		let mut claim = StoredClaim::decode(&mut &claim[..]).unwrap();
		change(&mut claim);
		with_bytes(name, "other_receipt", Some(claim.encode()))
	};
	let with_count = |name, count: Vec<u8>| {
		let mut entries = honest.clone();
		entries.insert(count_key(&confirmed().receipt.claim.unwrap().executor), count);
		with(name, "other_receipt", &entries)
	};
	vec![
		with_bytes("open_claim_not_stored", "not_stored", None),
		with_bytes(
			"open_claim_with_bytes_left",
			"other_receipt",
			Some([&claim[..], &[0]].concat()),
		),
		with_bytes(
			"open_claim_cut_off",
			"other_receipt",
			Some(claim[..claim.len() - 1].to_vec()),
		),
		with_claim("open_claim_in_another_state", &|claim| claim.state = State::Disputed),
		with_claim("open_claim_without_verdict", &|claim| claim.verdict = None),
		with_claim("open_claim_with_another_verdict_block", &|claim| {
			claim.verdict_at = Some(26)
		}),
		with_claim("open_claim_with_another_stake", &|claim| claim.record.slashable += 1),
		with_claim("open_claim_of_another_requester", &|claim| {
			claim.requester = claim.record.executor
		}),
		with_claim("open_claim_of_another_job", &|claim| claim.origin.0[0] ^= 1),
		with_claim("open_claim_of_another_model", &|claim| claim.model.0[0] ^= 1),
		with_count("open_claims_counted_otherwise", 4u32.encode()),
		with_count("open_claims_uncounted", vec![1]),
	]
}

fn contents() -> Vec<Case> {
	vec![
		file_with("other_answer", "inconsistent", |file| {
			file.output.as_mut().unwrap().tokens[0] += 1;
		}),
		file_with("other_prompt", "inconsistent", |file| file.receipt.input_hash.0[0] ^= 1),
		file_with("other_genesis", "inconsistent", |file| file.genesis[0] ^= 1),
		file_with("other_fee", "other_receipt", |file| file.receipt.fee += 1),
		file_with("other_verdict", "inconsistent", |file| {
			file.receipt.verdict = assay_primitives::Verdict::Unchecked
		}),
	]
}
