//! Weights of the calls: conservative constants on top of the database's reference weights.
//!
//! The time beside the database is several times what the benchmarks of this pallet take on the reference machine of
//! FRAME. A solo chain ships no storage proofs, so proof size stays zero.

use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::RocksDbWeight, RuntimeDbWeight, Weight},
};

/// Weights of the calls.
pub trait WeightInfo {
	/// [`crate::Pallet::register`].
	fn register() -> Weight;
	/// [`crate::Pallet::update_price`].
	fn update_price() -> Weight;
	/// [`crate::Pallet::retire`].
	fn retire() -> Weight;
	/// [`crate::Pallet::remove`].
	fn remove() -> Weight;
}

/// Weights at a runtime's own database costs.
pub struct SubstrateWeight<T>(PhantomData<T>);

/// Models, the owner's account and holds; event bookkeeping is in the base.
fn cost(db: RuntimeDbWeight, micros: u64, reads: u64, writes: u64) -> Weight {
	Weight::from_parts(micros.saturating_mul(1_000_000), 0).saturating_add(db.reads_writes(reads, writes))
}

macro_rules! weights {
	($db:expr) => {
		fn register() -> Weight {
			cost($db, 80, 5, 4)
		}

		fn update_price() -> Weight {
			cost($db, 40, 1, 1)
		}

		fn retire() -> Weight {
			cost($db, 40, 1, 1)
		}

		fn remove() -> Weight {
			cost($db, 80, 4, 4)
		}
	};
}

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	weights!(T::DbWeight::get());
}

/// For mock runtimes.
impl WeightInfo for () {
	weights!(RocksDbWeight::get());
}
