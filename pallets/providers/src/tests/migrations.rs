//! The change of storage from version 1 to 2.

use super::*;
use crate::{migrations::ToV2, Pallet, Roster, SessionStart, SignsOfLife};
use frame_support::{
	assert_ok,
	traits::{GetStorageVersion, OnRuntimeUpgrade, StorageVersion},
};

#[test]
fn providers_of_version_1_join_the_roster_and_validators_count_as_alive() {
	build_and_execute(|| {
		for who in 1..=3 {
			assert_ok!(Providers::bond(signed(who), 5_000));
		}
		assert_ok!(Providers::unbond(signed(3), 5_000));
		// As version 1 left it.
		Roster::<Test>::kill();
		StorageVersion::new(1).put::<Pallet<Test>>();
		Sitting::set(&vec![2, 8]);
		System::set_block_number(77);

		ToV2::<Test>::on_runtime_upgrade();
		let mut roster = Roster::<Test>::get().into_inner();
		roster.sort_unstable();
		assert_eq!(roster, [1, 2]);
		assert_eq!(Pallet::<Test>::on_chain_storage_version(), StorageVersion::new(2));
		assert_eq!(
			(SessionStart::<Test>::get(), SignsOfLife::<Test>::get(2)),
			(77, Some(77))
		);
		assert_eq!(SignsOfLife::<Test>::iter().count(), 1, "only providers");

		// A second time it does nothing.
		Roster::<Test>::kill();
		ToV2::<Test>::on_runtime_upgrade();
		assert!(Roster::<Test>::get().is_empty());
		Roster::<Test>::put(frame_support::BoundedVec::truncate_from(roster));
	});
}
