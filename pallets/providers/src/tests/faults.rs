//! Faults: what they cost, and when they lead to jail.

use super::*;
use crate::{CreditOf, Error, Event};
use assay_primitives::{economics::Fault, traits::ProviderSet};
use frame_support::{
	assert_noop, assert_ok,
	traits::{fungible::Balanced, Imbalance},
};

/// Punishes and puts the money into the treasury.
fn punish(who: u64, fault: Fault) -> u128 {
	let credit: CreditOf<Test> = Providers::punish(&who, fault);
	let amount = credit.peek();
	let left = Balances::resolve(&TREASURY, credit)
		.err()
		.map_or(0, |credit| credit.peek());
	assert_eq!(left, 0, "the treasury can receive");
	amount
}

#[test]
fn each_fault_costs_its_published_part_of_the_bond() {
	for (fault, cost) in [
		(Fault::Rejected, 20_000),
		(Fault::Dissent, 10_000),
		(Fault::NoReveal, 2_000),
		(Fault::NoOutput, 1_000),
	] {
		build_and_execute(|| {
			assert_ok!(Providers::bond(signed(1), 100_000));
			assert_eq!(punish(1, fault), cost);
			System::assert_has_event(
				Event::Punished {
					provider: 1,
					fault,
					amount: cost,
				}
				.into(),
			);
			assert_eq!((record(1).bond, held(1)), (100_000 - cost, 100_000 - cost));
			assert_eq!(Balances::free_balance(TREASURY), cost);
		});
	}
}

#[test]
fn unbonding_money_is_slashed_too() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 10_000));
		assert_ok!(Providers::unbond(signed(1), 5_000));
		System::set_block_number(2);
		assert_ok!(Providers::unbond(signed(1), 4_000));
		// 20 % of 10 000 are taken from the 1 000 still active, then from what leaves last.
		assert_eq!(punish(1, Fault::Rejected), 2_000);
		let record = record(1);
		assert_eq!(record.bond, 0);
		let left: Vec<_> = record.unlocking.iter().map(|chunk| (chunk.at, chunk.amount)).collect();
		assert_eq!(left, vec![(51, 5_000), (52, 3_000)]);
		System::set_block_number(60);
		assert_ok!(Providers::withdraw(signed(1)));
		assert_eq!(Balances::free_balance(1), MONEY - 2_000);
	});
}

#[test]
fn a_provider_slashed_below_the_minimum_is_not_drawn() {
	build_and_execute(|| {
		ready(1, 1_000);
		assert_eq!(punish(1, Fault::NoOutput), 10);
		assert!(candidates().is_empty());
		assert_noop!(Providers::bond_extra(signed(1), 9), Error::<Test>::BondTooSmall);
		assert_ok!(Providers::bond_extra(signed(1), 10));
		assert_eq!(candidates(), vec![(1, 1_000)]);
	});
}

#[test]
fn three_faults_within_the_window_jail() {
	build_and_execute(|| {
		ready(1, 100_000);
		for block in [1, 50, 100] {
			System::set_block_number(block);
			Providers::mark_alive(&1);
			assert_eq!(candidates().len(), 1, "not jailed before block {block}");
			punish(1, Fault::NoOutput);
		}
		System::assert_last_event(
			pallet_balances::Event::Deposit {
				who: TREASURY,
				amount: 980,
			}
			.into(),
		);
		System::assert_has_event(
			Event::Jailed {
				provider: 1,
				until: 130,
			}
			.into(),
		);
		assert!(candidates().is_empty());
		assert!(!Providers::heartbeat_due(&1), "nothing is expected of the jailed");
	});
}

#[test]
fn three_faults_across_the_window_do_not_jail() {
	build_and_execute(|| {
		ready(1, 100_000);
		for block in [1, 50, 101, 150] {
			System::set_block_number(block);
			punish(1, Fault::NoOutput);
		}
		assert_eq!(record(1).jailed_until, None);
		System::set_block_number(199);
		punish(1, Fault::NoOutput);
		assert_eq!(record(1).jailed_until, Some(229));
	});
}

#[test]
fn jail_is_left_on_request_and_not_too_early() {
	build_and_execute(|| {
		assert_noop!(Providers::unjail(signed(1)), Error::<Test>::NotBonded);
		ready(1, 100_000);
		assert_noop!(Providers::unjail(signed(1)), Error::<Test>::NotJailed);
		(0..3).for_each(|_| {
			punish(1, Fault::NoReveal);
		});
		System::set_block_number(30);
		assert_noop!(Providers::unjail(signed(1)), Error::<Test>::StillJailed);
		System::set_block_number(31);
		Providers::mark_alive(&1);
		assert!(candidates().is_empty(), "time alone does not end it");
		assert_ok!(Providers::unjail(signed(1)));
		System::assert_last_event(Event::Unjailed { provider: 1 }.into());
		assert_eq!(candidates().len(), 1);
		punish(1, Fault::NoReveal);
		assert_eq!(
			record(1).jailed_until,
			None,
			"faults that led to jail are not counted again"
		);
	});
}

#[test]
fn leaving_and_coming_back_is_no_way_out_of_jail() {
	build_and_execute(|| {
		ready(1, 100_000);
		assert_ok!(Providers::unbond(signed(1), 100_000));
		System::set_block_number(51);
		(0..3).for_each(|_| {
			punish(1, Fault::NoReveal);
		});
		assert_noop!(Providers::withdraw(signed(1)), Error::<Test>::StillJailed);
		System::set_block_number(81);
		assert_ok!(Providers::withdraw(signed(1)));
	});
}

#[test]
fn an_account_without_a_bond_has_nothing_to_lose() {
	build_and_execute(|| {
		assert_eq!(punish(5, Fault::Rejected), 0);
		assert!(System::events().is_empty());
	});
}
