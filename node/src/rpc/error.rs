//! Errors of this node's own methods, each with a code.
//!
//! | code | name | next step |
//! |---|---|---|
//! | 20001 | `UnknownJob` | wait until the request is in a block, or read the pruned job from an archive node |
//! | 20002 | `TooManySubscriptions` | end another subscription of this connection, or poll `assay_jobStatus` |
//! | 20003 | `Runtime` | ask again; if it stays, the node's log has the reason |
//! | 20004 | `NodeAtCapacity` | subscribe later or at another node, or poll `assay_jobStatus` |
//!
//! A parameter that cannot be read is refused with JSON-RPC's own −32602, its name and the reason.

use super::params::InvalidParam;
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
	/// The connection has as many job subscriptions as one may have.
	#[error(
		"TooManySubscriptions: this connection has its {0} job subscriptions; end another first, or poll assay_jobStatus"
	)]
	TooManySubscriptions(usize),
	/// The call of the runtime failed. The reason is in the log, which strangers do not read.
	#[error("Runtime: the node could not read its state; ask again, and if it stays, the node's log has the reason")]
	Runtime,
	/// All connections together have as many job subscriptions as the node allows.
	#[error(
		"NodeAtCapacity: all {0} job subscriptions of this node are taken; subscribe later, or poll assay_jobStatus"
	)]
	NodeAtCapacity(usize),
	/// A parameter cannot be read.
	#[error(transparent)]
	Param(#[from] InvalidParam),
}

impl From<Error> for ErrorObjectOwned {
	fn from(error: Error) -> Self {
		let code = match error {
			Error::Param(invalid) => return invalid.into(),
			Error::UnknownJob(_) => BASE + 1,
			Error::TooManySubscriptions(_) => BASE + 2,
			Error::Runtime => BASE + 3,
			Error::NodeAtCapacity(_) => BASE + 4,
		};
		ErrorObject::owned(code, error.to_string(), None::<()>)
	}
}
