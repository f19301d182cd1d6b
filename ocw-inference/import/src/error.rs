//! What can go wrong in an import, named so that a person knows the next step.

use assay_model_folder::Error as FolderError;
use std::{
	io::{self, ErrorKind},
	path::{Path, PathBuf},
};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in an import.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
	/// A file of the source or of the result is not what a model directory has.
	#[error(transparent)]
	Folder(#[from] FolderError),
	/// The engine failed on the finished model.
	#[error(transparent)]
	Engine(assay_engine::Error),
	/// A tensor of the source model cannot be imported.
	#[error("tensor {name}: {reason}")]
	Tensor {
		/// Which tensor.
		name: String,
		/// Why.
		reason: String,
	},
	/// A GGUF file is malformed, is outside the limits, or holds what this profile does not know.
	#[error("GGUF file refused: {0}")]
	Gguf(String),
	/// The disk has no room for what is being written.
	#[error(
		"{path}: no room for it ({source}); free some space and run the same command again: it goes on where it was"
	)]
	NoSpace {
		/// The file.
		path: PathBuf,
		/// What the system reports.
		source: io::Error,
	},
	/// This user may not write there.
	#[error("{path}: cannot be written ({source}); name a directory of your own")]
	Unwritable {
		/// The file or directory.
		path: PathBuf,
		/// What the system reports.
		source: io::Error,
	},
	/// The caller ended the import.
	#[error("stopped; the same command goes on where this one was. What is done is in {partial}: delete it if you do not want to go on")]
	Interrupted {
		/// The directory of the unfinished work.
		partial: PathBuf,
	},
	/// The import cannot be done with this source or these options.
	#[error("import: {0}")]
	Import(String),
}

impl From<assay_engine::Error> for Error {
	fn from(error: assay_engine::Error) -> Self {
		match error {
			assay_engine::Error::Folder(error) => Self::Folder(error),
			error => Self::Engine(error),
		}
	}
}

impl Error {
	/// A refusal of one of the source's files.
	pub(crate) fn file(name: &str, reason: impl Into<String>) -> Self {
		Self::Import(format!("{name}: {}", reason.into()))
	}

	/// An I/O error at a path that is read.
	pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
		move |source| FolderError::io(path)(source).into()
	}

	/// An I/O error at a path that is written, with what a person can do about it.
	pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
		move |source| match source.kind() {
			ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::NoSpace {
				path: path.to_owned(),
				source,
			},
			ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory => {
				Self::Unwritable {
					path: path.to_owned(),
					source,
				}
			}
			_ => Self::read(path)(source),
		}
	}
}
