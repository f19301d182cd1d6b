//! Bonding, unbonding and leaving.

use super::*;
use crate::{Error, Event, MAX_CHUNKS};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{DispatchError, TokenError};

#[test]
fn a_bond_is_held_in_the_providers_own_account() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 5_000));
		assert_eq!((held(1), record(1).bond), (5_000, 5_000));
		System::assert_last_event(
			Event::Bonded {
				provider: 1,
				amount: 5_000,
				bond: 5_000,
			}
			.into(),
		);
		assert_ok!(Providers::bond_extra(signed(1), 1));
		assert_eq!((held(1), record(1).bond), (5_001, 5_001));
		System::assert_last_event(
			Event::Bonded {
				provider: 1,
				amount: 1,
				bond: 5_001,
			}
			.into(),
		);
	});
}

#[test]
fn bad_bonds_are_refused() {
	build_and_execute(|| {
		assert_noop!(Providers::bond(RuntimeOrigin::none(), 5_000), DispatchError::BadOrigin);
		assert_noop!(Providers::bond(signed(1), 999), Error::<Test>::BondTooSmall);
		assert_noop!(Providers::bond(signed(1), MONEY), TokenError::FundsUnavailable);
		assert_noop!(Providers::bond_extra(signed(1), 5_000), Error::<Test>::NotBonded);
		assert_ok!(Providers::bond(signed(1), 5_000));
		assert_noop!(Providers::bond(signed(1), 5_000), Error::<Test>::AlreadyBonded);
		assert_noop!(Providers::bond_extra(signed(1), 0), Error::<Test>::ZeroAmount);
		assert_noop!(Providers::bond_extra(signed(1), MONEY), TokenError::FundsUnavailable);
		assert_noop!(
			Providers::bond_extra(signed(1), u128::MAX),
			TokenError::FundsUnavailable
		);
	});
}

#[test]
fn unbonded_money_can_be_withdrawn_after_its_period() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 5_000));
		assert_ok!(Providers::unbond(signed(1), 1_500));
		System::assert_last_event(
			Event::Unbonded {
				provider: 1,
				amount: 1_500,
				withdrawable_at: 51,
			}
			.into(),
		);
		assert_eq!((held(1), record(1).bond), (5_000, 3_500));
		System::set_block_number(2);
		assert_ok!(Providers::unbond(signed(1), 500));
		System::set_block_number(50);
		assert_noop!(Providers::withdraw(signed(1)), Error::<Test>::NothingToWithdraw);
		System::set_block_number(51);
		assert_ok!(Providers::withdraw(signed(1)));
		System::assert_last_event(
			Event::Withdrawn {
				provider: 1,
				amount: 1_500,
			}
			.into(),
		);
		assert_eq!((held(1), record(1).bond), (3_500, 3_000));
		assert_noop!(Providers::withdraw(signed(1)), Error::<Test>::NothingToWithdraw);
	});
}

#[test]
fn bad_unbonding_is_refused() {
	build_and_execute(|| {
		assert_noop!(Providers::unbond(signed(1), 1), Error::<Test>::NotBonded);
		assert_noop!(Providers::withdraw(signed(1)), Error::<Test>::NotBonded);
		assert_ok!(Providers::bond(signed(1), 5_000));
		assert_noop!(Providers::unbond(signed(1), 0), Error::<Test>::ZeroAmount);
		assert_noop!(Providers::unbond(signed(1), 5_001), Error::<Test>::NotEnoughBond);
		assert_noop!(Providers::unbond(signed(1), 4_001), Error::<Test>::BondTooSmall);
		assert_ok!(Providers::unbond(signed(1), 4_000));
	});
}

#[test]
fn pending_withdrawals_are_bounded_and_merged_by_block() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 50_000));
		for block in 1..=u64::from(MAX_CHUNKS) {
			System::set_block_number(block);
			assert_ok!(Providers::unbond(signed(1), 1));
			assert_ok!(Providers::unbond(signed(1), 1));
		}
		System::set_block_number(40);
		assert_noop!(Providers::unbond(signed(1), 1), Error::<Test>::TooManyChunks);
		System::set_block_number(51);
		assert_ok!(Providers::withdraw(signed(1)));
		assert_ok!(Providers::unbond(signed(1), 1));
	});
}

#[test]
fn a_provider_that_unbonds_everything_stops_serving_and_leaves() {
	build_and_execute(|| {
		join(1, 5_000);
		assert_ok!(Providers::serve(signed(1), model(2), Prices::default()));
		assert_ok!(Providers::unbond(signed(1), 5_000));
		System::assert_has_event(
			Event::ServingStopped {
				provider: 1,
				model: model(2),
			}
			.into(),
		);
		assert!(eligible().is_empty() && Providers::serves(&1).is_empty());
		assert_noop!(
			Providers::serve(signed(1), model(1), Prices::default()),
			Error::<Test>::BondTooSmall
		);
		System::set_block_number(51);
		assert_ok!(Providers::withdraw(signed(1)));
		System::assert_last_event(Event::Left { provider: 1 }.into());
		assert_eq!((held(1), Balances::free_balance(1)), (0, MONEY));
		assert!(Providers::owner_of(&key(1)).is_none() && Providers::key_of(&1).is_none());
		assert_ok!(Providers::bond(signed(1), 1_000));
	});
}

#[test]
fn a_provider_that_unbonded_everything_can_bond_again() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 5_000));
		assert_ok!(Providers::unbond(signed(1), 5_000));
		assert_noop!(Providers::bond(signed(1), 1_000), Error::<Test>::AlreadyBonded);
		assert_noop!(Providers::bond_extra(signed(1), 999), Error::<Test>::BondTooSmall);
		assert_ok!(Providers::bond_extra(signed(1), 1_000));
		System::set_block_number(51);
		assert_ok!(Providers::withdraw(signed(1)));
		assert_eq!((held(1), record(1).bond), (1_000, 1_000));
	});
}

#[test]
fn nobody_leaves_while_jobs_run() {
	build_and_execute(|| {
		join(1, 5_000);
		Providers::engage(&1, 1);
		assert_ok!(Providers::unbond(signed(1), 5_000));
		System::set_block_number(51);
		assert_noop!(Providers::withdraw(signed(1)), Error::<Test>::JobsRunning);
		Providers::release(&1, 0);
		assert_ok!(Providers::withdraw(signed(1)));
	});
}
