//! The node's memory of its votes: an append-only file that is on disk before an answer is first told.
//!
//! A vote that left this node once must stay the same for ever, whatever dies in between. So every answer is written and
//! synced here before anyone hears it, and the first one written wins. The salt is part of it: a commitment can be opened
//! after a restart.
//!
//! Layout: 8 bytes of magic, then records of `length (u32 LE) ‖ !length (u32 LE) ‖ checksum (8 bytes) ‖ SCALE(record)`. A record
//! cut short at the end of the file was never synced, hence never told, and is cut off. Damage anywhere else could hide
//! votes that were told, so such a journal is refused.

use assay_primitives::{
	task::{Answer, TaskId},
	JobId,
};
use codec::{Decode, DecodeAll, Encode};
use parking_lot::{Mutex, RwLock};
use std::{
	collections::HashMap,
	fs::{self, File, OpenOptions, TryLockError},
	io::{self, BufReader, Read, Write},
	os::unix::fs::FileExt,
	path::{Path, PathBuf},
	time::Duration,
};

const MAGIC: &[u8; 8] = b"ASSAYJ1\n";
const HEADER: usize = 16;
/// Longest record: an [`Answer`] with the largest output, and some air.
const MAX_RECORD: u32 = 64 * 1024;
/// Answers kept when a node starts: weeks of votes, and older than any job that could still ask for them.
const KEEP: usize = 50_000;

/// Tries to lock a journal, a tenth of a second apart.
const LOCK_TRIES: usize = 20;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
	/// The file system said no.
	#[error("cannot use the vote journal {path}: {source}")]
	Io {
		/// The file.
		path: PathBuf,
		/// What the file system said.
		source: io::Error,
	},
	/// Two nodes on one journal would vote twice.
	#[error("the vote journal {path} is in use by another node; give each node a --base-path of its own")]
	InUse {
		/// The file.
		path: PathBuf,
	},
	/// Another file lies here.
	#[error("{path} is not a vote journal; move it away")]
	Foreign {
		/// The file.
		path: PathBuf,
	},
	/// A record that was on disk has changed.
	#[error(
		"the vote journal {path} is damaged at byte {at}, so this node abstains: restore it from a backup, or, when none of \
		 this provider's jobs is open any more, move it away"
	)]
	Damaged {
		/// The file.
		path: PathBuf,
		/// Where the damaged record begins.
		at: u64,
	},
	/// An earlier write failed half-way and could not be undone.
	#[error("the vote journal {path} could not be written; free some disk space and restart the node")]
	Stuck {
		/// The file.
		path: PathBuf,
	},
}

/// One answer on disk.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Record {
	/// The task answered.
	pub task: TaskId,
	/// Its job, for people who read the file.
	pub job: JobId,
	/// Its attempt, from 0.
	pub attempt: u8,
	/// The answer.
	pub answer: Answer,
}

#[derive(Clone, Copy)]
struct Place {
	at: u64,
	len: u32,
}

struct Writer {
	end: u64,
	stuck: bool,
}

/// The open journal.
pub struct Journal {
	path: PathBuf,
	file: File,
	writer: Mutex<Writer>,
	index: RwLock<HashMap<TaskId, Place>>,
	/// Held for the life of the node.
	_lock: File,
}

impl Journal {
	/// Opens or makes `folder/journal`, checks every record, cuts a torn tail off and drops all but the newest answers.
	pub fn open(folder: &Path) -> Result<Self, JournalError> {
		Self::open_keeping(folder, KEEP)
	}

	fn open_keeping(folder: &Path, keep: usize) -> Result<Self, JournalError> {
		let path = folder.join("journal");
		let io = |source| JournalError::Io {
			path: path.clone(),
			source,
		};
		fs::create_dir_all(folder).map_err(io)?;
		let lock = OpenOptions::new()
			.create(true)
			.truncate(false)
			.write(true)
			.open(folder.join("journal.lock"))
			.map_err(io)?;
		take(&lock).map_err(|e| match e {
			TryLockError::WouldBlock => JournalError::InUse { path: path.clone() },
			TryLockError::Error(source) => io(source),
		})?;

		let mut file = open_file(&path).map_err(io)?;
		let (mut places, mut end) = scan(&path, &file)?;
		if places.len() > keep {
			places.sort_unstable_by_key(|(_, place)| place.at);
			let dropped = places.len().saturating_sub(keep);
			let newest = places.get(dropped..).unwrap_or_default();
			(file, places, end) = compact(folder, &path, &file, newest).map_err(io)?;
			log::info!(target: super::LOG_TARGET, "Vote journal: dropped the {dropped} oldest answers");
		}
		file.set_len(end).and_then(|()| file.sync_all()).map_err(io)?;
		sync_folder(folder).map_err(io)?;
		Ok(Self {
			path,
			file,
			writer: Mutex::new(Writer { end, stuck: false }),
			index: RwLock::new(places.into_iter().collect()),
			_lock: lock,
		})
	}

