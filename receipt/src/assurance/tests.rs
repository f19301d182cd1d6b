//! Every sentence, word by word.

use super::*;
use crate::{check, ReceiptFile};

const ASY: u128 = 1_000_000_000_000;

macro_rules! golden {
	($name:literal) => {
		ReceiptFile::from_json(include_str!(concat!("../../tests/golden/", $name, ".json"))).unwrap()
	};
}

fn text(file: &ReceiptFile, assumptions: &Assumptions) -> String {
	of_receipt(&file.receipt, &check(file).unwrap(), assumptions).text()
}

fn by_default(file: &ReceiptFile) -> String {
	text(file, &Assumptions::default())
}

fn of(corrupt: Corrupt) -> Assumptions {
	Assumptions {
		corrupt,
		..Assumptions::default()
	}
}

fn claim(file: &mut ReceiptFile) -> &mut Claim {
	file.receipt.claim.as_mut().unwrap()
}

const FROM: &str = "4 providers with 40 000 ASY, of which the largest holds 25 %";

#[test]
fn confirmed_and_settled() {
	let mut file = golden!("one_head");
	let head = format!(
		"All 2 seats of verifiers, drawn after the answer from {FROM}, went to one provider, which recomputed it and \
		 agrees on every bit. "
	);
	let tail = "If 20 % of that stake were corrupt or lazy, and the same cartel made as large a share of the blocks, \
		1 false answer in 5 would have passed. A lie had to be worth more than 18 000 ASY to pay; for an executor that \
		waits for blocks of its own, as it can in 20.6 % of its jobs, 30 ASY. It is settled: nothing about it can change \
		any more. Not claimed: anything at a third or more of corrupt stake; that the machines are independent of each \
		other; that nobody passed the result on.";
	assert_eq!(by_default(&file), format!("{head}{tail}"));
	claim(&mut file).electorate.executor = 0;
	assert_eq!(by_default(&file), format!("{head}{tail}"));
}

#[test]
fn several_heads_in_more_seats_and_later_draws() {
	let text = by_default(&golden!("settled"));
	let head = format!(
		"3 seats of verifiers, drawn after the answer from {FROM}, went to 2 providers, which recomputed it and agree on \
		 every bit. Seats were drawn 2 times, because some verifiers did not vote in time. If 20 %"
	);
	assert!(text.starts_with(&head), "{text}");
	assert!(text.contains("1 false answer in 3 would have passed."), "{text}");
}

#[test]
fn confirmed_and_not_settled() {
	let text = by_default(&golden!("confirmed"));
	let head = format!(
		"2 verifiers, drawn after the answer from {FROM}, recomputed it and agree on every bit. Nobody has opened the \
		 claim yet; then each approval can be held against its root. Whether it will be audited is not drawn yet. If 20 %"
	);
	assert!(text.starts_with(&head), "{text}");
	let tail = "as it can in 20.6 % of its jobs, nothing before the settlement. It is not settled yet: anyone who is \
		bonded, and who asked, may object before block 225; the audit's lottery is drawn from block 45. Not claimed:";
	assert!(text.contains(tail), "{text}");
}

#[test]
fn one_bond_stands_for_all_open_claims() {
	let mut file = golden!("confirmed");
	assert!(by_default(&file).contains("worth more than 18 000 ASY"));
	claim(&mut file).open_claims = 9;
	assert!(by_default(&file).contains("worth more than 1800 ASY"));
}

#[test]
fn unchecked() {
	let mut file = golden!("unchecked");
	assert_eq!(
		by_default(&file),
		"Nobody was asked to check this answer. Nothing is claimed of it but this: with 20 % of the stake corrupt, an \
		 audit that nobody could foresee would have found a lie with a chance of 0.6711 %, so that it had to be worth \
		 more than 30 ASY to pay. It is settled: nothing about it can change any more."
	);
	file.receipt.state = State::Window;
	file.receipt.closed_at = None;
	file.accumulator = None;
	assert!(by_default(&file).contains("check this answer. Nothing is claimed of it. It is not settled yet"));
}

#[test]
fn unverified() {
	assert_eq!(
		by_default(&golden!("unverified")),
		"1 verifier asked for, but too few checked this answer in time: 0 of the seats agree. It was to be audited, and \
		 nobody was left to do it. Nothing is claimed of it. It is settled: nothing about it can change any more."
	);
	let mut not_done = golden!("audited");
	claim(&mut not_done).audit = Audit::NotDone;
	claim(&mut not_done).seats[2].vote = None;
	assert_eq!(
		by_default(&not_done),
		"Of 2 verifiers asked for, some approved this answer, but nobody opened the claim: what they approved is not \
		 known. It was to be audited, and no auditor voted in time. Nothing is claimed of it. It is settled: nothing \
		 about it can change any more."
	);
}

#[test]
fn unverified_and_audited() {
	let text = by_default(&golden!("audited"));
	assert!(
		text.contains(
			"what they approved is not known. An auditor, drawn because of that, recomputed it and agrees on every bit. \
			 If 20 % of that stake were corrupt or lazy, and the same cartel made as large a share of the blocks, 1 false \
			 answer in 2 would have passed. A lie had to be worth more than 7200 ASY to pay;"
		),
		"{text}"
	);
}

