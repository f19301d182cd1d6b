//! Models that exist from the start, as a genesis file names them.

use super::*;
use crate::{GenesisConfig, Registration};
use frame_support::traits::{fungible::InspectHold, BuildGenesisConfig};

fn registration() -> Registration {
	Registration {
		manifest: model(7).1,
		terms: terms(3, 5),
	}
}

#[test]
fn a_genesis_file_has_manifests_as_hex_digits() {
	let hex = const_hex::encode_prefixed(model(7).1);
	let json = format!(
		r#"{{"models": [[1, {{ "manifest": "{hex}", "price_in": "3", "price_out": "5", "royalty": 50000 }}]]}}"#
	);
	let genesis: GenesisConfig<Test> = serde_json::from_str(&json).unwrap();
	assert_eq!(genesis.models, vec![(1, registration())]);
	let again = serde_json::from_value(serde_json::to_value(&genesis).unwrap());
	assert_eq!(genesis.models, again.map(|g: GenesisConfig<Test>| g.models).unwrap());
	build_and_execute(|| {
		genesis.build();
		assert_eq!(Models::view(&model(7).0).unwrap().listings[0].owner, 1);
		assert!(Balances::total_balance_on_hold(&1) > 0);
	});
}

#[test]
#[should_panic(expected = "ManifestTooLong")]
fn a_genesis_with_too_long_a_manifest_builds_no_chain() {
	let long = Registration {
		manifest: vec![0; assay_primitives::limits::MAX_MANIFEST_BYTES as usize + 1],
		..registration()
	};
	let genesis = GenesisConfig::<Test> {
		models: vec![(1, long)],
	};
	new_test_ext().execute_with(|| genesis.build());
}

#[test]
#[should_panic(expected = "is refused")]
fn a_genesis_with_a_bad_model_builds_no_chain() {
	let genesis = GenesisConfig::<Test> {
		models: vec![(1, registration()), (1, registration())],
	};
	new_test_ext().execute_with(|| genesis.build());
}
