//! A small chain with a beacon, and the VRF outputs that tests choose.

use crate as pallet_beacon;
use assay_primitives::Hash32;
use frame_support::{derive_impl, parameter_types};
use sp_runtime::BuildStorage;

#[frame_support::runtime]
mod runtime {
	#[runtime::runtime]
	#[runtime::derive(RuntimeCall, RuntimeEvent, RuntimeError, RuntimeOrigin, RuntimeTask)]
	pub struct Test;

	#[runtime::pallet_index(0)]
	pub type System = frame_system;
	#[runtime::pallet_index(1)]
	pub type Beacon = pallet_beacon;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlock<Test>;
}

parameter_types! {
	pub static Vrf: Option<Hash32> = None;
}

impl pallet_beacon::Config for Test {
	type Randomness = Vrf;
	type WeightInfo = ();
}

/// Returns the chain at block 1.
pub(crate) fn new_test_ext() -> sp_io::TestExternalities {
	let genesis = RuntimeGenesisConfig::default();
	let mut ext: sp_io::TestExternalities = genesis.build_storage().expect("a good genesis").into();
	ext.execute_with(|| System::set_block_number(1));
	ext
}
