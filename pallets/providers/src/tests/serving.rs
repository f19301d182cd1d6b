//! Serving: which models, how many jobs, and who is eligible.

use super::*;
use crate::{Error, Event, MAX_CAPACITY, MAX_MODELS};
use assay_primitives::{limits::MAX_PROVIDERS_PER_MODEL, rules::HEARTBEAT_AGE};
use frame_support::{assert_noop, assert_ok, traits::fungible::Mutate};

#[test]
fn a_provider_serves_models_of_the_catalog() {
	build_and_execute(|| {
		assert_noop!(
			Providers::serve(signed(1), model(1), Prices::default()),
			Error::<Test>::NotBonded
		);
		assert_ok!(Providers::bond(signed(1), 1_000));
		assert_noop!(
			Providers::serve(signed(1), model(100), Prices::default()),
			Error::<Test>::UnknownModel
		);
		assert_noop!(
			Providers::serve(signed(1), model(200), Prices::default()),
			Error::<Test>::RetiredModel
		);
		assert_ok!(Providers::serve(signed(1), model(1), Prices::default()));
		System::assert_last_event(
			Event::ServingStarted {
				provider: 1,
				model: model(1),
			}
			.into(),
		);
		assert_noop!(
			Providers::serve(signed(1), model(1), Prices::default()),
			Error::<Test>::AlreadyServing
		);
		assert_ok!(Providers::serve(signed(1), model(2), Prices::default()));
		assert_eq!(Providers::serves(&1), vec![model(1), model(2)]);
	});
}

#[test]
fn a_provider_stops_serving_what_it_serves() {
	build_and_execute(|| {
		assert_noop!(Providers::stop_serving(signed(1), model(1)), Error::<Test>::NotBonded);
		join(1, 1_000);
		assert_noop!(Providers::stop_serving(signed(1), model(2)), Error::<Test>::NotServing);
		assert_ok!(Providers::stop_serving(signed(1), model(1)));
		System::assert_last_event(
			Event::ServingStopped {
				provider: 1,
				model: model(1),
			}
			.into(),
		);
		assert!(eligible().is_empty());
		assert!(
			!crate::Serving::<Test>::contains_key(model(1)),
			"an empty list is not stored"
		);
	});
}

#[test]
fn a_provider_serves_a_bounded_number_of_models() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 1_000));
		for id in 1..=MAX_MODELS as u8 {
			assert_ok!(Providers::serve(signed(1), model(id), Prices::default()));
		}
		assert_noop!(
			Providers::serve(signed(1), model(40), Prices::default()),
			Error::<Test>::TooManyModels
		);
	});
}

/// Fills the list of model 1 with providers, who bond 2 000 each but the last, who bonds 1 500. Returns the last.
fn fill_model() -> u64 {
	let last = 999 + u64::from(MAX_PROVIDERS_PER_MODEL);
	for who in 1_000..=last {
		Balances::mint_into(&who, 10_000).unwrap();
		assert_ok!(Providers::bond(signed(who), if who == last { 1_500 } else { 2_000 }));
		assert_ok!(Providers::serve(signed(who), model(1), Prices::default()));
	}
	last
}

#[test]
fn a_model_has_a_bounded_number_of_providers() {
	new_test_ext().execute_with(|| {
		fill_model();
		assert_ok!(Providers::bond(signed(1), 1_500));
		assert_noop!(
			Providers::serve(signed(1), model(1), Prices::default()),
			Error::<Test>::TooManyForModel
		);
	});
}

#[test]
fn a_larger_bond_takes_the_place_of_the_smallest() {
	new_test_ext().execute_with(|| {
		let smallest = fill_model();
		assert_ok!(Providers::bond(signed(1), 1_501));
		assert_ok!(Providers::serve(signed(1), model(1), Prices::default()));
		System::assert_has_event(
			Event::ServingStopped {
				provider: smallest,
				model: model(1),
			}
			.into(),
		);
		assert!(Providers::serves(&smallest).is_empty());
		let serving = crate::Serving::<Test>::get(model(1));
		assert!(serving.len() == MAX_PROVIDERS_PER_MODEL as usize && serving.contains(&1));
		Providers::do_try_state().unwrap();
	});
}

