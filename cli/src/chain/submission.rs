//! Transactions: signed, sent and watched; and what became of one that was lost sight of.
//!
//! From the moment a node may have a transaction, only the chain knows whether it is executed. So an error behind that moment is
//! [`CliError::Sent`], which says how to look, unless the chain or the node's pool refused.

use super::{
	errors::{refused_by_block, refused_by_pool},
	from_rpc, At, Chain,
};
use crate::{
	error::CliError,
	interrupt,
	keys::Signer,
	output::{Reporter, STALL_SECONDS},
};
use assay_primitives::{hash::hex32, Hash32};
use assay_receipt::Account;
use const_hex::encode_prefixed;
use serde_json::json;
use std::time::Duration;
use subxt::{
	client::OnlineClientAtBlockImpl,
	config::{
		substrate::{SubstrateConfig, H256},
		DefaultExtrinsicParamsBuilder,
	},
	error::DispatchError,
	events::DecodeAsEvent,
	extrinsics::ExtrinsicEvents,
	rpcs::client::RpcParams,
	tx::{Payload, TransactionProgress, TransactionStatus},
};

/// How long a node that should have peers may have none.
const PEERS_SECONDS: u32 = 30;
/// Blocks after which a transaction that no block has included is no longer valid.
const LIFE_BLOCKS: u32 = 64;
/// How long a node may report nothing of a transaction that is in no block: longer than it can wait on a chain that makes blocks.
const NEWS_SECONDS: u64 = 5 * STALL_SECONDS;

/// What a node reports of a transaction.
pub(crate) type Progress = TransactionProgress<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;

/// What a command waits for after submitting a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
	/// Inclusion in a block, which a reorganization could still drop.
	InBlock,
	/// Finality of that block.
	Finalized,
}

/// A transaction that a node may have.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Sent {
	/// Its hash.
	#[serde(with = "hex32")]
	pub(crate) hash: Hash32,
	/// The account that signed it.
	pub(crate) account: Account,
	/// Its nonce: of all transactions of the account with it, at most one is executed.
	pub(crate) nonce: u64,
	/// A block before all that can have it.
	pub(crate) since: u32,
}

/// A transaction that can be sent, more than once if need be.
pub(crate) struct Signed {
	/// Its name and what bounds its life.
	pub(crate) sent: Sent,
	/// Its bytes.
	pub(crate) bytes: Vec<u8>,
}

/// A transaction in a block.
pub(crate) struct Included {
	/// The transaction.
	pub(crate) sent: Sent,
	/// Number of the block.
	pub(crate) number: u32,
	/// The transaction's events.
	pub(crate) events: ExtrinsicEvents<SubstrateConfig>,
}

impl Included {
	/// Returns the first event of a kind that the transaction always has.
	pub(crate) fn first<E: DecodeAsEvent>(&self, chain: &Chain) -> Result<E, CliError> {
		let other = || CliError::OtherRuntime {
			runtime: chain.runtime.clone(),
		};
		let event = self.events.find_first().ok_or_else(other);
		let event = event.and_then(|event| event.map_err(|e| chain.failed(e)));
		event.map_err(|error| error.of_sent(self.sent.clone()))
	}
}

/// What became of a transaction.
pub(crate) enum Fate {
	/// A block has it. The events are an error where the node no longer has the block's state, or where the transaction failed.
	InBlock {
		/// Number of the block.
		number: u32,
		/// Whether the block is finalized.
		finalized: bool,
		/// The transaction's events.
		events: Result<ExtrinsicEvents<SubstrateConfig>, CliError>,
	},
	/// No block has it, up to the best one, and a later one can.
	Open {
		/// Number of the best block.
		best: u32,
	},
	/// No block has it or ever will.
	Never,
}

/// A node's standing among its peers.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Health {
	peers: u64,
	is_syncing: bool,
	should_have_peers: bool,
}

/// Returns the last block that can have a transaction signed after block `since`.
pub(crate) fn last_block(since: u32) -> u32 {
	since.saturating_add(LIFE_BLOCKS - 1)
}

