//! Weights of the call and of a session's end: conservative constants on top of the database's reference weights.
//!
//! The time beside the database is several times what the benchmarks of this pallet take on the reference machine of
//! FRAME. A solo chain ships no storage proofs, so proof size stays zero.

use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::RocksDbWeight, RuntimeDbWeight, Weight},
};

/// Weights of the call and of a session's end.
pub trait WeightInfo {
	/// [`crate::Pallet::report`].
	fn report() -> Weight;
	/// Ending a session with `n` reports.
	fn end_session(n: u32) -> Weight;
}

/// Weights at a runtime's own database costs.
pub struct SubstrateWeight<T>(PhantomData<T>);

fn cost(db: RuntimeDbWeight, micros: u64, reads: u64, writes: u64) -> Weight {
	Weight::from_parts(micros.saturating_mul(1_000_000), 0).saturating_add(db.reads_writes(reads, writes))
}

macro_rules! weights {
	($db:expr) => {
		// The author, who is searched among the validators, and its report.
		fn report() -> Weight {
			cost($db, 60, 3, 1)
		}

		// Sets of up to 128 kB, the validators, what is finalized, the gadget's state; the gadget's change. A report each,
		// searched in a set, and perhaps removed.
		fn end_session(n: u32) -> Weight {
			cost($db, 2_000, 8, 6).saturating_add(cost($db, 15, 1, 1).saturating_mul(n.into()))
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
