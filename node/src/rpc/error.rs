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
//! | 20021 | `UnknownLeaf` | ask at a later block, or for a lower index |
//! | 20022 | `NoIndexing` | ask a node that runs with `--enable-offchain-indexing true` |
//! | 20023 | `MissingNode` | ask a node that has executed the whole chain with indexing on |
//! | 20024 | `NoState` | ask at a newer block |
//! | 20031 | `NoReceipt` | wait for the verdict, or for its block to be finalized: a few seconds each |
//! | 20032 | `NoJustification` | wait until the chain finalizes its first blocks |
//! | 20033 | `UnknownAnchor` | name a finalized block of this chain, by its hash, or none |
//! | 20034 | `TooManyHandovers` | name a later block that you trust |
//!
//! A parameter that cannot be read is refused with JSON-RPC's own −32602, its name and the reason.

use super::{params::InvalidParam, LOG_TARGET};
use assay_primitives::{JobId, NodeHash};
use assay_runtime::AccountId;
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned};
use serde::{Deserialize, Serialize};
use sp_core::H256;
use std::fmt::Display;

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
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
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
	/// The accumulator has not so many leaves.
	#[error("UnknownLeaf: the accumulator has {leaves} leaves in this block, and none with index {index}")]
	UnknownLeaf {
		/// The index.
		index: u64,
		/// The number of leaves.
		leaves: u64,
	},
	/// This node does not index.
	#[error("NoIndexing: this node keeps no proofs; ask one that runs with --enable-offchain-indexing true")]
	NoIndexing,
	/// This node indexes, and did not when the leaf was appended.
	#[error(
		"MissingNode: this node lacks node {0} of the accumulator, because it has not executed the block of the receipt \
		 with --enable-offchain-indexing true; ask one that has executed the whole chain so"
	)]
	MissingNode(NodeHash),
	/// The block that the caller names is unknown, or its state is pruned.
	#[error("NoState: this node has no state of block {0:?}; ask at a newer block of its chain, or name none")]
	NoState(H256),
	/// The block that can be proved does not have the receipt.
	#[error(
		"NoReceipt: block {block}, the newest that this node can prove, has no receipt of job {job}; wait some seconds for \
		 the verdict, or for its block to be finalized"
	)]
	NoReceipt {
		/// The job.
		job: JobId,
		/// The block.
		block: u32,
	},
	/// Nothing is justified after the block that the caller trusts.
	#[error("NoJustification: this node has no justification yet; wait until the chain finalizes its next blocks")]
	NoJustification,
	/// The block that the caller trusts is none of the finalized chain.
	#[error("UnknownAnchor: the finalized chain has no block {0:?}; name one that it has, or none")]
	UnknownAnchor(H256),
	/// The validators changed too often since the block that the caller trusts.
	#[error(
		"TooManyHandovers: the validators have changed too often since that block; name a later one that you trust"
	)]
	TooManyHandovers,
	/// A parameter cannot be read.
	#[error(transparent)]
	Param(#[from] InvalidParam),
}

impl Error {
	/// Logs why something could not be read, which strangers are not told.
	pub fn unreadable(what: &str, reason: impl Display) -> Self {
		log::warn!(target: LOG_TARGET, "Reading {what}: {reason}");
		Self::Runtime
	}
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
			Error::UnknownLeaf { .. } => BASE + 21,
			Error::NoIndexing => BASE + 22,
			Error::MissingNode(_) => BASE + 23,
			Error::NoState(_) => BASE + 24,
			Error::NoReceipt { .. } => BASE + 31,
			Error::NoJustification => BASE + 32,
			Error::UnknownAnchor(_) => BASE + 33,
			Error::TooManyHandovers => BASE + 34,
		};
		ErrorObject::owned(code, message, None::<()>)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn errors_of_proofs_have_codes_of_their_own_and_begin_with_their_name() {
		let job = JobId([1; 32]);
		for (error, code, name) in [
			(Error::UnknownLeaf { index: 1, leaves: 1 }, 20_021, "UnknownLeaf: "),
			(Error::NoIndexing, 20_022, "NoIndexing: "),
			(Error::MissingNode(NodeHash([1; 32])), 20_023, "MissingNode: "),
			(Error::NoState(H256::zero()), 20_024, "NoState: "),
			(Error::NoReceipt { job, block: 7 }, 20_031, "NoReceipt: "),
			(Error::NoJustification, 20_032, "NoJustification: "),
			(Error::UnknownAnchor(H256::zero()), 20_033, "UnknownAnchor: "),
			(Error::TooManyHandovers, 20_034, "TooManyHandovers: "),
		] {
			let object = ErrorObjectOwned::from(error);
			assert_eq!(object.code(), code);
			assert!(object.message().starts_with(name), "{}", object.message());
		}
	}

	#[test]
	fn strangers_are_not_told_why_something_could_not_be_read() {
		let error = Error::unreadable("the state", "at /var/lib/assay");
		assert_eq!(error, Error::Runtime);
		assert!(!error.to_string().contains("/var/lib"));
	}
}
