//! Active providers: who makes way for a larger bond, and that nobody's money is lost with it.

use super::*;
use crate::{AbsentSince, ActiveProviders, Error, Event, SignsOfLife, LEAST_OFFENCE_SLASH, MAX_CHUNKS, MAX_PROVIDERS};
use assay_primitives::{economics::Fault, traits::Penalties};
use frame_support::{assert_noop, assert_ok, traits::fungible::Mutate};
use sp_staking::offence::{OffenceDetails, OnOffenceHandler};

/// Fills the list of active providers with bonds of `bond` and more, up to `taken`. Their accounts are 1 000 and more,
/// the smallest bond first.
fn fill(bond: u128, taken: u32) {
	for i in 0..u64::from(taken) {
		let who = 1_000 + i;
		Balances::set_balance(&who, MONEY);
		assert_ok!(Providers::bond(signed(who), bond + u128::from(i)));
	}
}

/// Runs a test on the chain, in which the tests themselves make money.
fn execute(test: impl FnOnce()) {
	new_test_ext().execute_with(|| {
		test();
		Providers::do_try_state().expect("a consistent state");
	});
}

#[test]
fn a_larger_bond_evicts_the_smallest_whose_money_unbonds() {
	execute(|| {
		fill(2_000, MAX_PROVIDERS);
		assert_ok!(Providers::serve(signed(1_000), model(1), Prices::default()));
		assert_ok!(Providers::set_endpoint(signed(1_000), b"ws://a".to_vec()));
		assert_noop!(Providers::bond(signed(1), 2_000), Error::<Test>::TooManyProviders);
		assert_ok!(Providers::bond(signed(1), 2_001));
		System::assert_has_event(Event::Evicted { provider: 1_000, by: 1 }.into());
		assert!(ActiveProviders::<Test>::get().contains(&1) && !ActiveProviders::<Test>::get().contains(&1_000));
		let evicted = record(1_000);
		assert_eq!((evicted.bond, evicted.slashable(), held(1_000)), (0, 2_000, 2_000));
		assert_eq!(Providers::endpoint_of(&1_000), None);
		assert!(evicted.models.is_empty() && crate::Serving::<Test>::get(model(1)).is_empty());
		// It stays slashable, by a jury and for an equivocation, until it withdraws.
		assert_eq!(bank(Providers::slash(&1_000, Fault::FalseClaim)), 1_000);
		System::set_block_number(1 + PARAMS.unbonding_period);
		assert_ok!(Providers::withdraw(signed(1_000)));
		assert_eq!((held(1_000), Balances::free_balance(1_000)), (0, MONEY - 1_000));
	});
}

#[test]
fn a_small_bond_cannot_enter_and_changes_nothing() {
	execute(|| {
		fill(2_000, MAX_PROVIDERS - 1);
		assert_ok!(Providers::bond(signed(1), 1_000));
		assert_noop!(Providers::bond(signed(2), 1_000), Error::<Test>::TooManyProviders);
		// Without the money it bonds, nobody makes way.
		assert!(Providers::bond(signed(2), 2 * MONEY).is_err());
		assert!(ActiveProviders::<Test>::get().contains(&1));
	});
}

#[test]
fn validators_the_suspended_and_who_works_do_not_make_way() {
	execute(|| {
		fill(2_000, MAX_PROVIDERS);
		Sitting::set(&vec![1_000]);
		Providers::suspend(&1_001);
		Providers::engage(&1_002, 1);
		Providers::give_work(&1_003, 300 * 10);
		assert_ok!(Providers::bond(signed(1), 9_000));
		System::assert_has_event(Event::Evicted { provider: 1_004, by: 1 }.into());
		// Its work is done at the latest now.
		System::set_block_number(20);
		assert_ok!(Providers::bond(signed(2), 9_000));
		System::assert_has_event(Event::Evicted { provider: 1_003, by: 2 }.into());
	});
}

