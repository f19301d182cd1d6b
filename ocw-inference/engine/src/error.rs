//! What can go wrong in the engine, named so that a person knows the next step.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in the engine.
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
	/// A safetensors header lies or is outside the limits.
	#[error("safetensors header refused: {0}")]
	Header(String),
	/// `config.json` is malformed or describes a model this profile doesn't know.
	#[error("config.json refused: {0}")]
	Config(String),
	/// `manifest.json` is malformed.
	#[error("manifest.json refused: {0}")]
	Manifest(String),
	/// A part of the folder isn't what the manifest names.
	#[error("{part} is not the one the manifest names (its BLAKE3 root is {found}, the manifest says {expected}); fetch the folder again")]
	Root {
		/// Which part.
		part: String,
		/// The root that was computed.
		found: String,
		/// The root in the manifest.
		expected: String,
	},
	/// Two parts of a model folder disagree.
	#[error("the model folder disagrees with itself: {0}")]
	Disagree(String),
	/// `tokenizer.json` is malformed or of a kind this profile doesn't know.
	#[error("tokenizer.json refused: {0}")]
	Tokenizer(String),
	/// The chat template is malformed, or rendering it hit a limit.
	#[error("chat template: {0}")]
	Template(String),
	/// A tensor of the source model can't be imported.
	#[error("tensor {name}: {reason}")]
	Tensor {
		/// Which tensor.
		name: String,
		/// Why.
		reason: String,
	},
	/// A GGUF file lies, is outside the limits, or holds what this profile doesn't know.
	#[error("GGUF file refused: {0}")]
	Gguf(String),
	/// The disk has no room for what is being written.
	#[error(
		"{path}: no room for it ({source}); free some space and run the same command again: it goes on where it was"
	)]
	NoSpace {
		/// The file.
		path: PathBuf,
		/// What the system says.
		source: std::io::Error,
	},
	/// A place that this user can't write to.
	#[error("{path}: can't be written ({source}); name a folder of yours")]
	Unwritable {
		/// The place.
		path: PathBuf,
		/// What the system says.
		source: std::io::Error,
	},
	/// The import was asked to end.
	#[error("stopped; the same command goes on where this one was. What is done lies in {partial}: delete it if you don't want to go on")]
	Interrupted {
		/// The folder of the unfinished work.
		partial: PathBuf,
	},
	/// The import can't be done as asked.
	#[error("import: {0}")]
	Import(String),
	/// This computer doesn't compute the answer recorded when the model was imported.
	#[error("known-answer test failed for {model}: {reason}; this computer must not vote on this model")]
	KnownAnswer {
		/// The model's name.
		model: String,
		/// What differs.
		reason: String,
	},
	/// The work's numbers are out of range.
	#[error("the work is invalid: {0}")]
	Work(String),
	/// The tensor library refused an operation: a defect of the engine.
	#[error("tensor operation failed: {0}")]
	Compute(String),
	/// The graphics card or its driver failed. Nothing that is done on the card afterwards can be relied on in this process.
	#[error("the graphics card failed: {0}")]
	Device(String),
	/// The operating system did not set a limit of the process.
	#[error("cannot limit this process: {0}")]
	Limit(String),
	/// The peer on the socket broke the protocol or went away.
	#[error("socket: {0}")]
	Socket(String),
}

impl Error {
	/// An I/O error at a path.
	pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
		move |source| Self::Io {
			path: path.to_owned(),
			source,
		}
	}
}

impl From<codec::Error> for Error {
	fn from(error: codec::Error) -> Self {
		Self::Socket(format!("a frame is not a message: {error}"))
	}
}

impl From<assay_numerics::Error> for Error {
	fn from(error: assay_numerics::Error) -> Self {
		Self::Compute(error.to_string())
	}
}

impl From<candle_core::Error> for Error {
	fn from(error: candle_core::Error) -> Self {
		match is_of_device(&error) {
			true => Self::Device(error.to_string()),
			false => Self::Compute(error.to_string()),
		}
	}
}

/// Whether a graphics card is at the bottom of it, whatever was told around that.
fn is_of_device(error: &candle_core::Error) -> bool {
	use candle_core::Error::{Context, Cuda, WithBacktrace, WithPath, Wrapped};
	match error {
		Cuda(_) => true,
		// What candle makes of the driver's error where it only waits.
		Wrapped(error) => error.to_string().starts_with("DriverError("),
		Context { inner, .. } | WithPath { inner, .. } | WithBacktrace { inner, .. } => is_of_device(inner),
		_ => false,
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_card_s_error_is_known_through_what_is_told_around_it() {
		let fault = candle_core::Error::Cuda("an illegal memory access".into());
		let told = fault.context("in a step").with_path("model.safetensors").bt();
		assert!(matches!(Error::from(told), Error::Device(why) if why.contains("illegal memory access")));
		let waiting = candle_core::Error::wrap("DriverError(CUDA_ERROR_LAUNCH_FAILED, \"unspecified launch failure\")");
		assert!(matches!(Error::from(waiting), Error::Device(_)));
		let other = candle_core::Error::Msg("a CUDA error, by its words".into()).context("in a step");
		assert!(matches!(Error::from(other), Error::Compute(_)));
	}
}
