//! `sync_state_genSyncSpec`: the chain's specification with a finalized block that light clients start from.
//!
//! The SDK's method builds the genesis state of a preset at each call, for which it compiles the runtime: eight seconds of
//! CPU for any stranger who asks. Here that is done once, at the first call, off the threads that answer others.

use super::FullClient;
use assay_chain_spec::ChainSpec;
use assay_runtime::opaque::Block;
use jsonrpsee::core::async_trait;
use sc_consensus_babe::BabeWorkerHandle;
use sc_consensus_grandpa::SharedAuthoritySet;
use sc_sync_state_rpc::{Error, SyncState, SyncStateApiServer};
use sp_runtime::traits::{Block as BlockT, NumberFor};
use std::sync::Arc;
use tokio::{sync::OnceCell, task::spawn_blocking};

/// What the method needs.
#[derive(Clone)]
pub struct SyncStateDeps {
	/// The chain's specification.
	pub spec: Arc<dyn sc_service::ChainSpec>,
	/// The chain.
	pub client: Arc<FullClient>,
	/// GRANDPA's authorities.
	pub authority_set: SharedAuthoritySet<<Block as BlockT>::Hash, NumberFor<Block>>,
	/// Knows BABE's epochs.
	pub babe_worker: BabeWorkerHandle<Block>,
}

/// The server of `sync_state_genSyncSpec`.
pub struct SyncStateRpc {
	deps: SyncStateDeps,
	inner: OnceCell<SyncState<Block, FullClient>>,
}

impl SyncStateRpc {
	/// Serves the specification of a client's chain.
	pub fn new(deps: SyncStateDeps) -> Self {
		Self {
			deps,
			inner: OnceCell::new(),
		}
	}

	async fn inner(&self) -> Result<&SyncState<Block, FullClient>, Error<Block>> {
		self.inner.get_or_try_init(|| self.build()).await
	}

	async fn build(&self) -> Result<SyncState<Block, FullClient>, Error<Block>> {
		let SyncStateDeps {
			spec,
			client,
			authority_set,
			babe_worker,
		} = self.deps.clone();
		let raw = spawn_blocking(move || ChainSpec::from_json_bytes(spec.as_json(true)?.into_bytes()))
			.await
			.unwrap_or_else(|e| Err(e.to_string()))
			.map_err(Error::JsonRpc)?;
		SyncState::new(Box::new(raw), client, authority_set, babe_worker)
	}
}

#[async_trait]
impl SyncStateApiServer<Block> for SyncStateRpc {
	/// Returns the specification with the genesis state as values, whatever `raw` says.
	async fn system_gen_sync_spec(&self, raw: bool) -> Result<serde_json::Value, Error<Block>> {
		self.inner().await?.system_gen_sync_spec(raw).await
	}
}