#[test]
fn an_eligible_provider_is_bonded_keyed_serving_and_alive() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 1_000));
		assert_ok!(Providers::serve(signed(1), model(1), Prices::default()));
		Providers::mark_alive(&1);
		assert!(eligible().is_empty(), "without a key");
		assert_ok!(set_key(1, 1));
		assert_eq!(eligible(), vec![(1, 1_000)]);
		assert_ok!(Providers::stop_serving(signed(1), model(1)));
		assert!(eligible().is_empty(), "not serving");
	});
}

#[test]
fn a_silent_provider_is_not_eligible_until_its_next_heartbeat() {
	build_and_execute(|| {
		let (due, offline) = (1 + PARAMS.heartbeat_interval, 2 + u64::from(HEARTBEAT_AGE));
		assert_ok!(Providers::bond(signed(1), 1_000));
		assert_ok!(set_key(1, 1));
		assert!(!Providers::heartbeat_due(&1), "there is nothing to be drawn for");
		assert_ok!(Providers::serve(signed(1), model(1), Prices::default()));
		assert!(eligible().is_empty() && Providers::heartbeat_due(&1), "never seen");
		Providers::mark_alive(&1);
		assert!(eligible().len() == 1 && !Providers::heartbeat_due(&1));
		System::set_block_number(due - 1);
		assert!(!Providers::heartbeat_due(&1));
		System::set_block_number(due);
		assert!(
			eligible().len() == 1 && Providers::heartbeat_due(&1),
			"due before it is missed"
		);
		System::set_block_number(offline - 1);
		assert_eq!(eligible().len(), 1);
		System::set_block_number(offline);
		assert!(eligible().is_empty(), "offline");
		Providers::mark_alive(&1);
		assert_eq!(eligible().len(), 1);
	});
}

#[test]
fn capacity_has_a_limit() {
	build_and_execute(|| {
		assert_noop!(Providers::set_capacity(signed(1), 1), Error::<Test>::NotBonded);
		assert_ok!(Providers::bond(signed(1), 1_000));
		assert_eq!(record(1).capacity, 1);
		assert_noop!(
			Providers::set_capacity(signed(1), MAX_CAPACITY + 1),
			Error::<Test>::CapacityTooHigh
		);
		assert_ok!(Providers::set_capacity(signed(1), MAX_CAPACITY));
		System::assert_last_event(
			Event::CapacitySet {
				provider: 1,
				capacity: MAX_CAPACITY,
			}
			.into(),
		);
	});
}

#[test]
fn clients_see_who_serves_a_model_and_who_could_be_drawn() {
	build_and_execute(|| {
		join(1, 3_000);
		join(2, 2_000);
		run_to(52);
		assert_ok!(Providers::bond_extra(signed(1), 500));
		join(3, 4_000);
		Providers::engage(&2, 1);
		let facts: Vec<_> = Providers::providers_of(model(1))
			.iter()
			.map(|v| (v.provider, v.bond, v.sealed, v.load, v.ready, v.available))
			.collect();
		let expected = vec![
			(1, 3_500, 3_000, 0, true, true),
			(2, 2_000, 2_000, 1, true, false),
			(3, 4_000, 0, 0, true, true),
		];
		assert_eq!(facts, expected);
		System::set_block_number(102);
		assert!(Providers::providers_of(model(1))
			.iter()
			.all(|v| v.ready == (v.provider == 3)));
		assert!(Providers::providers_of(model(9)).is_empty());
	});
}

#[test]
fn accounts_without_a_bond_change_nothing() {
	build_and_execute(|| {
		Providers::engage(&5, 1);
		Providers::release(&5, 0);
		Providers::mark_alive(&5);
		assert_eq!(crate::Providers::<Test>::count(), 0);
		assert!(Providers::serves(&5).is_empty() && !Providers::heartbeat_due(&5));
	});
}
