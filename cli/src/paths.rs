//! Where this program keeps what it needs again: a directory in the user's home, or one that an option names.

use crate::error::CliError;
use std::{
	fs::{self, File, OpenOptions, Permissions},
	io::{Read, Write},
	os::unix::fs::{OpenOptionsExt, PermissionsExt},
	path::{Path, PathBuf},
};

/// Returns a directory with this name, and makes it, for its owner only, if it does not exist.
pub(crate) fn directory(named: Option<&Path>, name: &str) -> Result<PathBuf, CliError> {
	let path = match named {
		Some(path) => path.to_owned(),
		None => directories::ProjectDirs::from("", "", "assay")
			.ok_or_else(|| {
				CliError::Usage(format!(
					"you have no home directory for `{name}`: name one in an option"
				))
			})?
			.data_dir()
			.join(name),
	};
	if !path.is_dir() {
		fs::create_dir_all(&path).map_err(|e| CliError::file(&path, e))?;
		fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(|e| CliError::file(&path, e))?;
	}
	Ok(path)
}

/// Writes a new file that only its owner can read; an error if there is one. It survives a power cut once this returns.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
	let failed = |e| CliError::file(path, e);
	let mut options = OpenOptions::new();
	let mut file = options
		.write(true)
		.create_new(true)
		.mode(0o600)
		.open(path)
		.map_err(failed)?;
	file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
	sync_parent(path).map_err(failed)
}

/// Writes a file in place of the one that is there, if any: after a power cut it is the old or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
	let beside = path.with_extension("new");
	let written = match fs::remove_file(&beside) {
		Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(CliError::file(&beside, e)),
		_ => write_new(&beside, bytes),
	};
	written?;
	fs::rename(&beside, path)
		.and_then(|()| sync_parent(path))
		.map_err(|e| CliError::file(path, e))
}

/// Makes the names of a directory survive a power cut.
pub(crate) fn sync_parent(path: &Path) -> std::io::Result<()> {
	path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Reads a file of at most so many bytes as text.
pub(crate) fn read(path: &Path, limit: u64) -> Result<String, CliError> {
	let bytes = read_start(path, limit.saturating_add(1))?;
	if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
		return Err(CliError::file(path, format!("it is longer than {limit} bytes")));
	}
	String::from_utf8(bytes).map_err(|_| CliError::file(path, "it is not UTF-8"))
}

/// Reads a file, or so many bytes of it.
pub(crate) fn read_start(path: &Path, length: u64) -> Result<Vec<u8>, CliError> {
	let mut bytes = Vec::new();
	let read = File::open(path).and_then(|file| file.take(length).read_to_end(&mut bytes));
	read.map(|_| bytes).map_err(|e| CliError::file(path, e))
}

/// Returns the first line of a file with a secret.
pub(crate) fn read_secret(path: &Path) -> Result<String, CliError> {
	const MAX_SECRET_FILE_BYTES: u64 = 4096;
	let text = read(path, MAX_SECRET_FILE_BYTES)?;
	Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_file_is_replaced_and_never_made_twice() {
		let dir = tempfile::tempdir().unwrap();
		let inner = directory(Some(&dir.path().join("a/b")), "b").unwrap();
		let path = inner.join("file.json");
		write_new(&path, b"1").unwrap();
		assert!(write_new(&path, b"2").is_err());
		// What a power cut left is no obstacle.
		fs::write(path.with_extension("new"), "half").unwrap();
		replace(&path, b"3").unwrap();
		assert_eq!(read(&path, 9).unwrap(), "3");
		let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
		assert_eq!((mode(&inner), mode(&path)), (0o700, 0o600));
		assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
	}

	#[test]
	fn a_file_over_the_limit_is_not_read() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("long");
		fs::write(&path, "12345").unwrap();
		assert!(read(&path, 4).unwrap_err().to_string().contains("4 bytes"));
		assert_eq!(read(&path, 5).unwrap(), "12345");
	}
}
