//! Weights of the calls: conservative constants on top of the database's reference weights.
//!
//! A solo chain ships no storage proofs, so proof size stays zero.

use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::RocksDbWeight, RuntimeDbWeight, Weight},
};

/// Weights of the calls.
pub trait WeightInfo {
	/// Scheduling a call of `b` bytes.
	fn enact(b: u32) -> Weight;
	/// Dispatching an urgent call of `b` bytes, without the call's own weight.
	fn enact_now(b: u32) -> Weight;
	/// Taking a scheduled call back.
	fn cancel() -> Weight;
}

/// Weights at a runtime's own database costs.
pub struct SubstrateWeight<T>(PhantomData<T>);

/// Hashing, copying and encoding one byte, thrice, in picoseconds.
const PER_BYTE: u64 = 6_000;

fn cost(db: RuntimeDbWeight, micros: u64, bytes: u32, reads: u64, writes: u64) -> Weight {
	let bytes = PER_BYTE.saturating_mul(bytes.into());
	Weight::from_parts(micros.saturating_mul(1_000_000).saturating_add(bytes), 0)
		.saturating_add(db.reads_writes(reads, writes))
}

macro_rules! weights {
	($db:expr) => {
		// The number and what waits; the scheduler's agenda and lookup; the preimage, and its status in two places, each
		// time that it is requested or given up.
		fn enact(b: u32) -> Weight {
			cost($db, 120, b, 13, 11)
		}

		fn enact_now(b: u32) -> Weight {
			cost($db, 20, b, 0, 0)
		}

		// What waits; the scheduler's agenda, lookup and retries; the preimage and its status in two places.
		fn cancel() -> Weight {
			cost($db, 120, 0, 7, 7)
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
