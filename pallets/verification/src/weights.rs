//! Weights of calls and hooks.
//!
//! Conservative figures until the benchmarks of `benchmarking.rs` generate them: the database operations of the worst
//! case at the chain's reference weight for a read and a write, and a generous allowance for computing.

use assay_primitives::limits::MAX_MEMBERS;
use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::RocksDbWeight, Weight},
};

/// Weights of the verification pallet.
pub trait WeightInfo {
	/// `submit` with `m` votes.
	fn submit(m: u32) -> Weight;
	/// Authorizing a `submit` with `m` messages.
	fn authorize_submit(m: u32) -> Weight;
	/// `open` of a claim that `n` approvals do not fit.
	fn open(n: u32) -> Weight;
	/// Authorizing an `open`.
	fn authorize_open() -> Weight;
	/// `object`.
	fn object() -> Weight;
	/// Taking or canceling the slash of a conviction that names `n` accounts.
	fn slash(n: u32) -> Weight;
	/// Reading and removing a block's list of what is due.
	fn due_list() -> Weight;
	/// A lottery, an auditor's draw, a lapse of `n` seats, or a wait that goes on.
	fn pass_claim(n: u32) -> Weight;
	/// The draw of `n` seats.
	fn draw_seats(n: u32) -> Weight;
	/// A settlement that pays `n` seats.
	fn settle(n: u32) -> Weight;
	/// A step of a dispute.
	fn dispute() -> Weight;
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
/// Appending a receipt to the source's accumulator, besides the receipt's own hash: two hashes on average.
const ACCUMULATE: u64 = micros(6);
/// Bytes of a claim with its seats.
const CLAIM: u64 = 2 * 1024;
/// Bytes of an electorate or a jury.
const ELECTORATE: u64 = 4 * 1024;

fn computing(ref_time: u64, bytes: u64) -> Weight {
	Weight::from_parts(ref_time.saturating_add(PER_KB.saturating_mul(bytes / 1024)), bytes)
}

macro_rules! weights {
	($db:expr) => {
		fn submit(m: u32) -> Weight {
			// Each vote: its claim, and what is due next.
			let m = u64::from(m);
			computing(CALL.saturating_mul(m.saturating_add(1)), CLAIM.saturating_mul(m)).saturating_add(
				$db.reads_writes(
					m.saturating_mul(2).saturating_add(2),
					m.saturating_mul(2).saturating_add(1),
				),
			)
		}

		fn authorize_submit(m: u32) -> Weight {
			let m = u64::from(m);
			computing(SIGNATURE.saturating_add(CALL), CLAIM.saturating_mul(m))
				.saturating_add($db.reads(m.saturating_mul(2).saturating_add(2)))
		}

		fn open(n: u32) -> Weight {
			// Whose approval does not fit is suspended and named in a conviction.
			let n = u64::from(n);
			computing(CALL.saturating_add(micros(10).saturating_mul(n)), CLAIM)
				.saturating_add($db.reads_writes(n.saturating_add(2), n.saturating_mul(2).saturating_add(2)))
		}

		fn authorize_open() -> Weight {
			computing(CALL, CLAIM).saturating_add($db.reads(2))
		}

		fn object() -> Weight {
			computing(CALL, CLAIM.saturating_add(ELECTORATE)).saturating_add($db.reads_writes(7, 6))
		}

		fn slash(n: u32) -> Weight {
			// Each account's record, hold and balance.
			let n = u64::from(n).saturating_mul(3);
			computing(CALL.saturating_mul(n), ELECTORATE)
				.saturating_add($db.reads_writes(n.saturating_add(4), n.saturating_add(4)))
		}

		fn due_list() -> Weight {
			computing(micros(5), 512).saturating_add($db.reads_writes(1, 1))
		}

		fn pass_claim(n: u32) -> Weight {
			// Who is late is fined: its record, its hold, its account, the outages of the model.
			let n = u64::from(n).saturating_mul(4);
			computing(micros(10).saturating_mul(n.saturating_add(1)), CLAIM)
				.saturating_add($db.reads_writes(n.saturating_add(3), n.saturating_add(2)))
		}

		fn draw_seats(n: u32) -> Weight {
			// The claim, the electorate, the beacon, the chain's stake, the executor's record; the claim and what is due
			// next. Each seat: its provider's record.
			let n = u64::from(n);
			computing(
				micros(10).saturating_add(micros(3).saturating_mul(n)),
				CLAIM.saturating_add(ELECTORATE),
			)
			.saturating_add($db.reads_writes(n.saturating_add(6), n.saturating_add(2)))
		}

		fn settle(n: u32) -> Weight {
			// The claim, its executor's count, the source's record, its receipt, the escrow; the accounts of payer,
			// executor, owner, treasury and pool. Each seat: its provider's record, and its account. The receipt's hash,
			// its index, and the accumulator that it is appended to.
			let n = u64::from(n);
			computing(
				CALL.saturating_add(micros(5).saturating_mul(n))
					.saturating_add(ACCUMULATE),
				CLAIM.saturating_mul(2),
			)
			.saturating_add($db.reads_writes(n.saturating_mul(2).saturating_add(12), n.saturating_add(13)))
		}

		fn dispute() -> Weight {
			// Each member may be fined: its record, hold and account, and the outages of the model. The source may end, with
			// a receipt.
			let n = u64::from(MAX_MEMBERS).saturating_mul(3);
			computing(
				CALL.saturating_add(micros(20).saturating_mul(n))
					.saturating_add(ACCUMULATE),
				ELECTORATE.saturating_mul(3).saturating_add(CLAIM),
			)
			.saturating_add($db.reads_writes(n.saturating_add(13), n.saturating_add(13)))
		}
	};
}

/// Weights on the database of a runtime.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	weights!(T::DbWeight::get());
}

/// Weights on the reference database, for tests.
impl WeightInfo for () {
	weights!(RocksDbWeight::get());
}
