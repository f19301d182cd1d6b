//! The parts that a running node and the offline commands share: client, pool, import queue.

use super::{inherents, pool_tasks::PoolTasks, HostFunctions};
use assay_runtime::{opaque::Block, RuntimeApi};
use sc_consensus::DefaultImportQueue;
use sc_consensus_babe::{BabeBlockImport, BabeLink, BabeWorkerHandle};
use sc_consensus_grandpa::{GrandpaBlockImport, LinkHalf};
use sc_executor::{HeapAllocStrategy, WasmExecutor, DEFAULT_HEAP_ALLOC_STRATEGY};
use sc_service::{
	config::ExecutorConfiguration, error::Error as ServiceError, Configuration, PartialComponents, TaskManager,
};
use sc_telemetry::{Telemetry, TelemetryWorker};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_consensus_babe::inherents::BabeCreateInherentDataProviders;
use std::{path::Path, sync::Arc};

/// Blocks after which a justification is kept at the latest: a minute and a half. A node that was stopped has one not much
/// older than its chain, and a receipt is proved from it.
pub(super) const JUSTIFICATION_PERIOD: u32 = 32;

/// The node's client.
pub type FullClient = sc_service::TFullClient<Block, RuntimeApi, WasmExecutor<HostFunctions>>;
/// Its database.
pub type FullBackend = sc_service::TFullBackend<Block>;
/// Its choice of the best chain: the longest.
pub type FullSelectChain = sc_consensus::LongestChain<FullBackend, Block>;
/// Its transaction pool.
pub type FullPool = sc_transaction_pool::TransactionPoolHandle<Block, FullClient>;

pub(super) type FullGrandpaLink = LinkHalf<Block, FullClient, FullSelectChain>;
type FullGrandpaImport = GrandpaBlockImport<FullBackend, Block, FullClient, FullSelectChain>;
pub(super) type FullBabeImport =
	BabeBlockImport<Block, FullClient, FullGrandpaImport, BabeCreateInherentDataProviders<Block>, FullSelectChain>;

/// What consensus needs besides the common parts.
pub struct Consensus {
	pub(super) block_import: FullBabeImport,
	pub(super) grandpa_link: FullGrandpaLink,
	pub(super) babe_link: BabeLink<Block>,
	pub(super) babe_worker: BabeWorkerHandle<Block>,
	pub(super) telemetry: Option<Telemetry>,
}

/// The common parts and [`Consensus`].
pub type Parts =
	PartialComponents<FullClient, FullBackend, FullSelectChain, DefaultImportQueue<Block>, FullPool, Consensus>;

/// Builds the common parts. The runtime's compiled code is kept in the directory `runtime_cache`.
pub fn new_partial(config: &Configuration, runtime_cache: &Path) -> Result<Parts, ServiceError> {
	let telemetry = new_telemetry(config)?;
	let executor = new_executor(&config.executor, runtime_cache);
	let (client, backend, keystore_container, task_manager) = sc_service::new_full_parts::<Block, RuntimeApi, _>(
		config,
		telemetry.as_ref().map(|(_, telemetry)| telemetry.handle()),
		executor,
		vec![],
	)?;
	let client = Arc::new(client);
	let telemetry = telemetry.map(|(worker, telemetry)| {
		task_manager.spawn_handle().spawn("telemetry", None, worker.run());
		telemetry
	});
	let select_chain = sc_consensus::LongestChain::new(backend.clone());
	let transaction_pool = Arc::new(
		sc_transaction_pool::Builder::new(
			PoolTasks(task_manager.spawn_essential_handle()),
			client.clone(),
			config.role.is_authority().into(),
		)
		.with_options(config.transaction_pool.clone())
		.with_prometheus(config.prometheus_registry())
		.build(),
	);
	let (import_queue, consensus) = new_consensus(
		config,
		&task_manager,
		client.clone(),
		select_chain.clone(),
		transaction_pool.clone(),
		telemetry,
	)?;
	Ok(PartialComponents {
		client,
		backend,
		task_manager,
		keystore_container,
		select_chain,
		import_queue,
		transaction_pool,
		other: consensus,
	})
}

/// Builds what `sc_service::new_wasm_executor` builds, with a cache of compiled runtimes: compiling takes eight seconds of
/// CPU at each start.
fn new_executor(config: &ExecutorConfiguration, runtime_cache: &Path) -> WasmExecutor<HostFunctions> {
	let strategy = config
		.default_heap_pages
		.map_or(DEFAULT_HEAP_ALLOC_STRATEGY, |pages| HeapAllocStrategy::Static {
			extra_pages: u32::try_from(pages).unwrap_or(u32::MAX),
		});
	WasmExecutor::builder()
		.with_execution_method(config.wasm_method)
		.with_onchain_heap_alloc_strategy(strategy)
		.with_offchain_heap_alloc_strategy(strategy)
		.with_max_runtime_instances(config.max_runtime_instances)
		.with_runtime_cache_size(config.runtime_cache_size)
		.with_cache_path(runtime_cache)
		.build()
}

fn new_telemetry(config: &Configuration) -> Result<Option<(TelemetryWorker, Telemetry)>, sc_telemetry::Error> {
	let endpoints = config.telemetry_endpoints.clone();
	endpoints
		.filter(|endpoints| !endpoints.is_empty())
		.map(|endpoints| {
			let worker = TelemetryWorker::new(16)?;
			let telemetry = worker.handle().new_telemetry(endpoints);
			Ok((worker, telemetry))
		})
		.transpose()
}

/// Builds the import of blocks: BABE's checks over GRANDPA's.
fn new_consensus(
	config: &Configuration,
	task_manager: &TaskManager,
	client: Arc<FullClient>,
	select_chain: FullSelectChain,
	pool: Arc<FullPool>,
	telemetry: Option<Telemetry>,
) -> Result<(DefaultImportQueue<Block>, Consensus), ServiceError> {
	let telemetry_handle = telemetry.as_ref().map(Telemetry::handle);
	let (grandpa_import, grandpa_link) = sc_consensus_grandpa::block_import(
		client.clone(),
		JUSTIFICATION_PERIOD,
		&client,
		select_chain.clone(),
		telemetry_handle.clone(),
	)?;
	let justification_import = Box::new(grandpa_import.clone());
	let babe_config = sc_consensus_babe::configuration(&*client)?;
	let slot_duration = babe_config.slot_duration();
	let (block_import, babe_link) = sc_consensus_babe::block_import(
		babe_config,
		grandpa_import,
		client.clone(),
		inherents::of_the_clock(slot_duration),
		select_chain,
		OffchainTransactionPoolFactory::new(pool),
	)?;
	let (import_queue, babe_worker) = sc_consensus_babe::import_queue(sc_consensus_babe::ImportQueueParams {
		link: babe_link.clone(),
		block_import: block_import.clone(),
		justification_import: Some(justification_import),
		client,
		slot_duration,
		spawner: &task_manager.spawn_essential_handle(),
		registry: config.prometheus_registry(),
		telemetry: telemetry_handle,
	})?;
	let consensus = Consensus {
		block_import,
		grandpa_link,
		babe_link,
		babe_worker,
		telemetry,
	};
	Ok((import_queue, consensus))
}
