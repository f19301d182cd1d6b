//! Electorates of version 1.

use super::*;
use crate::{
	migrations::{OldElectorate, OldSeal, V1ToV2},
	Electorates, Pallet,
};
use codec::Encode;
use frame_support::{
	storage::unhashed,
	traits::{OnRuntimeUpgrade, StorageVersion},
};

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
		StorageVersion::new(1).put::<Pallet<Test>>();

		V1ToV2::<Test>::on_runtime_upgrade();
		assert_eq!(electorate(1), before);
		assert!(Providers::sealed(&model(1))
			.iter()
			.all(|sealed| sealed.least == Prices::default()));
		// Again, it changes nothing.
		let root = sp_io::storage::root(Default::default());
		V1ToV2::<Test>::on_runtime_upgrade();
		assert_eq!(sp_io::storage::root(Default::default()), root);
	});
}
