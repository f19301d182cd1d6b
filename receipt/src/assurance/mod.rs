//! What an answer is worth, in sentences. One place for all programs, so that all say the same.

#[cfg(test)]
mod tests;
pub mod words;

use crate::{Account, ChainReceipt, Checked};
use assay_primitives::{
	api::Quote,
	assurance::{assure, Assumptions, Assurance, Corrupt, Evidence},
	dispute::no_jury,
	economics::Fault,
	receipt::{Audit, ClaimRecord, DisputeRecord, ElectorateSummary},
	rules::{AUDIT_AFTER, WINDOW},
	Balance, State, Verdict,
};
use serde_json::{json, Value};
use std::{
	format,
	string::{String, ToString},
	vec,
	vec::Vec,
};
use words::{number, passing, percent, stake, worth};

type Claim = ClaimRecord<Account, u32>;

/// What is claimed of no answer.
const NOT_CLAIMED: &str =
	"Not claimed: anything at a third or more of corrupt stake; that the machines are independent of each other; \
	 that nobody passed the result on.";

/// What an answer is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Worth {
	/// In sentences, for people.
	pub sentences: Vec<String>,
	/// In numbers; none if nothing is claimed of the answer.
	pub numbers: Option<Assurance>,
}

impl Worth {
	fn nothing(sentences: Vec<String>) -> Self {
		Self {
			sentences,
			numbers: None,
		}
	}

	/// Returns all sentences in one line.
	pub fn text(&self) -> String {
		self.sentences.join(" ")
	}

	/// Returns sentences and numbers as JSON, with amounts in ASY.
	pub fn json(&self) -> Value {
		let numbers = self.numbers.map(|numbers| {
			json!({
				"alpha": numbers.alpha,
				"epsilon": numbers.epsilon,
				"audit": numbers.audit,
				"at_stake": worth(numbers.at_stake).trim_end_matches(" ASY"),
				"deterred": numbers.deterred / 1e12,
				"deterred_patient": numbers.deterred_patient / 1e12,
				"foreknowledge": numbers.foreknowledge,
				"jury": numbers.jury,
			})
		});
		json!({ "text": self.text(), "numbers": numbers })
	}
}

/// Says what a quote promises, if all verifiers vote in time.
pub fn of_quote(quote: &Quote, verifiers: u8, assumptions: &Assumptions) -> Worth {
	if verifiers == 0 {
		return Worth::nothing(vec![
			"Nobody will check this answer: no verifier is asked for.".into(),
			"Ask for some with --verifiers.".into(),
		]);
	}
	let evidence = Evidence::of_quote(quote, verifiers);
	let numbers = assure(&evidence, assumptions);
	let all = &quote.electorate;
	let mut said = vec![format!(
		"{} will be drawn after the answer from {}.",
		number(verifiers.into(), "verifier"),
		electorate(all)
	)];
	let claims = chances(&mut said, &evidence, &numbers, assumptions, Tense::Future);
	Worth {
		sentences: said,
		numbers: claims.then_some(numbers),
	}
}

/// Says what the answer of a consistent receipt is worth.
pub fn of_receipt(receipt: &ChainReceipt, checked: &Checked, assumptions: &Assumptions) -> Worth {
	let (Some(claim), Some(evidence)) = (&receipt.claim, &checked.evidence) else {
		return Worth::nothing(vec![checked.to_string()]);
	};
	let dispute = claim.dispute.as_ref();
	match (receipt.verdict, dispute) {
		(Verdict::Overturned, Some(dispute)) => return Worth::nothing(overturned(dispute)),
		(Verdict::Overturned | Verdict::Refunded(_), _) => return Worth::nothing(vec![checked.to_string()]),
		(_, Some(dispute)) if receipt.state == State::Disputed => return Worth::nothing(disputed(dispute)),
		(_, Some(dispute)) if checked.contested => {
			let mut said = head(claim, checked);
			said.push(contested(dispute));
			return Worth::nothing(said);
		}
		_ => {}
	}
	let mut said = head(claim, checked);
	let numbers = assure(evidence, assumptions);
	let claims = match receipt.verdict {
		Verdict::Confirmed if evidence.verifiers == 0 => {
			let why = if checked.upheld {
				"No verifier's seat stands behind it; a false decision takes more than a third of that stake."
			} else {
				"Nothing is claimed of it."
			};
			said.push(why.into());
			false
		}
		Verdict::Confirmed => chances(&mut said, evidence, &numbers, assumptions, Tense::Past),
		Verdict::Unverified if evidence.audited => chances(&mut said, evidence, &numbers, assumptions, Tense::Past),
		Verdict::Unchecked => {
			said.extend(by_audit_alone(&numbers));
			false
		}
		_ => {
			said.push("Nothing is claimed of it.".into());
			false
		}
	};
	said.push(end(receipt, claim));
	if claims {
		said.push(NOT_CLAIMED.into());
	}
	Worth {
		sentences: said,
		numbers: claims.then_some(numbers),
	}
}

