//! A small chain with money: accounts 1 to 6 and the pool have some, the existential deposit is 10.

use crate as pallet_payments;
use frame_support::{derive_impl, parameter_types, traits::ConstU128};
use sp_runtime::BuildStorage;

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
	pub type Payments = pallet_payments;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlock<Test>;
	type AccountData = pallet_balances::AccountData<u128>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
	type Balance = u128;
	type ExistentialDeposit = ConstU128<10>;
	type AccountStore = System;
}

pub(crate) const TREASURY: u64 = 99;
pub(crate) const POOL: u64 = 98;
pub(crate) const MONEY: u128 = 100_000;
/// What the pool has at genesis.
pub(crate) const ENDOWMENT: u128 = 1_000;

parameter_types! {
	pub const Treasury: u64 = TREASURY;
	pub const PoolAccount: u64 = POOL;
}

impl pallet_payments::Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Treasury = Treasury;
	type PoolAccount = PoolAccount;
	type WeightInfo = ();
}

/// Returns the chain at block 1. The treasury does not exist yet.
pub(crate) fn new_test_ext() -> sp_io::TestExternalities {
	let genesis = RuntimeGenesisConfig {
		balances: pallet_balances::GenesisConfig {
			balances: (1..=6).map(|who| (who, MONEY)).chain([(POOL, ENDOWMENT)]).collect(),
			..Default::default()
		},
		..Default::default()
	};
	let mut ext: sp_io::TestExternalities = genesis.build_storage().expect("a good genesis").into();
	ext.execute_with(|| System::set_block_number(1));
	ext
}

/// Runs a test on the chain, then checks that money is conserved and that the holds equal the records.
pub(crate) fn build_and_execute(test: impl FnOnce()) {
	new_test_ext().execute_with(|| {
		let before = Balances::total_issuance();
		test();
		assert_eq!(Balances::total_issuance(), before, "money is conserved");
		Payments::do_try_state().expect("a consistent state");
	});
}
