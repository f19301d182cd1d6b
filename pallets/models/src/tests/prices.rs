//! New prices: their bounds, and when they are in force.

use super::*;
use crate::{Error, Event};
use assay_primitives::traits::ModelCatalog;
use frame_support::{assert_noop, assert_ok};

fn prices() -> (u128, u128) {
	let (_, terms) = <Models as ModelCatalog<u64>>::listing(FIRST).expect("a listing");
	let listed = <Models as ModelCatalog<u64>>::listings(&model(7).0).expect("a model");
	assert_eq!(listed[0], terms);
	(terms.prices.price_in, terms.prices.price_out)
}

fn update(who: u64, price_in: u128, price_out: u128) -> DispatchResult {
	Models::update_price(signed(who), FIRST, price_in, price_out)
}

#[test]
fn new_prices_are_in_force_after_the_delay() {
	build_and_execute(|| {
		assert_noop!(update(1, 4, 4), Error::<Test>::UnknownListing);
		assert_ok!(register(1, 7));
		assert_noop!(update(2, 4, 4), Error::<Test>::NotOwner);
		assert_ok!(update(1, 6, 3));
		System::assert_last_event(
			Event::PriceUpdated {
				listing: FIRST,
				prices: terms(6, 3).prices,
				at: 21,
			}
			.into(),
		);
		assert_eq!(Models::listing_view(FIRST).unwrap().next_prices.unwrap().at, 21);
		System::set_block_number(20);
		assert_eq!(prices(), (3, 5));
		System::set_block_number(21);
		assert_eq!(prices(), (6, 3));
		assert_eq!(Models::listing_view(FIRST).unwrap().next_prices, None);
	});
}

#[test]
fn a_second_change_replaces_the_first_and_waits_again() {
	build_and_execute(|| {
		assert_ok!(register(1, 7));
		assert_ok!(update(1, 6, 10));
		System::set_block_number(20);
		// Measured by the prices in force, not by those that wait.
		assert_noop!(update(1, 7, 10), Error::<Test>::PriceStepTooLarge);
		assert_ok!(update(1, 2, 10));
		System::set_block_number(39);
		assert_eq!(prices(), (3, 5));
		System::set_block_number(40);
		assert_eq!(prices(), (2, 10));
		// What is in force now stays in force until the next change is.
		assert_ok!(update(1, 4, 20));
		System::set_block_number(59);
		assert_eq!(prices(), (2, 10));
		System::set_block_number(60);
		assert_eq!(prices(), (4, 20));
	});
}

#[test]
fn prices_have_bounds() {
	build_and_execute(|| {
		let most = PARAMS.prices.most;
		let registered = |prices| Models::register(signed(1), model(7).1, prices);
		assert_noop!(registered(terms(most + 1, 0)), Error::<Test>::PriceTooHigh);
		assert_noop!(registered(terms(0, most + 1)), Error::<Test>::PriceTooHigh);
		assert_ok!(registered(terms(most, 0)));
		assert_noop!(update(1, most + 1, 0), Error::<Test>::PriceTooHigh);
		assert_noop!(update(1, most / 2 - 1, 0), Error::<Test>::PriceStepTooLarge);
		assert_noop!(update(1, most, 5), Error::<Test>::PriceStepTooLarge);
		assert_ok!(update(1, most / 2, 4));
		assert_noop!(
			Models::list(signed(2), model(7).0, terms(most + 1, 0), 0),
			Error::<Test>::PriceTooHigh
		);
	});
}