	/// The answer to a task, if there is one. An error means that there is one which cannot be read: compute nothing in its stead.
	pub fn get(&self, task: &TaskId) -> Result<Option<Answer>, JournalError> {
		let Some(place) = self.index.read().get(task).copied() else {
			return Ok(None);
		};
		let damaged = || JournalError::Damaged {
			path: self.path.clone(),
			at: place.at,
		};
		let record = read_record(&self.file, place).ok().flatten().ok_or_else(damaged)?;
		(record.task == *task)
			.then_some(Some(record.answer))
			.ok_or_else(damaged)
	}

	/// Whether a task has been answered.
	pub fn contains(&self, task: &TaskId) -> bool {
		self.index.read().contains_key(task)
	}

	/// How many answers there are.
	pub fn len(&self) -> usize {
		self.index.read().len()
	}

	/// Puts answers on disk; when this returns they may be told. An answer already there stays as it is: first written wins.
	/// Returns how many were new.
	pub fn write(&self, records: &[Record]) -> Result<usize, JournalError> {
		let mut writer = self.writer.lock();
		if writer.stuck {
			return Err(JournalError::Stuck {
				path: self.path.clone(),
			});
		}
		let mut bytes = Vec::new();
		let mut places: Vec<(TaskId, Place)> = Vec::new();
		for record in records {
			if self.contains(&record.task) || places.iter().any(|(task, _)| *task == record.task) {
				continue;
			}
			let at = writer.end.saturating_add(bytes.len() as u64);
			let framed = frame(record);
			places.push((
				record.task,
				Place {
					at,
					len: framed.len() as u32,
				},
			));
			bytes.extend_from_slice(&framed);
		}
		if bytes.is_empty() {
			return Ok(0);
		}
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
		let new = places.len();
		self.index.write().extend(places);
		Ok(new)
	}
}

/// Locks a file, with a little patience: a node that is just ending, or a process being forked, holds it for a moment.
fn take(lock: &File) -> Result<(), TryLockError> {
	for _ in 0..LOCK_TRIES {
		match lock.try_lock() {
			Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(100)),
			other => return other,
		}
	}
	Err(TryLockError::WouldBlock)
}

fn open_file(path: &Path) -> io::Result<File> {
	OpenOptions::new()
		.create(true)
		.truncate(false)
		.read(true)
		.write(true)
		.open(path)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
	File::open(folder)?.sync_all()
}

fn checksum(payload: &[u8]) -> [u8; 8] {
	sp_crypto_hashing::blake2_64(payload)
}

fn frame(record: &Record) -> Vec<u8> {
	let payload = record.encode();
	let len = payload.len() as u32;
	let mut bytes = Vec::with_capacity(payload.len().saturating_add(HEADER));
	bytes.extend_from_slice(&len.to_le_bytes());
	bytes.extend_from_slice(&(!len).to_le_bytes());
	bytes.extend_from_slice(&checksum(&payload));
	bytes.extend_from_slice(&payload);
	bytes
}

/// A header's payload length and checksum; none if the two lengths disagree.
fn parse_header(header: &[u8; HEADER]) -> Option<(u32, [u8; 8])> {
	let (len, rest) = header.split_first_chunk::<4>()?;
	let (twin, rest) = rest.split_first_chunk::<4>()?;
	let (sum, _) = rest.split_first_chunk::<8>()?;
	let len = u32::from_le_bytes(*len);
	(len == !u32::from_le_bytes(*twin) && len > 0 && len <= MAX_RECORD).then_some((len, *sum))
}

fn decode(payload: &[u8], sum: &[u8; 8]) -> Option<Record> {
	(checksum(payload) == *sum)
		.then(|| Record::decode_all(&mut &payload[..]).ok())
		.flatten()
}

