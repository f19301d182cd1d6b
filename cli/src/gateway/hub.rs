//! The gateway's connection to its node: opened again whenever it is lost, with the newest block of the best chain.

use crate::{
	chain::{At, BlockStream, Chain},
	error::CliError,
	output::{Reporter, STALL_SECONDS},
};
use assay_primitives::Hash32;
use std::{sync::Arc, time::Duration};
use subxt::rpcs::client::RpcParams;
use tokio::{
	sync::watch,
	task::JoinHandle,
	time::{sleep, timeout},
};

/// How long a lost connection waits before it is opened again.
const RETRY: Duration = Duration::from_secs(1);

/// The newest block, as a connection sees it.
#[derive(Clone)]
pub(super) struct Head {
	/// The connection.
	pub(super) chain: Arc<Chain>,
	/// Its number: the node may have restarted between two of them, and have lost what it did not write down.
	pub(super) connection: u64,
	/// The block.
	pub(super) at: Arc<At>,
}

/// What is known of the node now.
#[derive(Clone)]
pub(super) enum Link {
	/// It answers.
	Up(Head),
	/// It does not, and why.
	Down(String),
}

/// Follows the node. Dropping it ends the connection.
pub(super) struct Hub {
	links: watch::Receiver<Link>,
	task: JoinHandle<()>,
}

impl Drop for Hub {
	fn drop(&mut self) {
		self.task.abort();
	}
}

impl Hub {
	/// Begins with a connection that is open, and follows its chain only.
	pub(super) async fn start(url: String, chain: Chain) -> Result<Self, CliError> {
		let genesis = chain.genesis();
		let head = Head {
			at: Arc::new(chain.best().await?),
			chain: Arc::new(chain),
			connection: 0,
		};
		let (links, receiver) = watch::channel(Link::Up(head.clone()));
		let follower = Follower { url, genesis, links };
		Ok(Self {
			links: receiver,
			task: tokio::spawn(follower.run(head)),
		})
	}

	/// Returns the newest block; an error while the node does not answer.
	pub(super) fn head(&self) -> Result<Head, String> {
		match &*self.links.borrow() {
			Link::Up(head) => Ok(head.clone()),
			Link::Down(reason) => Err(reason.clone()),
		}
	}

	/// Returns a way to wait for blocks.
	pub(super) fn heads(&self) -> Heads {
		Heads(self.links.clone())
	}
}

/// Waits for blocks, over all connections.
#[derive(Clone)]
pub(super) struct Heads(watch::Receiver<Link>);

impl Heads {
	/// Returns the newest block, and waits until the node answers if it does not. None once the hub is gone.
	pub(super) async fn now(&mut self) -> Option<Head> {
		let link = self.0.wait_for(|link| matches!(link, Link::Up(_))).await.ok()?;
		match &*link {
			Link::Up(head) => Some(head.clone()),
			Link::Down(_) => None,
		}
	}

	/// Waits until there is another newest block than the last time; none once the hub is gone.
	pub(super) async fn next(&mut self) -> Option<Head> {
		self.0.changed().await.ok()?;
		self.now().await
	}
}

struct Follower {
	url: String,
	genesis: Hash32,
	links: watch::Sender<Link>,
}

impl Follower {
	async fn run(self, first: Head) {
		let mut connection = first.connection;
		let mut chain = Some(first.chain);
		// As long as the gateway runs.
		loop {
			let opened = match chain.take() {
				Some(chain) => Ok(chain),
				None => self.open().await,
			};
			let reason = match opened {
				Ok(chain) => self.follow(&chain, connection).await,
				Err(e) => e,
			};
			if self.links.send(Link::Down(reason.to_string())).is_err() {
				return;
			}
			connection = connection.saturating_add(1);
			sleep(RETRY).await;
		}
	}

	async fn open(&self) -> Result<Arc<Chain>, CliError> {
		let chain = Chain::connect(&self.url, &Reporter::quiet()).await?;
		if chain.genesis() != self.genesis {
			return Err(CliError::Node("it is on another chain now".into()));
		}
		Ok(Arc::new(chain))
	}

	/// Publishes blocks until the connection is lost; returns why.
	async fn follow(&self, chain: &Arc<Chain>, connection: u64) -> CliError {
		let mut blocks: BlockStream = match chain.best_blocks().await {
			Ok(blocks) => blocks,
			Err(e) => return e,
		};
		loop {
			match timeout(Duration::from_secs(STALL_SECONDS), chain.next(&mut blocks)).await {
				Ok(Ok(at)) => {
					let head = Head {
						chain: chain.clone(),
						connection,
						at: Arc::new(at),
					};
					if self.links.send(Link::Up(head)).is_err() {
						return CliError::Node("nobody follows it".into());
					}
				}
				Ok(Err(e)) => return e,
				// A chain that stands still is no lost connection.
				Err(_) => {
					let asked = chain.request::<serde_json::Value>("system_health", RpcParams::new());
					match timeout(Duration::from_secs(STALL_SECONDS), asked).await {
						Ok(Ok(_)) => {}
						Ok(Err(e)) => return e,
						Err(_) => return CliError::Node("it does not answer".into()),
					}
				}
			}
		}
	}
}
