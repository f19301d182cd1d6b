//! After registration: prices, retirement, removal.

use super::*;
use crate::{Error, Event, HoldReason};
use assay_primitives::traits::ModelCatalog;
use frame_support::{assert_noop, assert_ok, traits::fungible::InspectHold};

const MODEL: ModelId = ModelId([7; 32]);

fn signed(who: u64) -> RuntimeOrigin {
	RuntimeOrigin::signed(who)
}

#[test]
fn only_the_owner_sets_prices() {
	build_and_execute(|| {
		assert_noop!(
			Models::update_price(signed(1), MODEL, 9, 9),
			Error::<Test>::UnknownModel
		);
		assert_ok!(register(1, registration(7)));
		assert_noop!(Models::update_price(signed(2), MODEL, 9, 9), Error::<Test>::NotOwner);
		assert_ok!(Models::update_price(signed(1), MODEL, 0, 11));
		let terms = <Models as ModelCatalog<u64>>::terms(&MODEL).unwrap();
		assert_eq!((terms.price_in, terms.price_out), (0, 11));
		System::assert_last_event(
			Event::PriceUpdated {
				model: MODEL,
				price_in: 0,
				price_out: 11,
			}
			.into(),
		);
	});
}

#[test]
fn a_retired_model_stays_readable_and_cannot_be_changed() {
	build_and_execute(|| {
		assert_ok!(register(1, registration(7)));
		assert_noop!(Models::retire(signed(2), MODEL), Error::<Test>::NotOwner);
		assert_ok!(Models::retire(signed(1), MODEL));
		System::assert_last_event(
			Event::Retired {
				model: MODEL,
				removable_at: 11,
			}
			.into(),
		);
		assert!(<Models as ModelCatalog<u64>>::terms(&MODEL).unwrap().retired);
		assert_noop!(Models::retire(signed(1), MODEL), Error::<Test>::Retired);
		assert_noop!(Models::update_price(signed(1), MODEL, 9, 9), Error::<Test>::Retired);
		assert_noop!(register(2, registration(7)), Error::<Test>::AlreadyRegistered);
	});
}

#[test]
fn the_deposit_comes_back_when_the_entry_is_removed() {
	build_and_execute(|| {
		assert_ok!(register(1, registration(7)));
		assert_ok!(register(1, registration(8)));
		let deposit = Models::deposit_of(&registration(7));
		assert_noop!(Models::remove(signed(1), MODEL), Error::<Test>::NotRetired);
		assert_ok!(Models::retire(signed(1), MODEL));
		System::set_block_number(10);
		assert_noop!(Models::remove(signed(1), MODEL), Error::<Test>::StillRetained);
		System::set_block_number(11);
		assert_noop!(Models::remove(signed(2), MODEL), Error::<Test>::NotOwner);
		assert_ok!(Models::remove(signed(1), MODEL));
		System::assert_last_event(
			Event::Removed {
				model: MODEL,
				owner: 1,
				deposit,
			}
			.into(),
		);
		assert_eq!(Balances::balance_on_hold(&HoldReason::Registration.into(), &1), deposit);
		assert_noop!(Models::remove(signed(1), MODEL), Error::<Test>::UnknownModel);
		// The root can be registered again: whoever does so owns it.
		assert_ok!(register(2, registration(7)));
	});
}
