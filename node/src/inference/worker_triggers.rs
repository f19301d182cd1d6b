//! When the worker runs: at every new best block, and once more for the best block whenever the engine has news.
//!
//! The second half saves a block per phase: a vote need not wait for the next block to be imported before it is sent. And no
//! worker runs before the transaction pool has taken the block in: a vote that the pool judged by the block before would be
//! refused, and come again only blocks later.

use super::backend::Backend;
use futures::{future::BoxFuture, FutureExt, StreamExt};
use sc_client_api::{
	BlockImportNotification, BlockchainEvents, FinalityNotifications, ImportNotifications, StorageEventStream,
	StorageKey,
};
use sc_service::SpawnTaskHandle;
use sc_transaction_pool_api::TransactionPool;
use sc_utils::mpsc::{tracing_unbounded, TracingUnboundedSender};
use sp_runtime::traits::Block as BlockT;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};

/// Answers that come within this time run the worker once.
const GATHER: Duration = Duration::from_millis(20);

/// How long the pool may take for a new best block before the worker runs without it.
const POOL_TIMEOUT: Duration = Duration::from_secs(1);

/// Resolves once the transaction pool judges by the state of a block.
type Ready<Block> = Arc<dyn Fn(<Block as BlockT>::Hash) -> BoxFuture<'static, ()> + Send + Sync>;

/// The client's block events with the engine's mixed in.
pub struct WorkerTriggers<C, P> {
	client: Arc<C>,
	pool: Arc<P>,
	backend: Arc<Backend>,
	spawner: SpawnTaskHandle,
}

impl<C, P> WorkerTriggers<C, P> {
	/// Mixes `backend`'s ticks into `client`'s import notifications, in a task of `spawner`, and reports new best blocks to it.
	pub fn new(client: Arc<C>, pool: Arc<P>, backend: Arc<Backend>, spawner: SpawnTaskHandle) -> Self {
		Self {
			client,
			pool,
			backend,
			spawner,
		}
	}
}

impl<Block, C, P> BlockchainEvents<Block> for WorkerTriggers<C, P>
where
	Block: BlockT,
	C: BlockchainEvents<Block>,
	P: TransactionPool<Block = Block> + 'static,
{
	fn import_notification_stream(&self) -> ImportNotifications<Block> {
		let (sender, receiver) = tracing_unbounded("mpsc_worker_triggers", 1_000);
		let pool = self.pool.clone();
		let ready: Ready<Block> = Arc::new(move |at| {
			let pool = pool.clone();
			async move { drop(pool.ready_at_with_timeout(at, POOL_TIMEOUT).await) }.boxed()
		});
		let backend = self.backend.clone();
		let mix = mix(
			self.client.import_notification_stream(),
			backend.events(),
			ready,
			move || backend.new_best_block(),
			sender,
		);
		self.spawner.spawn("worker-triggers", Some("offchain-worker"), mix);
		receiver
	}

	fn every_import_notification_stream(&self) -> ImportNotifications<Block> {
		self.client.every_import_notification_stream()
	}

	fn finality_notification_stream(&self) -> FinalityNotifications<Block> {
		self.client.finality_notification_stream()
	}

	fn storage_changes_notification_stream(
		&self,
		filter_keys: Option<&[StorageKey]>,
		child_filter_keys: Option<&[(StorageKey, Option<Vec<StorageKey>>)]>,
	) -> sp_blockchain::Result<StorageEventStream<Block::Hash>> {
		self.client
			.storage_changes_notification_stream(filter_keys, child_filter_keys)
	}
}

