//! The opening: when, by what, and what it shows.

use crate::{mock::*, *};
use assay_primitives::{economics::Fault, receipt::Audit, State, Verdict};
use frame_support::assert_noop;

#[test]
fn a_claim_is_opened_after_the_lottery_and_not_before() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(2, TRUTH);
		assert_noop!(open(id, TRUTH), Error::<Test>::WrongState);
		approve_all(id);
		assert_noop!(open(id, TRUTH), Error::<Test>::WrongState);
		let verdict_at = claim(id).verdict_at.unwrap();
		run_until(id, |claim| claim.record.audit != Audit::Undecided);
		assert_eq!(
			System::block_number(),
			verdict_at + 21,
			"the lottery is drawn at the end of block 20"
		);
	});
}

#[test]
fn only_the_root_that_the_seal_was_made_of_opens_it() {
	TestExt::providers(9).build_and_execute(|| {
		let id = confirmed(TRUTH);
		assert_noop!(open(id, LIE), Error::<Test>::BadOpening);
		open(id, TRUTH).expect("it opens");
		assert_noop!(open(id, TRUTH), Error::<Test>::AlreadyOpened);
		assert_noop!(
			open(assay_primitives::ClaimId([1; 32]), TRUTH),
			Error::<Test>::UnknownClaim
		);
		run_out(id);
		assert_eq!(closed(id).0, State::Settled);
		assert_eq!(closed(id).2.len(), 2, "both seats are paid");
	});
}

#[test]
fn an_approval_that_does_not_fit_convicts_its_voter_and_makes_an_audit_certain() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(2, TRUTH);
		let seats = waiting(id);
		let (lazy, tranche) = seats[0].clone();
		submit(&lazy, &[blind_approval(id, tranche)]).expect("nobody can see it yet");
		for (who, tranche) in seats.iter().skip(1) {
			submit(who, &[approve(id, who, *tranche, TRUTH)]).expect("a vote");
		}
		run_until(id, |claim| claim.may_be_opened() || claim.state == State::Auditing);
		approve_all(id);
		open(id, TRUTH).expect("it opens");
		let opened = claim(id);
		assert!(opened
			.record
			.seats
			.iter()
			.any(|seat| seat.fault == Some(Fault::FalseApproval)));
		assert_eq!(opened.record.audit, Audit::Due);
		assert!(Suspended::get(&lazy).0 > 0);
		let expected = if seats.len() > 1 {
			Verdict::Confirmed
		} else {
			Verdict::Unverified
		};
		assert_eq!(opened.verdict, Some(expected));
		run_to(System::block_number() + 302);
		assert_eq!(free(&lazy), BOND - BOND / 10);
	});
}

#[test]
fn what_nobody_opens_becomes_unverified_and_is_audited() {
	TestExt::providers(9).build_and_execute(|| {
		let id = confirmed(TRUTH);
		let approvers: Vec<_> = claim(id)
			.record
			.seats
			.iter()
			.map(|seat| seat.provider.clone())
			.collect();
		let verdict_at = claim(id).verdict_at.unwrap();
		run_to(verdict_at + 181);
		let unopened = claim(id);
		assert_eq!(
			(unopened.verdict, unopened.record.audit),
			(Some(Verdict::Unverified), Audit::Due)
		);
		assert!(
			approvers.iter().all(|who| free(who) < BOND),
			"an approval that nobody opened costs its fee"
		);
		run_until(id, |claim| claim.state == State::Auditing);
		approve_all(id);
		run_out(id);
		assert_eq!(closed(id), (State::Settled, Some(Verdict::Unverified), vec![]));
	});
}

#[test]
fn an_opening_is_signed_by_nobody_and_by_no_account() {
	TestExt::providers(9).build_and_execute(|| {
		let id = confirmed(TRUTH);
		let root = id.bind(&TRUTH);
		let signed = RuntimeOrigin::signed(account(2));
		assert_noop!(
			Verification::open(signed, id, root),
			sp_runtime::DispatchError::BadOrigin
		);
		let none = RuntimeOrigin::none();
		assert_noop!(Verification::open(none, id, root), sp_runtime::DispatchError::BadOrigin);
	});
}
