//! Weights of calls and hooks.
//!
//! Conservative figures until the benchmarks of `benchmarking.rs` generate them: the database operations of the worst
//! case at the chain's reference weight for a read and a write, and a generous allowance for computing.

use assay_primitives::limits::MAX_PROVIDERS_PER_MODEL;
use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::RocksDbWeight, Weight},
};

/// Weights of the jobs pallet.
pub trait WeightInfo {
	/// `request` with a prompt of `b` bytes.
	fn request(b: u32) -> Weight;
	/// `publish` with an output of `b` bytes.
	fn publish(b: u32) -> Weight;
	/// Authorizing a `publish` with an output of `b` bytes.
	fn authorize_publish(b: u32) -> Weight;
	/// `vote` with `c` commitments and `r` reveals that conclude nothing.
	fn vote(c: u32, r: u32) -> Weight;
	/// Authorizing a `vote` with `c` commitments and `r` reveals.
	fn authorize_vote(c: u32, r: u32) -> Weight;
	/// `prune`.
	fn prune() -> Weight;
	/// Concluding an attempt of a committee of `n`, whatever its outcome.
	fn conclude(n: u32) -> Weight;
	/// Drawing one committee of `n` from `p` candidates.
	fn draw(p: u32, n: u32) -> Weight;
	/// The hooks of a block in which nothing is due.
	fn idle_block() -> Weight;
	/// Scanning one block's deadlines or expired receipts, or one hole of the queue.
	fn scan() -> Weight;
}

/// Microseconds of computing.
const fn micros(n: u64) -> u64 {
	n.saturating_mul(1_000_000)
}

/// Verifying one sr25519 signature.
const SIGNATURE: u64 = micros(60);
/// Hashing, copying and encoding one kilobyte, thrice.
const PER_KB: u64 = micros(6);
/// The rest of a call.
const CALL: u64 = micros(30);
/// Bytes of a job with a full committee.
const JOB: u64 = 4 * 1024;
/// Bytes of a small value and its proof.
const SMALL: u64 = 512;

fn computing(ref_time: u64, bytes: u64) -> Weight {
	Weight::from_parts(ref_time.saturating_add(PER_KB.saturating_mul(bytes / 1024)), bytes)
}

macro_rules! weights {
	($db:expr) => {
		fn request(b: u32) -> Weight {
			let providers = u64::from(MAX_PROVIDERS_PER_MODEL);
			// The model's terms, the candidates (index, provider and load of each), the hold, and what a job is stored
			// in.
			computing(
				micros(100),
				JOB.saturating_add(providers.saturating_mul(SMALL))
					.saturating_add(b.into()),
			)
			.saturating_add($db.reads_writes(providers.saturating_mul(3).saturating_add(12), 12))
		}

		fn publish(b: u32) -> Weight {
			computing(CALL, JOB.saturating_add(b.into())).saturating_add($db.reads_writes(6, 6))
		}

		fn authorize_publish(b: u32) -> Weight {
			computing(CALL.saturating_add(SIGNATURE), JOB.saturating_add(b.into())).saturating_add($db.reads(5))
		}

		fn vote(c: u32, r: u32) -> Weight {
			let items = u64::from(c).saturating_add(r.into());
			computing(
				CALL.saturating_mul(items.saturating_add(1)),
				JOB.saturating_mul(items.saturating_add(1)),
			)
			.saturating_add($db.reads_writes(
				items.saturating_mul(3).saturating_add(4),
				items.saturating_mul(4).saturating_add(2),
			))
		}

		fn authorize_vote(c: u32, r: u32) -> Weight {
			let items = u64::from(c).saturating_add(r.into());
			computing(
				SIGNATURE.saturating_add(CALL.saturating_mul(items.saturating_add(1))),
				JOB.saturating_mul(items.saturating_add(1)),
			)
			.saturating_add($db.reads(items.saturating_add(4)))
		}

		fn prune() -> Weight {
			computing(CALL, 48 * 1024).saturating_add($db.reads_writes(6, 8))
		}

		fn conclude(n: u32) -> Weight {
			let n = u64::from(n);
			// A seat: its capacity given back, its assignment, a payment or a slash with restitution.
			computing(
				CALL.saturating_mul(n.saturating_add(2)),
				JOB.saturating_add(n.saturating_mul(SMALL))
					.saturating_add(24 * 1024),
			)
			.saturating_add($db.reads_writes(
				n.saturating_mul(6).saturating_add(10),
				n.saturating_mul(6).saturating_add(12),
			))
		}

		fn draw(p: u32, n: u32) -> Weight {
			let (p, n) = (u64::from(p), u64::from(n));
			computing(
				CALL.saturating_add(micros(2).saturating_mul(p.saturating_mul(n))),
				JOB.saturating_add(p.saturating_mul(SMALL)),
			)
			.saturating_add($db.reads_writes(
				p.saturating_mul(3).saturating_add(n).saturating_add(6),
				n.saturating_mul(2).saturating_add(6),
			))
		}

		fn idle_block() -> Weight {
			computing(CALL, SMALL).saturating_add($db.reads_writes(6, 2))
		}

		fn scan() -> Weight {
			computing(micros(5), SMALL).saturating_add($db.reads_writes(1, 1))
		}
	};
}

/// Weights at a runtime's own database costs.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	weights!(T::DbWeight::get());
}

impl WeightInfo for () {
	weights!(RocksDbWeight::get());
}