async fn mix<Block: BlockT>(
	mut blocks: ImportNotifications<Block>,
	mut engine: watch::Receiver<u64>,
	ready: Ready<Block>,
	new_best: impl Fn(),
	sender: TracingUnboundedSender<BlockImportNotification<Block>>,
) {
	let mut best: Option<BlockImportNotification<Block>> = None;
	engine.mark_unchanged();
	loop {
		let next = tokio::select! {
			block = blocks.next() => {
				let Some(block) = block else { return };
				if block.is_new_best {
					new_best();
					ready(block.hash).await;
					best = Some(block.clone());
				}
				Some(block)
			},
			news = engine.changed() => {
				if news.is_err() {
					// The backend is gone: the node is shutting down.
					return;
				}
				sleep(GATHER).await;
				engine.mark_unchanged();
				best.clone()
			},
		};
		if next.is_some_and(|block| sender.unbounded_send(block).is_err()) {
			return;
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use assay_runtime::opaque::Block;
	use sp_consensus::BlockOrigin;
	use sp_runtime::{generic::Digest, traits::Header as _};
	use std::sync::atomic::{AtomicUsize, Ordering};

	fn block(number: u32, is_new_best: bool) -> BlockImportNotification<Block> {
		let header = <Block as BlockT>::Header::new(
			number,
			Default::default(),
			Default::default(),
			Default::default(),
			Digest::default(),
		);
		let (unpin, _) = tracing_unbounded("unpin", 10);
		BlockImportNotification::new(header.hash(), BlockOrigin::Own, header, is_new_best, None, unpin)
	}

	fn at_once() -> Ready<Block> {
		Arc::new(|_| futures::future::ready(()).boxed())
	}

	#[tokio::test]
	async fn the_worker_waits_until_the_pool_has_taken_the_block_in() {
		let (blocks_in, blocks) = tracing_unbounded("blocks", 10);
		let (out, mut mixed) = tracing_unbounded("mixed", 10);
		let engine = watch::Sender::new(0);
		let (taken_in, gate) = watch::channel(false);
		let ready: Ready<Block> = Arc::new(move |_| {
			let mut gate = gate.clone();
			async move { drop(gate.wait_for(|open| *open).await) }.boxed()
		});
		tokio::spawn(mix::<Block>(blocks, engine.subscribe(), ready, || (), out));
		blocks_in.unbounded_send(block(1, true)).unwrap();
		sleep(GATHER).await;
		assert!(mixed.next().now_or_never().is_none());
		taken_in.send(true).unwrap();
		assert_eq!(mixed.next().await.unwrap().header.number, 1);
	}

	#[tokio::test]
	async fn the_best_block_comes_again_when_the_engine_has_news() {
		let (blocks_in, blocks) = tracing_unbounded("blocks", 10);
		let (out, mut mixed) = tracing_unbounded("mixed", 10);
		let engine = watch::Sender::new(0);
		let best = Arc::new(AtomicUsize::new(0));
		let count = best.clone();
		let new_best = move || {
			count.fetch_add(1, Ordering::Relaxed);
		};
		tokio::spawn(mix::<Block>(blocks, engine.subscribe(), at_once(), new_best, out));
		blocks_in.unbounded_send(block(1, true)).unwrap();
		blocks_in.unbounded_send(block(2, false)).unwrap();
		assert_eq!(mixed.next().await.unwrap().header.number, 1);
		assert_eq!(mixed.next().await.unwrap().header.number, 2);
		engine.send_modify(|n| *n += 1);
		let again = mixed.next().await.unwrap();
		assert!(again.is_new_best);
		assert_eq!(again.header.number, 1, "a fork's block is not the best one");
		assert_eq!(best.load(Ordering::Relaxed), 1);
	}

	#[tokio::test]
	async fn news_before_the_first_block_is_dropped() {
		let (blocks_in, blocks) = tracing_unbounded("blocks", 10);
		let (out, mut mixed) = tracing_unbounded("mixed", 10);
		let engine = watch::Sender::new(0);
		let running = tokio::spawn(mix::<Block>(blocks, engine.subscribe(), at_once(), || (), out));
		engine.send_modify(|n| *n += 1);
		sleep(GATHER * 3).await;
		blocks_in.unbounded_send(block(1, true)).unwrap();
		assert_eq!(mixed.next().await.unwrap().header.number, 1);
		drop(blocks_in);
		running.await.unwrap();
		assert!(mixed.next().await.is_none());
	}
}
