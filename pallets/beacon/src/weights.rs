//! The weight of the hook: a conservative constant on top of the database's reference weights.
//!
//! The time beside the database is several times what the benchmark of this pallet takes on the reference machine of
//! FRAME. A solo chain ships no storage proofs, so proof size stays zero.

use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::RocksDbWeight, RuntimeDbWeight, Weight},
};

/// The weight of the hook.
pub trait WeightInfo {
	/// Accumulating the VRF output of one block.
	fn accumulate() -> Weight;
}

/// Weights at a runtime's own database costs.
pub struct SubstrateWeight<T>(PhantomData<T>);

/// The VRF output and the value are read, the value is written.
fn accumulate(db: RuntimeDbWeight) -> Weight {
	Weight::from_parts(20_000_000, 0).saturating_add(db.reads_writes(2, 1))
}

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	fn accumulate() -> Weight {
		accumulate(T::DbWeight::get())
	}
}

/// For mock runtimes.
impl WeightInfo for () {
	fn accumulate() -> Weight {
		accumulate(RocksDbWeight::get())
	}
}
