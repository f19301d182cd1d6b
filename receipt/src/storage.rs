//! What a chain stores of a job, under which keys, and whether it is what a receipt file says.

use crate::{finality::Proof, Account, ChainReceipt, Reason, ReceiptFile};
use alloc::{vec, vec::Vec};
use assay_primitives::{
	accumulator::Accumulator, receipt::ClaimRecord, Balance, ClaimId, JobId, ModelId, State, Verdict,
};
use codec::{Decode, DecodeAll, Encode};
use sp_crypto_hashing::{blake2_128, twox_128};

/// An open claim, as the chain stores it under `Verification.Claims`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredClaim {
	/// The job that it answers.
	pub origin: JobId,
	/// Who asked.
	pub requester: Account,
	/// The model.
	pub model: ModelId,
	/// Its state.
	pub state: State,
	/// The verdict, once there is one.
	pub verdict: Option<Verdict>,
	/// The block of the verdict.
	pub verdict_at: Option<u32>,
	/// The block in which something is due next.
	pub due: u32,
	/// The first block in which it may settle.
	pub settle_at: u32,
	/// The block from which a certain audit is drawn.
	pub audit_at: u32,
	/// Auditors drawn for the present audit.
	pub auditors: u8,
	/// Whether a conviction has reopened it.
	pub reopened: bool,
	/// The work of one check.
	pub work: u64,
	/// What one check is paid.
	pub seat_fee: Balance,
	/// Seats of the next tranche.
	pub next_seats: u32,
	/// The last block of each seat.
	pub deadlines: Vec<u32>,
	/// What a receipt shows.
	pub record: ClaimRecord<Account, u32>,
}

/// Returns a key of the chain's storage.
fn key(pallet: &str, item: &str, of: &[u8]) -> Vec<u8> {
	[&twox_128(pallet.as_bytes())[..], &twox_128(item.as_bytes()), of].concat()
}

/// Returns the key of the authorities of GRANDPA.
#[cfg(feature = "std")]
pub(crate) fn authorities() -> Vec<u8> {
	key("Grandpa", "Authorities", &[])
}

/// Returns the key under which a chain stores for how many blocks bonds stay, if its genesis sets that.
pub fn unbonding_key() -> Vec<u8> {
	key("Providers", "UnbondingPeriod", &[])
}

fn receipt(job: &JobId) -> Vec<u8> {
	key("Jobs", "Receipts", &job.0)
}

fn accumulator() -> Vec<u8> {
	key("Jobs", "ReceiptAccumulator", &[])
}

fn leaf(job: &JobId) -> Vec<u8> {
	key("Jobs", "Leaves", &job.0)
}

fn claim(claim: &ClaimId) -> Vec<u8> {
	key("Verification", "Claims", &claim.0)
}

fn claim_count(executor: &Account) -> Vec<u8> {
	key(
		"Verification",
		"ClaimCount",
		&[&blake2_128(&executor.0)[..], &executor.0].concat(),
	)
}

impl ReceiptFile {
	/// Returns the keys of the chain's storage under which a proof for this file has to show what is stored. The proof
	/// consists of the trie nodes on the way to these keys, each of them once, and of no others.
	pub fn storage_keys(&self) -> Vec<Vec<u8>> {
		let job = &self.receipt.job;
		match (&self.receipt.claim, self.receipt.closed_at) {
			(Some(record), None) => vec![claim(&self.claim_id(record)), claim_count(&record.executor)],
			_ => match &self.accumulator {
				None => vec![receipt(job)],
				Some(one) if one.proof.is_some() => vec![receipt(job), accumulator()],
				Some(_) => vec![receipt(job), leaf(job)],
			},
		}
	}
}

#[cfg(any(test, feature = "test-utils"))]
impl ReceiptFile {
	/// Returns the file without its evidence, and without what the evidence does not prove: all that nobody may change in
	/// a final file.
	pub fn proved(&self, not_proved: &[&str]) -> Self {
		let mut file = Self {
			finality: None,
			..self.clone()
		};
		let receipt = &mut file.receipt;
		for name in not_proved {
			match *name {
				"fee" => receipt.fee = 0,
				"requested_at" => receipt.requested_at = 0,
				"listing" => receipt.listing = Default::default(),
				"answer.input_tokens" => receipt.answer.iter_mut().for_each(|answer| answer.input_tokens = 0),
				_ => file.stream = None,
			}
		}
		file
	}
}

/// Checks that a proof shows what the file says, and that it needs every node for that. Returns what it does not show.
pub(crate) fn check(file: &ReceiptFile, mut proof: Proof<'_>) -> Result<Vec<&'static str>, Reason> {
	let not_proved = match (&file.receipt.claim, file.receipt.closed_at) {
		(Some(record), None) => check_open(file, record, &mut proof)?,
		_ => {
			check_closed(file, &mut proof)?;
			Vec::new()
		}
	};
	proof.end()?;
	Ok(not_proved)
}

/// Checks a final receipt: that it is stored, or that it was until it was pruned.
fn check_closed(file: &ReceiptFile, proof: &mut Proof<'_>) -> Result<(), Reason> {
	let job = &file.receipt.job;
	let stored = proof.value(&receipt(job))?;
	if stored.is_some_and(|stored| stored != file.receipt.encode()) {
		return Err(Reason::OtherReceipt);
	}
	let Some(one) = &file.accumulator else {
		return stored.map(drop).ok_or(Reason::NotStored);
	};
	if one.proof.is_some() {
		let bytes = proof.value(&accumulator())?.ok_or(Reason::NotStored)?;
		let all = Accumulator::decode_all(&mut &*bytes).map_err(|_| Reason::OtherReceipt)?;
		return ensure(file.root() == Some(all.root()), Reason::OtherReceipt);
	}
	// Without a proof in the accumulator nothing is left of a receipt that was pruned.
	stored.ok_or(Reason::NotStored)?;
	let index = proof.value(&leaf(job))?.ok_or(Reason::NotStored)?;
	ensure(index == one.index.encode(), Reason::OtherReceipt)
}

/// Checks a receipt whose claim is open.
fn check_open(
	file: &ReceiptFile,
	record: &ClaimRecord<Account, u32>,
	proof: &mut Proof<'_>,
) -> Result<Vec<&'static str>, Reason> {
	let ChainReceipt {
		job,
		model,
		requester,
		verdict,
		state,
		verdict_at,
		..
	} = &file.receipt;
	let bytes = proof.value(&claim(&file.claim_id(record)))?.ok_or(Reason::NotStored)?;
	let stored = StoredClaim::decode_all(&mut &*bytes).map_err(|_| Reason::OtherReceipt)?;
	let count = match proof.value(&claim_count(&record.executor))? {
		None => 0,
		Some(bytes) => u32::decode_all(&mut &*bytes).map_err(|_| Reason::OtherReceipt)?,
	};
	let stored_record = ClaimRecord {
		// The chain counts the others when it is asked.
		open_claims: count.saturating_sub(1),
		..stored.record
	};
	let same = stored.origin == *job
		&& stored.requester == *requester
		&& stored.model == *model
		&& stored.state == *state
		&& stored.verdict == Some(*verdict)
		&& stored.verdict_at == Some(*verdict_at)
		&& stored_record == *record;
	ensure(same, Reason::OtherReceipt)?;
	let mut not_proved = vec!["fee", "requested_at", "answer.input_tokens"];
	if !file.receipt.listing_named {
		not_proved.push("listing");
	}
	Ok(not_proved)
}

fn ensure(holds: bool, otherwise: Reason) -> Result<(), Reason> {
	holds.then_some(()).ok_or(otherwise)
}
