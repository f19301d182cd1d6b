//! `assay_streamJob`: an answer while its executor makes it, in chunks that the executor's node signs.

mod notification;
mod reader;
mod signed;

use super::{
	error::Error,
	job::{ChainSource, Hub, Jobs, Source, Until},
	params::{self, InvalidParam, Param},
	places::{Place, Places},
	subscription::{on_blocking_thread, send, Patience},
};
use crate::inference::Backend;
use assay_primitives::{api::AssayApi, limits::MAX_OUTPUT_TOKENS, JobId};
use assay_runtime::{opaque::Block, AccountId, BlockNumber};
use futures::FutureExt;
use jsonrpsee::{proc_macros::rpc, PendingSubscriptionSink, SubscriptionMessage, SubscriptionSink};
use notification::{EndReason, Notification};
use reader::{Execution, Executor, Reader};
use sc_rpc::SubscriptionTaskExecutor;
use signed::Signers;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_keystore::KeystorePtr;
use std::sync::Arc;
use tokio::{sync::Semaphore, time::timeout};

/// Most subscriptions that read the state at once. Whoever makes a block must not wait for them.
const MAX_READERS: usize = 8;

/// Drafts as this node makes them.
#[rpc(server)]
pub trait StreamApi {
	/// Sends the draft of a job that this node executes, from the token after the first `from` on, as it grows. The last
	/// notification says in `ended` why it is the last.
	#[subscription(name = "assay_streamJob" => "assay_stream", unsubscribe = "assay_unstreamJob", item = Notification)]
	fn stream_job(&self, job: Option<Param>, from: Option<Param>);
}

/// What all streams of a node share.
struct Shared<S> {
	jobs: Arc<Hub<S>>,
	engine: Arc<Backend>,
	signers: Arc<Signers>,
	places: Arc<Places>,
	readers: Semaphore,
	executor: SubscriptionTaskExecutor,
	patience: Patience,
}

/// The streams that clients follow. All RPC servers of a node share it.
pub struct JobStreams<C>(Arc<Shared<ChainSource<C>>>);

impl<C> Clone for JobStreams<C> {
	fn clone(&self) -> Self {
		Self(self.0.clone())
	}
}

impl<C> JobStreams<C>
where
	C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
	C::Api: AssayApi<Block, AccountId, BlockNumber>,
{
	/// Streams the drafts of `engine`, signed by keys of `keystore`, to clients with at most so many connections together.
	/// Tasks run on `executor`.
	pub fn new(
		jobs: &Jobs<C>,
		engine: Arc<Backend>,
		keystore: KeystorePtr,
		connections: usize,
		executor: SubscriptionTaskExecutor,
	) -> Self {
		Self(Arc::new(Shared::new(
			jobs.0.clone(),
			engine,
			keystore,
			connections,
			executor,
			Patience::DEFAULT,
		)))
	}
}

impl<C> StreamApiServer for JobStreams<C>
where
	C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
	C::Api: AssayApi<Block, AccountId, BlockNumber>,
{
	fn stream_job(&self, pending: PendingSubscriptionSink, job: Option<Param>, from: Option<Param>) {
		let shared = self.0.clone();
		let place = shared.places.take(pending.connection_id());
		let serve = async move {
			match shared.clone().begin(job, from, place).await {
				Ok((place, reader)) => {
					if let Ok(sink) = pending.accept().await {
						shared.serve(sink, reader, place).await;
					}
				}
				Err(e) => pending.reject(e).await,
			}
		};
		self.0
			.executor
			.spawn("substrate-rpc-subscription", Some("rpc"), serve.boxed());
	}
}

impl<S: Source> Shared<S> {
	fn new(
		jobs: Arc<Hub<S>>,
		engine: Arc<Backend>,
		keystore: KeystorePtr,
		connections: usize,
		executor: SubscriptionTaskExecutor,
		patience: Patience,
	) -> Self {
		let genesis = jobs.source.genesis();
		Self {
			jobs,
			engine,
			signers: Arc::new(Signers::new(keystore, genesis, executor.clone())),
			places: Arc::new(Places::new(connections)),
			readers: Semaphore::new(MAX_READERS),
			executor,
			patience,
		}
	}

	/// Reads the parameters and the chain, and returns a reader unless another provider executes the job.
	async fn begin(
		self: Arc<Self>,
		job: Option<Param>,
		from: Option<Param>,
		place: Result<Place, Error>,
	) -> Result<(Place, Reader<S>), Error> {
		let job: JobId = params::required("job", job)?;
		let position: u32 = params::optional("from", from)?.unwrap_or_default();
		if position > MAX_OUTPUT_TOKENS {
			let reason = format!("no answer has more than {MAX_OUTPUT_TOKENS} tokens");
			return Err(InvalidParam::new("from", reason).into());
		}
		let drafts = self.engine.streams().ok_or(Error::StreamsOff)?;
		let place = place?;
		let updates = {
			let _turn = self.readers.acquire().await;
			let jobs = self.jobs.clone();
			on_blocking_thread(&self.executor, move || jobs.watch(job, Until::Verdict)).await?
		};
		let execution = match self.clone().executor_of(job).await? {
			Executor::Here(execution) => Some(execution),
			Executor::Elsewhere(elsewhere) => return Err(Error::NotExecutor(elsewhere)),
			Executor::None => None,
		};
		let reader = Reader {
			shared: self,
			drafts,
			job,
			updates,
			position,
			execution,
			signed: None,
		};
		Ok((place, reader))
	}

	/// Reads who executes a job in the best block.
	async fn executor_of(self: Arc<Self>, job: JobId) -> Result<Executor, Error> {
		let _turn = self.readers.acquire().await;
		let shared = self.clone();
		let read = move || {
			let Some(view) = shared.jobs.source.execution(job)? else {
				return Ok(Executor::None);
			};
			// The keystore may look at files.
			Ok(match view.key.filter(|key| shared.signers.holds(key)) {
				Some(key) => Executor::Here(Execution { view, key }),
				None => Executor::Elsewhere(reader::elsewhere(view)),
			})
		};
		on_blocking_thread(&self.executor, read).await
	}

	/// Serves a subscriber to the end, which comes at the latest when its time is over.
	async fn serve(&self, sink: SubscriptionSink, reader: Reader<S>, _place: Place) {
		self.engine.metrics().stream_opened();
		let served = tokio::select! {
			served = timeout(self.patience.subscription, reader.run(&sink)) => served,
			() = sink.closed() => Ok(None),
		};
		if let Some(end) = served.unwrap_or_else(|_| Some(EndReason::Expired.into())) {
			let message = SubscriptionMessage::from_json(&Notification::End(end));
			send(&sink, message, self.patience).await;
		}
		self.engine.metrics().stream_closed();
	}
}

#[cfg(test)]
mod tests;
