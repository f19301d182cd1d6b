//! Verdicts, and who is paid and punished for them.

use crate::mock::{Jobs, *};
use assay_primitives::{
	api::JobPhase,
	digest::{input_hash, output_hash, Subject},
	economics::{fee, split, Fault, Rates},
	receipt::{RefundReason, Verdict},
	TraceRoot,
};
use sp_runtime::Permill;

const RATES: Rates = Rates::DEFAULT;

fn faults() -> Vec<(AccountId, Fault)> {
	Faults::get()
}

fn actual_fee(n: u32) -> u128 {
	fee(&RATES, 10, 20, 12, 3, n)
}

#[test]
fn a_confirmed_answer_is_paid_and_leaves_a_receipt() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let deposit = Held::get(id).expect("held").2;
		let seed = job(id).seed.expect("a seed");
		let seats = run_attempt(id, &[CONFIRM; 4]);
		let receipt = receipt(id);
		let paid = actual_fee(4);
		let shares = split(&RATES, paid, 4, 3, Permill::from_percent(5));
		assert_eq!(receipt.verdict, Verdict::Confirmed);
		assert_eq!((receipt.fee, receipt.attempts, receipt.agreeing()), (paid, 1, 4));
		assert_eq!((receipt.seed, receipt.seed_block), (seed.value, Some(2)));
		assert_eq!(balance(&seats[0]), BOND + shares.executor);
		assert!(seats[1..].iter().all(|who| balance(who) == BOND + shares.verifier));
		assert_eq!(balance(&owner()), 1_000 + shares.royalty);
		assert_eq!(balance(&treasury()), 1_000 + shares.treasury);
		assert_eq!(balance(&requester()), FUNDS - paid - deposit);
		let answer = receipt.answer.expect("an answer");
		let subject = Subject {
			job: id,
			model: MODEL,
			input_hash: input_hash(&input()),
			params: &receipt.params,
			seed: seed.value,
			output_hash: output_hash(&output()),
		};
		assert_eq!(answer.digest, subject.digest(&TraceRoot([3; 32])));
		assert_eq!((answer.input_tokens, answer.output_tokens), (12, 3));
		assert!(faults().is_empty());
		let view = Jobs::view(id).expect("a view");
		assert_eq!(
			(view.phase, view.output, view.deadline),
			(JobPhase::Concluded, Some(output()), None)
		);
	});
}

#[test]
fn more_prompt_tokens_than_quoted_are_not_paid() {
	TestExt::providers(1).build_and_execute(|| {
		let id = drawn(1);
		let mut publication = publication(id, 0, &account(1), CONFIRM);
		publication.output.input_tokens = u32::MAX;
		publish(publication).expect("a publication");
		reveal(id, &account(1), CONFIRM).expect("a reveal");
		assert_eq!(receipt(id).answer.expect("an answer").input_tokens, 18 + 16);
		assert_eq!(receipt(id).fee, fee(&RATES, 10, 20, 34, 3, 1));
	});
}

#[test]
fn the_receipt_of_a_committee_of_one_is_unchecked() {
	TestExt::providers(1).build_and_execute(|| {
		let id = drawn(1);
		run_attempt(id, &[CONFIRM]);
		assert_eq!(receipt(id).verdict, Verdict::Unchecked);
		assert_eq!(balance(&account(1)), BOND + RATES.executor_unchecked * actual_fee(1));
	});
}

#[test]
fn a_lying_verifier_is_slashed_and_unpaid_and_its_part_goes_back() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let deposit = Held::get(id).expect("held").2;
		let seats = run_attempt(id, &[CONFIRM, LIE, CONFIRM, CONFIRM]);
		let shares = split(&RATES, actual_fee(4), 4, 2, Permill::from_percent(5));
		let slash = RATES.slash_dissent * BOND;
		assert_eq!(faults(), vec![(seats[1].clone(), Fault::Dissent)]);
		assert_eq!(balance(&seats[1]), BOND - slash);
		assert_eq!(receipt(id).fee, actual_fee(4) - shares.refund);
		assert_eq!(balance(&requester()), FUNDS - receipt(id).fee - deposit);
		assert_eq!(
			balance(&treasury()),
			1_000 + shares.treasury + slash,
			"nothing is due to the requester"
		);
		assert_eq!(receipt(id).committee[1].fault, Some(Fault::Dissent));
	});
}

#[test]
fn a_lying_executor_is_slashed_and_an_honest_committee_answers() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let fee_ceiling = job(id).fee_ceiling;
		let before = balance(&requester());
		let liar = run_attempt(id, &[LIE, REJECT, REJECT, REJECT])[0].clone();
		assert_eq!(faults(), vec![(liar.clone(), Fault::Rejected)]);
		let slash = RATES.slash_rejected * BOND;
		assert_eq!(balance(&liar), BOND - slash);
		assert_eq!(balance(&requester()), before + RATES.restitution * fee_ceiling);
		assert_eq!(balance(&treasury()), 1_000 + slash - RATES.restitution * fee_ceiling);
		assert_eq!((job(id).attempt, job(id).enlarge), (1, false));
		assert!(
			Jobs::view(id).expect("a view").output.is_none(),
			"the rejected output is gone"
		);
		next_block();
		next_block();
		let seats = committee(id);
		assert_ne!(seats[0], liar);
		run_attempt(id, &[CONFIRM; 4]);
		assert_eq!((receipt(id).verdict, receipt(id).attempts), (Verdict::Confirmed, 2));
	});
}

