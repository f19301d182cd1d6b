//! Slashed money: the payer comes first, and nothing is burned.

use super::*;
use crate::{Event, Purpose};
use frame_support::{assert_ok, traits::fungible::Mutate};

#[test]
fn the_payer_comes_first_and_the_treasury_takes_the_rest() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 100, 20));
		assert_eq!(Payments::restitute(&JOB, slashed(70), 50), 50);
		assert_eq!((free(1), free(TREASURY)), (MONEY - 120 + 50, 20));
		System::assert_has_event(
			Event::Restituted {
				job: JOB,
				to: 1,
				amount: 50,
			}
			.into(),
		);
		let paid = Event::Paid {
			job: JOB,
			to: TREASURY,
			amount: 20,
			purpose: Purpose::Slash,
		};
		System::assert_has_event(paid.into());
	});
}

#[test]
fn a_small_slash_goes_to_the_payer_alone() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 100, 20));
		assert_eq!(Payments::restitute(&JOB, slashed(30), 50), 30);
		assert_eq!((free(1), free(TREASURY)), (MONEY - 120 + 30, 0));
	});
}

#[test]
fn an_empty_slash_pays_nothing() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 100, 20));
		let events = System::event_count();
		assert_eq!(Payments::restitute(&JOB, CreditOf::<Test>::default(), 50), 0);
		assert_eq!(System::event_count(), events);
	});
}

#[test]
fn the_slash_of_an_unknown_job_goes_to_the_treasury() {
	build_and_execute(|| {
		assert_eq!(Payments::restitute(&JOB, slashed(70), 50), 0);
		assert_eq!(free(TREASURY), 70);
	});
}

#[test]
fn what_the_treasury_cannot_receive_goes_to_the_payer() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 100, 20));
		assert_eq!(Payments::restitute(&JOB, slashed(59), 50), 59);
		assert_eq!((free(1), free(TREASURY)), (MONEY - 120 + 59, 0));
		System::assert_last_event(
			Event::Restituted {
				job: JOB,
				to: 1,
				amount: 59,
			}
			.into(),
		);
	});
}

#[test]
fn restitution_reaches_a_payer_whose_fee_was_refunded() {
	build_and_execute(|| {
		assert_ok!(Payments::hold(JOB, &1, 100, 20));
		assert_ok!(Payments::refund(&JOB));
		Balances::transfer(&1, &2, free(1) - 10, Preservation::Preserve).unwrap();
		assert_eq!(Payments::restitute(&JOB, slashed(3), 50), 3);
		assert_eq!(free(1), 13);
	});
}
