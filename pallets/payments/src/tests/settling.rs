//! Settling: everyone gets the published share, and no account can stop it.

use super::*;
use crate::{Error, Event, Purpose};
use assay_primitives::economics::{self, Bill, Rates};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::Permill;

#[test]
fn the_published_split_reaches_everyone_and_the_rest_returns() {
	build_and_execute(|| {
		endow_treasury();
		assert_ok!(Payments::hold(JOB, &1, 5_000, 20));
		let bill = Bill {
			execution: 1_000,
			seat: 100,
			levy: 8,
		};
		let shares = economics::settle(&Rates::DEFAULT, 5_000, &bill, 3, 2, Permill::from_percent(5));
		assert_ok!(Payments::settle(&JOB, &shares, &2, &[3, 4], &5));
		assert_eq!([2, 3, 4, 5].map(|who| free(who) - MONEY), [900, 100, 100, 50]);
		assert_eq!((free(TREASURY), free(POOL)), (10 + 50, ENDOWMENT + 8));
		// The third seat stayed unfilled: its part goes back to the payer.
		assert_eq!((free(1), held(1)), (MONEY - 1_208 - 20, (0, 20)));
		let paid = |to, amount, purpose| {
			Event::Paid {
				job: JOB,
				to,
				amount,
				purpose,
			}
			.into()
		};
		System::assert_has_event(paid(3, 100, Purpose::Verification));
		System::assert_has_event(paid(4, 100, Purpose::Verification));
		System::assert_has_event(paid(2, 900, Purpose::Execution));
		System::assert_has_event(paid(5, 50, Purpose::Royalty));
		System::assert_has_event(paid(TREASURY, 50, Purpose::Treasury));
		System::assert_has_event(paid(POOL, 8, Purpose::Levy));
		System::assert_last_event(
			Event::Settled {
				job: JOB,
				payer: 1,
				fee: 1_208,
				returned: 5_000 - 1_208,
			}
			.into(),
		);
		let refunds = System::events().into_iter().map(|record| record.event);
		let refunds = refunds.filter(|event| matches!(event, RuntimeEvent::Payments(Event::Refunded { .. })));
		assert_eq!(refunds.count(), 0, "what comes back of a settled job is no refund");
	});
}

#[test]
fn a_job_that_costs_nothing_is_settled_for_nothing() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 100, 20));
		let shares = economics::settle(&Rates::DEFAULT, 100, &Bill::default(), 2, 2, Permill::from_percent(5));
		assert_eq!((shares.total(), shares.refund, shares.seats), (100, 100, 2));
		assert_ok!(Payments::settle(&JOB, &shares, &2, &[3, 4], &5));
		assert_eq!((free(1), held(1)), (MONEY - 20, (0, 20)));
		assert_eq!([2, 3, 4, 5].map(free), [MONEY; 4]);
		System::assert_last_event(
			Event::Settled {
				job: JOB,
				payer: 1,
				fee: 0,
				returned: 100,
			}
			.into(),
		);
	});
}

#[test]
fn shares_over_the_fee_ceiling_are_refused() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 100, 20));
		let shares = Shares {
			executor: 50,
			seat: 26,
			seats: 2,
			..Default::default()
		};
		assert_noop!(
			Payments::settle(&JOB, &shares, &2, &[3, 4], &5),
			Error::<Test>::Overdrawn
		);
		let endless = Shares {
			executor: u128::MAX,
			royalty: 1,
			..Default::default()
		};
		assert_noop!(Payments::settle(&JOB, &endless, &2, &[], &5), Error::<Test>::Overdrawn);
	});
}

#[test]
fn a_job_is_settled_once() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 100, 20));
		let shares = Shares {
			executor: 50,
			..Default::default()
		};
		assert_ok!(Payments::settle(&JOB, &shares, &2, &[], &5));
		assert_noop!(Payments::settle(&JOB, &shares, &2, &[], &5), Error::<Test>::Overdrawn);
		assert_ok!(Payments::refund(&JOB));
		assert_eq!(free(2), MONEY + 50);
	});
}

#[test]
fn the_part_of_an_account_that_cannot_receive_goes_to_the_treasury() {
	build_and_execute(|| {
		endow_treasury();
		assert_ok!(Payments::hold(JOB, &1, 100, 20));
		let shares = Shares {
			executor: 50,
			royalty: 9,
			..Default::default()
		};
		assert_ok!(Payments::settle(&JOB, &shares, &2, &[], &77));
		assert_eq!((free(77), free(TREASURY)), (0, 19));
		let paid = Event::Paid {
			job: JOB,
			to: TREASURY,
			amount: 9,
			purpose: Purpose::Royalty,
		};
		System::assert_has_event(paid.into());
	});
}

#[test]
fn the_payer_keeps_what_not_even_the_treasury_can_receive() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 100, 20));
		let shares = Shares {
			executor: 50,
			royalty: 9,
			treasury: 9,
			..Default::default()
		};
		assert_ok!(Payments::settle(&JOB, &shares, &2, &[], &77));
		assert_eq!((free(77), free(TREASURY)), (0, 0));
		assert_eq!((free(1), held(1)), (MONEY - 50 - 20, (0, 20)));
		System::assert_last_event(
			Event::Settled {
				job: JOB,
				payer: 1,
				fee: 50,
				returned: 50,
			}
			.into(),
		);
	});
}

#[test]
fn a_payer_may_be_its_own_executor() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 100, 20));
		let shares = Shares {
			executor: 50,
			seat: 10,
			seats: 2,
			..Default::default()
		};
		assert_ok!(Payments::settle(&JOB, &shares, &1, &[1, 2], &1));
		assert_eq!((free(1), free(2)), (MONEY - 10 - 20, MONEY + 10));
	});
}