fn electorate(all: &ElectorateSummary) -> String {
	let who = number(all.members, "provider");
	let of = format!("{who} with {}", stake(all.stake));
	match all.members {
		0 | 1 => of,
		_ => format!(
			"{of}, of which the largest holds {}",
			percent(share(all.largest, all.stake))
		),
	}
}

fn share(part: Balance, whole: Balance) -> f64 {
	if whole == 0 {
		return 0.0;
	}
	part as f64 / whole as f64
}

/// Returns what was done to the answer, without any number that presumes something.
fn head(claim: &Claim, checked: &Checked) -> Vec<String> {
	let mut said = Vec::new();
	match checked.verdict {
		Verdict::Unchecked => said.push("Nobody was asked to check this answer.".into()),
		Verdict::Unverified => said.push(unverified(claim)),
		_ => said.extend(confirmed(claim, checked)),
	}
	said.extend(audit(claim, checked));
	if let Some(dispute) = claim.dispute.as_ref().filter(|_| checked.upheld) {
		said.push(format!(
			"It was disputed, and the electorate, which recomputed it, upheld it with {} against {}, of {}.",
			stake(dispute.approve),
			stake(dispute.reject),
			stake(dispute.stake)
		));
	}
	said
}

fn confirmed(claim: &Claim, checked: &Checked) -> Vec<String> {
	let from = electorate(&claim.electorate);
	let first = match (checked.providers, checked.approvals) {
		(0, _) if checked.asked == 0 => "No verifier was asked for.".into(),
		(0, _) => "No approval of a verifier is left.".into(),
		(1, 1) => format!("1 verifier, drawn after the answer from {from}, recomputed it and agrees on every bit."),
		(1, seats) => format!(
			"All {seats} seats of verifiers, drawn after the answer from {from}, went to one provider, which recomputed \
			 it and agrees on every bit."
		),
		(heads, seats) if heads == seats => {
			format!("{heads} verifiers, drawn after the answer from {from}, recomputed it and agree on every bit.")
		}
		(heads, seats) => format!(
			"{seats} seats of verifiers, drawn after the answer from {from}, went to {heads} providers, which \
			 recomputed it and agree on every bit."
		),
	};
	let mut said = vec![first];
	let false_ones = claim
		.seats
		.iter()
		.filter(|seat| seat.fault == Some(Fault::FalseApproval));
	match u32::try_from(false_ones.count()).unwrap_or(u32::MAX) {
		0 => {}
		n => said.push(format!(
			"{} did not fit what was opened and {} not counted.",
			number(n, "further approval"),
			if n == 1 { "is" } else { "are" }
		)),
	}
	match claim.tranches.len() {
		0 | 1 => {}
		n => said.push(format!(
			"Seats were drawn {n} times, because some verifiers did not vote in time."
		)),
	}
	if !checked.opened && checked.providers > 0 {
		said.push("Nobody has opened the claim yet; then each approval can be held against its root.".into());
	}
	said
}

fn unverified(claim: &Claim) -> String {
	let approved = claim.seats.iter().filter(|seat| !seat.is_auditor() && seat.approves());
	let asked = number(claim.verifiers.into(), "verifier");
	if claim.root.is_none() && approved.clone().any(|seat| seat.fault == Some(Fault::Lapse)) {
		return format!(
			"Of {asked} asked for, some approved this answer, but nobody opened the claim: what they approved is not \
			 known."
		);
	}
	let agree = approved.filter(|seat| seat.fault.is_none()).count();
	format!("{asked} asked for, but too few checked this answer in time: {agree} of the seats agree.")
}

fn audit(claim: &Claim, checked: &Checked) -> Option<String> {
	let text = match claim.audit {
		Audit::Undecided if checked.state == State::Window => {
			return Some("Whether it will be audited is not drawn yet.".into())
		}
		Audit::Undecided | Audit::Spared => return None,
		Audit::Due | Audit::Open => "An audit of it is under way.",
		Audit::Approved if checked.verdict == Verdict::Unverified => {
			"An auditor, drawn because of that, recomputed it and agrees on every bit."
		}
		Audit::Approved => "An auditor, drawn later, recomputed it too and agrees on every bit.",
		Audit::Rejected => "An auditor or a verifier rejected it.",
		Audit::NotDone => "It was to be audited, and no auditor voted in time.",
		Audit::Nobody => "It was to be audited, and nobody was left to do it.",
	};
	Some(text.into())
}

fn overturned(dispute: &DisputeRecord<Account>) -> Vec<String> {
	vec![
		format!(
			"The electorate found this answer false, with {} against {}, of {}.",
			stake(dispute.reject),
			stake(dispute.approve),
			stake(dispute.stake)
		),
		"The requester was refunded.".into(),
	]
}

