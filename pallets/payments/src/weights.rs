//! Weights of the steps: conservative constants on top of the database's reference weights.
//!
//! This pallet has no calls. Whoever calls it through [`assay_primitives::traits::Escrow`] pays these weights; the jobs
//! pallet's own weights contain them. A solo chain ships no storage proofs, so proof size stays zero.

use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::RocksDbWeight, RuntimeDbWeight, Weight},
};

/// Weights of the steps.
pub trait WeightInfo {
	/// Holding fee ceiling and deposit.
	fn hold() -> Weight;
	/// Settling with `v` confirming verifiers.
	fn settle(v: u32) -> Weight;
	/// Giving the fee ceiling back.
	fn refund() -> Weight;
	/// Sharing slashed money.
	fn restitute() -> Weight;
	/// Giving the deposit back.
	fn close() -> Weight;
}

/// Weights at a runtime's own database costs.
pub struct SubstrateWeight<T>(PhantomData<T>);

fn cost(db: RuntimeDbWeight, micros: u64, reads: u64, writes: u64) -> Weight {
	Weight::from_parts(micros.saturating_mul(1_000_000), 0).saturating_add(db.reads_writes(reads, writes))
}

macro_rules! weights {
	($db:expr) => {
		fn hold() -> Weight {
			cost($db, 100, 4, 4)
		}

		// Escrow record, the payer's account and holds, then one account for each that is paid.
		fn settle(v: u32) -> Weight {
			cost($db, 200, 7, 7).saturating_add(cost($db, 40, 1, 1).saturating_mul(v.into()))
		}

		fn refund() -> Weight {
			cost($db, 80, 4, 4)
		}

		fn restitute() -> Weight {
			cost($db, 80, 4, 3)
		}

		fn close() -> Weight {
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
