//! BABE makes blocks; GRANDPA finalizes them.

use super::{
	inherents,
	network::GrandpaProtocol,
	partial::{FullBabeImport, FullGrandpaLink, JUSTIFICATION_PERIOD},
	FullClient, FullPool, FullSelectChain,
};
use assay_runtime::opaque::Block;
use prometheus_endpoint::Registry;
use sc_consensus_babe::{BabeLink, BabeParams, SlotProportion};
use sc_consensus_grandpa::{GrandpaParams, SharedVoterState, VotingRulesBuilder};
use sc_network::{config::Role, service::traits::NetworkService};
use sc_network_sync::SyncingService;
use sc_service::{error::Error as ServiceError, TaskManager};
use sc_telemetry::TelemetryHandle;
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_keystore::KeystorePtr;
use std::{sync::Arc, time::Duration};

/// The parts of a node that both need.
pub(super) struct ConsensusParts {
	pub(super) client: Arc<FullClient>,
	pub(super) pool: Arc<FullPool>,
	pub(super) keystore: KeystorePtr,
	pub(super) network: Arc<dyn NetworkService>,
	pub(super) sync: Arc<SyncingService<Block>>,
	pub(super) registry: Option<Registry>,
	pub(super) telemetry: Option<TelemetryHandle>,
}

impl ConsensusParts {
	/// Starts a validator's block production.
	pub(super) fn start_babe(
		&self,
		task_manager: &TaskManager,
		select_chain: FullSelectChain,
		block_import: FullBabeImport,
		babe_link: BabeLink<Block>,
		force_authoring: bool,
	) -> Result<(), ServiceError> {
		let proposer = sc_basic_authorship::ProposerFactory::new(
			task_manager.spawn_handle(),
			self.client.clone(),
			self.pool.clone(),
			self.registry.as_ref(),
			self.telemetry.clone(),
		);
		let babe = sc_consensus_babe::start_babe(BabeParams {
			keystore: self.keystore.clone(),
			client: self.client.clone(),
			select_chain,
			env: proposer,
			block_import,
			sync_oracle: self.sync.clone(),
			justification_sync_link: self.sync.clone(),
			create_inherent_data_providers: inherents::of_an_author(
				self.client.clone(),
				babe_link.config().slot_duration(),
			),
			force_authoring,
			backoff_authoring_blocks: None::<()>,
			babe_link,
			block_proposal_slot_portion: SlotProportion::new(0.5),
			max_block_proposal_slot_portion: None,
			telemetry: self.telemetry.clone(),
		})?;
		task_manager
			.spawn_essential_handle()
			.spawn_blocking("babe-proposer", Some("block-authoring"), babe);
		Ok(())
	}

	/// Starts the voter, which only follows the votes of others unless the node is a validator.
	pub(super) fn start_grandpa(
		self,
		task_manager: &TaskManager,
		link: FullGrandpaLink,
		protocol: GrandpaProtocol,
		shared_voter_state: SharedVoterState,
		local_role: Role,
		node_name: String,
	) -> Result<(), ServiceError> {
		let voter = sc_consensus_grandpa::run_grandpa_voter(GrandpaParams {
			config: sc_consensus_grandpa::Config {
				gossip_duration: Duration::from_millis(333),
				justification_generation_period: JUSTIFICATION_PERIOD,
				name: Some(node_name),
				observer_enabled: false,
				keystore: local_role.is_authority().then_some(self.keystore),
				local_role,
				telemetry: self.telemetry.clone(),
				protocol_name: protocol.name,
			},
			link,
			network: self.network,
			sync: self.sync,
			notification_service: protocol.notifications,
			voting_rule: VotingRulesBuilder::default().build(),
			prometheus_registry: self.registry,
			shared_voter_state,
			telemetry: self.telemetry,
			offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(self.pool),
		})?;
		task_manager
			.spawn_essential_handle()
			.spawn_blocking("grandpa-voter", None, voter);
		Ok(())
	}
}
