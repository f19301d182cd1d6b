//! Audits: the lottery, who is drawn, and what their votes bring about.

use crate::{mock::*, *};
use assay_primitives::{receipt::Audit, traits::Penalties, State, Verdict};
use frame_support::assert_noop;
use sp_runtime::Permill;

fn audit_rate(rate: Permill) {
	let mut params = Params::get();
	params.rates.audit = rate;
	Params::set(params);
}

/// A claim of two seats that is being audited for certain.
fn audited() -> assay_primitives::ClaimId {
	audit_rate(Permill::one());
	let id = drawn(2, TRUTH);
	approve_all(id);
	run_until(id, |claim| claim.state == State::Auditing);
	id
}

#[test]
fn the_lottery_hits_at_its_rate_and_20_blocks_after_the_verdict() {
	TestExt::providers(9).build_and_execute(|| {
		audit_rate(Permill::from_percent(50));
		let hits = (1..41)
			.filter(|n| {
				let id = publish_as(*n, 0, TRUTH);
				run_until(id, |claim| claim.record.audit != Audit::Undecided);
				claim(id).record.audit != Audit::Spared
			})
			.count();
		assert!((10..31).contains(&hits), "{hits} of 40");
	});
}

#[test]
fn an_auditor_is_neither_the_executor_nor_an_approver() {
	TestExt::providers(4).build_and_execute(|| {
		let id = audited();
		let claim = claim(id);
		let auditor = claim.record.seats.iter().find(|seat| seat.is_auditor()).unwrap();
		assert!(auditor.provider != account(1) && !claim.has_approved(&auditor.provider));
	});
}

#[test]
fn the_audit_of_a_claim_that_everybody_approved_finds_nobody() {
	TestExt::providers(2).build_and_execute(|| {
		audit_rate(Permill::one());
		let id = drawn(2, TRUTH);
		approve_all(id);
		run_until(id, |claim| claim.record.audit != Audit::Undecided);
		assert_eq!(
			(claim(id).state, claim(id).record.audit),
			(State::Window, Audit::Nobody)
		);
		open(id, TRUTH).expect("it opens");
		run_out(id);
		assert_eq!(closed(id).0, State::Settled);
	});
}

#[test]
fn an_auditor_that_approves_is_paid_by_the_pool() {
	TestExt::providers(9).build_and_execute(|| {
		let id = audited();
		let (auditor, _) = waiting(id)[0].clone();
		approve_all(id);
		assert_eq!(
			(claim(id).state, claim(id).record.audit),
			(State::Window, Audit::Approved)
		);
		open(id, TRUTH).expect("it opens");
		run_out(id);
		assert_eq!(free(&auditor), BOND + FEE);
		assert_eq!(closed(id).0, State::Settled);
	});
}

#[test]
fn no_opening_is_accepted_while_an_auditor_works() {
	TestExt::providers(9).build_and_execute(|| {
		let id = audited();
		assert_noop!(open(id, TRUTH), Error::<Test>::WrongState);
	});
}

#[test]
fn an_auditor_that_does_not_vote_is_replaced_twice() {
	TestExt::providers(9).build_and_execute(|| {
		let id = audited();
		run_until(id, |claim| claim.state == State::Window);
		let claim = claim(id);
		assert_eq!(claim.record.audit, Audit::NotDone);
		assert_eq!(claim.record.seats.iter().filter(|seat| seat.is_auditor()).count(), 3);
		assert_eq!(Faults::get().len(), 3);
		let mut auditors: Vec<_> = claim.record.seats.iter().filter(|seat| seat.is_auditor()).collect();
		auditors.dedup_by_key(|seat| seat.provider.clone());
		assert_eq!(auditors.len(), 3, "another one each time");
	});
}

#[test]
fn an_auditor_that_rejects_opens_a_dispute() {
	TestExt::providers(9).build_and_execute(|| {
		let id = audited();
		let (auditor, tranche) = waiting(id)[0].clone();
		submit(&auditor, &[reject(id, tranche)]).expect("a rejection");
		assert_eq!(
			(claim(id).state, claim(id).record.audit),
			(State::Disputed, Audit::Rejected)
		);
	});
}

#[test]
fn an_unchecked_answer_is_audited_too() {
	TestExt::providers(9).build_and_execute(|| {
		audit_rate(Permill::one());
		let id = publish(0, LIE);
		assert_eq!(
			(claim(id).state, claim(id).verdict),
			(State::Window, Some(Verdict::Unchecked))
		);
		run_until(id, |claim| claim.state == State::Auditing);
		let (auditor, tranche) = waiting(id)[0].clone();
		submit(&auditor, &[reject(id, tranche)]).expect("a rejection");
		play_round(id, |_| Says::False);
		assert_eq!(closed(id).0, State::Overturned);
	});
}

#[test]
fn a_conviction_reopens_every_unsettled_claim_of_the_convict() {
	TestExt::providers(9).build_and_execute(|| {
		audit_rate(Permill::zero());
		let id = confirmed(TRUTH);
		open(id, TRUTH).expect("it opens");
		let settle_at = claim(id).settle_at;
		run_to(settle_at - 1);
		MockProviders::suspend(&account(1));
		run_until(id, |claim| claim.state == State::Auditing);
		assert!(claim(id).reopened);
		approve_all(id);
		run_out(id);
		assert_eq!(closed(id).0, State::Settled);
		assert!(System::block_number() > settle_at);
	});
}
