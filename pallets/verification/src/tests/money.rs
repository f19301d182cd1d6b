//! The table of payments, row by row, as far as this pallet pays: seats, auditors, jurors, objectors, and fines.

use crate::mock::*;
use assay_primitives::{receipt::Audit, State, Verdict};
use frame_support::assert_ok;

fn settle(id: assay_primitives::ClaimId) {
	run_until(id, |claim| claim.state == State::Auditing || claim.may_be_opened());
	approve_all(id);
	if OpenClaims::get(id).is_some_and(|claim| claim.record.root.is_none()) {
		assert_ok!(open(id, TRUTH));
	}
	run_out(id);
}

#[test]
fn settled_and_confirmed_every_seat_is_paid_by_the_source() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(2, TRUTH);
		let seats: Vec<_> = claim(id)
			.record
			.seats
			.iter()
			.map(|seat| seat.provider.clone())
			.collect();
		approve_all(id);
		settle(id);
		assert_eq!(closed(id), (State::Settled, Some(Verdict::Confirmed), seats));
	});
}

#[test]
fn a_lapsed_seats_fee_and_fine_pay_the_two_that_replace_it() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(2, TRUTH);
		let pool_before = free(&pool());
		run_until(id, |claim| claim.state == State::Lapsed);
		run_until(id, |claim| claim.state == State::Voting);
		approve_all(id);
		let claim_now = claim(id);
		let (approvals, lapsed) = (claim_now.record.approvals().count(), 2);
		assert_eq!(approvals, 4);
		settle(id);
		assert_eq!(closed(id).2.len(), 2, "the escrow pays those who were asked for");
		let audits = if free(&pool()) + FEE * 2 < pool_before + FEE * lapsed {
			FEE
		} else {
			0
		};
		assert_eq!(free(&pool()) + audits, pool_before, "the fines paid the other two");
	});
}

#[test]
fn unverified_pays_each_approval_that_was_opened() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(2, TRUTH);
		let (who, tranche) = waiting(id)[0].clone();
		submit(&who, &[approve(id, &who, tranche, TRUTH)]).expect("a vote");
		let filled = claim(id).record.approvals().count();
		if claim(id).verdict.is_some() {
			return;
		}
		run_until(id, |claim| claim.verdict.is_some());
		assert_eq!(claim(id).verdict, Some(Verdict::Unverified));
		settle(id);
		let (state, verdict, paid) = closed(id);
		assert_eq!((state, verdict), (State::Settled, Some(Verdict::Unverified)));
		assert!(
			paid.len() >= filled.min(2) && paid.iter().all(|seat| *seat == who),
			"{paid:?}"
		);
	});
}

#[test]
fn unverified_and_never_opened_pays_no_seat() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(2, TRUTH);
		run_until(id, |claim| claim.verdict.is_some());
		run_out(id);
		assert_eq!(closed(id), (State::Settled, Some(Verdict::Unverified), vec![]));
	});
}

#[test]
fn unchecked_pays_no_seat() {
	TestExt::providers(9).build_and_execute(|| {
		let id = publish(0, TRUTH);
		run_until(id, |claim| claim.record.audit != Audit::Undecided);
		run_out(id);
		assert_eq!(closed(id), (State::Settled, Some(Verdict::Unchecked), vec![]));
	});
}

#[test]
fn an_unchecked_answer_settles_without_an_opening() {
	TestExt::providers(9).build_and_execute(|| {
		let id = publish(0, TRUTH);
		let at = claim(id).verdict_at.unwrap();
		run_out(id);
		assert!(System::block_number() >= at + 200);
	});
}
