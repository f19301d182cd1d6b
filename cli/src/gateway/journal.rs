//! What the gateway has signed, on disk before it is sent: one file for each idempotency key. Whatever stops the gateway, the
//! next start finds each transaction, so that nothing is paid twice.

use crate::{
	chain::Signed,
	error::CliError,
	paths::{read, replace, sync_parent},
};
use assay_primitives::{hash::hex32, Balance, Hash32, JobId};
use assay_receipt::StreamEvidence;
use serde::{Deserialize, Serialize};
use std::{
	fs::{self, File, TryLockError},
	path::{Path, PathBuf},
	time::{SystemTime, UNIX_EPOCH},
};

/// How long a record is kept: twice as long as keys are promised to be remembered.
const KEEP_SECONDS: u64 = 2 * 24 * 60 * 60;
/// Largest record, in bytes: a transaction with the longest input, in hex.
const MAX_RECORD_BYTES: u64 = 512 * 1024;
/// Largest evidence, in bytes.
const MAX_EVIDENCE_BYTES: u64 = 4 * 1024 * 1024;

/// A request that may be paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
	/// The key that names it.
	pub(super) key: String,
	/// The chain that it is for.
	#[serde(with = "hex32")]
	pub(super) genesis: Hash32,
	/// What was asked, hashed.
	#[serde(with = "hex32")]
	pub(super) terms: Hash32,
	/// The account that signed.
	#[serde(with = "hex32")]
	pub(super) account: Hash32,
	/// The transaction's nonce.
	pub(super) nonce: u64,
	/// A block before all that can have it.
	pub(super) since: u32,
	/// The transaction's hash.
	#[serde(with = "hex32")]
	pub(super) hash: Hash32,
	/// Its bytes, in hex.
	transaction: String,
	/// The most that the job can cost, in base units.
	fee_ceiling: String,
	/// When it was signed, in seconds since 1970.
	made: u64,
	/// The job that it made, once a block has it.
	pub(super) job: Option<JobId>,
}

fn seconds() -> u64 {
	SystemTime::now()
		.duration_since(UNIX_EPOCH)
		.unwrap_or_default()
		.as_secs()
}

impl Record {
	/// Returns the record of a signed transaction.
	pub(super) fn new(key: &str, genesis: Hash32, terms: Hash32, fee_ceiling: Balance, signed: &Signed) -> Self {
		Self {
			key: key.to_owned(),
			genesis,
			terms,
			account: signed.sent.account.0,
			nonce: signed.sent.nonce,
			since: signed.sent.since,
			hash: signed.sent.hash,
			transaction: const_hex::encode(&signed.bytes),
			fee_ceiling: fee_ceiling.to_string(),
			made: seconds(),
			job: None,
		}
	}

	/// Returns the transaction's bytes.
	pub(super) fn transaction(&self) -> Result<Vec<u8>, CliError> {
		const_hex::decode(&self.transaction).map_err(|_| CliError::File("a record of the journal is damaged".into()))
	}

	/// Returns the most that the job can cost.
	pub(super) fn fee_ceiling(&self) -> Balance {
		self.fee_ceiling.parse().unwrap_or(Balance::MAX)
	}

	fn is_old(&self, now: u64) -> bool {
		now.saturating_sub(self.made) > KEEP_SECONDS
	}
}

/// The journal's directory, which one gateway at a time uses.
pub(super) struct Journal {
	directory: PathBuf,
	/// Locked as long as it is open.
	_lock: File,
}

impl Journal {
	/// Opens the journal in a directory of the gateway, and returns what it holds, the oldest nonce first. Old records are removed.
	pub(super) fn open(data: &Path) -> Result<(Self, Vec<Record>), CliError> {
		let directory = crate::paths::directory(Some(&data.join("journal")), "journal")?;
		let path = data.join("lock");
		let lock = File::create(&path).map_err(|e| CliError::file(&path, e))?;
		match lock.try_lock() {
			Ok(()) => {}
			Err(TryLockError::WouldBlock) => {
				return Err(CliError::Usage(format!(
					"another gateway uses {}: stop it, or name another directory with --data",
					data.display()
				)))
			}
			Err(TryLockError::Error(e)) => return Err(CliError::file(&path, e)),
		}
		let journal = Self { directory, _lock: lock };
		let records = journal.records()?;
		Ok((journal, records))
	}

	fn records(&self) -> Result<Vec<Record>, CliError> {
		let failed = |e| CliError::file(&self.directory, e);
		let (mut records, now) = (Vec::new(), seconds());
		for entry in fs::read_dir(&self.directory).map_err(failed)? {
			let path = entry.map_err(failed)?.path();
			if path.extension().is_none_or(|extension| extension != "json") {
				continue;
			}
			// A record that cannot be read may be of a payment: nothing must be paid until somebody has looked.
			let record: Record = serde_json::from_str(&read(&path, MAX_RECORD_BYTES)?).map_err(|e| {
				CliError::file(
					&path,
					format!("a record of the journal is damaged ({e}): look whether it was paid, and move it away"),
				)
			})?;
			if record.is_old(now) && record.job.is_some() {
				fs::remove_file(&path).map_err(|e| CliError::file(&path, e))?;
			} else {
				records.push(record);
			}
		}
		records.sort_by_key(|record| record.nonce);
		Ok(records)
	}