#[test]
fn contested_disputed_upheld_overturned_refunded() {
	let text = by_default(&golden!("contested"));
	let tail = "But somebody objected, and the electorate did not decide: 15 000 ASY were for the answer and 0 ASY \
		against it, of 40 000 ASY. It is contested, and nothing is claimed of it.";
	assert!(text.ends_with(tail) && !text.contains("If 20 %"), "{text}");
	let mut file = golden!("disputed");
	claim(&mut file).dispute.as_mut().unwrap().round = 1;
	assert_eq!(
		by_default(&file),
		"Somebody objected to this answer: the electorate recomputes it now, in round 1 of 2. Nothing is claimed of it \
		 until then."
	);
	claim(&mut file).dispute.as_mut().unwrap().round = 0;
	assert!(by_default(&file).contains("the dispute waits until others of the same model are over"));
	let text = by_default(&golden!("upheld"));
	let upheld =
		"It was disputed, and the electorate, which recomputed it, upheld it with 30 000 ASY against 10 000 ASY, \
		of 40 000 ASY. If 20 %";
	assert!(text.contains(upheld), "{text}");
	assert_eq!(
		by_default(&golden!("overturned")),
		"The electorate found this answer false, with 30 000 ASY against 10 000 ASY, of 40 000 ASY. The requester was \
		 refunded."
	);
	for refunded in [golden!("void"), golden!("refunded")] {
		let text = by_default(&refunded);
		assert!(
			text.starts_with("There is no answer:") && text.ends_with("was refunded."),
			"{text}"
		);
	}
}

#[test]
fn without_a_jury_nothing_deters() {
	let mut file = golden!("one_head");
	claim(&mut file).electorate.largest = 16_000 * ASY;
	claim(&mut file).electorate.executor = 16_000 * ASY;
	let text = by_default(&file);
	assert!(text.contains("the largest holds 40 %"), "{text}");
	assert!(
		text.contains(
			"There is no jury: the others could not convict this executor, which holds 40 % of the stake, so nothing it \
			 could lose deters a lie. It is settled"
		),
		"{text}"
	);
	let text = self::text(&golden!("one_head"), &of(Corrupt::OfModel(0.312)));
	assert!(
		text.contains("could not convict the executor against so much corrupt stake"),
		"{text}"
	);
}

#[test]
fn at_a_third_nothing_is_claimed() {
	let file = golden!("one_head");
	let assumptions = of(Corrupt::OfModel(1.0 / 3.0));
	let text = text(&file, &assumptions);
	assert!(
		text.contains(
			"If 33.3 % of that stake were corrupt or lazy, and the same cartel made as large a share of the blocks, \
			 nothing could be claimed of it: verdicts hold below a third of corrupt stake. It is settled"
		),
		"{text}"
	);
	assert!(!text.contains("Not claimed"), "{text}");
	assert!(of_receipt(&file.receipt, &check(&file).unwrap(), &assumptions)
		.numbers
		.is_none());
}

#[test]
fn a_model_that_only_its_own_people_serve() {
	let mut file = golden!("one_head");
	claim(&mut file).electorate.chain = 1_000_000 * ASY;
	let text = text(&file, &of(Corrupt::OfChain(0.1)));
	assert!(
		text.contains(
			"If 10 % of all providers' 1 000 000 ASY were corrupt or lazy, and all of it served this model, where it \
			 would be 100 % of the stake, and the same cartel made as large a share of the blocks, nothing could be \
			 claimed of it: verdicts hold below a third of corrupt stake."
		),
		"{text}"
	);
	claim(&mut file).electorate.chain = 80_000 * ASY;
	let text = self::text(&file, &of(Corrupt::OfChain(0.1)));
	assert!(
		text.contains("where it would be 20 % of the stake") && text.contains("1 false answer in 5"),
		"{text}"
	);
}

#[test]
fn audits_of_confirmed_answers() {
	let mut file = golden!("one_head");
	for (audit, words) in [
		(Audit::Nobody, "It was to be audited, and nobody was left to do it. If"),
		(Audit::Spared, "agrees on every bit. If"),
	] {
		claim(&mut file).audit = audit;
		let text = by_default(&file);
		assert!(text.contains(words), "{text}");
	}
}

#[test]
fn a_quote_promises_what_will_be_done() {
	let quote = Quote {
		listing: Default::default(),
		willing: 40_000 * ASY,
		fee_ceiling: 1,
		deposit: 2,
		input_tokens: 3,
		output_tokens: 4,
		seat_fee: 5,
		electorate: ElectorateSummary {
			members: 4,
			stake: 40_000 * ASY,
			largest: 10_000 * ASY,
			executor: 0,
			chain: 40_000 * ASY,
		},
		median_stake: 10_000 * ASY,
		jobs_ahead: 0,
		longest_wait: 600,
		t_max: 1000,
	};
	let promised = of_quote(&quote, 2, &Assumptions::default());
	assert_eq!(
		promised.text(),
		format!(
			"2 verifiers will be drawn after the answer from {FROM}. If 20 % of that stake were corrupt or lazy, and the \
			 same cartel made as large a share of the blocks, 1 false answer in 5 would pass. A lie has to be worth more \
			 than 18 000 ASY to pay; for an executor that waits for blocks of its own, as it can in 20.6 % of its jobs, \
			 30 ASY."
		)
	);
	assert!(promised.numbers.is_some());
	let nobody = of_quote(&quote, 0, &Assumptions::default());
	assert_eq!(
		nobody.text(),
		"Nobody will check this answer: no verifier is asked for. Ask for some with --verifiers."
	);
}
