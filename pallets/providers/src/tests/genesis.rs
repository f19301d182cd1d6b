//! Providers that exist from the start.

use super::*;
use crate::{GenesisConfig, GenesisProvider};
use frame_support::traits::BuildGenesisConfig;

fn genesis(seeds: &[u8]) -> GenesisConfig<Test> {
	let provider = |seed: &u8| GenesisProvider {
		account: u64::from(*seed),
		bond: 5_000,
		inference_key: key(7),
		models: vec![model(1)],
		capacity: 8,
	};
	GenesisConfig {
		providers: seeds.iter().map(provider).collect(),
		unbonding_period: None,
	}
}

#[test]
fn genesis_providers_can_be_drawn_at_once() {
	build_and_execute(|| {
		System::set_block_number(0);
		genesis(&[1]).build();
		for block in 0..200 {
			run_to(block);
			assert_eq!(electorate(1), vec![(1, 5_000)], "block {block}");
			Providers::mark_alive(&1);
		}
		assert!(electorate(2).is_empty());
		assert_eq!((record(1).capacity, Providers::owner_of(&key(7))), (8, Some(1)));
		assert_eq!(chosen(), vec![1]);
	});
}

#[test]
fn a_genesis_file_is_read_as_it_is_written() {
	let text = serde_json::to_string(&genesis(&[1])).unwrap();
	assert!(text.contains(r#""models":["0x0101"#), "{text}");
	let again: GenesisConfig<Test> = serde_json::from_str(&text).unwrap();
	assert_eq!(again.providers, genesis(&[1]).providers);
}

#[test]
#[should_panic(expected = "is refused")]
fn two_genesis_providers_with_one_key_build_no_chain() {
	new_test_ext().execute_with(|| genesis(&[1, 2]).build());
}
