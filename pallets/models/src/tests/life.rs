//! After the listing: retirement and removal.

use super::*;
use crate::{Error, Event, HoldReason};
use assay_primitives::traits::ModelCatalog;
use frame_support::{assert_noop, assert_ok, traits::fungible::InspectHold};

fn active(n: u8) -> Vec<u32> {
	let listings = <Models as ModelCatalog<u64>>::listings(&model(n).0).unwrap();
	listings.iter().map(|terms| terms.listing.0).collect()
}

#[test]
fn a_retired_listing_stays_readable_and_cannot_be_changed() {
	build_and_execute(|| {
		assert_noop!(Models::retire(signed(1), FIRST), Error::<Test>::UnknownListing);
		assert_ok!(register(1, 7));
		assert_noop!(Models::retire(signed(2), FIRST), Error::<Test>::NotOwner);
		assert_ok!(Models::retire(signed(1), FIRST));
		System::assert_last_event(
			Event::Retired {
				listing: FIRST,
				model: model(7).0,
				removable_at: 11,
			}
			.into(),
		);
		let (id, terms) = <Models as ModelCatalog<u64>>::listing(FIRST).unwrap();
		assert!(terms.retired && id == model(7).0);
		assert!(active(7).is_empty());
		assert_noop!(Models::retire(signed(1), FIRST), Error::<Test>::Retired);
		assert_noop!(Models::update_price(signed(1), FIRST, 4, 6), Error::<Test>::Retired);
	});
}

#[test]
fn a_retirement_stops_that_listing_and_no_other() {
	build_and_execute(|| {
		assert_ok!(register(1, 7));
		assert_ok!(list(2, 7, 0));
		assert_ok!(list(1, 7, 0));
		assert_ok!(Models::retire(signed(1), FIRST));
		assert_eq!(active(7), [1, 2]);
		// Also with all of them retired the model stays, and can be listed again.
		assert_ok!(Models::retire(signed(2), ListingId(1)));
		assert_ok!(Models::retire(signed(1), ListingId(2)));
		assert_noop!(register(3, 7), Error::<Test>::AlreadyRegistered);
		assert_ok!(list(3, 7, 0));
		assert_eq!(active(7), [3]);
	});
}

#[test]
fn the_deposit_comes_back_when_the_listing_is_removed() {
	build_and_execute(|| {
		assert_ok!(register(1, 7));
		assert_ok!(register(1, 8));
		let deposit = least_deposit();
		assert_noop!(Models::remove(signed(1), FIRST), Error::<Test>::NotRetired);
		assert_ok!(Models::retire(signed(1), FIRST));
		System::set_block_number(10);
		assert_noop!(Models::remove(signed(1), FIRST), Error::<Test>::StillRetained);
		System::set_block_number(11);
		assert_noop!(Models::remove(signed(2), FIRST), Error::<Test>::NotOwner);
		assert_ok!(Models::remove(signed(1), FIRST));
		System::assert_last_event(
			Event::Removed {
				listing: FIRST,
				model: model(7).0,
				owner: 1,
				deposit,
			}
			.into(),
		);
		assert_eq!(Balances::balance_on_hold(&HoldReason::Listing.into(), &1), deposit);
		assert_noop!(Models::remove(signed(1), FIRST), Error::<Test>::UnknownListing);
	});
}

#[test]
fn a_model_leaves_the_catalog_with_its_last_listing() {
	build_and_execute(|| {
		assert_ok!(register(1, 7));
		assert_ok!(list(2, 7, 0));
		for (owner, listing) in [(1, FIRST), (2, ListingId(1))] {
			assert!(crate::Models::<Test>::contains_key(model(7).0));
			assert_ok!(Models::retire(signed(owner), listing));
			System::set_block_number(System::block_number() + PARAMS.retention);
			assert_ok!(Models::remove(signed(owner), listing));
		}
		assert!(<Models as ModelCatalog<u64>>::listings(&model(7).0).is_none());
		assert_noop!(list(3, 7, 0), Error::<Test>::UnknownModel);
		// No name of a listing is given twice.
		assert_ok!(register(3, 7));
		assert_eq!(active(7), [2]);
	});
}
