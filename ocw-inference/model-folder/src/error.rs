//! What can be wrong with a model directory, named so that a person knows the next step.

use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can be wrong with a model directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
	/// A file could not be read or written.
	#[error("{path}: {source}")]
	Io {
		/// The file.
		path: PathBuf,
		/// Why.
		source: std::io::Error,
	},
	/// A file is larger than this kind of file may be.
	#[error("{path} has {bytes} bytes; at most {limit} are read")]
	TooLarge {
		/// The file.
		path: PathBuf,
		/// Its size.
		bytes: u64,
		/// The limit.
		limit: u64,
	},
	/// A file is not what its name says, as after a download that went wrong.
	#[error("{path} {reason}")]
	StandIn {
		/// The file.
		path: PathBuf,
		/// What it is instead, and the next step.
		reason: &'static str,
	},
	/// A safetensors header is malformed or outside the limits.
	#[error("safetensors header refused: {0}")]
	Header(String),
	/// `config.json` is malformed or describes a model that this profile does not compute.
	#[error("config.json refused: {0}")]
	Config(String),
	/// `manifest.json` is malformed.
	#[error("manifest.json refused: {0}")]
	Manifest(String),
	/// A part of the directory is not what the manifest names.
	#[error("{part} is not the one the manifest names (its BLAKE3 root is {found}, the manifest has {expected}); fetch the directory again")]
	Root {
		/// Which part.
		part: String,
		/// The root that was computed.
		found: String,
		/// The root in the manifest.
		expected: String,
	},
	/// Two parts of a model directory do not fit together.
	#[error("the model directory is inconsistent: {0}")]
	Inconsistent(String),
	/// `tokenizer.json` is malformed or of a kind that this profile does not know.
	#[error("tokenizer.json refused: {0}")]
	Tokenizer(String),
	/// The chat template is malformed, or rendering it hit a limit.
	#[error("chat template: {0}")]
	Template(String),
	/// The chat template raised an exception, with this message.
	#[error("the chat template refuses: {0}")]
	Raised(String),
	/// The chat template does not write this part of the conversation.
	#[error("the chat template leaves out {0}; leave that out of the conversation, or ask another model")]
	LeftOut(String),
}

impl Error {
	/// An I/O error at a path.
	pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
		move |source| Self::Io {
			path: path.to_owned(),
			source,
		}
	}
}
