//! True receipts pass, and every change of one field is caught by the check or by a comparison with the chain.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod chain;
mod story;
mod stream;
mod verify;

use assay_primitives::{
	dispute::Decision,
	economics::Fault,
	receipt::{Audit, ClaimRecord, RefundReason, SeatRecord},
	BoundRoot, FinishReason, Input, JobId, ListingId, State, Verdict,
};
use assay_receipt::{check, differences, Account, Leaf, Mismatch, ReceiptFile};
use serde_json::Value;
use story::*;

/// Leaves that nothing else in a file determines, in any story. `*` stands for one step of the path.
const ONLY_THE_CHAIN: [&str; 28] = [
	"/read_at/*",
	"/accumulator/index",
	"/accumulator/proof",
	"/accumulator/proof/siblings/*",
	"/accumulator/proof/peaks/*",
	"/receipt/answer/input_tokens",
	"/receipt/fee",
	"/receipt/requested_at",
	"/receipt/verdict_at",
	"/receipt/closed_at",
	"/receipt/claim/published_at",
	"/receipt/claim/audits/*/block",
	"/receipt/claim/electorate/*",
	"/receipt/claim/slashable",
	"/receipt/claim/open_claims",
	"/receipt/claim/dispute/objector",
	"/receipt/claim/dispute/round",
	"/receipt/claim/dispute/stake",
	"/receipt/claim/dispute/approve",
	"/receipt/claim/dispute/reject",
	"/receipt/claim/seats/*/vote/vote/reject/defect/output",
	"/receipt/claim/seats/*/vote/vote/reject/root",
	// Who was drawn and never voted, in draws that no approval names.
	"/receipt/claim/seats/*/provider",
	"/receipt/claim/seats/*/tranche",
	"/receipt/claim/audits/*/beacon",
	"/receipt/claim/audit",
	"/receipt/claim/seats/*/fault",
	"/receipt/attempts",
];
/// Leaves that nothing else in a file determines until the claim is opened.
const BOUND_BY_THE_OPENING: [&str; 9] = [
	"/receipt/claim/root",
	"/receipt/claim/seal",
	"/receipt/claim/executor",
	"/receipt/claim/drawn/*",
	"/receipt/claim/tranches/*/block",
	"/receipt/claim/tranches/*/beacon",
	"/receipt/claim/seats/*/vote/vote/approve",
	"/receipt/claim/seats/*/vote/tranche",
	"/receipt/claim/verifiers",
];

/// Makes a receipt.
type Make = fn() -> ReceiptFile;
/// Changes one.
type Change = fn(&mut ReceiptFile);

fn matches(pattern: &str, path: &str) -> bool {
	let (mut want, mut have) = (pattern.split('/'), path.split('/'));
	loop {
		match (want.next(), have.next()) {
			(None, None) => return true,
			(Some(w), Some(h)) if w == "*" || w == h => {}
			_ => return false,
		}
	}
}

