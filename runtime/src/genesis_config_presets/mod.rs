//! The presets of the chains that can be started by name, as JSON patches of the genesis configuration.
//!
//! | preset | validators | providers | sudo |
//! |---|---|---|---|
//! | `development` | Alice | Alice, Bob, Charlie, Dave: one node with all four inference keys | Alice |
//! | `local_testnet` | Alice, Bob, Charlie, Dave | the same | Alice |
//! | `staging` | four placeholders, see [`staging`] | the same | nobody |
//!
//! The validators are the council, from genesis on: [`crate::configs::governance`]. All three register the bundled demo
//! model, owned by Eve except in `staging`.

mod staging;

pub use staging::STAGING_RUNTIME_PRESET;

use crate::{
	configs::tokens::{PoolAccount, TreasuryAccount},
	constants::currency::ASY,
	AccountId, BabeConfig, BalancesConfig, ModelsConfig, ProvidersConfig, RuntimeGenesisConfig, SessionConfig,
	SessionKeys, SudoConfig,
};
use alloc::{collections::BTreeSet, string::ToString, vec, vec::Vec};
use assay_primitives::{crypto::InferenceId, manifest, Balance};
use frame_support::{
	build_struct_json_patch,
	traits::{Get, TypedGet},
};
use pallet_models::Registration;
use pallet_providers::GenesisProvider;
use serde_json::Value;
use sp_genesis_builder::{PresetId, DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

/// The balance of an account of a preset.
pub const ENDOWMENT: Balance = 1_000_000 * ASY;
/// The part of it that a provider of a preset has bonded.
pub const BOND: Balance = 100_000 * ASY;
/// Jobs a provider of a preset takes at once.
pub const CAPACITY: u32 = 8;
/// The balance that keeps the treasury's account alive, so that it can always receive.
pub const TREASURY_ENDOWMENT: Balance = ASY;
/// What the pool of audits and juries begins with: it pays the first audits before any levy has come in.
pub const POOL_ENDOWMENT: Balance = 1_000 * ASY;

/// Returns the registration of the bundled demo model: its manifest, 0.0001 ASY for a prompt token and 0.001 for a generated
/// one, and the highest royalty. None if the file is malformed, which tests exclude.
pub fn demo_model() -> Option<Registration> {
	serde_json::from_str(include_str!("../../../demo-model/assay-demo/registration.json")).ok()
}

/// A provider of a preset.
struct Founder {
	account: AccountId,
	inference_key: InferenceId,
	/// Present if it is a validator.
	session_keys: Option<SessionKeys>,
}

impl Founder {
	/// Returns a well-known development account. The node started with `--alice` holds Alice's keys, and so on.
	fn well_known(sr25519: Sr25519Keyring, ed25519: Option<Ed25519Keyring>) -> Self {
		Self {
			account: sr25519.to_account_id(),
			inference_key: sr25519.public().into(),
			session_keys: ed25519.map(|ed25519| SessionKeys {
				babe: sr25519.public().into(),
				grandpa: ed25519.public().into(),
				authority_discovery: sr25519.public().into(),
			}),
		}
	}
}

fn genesis(
	founders: &[Founder],
	rich: Vec<AccountId>,
	model_owner: AccountId,
	root: Option<AccountId>,
) -> Option<Value> {
	let registration = demo_model()?;
	let model = manifest::model_id(&registration.manifest);
	let endowed: BTreeSet<_> = founders
		.iter()
		.map(|f| f.account.clone())
		.chain(rich)
		.chain([model_owner.clone()])
		.collect();
	let treasury = (<TreasuryAccount as TypedGet>::get(), TREASURY_ENDOWMENT);
	let pool = (<PoolAccount as Get<AccountId>>::get(), POOL_ENDOWMENT);
	Some(build_struct_json_patch!(RuntimeGenesisConfig {
		balances: BalancesConfig {
			balances: endowed
				.into_iter()
				.map(|who| (who, ENDOWMENT))
				.chain([treasury, pool])
				.collect::<Vec<_>>(),
		},
		babe: BabeConfig {
			epoch_config: crate::apis::GENESIS_EPOCH
		},
		models: ModelsConfig {
			models: vec![(model_owner, registration)]
		},
		providers: ProvidersConfig {
			providers: founders
				.iter()
				.map(|f| GenesisProvider {
					account: f.account.clone(),
					bond: BOND,
					inference_key: f.inference_key.clone(),
					models: vec![model],
					capacity: CAPACITY,
				})
				.collect::<Vec<_>>(),
		},
		session: SessionConfig {
			keys: founders
				.iter()
				.filter_map(|f| Some((f.account.clone(), f.account.clone(), f.session_keys.clone()?)))
				.collect::<Vec<_>>(),
		},
		sudo: SudoConfig { key: root },
	}))
}

/// One validator and four providers, whose keys one node holds.
fn development() -> Option<Value> {
	let founders = [
		Founder::well_known(Sr25519Keyring::Alice, Some(Ed25519Keyring::Alice)),
		Founder::well_known(Sr25519Keyring::Bob, None),
		Founder::well_known(Sr25519Keyring::Charlie, None),
		Founder::well_known(Sr25519Keyring::Dave, None),
	];
	well_known_chain(&founders)
}

/// Four validators, which are the four providers.
fn local_testnet() -> Option<Value> {
	let founders = [
		Founder::well_known(Sr25519Keyring::Alice, Some(Ed25519Keyring::Alice)),
		Founder::well_known(Sr25519Keyring::Bob, Some(Ed25519Keyring::Bob)),
		Founder::well_known(Sr25519Keyring::Charlie, Some(Ed25519Keyring::Charlie)),
		Founder::well_known(Sr25519Keyring::Dave, Some(Ed25519Keyring::Dave)),
	];
	well_known_chain(&founders)
}

fn well_known_chain(founders: &[Founder]) -> Option<Value> {
	let rich = Sr25519Keyring::well_known()
		.map(Sr25519Keyring::to_account_id)
		.collect();
	genesis(
		founders,
		rich,
		Sr25519Keyring::Eve.to_account_id(),
		Some(Sr25519Keyring::Alice.to_account_id()),
	)
}

/// Returns the JSON patch of a preset.
pub fn get_preset(id: &PresetId) -> Option<Vec<u8>> {
	let patch = match id.as_ref() {
		DEV_RUNTIME_PRESET => development(),
		LOCAL_TESTNET_RUNTIME_PRESET => local_testnet(),
		STAGING_RUNTIME_PRESET => staging::genesis(),
		_ => None,
	}?;
	Some(patch.to_string().into_bytes())
}

/// Returns the names of all presets.
pub fn preset_names() -> Vec<PresetId> {
	[DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET, STAGING_RUNTIME_PRESET]
		.map(PresetId::from)
		.to_vec()
}
