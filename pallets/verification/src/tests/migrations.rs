//! The change of storage from version 1 to 2.

use crate::{migrations::V1ToV2, mock::*, *};
use frame_support::traits::{GetStorageVersion, OnRuntimeUpgrade, StorageVersion};

#[test]
fn open_claims_of_version_1_are_counted_once() {
	TestExt::providers(9).build_and_execute(|| {
		let executors = [publish_as(1, 2, TRUTH), publish_as(2, 2, TRUTH)].map(|id| claim(id).record.executor);
		let counted: Vec<_> = ClaimCount::<Test>::iter().collect();
		// As version 1 left it.
		let _ = ClaimCount::<Test>::clear(u32::MAX, None);
		StorageVersion::new(1).put::<Pallet<Test>>();
		assert!(Pallet::<Test>::do_try_state().is_err());

		for _ in 0..2 {
			V1ToV2::<Test>::on_runtime_upgrade();
			assert_eq!(Pallet::<Test>::on_chain_storage_version(), StorageVersion::new(2));
			assert_eq!(ClaimCount::<Test>::iter().collect::<Vec<_>>(), counted);
		}
		assert!(executors.iter().all(|who| ClaimCount::<Test>::get(who) > 0));
		assert_consistent();
	});
}
