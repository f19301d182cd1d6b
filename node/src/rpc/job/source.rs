//! Where the hub reads jobs: the client's best chain.

use super::{status::JobStatus, Hash};
use crate::rpc::error::Error;
use assay_primitives::{
	api::{self, AssayApi, ExecutionView, JobView},
	limits::MAX_JOB_VIEWS,
	Hash32, JobId,
};
use assay_runtime::{opaque::Block, AccountId, BlockNumber};
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use std::sync::Arc;

/// Most jobs that are read at once.
pub(super) const MAX_JOBS_READ: usize = MAX_JOB_VIEWS as usize;

/// Where the chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rpc) struct Head {
	/// The best block.
	pub(super) best: Hash,
	/// The number of the last finalized block, which is on the best chain.
	pub(super) finalized: BlockNumber,
}

/// A chain with jobs.
pub(in crate::rpc) trait Source: Send + Sync + 'static {
	/// Returns where the chain stands.
	fn head(&self) -> Head;
	/// Returns the block of the best chain with this number, if this node knows it.
	fn block(&self, number: BlockNumber) -> Option<Hash>;
	/// Returns at most [`MAX_JOBS_READ`] jobs as they are in a best block, in the same order; none for a job that the block
	/// does not have. Reads the state, so it must not run where it would hold up others.
	fn read(&self, head: Head, jobs: &[JobId]) -> Result<Vec<Option<JobStatus>>, Error>;
	/// Returns who makes a job's draft in the best block; none before an executor is drawn and once the job is closed. Reads
	/// the state.
	fn execution(&self, job: JobId) -> Result<Option<ExecutionView<AccountId>>, Error>;
	/// Returns the chain's genesis hash.
	fn genesis(&self) -> Hash32;
}

/// A client of the chain.
pub(in crate::rpc) struct ChainSource<C>(pub(super) Arc<C>);

impl<C> Source for ChainSource<C>
where
	C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
	C::Api: AssayApi<Block, AccountId, BlockNumber>,
{
	fn head(&self) -> Head {
		let info = self.0.info();
		Head {
			best: info.best_hash,
			finalized: info.finalized_number,
		}
	}

	fn block(&self, number: BlockNumber) -> Option<Hash> {
		self.0.hash(number).ok().flatten()
	}

	fn execution(&self, job: JobId) -> Result<Option<ExecutionView<AccountId>>, Error> {
		let api = self.0.runtime_api();
		api.execution(self.0.info().best_hash, job).map_err(failed)
	}

	fn genesis(&self) -> Hash32 {
		self.0.info().genesis_hash.into()
	}

	fn read(&self, head: Head, jobs: &[JobId]) -> Result<Vec<Option<JobStatus>>, Error> {
		let api = self.0.runtime_api();
		let ids: Vec<JobId> = jobs.iter().take(MAX_JOBS_READ).copied().collect();
		let views = api.jobs(head.best, ids).map_err(failed)?;
		let views = views.map_err(|api::TooManyJobs| Error::Runtime)?;
		let status = |view: JobView<AccountId, BlockNumber>| {
			let receipt = if view.state.is_final() {
				api.receipt(head.best, view.id).map_err(failed)?
			} else {
				None
			};
			let closed_at = receipt.and_then(|receipt| receipt.closed_at);
			Ok::<_, Error>(JobStatus::new(view, closed_at, head.finalized))
		};
		views.into_iter().map(|view| view.map(status).transpose()).collect()
	}
}

fn failed(e: sp_api::ApiError) -> Error {
	Error::unreadable("jobs", e)
}
