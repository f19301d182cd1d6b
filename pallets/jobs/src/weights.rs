//! Weights of calls and hooks.
//!
//! Conservative figures until the benchmarks of `benchmarking.rs` generate them: the database operations of the worst
//! case at the chain's reference weight for a read and a write, and a generous allowance for computing. What happens in
//! other pallets is contained: the comments list it. The verification pallet adds what its own part of a publication
//! and of an end costs.

use assay_primitives::{accumulator::MAX_PEAKS, limits::MAX_MEMBERS, rules::EXECUTOR_CANDIDATES};
use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::RocksDbWeight, Weight},
};

/// Weights of the jobs pallet.
pub trait WeightInfo {
	/// `request` with a prompt of `b` bytes, for which so many listings are compared.
	fn request(b: u32, listings: u32) -> Weight;
	/// Reading a conversation of `b` bytes.
	fn parse_chat(b: u32) -> Weight;
	/// `publish` with an output of `b` bytes.
	fn publish(b: u32) -> Weight;
	/// Authorizing a `publish` with an output of `b` bytes.
	fn authorize_publish(b: u32) -> Weight;
	/// `prune`.
	fn prune() -> Weight;
	/// Ending a job whose claim has ended, with `s` paid seats.
	fn closed(s: u32) -> Weight;
	/// Drawing an executor for one job, or refunding it if its time is over.
	fn draw() -> Weight;
	/// One listing's turn, without its draws.
	fn turn() -> Weight;
	/// Ending an attempt without an output: the job waits again, or is refunded.
	fn no_output() -> Weight;
	/// The hooks of a block in which nothing is due.
	fn idle_block() -> Weight;
	/// Looking at one block's deadlines, at one of them that has no effect, or at one block's expired receipts.
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
/// Parsing one byte of a conversation: the worst is a map of many short keys, each of which is allocated, compared and
/// copied.
const PER_BYTE_OF_CHAT: u64 = micros(1) / 4;
/// Hashing two names into one.
const HASH: u64 = micros(2);
/// The rest of a call.
const CALL: u64 = micros(30);
/// Bytes of a job.
const JOB: u64 = 1024;
/// Bytes of a receipt with all seats that there can be.
const RECEIPT: u64 = 8 * 1024;
/// Bytes of an electorate with its members' least prices.
const ELECTORATE: u64 = 112 * MAX_MEMBERS as u64;

fn computing(ref_time: u64, bytes: u64) -> Weight {
	Weight::from_parts(ref_time.saturating_add(PER_KB.saturating_mul(bytes / 1024)), 0)
}

/// Appending a receipt of so many bytes to the accumulator: its hash, and two above it on average. Its reads and writes
/// are counted where it happens, and the highest tree that a block can complete in `idle_block`.
fn accumulate(bytes: u64) -> Weight {
	computing(HASH.saturating_mul(3), bytes)
}

macro_rules! weights {
	($db:expr) => {
		// Reads: the model, its listings, two for its electorate, the chain's stake, waiting jobs, the queue twice, the
		// counter; the hold: record, account, holds. Writes: prompt, job, counter, queue, its ends, waiting jobs, turn; the
		// hold: 3. Each listing is priced, and compared with every member's least prices.
		fn request(b: u32, listings: u32) -> Weight {
			let listings = u64::from(listings);
			computing(
				micros(60).saturating_add(micros(2).saturating_mul(listings)),
				JOB.saturating_add(ELECTORATE).saturating_add(b.into()),
			)
			.saturating_add($db.reads_writes(listings.saturating_add(11), 10))
		}

		fn parse_chat(b: u32) -> Weight {
			Weight::from_parts(PER_BYTE_OF_CHAT.saturating_mul(b.into()), 0)
		}

		// Reads: the job; the provider to release, and whether its heartbeat is due; the claim, and how many the executor
		// has. Writes: job, output, the provider twice, that number, and the claim with its deadline.
		fn publish(b: u32) -> Weight {
			computing(CALL, JOB.saturating_add(b.into())).saturating_add($db.reads_writes(7, 7))
		}

		// Reads: the job, the key.
		fn authorize_publish(b: u32) -> Weight {
			computing(CALL.saturating_add(SIGNATURE), JOB.saturating_add(b.into())).saturating_add($db.reads(3))
		}

		// Reads: the receipt, the last finalized block; record, account and holds of the deposit. Writes: those three,
		// the receipt, prompt, output, leaf and index.
		fn prune() -> Weight {
			computing(CALL, RECEIPT).saturating_add($db.reads_writes(5, 8))
		}

		// Reads: the job; the escrow's record, account, holds, and the accounts of executor, owner, treasury and pool.
		// Writes: those, the receipt and its index, and the job. One account for each seat. The accumulator with it.
		fn closed(s: u32) -> Weight {
			let seats = u64::from(s);
			computing(
				CALL.saturating_mul(seats.saturating_add(4)),
				JOB.saturating_add(RECEIPT),
			)
			.saturating_add(accumulate(RECEIPT))
			.saturating_add($db.reads_writes(seats.saturating_add(9), seats.saturating_add(12)))
		}

		// Reads: the queue, the job, the record of each candidate, the model's outages, the provider to engage, the list of deadlines.
		// Writes: the queue, the job, the provider, the list. A refund reads and writes no more, except for its leaf:
		// the accumulator, and the leaf's index.
		fn draw() -> Weight {
			let candidates = u64::from(EXECUTOR_CANDIDATES);
			let members = u64::from(MAX_MEMBERS);
			computing(
				CALL.saturating_add(micros(1).saturating_mul(candidates.saturating_mul(members) / 8)),
				JOB.saturating_add(ELECTORATE),
			)
			.saturating_add(accumulate(JOB))
			.saturating_add($db.reads_writes(candidates.saturating_add(8), 9))
		}

		// Reads: the turn, the queue's ends, two for the electorate. Writes: the turn twice, the ends, waiting jobs.
		fn turn() -> Weight {
			computing(micros(10), ELECTORATE).saturating_add($db.reads_writes(5, 4))
		}

		// Reads: the job, the provider to release and to fine, its fines, the pool, issuance; the queue, its ends, the
		// job behind, waiting jobs. Writes: all but the last job, and the turn. A refund with its receipt: as many, and
		// the accumulator and the leaf's index.
		fn no_output() -> Weight {
			computing(CALL.saturating_mul(3), JOB.saturating_mul(2))
				.saturating_add(accumulate(JOB))
				.saturating_add($db.reads_writes(13, 13))
		}

		// The cursors of deadlines and of receipts, one list of each, waiting jobs, and the last finalized block. All
		// appends of a block together complete trees of twice as many hashes and, once, of the height of the highest.
		fn idle_block() -> Weight {
			computing(CALL.saturating_add(HASH.saturating_mul(MAX_PEAKS.into())), 0)
				.saturating_add($db.reads_writes(7, 3))
		}

		fn scan() -> Weight {
			computing(micros(5), JOB).saturating_add($db.reads_writes(1, 1))
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
