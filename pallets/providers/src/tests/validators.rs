//! The choice of validators.

use super::*;
use frame_support::assert_ok;
use pallet_session::{historical, SessionManager};

#[test]
fn the_largest_bonds_validate_and_equal_bonds_by_account() {
	build_and_execute(|| {
		for (who, bond) in [(5, 2_000), (3, 2_000), (4, 9_000), (2, 1_999)] {
			assert_ok!(Providers::bond(signed(who), bond));
		}
		assert_eq!(Providers::validators(), vec![4, 3, 5]);
		assert_ok!(Providers::bond_extra(signed(2), 2));
		assert_eq!(Providers::validators(), vec![4, 2, 3]);
	});
}

#[test]
fn a_validator_has_session_keys_and_enough_bond_and_is_not_jailed() {
	build_and_execute(|| {
		for who in [1, 2, 3, 9] {
			assert_ok!(Providers::bond(signed(who), 5_000));
		}
		assert_ok!(Providers::unbond(signed(1), 5_000));
		crate::Providers::<Test>::mutate(2, |record| record.as_mut().unwrap().jailed_until = Some(9));
		assert_eq!(Providers::validators(), vec![3]);
	});
}

#[test]
fn a_chain_without_able_providers_keeps_its_validators() {
	build_and_execute(|| {
		assert_eq!(<Providers as SessionManager<u64>>::new_session(1), None);
		assert_eq!(<Providers as historical::SessionManager<u64, ()>>::new_session(1), None);
		assert_ok!(Providers::bond(signed(1), 5_000));
		assert_eq!(<Providers as SessionManager<u64>>::new_session(2), Some(vec![1]));
		assert_eq!(
			<Providers as historical::SessionManager<u64, ()>>::new_session(2),
			Some(vec![(1, ())])
		);
	});
}

#[test]
fn choosing_validators_is_counted_in_the_block_weight() {
	build_and_execute(|| {
		let before = System::block_weight().total();
		let _ = <Providers as SessionManager<u64>>::new_session(1);
		assert!(System::block_weight().total().ref_time() > before.ref_time());
	});
}