fn height(at: &At) -> u32 {
	u32::try_from(at.block_number()).unwrap_or(u32::MAX)
}

impl Chain {
	/// Signs a call, submits it and follows it.
	pub(crate) async fn submit<C: Payload>(
		&self,
		call: &C,
		signer: &Signer,
		until: Until,
		report: &Reporter,
	) -> Result<Included, CliError> {
		self.check_signer(signer, report);
		let mut sent = None;
		let done = tokio::select! {
			done = self.send_and_watch(call, signer, until, report, &mut sent) => done,
			interrupted = interrupt::wait() => Err(interrupted),
		};
		done.map_err(|error| match sent {
			Some(sent) => error.of_sent(sent),
			None => error,
		})
	}

	/// Sets `sent` as soon as the node may have the transaction.
	async fn send_and_watch<C: Payload>(
		&self,
		call: &C,
		signer: &Signer,
		until: Until,
		report: &Reporter,
		sent: &mut Option<Sent>,
	) -> Result<Included, CliError> {
		self.caught_up(report).await?;
		let nonce = self.nonce(signer).await?;
		let signed = self.sign(call, signer, nonce).await?;
		report.waiting("sending the transaction");
		*sent = Some(signed.sent.clone());
		let mut progress = self.send(&signed.bytes).await?;
		let (number, events) = self.watch(&mut progress, until, report).await?;
		Ok(Included {
			sent: signed.sent,
			number,
			events,
		})
	}

	/// Signs a call for the blocks that come next.
	pub(crate) async fn sign<C: Payload>(&self, call: &C, signer: &Signer, nonce: u64) -> Result<Signed, CliError> {
		let at = self.finalized().await?;
		let params = DefaultExtrinsicParamsBuilder::new()
			.nonce(nonce)
			.mortal(LIFE_BLOCKS.into())
			.build();
		let mut transactions = at.transactions();
		let signed = transactions
			.create_signed(call, &signer.pair, params)
			.await
			.map_err(|e| self.failed(e))?;
		let sent = Sent {
			hash: signed.hash().0,
			account: signer.account(),
			nonce,
			since: height(&at),
		};
		Ok(Signed {
			sent,
			bytes: signed.into_encoded(),
		})
	}

	/// Sends a signed transaction. It is surely not taken if the error is a [`CliError::Refused`], and may be after any other.
	pub(crate) async fn send(&self, bytes: &[u8]) -> Result<Progress, CliError> {
		let at = self.finalized().await?;
		let transaction = at.transactions().from_bytes(bytes.to_vec());
		let watched = transaction.submit_and_watch().await;
		watched.map_err(|e| refused_by_pool(&e).unwrap_or_else(|| self.failed(e)))
	}

	/// Follows a transaction until a block has it that is final enough; returns its number and the transaction's events.
	pub(crate) async fn watch(
		&self,
		progress: &mut Progress,
		until: Until,
		report: &Reporter,
	) -> Result<(u32, ExtrinsicEvents<SubstrateConfig>), CliError> {
		let mut included = None;
		loop {
			let patience = if included.is_some() {
				STALL_SECONDS
			} else {
				NEWS_SECONDS
			};
			let Ok(status) = tokio::time::timeout(Duration::from_secs(patience), progress.next()).await else {
				if included.is_none() {
					return Err(CliError::Node(format!("it reported nothing for {NEWS_SECONDS} s")));
				}
				report.warn(&format!("nothing was finalized for {STALL_SECONDS} s"));
				continue;
			};
			let status = status.ok_or_else(|| CliError::Node("it stopped reporting on the transaction".into()))?;
			let (block, is_final) = match status.map_err(|e| self.failed(e))? {
				TransactionStatus::InBestBlock(block) => (block, false),
				TransactionStatus::InFinalizedBlock(block) => (block, true),
				TransactionStatus::NoLongerInBestBlock => {
					included = None;
					continue;
				}
				TransactionStatus::Validated | TransactionStatus::Broadcasted => continue,
				TransactionStatus::Error { message }
				| TransactionStatus::Invalid { message }
				| TransactionStatus::Dropped { message } => return Err(CliError::Node(message)),
			};
			let at = block.at().await.map_err(|e| self.failed(e))?;
			let number = height(&at);
			let events = block.fetch_events().await.map_err(|e| self.failed(e))?;
			if included != Some(number) {
				included = Some(number);
				let facts = json!({ "block": number, "hash": encode_prefixed(block.block_hash()) });
				report.step("included", &format!("included in block {number}"), facts);
			}
			match self.unless_failed(&at, events) {
				Ok(events) if is_final || until == Until::InBlock => return Ok((number, events)),
				Ok(_) => {}
				// It may succeed in a block of another fork.
				Err(CliError::Refused { .. }) if !is_final => {}
				Err(error) => return Err(error),
			}
			report.waiting("waiting until the block is finalized");
		}
	}

