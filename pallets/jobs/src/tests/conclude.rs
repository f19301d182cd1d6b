//! The end of a job: who is paid, and what its receipt states.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{
	digest::input_hash,
	economics::Bill,
	receipt::RefundReason,
	traits::{ClaimSource, Claims},
	ClaimId, JobId, State, Verdict,
};

/// What the default answer costs: 12 prompt tokens at 10, 3 generated ones at 20, checks at 10 a token.
const BILL: Bill = Bill {
	execution: 180,
	seat: 150,
	levy: 12,
};

/// What the requester has lost, its deposit aside.
fn spent(id: JobId) -> u128 {
	let deposit = pallet_payments::Escrows::<Test>::get(id).expect("a deposit").deposit;
	FUNDS - deposit - balance(&requester())
}

#[test]
fn a_settled_claim_pays_everybody_and_leaves_a_receipt() {
	TestExt::providers(4).build_and_execute(|| {
		let id = published(2);
		let who = executor(id);
		let seats = others(&who);
		assert_eq!(settle(id, &seats[..2]), 2);
		let receipt = receipt(id);
		assert_eq!((receipt.verdict, receipt.state), (Verdict::Confirmed, State::Settled));
		assert_eq!((receipt.fee, receipt.attempts, receipt.count), (BILL.total(2), 1, 1));
		assert_eq!(receipt.closed_at, Some(System::block_number()));
		assert_eq!(receipt.input_hash, input_hash(&input()));
		let answer = receipt.answer.expect("an answer");
		assert_eq!((answer.input_tokens, answer.output_tokens), (12, 3));
		assert_eq!(receipt.claim.expect("a claim").seats.len(), 2);
		// 5 % of 180 to owner and treasury each.
		assert_eq!(balance(&who), BOND + 162);
		assert!(seats[..2].iter().all(|seat| balance(seat) == BOND + BILL.seat));
		assert_eq!(
			[owner(), treasury(), pool()].map(|who| balance(&who) - ENDOWMENT),
			[9, 9, BILL.levy]
		);
		assert_eq!(spent(id), BILL.total(2));
	});
}

#[test]
fn unfilled_seats_are_not_paid_for() {
	TestExt::providers(4).build_and_execute(|| {
		let id = published(3);
		confirm(id, &others(&executor(id))[..1]);
		assert_eq!(end_claim(id, State::Settled, Verdict::Unverified), 1);
		assert_eq!(receipt(id).verdict, Verdict::Unverified);
		assert_eq!((receipt(id).fee, spent(id)), (BILL.total(1), BILL.total(1)));
	});
}

#[test]
fn the_escrow_pays_no_more_seats_than_were_asked_for() {
	TestExt::providers(4).build_and_execute(|| {
		let id = published(1);
		let seats = others(&executor(id));
		assert_eq!(settle(id, &seats), 1);
		assert_eq!(balance(&seats[0]), BOND + BILL.seat, "in the order drawn");
		assert_eq!(balance(&seats[1]), BOND);
	});
}

#[test]
fn a_price_of_zero_still_pays_checks() {
	TestExt::providers(4).build_and_execute(|| {
		let id = request_of(FREE, 2);
		next_block();
		next_block();
		publish(publication(id)).expect("a publication");
		let seats = others(&executor(id));
		assert_eq!(settle(id, &seats[..2]), 2);
		// Five million parameters at 1, 15 tokens; and the least fee.
		assert!(seats[..2].iter().all(|seat| balance(seat) == BOND + 75));
		assert_eq!(receipt(id).fee, 100 + 2 * 75 + 6);
	});
}

#[test]
fn an_unchecked_answer_pays_executor_and_levy() {
	TestExt::providers(1).build_and_execute(|| {
		let id = published(0);
		assert_eq!(end_claim(id, State::Settled, Verdict::Unchecked), 0);
		assert_eq!((receipt(id).verdict, receipt(id).fee), (Verdict::Unchecked, 192));
		assert_eq!(balance(&pool()), ENDOWMENT + BILL.levy);
	});
}

#[test]
fn an_overturned_claim_gives_everything_back_at_once() {
	TestExt::providers(4).build_and_execute(|| {
		let id = published(2);
		let who = executor(id);
		confirm(id, &others(&who)[..2]);
		assert_eq!(end_claim(id, State::Overturned, Verdict::Overturned), 0);
		let receipt = receipt(id);
		assert_eq!(
			(receipt.verdict, receipt.state, receipt.fee),
			(Verdict::Overturned, State::Overturned, 0)
		);
		assert!(receipt.answer.is_some(), "the false answer stays as evidence");
		assert_eq!((spent(id), balance(&who)), (0, BOND));
	});
}

#[test]
fn an_undecided_claim_gives_everything_back() {
	TestExt::providers(4).build_and_execute(|| {
		let id = published(2);
		let verdict = Verdict::Refunded(RefundReason::Undecided);
		end_claim(id, State::Refunded, verdict);
		assert_eq!((receipt(id).verdict, receipt(id).fee, spent(id)), (verdict, 0, 0));
	});
}

#[test]
fn a_receipt_is_provisional_until_the_claim_ends() {
	TestExt::providers(4).build_and_execute(|| {
		let id = published(2);
		assert_eq!(Jobs::receipt(id), None, "there is no verdict");
		let seats = others(&executor(id));
		confirm(id, &seats[..2]);
		let provisional = Jobs::receipt(id).expect("a provisional receipt");
		assert_eq!(
			(provisional.verdict, provisional.state),
			(Verdict::Confirmed, State::Window)
		);
		assert_eq!((provisional.fee, provisional.closed_at), (BILL.total(2), None));
		assert!(!Receipts::<Test>::contains_key(id));
		next_block();
		end_claim(id, State::Settled, Verdict::Confirmed);
		let stored = Jobs::receipt(id).expect("a receipt");
		let expected = ReceiptOf::<Test> {
			state: State::Settled,
			closed_at: Some(System::block_number()),
			..provisional
		};
		assert_eq!(stored, expected);
	});
}

#[test]
fn a_provisional_receipt_of_a_retried_job_counts_its_attempts() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(1);
		let deadline = job(id).deadline;
		run_to(deadline + 2);
		publish(publication(id)).expect("a publication");
		confirm(id, &others(&executor(id))[..1]);
		let receipt = Jobs::receipt(id).expect("a provisional receipt");
		assert_eq!(receipt.attempts, 2);
		assert_eq!(receipt.claim.expect("a claim").attempt, 1);
	});
}

#[test]
fn only_a_jobs_own_claim_ends_it() {
	TestExt::providers(4).build_and_execute(|| {
		let id = published(2);
		let mut status = MockClaims::status(&claim_of(id)).expect("an open claim");
		let before = job(id);
		// It has not ended.
		assert_eq!(Jobs::closed(&id, &claim_of(id), status.clone(), &[]), 0);
		status.state = State::Settled;
		assert_eq!(Jobs::closed(&id, &ClaimId([1; 32]), status.clone(), &[]), 0);
		assert_eq!(Jobs::closed(&JobId([1; 32]), &claim_of(id), status, &[]), 0);
		assert_eq!(job(id), before);
	});
}
