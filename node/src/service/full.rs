//! A running node: the shared parts, the network, consensus, inference with its worker, and RPC.

use super::partial::{inherents, new_partial, Consensus, FullClient, Parts, JUSTIFICATION_PERIOD};
use crate::{inference, rpc};
use assay_primitives::host::InferenceExt;
use assay_runtime::opaque::Block;
use futures::{FutureExt, StreamExt};
use sc_client_api::Backend as _;
use sc_consensus_babe::SlotProportion;
use sc_consensus_grandpa::SharedVoterState;
use sc_network::{
	config::NetworkConfiguration, event::Event, service::traits::NetworkService, NetworkBackend, NetworkEventStream,
};
use sc_offchain::{OffchainWorkerOptions, OffchainWorkers};
use sc_service::{error::Error as ServiceError, BuildNetworkParams, Configuration, TaskManager, WarpSyncConfig};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_blockchain::HeaderBackend;
use sp_externalities::Extension;
use sp_keystore::KeystorePtr;
use sp_runtime::traits::Block as BlockT;
use std::{sync::Arc, time::Duration};

type Hash = <Block as BlockT>::Hash;

/// Builds and starts a node.
pub fn new_full<N: NetworkBackend<Block, Hash>>(
	config: Configuration,
	inference: inference::Options,
) -> Result<TaskManager, ServiceError> {
	let Parts {
		client,
		backend,
		mut task_manager,
		import_queue,
		keystore_container,
		select_chain,
		transaction_pool,
		other: Consensus {
			block_import,
			grandpa_link,
			babe_link,
			babe_worker,
			mut telemetry,
		},
	} = new_partial(&config)?;
	let keystore = keystore_container.keystore();
	let registry = config.prometheus_registry().cloned();
	let genesis = client.info().genesis_hash;

	let metrics = N::register_notification_metrics(registry.as_ref());
	let mut net_config =
		sc_network::config::FullNetworkConfiguration::<_, _, N>::new(&config.network, registry.clone());
	let grandpa_protocol = sc_consensus_grandpa::protocol_standard_name(&genesis, &config.chain_spec);
	let (grandpa_config, grandpa_notifications) = sc_consensus_grandpa::grandpa_peers_set_config::<_, N>(
		grandpa_protocol.clone(),
		metrics.clone(),
		net_config.peer_store_handle(),
	);
	net_config.add_notification_protocol(grandpa_config);
	let warp_sync = Arc::new(sc_consensus_grandpa::warp_proof::NetworkProvider::new(
		backend.clone(),
		grandpa_link.shared_authority_set().clone(),
		Vec::default(),
	));
	let (network, system_rpc_tx, tx_handler_controller, sync_service, _bitswap) =
		sc_service::build_network(BuildNetworkParams {
			config: &config,
			net_config,
			client: client.clone(),
			transaction_pool: transaction_pool.clone(),
			spawn_handle: task_manager.spawn_handle(),
			spawn_essential_handle: task_manager.spawn_essential_handle(),
			import_queue,
			block_announce_validator_builder: None,
			warp_sync_config: Some(WarpSyncConfig::WithProvider(warp_sync)),
			block_relay: None,
			metrics,
			gap_sync_body_policy: None,
		})?;

	// Before the worker runs for the first time.
	inference::insert_dev_keys(
		&keystore,
		&config.chain_spec.chain_type(),
		config.dev_key_seed.as_deref(),
	);
	let engine = inference::start(inference, registry.as_ref(), &task_manager.spawn_handle());
	if config.offchain_worker.enabled {
		let worker = OffchainWorkers::new(OffchainWorkerOptions {
			runtime_api_provider: client.clone(),
			is_validator: config.role.is_authority(),
			keystore: Some(keystore.clone()),
			offchain_db: backend.offchain_storage(),
			transaction_pool: Some(OffchainTransactionPoolFactory::new(transaction_pool.clone())),
			network_provider: Arc::new(network.clone()),
			enable_http_requests: false,
			custom_extensions: {
				let engine = engine.clone();
				move |_| vec![Box::new(InferenceExt(engine.clone())) as Box<dyn Extension>]
			},
		})?;
		let triggers = inference::WorkerTriggers::new(
			client.clone(),
			transaction_pool.clone(),
			engine.clone(),
			task_manager.spawn_handle(),
		);
		task_manager.spawn_handle().spawn(
			"offchain-workers-runner",
			Some("offchain-worker"),
			worker.run(Arc::new(triggers), task_manager.spawn_handle()).boxed(),
		);
	} else {
		log::info!(
			target: inference::LOG_TARGET,
			"The worker is off on this node: to answer jobs as a provider, run it with --offchain-worker always"
		);
	}

	let role = config.role;
	let force_authoring = config.force_authoring;
	let node_name = config.network.node_name.clone();
	let enable_grandpa = !config.disable_grandpa;
	let network_config = config.network.clone();
	let shared_voter_state = SharedVoterState::empty();
	let rpc_builder = {
		let client = client.clone();
		let pool = transaction_pool.clone();
		let select_chain = select_chain.clone();
		let keystore = keystore.clone();
		let justification_stream = grandpa_link.justification_stream();
		let authority_set = grandpa_link.shared_authority_set().clone();
		let voter_state = shared_voter_state.clone();
		let finality_provider = sc_consensus_grandpa::FinalityProofProvider::new_for_service(
			backend.clone(),
			Some(grandpa_link.shared_authority_set().clone()),
		);
		let limits = rpc::Limits::default();
		Box::new(move |executor: sc_rpc::SubscriptionTaskExecutor| {
			rpc::create_full(rpc::FullDeps {
				client: client.clone(),
				pool: pool.clone(),
				select_chain: select_chain.clone(),
				babe: rpc::BabeDeps {
					worker: babe_worker.clone(),
					keystore: keystore.clone(),
				},
				grandpa: rpc::GrandpaDeps {
					voter_state: voter_state.clone(),
					authority_set: authority_set.clone(),
					justification_stream: justification_stream.clone(),
					finality_provider: finality_provider.clone(),
				},
				engine: engine.clone(),
				executor,
				limits: limits.clone(),
			})
			.map_err(Into::into)
		})
	};
	sc_service::spawn_tasks(sc_service::SpawnTasksParams {
		config,
		client: client.clone(),
		backend,
		task_manager: &mut task_manager,
		keystore: keystore.clone(),
		transaction_pool: transaction_pool.clone(),
		rpc_builder,
		network: network.clone(),
		system_rpc_tx,
		tx_handler_controller,
		sync_service: sync_service.clone(),
		telemetry: telemetry.as_mut(),
		tracing_execute_block: None,
	})?;
	let telemetry = telemetry.as_ref().map(|t| t.handle());

	if role.is_authority() {
		let proposer = sc_basic_authorship::ProposerFactory::new(
			task_manager.spawn_handle(),
			client.clone(),
			transaction_pool.clone(),
			registry.as_ref(),
			telemetry.clone(),
		);
		let babe = sc_consensus_babe::start_babe(sc_consensus_babe::BabeParams {
			keystore: keystore.clone(),
			client: client.clone(),
			select_chain,
			env: proposer,
			block_import,
			sync_oracle: sync_service.clone(),
			justification_sync_link: sync_service.clone(),
			create_inherent_data_providers: inherents(babe_link.config().slot_duration()),
			force_authoring,
			backoff_authoring_blocks: None::<()>,
			babe_link,
			block_proposal_slot_portion: SlotProportion::new(0.5),
			max_block_proposal_slot_portion: None,
			telemetry: telemetry.clone(),
		})?;
		task_manager
			.spawn_essential_handle()
			.spawn_blocking("babe-proposer", Some("block-authoring"), babe);
		discover_authorities(
			&task_manager,
			&client,
			&network,
			keystore.clone(),
			&network_config,
			registry.clone(),
		);
	}

	if enable_grandpa {
		let voter = sc_consensus_grandpa::run_grandpa_voter(sc_consensus_grandpa::GrandpaParams {
			config: sc_consensus_grandpa::Config {
				gossip_duration: Duration::from_millis(333),
				justification_generation_period: JUSTIFICATION_PERIOD,
				name: Some(node_name),
				observer_enabled: false,
				keystore: role.is_authority().then_some(keystore),
				local_role: role,
				telemetry: telemetry.clone(),
				protocol_name: grandpa_protocol,
			},
			link: grandpa_link,
			network,
			sync: sync_service,
			notification_service: grandpa_notifications,
			voting_rule: sc_consensus_grandpa::VotingRulesBuilder::default().build(),
			prometheus_registry: registry,
			shared_voter_state,
			telemetry,
			offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(transaction_pool),
		})?;
		task_manager
			.spawn_essential_handle()
			.spawn_blocking("grandpa-voter", None, voter);
	}
	Ok(task_manager)
}

/// Publishes this validator's addresses and finds those of the others.
fn discover_authorities(
	task_manager: &TaskManager,
	client: &Arc<FullClient>,
	network: &Arc<dyn NetworkService>,
	keystore: KeystorePtr,
	config: &NetworkConfiguration,
	registry: Option<prometheus_endpoint::Registry>,
) {
	let events = network
		.event_stream("authority-discovery")
		.filter_map(|event| async move {
			match event {
				Event::Dht(event) => Some(event),
				_ => None,
			}
		});
	let (worker, _service) = sc_authority_discovery::new_worker_and_service_with_config(
		sc_authority_discovery::WorkerConfig {
			publish_non_global_ips: config.allow_non_globals_in_dht,
			public_addresses: config.public_addresses.clone(),
			strict_record_validation: true,
			persisted_cache_directory: config.net_config_path.clone(),
			..Default::default()
		},
		client.clone(),
		Arc::new(network.clone()),
		Box::pin(events),
		sc_authority_discovery::Role::PublishAndDiscover(keystore),
		registry,
		task_manager.spawn_handle(),
	);
	task_manager
		.spawn_handle()
		.spawn("authority-discovery-worker", Some("networking"), worker.run());
}
