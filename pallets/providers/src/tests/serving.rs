//! Serving: which models, how many jobs, and who can be drawn.

use super::*;
use crate::{Error, Event, MAX_CAPACITY, MAX_MODELS};
use assay_primitives::{limits::MAX_PROVIDERS_PER_MODEL, traits::ProviderSet};
use frame_support::{assert_noop, assert_ok};

#[test]
fn a_provider_serves_models_of_the_catalog() {
	build_and_execute(|| {
		assert_noop!(Providers::serve(signed(1), model(1)), Error::<Test>::NotBonded);
		assert_ok!(Providers::bond(signed(1), 1_000));
		assert_noop!(Providers::serve(signed(1), model(100)), Error::<Test>::UnknownModel);
		assert_noop!(Providers::serve(signed(1), model(200)), Error::<Test>::RetiredModel);
		assert_ok!(Providers::serve(signed(1), model(1)));
		System::assert_last_event(
			Event::ServingStarted {
				provider: 1,
				model: model(1),
			}
			.into(),
		);
		assert_noop!(Providers::serve(signed(1), model(1)), Error::<Test>::AlreadyServing);
		assert_ok!(Providers::serve(signed(1), model(2)));
		assert_eq!(Providers::serves(&1), vec![model(1), model(2)]);
	});
}

#[test]
fn a_provider_stops_serving_what_it_serves() {
	build_and_execute(|| {
		assert_noop!(Providers::stop_serving(signed(1), model(1)), Error::<Test>::NotBonded);
		ready(1, 1_000);
		assert_noop!(Providers::stop_serving(signed(1), model(2)), Error::<Test>::NotServing);
		assert_ok!(Providers::stop_serving(signed(1), model(1)));
		System::assert_last_event(
			Event::ServingStopped {
				provider: 1,
				model: model(1),
			}
			.into(),
		);
		assert!(candidates().is_empty());
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
			assert_ok!(Providers::serve(signed(1), model(id)));
		}
		assert_noop!(Providers::serve(signed(1), model(40)), Error::<Test>::TooManyModels);
	});
}

#[test]
fn a_model_has_a_bounded_number_of_providers() {
	new_test_ext().execute_with(|| {
		assert_ok!(Providers::bond(signed(1), 1_000));
		let all: Vec<u64> = (1_000..1_000 + u64::from(MAX_PROVIDERS_PER_MODEL)).collect();
		crate::Serving::<Test>::insert(model(1), frame_support::BoundedVec::truncate_from(all));
		assert_noop!(Providers::serve(signed(1), model(1)), Error::<Test>::TooManyForModel);
	});
}

#[test]
fn a_candidate_is_bonded_keyed_serving_alive_and_free() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 1_000));
		assert_ok!(Providers::serve(signed(1), model(1)));
		Providers::mark_alive(&1);
		assert!(candidates().is_empty(), "without a key");
		assert_ok!(set_key(1, 1));
		assert_eq!(candidates(), vec![(1, 1_000)]);

		assert_ok!(Providers::set_capacity(signed(1), 2));
		Providers::engage(&1);
		assert_eq!(candidates().len(), 1, "capacity for one more");
		Providers::engage(&1);
		assert!(candidates().is_empty(), "no free capacity");
		Providers::release(&1);
		assert_eq!(candidates().len(), 1, "free capacity again");
		assert_ok!(Providers::set_capacity(signed(1), 0));
		assert!(candidates().is_empty(), "it pauses");
		Providers::release(&1);
		Providers::release(&1);
		assert_eq!(record(1).load, 0, "the load does not underflow");
	});
}

#[test]
fn a_silent_provider_is_not_drawn_until_its_next_heartbeat() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 1_000));
		assert!(!Providers::heartbeat_due(&1), "there is nothing to be drawn for");
		assert_ok!(set_key(1, 1));
		assert_ok!(Providers::serve(signed(1), model(1)));
		assert!(candidates().is_empty() && Providers::heartbeat_due(&1), "never seen");
		Providers::mark_alive(&1);
		assert!(candidates().len() == 1 && !Providers::heartbeat_due(&1));
		System::set_block_number(1 + PARAMS.heartbeat_interval);
		assert!(
			candidates().len() == 1 && Providers::heartbeat_due(&1),
			"due before it is missed"
		);
		System::set_block_number(1 + PARAMS.offline_after);
		assert_eq!(candidates().len(), 1);
		System::set_block_number(2 + PARAMS.offline_after);
		assert!(candidates().is_empty(), "offline");
		Providers::mark_alive(&1);
		assert_eq!(candidates().len(), 1);
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
		ready(1, 3_000);
		ready(2, 2_000);
		Providers::engage(&2);
		let views = Providers::providers_of(model(1));
		let facts: Vec<_> = views
			.iter()
			.map(|v| (v.provider, v.bond, v.capacity, v.load, v.available))
			.collect();
		assert_eq!(facts, vec![(1, 3_000, 1, 0, true), (2, 2_000, 1, 1, false)]);
		assert!(Providers::providers_of(model(9)).is_empty());
	});
}

#[test]
fn accounts_without_a_bond_change_nothing() {
	build_and_execute(|| {
		Providers::engage(&5);
		Providers::release(&5);
		Providers::mark_alive(&5);
		assert_eq!(crate::Providers::<Test>::count(), 0);
		assert!(Providers::serves(&5).is_empty() && !Providers::heartbeat_due(&5));
	});
}
