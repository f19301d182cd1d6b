//! Inference keys: who owns them, and that nobody can register another's.

use super::*;
use crate::{Error, Event};
use frame_support::{assert_noop, assert_ok};

#[test]
fn a_key_belongs_to_the_provider_that_proves_it_holds_it() {
	build_and_execute(|| {
		assert_noop!(set_key(1, 7), Error::<Test>::NotBonded);
		assert_ok!(Providers::bond(signed(1), 1_000));
		assert_ok!(set_key(1, 7));
		System::assert_last_event(
			Event::InferenceKeySet {
				provider: 1,
				key: key(7),
			}
			.into(),
		);
		assert_eq!(
			(Providers::key_of(&1), Providers::owner_of(&key(7))),
			(Some(key(7)), Some(1))
		);
		// A second time changes nothing.
		assert_ok!(set_key(1, 7));
	});
}

#[test]
fn a_key_of_another_provider_is_refused() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 1_000));
		assert_ok!(Providers::bond(signed(2), 1_000));
		assert_ok!(set_key(1, 7));
		assert_noop!(set_key(2, 7), Error::<Test>::KeyTaken);
	});
}

#[test]
fn a_proof_for_another_owner_or_chain_or_key_is_refused() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(2), 1_000));
		let theirs = pair(7).sign(&possession_message(&GENESIS, &1u64));
		let elsewhere = pair(7).sign(&possession_message(&[0xcd; 32], &2u64));
		let other = pair(8).sign(&possession_message(&GENESIS, &2u64));
		for proof in [theirs, elsewhere, other] {
			assert_noop!(
				Providers::set_inference_key(signed(2), key(7), proof),
				Error::<Test>::BadProof
			);
		}
	});
}

#[test]
fn a_replaced_key_can_be_registered_by_others() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 1_000));
		assert_ok!(Providers::bond(signed(2), 1_000));
		assert_ok!(set_key(1, 7));
		assert_ok!(set_key(1, 8));
		assert_eq!(
			(Providers::key_of(&1), Providers::owner_of(&key(7))),
			(Some(key(8)), None)
		);
		assert_ok!(set_key(2, 7));
	});
}
