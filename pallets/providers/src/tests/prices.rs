//! Least prices: when they count, and for what.

use super::*;
use crate::{Error, Event, LeastPrices};
use assay_primitives::draw::willing;
use frame_support::{assert_noop, assert_ok};

fn least(price_in: u128, price_out: u128) -> Prices {
	Prices { price_in, price_out }
}

/// Returns the members of model 1 that execute at these prices.
fn executing(price_in: u128, price_out: u128) -> Vec<u64> {
	let sealed = Providers::sealed(&model(1));
	willing(&sealed, &least(price_in, price_out))
		.map(|member| member.who)
		.collect()
}

#[test]
fn a_least_price_counts_from_the_next_seal_on() {
	build_and_execute(|| {
		join(1, 5_000);
		join(2, 4_000);
		run_to(52);
		assert_eq!(executing(0, 0), [1, 2], "no least price");
		assert_ok!(Providers::set_least_price(signed(1), model(1), least(3, 7)));
		System::assert_last_event(
			Event::LeastPriceSet {
				provider: 1,
				model: model(1),
				least: least(3, 7),
			}
			.into(),
		);
		// Sealed in block 52, before the change.
		(1..=2).for_each(|who| Providers::mark_alive(&who));
		run_to(102);
		assert_eq!(executing(0, 0), [1, 2]);
		(1..=2).for_each(|who| Providers::mark_alive(&who));
		run_to(152);
		assert_eq!(
			(executing(3, 6), executing(2, 7), executing(3, 7)),
			(vec![2], vec![2], vec![1, 2])
		);
		// It is drawn to check whatever the price.
		assert_eq!(electorate(1), [(1, 5_000), (2, 4_000)]);
		// A price that was raised after the seal changes nothing.
		assert_ok!(Providers::set_least_price(signed(1), model(1), least(100, 100)));
		assert_eq!(executing(3, 7), [1, 2]);
	});
}

#[test]
fn only_who_serves_a_model_has_a_least_price_for_it() {
	build_and_execute(|| {
		let set = |id| Providers::set_least_price(signed(1), model(id), least(1, 1));
		assert_noop!(set(1), Error::<Test>::NotBonded);
		assert_ok!(Providers::bond(signed(1), 1_000));
		assert_noop!(set(1), Error::<Test>::NotServing);
		assert_ok!(Providers::serve(signed(1), model(1), least(2, 2)));
		assert_noop!(set(2), Error::<Test>::NotServing);
		assert_eq!(LeastPrices::<Test>::get(model(1)).get(&1), Some(&least(2, 2)));
		assert_ok!(set(1));
		assert_ok!(Providers::stop_serving(signed(1), model(1)));
		assert!(!LeastPrices::<Test>::contains_key(model(1)), "nothing is left");
	});
}

#[test]
fn a_price_of_zero_is_not_stored() {
	build_and_execute(|| {
		join(1, 1_000);
		assert!(!LeastPrices::<Test>::contains_key(model(1)));
		assert_ok!(Providers::set_least_price(signed(1), model(1), least(0, 1)));
		let views = Providers::providers_of(model(1));
		assert_eq!(views[0].least, least(0, 1));
		assert_ok!(Providers::set_least_price(signed(1), model(1), least(0, 0)));
		assert!(!LeastPrices::<Test>::contains_key(model(1)));
	});
}

#[test]
fn who_unbonds_everything_leaves_no_price() {
	build_and_execute(|| {
		join(1, 1_000);
		join(2, 1_000);
		assert_ok!(Providers::set_least_price(signed(1), model(1), least(5, 5)));
		assert_ok!(Providers::set_least_price(signed(2), model(1), least(6, 6)));
		assert_ok!(Providers::unbond(signed(1), 1_000));
		let left: Vec<u64> = LeastPrices::<Test>::get(model(1)).keys().copied().collect();
		assert_eq!(left, [2]);
	});
}
