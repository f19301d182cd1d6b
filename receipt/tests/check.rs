//! A golden receipt passes, and every change of one field is caught by the check or by a comparison with the chain.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use assay_primitives::{
	digest::{input_hash, output_hash, Subject},
	economics::Fault,
	receipt::{AnswerRecord, RefundReason, SeatRecord},
	FinishReason, JobId, ModelId, Output, Receipt, SamplingParams, TraceRoot, Verdict, Vote,
};
use assay_receipt::{check, differences, Account, Mismatch, ReadAt, ReceiptFile, FORMAT};
use serde_json::Value;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.json");
const GENESIS: [u8; 32] = [7; 32];
const ROOT: TraceRoot = TraceRoot([6; 32]);

/// Leaves of the file that nothing else in it determines.
const ONLY_THE_CHAIN: [&str; 15] = [
	"/read_at/number",
	"/read_at/hash",
	"/read_at/finalized",
	"/receipt/answer/input_tokens",
	"/receipt/attempts",
	"/receipt/committee/0/provider",
	"/receipt/committee/1/provider",
	"/receipt/committee/2/provider",
	"/receipt/committee/3/provider",
	"/receipt/committee/3/vote/reject/position",
	"/receipt/committee/3/vote/reject/prefix_root",
	"/receipt/seed_block",
	"/receipt/fee",
	"/receipt/requested_at",
	"/receipt/concluded_at",
];

fn seat(who: u8, vote: Option<Vote>, fault: Option<Fault>) -> SeatRecord<Account> {
	SeatRecord {
		provider: Account([who; 32]),
		vote,
		fault,
	}
}

/// Returns a receipt in which three of four agree and the last dissents.
fn confirmed() -> ReceiptFile {
	let input = b"What is a receipt?".to_vec();
	let output = Output {
		input_tokens: 9,
		tokens: vec![17, 4, 99, 2].try_into().unwrap(),
		text: b"The stored outcome of a job.".to_vec().try_into().unwrap(),
		finish: FinishReason::Eos,
	};
	let mut params = SamplingParams::greedy(64);
	params.stop.try_push(b"\n\n".to_vec().try_into().unwrap()).unwrap();
	let requester = Account([1; 32]);
	let model = ModelId([2; 32]);
	let input_hash = input_hash(&input);
	let output_hash = output_hash(&output);
	let job = JobId::derive(&GENESIS, &requester, 5, &model, &input_hash);
	let seed = [4; 32];
	let digest = Subject {
		job,
		model,
		input_hash,
		params: &params,
		seed,
		output_hash,
	}
	.digest(&ROOT);
	let won = Some(Vote::Confirm { trace_root: ROOT });
	let lie = Some(Vote::Reject {
		position: 3,
		prefix_root: TraceRoot([9; 32]),
	});
	ReceiptFile {
		format: FORMAT,
		genesis: GENESIS,
		job_count: Some(5),
		read_at: ReadAt {
			number: 30,
			hash: [3; 32],
			finalized: true,
		},
		input: input.try_into().unwrap(),
		output: Some(output),
		receipt: Receipt {
			job,
			model,
			requester,
			params,
			input_hash,
			verdict: Verdict::Confirmed,
			answer: Some(AnswerRecord {
				output_hash,
				trace_root: ROOT,
				digest,
				input_tokens: 9,
				output_tokens: 4,
				finish: FinishReason::Eos,
			}),
			committee: vec![
				seat(10, won, None),
				seat(11, won, None),
				seat(12, won, None),
				seat(13, lie, Some(Fault::Dissent)),
			]
			.try_into()
			.unwrap(),
			attempts: 1,
			seed_block: Some(21),
			seed,
			fee: 6_370_000_000,
			requested_at: 20,
			concluded_at: 24,
		},
	}
}

fn refunded(reason: RefundReason) -> ReceiptFile {
	let mut file = confirmed();
	file.output = None;
	file.receipt.answer = None;
	file.receipt.verdict = Verdict::Refunded(reason);
	file.receipt.fee = 0;
	for seat in file.receipt.committee.iter_mut() {
		seat.vote = None;
		seat.fault = None;
	}
	file
}