	/// Returns the events of a transaction unless it failed, which is a [`CliError::Refused`].
	fn unless_failed(
		&self,
		at: &At,
		events: ExtrinsicEvents<SubstrateConfig>,
	) -> Result<ExtrinsicEvents<SubstrateConfig>, CliError> {
		for event in events.iter() {
			let event = event.map_err(|e| self.failed(e))?;
			if (event.pallet_name(), event.event_name()) == ("System", "ExtrinsicFailed") {
				let error = DispatchError::decode_from(event.field_bytes(), at.metadata());
				return Err(refused_by_block(&error.map_err(|e| CliError::Node(e.to_string()))?));
			}
		}
		Ok(events)
	}

	/// Finds out what became of a transaction that was signed after block `since`.
	pub(crate) async fn fate(&self, hash: Hash32, since: u32) -> Result<Fate, CliError> {
		// Read before the blocks, so that all blocks up to it are.
		let finalized = height(&self.finalized().await?);
		let best = height(&self.best().await?);
		let last = last_block(since);
		for number in since.saturating_add(1)..=best.min(last) {
			let Some(block) = self.hash_at(number).await? else {
				break;
			};
			let at = self.api.at_block(H256(block)).await.map_err(|e| self.failed(e))?;
			let all = at.extrinsics().fetch().await.map_err(|e| self.failed(e))?;
			for extrinsic in all.iter() {
				let extrinsic = extrinsic.map_err(|e| self.failed(e))?;
				if extrinsic.hash().0 == hash {
					let events = extrinsic.events().await.map_err(|e| self.failed(e));
					return Ok(Fate::InBlock {
						number,
						finalized: number <= finalized,
						events: events.and_then(|events| self.unless_failed(&at, events)),
					});
				}
			}
		}
		Ok(if finalized >= last {
			Fate::Never
		} else {
			Fate::Open { best }
		})
	}

	/// Waits until the node has caught up with its peers: one that has not would report on no transaction.
	pub(crate) async fn caught_up(&self, report: &Reporter) -> Result<(), CliError> {
		for second in 0.. {
			let health: Health = self.request("system_health", RpcParams::new()).await?;
			if !health.is_syncing && (health.peers > 0 || !health.should_have_peers) {
				break;
			}
			if !health.is_syncing && second >= PEERS_SECONDS {
				report.warn("the node has no peers: what it is sent may never be in a block");
				break;
			}
			report.waiting("waiting until the node has caught up with its peers");
			tokio::time::sleep(Duration::from_secs(1)).await;
		}
		Ok(())
	}

	/// Returns the nonce to sign with. It comes from the pool, not from a block: a call right after another one must not collide with
	/// it.
	pub(crate) async fn nonce(&self, signer: &Signer) -> Result<u64, CliError> {
		let mut params = RpcParams::new();
		params.push(signer.account().ss58()).map_err(from_rpc)?;
		let next: u64 = self.request("system_accountNextIndex", params).await?;
		match signer.nonce {
			Some(nonce) if nonce > next => Err(CliError::Usage(format!(
				"--nonce {nonce}: the account's next one is {next}, and a transaction waits for those before it"
			))),
			nonce => Ok(nonce.unwrap_or(next)),
		}
	}
}
