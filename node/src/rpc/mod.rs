//! What the node answers over JSON-RPC beyond Substrate's own methods: consensus, fees, and what a node alone knows of
//! jobs and of its engine.
//!
//! Everything about jobs that the chain knows is in the runtime API (`AssayApi`), which any client reaches through
//! `state_call`. The methods here add what a runtime API cannot: the engine's health, and a job's life as a subscription.

mod engine;
mod error;
mod job;

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

/// Most job subscriptions of all connections together.
const MAX_SUBSCRIPTIONS: usize = 256;

/// What all connections share.
#[derive(Clone)]
pub struct Limits {
	subscriptions: Arc<Semaphore>,
}

impl Default for Limits {
	fn default() -> Self {
		Self {
			subscriptions: Arc::new(Semaphore::new(MAX_SUBSCRIPTIONS)),
		}
	}
}

/// What BABE's methods need.
pub struct BabeDeps {
	/// Answers questions about epochs.
	pub worker: BabeWorkerHandle<Block>,
	/// Holds the keys that claim slots.
	pub keystore: KeystorePtr,
}

/// What GRANDPA's methods need.
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
pub struct FullDeps {
	/// The chain.
	pub client: Arc<FullClient>,
	/// The transaction pool.
	pub pool: Arc<FullPool>,
	/// The best chain.
	pub select_chain: FullSelectChain,
	/// For BABE.
	pub babe: BabeDeps,
	/// For GRANDPA.
	pub grandpa: GrandpaDeps,
	/// For inference.
	pub engine: Arc<Backend>,
	/// Runs subscriptions.
	pub executor: SubscriptionTaskExecutor,
	/// Shared limits.
	pub limits: Limits,
}

/// Builds all methods.
pub fn create_full(deps: FullDeps) -> Result<RpcModule<()>, Box<dyn std::error::Error + Send + Sync>> {
	use engine::EngineApiServer;
	use job::JobApiServer;
	use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
	use substrate_frame_rpc_system::{System, SystemApiServer};

	let FullDeps {
		client,
		pool,
		select_chain,
		babe,
		grandpa,
		engine,
		executor,
		limits,
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
	module.merge(engine::Engine::new(engine).into_rpc())?;
	module.merge(job::Jobs::new(client, executor, limits.subscriptions).into_rpc())?;
	Ok(module)
}