#[test]
fn an_executor_that_does_not_confirm_a_right_answer_is_not_paid() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let seats = publish_and_commit(id, &[Some(CONFIRM); 4]);
		for who in &seats[1..] {
			reveal(id, who, CONFIRM).expect("a reveal");
		}
		run_out(id);
		let receipt = receipt(id);
		let shares = split(&RATES, actual_fee(4), 4, 3, Permill::from_percent(5));
		assert_eq!(receipt.verdict, Verdict::Confirmed);
		assert_eq!(receipt.fee, actual_fee(4) - shares.executor);
		assert_eq!(faults(), vec![(seats[0].clone(), Fault::NoReveal)]);
		assert_eq!(balance(&seats[0]), BOND - RATES.slash_no_reveal * BOND);
		assert_eq!(receipt.committee[0].vote, None);
	});
}

#[test]
fn a_verifier_that_does_not_reveal_is_at_fault_in_any_outcome() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let seats = publish_and_commit(id, &[Some(CONFIRM); 4]);
		for who in &seats[..2] {
			reveal(id, who, CONFIRM).expect("a reveal");
		}
		run_out(id);
		assert_eq!(
			faults(),
			seats[2..]
				.iter()
				.map(|who| (who.clone(), Fault::NoReveal))
				.collect::<Vec<_>>()
		);
		assert_eq!(job(id).attempt, 1, "two of four decide nothing");
	});
}

#[test]
fn without_a_supermajority_nobody_is_slashed_and_the_committee_grows() {
	TestExt::providers(7).build_and_execute(|| {
		let id = drawn(4);
		let fee_ceiling = job(id).fee_ceiling;
		run_attempt(id, &[CONFIRM, CONFIRM, LIE, LIE]);
		assert!(faults().is_empty());
		next_block();
		next_block();
		assert_eq!((committee(id).len(), job(id).fee_ceiling), (7, fee_ceiling));
		let seats = run_attempt(id, &[CONFIRM, CONFIRM, CONFIRM, CONFIRM, CONFIRM, LIE, LIE]);
		let receipt = receipt(id);
		assert_eq!((receipt.verdict, receipt.attempts), (Verdict::Confirmed, 2));
		let shares = split(&RATES, actual_fee(4), 7, 4, Permill::from_percent(5));
		assert_eq!(
			receipt.fee,
			actual_fee(4) - shares.refund,
			"the requested size is the size paid"
		);
		assert_eq!(
			faults(),
			vec![(seats[5].clone(), Fault::Dissent), (seats[6].clone(), Fault::Dissent)]
		);
	});
}

#[test]
fn a_committee_grows_only_if_enough_providers_are_available() {
	TestExt::providers(6).build_and_execute(|| {
		let id = drawn(4);
		run_attempt(id, &[CONFIRM, CONFIRM, LIE, LIE]);
		next_block();
		next_block();
		assert_eq!(committee(id).len(), 4);
	});
}

#[test]
fn a_committee_of_one_never_grows() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(1);
		publish_and_commit(id, &[Some(CONFIRM)]);
		run_out(id);
		next_block();
		next_block();
		assert_eq!((committee(id).len(), job(id).attempt), (1, 1));
	});
}

#[test]
fn after_three_failed_attempts_the_requester_is_refunded() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let deposit = Held::get(id).expect("held").2;
		for _ in 0..2 {
			run_attempt(id, &[CONFIRM, LIE, CONFIRM, LIE]);
			next_block();
			next_block();
		}
		run_attempt(id, &[CONFIRM, LIE, CONFIRM, LIE]);
		let receipt = receipt(id);
		assert_eq!(receipt.verdict, Verdict::Refunded(RefundReason::NoSupermajority));
		assert_eq!((receipt.attempts, receipt.fee, receipt.committee.len()), (3, 0, 4));
		assert!(receipt.answer.is_none());
		assert_eq!(balance(&requester()), FUNDS - deposit);
		assert!(Jobs::view(id).expect("a view").output.is_none());
	});
}

#[test]
fn the_receipt_keeps_the_last_committee_when_no_other_is_found() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		run_attempt(id, &[LIE, REJECT, REJECT, REJECT]);
		(1..=4).for_each(|n| Jailed::insert(account(n), ()));
		run_out(id);
		while OpenJobs::contains_key(id) {
			next_block();
		}
		let receipt = receipt(id);
		assert_eq!(receipt.verdict, Verdict::Refunded(RefundReason::NoCommittee));
		assert_eq!(receipt.committee[0].fault, Some(Fault::Rejected));
	});
}
