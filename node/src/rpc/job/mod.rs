//! `assay_jobStatus` and `assay_subscribeJob`: a job's life, from its request to a final verdict.

use super::error::Error;
use assay_primitives::{
	api::{AssayApi, JobPhase, JobView, SeatView},
	FinishReason, JobId, ModelId, Output, Receipt, Verdict,
};
use assay_runtime::{opaque::Block, AccountId, BlockNumber};
use futures::{stream, Stream, StreamExt};
use jsonrpsee::{
	core::{async_trait, server::PendingSubscriptionSink},
	proc_macros::rpc,
};
use sc_client_api::BlockchainEvents;
use sc_rpc::{
	utils::{RingBuffer, Subscription},
	SubscriptionTaskExecutor,
};
use serde::{Deserialize, Serialize};
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_runtime::traits::Block as BlockT;
use std::{future, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const LOG_TARGET: &str = "assay::rpc";

type Hash = <Block as BlockT>::Hash;

/// A published answer. Trust it only once the verdict is `confirmed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedOutput {
	/// Prompt length in tokens.
	pub input_tokens: u32,
	/// Generated tokens.
	pub output_tokens: u32,
	/// The text.
	pub text: String,
	/// Why it ended.
	pub finish: FinishReason,
}

impl From<Output> for PublishedOutput {
	fn from(output: Output) -> Self {
		Self {
			input_tokens: output.input_tokens,
			output_tokens: output.tokens.len() as u32,
			text: String::from_utf8_lossy(&output.text).into_owned(),
			finish: output.finish,
		}
	}
}

/// A job as `assay_jobStatus` answers it and `assay_job` notifies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
	/// The job.
	pub job: JobId,
	/// Who requested it.
	pub requester: AccountId,
	/// The model that answers.
	pub model: ModelId,
	/// Its phase in the best block.
	pub phase: JobPhase,
	/// Attempt, counted from 1.
	pub attempt: u8,
	/// Last block of the phase; null once concluded.
	pub deadline: Option<BlockNumber>,
	/// The committee, the executor first; empty before the draw.
	pub committee: Vec<SeatView<AccountId>>,
	/// The published answer, if any.
	pub output: Option<PublishedOutput>,
	/// The verdict, once there is one.
	pub verdict: Option<Verdict>,
	/// Block of the request.
	pub requested_at: BlockNumber,
	/// Block of the verdict.
	pub concluded_at: Option<BlockNumber>,
	/// Whether the block of the verdict is finalized.
	pub finalized: bool,
}

impl JobStatus {
	fn new(view: JobView<AccountId, BlockNumber>, receipt: Option<Receipt<AccountId, BlockNumber>>) -> Self {
		Self {
			job: view.id,
			requester: view.requester,
			model: view.model,
			phase: view.phase,
			attempt: view.attempt,
			deadline: view.deadline,
			committee: view.committee.into_inner(),
			output: view.output.map(Into::into),
			verdict: receipt.as_ref().map(|r| r.verdict),
			requested_at: view.requested_at,
			concluded_at: receipt.map(|r| r.concluded_at),
			finalized: false,
		}
	}
}

/// Jobs as this node sees them.
#[rpc(server)]
pub trait JobApi {
	/// Returns a job as it is in the best block.
	#[method(name = "assay_jobStatus")]
	async fn job_status(&self, job: JobId) -> Result<JobStatus, Error>;

	/// Sends a job now and whenever it changes. The last notification has `finalized: true`.
	#[subscription(name = "assay_subscribeJob" => "assay_job", unsubscribe = "assay_unsubscribeJob", item = JobStatus)]
	fn subscribe_job(&self, job: JobId);
}

/// The server of [`JobApi`].
pub struct JobRpc<C> {
	client: Arc<C>,
	executor: SubscriptionTaskExecutor,
	subscriptions: Arc<Semaphore>,
}

impl<C> JobRpc<C> {
	/// Serves the jobs of a client's chain; `subscriptions` bounds the subscriptions of all connections.
	pub fn new(client: Arc<C>, executor: SubscriptionTaskExecutor, subscriptions: Arc<Semaphore>) -> Self {
		Self {
			client,
			executor,
			subscriptions,
		}
	}
}

