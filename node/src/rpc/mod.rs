//! The node's JSON-RPC methods beyond Substrate's own: consensus, fees, and what a node alone knows of jobs and of its
//! engine.
//!
//! Everything about jobs that the chain knows is in the runtime API (`AssayApi`), which any client reaches through
//! `state_call`. The methods here add what a runtime API cannot: the engine's health, a job's life as a subscription,
//! and an answer while it is made.

mod accumulator;
mod engine;
mod error;
mod job;
mod params;
mod places;
mod receipt;
mod stream;
mod subscription;
mod sync_state;
mod threads;

pub use accumulator::AccumulatorDeps;
pub use job::Jobs;
pub use receipt::ReceiptDeps;
pub use stream::JobStreams;
pub use sync_state::SyncStateDeps;
pub use threads::{bound, connections, yield_to_others};

use crate::{
	inference::Backend,
	service::{FullBackend, FullClient, FullPool, FullSelectChain},
};
use assay_runtime::opaque::Block;
use futures::{stream::select, Stream, StreamExt};
use jsonrpsee::RpcModule;
use sc_client_api::BlockchainEvents;
use sc_consensus_babe::BabeWorkerHandle;
use sc_consensus_babe_rpc::{Babe, BabeApiServer};
use sc_consensus_grandpa::{FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState};
use sc_consensus_grandpa_rpc::{Grandpa, GrandpaApiServer};
use sc_rpc::SubscriptionTaskExecutor;
use sp_keystore::KeystorePtr;
use sp_runtime::traits::{Block as BlockT, NumberFor};
use std::{future, sync::Arc};

const LOG_TARGET: &str = "assay::rpc";

/// What BABE's methods need.
#[derive(Clone)]
pub struct BabeDeps {
	/// Knows the epochs.
	pub worker: BabeWorkerHandle<Block>,
	/// Holds the keys that claim slots.
	pub keystore: KeystorePtr,
}

/// What GRANDPA's methods need.
#[derive(Clone)]
pub struct GrandpaDeps {
	/// The voter's rounds.
	pub voter_state: SharedVoterState,
	/// The current authorities.
	pub authority_set: SharedAuthoritySet<<Block as BlockT>::Hash, NumberFor<Block>>,
	/// Justifications as they come.
	pub justification_stream: GrandpaJustificationStream<Block>,
	/// Proves finality of old blocks.
	pub finality_provider: Arc<FinalityProofProvider<FullBackend, Block>>,
}

/// Everything the methods need.
#[derive(Clone)]
pub struct FullDeps {
	/// The chain.
	pub client: Arc<FullClient>,
	/// The transaction pool.
	pub pool: Arc<FullPool>,
	/// The best chain.
	pub select_chain: FullSelectChain,
	/// For BABE's methods.
	pub babe: BabeDeps,
	/// For GRANDPA's methods.
	pub grandpa: GrandpaDeps,
	/// The engine, for its status.
	pub engine: Arc<Backend>,
	/// The jobs that clients follow.
	pub jobs: Jobs<FullClient>,
	/// The drafts that clients follow.
	pub streams: JobStreams<FullClient>,
	/// For receipts that need no node.
	pub receipts: ReceiptDeps,
	/// For light clients.
	pub sync_state: SyncStateDeps,
}

/// Yields whenever there is a new best or finalized block.
pub fn heads(client: &FullClient) -> impl Stream<Item = ()> + Send + 'static {
	let best = client.import_notification_stream();
	let best = best.filter(|block| future::ready(block.is_new_best)).map(drop);
	let finalized = client.finality_notification_stream().map(drop);
	select(best, finalized)
}

/// Builds all methods. Subscriptions run on `executor`.
pub fn create_full(
	deps: FullDeps,
	executor: SubscriptionTaskExecutor,
) -> Result<RpcModule<()>, Box<dyn std::error::Error + Send + Sync>> {
	use accumulator::AccumulatorApiServer;
	use engine::EngineApiServer;
	use job::JobApiServer;
	use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
	use receipt::ReceiptApiServer;
	use sc_sync_state_rpc::SyncStateApiServer;
	use stream::StreamApiServer;
	use substrate_frame_rpc_system::{System, SystemApiServer};

	let FullDeps {
		client,
		pool,
		select_chain,
		babe,
		grandpa,
		engine,
		jobs,
		streams,
		receipts,
		sync_state,
	} = deps;
	let mut module = RpcModule::new(());
	module.merge(System::new(client.clone(), pool).into_rpc())?;
	module.merge(TransactionPayment::new(client.clone()).into_rpc())?;
	module.merge(Babe::new(client.clone(), babe.worker, babe.keystore, select_chain).into_rpc())?;
	module.merge(
		Grandpa::new(
			executor.clone(),
			grandpa.authority_set,
			grandpa.voter_state,
			grandpa.justification_stream,
			grandpa.finality_provider,
		)
		.into_rpc(),
	)?;
	module.merge(engine::EngineRpc::new(engine).into_rpc())?;
	module.merge(job::JobRpc::new(jobs, executor).into_rpc())?;
	module.merge(streams.into_rpc())?;
	module.merge(accumulator::AccumulatorRpc::new(client, receipts.accumulator.clone()).into_rpc())?;
	module.merge(receipt::ReceiptRpc(receipts).into_rpc())?;
	module.merge(sync_state::SyncStateRpc::new(sync_state).into_rpc())?;
	Ok(module)
}
