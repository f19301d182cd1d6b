//! What GRANDPA and authority discovery add to the network.

use super::{FullBackend, FullClient, FullSelectChain};
use assay_runtime::opaque::Block;
use futures::StreamExt;
use sc_consensus_grandpa::{warp_proof, LinkHalf};
use sc_network::{
	config::{FullNetworkConfiguration, NetworkConfiguration},
	event::Event,
	service::{traits::NetworkService, NotificationMetrics},
	types::ProtocolName,
	NetworkBackend, NetworkEventStream, NotificationService,
};
use sc_service::{Configuration, TaskManager, WarpSyncConfig};
use sp_keystore::KeystorePtr;
use sp_runtime::traits::Block as BlockT;
use std::sync::Arc;

pub(super) type Hash = <Block as BlockT>::Hash;

/// The protocol that GRANDPA's votes travel by.
pub(super) struct GrandpaProtocol {
	/// Its name, which contains the genesis hash.
	pub(super) name: ProtocolName,
	/// Its messages.
	pub(super) notifications: Box<dyn NotificationService>,
}

impl GrandpaProtocol {
	/// Registers the protocol in a node's network.
	pub(super) fn register<N: NetworkBackend<Block, Hash>>(
		network: &mut FullNetworkConfiguration<Block, Hash, N>,
		genesis: Hash,
		config: &Configuration,
		metrics: NotificationMetrics,
	) -> Self {
		let name = sc_consensus_grandpa::protocol_standard_name(&genesis, &config.chain_spec);
		let (peers, notifications) =
			sc_consensus_grandpa::grandpa_peers_set_config::<_, N>(name.clone(), metrics, network.peer_store_handle());
		network.add_notification_protocol(peers);
		Self { name, notifications }
	}
}

/// Makes and checks proofs of finality for nodes that sync by them.
pub(super) fn warp_sync(
	backend: Arc<FullBackend>,
	grandpa: &LinkHalf<Block, FullClient, FullSelectChain>,
) -> WarpSyncConfig<Block> {
	let authorities = grandpa.shared_authority_set().clone();
	WarpSyncConfig::WithProvider(Arc::new(warp_proof::NetworkProvider::new(
		backend,
		authorities,
		Vec::default(),
	)))
}

/// Publishes this validator's addresses and finds those of the others.
pub(super) fn discover_authorities(
	task_manager: &TaskManager,
	client: Arc<FullClient>,
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
		client,
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