#[test]
fn the_golden_receipt_is_read_checked_and_written_unchanged() {
	let written = confirmed().to_json().unwrap();
	if std::env::var_os("ASSAY_BLESS").is_some() {
		std::fs::write(GOLDEN, &written).unwrap();
	}
	let golden = std::fs::read_to_string(GOLDEN).unwrap();
	assert_eq!(golden, written);
	let file = ReceiptFile::from_json(&golden).unwrap();
	assert_eq!(file, confirmed());
	let checked = check(&file).unwrap();
	assert_eq!((checked.agreeing, checked.committee, checked.needed), (3, 4, 3));
	assert!(checked.job_derived && !checked.input_capped);
	assert_eq!(
		checked.to_string(),
		"3 of 4 providers computed this answer and agree on every bit of it."
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
			"eos" => "length".into(),
			"dissent" => "no_reveal".into(),
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
	let honest = confirmed();
	let json = serde_json::to_value(&honest).unwrap();
	let mut paths = Vec::new();
	leaves("", &json, &mut paths);
	assert!(paths.len() > 40, "{paths:?}");
	assert!(ONLY_THE_CHAIN.iter().all(|p| paths.iter().any(|q| p == q)));
	for path in &paths {
		let mut changed = json.clone();
		let leaf = changed.pointer_mut(path).unwrap();
		*leaf = other(leaf);
		let Ok(file) = serde_json::from_value::<ReceiptFile>(changed) else {
			continue;
		};
		assert_ne!(file, honest, "{path} was not changed");
		let caught = check(&file).is_err();
		if !ONLY_THE_CHAIN.contains(&path.as_str()) {
			assert!(caught, "{path} can be changed unnoticed");
		} else if !path.starts_with("/read_at") {
			assert!(
				!differences(&file.receipt, &honest.receipt).is_empty(),
				"{path} differs from the chain unnoticed"
			);
		}
	}
}

#[test]
fn every_changed_leaf_is_named() {
	let job = |f: &mut ReceiptFile| f.receipt.job.0[0] ^= 1;
	type Change = fn(&mut ReceiptFile);
	let cases: [(Change, Mismatch); 19] = [
		(|f| f.format = 2, Mismatch::Format(2)),
		(
			|f| f.input = b"What is a job?".to_vec().try_into().unwrap(),
			Mismatch::InputHash,
		),
		(job, Mismatch::Job),
		(|f| f.genesis[0] ^= 1, Mismatch::Job),
		(|f| f.receipt.requester = Account([2; 32]), Mismatch::Job),
		(|f| f.receipt.params.max_tokens = 0, Mismatch::Params),
		(|f| f.output = None, Mismatch::Answer),
		(|f| f.output.as_mut().unwrap().tokens[0] = 18, Mismatch::OutputHash),
		(|f| f.receipt.seed[0] ^= 1, Mismatch::Digest),
		(|f| f.receipt.params.temperature = 1, Mismatch::Digest),
		(
			|f| f.receipt.answer.as_mut().unwrap().trace_root.0[0] ^= 1,
			Mismatch::Digest,
		),
		(
			|f| f.receipt.answer.as_mut().unwrap().input_tokens = 10,
			Mismatch::InputTokens,
		),
		(
			|f| f.receipt.answer.as_mut().unwrap().output_tokens = 5,
			Mismatch::OutputTokens,
		),
		(
			|f| f.receipt.answer.as_mut().unwrap().finish = FinishReason::Length,
			Mismatch::Finish,
		),
		(
			|f| f.receipt.committee[1].vote = None,
			Mismatch::Votes { agreeing: 2, needed: 3 },
		),
		(|f| f.receipt.committee[3].fault = None, Mismatch::Fault(3)),
		(
			|f| f.receipt.committee[3].provider = Account([10; 32]),
			Mismatch::Seat(3),
		),
		(|f| f.receipt.verdict = Verdict::Unchecked, Mismatch::Verdict),
		(|f| f.receipt.attempts = 0, Mismatch::Attempts),
	];
	for (change, expected) in cases {
		let mut file = confirmed();
		change(&mut file);
		assert_eq!(check(&file), Err(expected));
		assert!(!expected.to_string().is_empty());
	}
}

#[test]
fn a_committee_of_one_is_unchecked() {
	let mut file = confirmed();
	file.receipt.committee.truncate(1);
	assert_eq!(check(&file), Err(Mismatch::Verdict));
	file.receipt.verdict = Verdict::Unchecked;
	assert_eq!(
		check(&file).unwrap().to_string(),
		"One provider computed this answer. Nobody checked it."
	);
	file.receipt.committee.truncate(0);
	assert_eq!(check(&file), Err(Mismatch::CommitteeSize(0)));
}

#[test]
fn a_refund_must_follow_from_its_votes() {
	for reason in [
		RefundReason::NoOutput,
		RefundReason::NoSupermajority,
		RefundReason::NoCommittee,
	] {
		assert_eq!(
			check(&refunded(reason)).map(|c| c.verdict),
			Ok(Verdict::Refunded(reason))
		);
	}
	let mut rejected = refunded(RefundReason::Rejected);
	assert_eq!(check(&rejected), Err(Mismatch::Verdict));
	for seat in rejected.receipt.committee.iter_mut().skip(1) {
		seat.vote = Some(Vote::Reject {
			position: 0,
			prefix_root: TraceRoot([1; 32]),
		});
	}
	assert!(check(&rejected).unwrap().to_string().contains("rejected"));
	let mut paid = rejected.clone();
	paid.receipt.fee = 1;
	assert_eq!(check(&paid), Err(Mismatch::Fee));
	// A supermajority for the answer leads to no refund.
	for seat in rejected.receipt.committee.iter_mut() {
		seat.vote = Some(Vote::Confirm { trace_root: ROOT });
	}
	assert_eq!(check(&rejected), Err(Mismatch::Verdict));
}

#[test]
fn an_unknown_job_counter_leaves_the_id_underived() {
	let mut file = confirmed();
	file.job_count = None;
	assert!(!check(&file).unwrap().job_derived);
}

#[test]
fn blocks_are_in_order() {
	for (requested, seed, concluded) in [
		(20, Some(20), 24),
		(20, Some(25), 24),
		(24, Some(25), 24),
		(20, None, 24),
	] {
		let mut file = confirmed();
		file.receipt.requested_at = requested;
		file.receipt.seed_block = seed;
		file.receipt.concluded_at = concluded;
		assert_eq!(check(&file), Err(Mismatch::Blocks));
	}
}

#[test]
fn malformed_files_are_refused() {
	let long = " ".repeat(assay_receipt::MAX_FILE_BYTES + 1);
	assert!(ReceiptFile::from_json(&long)
		.unwrap_err()
		.to_string()
		.contains("more than a receipt"));
	for text in ["", "{}", "[]", "null", "{\"format\":1}"] {
		assert!(ReceiptFile::from_json(text)
			.unwrap_err()
			.to_string()
			.contains("not an Assay receipt"));
	}
	let extra = confirmed().to_json().unwrap().replacen('{', "{\"note\": 1,", 1);
	assert!(ReceiptFile::from_json(&extra).is_err());
	let mut json = serde_json::to_value(confirmed()).unwrap();
	json["output"]["tokens"] = vec![1; 1025].into();
	assert!(serde_json::from_value::<ReceiptFile>(json).is_err());
}
