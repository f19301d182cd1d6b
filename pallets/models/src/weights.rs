//! Weights of the calls: conservative constants on top of the database's reference weights.
//!
//! The time beside the database is several times what the benchmarks of this pallet take on the reference machine of
//! FRAME. A solo chain ships no storage proofs, so proof size stays zero.

use assay_primitives::limits::MAX_LISTINGS;
use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::RocksDbWeight, RuntimeDbWeight, Weight},
};

/// Weights of the calls.
pub trait WeightInfo {
	/// [`crate::Pallet::register`] with a manifest of `b` bytes.
	fn register(b: u32) -> Weight;
	/// [`crate::Pallet::list`].
	fn list() -> Weight;
	/// [`crate::Pallet::update_price`].
	fn update_price() -> Weight;
	/// [`crate::Pallet::retire`].
	fn retire() -> Weight;
	/// [`crate::Pallet::remove`].
	fn remove() -> Weight;
}

/// Weights at a runtime's own database costs.
pub struct SubstrateWeight<T>(PhantomData<T>);

/// Reading, checking and hashing one kilobyte of a manifest. In Wasm, without vector instructions, BLAKE3 takes a third of
/// it.
const MICROS_PER_KB: u64 = 12;

/// Models and listings, the owner's account and holds; event bookkeeping is in the base.
fn cost(db: RuntimeDbWeight, micros: u64, reads: u64, writes: u64) -> Weight {
	Weight::from_parts(micros.saturating_mul(1_000_000), 0).saturating_add(db.reads_writes(reads, writes))
}

macro_rules! weights {
	($db:expr) => {
		// Reads: the model, its parent, the counter, account and holds. Writes: model, listing, counter, account, holds.
		fn register(b: u32) -> Weight {
			let kilobytes = u64::from(b).div_ceil(1024);
			let micros = MICROS_PER_KB.saturating_mul(kilobytes).saturating_add(100);
			cost($db, micros, 6, 6)
		}

		// Reads: the model, every listing in a full list, the counter, account and holds. Writes: as a registration, and the
		// listing that makes way.
		fn list() -> Weight {
			cost($db, 120, u64::from(MAX_LISTINGS).saturating_add(5), 7)
		}

		fn update_price() -> Weight {
			cost($db, 40, 1, 1)
		}

		fn retire() -> Weight {
			cost($db, 60, 2, 2)
		}

		fn remove() -> Weight {
			cost($db, 80, 5, 5)
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