fn golden(name: &str) -> String {
	format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

fn claim(file: &mut ReceiptFile) -> &mut ClaimRecord<Account, u32> {
	file.receipt.claim.as_mut().unwrap()
}

fn seat(file: &mut ReceiptFile, index: usize) -> &mut SeatRecord<Account> {
	&mut claim(file).seats[index]
}

fn leaf(file: &mut ReceiptFile) -> &mut Leaf {
	file.accumulator.as_mut().unwrap()
}

#[test]
fn the_golden_receipts_are_read_checked_and_written_unchanged() {
	for (name, file) in all() {
		assert_eq!(check(&file).map(drop), Ok(()), "{name}");
		let written = file.to_json().unwrap();
		if std::env::var_os("ASSAY_BLESS").is_some() {
			std::fs::write(golden(name), &written).unwrap();
		}
		let stored = std::fs::read_to_string(golden(name)).unwrap();
		assert_eq!(
			stored, written,
			"{name}: a change of the format is blessed with ASSAY_BLESS=1"
		);
		assert_eq!(ReceiptFile::from_json(&stored).unwrap(), file, "{name}");
	}
}

#[test]
fn what_was_checked_is_counted_and_said() {
	let cases = [
		(settled(), 2, true, "2 providers in 3 seats recomputed this answer"),
		(
			confirmed(),
			2,
			true,
			"2 providers recomputed this answer and agree on every bit of it.",
		),
		(one_head(), 1, true, "1 provider, drawn for all 2 seats,"),
		(unchecked(), 0, false, "Nobody checked it."),
		(unverified(), 0, false, "Too few verifiers checked it."),
		(audited(), 1, true, "an auditor recomputed it and agrees"),
		(contested(), 2, false, "An objection to it stayed undecided."),
		(upheld(), 2, true, "the electorate that recomputed it upheld it."),
		(disputed(), 2, false, "It is disputed now"),
		(overturned(), 0, false, "The electorate found this answer false."),
		(void(), 1, false, "was rejected, and the electorate did not decide"),
		(refunded(), 0, false, "no executor published one in time"),
	];
	for (file, checkers, is_checked, words) in cases {
		let checked = check(&file).unwrap();
		let text = checked.to_string();
		assert!(text.contains(words), "{text}");
		assert_eq!(
			(checked.checkers, checked.is_checked()),
			(checkers, is_checked),
			"{text}"
		);
	}
	for (name, file) in all() {
		assert_eq!(check(&file).unwrap().contested, name == "contested", "{name}");
	}
	let checked = check(&settled()).unwrap();
	assert_eq!((checked.asked, checked.approvals, checked.providers), (2, 3, 2));
	assert!(checked.opened && checked.claim.is_some() && checked.seed.is_some());
	let evidence = checked.evidence.unwrap();
	assert_eq!((evidence.verifiers, evidence.tranches, evidence.settled), (2, 2, true));
	assert!(
		!check(&confirmed()).unwrap().opened,
		"a claim that is not opened yet is no error"
	);
}

/// Returns another value of the same type.
fn other(leaf: &Value) -> Value {
	match leaf {
		Value::Null => Value::from(1),
		Value::Bool(b) => Value::from(!b),
		Value::Number(n) => Value::from(n.as_u64().unwrap() ^ 1),
		Value::String(s) if Account::parse(s).is_some() && !s.starts_with("0x") => {
			Value::from(Account([77; 32]).ss58())
		}
		Value::String(s) if s.starts_with("0x") => {
			let last = if s.ends_with('0') { '1' } else { '0' };
			Value::from(format!("{}{last}", &s[..s.len() - 1]))
		}
		Value::String(s) if s.parse::<u128>().is_ok() => Value::from((s.parse::<u128>().unwrap() + 1).to_string()),
		Value::String(s) => Value::from(match s.as_str() {
			"confirmed" => "unchecked".into(),
			"unchecked" | "unverified" | "overturned" => "confirmed".into(),
			"no_output" => "queue_time_over".into(),
			"settled" => "window".into(),
			"window" | "disputed" => "settled".into(),
			"refunded" => "overturned".into(),
			"eos" => "length".into(),
			"lapse" => "false_approval".into(),
			"false_claim" => "lapse".into(),
			"upheld" => "overturned".into(),
			"spared" => "approved".into(),
			"approved" | "rejected" | "nobody" | "undecided" => "not_done".into(),
			text => format!("{text}!"),
		}),
		_ => unreachable!("leaves only"),
	}
}

fn leaves(at: &str, value: &Value, out: &mut Vec<String>) {
	match value {
		Value::Object(map) => map.iter().for_each(|(k, v)| leaves(&format!("{at}/{k}"), v, out)),
		Value::Array(list) => list
			.iter()
			.enumerate()
			.for_each(|(i, v)| leaves(&format!("{at}/{i}"), v, out)),
		_ => out.push(at.into()),
	}
}

#[test]
fn every_changed_leaf_is_caught_by_check_or_comparison() {
	for (name, honest) in all() {
		let json = serde_json::to_value(&honest).unwrap();
		let mut paths = Vec::new();
		leaves("", &json, &mut paths);
		assert!(paths.len() > 25, "{paths:?}");
		// Both formats that are read are written alike, apart from the evidence.
		paths.retain(|path| path != "/format");
		let opened = honest.receipt.claim.as_ref().is_some_and(|claim| claim.root.is_some());
		for path in &paths {
			let mut changed = json.clone();
			let leaf = changed.pointer_mut(path).unwrap();
			*leaf = other(leaf);
			let Ok(file) = serde_json::from_value::<ReceiptFile>(changed) else {
				continue;
			};
			assert_ne!(file, honest, "{name}: {path} was not changed");
			if check(&file).is_err() {
				continue;
			}
			let listed = ONLY_THE_CHAIN.iter().any(|pattern| matches(pattern, path))
				|| !opened && BOUND_BY_THE_OPENING.iter().any(|pattern| matches(pattern, path));
			assert!(listed, "{name}: {path} can be changed unnoticed");
			let beside = path.starts_with("/read_at") || path.starts_with("/accumulator");
			if !beside && honest.receipt.is_settled() {
				assert!(
					!differences(&file.receipt, &honest.receipt).is_empty(),
					"{name}: {path} differs from the chain unnoticed"
				);
			}
		}
	}
}

#[test]
fn every_change_of_a_final_receipt_or_its_proof_leads_to_another_root() {
	let (honest, accumulator) = Story::accumulated(settled(), 5, 11);
	let root = accumulator.root();
	assert_eq!(honest.root(), Some(root));
	let json = serde_json::to_value(&honest).unwrap();
	let mut paths = Vec::new();
	leaves("", &json, &mut paths);
	// What the receipt's own hashes bind stands beside it.
	paths.retain(|path| path.starts_with("/receipt") || path.starts_with("/accumulator"));
	assert!(paths.len() > 60, "{paths:?}");
	for path in paths {
		let mut changed = json.clone();
		let leaf = changed.pointer_mut(&path).unwrap();
		*leaf = other(leaf);
		if let Ok(file) = serde_json::from_value::<ReceiptFile>(changed) {
			assert_ne!(file.root(), Some(root), "{path} can be changed unnoticed");
		}
	}
	// The same receipt at another place, or among others, has another root.
	for (index, leaves) in [(4, 11), (6, 11), (10, 11), (5, 10), (5, 12), (5, 6)] {
		let (file, other) = Story::accumulated(settled(), index, leaves);
		assert_ne!(other.root(), root);
		assert_eq!(file.root(), Some(other.root()));
	}
}

#[test]
fn the_leaf_of_a_receipt_is_this_hash_of_its_encoding() {
	// BLAKE3 in key-derivation mode, context "assay/v1/receipt", over SCALE. Other implementations can be held against it.
	let leaves = [settled(), overturned(), refunded()].map(|file| file.receipt.leaf().to_string());
	assert_eq!(
		leaves,
		[
			"0x0dfde8faa6c1d9638e04529fd0713adab6d68ab026ff82826602dd7e241e01ad",
			"0xd18a345a6c4517ec5ae421d4dc721049b5262b5c0cb01b64a2b5ea3c05b8fa4f",
			"0x75851b39e8c5fca471f01c78930507a78d2b5ac5333a19d34528247a2044c3dd",
		]
	);
}

#[test]
fn an_opening_binds_every_approval_to_all_that_it_is_of() {
	// In a settled receipt with an approval in every draw, no draw, seat or vote is left to the chain's word.
	let json = serde_json::to_value(settled()).unwrap();
	let mut paths = Vec::new();
	leaves("", &json, &mut paths);
	let bound = |path: &&String| {
		[
			"/receipt/claim/drawn",
			"/receipt/claim/tranches",
			"/receipt/claim/seats",
		]
		.iter()
		.any(|part| path.starts_with(part))
	};
	for path in paths.iter().filter(bound) {
		let mut changed = json.clone();
		let leaf = changed.pointer_mut(path).unwrap();
		*leaf = other(leaf);
		if let Ok(file) = serde_json::from_value::<ReceiptFile>(changed) {
			assert!(check(&file).is_err(), "{path} can be changed unnoticed");
		}
	}
}

#[test]
fn no_other_verdict_and_state_follow_from_the_same_votes() {
	use State::*;
	let verdicts = [
		Verdict::Confirmed,
		Verdict::Unchecked,
		Verdict::Unverified,
		Verdict::Overturned,
		Verdict::Refunded(RefundReason::QueueTimeOver),
		Verdict::Refunded(RefundReason::NoOutput),
		Verdict::Refunded(RefundReason::Undecided),
	];
	let states = [
		Waiting, Executing, Published, Voting, Lapsed, Window, Auditing, Disputed, Settled, Overturned, Refunded,
	];
	for (name, honest) in all() {
		for verdict in verdicts {
			for state in states {
				let mut file = honest.clone();
				(file.receipt.verdict, file.receipt.state) = (verdict, state);
				let honest = &honest.receipt;
				file.receipt.closed_at = state.is_final().then_some(honest.closed_at.unwrap_or(390));
				// What has ended passed through other states before.
				let on_the_way = verdict == honest.verdict && (state == honest.state || !state.is_final());
				assert!(on_the_way || check(&file).is_err(), "{name}: {verdict:?} {state:?}");
			}
		}
	}
}

#[test]
fn a_listing_that_the_chain_chose_is_the_chains_word() {
	let mut file = refunded();
	let receipt = &mut file.receipt;
	receipt.listing_named = false;
	receipt.job = JobId::derive(
		&file.genesis,
		&receipt.requester,
		receipt.count,
		&receipt.model,
		None,
		&receipt.input_hash,
		&receipt.params,
	);
	assert!(check(&file).is_ok());
	let honest = file.receipt.clone();
	file.receipt.listing = ListingId(8);
	assert!(check(&file).is_ok());
	assert_eq!(differences(&file.receipt, &honest), ["listing"]);
}

#[test]
fn every_inconsistency_has_its_name() {
	let cases: [(Make, Change, Mismatch); 45] = [
		(confirmed, |f| f.accumulator = settled().accumulator, Mismatch::Leaf),
		(confirmed, |f| f.accumulator = unchecked().accumulator, Mismatch::Leaf),
		(settled, |f| leaf(f).index = 11, Mismatch::Leaf),
		(settled, |f| leaf(f).index = 8, Mismatch::Leaf),
		(
			settled,
			|f| leaf(f).proof.as_mut().unwrap().leaves = u64::MAX,
			Mismatch::Leaf,
		),
		(settled, |f| f.format = 3, Mismatch::Format(3)),
		(
			settled,
			|f| f.input = Input::Text(b"What is a job?".to_vec().try_into().unwrap()),
			Mismatch::InputHash,
		),
		(settled, |f| f.receipt.job.0[0] ^= 1, Mismatch::Job),
		(settled, |f| f.receipt.count = 6, Mismatch::Job),
		(settled, |f| f.receipt.model.0[0] ^= 1, Mismatch::Job),
		(settled, |f| f.receipt.listing = ListingId(8), Mismatch::Job),
		(settled, |f| f.receipt.listing_named = false, Mismatch::Job),
		(settled, |f| f.receipt.count = 0, Mismatch::Count),
		(settled, |f| f.genesis[0] ^= 1, Mismatch::Job),
		(settled, |f| f.receipt.requester = Account([2; 32]), Mismatch::Job),
		(settled, |f| f.receipt.params.temperature = 1, Mismatch::Job),
		(settled, |f| f.receipt.params.max_tokens = 0, Mismatch::Params),
		(settled, |f| f.output = None, Mismatch::Answer),
		(refunded, |f| f.output = settled().output, Mismatch::Answer),
		(
			settled,
			|f| f.output.as_mut().unwrap().tokens[0] = 18,
			Mismatch::OutputHash,
		),
		(settled, |f| claim(f).output_hash.0[0] ^= 1, Mismatch::OutputHash),
		(
			settled,
			|f| f.receipt.answer.as_mut().unwrap().input_tokens = 10,
			Mismatch::InputTokens,
		),
		(
			settled,
			|f| f.receipt.answer.as_mut().unwrap().output_tokens = 5,
			Mismatch::OutputTokens,
		),
		(
			settled,
			|f| f.receipt.answer.as_mut().unwrap().finish = FinishReason::Length,
			Mismatch::Finish,
		),
		(settled, |f| f.receipt.attempts = 2, Mismatch::Attempts),
		(refunded, |f| f.receipt.attempts = 4, Mismatch::Attempts),
		(settled, |f| claim(f).verifiers = 9, Mismatch::Verifiers(9)),
		(settled, |f| claim(f).verifiers = 1, Mismatch::Tranche(1)),
		(settled, |f| claim(f).electorate.executor *= 2, Mismatch::Electorate),
		(settled, |f| claim(f).seal.0[0] ^= 1, Mismatch::Seal),
		(settled, |f| claim(f).root = Some(BoundRoot([1; 32])), Mismatch::Seal),
		(settled, |f| seat(f, 3).tranche = 3, Mismatch::Seat(3)),
		(
			settled,
			|f| seat(f, 0).provider = claim(f).executor,
			Mismatch::Executor(0),
		),
		(settled, |f| claim(f).tranches[0].beacon[0] ^= 1, Mismatch::Approval(0)),
		(settled, |f| seat(f, 2).vote = seat(f, 0).vote, Mismatch::Vote(2)),
		(settled, |f| seat(f, 1).fault = None, Mismatch::Tranche(2)),
		(
			settled,
			|f| seat(f, 0).fault = Some(Fault::FalseApproval),
			Mismatch::Fault(0),
		),
		(
			settled,
			|f| seat(f, 0).fault = Some(Fault::FalseClaim),
			Mismatch::Fault(0),
		),
		(overturned, |f| seat(f, 0).fault = None, Mismatch::Fault(0)),
		(settled, |f| seat(f, 2).vote = None, Mismatch::Verdict),
		(settled, |f| claim(f).audit = Audit::Approved, Mismatch::Audit),
		(settled, |f| claim(f).root = None, Mismatch::Unopened),
		(overturned, |f| f.receipt.fee = 1, Mismatch::Fee),
		(settled, |f| f.receipt.closed_at = None, Mismatch::Closed),
		(settled, |f| f.receipt.state = State::Refunded, Mismatch::State),
	];
	for (story, change, expected) in cases {
		let mut file = story();
		change(&mut file);
		assert_eq!(check(&file).map(drop), Err(expected));
		assert!(!expected.to_string().is_empty());
	}
}

#[test]
fn a_dispute_follows_from_its_seats_and_its_stakes() {
	let cases: [(Make, Change); 8] = [
		// A decision that the stakes do not make.
		(upheld, |f| {
			claim(f).dispute.as_mut().unwrap().reject = 20_000_000_000_000_000
		}),
		(overturned, |f| {
			claim(f).dispute.as_mut().unwrap().approve = 20_000_000_000_000_000
		}),
		(contested, |f| {
			claim(f).dispute.as_mut().unwrap().approve = 30_000_000_000_000_000
		}),
		// A decision without a dispute, and a dispute without a cause.
		(overturned, |f| claim(f).dispute = None),
		(contested, |f| claim(f).dispute.as_mut().unwrap().objector = None),
		(settled, |f| {
			claim(f).dispute = claim(&mut overturned()).dispute.clone();
		}),
		// Undecided before the last round.
		(contested, |f| claim(f).dispute.as_mut().unwrap().round = 1),
		// Decided while it is open.
		(disputed, |f| {
			claim(f).dispute.as_mut().unwrap().decision = Some(Decision::Upheld)
		}),
	];
	for (i, (story, change)) in cases.into_iter().enumerate() {
		let mut file = story();
		change(&mut file);
		let found = check(&file).map(drop);
		assert!(
			matches!(found, Err(Mismatch::Dispute | Mismatch::Verdict | Mismatch::Fault(_))),
			"{i}: {found:?}"
		);
	}
}

#[test]
fn an_auditor_has_not_approved_before() {
	let mut file = audited();
	seat(&mut file, 0).fault = None;
	seat(&mut file, 2).provider = Account([10; 32]);
	assert_eq!(check(&file).map(drop), Err(Mismatch::Auditor(2)));
}

#[test]
fn blocks_are_in_order() {
	let cases: [Change; 9] = [
		|f| f.receipt.requested_at = 21,
		|f| f.receipt.verdict_at = 32,
		|f| f.receipt.closed_at = Some(233),
		|f| f.receipt.closed_at = Some(401),
		|f| f.read_at.number = 33,
		|f| claim(f).published_at = 21,
		|f| claim(f).published_at = 23,
		|f| f.receipt.requested_at = 400,
		|f| f.receipt.verdict_at = 235,
	];
	for (i, change) in cases.into_iter().enumerate() {
		let mut file = settled();
		change(&mut file);
		assert_eq!(check(&file).map(drop), Err(Mismatch::Blocks), "{i}");
	}
}

#[test]
fn a_receipt_that_went_on_is_compared_where_it_cannot_have_changed() {
	let mut later = confirmed();
	later.receipt.state = State::Settled;
	later.receipt.closed_at = Some(225);
	claim(&mut later).audit = Audit::Spared;
	assert!(differences(&confirmed().receipt, &later.receipt).is_empty());
	assert!(
		!differences(&later.receipt, &confirmed().receipt).is_empty(),
		"what is final stays"
	);
	let cases: [Change; 5] = [
		|f| seat(f, 0).vote = None,
		|f| seat(f, 0).provider = Account([50; 32]),
		|f| claim(f).executor = Account([50; 32]),
		|f| f.receipt.answer = None,
		|f| claim(f).tranches[0].beacon[0] ^= 1,
	];
	for change in cases {
		let mut other = later.clone();
		change(&mut other);
		assert!(!differences(&confirmed().receipt, &other.receipt).is_empty());
	}
}

#[test]
fn a_capped_prompt_is_noted() {
	let mut file = settled();
	file.receipt.answer.as_mut().unwrap().input_tokens = 8;
	assert!(check(&file).unwrap().input_capped);
}

#[test]
fn malformed_files_are_refused() {
	let long = " ".repeat(assay_receipt::MAX_FILE_BYTES + 1);
	assert!(ReceiptFile::from_json(&long)
		.unwrap_err()
		.to_string()
		.contains("and a receipt at most"));
	for text in ["", "{}", "[]", "null", "{\"format\":4}"] {
		assert!(ReceiptFile::from_json(text)
			.unwrap_err()
			.to_string()
			.contains("not an Assay receipt"));
	}
	let extra = settled().to_json().unwrap().replacen('{', "{\"note\": 1,", 1);
	assert!(ReceiptFile::from_json(&extra).is_err());
	let mut json = serde_json::to_value(settled()).unwrap();
	json["accumulator"]["proof"]["siblings"] = serde_json::json!(vec![settled().root(); 65]);
	assert!(serde_json::from_value::<ReceiptFile>(json).is_err());
	let mut json = serde_json::to_value(settled()).unwrap();
	json["output"]["tokens"] = vec![1; 4097].into();
	assert!(serde_json::from_value::<ReceiptFile>(json).is_err());
}

#[test]
fn a_file_of_another_format_is_refused_by_its_number() {
	let text = r#"{ "format": 3, "genesis": "0x07", "input": "What is a receipt?", "receipt": { "committee": [] } }"#;
	let error = ReceiptFile::from_json(text).unwrap_err().to_string();
	assert!(
		error.contains("format 3") && error.contains("formats 4 and 5"),
		"{error}"
	);
}
