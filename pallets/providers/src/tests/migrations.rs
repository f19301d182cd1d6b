//! The changes of storage from version 1 to 2, and from 2 to 3.

use super::*;
use crate::{
	migrations::{OldElectorate, OldSeal, V1ToV2, V2ToV3},
	ActiveProviders, Electorates, Pallet, SessionStart, SignsOfLife,
};
use codec::Encode;
use frame_support::{
	assert_ok,
	storage::unhashed,
	traits::{GetStorageVersion, OnRuntimeUpgrade, StorageVersion},
};

#[test]
fn providers_of_version_1_become_active_and_validators_count_as_alive() {
	build_and_execute(|| {
		for who in 1..=3 {
			assert_ok!(Providers::bond(signed(who), 5_000));
		}
		assert_ok!(Providers::unbond(signed(3), 5_000));
		// As version 1 left it.
		ActiveProviders::<Test>::kill();
		StorageVersion::new(1).put::<Pallet<Test>>();
		Sitting::set(&vec![2, 8]);
		System::set_block_number(77);

		V1ToV2::<Test>::on_runtime_upgrade();
		let mut active = ActiveProviders::<Test>::get().into_inner();
		active.sort_unstable();
		assert_eq!(active, [1, 2]);
		assert_eq!(Pallet::<Test>::on_chain_storage_version(), StorageVersion::new(2));
		assert_eq!(
			(SessionStart::<Test>::get(), SignsOfLife::<Test>::get(2)),
			(77, Some(77))
		);
		assert_eq!(SignsOfLife::<Test>::iter().count(), 1, "only providers");

		// A second time it does nothing.
		ActiveProviders::<Test>::kill();
		V1ToV2::<Test>::on_runtime_upgrade();
		assert!(ActiveProviders::<Test>::get().is_empty());
		ActiveProviders::<Test>::put(frame_support::BoundedVec::truncate_from(active));
	});
}

#[test]
fn sealed_members_stay_sealed_and_execute_at_any_price() {
	build_and_execute(|| {
		join(1, 5_000);
		join(2, 4_000);
		run_to(52);
		let before = electorate(1);
		assert_eq!(before, [(1, 5_000), (2, 4_000)]);
		let old = Electorates::<Test>::get(model(1)).unwrap();
		let old_seal = |seal: crate::Seal<u64>| OldSeal {
			sealed_at: seal.sealed_at,
			members: seal.members,
		};
		let old = OldElectorate {
			in_force: old_seal(old.in_force),
			next: old.next.map(old_seal),
		};
		let key = Electorates::<Test>::hashed_key_for(model(1));
		unhashed::put_raw(&key, &old.encode());
		// From version 1 on, in the runtime's order.
		StorageVersion::new(1).put::<Pallet<Test>>();

		V2ToV3::<Test>::on_runtime_upgrade();
		assert_eq!(
			unhashed::get_raw(&key),
			Some(old.encode()),
			"version 2 comes before version 3"
		);
		let migrate = || {
			V1ToV2::<Test>::on_runtime_upgrade();
			V2ToV3::<Test>::on_runtime_upgrade();
		};
		migrate();
		assert_eq!(Pallet::<Test>::on_chain_storage_version(), StorageVersion::new(3));
		assert_eq!(electorate(1), before);
		assert!(Providers::sealed(&model(1))
			.iter()
			.all(|sealed| sealed.least == Prices::default()));
		// Again, it changes nothing.
		let root = sp_io::storage::root(Default::default());
		migrate();
		assert_eq!(sp_io::storage::root(Default::default()), root);
	});
}
