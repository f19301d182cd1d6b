//! Models that exist from the start, as a genesis file names them.

use super::*;
use crate::GenesisConfig;
use frame_support::traits::{fungible::InspectHold, BuildGenesisConfig};

const JSON: &str = r#"{"models": [[1, {
	"id": "0x0707070707070707070707070707070707070707070707070707070707070707",
	"name": "Tiny Llama", "architecture": "llama", "profile": "c1-w8",
	"parameters": 1000000, "weight_bytes": 1062500, "price_in": 3, "price_out": 5,
	"royalty": 50000, "context_length": 256, "prompt_overhead": 16, "parent": null
}]]}"#;

#[test]
fn a_genesis_file_has_names_as_strings() {
	let genesis: GenesisConfig<Test> = serde_json::from_str(JSON).unwrap();
	assert_eq!(genesis.models, vec![(1, registration(7))]);
	let again = serde_json::from_value(serde_json::to_value(&genesis).unwrap());
	assert_eq!(genesis.models, again.map(|g: GenesisConfig<Test>| g.models).unwrap());
	build_and_execute(|| {
		genesis.build();
		assert_eq!(Models::view(&ModelId([7; 32])).unwrap().terms.owner, 1);
		assert!(Balances::total_balance_on_hold(&1) > 0);
	});
}

#[test]
fn a_name_that_is_too_long_is_refused_when_it_is_read() {
	let long = JSON.replace("Tiny Llama", &"x".repeat(65));
	assert!(serde_json::from_str::<GenesisConfig<Test>>(&long).is_err());
}

#[test]
#[should_panic(expected = "is refused")]
fn a_genesis_with_a_bad_model_builds_no_chain() {
	let genesis = GenesisConfig::<Test> {
		models: vec![(1, registration(7)), (1, registration(7))],
	};
	new_test_ext().execute_with(|| genesis.build());
}
