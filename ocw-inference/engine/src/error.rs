//! What can go wrong in the engine, named so that a person knows the next step.

use assay_primitives::ModelId;
use std::path::Path;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
	/// A model directory is not what it must be.
	#[error(transparent)]
	Folder(#[from] assay_model_folder::Error),
	/// This machine does not reproduce the answer recorded when the model was imported.
	#[error("known-answer test failed for {model}: {reason}; this machine must not vote on this model")]
	KnownAnswer {
		/// The model's name.
		model: String,
		/// What differs.
		reason: String,
	},
	/// A model answers nothing, so no machine can show that it computes it.
	#[error("model {model} has no known answer that could be compared: {reason}. No engine serves it")]
	NoAnswer {
		/// The model's name.
		model: String,
		/// Why, and what to do about it.
		reason: String,
	},
	/// One whole context of a model does not fit its share of the memory for keys and values.
	#[error(
		"model {model} ({id}) is not served: one context of {context} tokens takes {needed} bytes of keys and values, and its share of \
		the memory for them has {share}. Start the node with --engine-kv-memory {enough} or more (the engine with --kv-memory), or \
		serve fewer models"
	)]
	KvMemory {
		/// The model's name.
		model: String,
		/// Its id.
		id: ModelId,
		/// Tokens of a context.
		context: u32,
		/// Bytes that one context takes.
		needed: usize,
		/// Bytes that the model may take.
		share: usize,
		/// Bytes for all models together from which on this one is served.
		enough: usize,
	},
	/// A model that is to be served beside others leaves one of them less memory for keys and values than one whole context takes.
	#[error(
		"model {model} ({id}) is not served beside the others: each would have {share} bytes of the memory for keys and values, and \
		one context of {largest} takes {needed}. Start the node with --engine-kv-memory {enough} or more (the engine with \
		--kv-memory), or serve fewer models"
	)]
	KvShare {
		/// The model's name.
		model: String,
		/// Its id.
		id: ModelId,
		/// The name of the model with the largest context.
		largest: String,
		/// Bytes that one context of it takes.
		needed: usize,
		/// Bytes that each model may take.
		share: usize,
		/// Bytes for all models together from which on all are served.
		enough: usize,
	},
	/// The weights of a model do not fit what a GPU has left.
	#[error(
		"model {model} ({id}) is not served: its weights take {needed} bytes, and the GPU has {left} left for them. Serve fewer models, \
		or one of fewer bits"
	)]
	GpuMemory {
		/// The model's name.
		model: String,
		/// Its id.
		id: ModelId,
		/// Bytes that the weights take.
		needed: usize,
		/// Bytes that are free, with those of keys and values.
		left: usize,
	},
	/// A parameter of the work is out of range.
	#[error("the work is invalid: {0}")]
	Work(String),
	/// The tensor library refused an operation: a defect of the engine.
	#[error("tensor operation failed: {0}")]
	Compute(String),
	/// The GPU or its driver failed. Nothing that it computes afterwards can be relied on in this process.
	#[error("the GPU failed: {0}")]
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
	pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
		move |source| assay_model_folder::Error::io(path)(source).into()
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
		if is_of_device(&error) {
			Self::Device(error.to_string())
		} else {
			Self::Compute(error.to_string())
		}
	}
}

/// Returns whether a GPU is the cause, whatever context was added.
fn is_of_device(error: &candle_core::Error) -> bool {
	use candle_core::Error::{Context, Cuda, WithBacktrace, WithPath, Wrapped};
	match error {
		Cuda(_) => true,
		// candle wraps the driver's error so where it only waits.
		Wrapped(error) => error.to_string().starts_with("DriverError("),
		Context { inner, .. } | WithPath { inner, .. } | WithBacktrace { inner, .. } => is_of_device(inner),
		_ => false,
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_gpu_error_is_recognized_through_its_context() {
		let fault = candle_core::Error::Cuda("an illegal memory access".into());
		let in_context = fault.context("in a step").with_path("model.safetensors").bt();
		assert!(matches!(Error::from(in_context), Error::Device(why) if why.contains("illegal memory access")));
		let waiting = candle_core::Error::wrap("DriverError(CUDA_ERROR_LAUNCH_FAILED, \"unspecified launch failure\")");
		assert!(matches!(Error::from(waiting), Error::Device(_)));
		let other = candle_core::Error::Msg("a CUDA error, by its words".into()).context("in a step");
		assert!(matches!(Error::from(other), Error::Compute(_)));
	}
}
