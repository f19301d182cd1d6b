//! Who makes blocks.

use super::*;
use frame_support::assert_ok;
use pallet_session::{historical, SessionManager};

#[test]
fn the_largest_bonds_validate_and_equal_bonds_in_the_order_of_accounts() {
	story(|| {
		for (who, bond) in [(5, 2_000), (3, 2_000), (4, 9_000), (2, 1_999)] {
			assert_ok!(Providers::bond(signed(who), bond));
		}
		assert_eq!(Providers::validators(), vec![4, 3, 5]);
		assert_ok!(Providers::bond_extra(signed(2), 2));
		assert_eq!(Providers::validators(), vec![4, 2, 3]);
	});
}

#[test]
fn who_has_no_session_keys_or_too_little_bond_or_is_in_jail_does_not_validate() {
	story(|| {
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
	story(|| {
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
fn choosing_validators_is_paid_for_in_block_weight() {
	story(|| {
		let before = System::block_weight().total();
		let _ = <Providers as SessionManager<u64>>::new_session(1);
		assert!(System::block_weight().total().ref_time() > before.ref_time());
	});
}