fn read_record(file: &File, place: Place) -> io::Result<Option<Record>> {
	let mut bytes = vec![0u8; place.len as usize];
	file.read_exact_at(&mut bytes, place.at)?;
	let Some((header, payload)) = bytes.split_first_chunk::<HEADER>() else {
		return Ok(None);
	};
	Ok(parse_header(header).and_then(|(_, sum)| decode(payload, &sum)))
}

/// Every record of the file in order, and where the last good one ends. A new file gets its magic.
fn scan(path: &Path, file: &File) -> Result<(Vec<(TaskId, Place)>, u64), JournalError> {
	let io = |source| JournalError::Io {
		path: path.to_path_buf(),
		source,
	};
	let total = file.metadata().map_err(io)?.len();
	let mut reader = BufReader::with_capacity(1 << 20, file);
	if total < MAGIC.len() as u64 {
		// Shorter than its own magic: the node died while it made the file.
		let mut begun = Vec::new();
		reader.read_to_end(&mut begun).map_err(io)?;
		if !MAGIC.starts_with(&begun) {
			return Err(JournalError::Foreign {
				path: path.to_path_buf(),
			});
		}
		file.write_all_at(MAGIC, 0).map_err(io)?;
		return Ok((Vec::new(), MAGIC.len() as u64));
	}
	let mut magic = [0u8; 8];
	reader.read_exact(&mut magic).map_err(io)?;
	if &magic != MAGIC {
		return Err(JournalError::Foreign {
			path: path.to_path_buf(),
		});
	}

	let mut places = Vec::new();
	let mut at = MAGIC.len() as u64;
	let mut payload = Vec::new();
	loop {
		let left = total.saturating_sub(at);
		if left < HEADER as u64 {
			return Ok((places, at));
		}
		let mut header = [0u8; HEADER];
		reader.read_exact(&mut header).map_err(io)?;
		let Some((len, sum)) = parse_header(&header) else {
			// Some file systems lengthen a file before they fill it: nothing but zeros up to the end is a torn tail too.
			return match header == [0; HEADER] && only_zeros(&mut reader).map_err(io)? {
				true => Ok((places, at)),
				false => Err(JournalError::Damaged {
					path: path.to_path_buf(),
					at,
				}),
			};
		};
		let whole = u64::from(len).saturating_add(HEADER as u64);
		if left < whole {
			return Ok((places, at));
		}
		payload.resize(len as usize, 0);
		reader.read_exact(&mut payload).map_err(io)?;
		match decode(&payload, &sum) {
			Some(record) => places.push((
				record.task,
				Place {
					at,
					len: len.saturating_add(HEADER as u32),
				},
			)),
			None if left == whole => return Ok((places, at)),
			None => {
				return Err(JournalError::Damaged {
					path: path.to_path_buf(),
					at,
				})
			}
		}
		at = at.saturating_add(whole);
	}
}

fn only_zeros(reader: &mut impl Read) -> io::Result<bool> {
	let mut buffer = [0u8; 4096];
	loop {
		match reader.read(&mut buffer)? {
			0 => return Ok(true),
			n if buffer.iter().take(n).any(|b| *b != 0) => return Ok(false),
			_ => {}
		}
	}
}

/// Copies `newest` into a new file that then takes the old one's place at once.
#[allow(clippy::type_complexity)] // the three parts of an open file, used in one place
fn compact(
	folder: &Path,
	path: &Path,
	old: &File,
	newest: &[(TaskId, Place)],
) -> io::Result<(File, Vec<(TaskId, Place)>, u64)> {
	let next = folder.join("journal.new");
	let mut file = OpenOptions::new()
		.create(true)
		.truncate(true)
		.read(true)
		.write(true)
		.open(&next)?;
	file.write_all(MAGIC)?;
	let mut places = Vec::with_capacity(newest.len());
	let mut end = MAGIC.len() as u64;
	for (task, place) in newest {
		let mut bytes = vec![0u8; place.len as usize];
		old.read_exact_at(&mut bytes, place.at)?;
		file.write_all(&bytes)?;
		places.push((
			*task,
			Place {
				at: end,
				len: place.len,
			},
		));
		end = end.saturating_add(u64::from(place.len));
	}
	file.sync_all()?;
	fs::rename(&next, path)?;
	sync_folder(folder)?;
	Ok((file, places, end))
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
