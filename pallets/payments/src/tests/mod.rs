//! Tests of escrow and pool, one file per topic.

mod conservation;
mod examples;
mod holding;
mod objections;
mod pool;
mod settling;

use crate::{mock::*, CreditOf, EscrowRecord, Escrows, HoldReason};
use assay_primitives::{
	economics::Shares,
	traits::{Escrow, Pool},
	Balance, ClaimId, JobId,
};
use frame_support::traits::{
	fungible::{Balanced, InspectHold, Mutate},
	tokens::{Fortitude, Precision, Preservation},
};

const JOB: JobId = JobId([7; 32]);
const CLAIM: ClaimId = ClaimId([8; 32]);

fn held(who: u64) -> (Balance, Balance) {
	let held = |reason: HoldReason| Balances::balance_on_hold(&reason.into(), &who);
	(held(HoldReason::Fee), held(HoldReason::Deposit))
}

/// Returns what is held of an account for objections.
fn bonded(who: u64) -> Balance {
	Balances::balance_on_hold(&HoldReason::Objection.into(), &who)
}

fn free(who: u64) -> Balance {
	Balances::free_balance(who)
}

fn record(job: JobId) -> Option<EscrowRecord<u64>> {
	Escrows::<Test>::get(job)
}

/// Lets the treasury exist.
fn endow_treasury() {
	Balances::transfer(&6, &TREASURY, 10, Preservation::Preserve).expect("account 6 is rich");
}

/// Money taken from account 6, as from a bond.
fn slashed(amount: Balance) -> CreditOf<Test> {
	<Balances as Balanced<u64>>::withdraw(&6, amount, Precision::Exact, Preservation::Preserve, Fortitude::Polite)
		.expect("account 6 is rich")
}
