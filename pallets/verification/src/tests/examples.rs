//! The examples of the crate's documentation.

use crate::mock::*;
use assay_primitives::{State, Verdict};

#[docify::export]
#[test]
fn a_claim_is_checked_opened_and_settled() {
	TestExt::providers(5).build_and_execute(|| {
		// Provider 1 publishes an answer that two seats are to check.
		let claim = publish(2, TRUTH);
		run_until(claim, |claim| claim.state == State::Voting);
		approve_all(claim);
		assert_eq!(OpenClaims::get(claim).unwrap().verdict, Some(Verdict::Confirmed));
		// After the audit's lottery, and an audit if it hits, whoever computed the claim opens it.
		run_until(claim, |claim| claim.state == State::Auditing || claim.may_be_opened());
		approve_all(claim);
		assert!(open(claim, TRUTH).is_ok());
		run_out(claim);
		assert_eq!(closed(claim).0, State::Settled);
	});
}

#[docify::export]
#[test]
fn one_rejection_overturns_a_lie() {
	TestExt::providers(5).build_and_execute(|| {
		let claim = publish(1, LIE);
		run_until(claim, |claim| claim.state == State::Voting);
		let (seat, tranche) = waiting(claim)[0].clone();
		submit(&seat, &[reject(claim, tranche)]).expect("a rejection");
		// Everybody else recomputes.
		play_round(claim, |_| Says::False);
		assert_eq!(closed(claim).0, State::Overturned);
		// The liar is suspended at once, and pays a day later.
		let liar = account(1);
		assert!(Suspended::get(&liar).0 > 0);
		run_to(System::block_number() + 301);
		assert_eq!(free(&liar), BOND / 2);
	});
}
