//! A small chain with a catalog: accounts 1, 2 and 3 have money.

use crate::{self as pallet_models, ModelParams};
use assay_primitives::model::PriceBounds;
use frame_support::{derive_impl, parameter_types, traits::ConstU128};
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
	pub type Models = pallet_models;
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

pub(crate) const PARAMS: ModelParams<u64> = ModelParams {
	deposit_base: 1_000,
	deposit_per_byte: 2,
	royalty_max: Permill::from_percent(5),
	prices: PriceBounds {
		most: 1_000_000,
		step: 2,
	},
	price_delay: 20,
	max_context: 8_192,
	retention: 10,
};

parameter_types! {
	pub Params: ModelParams<u64> = PARAMS;
}

impl pallet_models::Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Params = Params;
	type WeightInfo = ();
}

/// Returns the chain at block 1.
pub(crate) fn new_test_ext() -> sp_io::TestExternalities {
	let genesis = RuntimeGenesisConfig {
		balances: pallet_balances::GenesisConfig {
			balances: (1..=3).map(|who| (who, 100_000)).collect(),
			..Default::default()
		},
		..Default::default()
	};
	let mut ext: sp_io::TestExternalities = genesis.build_storage().expect("a good genesis").into();
	ext.execute_with(|| System::set_block_number(1));
	ext
}

/// Runs a test on the chain, then checks its state.
pub(crate) fn build_and_execute(test: impl FnOnce()) {
	new_test_ext().execute_with(|| {
		test();
		Models::do_try_state().expect("a consistent state");
	});
}