fn disputed(dispute: &DisputeRecord<Account>) -> Vec<String> {
	let how = match dispute.objector {
		Some(_) => "Somebody objected to this answer",
		None => "A verifier or an auditor rejected this answer",
	};
	let now = match dispute.round {
		0 => "the dispute waits until others of the same model are over".into(),
		round => format!("the electorate recomputes it now, in round {round} of 2"),
	};
	vec![format!("{how}: {now}."), "Nothing is claimed of it until then.".into()]
}

fn contested(dispute: &DisputeRecord<Account>) -> String {
	format!(
		"But somebody objected, and the electorate did not decide: {} were for the answer and {} against it, of {}. It \
		 is contested, and nothing is claimed of it.",
		stake(dispute.approve),
		stake(dispute.reject),
		stake(dispute.stake)
	)
}

/// Returns the last word: whether anything can change.
fn end(receipt: &ChainReceipt, claim: &Claim) -> String {
	if receipt.is_settled() {
		return "It is settled: nothing about it can change any more.".into();
	}
	let until = receipt.verdict_at.saturating_add(WINDOW);
	if claim.dispute.is_some() {
		return "It is not settled yet; nobody can object to it again.".into();
	}
	match claim.audit {
		Audit::Undecided => format!(
			"It is not settled yet: anyone who is bonded, and who asked, may object before block {until}; the audit's \
			 lottery is drawn from block {}.",
			receipt.verdict_at.saturating_add(AUDIT_AFTER)
		),
		_ => format!("It is not settled yet: anyone who is bonded, and who asked, may object before block {until}."),
	}
}

/// Whether the answer is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tense {
	Past,
	Future,
}

/// Says what follows from what is assumed. Returns whether anything is claimed.
fn chances(
	said: &mut Vec<String>,
	evidence: &Evidence,
	numbers: &Assurance,
	assumptions: &Assumptions,
	tense: Tense,
) -> bool {
	let assumed = assumed(evidence, numbers, assumptions);
	if numbers.epsilon >= 1.0 {
		let why = if numbers.alpha < 1.0 / 3.0 {
			""
		} else {
			": verdicts hold below a third of corrupt stake"
		};
		said.push(format!("{assumed}, nothing could be claimed of it{why}."));
		return false;
	}
	let would = match tense {
		Tense::Past => "would have passed",
		Tense::Future => "would pass",
	};
	said.push(format!("{assumed}, {} {would}.", passing(numbers.epsilon)));
	said.push(deterrence(evidence, numbers, tense));
	true
}

fn assumed(evidence: &Evidence, numbers: &Assurance, assumptions: &Assumptions) -> String {
	let blocks = match assumptions.blocks {
		None => "the same cartel made as large a share of the blocks".into(),
		Some(x) => format!("the same cartel made {} of the blocks", percent(x)),
	};
	match assumptions.corrupt {
		Corrupt::OfModel(_) => format!(
			"If {} of that stake were corrupt or lazy, and {blocks}",
			percent(numbers.alpha)
		),
		Corrupt::OfChain(beta) => format!(
			"If {} of all providers' {} were corrupt or lazy, and all of it served this model, where it would be {} of \
			 the stake, and {blocks}",
			percent(beta),
			stake(evidence.electorate.chain),
			percent(numbers.alpha)
		),
	}
}

/// Says how much a lie had to be worth to pay.
fn deterrence(evidence: &Evidence, numbers: &Assurance, tense: Tense) -> String {
	let all = &evidence.electorate;
	if !numbers.jury {
		let why = if no_jury(all.executor, all.stake) {
			let who = match tense {
				Tense::Past => "this executor, which holds",
				Tense::Future => "an executor that holds",
			};
			format!("{who} {} of the stake", percent(share(all.executor, all.stake)))
		} else {
			"the executor against so much corrupt stake".into()
		};
		return format!("There is no jury: the others could not convict {why}, so nothing it could lose deters a lie.");
	}
	let had = match tense {
		Tense::Past => "had",
		Tense::Future => "has",
	};
	let first = format!("A lie {had} to be worth more than {} to pay", worth(numbers.deterred));
	let often = percent(numbers.foreknowledge);
	if evidence.settled {
		return format!(
			"{first}; for an executor that waits for blocks of its own, as it can in {often} of its jobs, {}.",
			worth(numbers.deterred_patient)
		);
	}
	format!(
		"{first}; for an executor that waits for blocks of its own, as it can in {often} of its jobs, nothing before the \
		 settlement."
	)
}

/// Says what deters a lie that no verifier was to find.
fn by_audit_alone(numbers: &Assurance) -> Vec<String> {
	if numbers.audit <= 0.0 || !numbers.jury {
		return vec!["Nothing is claimed of it.".into()];
	}
	vec![format!(
		"Nothing is claimed of it but this: with {} of the stake corrupt, an audit that nobody could foresee would have \
		 found a lie with a chance of {}, so that it had to be worth more than {} to pay.",
		percent(numbers.alpha),
		percent(numbers.audit),
		worth(numbers.deterred_patient)
	)]
}