	fn path(&self, key: &str) -> PathBuf {
		self.directory
			.join(format!("{}.json", blake3::hash(key.as_bytes()).to_hex()))
	}

	/// Writes a record. It survives a power cut once this returns.
	pub(super) fn write(&self, record: &Record) -> Result<(), CliError> {
		let path = self.path(&record.key);
		let json = serde_json::to_vec(record).map_err(|e| CliError::file(&path, e))?;
		replace(&path, &json)
	}

	/// Removes a record of what was surely not paid, or is old.
	pub(super) fn remove(&self, key: &str) -> Result<(), CliError> {
		let path = self.path(key);
		fs::remove_file(&path)
			.and_then(|()| sync_parent(&path))
			.map_err(|e| CliError::file(&path, e))
	}

	/// Returns whether a record may be forgotten.
	pub(super) fn may_forget(record: &Record) -> bool {
		record.job.is_some() && record.is_old(seconds())
	}

	fn evidence_path(&self, job: JobId) -> PathBuf {
		self.directory.join(format!("{}.evidence", const_hex::encode(job.0)))
	}

	/// Keeps what an executor has signed against itself.
	pub(super) fn keep_evidence(&self, job: JobId, evidence: &StreamEvidence) -> Result<(), CliError> {
		let path = self.evidence_path(job);
		let json = serde_json::to_vec(evidence).map_err(|e| CliError::file(&path, e))?;
		replace(&path, &json)
	}

	/// Returns what was kept of a job's executor.
	pub(super) fn evidence(&self, job: JobId) -> Option<StreamEvidence> {
		let text = read(&self.evidence_path(job), MAX_EVIDENCE_BYTES).ok()?;
		serde_json::from_str(&text).ok()
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::chain::Sent;
	use assay_primitives::ClaimId;
	use assay_receipt::Account;

	fn record(key: &str, nonce: u64) -> Record {
		let sent = Sent {
			hash: [1; 32],
			account: Account([2; 32]),
			nonce,
			since: 7,
		};
		let signed = Signed {
			sent,
			bytes: vec![3; 9],
		};
		Record::new(key, [4; 32], [5; 32], Balance::MAX, &signed)
	}

	#[test]
	fn what_was_signed_is_found_at_the_next_start_in_order() {
		let dir = tempfile::tempdir().unwrap();
		let (journal, found) = Journal::open(dir.path()).unwrap();
		assert!(found.is_empty());
		let (second, mut first) = (record("b", 8), record("a/../é", 7));
		journal.write(&second).unwrap();
		journal.write(&first).unwrap();
		first.job = Some(JobId([9; 32]));
		journal.write(&first).unwrap();
		drop(journal);
		let (journal, found) = Journal::open(dir.path()).unwrap();
		assert_eq!(found, [first.clone(), second.clone()]);
		assert_eq!(
			(first.transaction().unwrap(), first.fee_ceiling()),
			(vec![3; 9], Balance::MAX)
		);
		journal.remove("b").unwrap();
		drop(journal);
		assert_eq!(Journal::open(dir.path()).unwrap().1, [first]);
	}

	#[test]
	fn one_gateway_at_a_time_has_the_journal() {
		let dir = tempfile::tempdir().unwrap();
		let open = Journal::open(dir.path()).unwrap();
		let error = Journal::open(dir.path()).err().unwrap();
		assert!(error.to_string().contains("another gateway"), "{error}");
		drop(open);
		assert!(Journal::open(dir.path()).is_ok());
	}

	#[test]
	fn a_damaged_record_stops_the_start_and_half_a_file_does_not() {
		let dir = tempfile::tempdir().unwrap();
		drop(Journal::open(dir.path()).unwrap());
		let path = dir.path().join("journal");
		fs::write(path.join("x.new"), "{").unwrap();
		assert!(Journal::open(dir.path()).is_ok());
		fs::write(path.join("x.json"), "{").unwrap();
		let error = Journal::open(dir.path()).err().unwrap();
		assert!(error.to_string().contains("x.json"), "{error}");
	}

	#[test]
	fn only_old_records_with_a_job_are_forgotten() {
		let dir = tempfile::tempdir().unwrap();
		let (journal, _) = Journal::open(dir.path()).unwrap();
		let (mut old, mut open) = (record("old", 1), record("open", 2));
		(old.made, open.made) = (1, 1);
		old.job = Some(JobId([9; 32]));
		journal.write(&old).unwrap();
		journal.write(&open).unwrap();
		assert!(Journal::may_forget(&old) && !Journal::may_forget(&open));
		drop(journal);
		assert_eq!(Journal::open(dir.path()).unwrap().1, [open]);
	}

	#[test]
	fn evidence_is_kept_for_its_job() {
		let dir = tempfile::tempdir().unwrap();
		let (journal, _) = Journal::open(dir.path()).unwrap();
		let evidence = StreamEvidence {
			claim: ClaimId([1; 32]),
			key: [2; 32],
			chunks: Vec::new(),
		};
		assert_eq!(journal.evidence(JobId([3; 32])), None);
		journal.keep_evidence(JobId([3; 32]), &evidence).unwrap();
		assert_eq!(journal.evidence(JobId([3; 32])), Some(evidence));
	}
}
