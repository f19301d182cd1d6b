//! From one entry a model to listings.

use super::*;
use crate::{
	migrations::{OldRecord, OldTerms, OldestListing, V1ToV2},
	HoldReason, Pallet,
};
use assay_primitives::{model::Profile, traits::ModelCatalog};
use codec::Encode;
use frame_support::{
	assert_ok, storage::unhashed, traits::fungible::hold::Mutate as _, traits::OnRuntimeUpgrade, traits::StorageVersion,
};
use sp_runtime::traits::Convert;

/// Stores an entry of version 1.
fn store(id: u8, owner: u64, retired_at: Option<u64>) {
	let terms = OldTerms {
		owner,
		parameters: 1_000,
		price_in: u128::from(id),
		price_out: 5,
		royalty: Permill::from_percent(2),
		context_length: 256,
		prompt_overhead: 16,
		retired: retired_at.is_some(),
	};
	let record = OldRecord {
		terms,
		name: b"Tiny".to_vec().try_into().unwrap(),
		architecture: b"llama".to_vec().try_into().unwrap(),
		profile: Profile::C1W8,
		weight_bytes: 1_064,
		parent: None,
		deposit: 1_234,
		registered_at: 1u64,
		retired_at,
	};
	let key = crate::Models::<Test>::hashed_key_for(ModelId([id; 32]));
	unhashed::put_raw(&key, &record.encode());
	assert_ok!(Balances::hold(&HoldReason::Listing.into(), &owner, 1_234));
}

#[test]
fn every_entry_becomes_a_model_with_one_listing() {
	build_and_execute(|| {
		StorageVersion::new(1).put::<Pallet<Test>>();
		store(1, 1, None);
		store(2, 2, Some(3));
		V1ToV2::<Test>::on_runtime_upgrade();
		Models::do_try_state().expect("a consistent state");

		let listing = |id| OldestListing::<Test>::convert(ModelId([id; 32])).expect("a listing");
		let (id, terms) = <Models as ModelCatalog<u64>>::listing(listing(1)).unwrap();
		assert_eq!((id, terms.owner, terms.prices.price_in), (ModelId([1; 32]), 1, 1));
		assert_eq!(
			(terms.parameters, terms.context_length, terms.retired),
			(1_000, 256, false)
		);
		assert_eq!(terms.royalty, Permill::from_percent(2));
		let view = Models::view(&id).unwrap();
		assert_eq!((view.name.as_str(), view.profile), ("Tiny", Profile::C1W8));
		let (_, retired) = <Models as ModelCatalog<u64>>::listing(listing(2)).unwrap();
		assert!(retired.retired);
		assert_eq!(OldestListing::<Test>::convert(ModelId([3; 32])), None);
		// The deposits are those of the listings now.
		System::set_block_number(20);
		assert_ok!(Models::remove(signed(2), listing(2)));
		assert_ok!(register(3, 7));
	});
}

#[test]
fn a_second_migration_changes_nothing() {
	build_and_execute(|| {
		StorageVersion::new(1).put::<Pallet<Test>>();
		store(1, 1, None);
		V1ToV2::<Test>::on_runtime_upgrade();
		assert_ok!(register(1, 7));
		let before = sp_io::storage::root(Default::default());
		V1ToV2::<Test>::on_runtime_upgrade();
		assert_eq!(sp_io::storage::root(Default::default()), before);
	});
}
