//! Registering a model: what is stored, what is held, what is refused.

use super::*;
use crate::{Error, Event, HoldReason, Listing, ModelRecord};
use assay_primitives::limits::MAX_MANIFEST_BYTES;
use frame_support::{
	assert_noop, assert_ok,
	traits::fungible::{InspectHold, Mutate},
};
use sp_runtime::{DispatchError, TokenError};

fn try_register(manifest: &TestManifest) -> DispatchResult {
	Models::register(signed(1), bytes(manifest), terms(3, 5))
}

#[test]
fn a_registered_model_has_its_facts_and_a_listing_whose_deposit_is_held() {
	build_and_execute(|| {
		let (id, manifest) = model(7);
		let (_, facts) = assay_primitives::manifest::read(&manifest).unwrap();
		assert_ok!(register(1, 7));
		let deposit = least_deposit();
		let record = ModelRecord {
			facts,
			active: vec![FIRST].try_into().unwrap(),
			listings: 1,
		};
		assert_eq!(crate::Models::<Test>::get(id), Some(record));
		let listing = Listing {
			model: id,
			owner: 1,
			prices: terms(3, 5).prices,
			next_prices: None,
			royalty: terms(3, 5).royalty,
			deposit,
			listed_at: 1,
			retired_at: None,
		};
		assert_eq!(crate::Listings::<Test>::get(FIRST), Some(listing));
		assert!(deposit > PARAMS.deposit_base);
		assert_eq!(Balances::balance_on_hold(&HoldReason::Listing.into(), &1), deposit);
		System::assert_has_event(Event::Registered { model: id }.into());
	});
}

#[test]
fn a_model_is_registered_once() {
	build_and_execute(|| {
		assert_ok!(register(1, 7));
		assert_noop!(register(1, 7), Error::<Test>::AlreadyRegistered);
		assert_noop!(register(2, 7), Error::<Test>::AlreadyRegistered);
	});
}

#[test]
fn every_refusal_of_a_manifest_has_its_name() {
	build_and_execute(|| {
		let good = TestManifest::new("Tiny");
		let tensor = |name: &str, dtype, shape: &[u64]| vec![(name.to_string(), dtype, shape.to_vec())];
		let with = |tensors| TestManifest {
			tensors,
			..good.clone()
		};
		let named = |name: &str| TestManifest::new(name);
		let cases = [
			(
				TestManifest {
					schema: 2,
					..good.clone()
				},
				Error::<Test>::UnknownSchema,
			),
			(
				TestManifest {
					profile: 9,
					..good.clone()
				},
				Error::<Test>::UnknownProfile,
			),
			(
				TestManifest {
					architecture: "Llama".into(),
					..good.clone()
				},
				Error::<Test>::BadArchitecture,
			),
			(named(""), Error::<Test>::BadName),
			(named("Ti\nny"), Error::<Test>::BadName),
			(named(" Tiny"), Error::<Test>::BadName),
			(named("Tiny "), Error::<Test>::BadName),
			(with(tensor("a", 7, &[1])), Error::<Test>::BadTensor),
			(with(tensor("a", 0, &[1 << 40, 1 << 40])), Error::<Test>::SizeOverflow),
			(with(vec![]), Error::<Test>::ZeroSize),
			(with(tensor("a_scale", 1, &[8])), Error::<Test>::ZeroSize),
			(with(tensor("a", 0, &[0])), Error::<Test>::ZeroSize),
			(
				TestManifest {
					ends: vec![2, 1],
					..good.clone()
				},
				Error::<Test>::ManifestUnsorted,
			),
			(
				TestManifest {
					context_length: 0,
					..good.clone()
				},
				Error::<Test>::ZeroContext,
			),
			(
				TestManifest {
					context_length: 8_193,
					..good.clone()
				},
				Error::<Test>::ContextTooLong,
			),
			(
				TestManifest {
					prompt_overhead: 256,
					..good.clone()
				},
				Error::<Test>::OverheadTooLong,
			),
			(
				TestManifest {
					parent: Some(ModelId([9; 32])),
					..good.clone()
				},
				Error::<Test>::UnknownParent,
			),
		];
		for (manifest, error) in cases {
			assert_noop!(try_register(&manifest), error);
		}
		let mut longer = bytes(&good);
		longer.push(0);
		let registered = |manifest: Vec<u8>| Models::register(signed(1), manifest, terms(3, 5));
		assert_noop!(registered(longer), Error::<Test>::ManifestTrailingBytes);
		let longest = MAX_MANIFEST_BYTES as usize;
		assert_noop!(registered(vec![0; longest + 1]), Error::<Test>::ManifestTooLong);
		assert_noop!(registered(Vec::new()), Error::<Test>::ManifestMalformed);
		assert_ok!(try_register(&named("Märchen 小")));
	});
}

#[test]
fn a_royalty_above_the_limit_is_refused() {
	build_and_execute(|| {
		let greedy = ListingTerms {
			royalty: Permill::from_parts(50_001),
			..terms(3, 5)
		};
		assert_noop!(
			Models::register(signed(1), model(7).1, greedy),
			Error::<Test>::RoyaltyTooHigh
		);
		assert_ok!(register(1, 7));
		assert_noop!(
			Models::list(signed(1), model(7).0, greedy, 0),
			Error::<Test>::RoyaltyTooHigh
		);
	});
}

#[test]
fn a_child_names_a_parent_of_the_catalog() {
	build_and_execute(|| {
		assert_ok!(register(1, 7));
		let child = TestManifest {
			parent: Some(model(7).0),
			..TestManifest::new("Child")
		};
		assert_ok!(Models::register(signed(2), bytes(&child), terms(3, 5)));
		let view = Models::view(&model_id(&child.encode())).unwrap();
		assert_eq!(view.parent, Some(model(7).0));
	});
}

#[test]
fn an_owner_that_cannot_pay_the_deposit_is_refused() {
	build_and_execute(|| {
		Balances::set_balance(&4, 100);
		assert_noop!(register(4, 7), TokenError::FundsUnavailable);
	});
}

#[test]
fn only_signers_register_and_list() {
	build_and_execute(|| {
		assert_ok!(register(1, 7));
		for origin in [RuntimeOrigin::none(), RuntimeOrigin::root()] {
			let registered = Models::register(origin.clone(), model(8).1, terms(3, 5));
			assert_noop!(registered, DispatchError::BadOrigin);
			let listed = Models::list(origin, model(7).0, terms(3, 5), 0);
			assert_noop!(listed, DispatchError::BadOrigin);
		}
	});
}
