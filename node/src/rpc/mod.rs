//! The node's JSON-RPC methods beyond Substrate's own: consensus, fees, and what a node alone knows of jobs and of its
//! engine.
//!
//! Everything about jobs that the chain knows is in the runtime API (`AssayApi`), which any client reaches through
//! `state_call`. The methods here add what a runtime API cannot: the engine's health, and a job's life as a subscription.

mod engine;
mod error;
mod job;
mod receipt;

use crate::{
	inference::Backend,
	service::{FullBackend, FullClient, FullPool, FullSelectChain},
};
use assay_runtime::opaque::Block;
use jsonrpsee::RpcModule;
use sc_consensus_babe::BabeWorkerHandle;
use sc_consensus_babe_rpc::{Babe, BabeApiServer};
use sc_consensus_grandpa::{FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState};
use sc_consensus_grandpa_rpc::{Grandpa, GrandpaApiServer};
use sc_rpc::SubscriptionTaskExecutor;
use sp_keystore::KeystorePtr;
use sp_runtime::traits::{Block as BlockT, NumberFor};
use std::sync::Arc;
use tokio::sync::Semaphore;

pub use receipt::ReceiptDeps;

/// Most job subscriptions of all connections together.
pub const MAX_SUBSCRIPTIONS: usize = 256;

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
	/// Bounds the job subscriptions of all connections.
	pub subscriptions: Arc<Semaphore>,
	/// For proofs of receipts.
	pub receipts: ReceiptDeps<<FullBackend as sc_client_api::Backend<Block>>::OffchainStorage>,
}

/// Builds all methods. Subscriptions run on `executor`.
pub fn create_full(
	deps: FullDeps,
	executor: SubscriptionTaskExecutor,
) -> Result<RpcModule<()>, Box<dyn std::error::Error + Send + Sync>> {
	use engine::EngineApiServer;
	use job::JobApiServer;
	use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
	use receipt::ReceiptApiServer;
	use substrate_frame_rpc_system::{System, SystemApiServer};

	let FullDeps {
		client,
		pool,
		select_chain,
		babe,
		grandpa,
		engine,
		subscriptions,
		receipts,
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
	module.merge(receipt::ReceiptRpc::new(client.clone(), receipts).into_rpc())?;
	module.merge(job::JobRpc::new(client, executor, subscriptions).into_rpc())?;
	Ok(module)
}
