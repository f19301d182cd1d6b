//! A small chain with validators that tests choose, and a model of GRANDPA: what the chain signals, and what a client
//! makes of it.

use crate::{self as pallet_finality, FinalityParams};
use assay_primitives::traits::{FinalityGadget, Validators};
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
	pub type Finality = pallet_finality;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlock<Test>;
}

pub(crate) const PARAMS: FinalityParams<u64> = FinalityParams {
	window: 40,
	max_lag: 50,
	delay: 5,
};

parameter_types! {
	pub const Params: FinalityParams<u64> = PARAMS;
	/// The author of the block.
	pub static Author: Option<u64> = None;
	/// The validators of the session.
	pub static Sitting: Vec<u64> = Vec::new();
	/// The set's id as the chain counts it.
	pub static SetId: u64 = 0;
	/// Whether a change is pending.
	pub static Pending: bool = false;
	/// The change that was forced: its delay, the finalized block, the id of the set before.
	pub static Forced: Option<(u64, u64, u64)> = None;
}

#[allow(unreachable_pub)]
pub struct MockSession;

impl Validators<u64> for MockSession {
	fn has_keys(_: &u64) -> bool {
		true
	}
	fn sitting() -> Vec<u64> {
		Sitting::get()
	}
	fn author() -> Option<u64> {
		Author::get()
	}
	fn session_slots() -> u32 {
		20
	}
}

#[allow(unreachable_pub)]
pub struct MockGrandpa;

impl FinalityGadget<u64> for MockGrandpa {
	fn set_id() -> u64 {
		SetId::get()
	}
	fn can_force_change() -> bool {
		!Pending::get()
	}
	fn force_change(delay: u64, finalized: u64, set_id: u64) {
		Forced::set(Some((delay, finalized, set_id)));
		SetId::set(set_id);
	}
}

impl pallet_finality::Config for Test {
	type Validators = MockSession;
	type Gadget = MockGrandpa;
	type Params = Params;
	type WeightInfo = ();
}

/// Returns the chain at block 1.
pub(crate) fn new_test_ext() -> sp_io::TestExternalities {
	let genesis = RuntimeGenesisConfig::default();
	let mut ext: sp_io::TestExternalities = genesis.build_storage().expect("a good genesis").into();
	ext.execute_with(|| {
		System::set_block_number(1);
		Author::set(None);
		Sitting::set(Vec::new());
		SetId::set(0);
		Pending::set(false);
		Forced::set(None);
	});
	ext
}