#[test]
fn who_was_absent_for_long_makes_way_first_even_with_a_larger_bond() {
	execute(|| {
		fill(2_000, MAX_PROVIDERS);
		AbsentSince::<Test>::insert(1_900, 1);
		AbsentSince::<Test>::insert(1_800, 100);
		System::set_block_number(1 + PARAMS.absence_limit);
		assert_ok!(Providers::bond(signed(1), 1_000));
		System::assert_has_event(Event::Evicted { provider: 1_900, by: 1 }.into());
		assert_noop!(Providers::bond(signed(2), 1_000), Error::<Test>::TooManyProviders);
	});
}

#[test]
fn who_was_evicted_returns_by_adding_to_its_bond() {
	execute(|| {
		fill(2_000, MAX_PROVIDERS);
		assert_ok!(Providers::bond(signed(1), 5_000));
		assert_noop!(Providers::bond(signed(1_000), 5_000), Error::<Test>::AlreadyBonded);
		assert_noop!(
			Providers::bond_extra(signed(1_000), 2_001),
			Error::<Test>::TooManyProviders
		);
		assert_ok!(Providers::bond_extra(signed(1_000), 2_002));
		System::assert_has_event(
			Event::Evicted {
				provider: 1_001,
				by: 1_000,
			}
			.into(),
		);
		assert_eq!((record(1_000).bond, held(1_000)), (2_002, 4_002));
	});
}

#[test]
fn who_waits_for_many_withdrawals_can_be_evicted_too() {
	execute(|| {
		fill(20_000, MAX_PROVIDERS - 1);
		assert_ok!(Providers::bond(signed(1), 10_000));
		for block in 1..=u64::from(MAX_CHUNKS) {
			System::set_block_number(block);
			assert_ok!(Providers::unbond(signed(1), 10));
		}
		System::set_block_number(40);
		assert_ok!(Providers::bond(signed(2), 10_000));
		assert_eq!(record(1).unlocking.len(), MAX_CHUNKS as usize);
		assert_eq!((record(1).slashable(), held(1)), (10_000, 10_000));
		System::set_block_number(40 + PARAMS.unbonding_period);
		assert_ok!(Providers::withdraw(signed(1)));
		assert_eq!(held(1), 0);
	});
}

#[test]
fn unbonding_everything_makes_room_and_leaving_removes_every_trace() {
	execute(|| {
		fill(2_000, MAX_PROVIDERS);
		Providers::note_sign_of_life(&1_000);
		AbsentSince::<Test>::insert(1_000, 1);
		assert_ok!(Providers::unbond(signed(1_000), 2_000));
		assert_ok!(Providers::bond(signed(1), 1_000));
		System::set_block_number(1 + PARAMS.unbonding_period);
		assert_ok!(Providers::withdraw(signed(1_000)));
		assert!(!SignsOfLife::<Test>::contains_key(1_000) && !AbsentSince::<Test>::contains_key(1_000));
		assert!(!ActiveProviders::<Test>::get().contains(&1_000));
	});
}

#[test]
fn a_call_pays_for_an_eviction_only_if_there_is_one() {
	execute(|| {
		fill(2_000, MAX_PROVIDERS - 1);
		let weight = |who, amount| {
			let info = Providers::bond(signed(who), amount).expect("it can pay");
			info.actual_weight.expect("it is known").ref_time()
		};
		let (room, evicted) = (weight(1, 9_000), weight(2, 9_000));
		assert!(evicted > 10 * room);
	});
}

#[test]
fn an_equivocation_costs_at_least_a_part_of_everything_slashable() {
	build_and_execute(|| {
		join(1, 10_000);
		assert_ok!(Providers::unbond(signed(1), 4_000));
		let details = OffenceDetails::<u64, _> {
			offender: (1, ()),
			reporters: vec![],
		};
		// What the formula says of one validator of a hundred.
		Providers::on_offence(&[details], &[sp_runtime::Perbill::from_parts(900_000)], 0);
		assert_eq!(held(1), 10_000 - LEAST_OFFENCE_SLASH.mul_floor(10_000u128));
		assert_eq!(held(1), 9_500);
	});
}
