//! Errors of this node's own methods, each with a code.
//!
//! | code | name | next step |
//! |---|---|---|
//! | 20001 | `UnknownJob` | wait until the request is in a block, or read the pruned job from an archive node |
//! | 20002 | `TooManySubscriptions` | end another subscription of this connection, or poll `assay_jobStatus` |
//! | 20003 | `Runtime` | ask again; if it stays, the node's log has the reason |
//! | 20004 | `NodeAtCapacity` | subscribe later or at another node, or poll `assay_jobStatus` |
//! | 20005 | `NotExecutor` | subscribe at the executor's node, which `data` names |
//! | 20006 | `StreamsOff` | read the answer once it is published |
//!
//! A parameter that cannot be read is refused with JSON-RPC's own −32602, its name and the reason.

use super::params::InvalidParam;
use assay_primitives::JobId;
use assay_runtime::AccountId;
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned};
use serde::{Deserialize, Serialize};

const BASE: i32 = 20_000;

/// Who executes a job, and where its node streams the draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Elsewhere {
	/// The attempt, counted from 1.
	pub attempt: u8,
	/// Its executor.
	pub executor: AccountId,
	/// Where the executor's node streams; none if it has published no endpoint.
	pub endpoint: Option<String>,
}

/// Why a method failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
	/// The best block has no such job.
	#[error("UnknownJob: the best block knows no job {0}; wait until its request is in a block")]
	UnknownJob(JobId),
	/// The connection has as many subscriptions to jobs, or to streams, as one may have.
	#[error(
		"TooManySubscriptions: this connection has all {0} subscriptions of this kind that it may have; end another first, or \
		 poll assay_jobStatus"
	)]
	TooManySubscriptions(usize),
	/// The call of the runtime failed. The reason is in the log, which strangers do not read.
	#[error("Runtime: the node could not read its state; ask again, and if it stays, the node's log has the reason")]
	Runtime,
	/// All connections together have as many subscriptions to jobs, or to streams, as the node allows.
	#[error(
		"NodeAtCapacity: all {0} subscriptions of this kind that this node allows are taken; subscribe later, or poll \
		 assay_jobStatus"
	)]
	NodeAtCapacity(usize),
	/// Another provider executes the job.
	#[error("NotExecutor: {} executes this job, and this node does not hold its key; {}", .0.executor, next_step(.0))]
	NotExecutor(Elsewhere),
	/// The node keeps no drafts.
	#[error(
		"StreamsOff: this node runs with --no-streams; follow the job with assay_subscribeJob to its published answer"
	)]
	StreamsOff,
	/// A parameter cannot be read.
	#[error(transparent)]
	Param(#[from] InvalidParam),
}

fn next_step(elsewhere: &Elsewhere) -> String {
	elsewhere.endpoint.as_ref().map_or_else(
		|| "it has published no endpoint, so follow the job with assay_subscribeJob to its published answer".into(),
		|endpoint| format!("subscribe at {endpoint}"),
	)
}

impl From<Error> for ErrorObjectOwned {
	fn from(error: Error) -> Self {
		let message = error.to_string();
		let code = match error {
			Error::Param(invalid) => return invalid.into(),
			Error::NotExecutor(elsewhere) => return ErrorObject::owned(BASE + 5, message, Some(elsewhere)),
			Error::UnknownJob(_) => BASE + 1,
			Error::TooManySubscriptions(_) => BASE + 2,
			Error::Runtime => BASE + 3,
			Error::NodeAtCapacity(_) => BASE + 4,
			Error::StreamsOff => BASE + 6,
		};
		ErrorObject::owned(code, message, None::<()>)
	}
}
