//! Inference, and the offchain worker that uses it.

use super::{FullBackend, FullClient, FullPool};
use crate::inference;
use assay_primitives::host::InferenceExt;
use futures::FutureExt;
use sc_client_api::Backend as _;
use sc_network::service::traits::NetworkService;
use sc_offchain::{OffchainWorkerOptions, OffchainWorkers};
use sc_service::{error::Error as ServiceError, Configuration, TaskManager};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_externalities::Extension;
use sp_keystore::KeystorePtr;
use std::sync::Arc;

const LOG_TARGET: &str = "assay::node";

/// The parts of a node that the worker reaches.
pub(super) struct WorkerParts {
	pub(super) client: Arc<FullClient>,
	pub(super) backend: Arc<FullBackend>,
	pub(super) pool: Arc<FullPool>,
	pub(super) network: Arc<dyn NetworkService>,
	pub(super) keystore: KeystorePtr,
}

/// Starts the engine and, where it is switched on, the offchain worker.
pub(super) fn start(
	config: &Configuration,
	task_manager: &TaskManager,
	parts: WorkerParts,
	options: inference::InferenceOptions,
) -> Result<Arc<inference::Backend>, ServiceError> {
	// Before the worker runs for the first time.
	inference::insert_dev_keys(
		&parts.keystore,
		&config.chain_spec.chain_type(),
		config.dev_key_seed.as_deref(),
	);
	let engine = inference::start(options, config.prometheus_registry(), &task_manager.spawn_handle());
	if config.offchain_worker.enabled {
		start_worker(config.role.is_authority(), task_manager, parts, engine.clone())?;
	} else {
		log::info!(
			target: LOG_TARGET,
			"The worker is off on this node: to answer jobs as a provider, run it with --offchain-worker always"
		);
	}
	Ok(engine)
}

fn start_worker(
	is_validator: bool,
	task_manager: &TaskManager,
	parts: WorkerParts,
	engine: Arc<inference::Backend>,
) -> Result<(), ServiceError> {
	let WorkerParts {
		client,
		backend,
		pool,
		network,
		keystore,
	} = parts;
	let extension = engine.clone();
	let worker = OffchainWorkers::new(OffchainWorkerOptions {
		runtime_api_provider: client.clone(),
		is_validator,
		keystore: Some(keystore),
		offchain_db: backend.offchain_storage(),
		transaction_pool: Some(OffchainTransactionPoolFactory::new(pool.clone())),
		network_provider: Arc::new(network),
		enable_http_requests: false,
		custom_extensions: move |_| vec![Box::new(InferenceExt(extension.clone())) as Box<dyn Extension>],
	})?;
	let triggers = inference::WorkerTriggers::new(client, pool, engine, task_manager.spawn_handle());
	task_manager.spawn_handle().spawn(
		"offchain-workers-runner",
		Some("offchain-worker"),
		worker.run(Arc::new(triggers), task_manager.spawn_handle()).boxed(),
	);
	Ok(())
}
