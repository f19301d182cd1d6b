//! Which tensors of an interrupted import are done: one JSON line each, appended when a tensor is written.
//!
//! A line is a claim to check, never a fact: the importer hashes again what the line claims was written and read.

use crate::{Error, Result};
use assay_model_folder::files;
use assay_primitives::{hash::hex32, Hash32};
use serde::{Deserialize, Serialize};
use std::{
	collections::HashMap,
	fs::{File, OpenOptions, TryLockError},
	io::{Read, Seek, SeekFrom, Write},
	path::{Path, PathBuf},
};

/// Its file in the partial directory.
pub(super) const JOURNAL: &str = "import.journal";

/// The first line: what is being written.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heading {
	/// Hash of the canonical header, so of all names, shapes and places.
	#[serde(with = "hex32")]
	layout: Hash32,
}

/// A tensor that was converted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConvertedTensor {
	/// Its name.
	pub(super) name: String,
	/// BLAKE3 of the bytes that were read.
	#[serde(with = "hex32")]
	pub(super) source: Hash32,
	/// The canonical tensors that were made of it: none of what is only checked.
	pub(super) written: Vec<WrittenTensor>,
}

/// A canonical tensor in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenTensor {
	/// Its name.
	pub(super) name: String,
	/// BLAKE3 of its bytes.
	#[serde(with = "hex32")]
	pub(super) root: Hash32,
}

/// The journal of an import in progress. It holds the lock of its directory.
pub(super) struct Journal {
	file: File,
	path: PathBuf,
	converted: HashMap<String, ConvertedTensor>,
}

impl Journal {
	/// Opens or begins the journal of a directory that gets weights of this layout.
	pub(super) fn open(partial: &Path, layout: Hash32) -> Result<Self> {
		let path = partial.join(JOURNAL);
		let mut options = OpenOptions::new();
		let options = options.read(true).write(true).create(true).truncate(false);
		let mut file = options.open(&path).map_err(Error::write(&path))?;
		match file.try_lock() {
			Ok(()) => {}
			Err(TryLockError::WouldBlock) => {
				return Err(Error::Import(format!(
					"another import is running in {}; wait until it is done",
					partial.display()
				)));
			}
			Err(TryLockError::Error(e)) => return Err(Error::write(&path)(e)),
		}
		let mut content = Vec::new();
		(&mut file)
			.take(files::MAX_JSON_BYTES)
			.read_to_end(&mut content)
			.map_err(Error::read(&path))?;
		let mut journal = Self {
			file,
			path,
			converted: HashMap::new(),
		};
		let good = journal.parse(&content, layout, partial)?;
		// What follows the last whole line was being written when the import ended.
		let cut = journal
			.file
			.set_len(good)
			.and_then(|()| journal.file.seek(SeekFrom::Start(good)));
		cut.map_err(Error::write(&journal.path))?;
		if good == 0 {
			journal.line(&Heading { layout })?;
		}
		Ok(journal)
	}

	/// Takes the lines that are whole. Returns where they end.
	fn parse(&mut self, content: &[u8], layout: Hash32, partial: &Path) -> Result<u64> {
		let mut end = 0;
		for line in content.split_inclusive(|b| *b == b'\n').filter(|l| l.ends_with(b"\n")) {
			if end == 0 {
				let Ok(heading) = serde_json::from_slice::<Heading>(line) else {
					break;
				};
				if heading != (Heading { layout }) {
					return Err(Error::Import(format!(
						"{} holds the beginning of another model's import; remove it, or name another directory",
						partial.display()
					)));
				}
			} else {
				let Ok(converted) = serde_json::from_slice::<ConvertedTensor>(line) else {
					break;
				};
				self.converted.insert(converted.name.clone(), converted);
			}
			end += line.len() as u64;
		}
		Ok(end)
	}

	/// Returns what was made of a tensor, if the journal is right.
	pub(super) fn claimed(&self, name: &str) -> Option<&ConvertedTensor> {
		self.converted.get(name)
	}

	/// Records that a tensor is converted.
	pub(super) fn record(&mut self, tensor: &ConvertedTensor) -> Result<()> {
		self.line(tensor)
	}

	fn line(&mut self, value: &impl Serialize) -> Result<()> {
		let mut line = serde_json::to_vec(value).map_err(|e| Error::Import(e.to_string()))?;
		line.push(b'\n');
		self.file.write_all(&line).map_err(Error::write(&self.path))
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn converted(name: &str) -> ConvertedTensor {
		ConvertedTensor {
			name: name.into(),
			source: [1; 32],
			written: vec![WrittenTensor {
				name: format!("{name}.weight"),
				root: [2; 32],
			}],
		}
	}

	#[test]
	fn whole_lines_are_remembered_and_a_torn_one_is_cut_off() {
		let dir = tempfile::tempdir().unwrap();
		let mut journal = Journal::open(dir.path(), [7; 32]).unwrap();
		journal.record(&converted("a")).unwrap();
		journal.record(&converted("b")).unwrap();
		assert!(Journal::open(dir.path(), [7; 32])
			.err()
			.unwrap()
			.to_string()
			.contains("is running"));
		drop(journal);
		let path = dir.path().join(JOURNAL);
		let whole = std::fs::read(&path).unwrap();
		std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();

		let mut journal = Journal::open(dir.path(), [7; 32]).unwrap();
		assert_eq!(journal.claimed("a"), Some(&converted("a")));
		assert_eq!(journal.claimed("b"), None);
		journal.record(&converted("b")).unwrap();
		drop(journal);
		assert_eq!(std::fs::read(&path).unwrap(), whole);

		let error = Journal::open(dir.path(), [8; 32]).err().unwrap().to_string();
		assert!(error.contains("another model's import"), "{error}");
	}

	#[test]
	fn a_journal_of_random_bytes_claims_nothing() {
		let dir = tempfile::tempdir().unwrap();
		std::fs::write(dir.path().join(JOURNAL), "{\"layout\":3}\n\0\0\0").unwrap();
		let journal = Journal::open(dir.path(), [7; 32]).unwrap();
		assert_eq!(journal.claimed("a"), None);
	}
}
