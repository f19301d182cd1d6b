//! Weights of the steps: conservative constants on top of the database's reference weights.
//!
//! This pallet has no calls. Whoever calls it through [`assay_primitives::traits::Escrow`] or
//! [`assay_primitives::traits::Pool`] pays these weights: its own weights contain them. A solo chain ships no storage
//! proofs, so proof size stays zero.

use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::RocksDbWeight, RuntimeDbWeight, Weight},
};

/// Weights of the steps.
pub trait WeightInfo {
	/// Holding fee ceiling and deposit.
	fn hold() -> Weight;
	/// Settling with `v` paid seats.
	fn settle(v: u32) -> Weight;
	/// Giving the fee ceiling back.
	fn refund() -> Weight;
	/// Giving the deposit back.
	fn close() -> Weight;
	/// Putting taken money into the pool.
	fn collect() -> Weight;
	/// Paying from the pool.
	fn pay() -> Weight;
	/// Sharing taken money among `n` accounts and the treasury.
	fn distribute(n: u32) -> Weight;
	/// Holding the bond of an objection.
	fn hold_objection() -> Weight;
	/// Sharing the bond of an objection among `n` accounts; giving it back is sharing among none.
	fn spend_objection(n: u32) -> Weight;
}

/// Weights at a runtime's own database costs.
pub struct SubstrateWeight<T>(PhantomData<T>);

fn cost(db: RuntimeDbWeight, micros: u64, reads: u64, writes: u64) -> Weight {
	Weight::from_parts(micros.saturating_mul(1_000_000), 0).saturating_add(db.reads_writes(reads, writes))
}

/// One more account that is paid.
fn account(db: RuntimeDbWeight, n: u32) -> Weight {
	cost(db, 40, 1, 1).saturating_mul(n.into())
}

macro_rules! weights {
	($db:expr) => {
		// The record, and the payer's account and holds.
		fn hold() -> Weight {
			cost($db, 80, 3, 3)
		}

		// The record, the payer's account and holds; executor, owner, treasury and pool; the seats.
		fn settle(v: u32) -> Weight {
			cost($db, 200, 7, 7).saturating_add(account($db, v))
		}

		// The record, and the payer's account and holds.
		fn refund() -> Weight {
			cost($db, 60, 3, 3)
		}

		// The record, and the payer's account and holds.
		fn close() -> Weight {
			cost($db, 60, 3, 3)
		}

		// The pool, and issuance.
		fn collect() -> Weight {
			cost($db, 40, 2, 2)
		}

		// The pool and the account paid.
		fn pay() -> Weight {
			cost($db, 60, 2, 2)
		}

		// The treasury and issuance; the accounts paid.
		fn distribute(n: u32) -> Weight {
			cost($db, 40, 2, 2).saturating_add(account($db, n))
		}

		// The record, and the objector's account and holds.
		fn hold_objection() -> Weight {
			cost($db, 60, 3, 3)
		}

		// The record, the objector's account and holds, the treasury; the accounts paid.
		fn spend_objection(n: u32) -> Weight {
			cost($db, 80, 4, 4).saturating_add(account($db, n))
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
