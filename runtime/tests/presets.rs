//! Every preset is a chain: its JSON is complete, its genesis builds, and every pallet's state is consistent.

mod common;

use assay_primitives::traits::{ModelCatalog, ProviderSet};
use assay_runtime::{
	configs::tokens::{PoolAccount, TreasuryAccount},
	genesis_config_presets::{
		demo_model, get_preset, preset_names, BOND, ENDOWMENT, POOL_ENDOWMENT, TREASURY_ENDOWMENT,
	},
	AccountId, Balances, Models, Providers, Runtime, Session,
};
use common::{check_state, genesis};
use frame_support::traits::{fungible::Inspect, fungible::InspectHold, Get, TypedGet};
use sp_genesis_builder::PresetId;
use sp_keyring::Sr25519Keyring::{Alice, Bob, Charlie, Dave};

fn accounts(keys: &[sp_keyring::Sr25519Keyring]) -> Vec<AccountId> {
	let mut accounts: Vec<_> = keys.iter().map(|key| key.to_account_id()).collect();
	accounts.sort_unstable();
	accounts
}

fn sorted(mut accounts: Vec<AccountId>) -> Vec<AccountId> {
	accounts.sort_unstable();
	accounts
}

#[test]
fn every_preset_builds_a_consistent_state() {
	for name in preset_names() {
		genesis(name.as_ref()).execute_with(|| {
			check_state();
			let registration = demo_model().expect("the demo model has a registration");
			let model = assay_primitives::manifest::model_id(&registration.manifest);
			let listings = Models::listings(&model).expect("the demo model is registered");
			assert_eq!(listings.len(), 1, "{name:?} lists it");
			assert_eq!(
				Providers::electorate(&model).len(),
				4,
				"{name:?} has an electorate from the first block on"
			);
		});
	}
}

#[test]
fn an_unknown_preset_is_none() {
	assert_eq!(get_preset(&PresetId::from("mainnet")), None);
}

#[test]
fn development_has_one_validator_and_four_providers() {
	genesis("development").execute_with(|| {
		assert_eq!(Session::validators(), accounts(&[Alice]));
		assert_eq!(pallet_sudo::Key::<Runtime>::get(), Some(Alice.to_account_id()));
		for provider in accounts(&[Alice, Bob, Charlie, Dave]) {
			assert_eq!(Balances::total_balance(&provider), ENDOWMENT);
			assert_eq!(Balances::total_balance_on_hold(&provider), BOND);
		}
	});
}

#[test]
fn a_local_testnet_has_its_four_validators_in_both_first_sessions() {
	genesis("local_testnet").execute_with(|| {
		let four = accounts(&[Alice, Bob, Charlie, Dave]);
		assert_eq!(sorted(Session::validators()), four);
		assert_eq!(
			sorted(Session::queued_keys().into_iter().map(|(who, _)| who).collect()),
			four
		);
		assert_eq!(pallet_babe::Authorities::<Runtime>::get().len(), 4);
		assert_eq!(assay_runtime::Grandpa::grandpa_authorities().len(), 4);
		assert_eq!(assay_runtime::AuthorityDiscovery::authorities().len(), 4);
	});
}

#[test]
fn staging_has_no_root_and_no_well_known_key() {
	genesis("staging").execute_with(|| {
		assert_eq!(pallet_sudo::Key::<Runtime>::get(), None);
		assert_eq!(Session::validators().len(), 4);
		for key in sp_keyring::Sr25519Keyring::iter() {
			assert!(
				!frame_system::Account::<Runtime>::contains_key(key.to_account_id()),
				"{key:?}"
			);
		}
	});
}

#[test]
fn treasury_and_pool_can_receive_and_pay_from_the_first_block_on() {
	for name in preset_names() {
		genesis(name.as_ref()).execute_with(|| {
			assert_eq!(
				Balances::total_balance(&<TreasuryAccount as TypedGet>::get()),
				TREASURY_ENDOWMENT
			);
			assert_eq!(Balances::total_balance(&PoolAccount::get()), POOL_ENDOWMENT);
		});
	}
}

#[test]
fn every_block_has_a_vrf_output_to_draw_from() {
	genesis("development").execute_with(|| {
		let config = assay_runtime::Babe::epoch_config().expect("set at genesis");
		assert_eq!(
			config.allowed_slots,
			sp_consensus_babe::AllowedSlots::PrimaryAndSecondaryVRFSlots
		);
	});
}
