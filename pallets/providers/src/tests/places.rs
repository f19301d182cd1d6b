//! Places and work: who can execute a job now, and until when work must be done.

use super::*;
use assay_primitives::rules::{work_blocks, BASE_BLOCKS, HEARTBEAT_AGE};
use frame_support::assert_ok;

#[test]
fn a_provider_has_as_many_places_as_its_capacity() {
	build_and_execute(|| {
		join(1, 1_000);
		let free = || Providers::has_free_place(&1, &model(1));
		assert_ok!(Providers::set_capacity(signed(1), 2));
		Providers::engage(&1, 1);
		assert!(free(), "a place for one more");
		Providers::engage(&1, 1);
		assert!(!free());
		Providers::release(&1, 0);
		assert!(free());
		assert_ok!(Providers::set_capacity(signed(1), 0));
		assert!(!free(), "it only verifies");
		Providers::release(&1, 0);
		Providers::release(&1, 0);
		assert_eq!(record(1).load, 0, "the load does not underflow");
	});
}

#[test]
fn a_place_is_free_only_for_a_served_model_and_while_alive() {
	build_and_execute(|| {
		join(1, 1_000);
		assert!(Providers::has_free_place(&1, &model(1)));
		assert!(!Providers::has_free_place(&1, &model(2)) && !Providers::has_free_place(&2, &model(1)));
		System::set_block_number(1 + u64::from(HEARTBEAT_AGE));
		assert!(Providers::has_free_place(&1, &model(1)));
		System::set_block_number(2 + u64::from(HEARTBEAT_AGE));
		assert!(!Providers::has_free_place(&1, &model(1)));
	});
}

#[test]
fn work_is_due_behind_what_was_given_before() {
	build_and_execute(|| {
		join(1, 1_000);
		assert_eq!(Providers::give_work(&1, 300), BASE_BLOCKS + 1);
		assert_eq!(Providers::engage(&1, 600), BASE_BLOCKS + 3);
		assert_eq!(Providers::give_work(&1, 1), BASE_BLOCKS + 4);
		System::set_block_number(3);
		assert_eq!(
			Providers::give_work(&1, 1),
			BASE_BLOCKS + 2,
			"two blocks of it are done"
		);
		System::set_block_number(99);
		assert_eq!(Providers::give_work(&1, 300), BASE_BLOCKS + 1);
		assert_eq!(record(1).load, 1, "only an executor's work takes a place");
	});
}

#[test]
fn work_that_is_not_needed_is_not_reckoned_any_more() {
	build_and_execute(|| {
		join(1, 1_000);
		let speed = u64::from(Params::get().least_speed);
		assert_eq!(Providers::engage(&1, 100 * speed), BASE_BLOCKS + 100);
		System::set_block_number(4);
		Providers::release(&1, 99 * speed);
		// Three blocks are over. Six that it may have idled are not given back.
		assert_eq!(Providers::give_work(&1, speed), BASE_BLOCKS + 100 - 3 - 93 + 1);
		System::set_block_number(5);
		Providers::release(&1, 1_000 * speed);
		assert_eq!(
			Providers::give_work(&1, speed),
			BASE_BLOCKS + 1,
			"no more than there was"
		);
	});
}

#[test]
fn work_of_somebody_who_left_is_due_as_if_it_were_the_only_one() {
	build_and_execute(|| {
		let alone = work_blocks(0, 900, PARAMS.least_speed);
		assert_eq!(Providers::blocks_for(900), alone);
		assert_eq!(
			(Providers::engage(&5, 900), Providers::give_work(&5, 900)),
			(alone, alone)
		);
		assert_eq!(crate::Providers::<Test>::count(), 0);
	});
}
