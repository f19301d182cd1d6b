//! `assay_jobStatus` and `assay_subscribeJob`: a job's life, from its request to a verdict or to its final state.

mod follower;
mod hub;
mod source;
mod status;

pub(super) use hub::{Hub, Updates};
pub(super) use source::{ChainSource, Source};
pub(super) use status::{JobUpdate, Until};

use super::{
	error::Error,
	params::{self, Param},
	places::Place,
	subscription::{on_blocking_thread, send, Patience},
};
use assay_primitives::{api::AssayApi, JobId};
use assay_runtime::{opaque::Block, AccountId, BlockNumber};
use futures::{FutureExt, Stream};
use jsonrpsee::{proc_macros::rpc, PendingSubscriptionSink, SubscriptionMessage, SubscriptionSink};
use sc_rpc::SubscriptionTaskExecutor;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_runtime::traits::Block as BlockT;
use status::{EndReason, JobStatus};
use std::{future::Future, pin::pin, sync::Arc, time::Duration};

const PATIENCE: Patience = Patience {
	// Longer than any job takes without waiting for a dispute's place, which is `jobs.TMax` blocks.
	subscription: Duration::from_secs(8 * 60 * 60),
	..Patience::DEFAULT
};

type Hash = <Block as BlockT>::Hash;

/// Jobs as this node sees them.
#[rpc(server)]
pub trait JobApi {
	/// Returns a job as it is in the best block.
	#[method(name = "assay_jobStatus", blocking)]
	fn job_status(&self, job: Option<Param>) -> Result<JobStatus, Error>;

	/// Sends a job now and whenever it changes; who reads slowly misses steps in between. The last notification says in
	/// `ended` why it is the last: as a rule because the verdict is finalized, or with `until` `settled` the final state.
	#[subscription(name = "assay_subscribeJob" => "assay_job", unsubscribe = "assay_unsubscribeJob", item = JobUpdate)]
	fn subscribe_job(&self, job: Option<Param>, until: Option<Param>);
}

/// The jobs that clients follow. All RPC servers of a node share it.
pub struct Jobs<C>(pub(super) Arc<Hub<ChainSource<C>>>);

impl<C> Clone for Jobs<C> {
	fn clone(&self) -> Self {
		Self(self.0.clone())
	}
}

impl<C> Jobs<C>
where
	C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
	C::Api: AssayApi<Block, AccountId, BlockNumber>,
{
	/// Reads the jobs of a client's chain, for clients with at most so many connections together.
	pub fn new(client: Arc<C>, connections: usize) -> Self {
		Self(Arc::new(Hub::new(ChainSource(client), connections)))
	}

	/// Notifies subscribers until `heads` ends, which yields whenever there is a new best or finalized block. It reads the
	/// chain's state, so it takes a thread of its own.
	pub fn run(&self, heads: impl Stream<Item = ()> + Send + 'static) -> impl Future<Output = ()> + Send + 'static {
		self.0.clone().run(heads)
	}
}

/// The server of [`JobApi`].
pub struct JobRpc<C> {
	jobs: Jobs<C>,
	executor: SubscriptionTaskExecutor,
	patience: Patience,
}

impl<C> JobRpc<C> {
	/// Serves jobs; subscriptions run on `executor`.
	pub fn new(jobs: Jobs<C>, executor: SubscriptionTaskExecutor) -> Self {
		Self {
			jobs,
			executor,
			patience: PATIENCE,
		}
	}
}

impl<C> JobApiServer for JobRpc<C>
where
	C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
	C::Api: AssayApi<Block, AccountId, BlockNumber>,
{
	fn job_status(&self, job: Option<Param>) -> Result<JobStatus, Error> {
		self.jobs.0.status(params::required("job", job)?)
	}

	fn subscribe_job(&self, pending: PendingSubscriptionSink, job: Option<Param>, until: Option<Param>) {
		let hub = self.jobs.0.clone();
		let (executor, patience) = (self.executor.clone(), self.patience);
		let place = hub.places.take(pending.connection_id());
		let follow = async move {
			let begun = async {
				let job: JobId = params::required("job", job)?;
				let until: Until = params::optional("until", until)?.unwrap_or_default();
				let place = place?;
				let updates = on_blocking_thread(&executor, move || hub.watch(job, until)).await?;
				Ok::<_, Error>((place, updates))
			};
			match begun.await {
				Ok((place, updates)) => {
					if let Ok(sink) = pending.accept().await {
						forward(sink, updates, place, patience).await;
					}
				}
				Err(e) => pending.reject(e).await,
			}
		};
		self.executor
			.spawn("substrate-rpc-subscription", Some("rpc"), follow.boxed());
	}
}

/// Sends updates until the last, or until the subscriber goes or its time is over.
async fn forward(sink: SubscriptionSink, mut updates: Updates, _place: Place, patience: Patience) {
	let mut expired = pin!(tokio::time::sleep(patience.subscription));
	loop {
		let (message, is_last) = {
			let update = updates.borrow_and_update();
			(SubscriptionMessage::from_json(&*update), update.ended.is_some())
		};
		if !send(&sink, message, patience).await || is_last {
			return;
		}
		tokio::select! {
			changed = updates.changed() => if changed.is_err() { return },
			() = sink.closed() => return,
			() = &mut expired => {
				let mut update = updates.borrow().clone();
				update.ended.get_or_insert(EndReason::Expired);
				send(&sink, SubscriptionMessage::from_json(&update), patience).await;
				return;
			}
		}
	}
}

#[cfg(test)]
pub(super) mod tests;
