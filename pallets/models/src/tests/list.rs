//! Listing a registered model, and what happens when its list is full.

use super::*;
use crate::{Error, Event, HoldReason, ListingOf, Listings};
use assay_primitives::limits::MAX_LISTINGS;
use frame_support::{
	assert_noop, assert_ok,
	traits::fungible::{InspectHold, Mutate},
};
use proptest::prelude::*;

fn fill(owner: u64, deposit: u128) {
	Balances::set_balance(&owner, 1 << 60);
	assert_ok!(register(owner, 7));
	for _ in 1..MAX_LISTINGS {
		assert_ok!(list(owner, 7, deposit));
	}
}

fn listing(id: u32) -> ListingOf<Test> {
	Listings::<Test>::get(ListingId(id)).expect("a listing")
}

#[test]
fn a_listing_has_its_own_terms_and_its_own_deposit() {
	build_and_execute(|| {
		assert_noop!(list(2, 7, 0), Error::<Test>::UnknownModel);
		assert_ok!(register(1, 7));
		assert_ok!(list(2, 7, 0));
		assert_ok!(list(2, 7, 9_000));
		System::assert_last_event(
			Event::Listed {
				listing: ListingId(2),
				model: model(7).0,
				owner: 2,
				prices: terms(4, 6).prices,
				deposit: 9_000,
			}
			.into(),
		);
		let held = Balances::balance_on_hold(&HoldReason::Listing.into(), &2);
		assert_eq!(held, least_deposit() + 9_000);
		assert_eq!(
			(listing(1).prices, listing(1).deposit),
			(terms(4, 6).prices, least_deposit())
		);
	});
}

#[test]
fn a_full_list_keeps_nobody_out_who_offers_twice_the_smallest_deposit() {
	build_and_execute(|| {
		fill(1, 5_000);
		let smallest = listing(0).deposit;
		Balances::set_balance(&2, 1 << 60);
		assert_noop!(list(2, 7, 0), Error::<Test>::DepositTooSmall);
		assert_noop!(list(2, 7, 2 * smallest - 1), Error::<Test>::DepositTooSmall);
		assert_ok!(list(2, 7, 2 * smallest));
		assert_eq!(listing(0).retired_at, Some(1), "the smallest deposit makes way");
		assert_eq!(listing(MAX_LISTINGS).owner, 2);
		// That is the smallest now; then, among equals, the youngest makes way.
		assert_ok!(list(3, 7, 10_000));
		assert!(listing(MAX_LISTINGS).retired_at.is_some());
		assert_ok!(list(3, 7, 10_000));
		assert!(listing(MAX_LISTINGS - 1).retired_at.is_some() && listing(1).retired_at.is_none());
		// Whoever made way gets the deposit back as after any retirement.
		System::set_block_number(1 + PARAMS.retention);
		assert_ok!(Models::remove(signed(1), FIRST));
	});
}

#[test]
fn who_wants_all_places_pays_for_all_of_them() {
	build_and_execute(|| {
		fill(1, 0);
		Balances::set_balance(&2, 1 << 60);
		assert_ok!(list(2, 7, 20_000));
		// To drive the one listing out, every place must have at least its deposit.
		let mut held = 0;
		while listing(MAX_LISTINGS).retired_at.is_none() {
			assert_ok!(list(1, 7, 40_000));
			held += 40_000;
		}
		assert_eq!(held, 40_000 * u128::from(MAX_LISTINGS));
	});
}

#[test]
fn a_listing_that_cannot_be_paid_displaces_nobody() {
	build_and_execute(|| {
		fill(1, 0);
		assert_noop!(list(2, 7, 1 << 50), sp_runtime::TokenError::FundsUnavailable);
	});
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

	#[test]
	fn money_is_conserved_whatever_anybody_does(
		actions in prop::collection::vec((0u8..6, 1u64..4, 0u8..3, 0u32..24, 0u128..30_000), 0..120),
	) {
		build_and_execute(|| {
			let issued = Balances::total_issuance();
			for (action, who, n, id, amount) in actions {
				let (origin, id) = (signed(who), ListingId(id));
				// Refused or not: a refusal changes nothing, which the state's check would find.
				let _ = match action {
					0 => Models::register(origin, model(n).1, terms(amount, 1)),
					1 => Models::list(origin, model(n).0, terms(1, amount), amount),
					2 => Models::update_price(origin, id, amount, amount),
					3 => Models::retire(origin, id),
					4 => Models::remove(origin, id),
					_ => {
						System::set_block_number(System::block_number() + 3);
						Ok(())
					}
				};
				Models::do_try_state().expect("a consistent state");
			}
			assert_eq!(Balances::total_issuance(), issued);
		});
	}
}
