//! What needs no delay.

use crate::{mock::*, Error, Event};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{
	traits::{BlakeTwo256, Hash},
	DispatchError,
};

fn urgent() -> RuntimeCall {
	set_balance(0)
}

#[test]
fn an_urgent_call_is_dispatched_with_root_at_once() {
	new_test_ext().execute_with(|| {
		assert_ok!(Governance::enact_now(votes(4), Box::new(urgent())));
		assert_eq!(balance(), 0);
		System::assert_last_event(
			Event::Enacted {
				call_hash: BlakeTwo256::hash_of(&urgent()),
			}
			.into(),
		);
	});
}

#[test]
fn fewer_than_two_thirds_dispatch_nothing_at_once() {
	new_test_ext().execute_with(|| {
		for origin in [votes(3), votes(0), RuntimeOrigin::signed(1), RuntimeOrigin::none()] {
			assert_noop!(
				Governance::enact_now(origin, Box::new(urgent())),
				DispatchError::BadOrigin
			);
		}
	});
}

#[test]
fn a_call_that_is_not_urgent_is_refused_whatever_it_contains() {
	new_test_ext().execute_with(|| {
		let as_root = pallet_utility::Call::dispatch_as {
			as_origin: Box::new(frame_system::RawOrigin::Root.into()),
			call: Box::new(urgent()),
		};
		let refused: [RuntimeCall; 4] = [
			set_balance(1),
			pallet_utility::Call::batch { calls: vec![urgent()] }.into(),
			as_root.into(),
			crate::Call::enact_now {
				call: Box::new(urgent()),
			}
			.into(),
		];
		for call in refused {
			assert_noop!(
				Governance::enact_now(votes(6), Box::new(call)),
				Error::<Test>::NotUrgent
			);
		}
	});
}

#[test]
fn an_urgent_call_that_fails_says_why_and_has_no_event() {
	new_test_ext().execute_with(|| {
		// Root cannot remark: the call needs a signature.
		let remark = frame_system::Call::remark_with_event { remark: vec![1] }.into();
		assert_noop!(
			Governance::enact_now(votes(6), Box::new(remark)),
			DispatchError::BadOrigin
		);
	});
}
