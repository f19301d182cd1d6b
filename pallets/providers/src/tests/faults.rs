//! Faults in inference: what slashes and fines cost, and what lapses lead to.

use super::*;
use crate::{Error, Event};
use assay_primitives::{economics::Fault, rules::LAPSES_TO_UNREADY, traits::Penalties};
use frame_support::{assert_noop, assert_ok};
use proptest::prelude::*;

fn slash(who: u64, fault: Fault) -> u128 {
	bank(Providers::slash(&who, fault))
}

fn fine(who: u64, fault: Fault, amount: u128) -> u128 {
	bank(Providers::fine(&who, fault, &model(1), amount))
}

#[test]
fn each_fault_costs_its_published_part_of_the_bond() {
	for (fault, cost) in [
		(Fault::FalseClaim, 50_000),
		(Fault::FalseRejection, 10_000),
		(Fault::FalseApproval, 10_000),
		(Fault::WrongJuror, 1_000),
	] {
		build_and_execute(|| {
			assert_ok!(Providers::bond(signed(1), 100_000));
			assert_eq!(slash(1, fault), cost);
			System::assert_has_event(
				Event::Slashed {
					provider: 1,
					fault,
					amount: cost,
				}
				.into(),
			);
			assert_eq!((record(1).bond, held(1)), (100_000 - cost, 100_000 - cost));
			assert_eq!(Balances::free_balance(TREASURY), cost);
			assert_eq!(Providers::chain_stake(), 100_000 - cost);
		});
	}
}

#[test]
fn a_fault_that_costs_an_amount_is_no_slash() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 100_000));
		let before = System::events().len();
		assert_eq!((slash(1, Fault::Lapse), slash(1, Fault::NoOutput)), (0, 0));
		assert_eq!((held(1), System::events().len()), (100_000, before));
	});
}

#[test]
fn unbonding_money_is_slashed_too() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 10_000));
		assert_ok!(Providers::unbond(signed(1), 5_000));
		System::set_block_number(2);
		assert_ok!(Providers::unbond(signed(1), 4_000));
		assert_eq!(Providers::slashable(&1), 10_000);
		// 50 % of 10 000 are taken from the 1 000 still active, then from what leaves last.
		assert_eq!(slash(1, Fault::FalseClaim), 5_000);
		let record = record(1);
		assert_eq!(record.bond, 0);
		let left: Vec<_> = record.unlocking.iter().map(|chunk| (chunk.at, chunk.amount)).collect();
		assert_eq!(left, vec![(51, 5_000)]);
		System::set_block_number(60);
		assert_ok!(Providers::withdraw(signed(1)));
		assert_eq!(Balances::free_balance(1), MONEY - 5_000);
	});
}

#[test]
fn a_provider_slashed_below_the_minimum_is_not_eligible() {
	build_and_execute(|| {
		join(1, 1_000);
		assert_eq!(slash(1, Fault::FalseRejection), 100);
		assert!(eligible().is_empty());
		assert_noop!(Providers::bond_extra(signed(1), 99), Error::<Test>::BondTooSmall);
		assert_ok!(Providers::bond_extra(signed(1), 100));
		assert_eq!(eligible(), vec![(1, 1_000)]);
	});
}

#[test]
fn a_wrong_juror_pays_once_a_session() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 100_000));
		assert_eq!(slash(1, Fault::WrongJuror), 1_000);
		System::set_block_number(199);
		assert_eq!(slash(1, Fault::WrongJuror), 0);
		System::set_block_number(200);
		assert_eq!(slash(1, Fault::WrongJuror), 990);
	});
}

#[test]
fn fines_of_a_session_take_one_percent_of_the_bond_at_most() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 60_000));
		assert_ok!(Providers::unbond(signed(1), 40_000));
		assert_eq!(fine(1, Fault::NoOutput, 500), 500);
		System::assert_has_event(
			Event::Fined {
				provider: 1,
				fault: Fault::NoOutput,
				amount: 500,
			}
			.into(),
		);
		// 1 % of the 59 500 that are left, of which 500 were taken.
		assert_eq!(fine(1, Fault::Lapse, 500), 95);
		assert_eq!(fine(1, Fault::Lapse, 500), 0);
		System::set_block_number(200);
		assert_eq!(fine(1, Fault::Lapse, 10_000), 594);
		assert_eq!(slash(1, Fault::FalseClaim), (60_000 - 595 - 594) / 2);
	});
}

#[test]
fn four_lapses_of_a_session_end_readiness_until_the_provider_renews_it() {
	build_and_execute(|| {
		assert_noop!(Providers::ready(signed(1)), Error::<Test>::NotBonded);
		join(1, 100_000);
		assert_noop!(Providers::ready(signed(1)), Error::<Test>::AlreadyReady);
		for _ in 1..LAPSES_TO_UNREADY {
			fine(1, Fault::Lapse, 1);
			fine(1, Fault::NoOutput, 1);
			assert_eq!(eligible().len(), 1);
		}
		fine(1, Fault::Lapse, 0);
		System::assert_has_event(Event::NotReady { provider: 1 }.into());
		assert!(eligible().is_empty() && !Providers::heartbeat_due(&1));
		assert!(!Providers::has_free_place(&1, &model(1)));

		assert_ok!(Providers::ready(signed(1)));
		System::assert_last_event(Event::Ready { provider: 1 }.into());
		assert_eq!(eligible().len(), 1);
		// The session still has four lapses: each further one ends it again.
		fine(1, Fault::Lapse, 0);
		assert!(eligible().is_empty());
	});
}

#[test]
fn lapses_of_two_sessions_do_not_add_up() {
	build_and_execute(|| {
		join(1, 100_000);
		System::set_block_number(199);
		(1..LAPSES_TO_UNREADY).for_each(|_| {
			fine(1, Fault::Lapse, 1);
		});
		System::set_block_number(200);
		(1..LAPSES_TO_UNREADY).for_each(|_| {
			fine(1, Fault::Lapse, 1);
		});
		assert!(record(1).ready);
		fine(1, Fault::Lapse, 1);
		assert!(!record(1).ready);
	});
}

#[test]
fn an_account_without_a_bond_has_nothing_to_lose() {
	build_and_execute(|| {
		assert_eq!((slash(5, Fault::FalseClaim), fine(5, Fault::Lapse, 9)), (0, 0));
		Providers::suspend(&5);
		Providers::lift(&5);
		assert!(!Providers::is_bonded(&5) && !Providers::is_suspended(&5));
		assert!(System::events().is_empty());
	});
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

	#[test]
	fn no_sequence_of_fines_exceeds_the_cap(
		bond in 1_000u128..500_000, unbonding in 0u128..400_000, fines in prop::collection::vec((0u128..3_000, any::<bool>()), 1..40),
	) {
		new_test_ext().execute_with(|| {
			Providers::bond(signed(1), bond).unwrap();
			let _ = Providers::unbond(signed(1), unbonding);
			let cap = PARAMS.rates.session_cap.mul_floor(bond);
			let taken: u128 = fines
				.into_iter()
				.map(|(amount, lapse)| fine(1, if lapse { Fault::Lapse } else { Fault::NoOutput }, amount))
				.sum();
			assert!(taken <= cap, "{taken} of {cap}");
			assert_eq!(held(1), bond - taken);
			Providers::do_try_state().expect("a consistent state");
		});
	}
}
