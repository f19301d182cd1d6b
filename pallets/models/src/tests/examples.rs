//! The examples of the pallet's documentation.

use super::*;
use crate::HoldReason;
use assay_primitives::traits::ModelCatalog;
use frame_support::{assert_ok, traits::fungible::InspectHold};

#[docify::export]
#[test]
fn a_registration_proves_a_model_and_lists_it() {
	build_and_execute(|| {
		let (owner, (model, manifest)) = (1, model(7));
		assert_ok!(Models::register(RuntimeOrigin::signed(owner), manifest, terms(3, 5)));

		let held = Balances::balance_on_hold(&HoldReason::Listing.into(), &owner);
		assert_eq!(held, least_deposit());
		// The size was read from the manifest, not stated by the owner.
		let listings = <Models as ModelCatalog<u64>>::listings(&model).expect("the model is registered");
		assert_eq!((listings[0].parameters, listings[0].prices.price_in), (1_000_000, 3));
	});
}

#[docify::export]
#[test]
fn anybody_lists_a_registered_model() {
	build_and_execute(|| {
		let (model, manifest) = model(7);
		assert_ok!(Models::register(RuntimeOrigin::signed(1), manifest, terms(3, 5)));
		assert_ok!(Models::list(RuntimeOrigin::signed(2), model, terms(2, 4), 0));

		let listings = <Models as ModelCatalog<u64>>::listings(&model).expect("the model is registered");
		let offers: Vec<_> = listings
			.iter()
			.map(|terms| (terms.owner, terms.prices.price_in))
			.collect();
		assert_eq!(offers, [(1, 3), (2, 2)]);
	});
}

#[docify::export]
#[test]
fn a_retired_listing_is_removed_after_the_retention() {
	build_and_execute(|| {
		let (owner, (_, manifest)) = (1, model(7));
		assert_ok!(Models::register(RuntimeOrigin::signed(owner), manifest, terms(3, 5)));
		let listing = ListingId(0);

		// From now on the listing takes no new jobs.
		assert_ok!(Models::retire(RuntimeOrigin::signed(owner), listing));
		System::set_block_number(System::block_number() + PARAMS.retention);
		assert_ok!(Models::remove(RuntimeOrigin::signed(owner), listing));

		let held = Balances::balance_on_hold(&HoldReason::Listing.into(), &owner);
		assert_eq!(held, 0);
	});
}
