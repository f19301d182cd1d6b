//! A small chain with providers: accounts 1 to 9 have money, and session keys unless they are 9; models 1 to 40 are in
//! the catalog, model 200 is retired.

use crate::{self as pallet_providers, ProviderParams};
use assay_primitives::{
	economics::Rates,
	model::{ModelTerms, Prices},
	traits::{ModelCatalog, Validators},
	Hash32, ListingId, ModelId,
};
use frame_support::{
	derive_impl, parameter_types,
	traits::{tokens::imbalance::ResolveTo, ConstU128},
};

use sp_runtime::{BuildStorage, Permill};

#[frame_support::runtime]
mod runtime {
	#[runtime::runtime]
	#[runtime::derive(
		RuntimeCall,
		RuntimeEvent,
		RuntimeError,
		RuntimeOrigin,
		RuntimeHoldReason,
		RuntimeFreezeReason,
		RuntimeTask
	)]
	pub struct Test;

	#[runtime::pallet_index(0)]
	pub type System = frame_system;
	#[runtime::pallet_index(1)]
	pub type Balances = pallet_balances;
	#[runtime::pallet_index(2)]
	pub type Providers = pallet_providers;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlock<Test>;
	type AccountData = pallet_balances::AccountData<u128>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
	type Balance = u128;
	type ExistentialDeposit = ConstU128<1>;
	type AccountStore = System;
}

#[allow(unreachable_pub)]
pub struct MockCatalog;

impl ModelCatalog<u64> for MockCatalog {
	fn listing(_: ListingId) -> Option<(ModelId, ModelTerms<u64>)> {
		unreachable!("providers know no listings")
	}
	fn listings(model: &ModelId) -> Option<Vec<ModelTerms<u64>>> {
		let [id, ..] = model.0;
		let terms = ModelTerms {
			listing: ListingId(0),
			owner: 1,
			parameters: 1,
			prices: Prices::default(),
			royalty: Permill::zero(),
			context_length: 64,
			prompt_overhead: 1,
			retired: false,
		};
		match id {
			1..=40 => Some(vec![terms]),
			200 => Some(vec![]),
			_ => None,
		}
	}
}

#[allow(unreachable_pub)]
pub struct MockSession;

impl Validators<u64> for MockSession {
	fn has_keys(who: &u64) -> bool {
		*who != 9
	}

	fn sitting() -> Vec<u64> {
		Sitting::get()
	}

	fn author() -> Option<u64> {
		Author::get()
	}

	fn session_slots() -> u32 {
		200
	}
}

#[cfg(any(feature = "runtime-benchmarks", test))]
impl crate::BenchmarkHelper for MockCatalog {
	fn model() -> ModelId {
		ModelId([1; 32])
	}
}

pub(crate) const MONEY: u128 = 1_000_000;
pub(crate) const TREASURY: u64 = 99;
pub(crate) const PARAMS: ProviderParams<u64> = ProviderParams {
	min_bond: 1_000,
	unbonding_period: 50,
	min_unbonding_period: 20,
	max_validators: 3,
	jail_period: 30,
	heartbeat_interval: 40,
	absence_limit: 500,
	max_seals_per_block: 2,
	least_speed: 300,
	session_blocks: 200,
	rates: Rates::DEFAULT,
};

parameter_types! {
	pub Params: ProviderParams<u64> = PARAMS;
	pub const Treasury: u64 = TREASURY;
	pub const Genesis: Hash32 = GENESIS;
	/// The author of this block.
	pub storage Author: Option<u64> = None;
	/// The validators of this session.
	pub storage Sitting: Vec<u64> = Vec::new();
}

impl pallet_providers::Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Catalog = MockCatalog;
	type Session = MockSession;
	type OnSlash = ResolveTo<Treasury, Balances>;
	type GenesisHash = Genesis;
	type Params = Params;
	type WeightInfo = ();
	#[cfg(any(feature = "runtime-benchmarks", test))]
	type BenchmarkHelper = MockCatalog;
}

/// Hash of block 0.
pub(crate) const GENESIS: Hash32 = [0xab; 32];

/// Returns the chain at block 1.
pub(crate) fn new_test_ext() -> sp_io::TestExternalities {
	let genesis = RuntimeGenesisConfig {
		balances: pallet_balances::GenesisConfig {
			balances: (1..=9).map(|who| (who, MONEY)).collect(),
			..Default::default()
		},
		..Default::default()
	};
	let mut ext: sp_io::TestExternalities = genesis.build_storage().expect("a good genesis").into();
	ext.register_extension(sp_keystore::KeystoreExt::new(
		sp_keystore::testing::MemoryKeystore::new(),
	));
	ext.execute_with(|| System::set_block_number(1));
	ext
}

/// Runs a test on the chain, then checks that money is conserved and that its state is consistent.
pub(crate) fn build_and_execute(test: impl FnOnce()) {
	new_test_ext().execute_with(|| {
		let before = Balances::total_issuance();
		test();
		assert_eq!(Balances::total_issuance(), before, "money is conserved");
		Providers::do_try_state().expect("a consistent state");
	});
}
