//! The bonds of objections.

use super::*;
use crate::{Error, Event, Objections, Source};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::TokenError;

#[test]
fn a_bond_is_held_in_the_objectors_own_account() {
	build_and_execute(|| {
		assert_ok!(Payments::hold_objection(&CLAIM, &1, 300));
		assert_eq!((free(1), bonded(1), held(1)), (MONEY - 300, 300, (0, 0)));
		let held = Event::ObjectionHeld {
			claim: CLAIM,
			objector: 1,
			bond: 300,
		};
		System::assert_last_event(held.into());
	});
}

#[test]
fn a_claim_has_one_objection() {
	build_and_execute(|| {
		assert_ok!(Payments::hold_objection(&CLAIM, &1, 300));
		assert_noop!(
			Payments::hold_objection(&CLAIM, &2, 300),
			Error::<Test>::AlreadyObjected
		);
		assert_noop!(
			Payments::hold_objection(&CLAIM, &1, 300),
			Error::<Test>::AlreadyObjected
		);
	});
}

#[test]
fn who_cannot_pay_the_bond_cannot_object() {
	build_and_execute(|| {
		assert_noop!(
			Payments::hold_objection(&CLAIM, &1, MONEY + 1),
			TokenError::FundsUnavailable
		);
		assert_noop!(Payments::hold_objection(&CLAIM, &77, 1), TokenError::FundsUnavailable);
	});
}

#[test]
fn a_returned_bond_is_free_again() {
	build_and_execute(|| {
		assert_ok!(Payments::hold_objection(&CLAIM, &1, 300));
		Payments::return_objection(&CLAIM);
		assert_eq!((free(1), bonded(1)), (MONEY, 0));
		let returned = Event::ObjectionReturned {
			claim: CLAIM,
			objector: 1,
			amount: 300,
		};
		System::assert_last_event(returned.into());
		let events = System::event_count();
		Payments::return_objection(&CLAIM);
		assert_eq!(System::event_count(), events, "there is none any more");
	});
}

#[test]
fn the_bond_of_a_wrong_objection_pays_its_jury_and_the_treasury() {
	build_and_execute(|| {
		assert_ok!(Payments::hold_objection(&CLAIM, &1, 300));
		Payments::spend_objection(&CLAIM, &[(2, 100), (3, 100)], true);
		assert_eq!([2, 3].map(|who| free(who) - MONEY), [100, 100]);
		assert_eq!((free(1), bonded(1), free(TREASURY)), (MONEY - 300, 0, 100));
		System::assert_last_event(
			Event::Forfeited {
				to: TREASURY,
				amount: 100,
				source: Source::Objection,
			}
			.into(),
		);
		assert!(!Objections::<Test>::contains_key(CLAIM));
	});
}

#[test]
fn what_an_undecided_dispute_leaves_goes_back_to_the_objector() {
	build_and_execute(|| {
		assert_ok!(Payments::hold_objection(&CLAIM, &1, 300));
		Payments::spend_objection(&CLAIM, &[(2, 100)], false);
		assert_eq!((free(1), free(2), free(TREASURY)), (MONEY - 100, MONEY + 100, 0));
	});
}

#[test]
fn a_bond_pays_no_more_than_it_is() {
	build_and_execute(|| {
		assert_ok!(Payments::hold_objection(&CLAIM, &1, 150));
		Payments::spend_objection(&CLAIM, &[(2, 100), (3, 100), (4, 100)], true);
		assert_eq!([2, 3, 4].map(|who| free(who) - MONEY), [100, 50, 0]);
		assert_eq!(free(1), MONEY - 150);
	});
}

#[test]
fn an_objector_may_sit_on_its_own_jury() {
	build_and_execute(|| {
		assert_ok!(Payments::hold_objection(&CLAIM, &1, 150));
		Payments::spend_objection(&CLAIM, &[(1, 100)], true);
		assert_eq!((free(1), bonded(1), free(TREASURY)), (MONEY - 50, 0, 50));
	});
}

#[test]
fn the_part_of_a_juror_that_cannot_receive_is_part_of_the_rest() {
	build_and_execute(|| {
		endow_treasury();
		assert_ok!(Payments::hold_objection(&CLAIM, &1, 20));
		Payments::spend_objection(&CLAIM, &[(77, 9)], true);
		assert_eq!((free(77), free(TREASURY), bonded(1)), (0, 10 + 20, 0));
	});
}

#[test]
fn the_objector_keeps_what_the_treasury_cannot_receive() {
	build_and_execute(|| {
		assert_ok!(Payments::hold_objection(&CLAIM, &1, 9));
		Payments::spend_objection(&CLAIM, &[], true);
		assert_eq!((free(1), bonded(1), free(TREASURY)), (MONEY, 0, 0));
	});
}
