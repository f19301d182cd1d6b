//! The examples of the pallet's documentation.

use super::*;
use crate::HoldReason;
use assay_primitives::traits::ModelCatalog;
use frame_support::{assert_ok, traits::fungible::InspectHold};

#[docify::export]
#[test]
fn a_registration_holds_a_deposit() {
	build_and_execute(|| {
		let (owner, registration) = (1, registration(7));
		let (model, deposit) = (registration.id, Models::deposit_of(&registration));
		assert_ok!(Models::register(RuntimeOrigin::signed(owner), registration));

		let held = Balances::balance_on_hold(&HoldReason::Registration.into(), &owner);
		assert_eq!(held, deposit);
		let terms = <Models as ModelCatalog<u64>>::terms(&model).expect("the model is registered");
		assert!(!terms.retired);
	});
}

#[docify::export]
#[test]
fn a_retired_model_is_removed_after_the_retention() {
	build_and_execute(|| {
		let (owner, registration) = (1, registration(7));
		let model = registration.id;
		assert_ok!(Models::register(RuntimeOrigin::signed(owner), registration));

		// From now on the model takes no new jobs.
		assert_ok!(Models::retire(RuntimeOrigin::signed(owner), model));
		System::set_block_number(System::block_number() + PARAMS.retention);
		assert_ok!(Models::remove(RuntimeOrigin::signed(owner), model));

		let held = Balances::balance_on_hold(&HoldReason::Registration.into(), &owner);
		assert_eq!(held, 0);
	});
}
