//! The node's record of its engine's results: an append-only file that is synced before an answer is first returned.
//!
//! What left this node once must stay the same forever, whatever crashes in between. So every result is written and synced
//! here before the worker receives it, and the first one written wins. The secret is part of it: a juror's commitment can
//! be revealed after a restart.

mod layout;

pub use layout::Record;

use super::log_target::LOG_TARGET;
use assay_primitives::{task::Answer, WorkId};
use layout::{compact, frame, open_file, read_record, scan, sync_directory, Extent};
use parking_lot::{Mutex, RwLock};
use std::{
	collections::{HashMap, HashSet},
	fs::{self, File, OpenOptions, TryLockError},
	io,
	os::unix::fs::FileExt,
	path::{Path, PathBuf},
	time::Duration,
};

/// Answers kept when a node starts: weeks of results, and older than any job that could still need them. They take 4 GiB
/// at most, if each has the longest text.
const KEEP: usize = 50_000;
/// Tries to lock a journal, a tenth of a second apart.
const LOCK_TRIES: usize = 20;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
	/// The file system returned an error.
	#[error("cannot use the result journal {path}: {source}")]
	Io {
		/// The file.
		path: PathBuf,
		/// The error.
		source: io::Error,
	},
	/// Two nodes on one journal would vote twice.
	#[error("the result journal {path} is in use by another node; give each node a --base-path of its own")]
	InUse {
		/// The file.
		path: PathBuf,
	},
	/// Another file lies here.
	#[error("{path} is not a result journal; move it away")]
	Foreign {
		/// The file.
		path: PathBuf,
	},
	/// A node of another version wrote it.
	#[error(
		"the result journal {path} has the format of another version of this node, so this node abstains: run the version \
		 that wrote it, or, when none of this provider's jobs is open any more, move it away and restart the node"
	)]
	OtherFormat {
		/// The file.
		path: PathBuf,
	},
	/// A record that was on disk has changed.
	#[error(
		"the result journal {path} is damaged at byte {at}, so this node abstains: restore it from a backup, or, when none of \
		 this provider's jobs is open any more, move it away and restart the node"
	)]
	Damaged {
		/// The file.
		path: PathBuf,
		/// Where the damaged record begins.
		at: u64,
	},
	/// An earlier write failed half-way and could not be undone.
	#[error("the result journal {path} could not be written; free some disk space and restart the node")]
	Stuck {
		/// The file.
		path: PathBuf,
	},
}

struct Writer {
	end: u64,
	stuck: bool,
}

/// The open journal.
pub struct ResultJournal {
	path: PathBuf,
	file: File,
	writer: Mutex<Writer>,
	index: RwLock<HashMap<WorkId, Extent>>,
	/// Held for the life of the node.
	_lock: File,
}

impl ResultJournal {
	/// Opens or makes `directory/journal`, checks every record, cuts a torn tail off and drops all but the newest answers.
	pub fn open(directory: &Path) -> Result<Self, JournalError> {
		Self::open_keeping(directory, KEEP)
	}

	fn open_keeping(directory: &Path, keep: usize) -> Result<Self, JournalError> {
		let path = directory.join("journal");
		let io = |source| JournalError::Io {
			path: path.clone(),
			source,
		};
		fs::create_dir_all(directory).map_err(io)?;
		let lock = OpenOptions::new()
			.create(true)
			.truncate(false)
			.write(true)
			.open(directory.join("journal.lock"))
			.map_err(io)?;
		lock_with_retries(&lock).map_err(|e| match e {
			TryLockError::WouldBlock => JournalError::InUse { path: path.clone() },
			TryLockError::Error(source) => io(source),
		})?;

		let mut file = open_file(&path).map_err(io)?;
		let (mut extents, mut end) = scan(&path, &file)?;
		let mut seen = HashSet::new();
		extents.retain(|(work, _)| seen.insert(*work));
		if extents.len() > keep {
			let dropped = extents.len().saturating_sub(keep);
			let newest = extents.get(dropped..).unwrap_or_default();
			(file, extents, end) = compact(directory, &path, &file, newest).map_err(io)?;
			log::info!(target: LOG_TARGET, "Result journal: dropped the {dropped} oldest answers");
		}
		file.set_len(end).and_then(|()| file.sync_all()).map_err(io)?;
		sync_directory(directory).map_err(io)?;
		Ok(Self {
			path,
			file,
			writer: Mutex::new(Writer { end, stuck: false }),
			index: RwLock::new(extents.into_iter().collect()),
			_lock: lock,
		})
	}

	/// Returns the answer to a work item, if there is one. An error means that there is one which cannot be read: nothing may be
	/// computed in its stead.
	pub fn get(&self, work: &WorkId) -> Result<Option<Answer>, JournalError> {
		let Some(extent) = self.index.read().get(work).copied() else {
			return Ok(None);
		};
		let damaged = || JournalError::Damaged {
			path: self.path.clone(),
			at: extent.at,
		};
		let record = read_record(&self.file, extent).ok().flatten().ok_or_else(damaged)?;
		(record.work == *work)
			.then_some(Some(record.answer))
			.ok_or_else(damaged)
	}

	/// Returns whether a work item has been answered.
	pub fn contains(&self, work: &WorkId) -> bool {
		self.index.read().contains_key(work)
	}

	/// Returns how many answers there are.
	pub fn len(&self) -> usize {
		self.index.read().len()
	}

	/// Puts an answer on disk; when this returns it may be used. An answer already there stays as it is: first written wins.
	/// Returns whether it was new.
	pub fn write(&self, record: &Record) -> Result<bool, JournalError> {
		let mut writer = self.writer.lock();
		if writer.stuck {
			return Err(JournalError::Stuck {
				path: self.path.clone(),
			});
		}
		if self.contains(&record.work) {
			return Ok(false);
		}
		let bytes = frame(record);
		let extent = Extent {
			at: writer.end,
			len: bytes.len() as u32,
		};
		let written = self
			.file
			.write_all_at(&bytes, writer.end)
			.and_then(|()| self.file.sync_data());
		if let Err(source) = written {
			// What a failed sync left on disk is unknown. Only a clean cut makes the file trustworthy again.
			let cut = self.file.set_len(writer.end).and_then(|()| self.file.sync_all());
			writer.stuck = cut.is_err();
			return Err(JournalError::Io {
				path: self.path.clone(),
				source,
			});
		}
		writer.end = writer.end.saturating_add(bytes.len() as u64);
		self.index.write().insert(record.work, extent);
		Ok(true)
	}
}

/// Locks a file, waiting a little: a node that is just ending, or a process being forked, holds it for a moment.
fn lock_with_retries(lock: &File) -> Result<(), TryLockError> {
	for _ in 0..LOCK_TRIES {
		match lock.try_lock() {
			Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(100)),
			other => return other,
		}
	}
	Err(TryLockError::WouldBlock)
}

#[cfg(test)]
mod tests;
