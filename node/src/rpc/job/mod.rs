//! `assay_jobStatus` and `assay_subscribeJob`: a job's life, from its request to a verdict or to its final state.

mod follower;

use super::error::Error;
use assay_primitives::{
	api::{AssayApi, JobView},
	receipt::SeatRecord,
	ClaimId, FinishReason, JobId, ListingId, ModelId, Output, Receipt, State, Verdict,
};
use assay_runtime::{opaque::Block, AccountId, BlockNumber};
use follower::{Event, Follower};
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
use std::{future, sync::Arc};
use tokio::sync::Semaphore;

const LOG_TARGET: &str = "assay::rpc";

/// A published answer. The verdict says what it is worth.
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
	/// The listing on whose terms it answers.
	pub listing: ListingId,
	/// How many verifiers were asked for.
	pub verifiers: u8,
	/// Its state in the best block.
	pub state: State,
	/// Attempt, counted from 1; 0 while it waits for its first executor.
	pub attempt: u8,
	/// The block in which something is due next; null once the state is final.
	pub deadline: Option<BlockNumber>,
	/// The executor of this attempt; null before it is drawn.
	pub executor: Option<AccountId>,
	/// The claim of this attempt; null before the executor is drawn.
	pub claim: Option<ClaimId>,
	/// All seats drawn so far, with their votes.
	pub seats: Vec<SeatRecord<AccountId>>,
	/// The published answer, if any.
	pub output: Option<PublishedOutput>,
	/// The verdict, once there is one. It may change until the state is final.
	pub verdict: Option<Verdict>,
	/// Block of the request.
	pub requested_at: BlockNumber,
	/// Block of the verdict.
	pub verdict_at: Option<BlockNumber>,
	/// Block of the final state, once it is reached.
	pub closed_at: Option<BlockNumber>,
	/// Whether the block of the verdict is finalized.
	pub finalized: bool,
	/// Whether the block of the final state is finalized: nothing can change any more.
	pub closed: bool,
	/// Whether a subscription ends here because the best chain has had no such job for many blocks: as a rule its request
	/// was on a fork that lost, and has to be sent again.
	pub lost: bool,
}

impl JobStatus {
	fn new(view: JobView<AccountId, BlockNumber>, closed_at: Option<BlockNumber>, finalized: BlockNumber) -> Self {
		// The job is in the best chain's state, and the finalized block is in the best chain.
		let is_final = |block: Option<BlockNumber>| block.is_some_and(|number| number <= finalized);
		Self {
			job: view.id,
			requester: view.requester,
			model: view.model,
			listing: view.listing,
			verifiers: view.verifiers,
			state: view.state,
			attempt: view.attempt,
			deadline: view.deadline,
			executor: view.executor,
			claim: view.claim,
			seats: view.seats.into_inner(),
			output: view.output.map(Into::into),
			verdict: view.verdict,
			requested_at: view.requested_at,
			verdict_at: view.verdict_at,
			closed_at,
			finalized: is_final(view.verdict_at),
			closed: is_final(closed_at),
			lost: false,
		}
	}
}

/// How long a subscription goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
	/// Until the block of the verdict is finalized.
	#[default]
	Verdict,
	/// Until the block of the final state is finalized.
	Settled,
}

impl Until {
	/// Returns whether a notification is the last.
	fn ends_with(self, status: &JobStatus) -> bool {
		let reached = match self {
			Self::Verdict => status.finalized,
			Self::Settled => status.closed,
		};
		reached || status.lost
	}
}

/// Jobs as this node sees them.
#[rpc(server)]
pub trait JobApi {
	/// Returns a job as it is in the best block.
	#[method(name = "assay_jobStatus")]
	async fn job_status(&self, job: JobId) -> Result<JobStatus, Error>;

	/// Sends a job now and whenever it changes. The last notification has `finalized: true`, or with `until` `settled`
	/// `closed: true`; or `lost: true`, if the job has vanished with its fork.
	#[subscription(name = "assay_subscribeJob" => "assay_job", unsubscribe = "assay_unsubscribeJob", item = JobStatus)]
	fn subscribe_job(&self, job: JobId, until: Option<Until>);
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
	let info = client.info();
	let api = client.runtime_api();
	let Some(view) = api.job(info.best_hash, job).map_err(failed)? else {
		return Ok(None);
	};
	let receipt: Option<Receipt<_, _>> = if view.state.is_final() {
		api.receipt(info.best_hash, job).map_err(failed)?
	} else {
		None
	};
	let closed_at = receipt.and_then(|receipt| receipt.closed_at);
	Ok(Some(JobStatus::new(view, closed_at, info.finalized_number)))
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

	fn subscribe_job(&self, pending: PendingSubscriptionSink, job: JobId, until: Option<Until>) {
		let until = until.unwrap_or_default();
		let client = self.client.clone();
		let permit = self.subscriptions.clone().try_acquire_owned();
		// Subscribed before the first read, so that no block falls between.
		let best = client
			.import_notification_stream()
			.filter(|n| future::ready(n.is_new_best))
			.map(|_| Event::Best);
		let finalized = client.finality_notification_stream().map(|_| Event::Finalized);
		let follow = async move {
			let permit = match permit {
				Ok(permit) => permit,
				Err(_) => return pending.reject(Error::TooManySubscriptions).await,
			};
			let now = match read_status(&*client, job) {
				Ok(Some(now)) => now,
				Ok(None) => return pending.reject(Error::UnknownJob(job)).await,
				Err(e) => return pending.reject(e).await,
			};
			let mut follower = Follower::new(client, now, until, permit);
			let blocks = stream::select(best.boxed(), finalized.boxed());
			let changes = stream::once(future::ready(Event::Subscribed))
				.chain(blocks)
				.filter_map(move |event| future::ready(follower.next_change(event)));
			let changes = take_through(changes, move |status| until.ends_with(status)).boxed();
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
