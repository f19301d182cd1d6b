//! A running node: the shared parts, the network, inference with its worker, RPC, and consensus.

use super::{
	consensus::ConsensusParts,
	network::{discover_authorities, warp_sync, GrandpaProtocol, Hash},
	partial::{new_partial, Consensus, FullClient, Parts},
	workers::{self, WorkerParts},
};
use crate::{
	inference::{self, InferenceOptions},
	rpc,
};
use assay_runtime::opaque::Block;
use sc_client_api::Backend as _;
use sc_consensus_grandpa::{FinalityProofProvider, SharedVoterState};
use sc_network::{config::FullNetworkConfiguration, NetworkBackend};
use sc_rpc::SubscriptionTaskExecutor;
use sc_service::{
	build_network, error::Error as ServiceError, spawn_tasks, BuildNetworkParams, Configuration, SpawnTasksParams,
	TaskManager,
};
use sp_blockchain::HeaderBackend;
use sp_keystore::KeystorePtr;
use std::{path::Path, sync::Arc};

/// Builds and starts a node.
pub fn new_full<N: NetworkBackend<Block, Hash>>(
	mut config: Configuration,
	runtime_cache: &Path,
	inference: InferenceOptions,
) -> Result<TaskManager, ServiceError> {
	let Parts {
		client,
		backend,
		mut task_manager,
		import_queue,
		keystore_container,
		select_chain,
		transaction_pool: pool,
		other: Consensus {
			block_import,
			grandpa_link,
			babe_link,
			babe_worker,
			mut telemetry,
		},
	} = new_partial(&config, runtime_cache)?;
	let keystore = keystore_container.keystore();
	let registry = config.prometheus_registry().cloned();

	let metrics = N::register_notification_metrics(registry.as_ref());
	let mut net_config = FullNetworkConfiguration::<_, _, N>::new(&config.network, registry.clone());
	let grandpa_protocol =
		GrandpaProtocol::register(&mut net_config, client.info().genesis_hash, &config, metrics.clone());
	let (network, system_rpc_tx, tx_handler_controller, sync_service, _bitswap) = build_network(BuildNetworkParams {
		config: &config,
		net_config,
		client: client.clone(),
		transaction_pool: pool.clone(),
		spawn_handle: task_manager.spawn_handle(),
		spawn_essential_handle: task_manager.spawn_essential_handle(),
		import_queue,
		block_announce_validator_builder: None,
		warp_sync_config: Some(warp_sync(backend.clone(), &grandpa_link)),
		block_relay: None,
		metrics,
		gap_sync_body_policy: None,
	})?;

	let worker_parts = WorkerParts {
		client: client.clone(),
		backend: backend.clone(),
		pool: pool.clone(),
		network: network.clone(),
		keystore: keystore.clone(),
	};
	let engine = workers::start(&config, &task_manager, worker_parts, inference)?;

	let (jobs, streams) = start_subscriptions(&config, &task_manager, client.clone(), engine.clone(), keystore.clone());

	let voter_state = SharedVoterState::empty();
	let rpc_deps = rpc::FullDeps {
		client: client.clone(),
		pool: pool.clone(),
		select_chain: select_chain.clone(),
		babe: rpc::BabeDeps {
			worker: babe_worker.clone(),
			keystore: keystore.clone(),
		},
		grandpa: rpc::GrandpaDeps {
			voter_state: voter_state.clone(),
			authority_set: grandpa_link.shared_authority_set().clone(),
			justification_stream: grandpa_link.justification_stream(),
			finality_provider: FinalityProofProvider::new_for_service(
				backend.clone(),
				Some(grandpa_link.shared_authority_set().clone()),
			),
		},
		engine,
		jobs,
		streams,
		receipts: rpc::ReceiptDeps {
			client: client.clone(),
			backend: backend.clone(),
			authorities: grandpa_link.shared_authority_set().clone(),
			accumulator: rpc::AccumulatorDeps {
				nodes: backend.offchain_storage(),
				indexing: config.offchain_worker.indexing_enabled,
			},
		},
		sync_state: rpc::SyncStateDeps {
			spec: config.chain_spec.cloned_box().into(),
			client: client.clone(),
			authority_set: grandpa_link.shared_authority_set().clone(),
			babe_worker: babe_worker.clone(),
		},
	};
	let rpc_builder = Box::new(move |executor: SubscriptionTaskExecutor| {
		rpc::create_full(rpc_deps.clone(), executor).map_err(Into::into)
	});

	let (role, force_authoring, enable_grandpa) = (config.role, config.force_authoring, !config.disable_grandpa);
	let network_config = config.network.clone();
	rpc::bound(&mut config.rpc);
	spawn_tasks(SpawnTasksParams {
		config,
		client: client.clone(),
		backend,
		task_manager: &mut task_manager,
		keystore: keystore.clone(),
		transaction_pool: pool.clone(),
		rpc_builder,
		network: network.clone(),
		system_rpc_tx,
		tx_handler_controller,
		sync_service: sync_service.clone(),
		telemetry: telemetry.as_mut(),
		tracing_execute_block: None,
	})?;
	rpc::yield_to_others();

	let consensus = ConsensusParts {
		client: client.clone(),
		pool,
		keystore: keystore.clone(),
		network: network.clone(),
		sync: sync_service,
		registry: registry.clone(),
		telemetry: telemetry.map(|telemetry| telemetry.handle()),
	};
	if role.is_authority() {
		consensus.start_babe(&task_manager, select_chain, block_import, babe_link, force_authoring)?;
		discover_authorities(&task_manager, client, &network, keystore, &network_config, registry);
	}
	if enable_grandpa {
		let name = network_config.node_name;
		consensus.start_grandpa(&task_manager, grandpa_link, grandpa_protocol, voter_state, role, name)?;
	}
	Ok(task_manager)
}

/// Begins to follow the chain for all who subscribe to jobs and to their drafts.
fn start_subscriptions(
	config: &Configuration,
	task_manager: &TaskManager,
	client: Arc<FullClient>,
	engine: Arc<inference::Backend>,
	keystore: KeystorePtr,
) -> (rpc::Jobs<FullClient>, rpc::JobStreams<FullClient>) {
	let connections = rpc::connections(&config.rpc);
	let jobs = rpc::Jobs::new(client.clone(), connections);
	let follow_jobs = jobs.run(rpc::heads(&client));
	task_manager
		.spawn_handle()
		.spawn_blocking("job-subscriptions", Some("rpc"), follow_jobs);
	let tasks = Arc::new(task_manager.spawn_handle());
	let streams = rpc::JobStreams::new(&jobs, engine, keystore, connections, tasks);
	(jobs, streams)
}
