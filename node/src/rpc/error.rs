//! Errors of this node's own methods, each with a code.
//!
//! | code | name | next step |
//! |---|---|---|
//! | 20001 | `UnknownJob` | wait until the request is in a block, or read the pruned job from an archive node |
//! | 20002 | `TooManySubscriptions` | end another subscription, or poll `assay_jobStatus` |
//! | 20003 | `Runtime` | ask again; if it stays, the node's log has the reason |
//!
//! A parameter that is no 32-byte hex string is refused with JSON-RPC's own −32602.

use assay_primitives::JobId;
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned};

const BASE: i32 = 20_000;

/// Why a method failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
	/// The best block has no such job.
	#[error("UnknownJob: the best block knows no job {0}; wait until its request is in a block")]
	UnknownJob(JobId),
	/// The node's limit of subscriptions is reached.
	#[error("TooManySubscriptions: end another job subscription first, or poll assay_jobStatus")]
	TooManySubscriptions,
	/// The call of the runtime failed.
	#[error("Runtime: {0}")]
	Runtime(String),
}

impl Error {
	fn code(&self) -> i32 {
		match self {
			Self::UnknownJob(_) => BASE + 1,
			Self::TooManySubscriptions => BASE + 2,
			Self::Runtime(_) => BASE + 3,
		}
	}
}

impl From<Error> for ErrorObjectOwned {
	fn from(error: Error) -> Self {
		ErrorObject::owned(error.code(), error.to_string(), None::<()>)
	}
}
