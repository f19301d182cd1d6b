//! Signs of life: what counts, when one is due, and what happens to the absent.

use super::*;
use crate::{AbsentSince, SessionStart, SignsOfLife};
use assay_primitives::{rules::PERIOD, traits::Penalties};
use frame_support::{assert_ok, traits::OnFinalize};
use pallet_session::SessionManager;

/// A quarter of the mock's session.
const DUE: u64 = 50;

fn new_session() -> Option<Vec<u64>> {
	let next = <Providers as SessionManager<u64>>::new_session(0);
	if let Some(next) = &next {
		Sitting::set(next);
	}
	next
}

fn author_block(author: u64) {
	System::set_block_number(System::block_number() + 1);
	Author::set(&Some(author));
	Providers::on_finalize(System::block_number());
	Author::set(&None);
}

#[test]
fn a_block_or_a_message_keeps_a_seat_and_silence_loses_it() {
	build_and_execute(|| {
		for who in 1..=3 {
			join(who, 5_000);
		}
		run_to(10);
		assert_eq!(new_session(), Some(vec![1, 2, 3]));
		run_to(100);
		author_block(1);
		Providers::mark_alive(&2);
		assert_eq!(new_session(), Some(vec![1, 2]), "the third was silent");
		// The engines of both are down, but their nodes run.
		run_to(200);
		author_block(1);
		Providers::note_sign_of_life(&2);
		assert_eq!(new_session(), None);
		// It returns as it left.
		run_to(300);
		for who in 1..=3 {
			Providers::note_sign_of_life(&who);
		}
		assert_eq!(new_session(), Some(vec![1, 2, 3]));
	});
}

#[test]
fn a_sign_of_life_makes_nobody_eligible() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 5_000));
		assert_ok!(set_key(1, 1));
		assert_ok!(Providers::serve(signed(1), model(1), Prices::default()));
		Providers::note_sign_of_life(&1);
		assert!(eligible().is_empty() && Providers::heartbeat_due(&1));
		assert_eq!(record(1).last_seen, None);
	});
}

#[test]
fn a_sign_of_life_is_due_once_a_session_of_those_that_could_validate() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 5_000));
		assert_ok!(Providers::bond(signed(9), 5_000));
		assert_ok!(set_key(9, 9));
		System::set_block_number(1 + DUE);
		assert!(!Providers::sign_of_life_due(&1), "it has no inference key");
		assert!(!Providers::sign_of_life_due(&9), "it has no session keys");
		assert!(!Providers::sign_of_life_due(&5), "it is no provider");
		assert_ok!(set_key(1, 1));
		// It serves nothing, and faults in inference do not matter.
		bank(Providers::slash(&1, assay_primitives::economics::Fault::FalseClaim));
		Providers::suspend(&1);
		assert!(Providers::sign_of_life_due(&1));
		Providers::note_sign_of_life(&1);
		assert!(!Providers::sign_of_life_due(&1));
		let start = 200;
		System::set_block_number(start);
		new_session();
		System::set_block_number(start + DUE - 1);
		assert!(!Providers::sign_of_life_due(&1), "it may still make a block");
		System::set_block_number(start + DUE);
		assert!(Providers::sign_of_life_due(&1));
		author_block(1);
		assert!(!Providers::sign_of_life_due(&1));
		crate::Providers::<Test>::mutate(1, |record| record.as_mut().unwrap().jailed_until = Some(9));
		SignsOfLife::<Test>::remove(1);
		assert!(!Providers::sign_of_life_due(&1), "it is in jail");
		Providers::lift(&1);
	});
}

#[test]
fn only_the_first_block_in_a_session_is_written_and_only_of_providers() {
	build_and_execute(|| {
		join(1, 5_000);
		author_block(1);
		let first = SignsOfLife::<Test>::get(1);
		assert_eq!(first, Some(System::block_number()));
		author_block(1);
		author_block(8);
		assert_eq!(
			(SignsOfLife::<Test>::get(1), SignsOfLife::<Test>::get(8)),
			(first, None)
		);
		run_to(50);
		new_session();
		assert_eq!(SessionStart::<Test>::get(), 50);
		author_block(1);
		assert_eq!(SignsOfLife::<Test>::get(1), Some(51));
	});
}

#[test]
fn who_unbonded_everything_leaves_with_the_others_and_jail_empties_a_seat_at_once() {
	build_and_execute(|| {
		for who in 1..=3 {
			join(who, 5_000);
		}
		run_to(10);
		assert_eq!(new_session(), Some(vec![1, 2, 3]));
		run_to(100);
		for who in 1..=3 {
			Providers::mark_alive(&who);
		}
		assert_ok!(Providers::unbond(signed(2), 5_000));
		for who in [1, 3] {
			crate::Providers::<Test>::mutate(who, |record| record.as_mut().unwrap().jailed_until = Some(999));
		}
		assert_eq!(new_session(), Some(vec![2]), "somebody must make blocks");
		crate::Providers::<Test>::mutate(3, |record| record.as_mut().unwrap().jailed_until = None);
		Providers::mark_alive(&3);
		assert_eq!(new_session(), Some(vec![3]));
	});
}

#[test]
fn who_is_not_eligible_for_long_loses_its_places_in_lists() {
	build_and_execute(|| {
		join(1, 5_000);
		join(2, 5_000);
		let listed = || crate::Serving::<Test>::get(model(1)).into_inner();
		let stay = |until: u64| {
			while System::block_number() < until {
				run_to(System::block_number() + 10);
				Providers::mark_alive(&1);
			}
		};
		stay(300);
		let since = AbsentSince::<Test>::get(2).expect("it was seen at a seal");
		assert!(AbsentSince::<Test>::get(1).is_none());
		stay(since + PARAMS.absence_limit - 10);
		assert_eq!(listed(), [1, 2]);
		stay(since + PARAMS.absence_limit + 2 * u64::from(PERIOD));
		assert_eq!(listed(), [1]);
		assert_eq!(record(2).models.len(), 0);
		assert_eq!(record(2).bond, 5_000, "it stays a provider");
		// One call brings it back, and it has as much time again.
		Providers::mark_alive(&2);
		assert_ok!(Providers::serve(signed(2), model(1), Prices::default()));
		assert_eq!((listed(), AbsentSince::<Test>::get(2)), (vec![1, 2], None));
	});
}

#[test]
fn who_returns_in_time_is_absent_from_then_on_only() {
	build_and_execute(|| {
		join(1, 5_000);
		run_to(300);
		assert!(AbsentSince::<Test>::contains_key(1));
		for _ in 0..10 {
			Providers::mark_alive(&1);
			run_to(System::block_number() + 10);
		}
		assert!(!AbsentSince::<Test>::contains_key(1));
		run_to(1 + PARAMS.absence_limit + 100);
		assert_eq!(crate::Serving::<Test>::get(model(1)).into_inner(), [1]);
	});
}
