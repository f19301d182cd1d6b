//! The journal's file: magic, records, and what a torn tail looks like.
//!
//! Layout: 8 bytes of magic, then records of `length (u32 LE) ‖ !length (u32 LE) ‖ checksum (8 bytes) ‖ SCALE(record)`. A
//! record cut short at the end of the file was never synced, hence never used, and is cut off. Damage anywhere else could hide
//! results that votes were made from, so such a journal is refused.

use super::JournalError;
use assay_primitives::{
	limits::{MAX_OUTPUT_BYTES, MAX_OUTPUT_TOKENS},
	task::Answer,
	WorkId,
};
use codec::{Decode, DecodeAll, Encode};
use std::{
	fs::{self, File, OpenOptions},
	io::{self, BufReader, Read, Write},
	os::unix::fs::{FileExt, OpenOptionsExt},
	path::Path,
};

/// The first bytes of every journal; the digit is the format's.
pub(super) const MAGIC: &[u8; 8] = b"ASSAYJ2\n";
/// What the journals of all formats begin with.
const FAMILY: &[u8] = b"ASSAYJ";
const HEADER: usize = 16;
/// Longest record: an [`Answer`] with the largest output, and some margin.
const MAX_RECORD: u32 = 128 * 1024;
// What is longer would be written, and be taken for damage at the next start.
const _: () = assert!(MAX_OUTPUT_BYTES + 4 * MAX_OUTPUT_TOKENS + 1024 <= MAX_RECORD);

/// One answer on disk.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Record {
	/// The work answered.
	pub work: WorkId,
	/// The answer.
	pub answer: Answer,
}

/// The mode of a new journal: its secrets blind a juror's votes, and are nobody else's to read.
const OWNER_ALONE: u32 = 0o600;

/// Where a record lies, header included.
#[derive(Clone, Copy)]
pub(super) struct Extent {
	pub(super) at: u64,
	pub(super) len: u32,
}

pub(super) fn open_file(path: &Path) -> io::Result<File> {
	OpenOptions::new()
		.create(true)
		.truncate(false)
		.read(true)
		.write(true)
		.mode(OWNER_ALONE)
		.open(path)
}

pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
	File::open(directory)?.sync_all()
}

fn checksum(payload: &[u8]) -> [u8; 8] {
	sp_crypto_hashing::blake2_64(payload)
}

pub(super) fn frame(record: &Record) -> Vec<u8> {
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

pub(super) fn read_record(file: &File, extent: Extent) -> io::Result<Option<Record>> {
	let mut bytes = vec![0u8; extent.len as usize];
	file.read_exact_at(&mut bytes, extent.at)?;
	let Some((header, payload)) = bytes.split_first_chunk::<HEADER>() else {
		return Ok(None);
	};
	Ok(parse_header(header).and_then(|(_, sum)| decode(payload, &sum)))
}

/// Returns every record of the file in order, and where the last good one ends. Work that was answered twice comes twice.
/// A new file gets its magic.
pub(super) fn scan(path: &Path, file: &File) -> Result<(Vec<(WorkId, Extent)>, u64), JournalError> {
	let io = |source| JournalError::Io {
		path: path.to_path_buf(),
		source,
	};
	let damaged = |at| JournalError::Damaged {
		path: path.to_path_buf(),
		at,
	};
	let total = file.metadata().map_err(io)?.len();
	let mut reader = BufReader::with_capacity(1 << 20, file);
	let mut extents = Vec::new();
	let mut at = MAGIC.len() as u64;
	if total < at {
		begin(path, file, &mut reader)?;
		return Ok((extents, at));
	}
	let mut magic = [0u8; 8];
	reader.read_exact(&mut magic).map_err(io)?;
	if &magic != MAGIC {
		return Err(refusal(path, &magic));
	}
	let mut payload = Vec::new();
	loop {
		let left = total.saturating_sub(at);
		if left < HEADER as u64 {
			return Ok((extents, at));
		}
		let mut header = [0u8; HEADER];
		reader.read_exact(&mut header).map_err(io)?;
		let Some((len, sum)) = parse_header(&header) else {
			// Some file systems lengthen a file before they fill it: nothing but zeros up to the end is a torn tail too.
			let torn = header == [0; HEADER] && only_zeros(&mut reader).map_err(io)?;
			return if torn { Ok((extents, at)) } else { Err(damaged(at)) };
		};
		let whole = u64::from(len).saturating_add(HEADER as u64);
		if left < whole {
			return Ok((extents, at));
		}
		payload.resize(len as usize, 0);
		reader.read_exact(&mut payload).map_err(io)?;
		let len = len.saturating_add(HEADER as u32);
		match decode(&payload, &sum) {
			Some(record) => extents.push((record.work, Extent { at, len })),
			None if left == whole => return Ok((extents, at)),
			None => return Err(damaged(at)),
		}
		at = at.saturating_add(whole);
	}
}

/// Writes the magic of a file that is shorter than that: it is new, or the node died while it made it.
fn begin(path: &Path, file: &File, reader: &mut impl Read) -> Result<(), JournalError> {
	let io = |source| JournalError::Io {
		path: path.to_path_buf(),
		source,
	};
	let mut begun = Vec::new();
	reader.read_to_end(&mut begun).map_err(io)?;
	if !MAGIC.starts_with(&begun) {
		return Err(refusal(path, &begun));
	}
	file.write_all_at(MAGIC, 0).map_err(io)
}

/// Returns why a file that begins like this is not read.
fn refusal(path: &Path, begins: &[u8]) -> JournalError {
	let path = path.to_path_buf();
	if begins.starts_with(FAMILY) {
		JournalError::OtherFormat { path }
	} else {
		JournalError::Foreign { path }
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

/// Copies `newest` into a new file that then replaces the old one at once.
#[allow(clippy::type_complexity)] // the three parts of an open file, used in one place
pub(super) fn compact(
	directory: &Path,
	path: &Path,
	old: &File,
	newest: &[(WorkId, Extent)],
) -> io::Result<(File, Vec<(WorkId, Extent)>, u64)> {
	let next = directory.join("journal.new");
	let mut file = OpenOptions::new()
		.create(true)
		.truncate(true)
		.read(true)
		.write(true)
		.mode(OWNER_ALONE)
		.open(&next)?;
	file.write_all(MAGIC)?;
	let mut extents = Vec::with_capacity(newest.len());
	let mut end = MAGIC.len() as u64;
	for (work, extent) in newest {
		let mut bytes = vec![0u8; extent.len as usize];
		old.read_exact_at(&mut bytes, extent.at)?;
		file.write_all(&bytes)?;
		extents.push((
			*work,
			Extent {
				at: end,
				len: extent.len,
			},
		));
		end = end.saturating_add(u64::from(extent.len));
	}
	file.sync_all()?;
	fs::rename(&next, path)?;
	sync_directory(directory)?;
	Ok((file, extents, end))
}
