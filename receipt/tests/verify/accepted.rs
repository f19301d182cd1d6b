//! Files that are final, and files that are not although nothing contradicts them.

use super::{Case, NOW};
use crate::{
	chain::{receipt_key, stored, Chain, Commit, Precommit},
	story::*,
};
use assay_primitives::State;
use assay_receipt::{MaxAge, ReceiptFile};
use std::sync::LazyLock;

const ONE: &[u64] = &[1];
const FOUR: &[u64] = &[1, 1, 1, 1];
/// Four validators of seven, the first among them, have a bit more than two thirds.
const SEVEN: &[u64] = &[9, 4, 4, 3, 3, 2, 2];

/// A receipt whose claim is open, read at a block.
fn open(number: u32) -> ReceiptFile {
	let mut file = confirmed();
	file.read_at.number = number;
	file
}

/// One validator, one handover.
pub(super) fn small() -> Chain {
	Chain::new(one_head(), &[ONE, ONE])
}

/// Four validators, three handovers.
pub(super) fn usual() -> Chain {
	static USUAL: LazyLock<Chain> = LazyLock::new(|| Chain::new(settled(), &[ONE, &[2, 1], &[3, 1, 1], FOUR]));
	USUAL.clone()
}

pub(super) fn cases() -> Vec<Case> {
	[closed(), opened(), anchored(), voted(), verdicts(), without_evidence()]
		.into_iter()
		.flatten()
		.collect()
}

fn accepted(name: &'static str, chain: &Chain) -> Case {
	Case::accepted(name, &chain.bundle(), chain.anchor())
}

fn closed() -> Vec<Case> {
	let mut entries = stored(&settled());
	entries.remove(&receipt_key(&settled()));
	let by_index = {
		let mut file = settled();
		file.accumulator.as_mut().unwrap().proof = None;
		file
	};
	vec![
		accepted("closed_one_validator", &Chain::new(settled(), &[ONE])),
		accepted("closed_three_handovers", &usual()),
		accepted("closed_unequal_weights", &Chain::new(one_head(), &[SEVEN, SEVEN])),
		accepted("closed_by_index", &Chain::new(by_index, &[FOUR])),
		accepted("closed_audited", &Chain::new(audited(), &[FOUR])),
		accepted("closed_upheld", &Chain::new(upheld(), &[FOUR])),
		accepted("pruned", &Chain::with_state(settled(), &[FOUR], &entries)),
		accepted("closed_and_settled_is_demanded", &Chain::new(one_head(), &[FOUR]))
			.with(|policy| policy.settled = true),
	]
}

fn opened() -> Vec<Case> {
	let mut others = open(100);
	others.receipt.claim.as_mut().unwrap().open_claims = 9;
	vec![
		accepted("open_objections_possible", &Chain::new(open(224), &[FOUR])),
		accepted("open_objections_over", &Chain::new(open(225), &[FOUR])),
		accepted("open_with_other_claims", &Chain::new(others, &[FOUR])),
		accepted("open_conversation", &Chain::new(conversation(), &[FOUR])),
		Case::of(
			"open_and_settled_is_demanded",
			"not_settled",
			&Chain::new(open(224), &[FOUR]),
		)
		.with(|policy| policy.settled = true),
	]
}

fn anchored() -> Vec<Case> {
	let chain = usual();
	let mut timed = chain.anchor_at(3);
	(timed.time, timed.max_age) = (Some(NOW - 604_800), Some(604_800));
	let mut old = timed.clone();
	old.time = Some(NOW - 604_801);
	let mut at_block = chain.anchor_at(3);
	(at_block.number, at_block.hash) = (chain.header.number, chain.header.hash());
	let mut future = timed.clone();
	future.time = Some(NOW + 1_000);
	let file = chain.bundle();
	vec![
		Case::accepted("anchor_of_a_later_set", &file, chain.anchor_at(2)),
		Case::accepted("anchor_of_the_last_set", &file, chain.anchor_at(3)),
		Case::accepted("anchor_at_the_block_itself", &file, at_block),
		Case::accepted("anchor_as_old_as_it_may_be", &file, timed),
		Case::accepted("anchor_of_the_future", &file, future),
		Case::accepted("anchor_old_and_nobody_minds", &file, old.clone())
			.with(|policy| policy.max_age = MaxAge::Unlimited),
		Case::accepted("anchor_old_and_older_is_allowed", &file, old)
			.with(|policy| policy.max_age = MaxAge::Seconds(700_000)),
	]
}

fn voted() -> Vec<Case> {
	let mut threshold = Chain::new(settled(), &[SEVEN]);
	// 9 + 4 + 3 + 3 of 27: nineteen, of which one less would be too few.
	threshold.commit.precommits = [0, 1, 3, 4].map(|i| threshold.commit.precommits[i].clone()).to_vec();
	let mut ahead = Chain::new(settled(), &[FOUR]);
	let (child, keys) = (ahead.header.child(), ahead.sets[0].keys.clone());
	let grandchild = child.child();
	ahead.commit.precommits[1] = Precommit::new(&keys[1], &grandchild, 0);
	ahead.commit.precommits[2] = Precommit::new(&keys[2], &grandchild, 0);
	ahead.commit.precommits[3] = Precommit::new(&keys[3], &child, 0);
	ahead.commit.ancestries = vec![child, grandchild];
	let mut at_handover = Chain::new(settled(), &[FOUR, FOUR]);
	let handover = at_handover.handovers[0].0.clone();
	at_handover.header.digest = handover.digest;
	let mut at_handover = at_handover.commit_again();
	at_handover.handovers[0] = (
		at_handover.header.clone(),
		Commit::new(&at_handover.header, &at_handover.sets[0], 0),
	);
	vec![
		accepted("votes_of_the_least_weight", &threshold),
		accepted("votes_for_descendants", &ahead),
		accepted("block_of_the_last_handover", &at_handover),
	]
}

fn verdicts() -> Vec<Case> {
	let with = |name, reason, file| Case::of(name, reason, &Chain::new(file, &[FOUR]));
	let mut false_signature = Chain::new(unchecked(), &[FOUR]);
	false_signature.commit.precommits[0].signature[0] ^= 1;
	vec![
		with("verdict_unchecked", "unchecked", unchecked()),
		with("verdict_unverified", "unverified", unverified()),
		with("verdict_contested", "contested", contested()),
		with("verdict_disputed", "disputed", disputed()),
		with("verdict_overturned", "overturned", overturned()),
		with("verdict_undecided", "refunded", void()),
		with("verdict_no_output", "refunded", refunded()),
		with("verdict_unchecked_and_settled_is_demanded", "unchecked", {
			let mut file = unchecked();
			file.receipt.state = State::Window;
			(file.receipt.closed_at, file.accumulator) = (None, None);
			file
		})
		.with(|policy| policy.settled = true),
		Case::of(
			"verdict_unchecked_and_a_false_signature",
			"bad_signature",
			&false_signature,
		),
	]
}

fn without_evidence() -> Vec<Case> {
	let anchor = usual().anchor();
	let mut format_4 = settled();
	format_4.format = 4;
	vec![
		Case::refused("no_evidence", "no_evidence", &settled(), anchor.clone()),
		Case::refused("format_4", "no_evidence", &format_4, anchor.clone()),
		Case::refused("no_evidence_and_unchecked", "unchecked", &unchecked(), anchor.clone()),
		Case {
			anchor: None,
			..Case::refused("no_evidence_and_no_anchor", "no_evidence", &settled(), anchor)
		},
	]
}