/// Returns a job as it is in the best block; none if that has no such job.
fn read_status<C>(client: &C, job: JobId) -> Result<Option<JobStatus>, Error>
where
	C: ProvideRuntimeApi<Block> + HeaderBackend<Block>,
	C::Api: AssayApi<Block, AccountId, BlockNumber>,
{
	let failed = |e: sp_api::ApiError| Error::Runtime(e.to_string());
	let best = client.info().best_hash;
	let api = client.runtime_api();
	let Some(view) = api.job(best, job).map_err(failed)? else {
		return Ok(None);
	};
	let receipt = api.receipt(best, job).map_err(failed)?;
	let mut status = JobStatus::new(view, receipt);
	// The receipt is in the best chain's state, and the finalized block is in the best chain.
	status.finalized = status
		.concluded_at
		.is_some_and(|number| number <= client.info().finalized_number);
	Ok(Some(status))
}

/// Follows one job for one subscriber.
struct Follower<C> {
	client: Arc<C>,
	job: JobId,
	/// The last notification.
	sent: Option<JobStatus>,
	/// Block of the verdict as last sent, on the chain that was the best then.
	concluded_in: Option<(BlockNumber, Hash)>,
	_permit: OwnedSemaphorePermit,
}

impl<C> Follower<C>
where
	C: ProvideRuntimeApi<Block> + HeaderBackend<Block>,
	C::Api: AssayApi<Block, AccountId, BlockNumber>,
{
	/// Returns the status, if it has changed.
	fn next_change(&mut self) -> Option<JobStatus> {
		let status = match read_status(&*self.client, self.job) {
			Ok(Some(status)) => {
				self.concluded_in = status
					.concluded_at
					.and_then(|number| Some((number, self.client.hash(number).ok().flatten()?)));
				status
			}
			// Pruned since its verdict, which may become final all the same; or on another fork, where it may come back.
			Ok(None) => {
				let (number, hash) = self.concluded_in?;
				let info = self.client.info();
				let same_chain = self.client.hash(number).ok().flatten() == Some(hash);
				JobStatus {
					finalized: same_chain && number <= info.finalized_number,
					..self.sent.clone()?
				}
			}
			Err(e) => {
				log::debug!(target: LOG_TARGET, "Job subscription: {e}");
				return None;
			}
		};
		if self.sent.as_ref() == Some(&status) {
			return None;
		}
		self.sent = Some(status.clone());
		Some(status)
	}
}

/// Ends with the first item for which `last` holds, without waiting for another.
fn take_through<S: Stream + Unpin>(items: S, last: impl Fn(&S::Item) -> bool) -> impl Stream<Item = S::Item> {
	stream::unfold((items, last, false), |(mut items, last, over)| async move {
		if over {
			return None;
		}
		let item = items.next().await?;
		let over = last(&item);
		Some((item, (items, last, over)))
	})
}

#[async_trait]
impl<C> JobApiServer for JobRpc<C>
where
	C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + BlockchainEvents<Block> + Send + Sync + 'static,
	C::Api: AssayApi<Block, AccountId, BlockNumber>,
{
	async fn job_status(&self, job: JobId) -> Result<JobStatus, Error> {
		read_status(&*self.client, job)?.ok_or(Error::UnknownJob(job))
	}

	fn subscribe_job(&self, pending: PendingSubscriptionSink, job: JobId) {
		let client = self.client.clone();
		let permit = self.subscriptions.clone().try_acquire_owned();
		// Subscribed before the first read, so that no block falls between.
		let best = client
			.import_notification_stream()
			.filter(|n| future::ready(n.is_new_best))
			.map(drop);
		let finalized = client.finality_notification_stream().map(drop);
		let follow = async move {
			let permit = match permit {
				Ok(permit) => permit,
				Err(_) => return pending.reject(Error::TooManySubscriptions).await,
			};
			match read_status(&*client, job) {
				Ok(Some(_)) => {}
				Ok(None) => return pending.reject(Error::UnknownJob(job)).await,
				Err(e) => return pending.reject(e).await,
			}
			let mut follower = Follower {
				client,
				job,
				sent: None,
				concluded_in: None,
				_permit: permit,
			};
			let blocks = stream::select(best.boxed(), finalized.boxed());
			let changes = stream::once(future::ready(()))
				.chain(blocks)
				.filter_map(move |()| future::ready(follower.next_change()));
			let changes = take_through(changes, |status| status.finalized).boxed();
			// Accepted before the stream begins: a job that is finalized already would otherwise end without a notification.
			let Ok(sink) = pending.accept().await else { return };
			// A slow reader misses steps in between, never the last one.
			Subscription::from(sink)
				.pipe_from_stream(changes, RingBuffer::new(16))
				.await
		};
		sc_rpc::utils::spawn_subscription_task(&self.executor, follow);
	}
}

#[cfg(test)]
mod tests;
