//! Holding a job's money, giving it back, removing the record.

use super::*;
use crate::{Error, Event};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::TokenError;

#[test]
fn fee_ceiling_and_deposit_are_held_in_the_payers_own_account() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 500, 20));
		assert_eq!(held(1), (500, 20));
		assert_eq!(free(1), MONEY - 520);
		assert_eq!(
			record(JOB),
			Some(EscrowRecord {
				payer: 1,
				fee_ceiling: 500,
				deposit: 20
			})
		);
		System::assert_last_event(
			Event::Held {
				job: JOB,
				payer: 1,
				fee_ceiling: 500,
				deposit: 20,
			}
			.into(),
		);
	});
}

#[test]
fn a_job_is_held_once() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 500, 20));
		assert_noop!(Payments::hold(JOB, &2, 500, 20), Error::<Test>::AlreadyHeld);
	});
}

#[test]
fn a_payer_who_lacks_the_deposit_does_not_lose_the_fee() {
	build_and_execute(|| {
		assert_noop!(Payments::hold(JOB, &1, MONEY - 20, 20), TokenError::FundsUnavailable);
		assert_noop!(Payments::hold(JOB, &7, 1, 1), TokenError::FundsUnavailable);
		assert_eq!(held(1), (0, 0));
	});
}

#[test]
fn a_refund_gives_the_fee_back_and_keeps_the_deposit() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 500, 20));
		assert_ok!(Payments::refund(&JOB));
		assert_eq!((held(1), free(1)), ((0, 20), MONEY - 20));
		System::assert_last_event(
			Event::Refunded {
				job: JOB,
				to: 1,
				amount: 500,
			}
			.into(),
		);
		// A second refund changes nothing.
		assert_ok!(Payments::refund(&JOB));
		assert_eq!((held(1), free(1)), ((0, 20), MONEY - 20));
	});
}

#[test]
fn a_closed_job_holds_nothing_and_has_no_record() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 500, 20));
		assert_ok!(Payments::refund(&JOB));
		assert_ok!(Payments::close(&JOB));
		System::assert_last_event(
			Event::Closed {
				job: JOB,
				payer: 1,
				deposit: 20,
			}
			.into(),
		);
		assert_eq!((held(1), free(1), record(JOB)), ((0, 0), MONEY, None));
	});
}

#[test]
fn closing_never_leaves_a_fee_behind() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 500, 20));
		assert_ok!(Payments::close(&JOB));
		assert_eq!((held(1), free(1)), ((0, 0), MONEY));
	});
}

#[test]
fn an_unknown_job_moves_no_money() {
	build_and_execute(|| {
		let shares = Shares {
			executor: 1,
			..Default::default()
		};
		assert_noop!(Payments::settle(&JOB, &shares, &2, &[], &3), Error::<Test>::UnknownJob);
		assert_noop!(Payments::refund(&JOB), Error::<Test>::UnknownJob);
		assert_noop!(Payments::close(&JOB), Error::<Test>::UnknownJob);
	});
}
