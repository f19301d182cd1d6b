//! The only room that talks to a node: one connection, views decoded into the chain's own types, calls signed and watched.

mod errors;
pub(crate) mod runtime;
#[cfg(test)]
mod tests;

use crate::{error::CliError, keys::Signer, output::Reporter};
use assay_primitives::{
	api::{JobView, ModelView, ProviderView, Quote, QuoteError},
	Hash32, JobId, ModelId,
};
use assay_receipt::{Account, ChainReceipt, ReadAt};
use codec::{DecodeAll, Encode};
use errors::{from_rpc, from_subxt, pool_refusal};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::time::Duration;
use subxt::{
	client::{Blocks, ClientAtBlock, OnlineClientAtBlockImpl},
	config::{
		substrate::{SubstrateConfig, H256},
		DefaultExtrinsicParamsBuilder,
	},
	extrinsics::ExtrinsicEvents,
	rpcs::{client::RpcParams, RpcClient},
	tx::{Payload, TransactionStatus},
	OnlineClient,
};

const CONNECT_SECONDS: u64 = 10;
/// A transaction that no block took for so long is not taken any more.
const LIFE_BLOCKS: u64 = 64;

/// A block to read at.
pub(crate) type At = ClientAtBlock<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;
/// A job as the chain shows it.
pub(crate) type Job = JobView<Account, u32>;
/// A model as the chain shows it.
pub(crate) type Model = ModelView<Account>;
/// A provider as the chain shows it.
pub(crate) type Provider = ProviderView<Account>;

/// How far a transaction must come before a command goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
	/// In a block, which a re-organisation could still drop.
	InBlock,
	/// In a block that GRANDPA has finalized.
	Finalized,
}

/// Blocks as they come. subxt's own streams begin with older, finalized blocks: `from` is where the present begins.
pub(crate) struct BlockStream {
	blocks: Blocks<SubstrateConfig>,
	from: u64,
}

/// Where a transaction got to.
pub(crate) struct Included {
	/// Number of the block.
	pub(crate) number: u32,
	/// The transaction's events.
	pub(crate) events: ExtrinsicEvents<SubstrateConfig>,
}

/// A connection to one node.
pub(crate) struct Chain {
	api: OnlineClient<SubstrateConfig>,
	rpc: RpcClient,
	/// Whether development keys are at home here.
	pub(crate) development: bool,
	/// The chain's name.
	pub(crate) name: String,
	/// Name and version of the node's runtime.
	pub(crate) runtime: String,
}

impl Chain {
	/// Connects, and warns if the node's runtime is not the one this program was built for.
	pub(crate) async fn connect(url: &str, report: &Reporter) -> Result<Self, CliError> {
		if !url.starts_with("ws://") && !url.starts_with("wss://") {
			return Err(CliError::Usage(format!(
				"--url {url}: a node's address starts with ws:// or wss://"
			)));
		}
		report.waiting(&format!("connecting to {url}"));
		// The last of the nested errors is the one that says something.
		let no_node = |reason: String| CliError::NoNode {
			url: url.into(),
			reason: reason.rsplit("error: ").next().unwrap_or_default().to_owned(),
		};
		let connecting = async {
			let rpc = RpcClient::from_insecure_url(url)
				.await
				.map_err(|e| no_node(e.to_string()))?;
			let api = OnlineClient::from_rpc_client(rpc.clone())
				.await
				.map_err(|e| no_node(e.to_string()))?;
			Ok((rpc, api))
		};
		let timed = tokio::time::timeout(Duration::from_secs(CONNECT_SECONDS), connecting).await;
		let (rpc, api): (RpcClient, OnlineClient<SubstrateConfig>) =
			timed.map_err(|_| no_node(format!("no answer within {CONNECT_SECONDS} s")))??;

		let mut chain = Self {
			api,
			rpc,
			development: false,
			name: String::new(),
			runtime: String::new(),
		};
		chain.name = chain.request("system_chain", RpcParams::new()).await?;
		let kind: serde_json::Value = chain.request("system_chainType", RpcParams::new()).await?;
		chain.development = matches!(kind.as_str(), Some("Development" | "Local"));
		let version: serde_json::Value = chain.request("state_getRuntimeVersion", RpcParams::new()).await?;
		let spec = version
			.get("specName")
			.and_then(|v| v.as_str())
			.unwrap_or("an unnamed chain");
		let number = version.get("specVersion").and_then(|v| v.as_u64()).unwrap_or_default();
		chain.runtime = format!("{spec} {number}");
		if spec != runtime::SPEC_NAME {
			return Err(CliError::OtherRuntime { runtime: chain.runtime });
		}
		if !runtime::fits(chain.finalized().await?.metadata_ref()) {
			report.warn(&format!(
				"the node runs {}, this program was built for another version: what both know alike works, the rest says so",
				chain.runtime
			));
		}
		Ok(chain)
	}

	/// Hash of block 0.
	pub(crate) fn genesis(&self) -> Hash32 {
		self.api.genesis_hash().0
	}

	/// Warns where a public secret signs on a chain whose money is worth something.
	pub(crate) fn check_signer(&self, signer: &Signer, report: &Reporter) {
		if signer.well_known && !self.development {
			report.warn("this secret is public: everybody can spend what its account has");
		}
	}

	/// The last finalized block.
	pub(crate) async fn finalized(&self) -> Result<At, CliError> {
		self.api.at_current_block().await.map_err(|e| self.failed(e))
	}

	/// The best block.
	pub(crate) async fn best(&self) -> Result<At, CliError> {
		let hash: H256 = self.request("chain_getBlockHash", RpcParams::new()).await?;
		self.api.at_block(hash).await.map_err(|e| self.failed(e))
	}

	/// Best blocks from now on, the current one first.
	pub(crate) async fn best_blocks(&self) -> Result<BlockStream, CliError> {
		let from = self.best().await?.block_number();
		let blocks = self.api.stream_best_blocks().await.map_err(|e| self.failed(e))?;
		Ok(BlockStream { blocks, from })
	}

	/// Finalized blocks from now on, the current one first.
	pub(crate) async fn finalized_blocks(&self) -> Result<BlockStream, CliError> {
		let from = self.finalized().await?.block_number();
		let blocks = self.api.stream_blocks().await.map_err(|e| self.failed(e))?;
		Ok(BlockStream { blocks, from })
	}

	/// The next block of a stream.
	pub(crate) async fn next(&self, stream: &mut BlockStream) -> Result<At, CliError> {
		while let Some(block) = stream.blocks.next().await {
			let block = block.map_err(|e| self.failed(e))?;
			if block.number() >= stream.from {
				return block.at().await.map_err(|e| self.failed(e));
			}
		}
		Err(CliError::Node("it ended the stream of blocks".into()))
	}

	/// Calls a JSON-RPC method.
	pub(crate) async fn request<R: DeserializeOwned>(&self, method: &str, params: RpcParams) -> Result<R, CliError> {
		self.rpc.request(method, params).await.map_err(from_rpc)
	}

	/// Hash of the block of the node's chain at this height, if it has one.
	pub(crate) async fn hash_at(&self, number: u32) -> Result<Option<Hash32>, CliError> {
		let mut params = RpcParams::new();
		params.push(number).map_err(from_rpc)?;
		let hash: Option<String> = self.request("chain_getBlockHash", params).await?;
		Ok(hash.and_then(|h| assay_primitives::hash::parse(&h).ok()))
	}

	/// Calls a method of the runtime API.
	async fn view<R: DecodeAll>(&self, at: &At, method: &str, args: impl Encode) -> Result<R, CliError> {
		let name = format!("AssayApi_{method}");
		let bytes = at
			.runtime_apis()
			.call_raw(&name, Some(&args.encode()))
			.await
			.map_err(|e| self.failed(e))?;
		R::decode_all(&mut &bytes[..]).map_err(|_| CliError::OtherRuntime {
			runtime: self.runtime.clone(),
		})
	}

	/// All registered models.
	pub(crate) async fn models(&self, at: &At) -> Result<Vec<Model>, CliError> {
		const PAGE: u32 = 100;
		let mut all: Vec<Model> = Vec::new();
		loop {
			let start = all.last().map(|m| m.id);
			let page: Vec<Model> = self.view(at, "models", (start, PAGE)).await?;
			// A page that brings nothing new is the last one.
			let last = page.len() < PAGE as usize || page.last().map(|m| m.id) == start;
			all.extend(page);
			if last {
				return Ok(all);
			}
		}
	}

	/// A model by its id or, if there is only one of that name, by its name.
	pub(crate) async fn model(&self, at: &At, named: &str) -> Result<Model, CliError> {
		if let Ok(id) = named.parse::<ModelId>() {
			let model: Option<Model> = self.view(at, "model", id).await?;
			return model.ok_or_else(|| {
				CliError::NotFound(format!(
					"no model {named} is registered: `assay models` lists what there is"
				))
			});
		}
		let mut found = self.models(at).await?;
		found.retain(|m| m.name == named);
		if found.len() > 1 {
			found.retain(|m| !m.terms.retired);
		}
		match (found.pop(), found.len()) {
			(Some(model), 0) => Ok(model),
			(Some(_), _) => Err(CliError::Usage(format!(
				"more than one model is called {named}: give the id, `assay models --json` lists them"
			))),
			(None, _) => Err(CliError::NotFound(format!(
				"no model called {named} is registered: `assay models` lists what there is"
			))),
		}
	}

	/// The providers of a model.
	pub(crate) async fn providers_of(&self, at: &At, model: ModelId) -> Result<Vec<Provider>, CliError> {
		self.view(at, "providers_of", model).await
	}

	/// What a job may cost.
	pub(crate) async fn quote(
		&self,
		at: &At,
		model: ModelId,
		input: u32,
		tokens: u32,
		n: u32,
	) -> Result<Quote, CliError> {
		let quote: Result<Quote, QuoteError> = self.view(at, "quote", (model, input, tokens, n)).await?;
		quote.map_err(|e| CliError::refused(format!("Jobs::{e:?}")))
	}

	/// A job, open or concluded.
	pub(crate) async fn job(&self, at: &At, id: JobId) -> Result<Option<Job>, CliError> {
		self.view(at, "job", id).await
	}

	/// A receipt.
	pub(crate) async fn receipt(&self, at: &At, id: JobId) -> Result<Option<ChainReceipt>, CliError> {
		self.view(at, "receipt", id).await
	}

	/// Signs a call, hands it in and follows it.
	pub(crate) async fn submit<C: Payload>(
		&self,
		call: &C,
		signer: &Signer,
		until: Until,
		report: &Reporter,
	) -> Result<Included, CliError> {
		self.check_signer(signer, report);
		// The nonce comes from the pool, not from a block: a call right after another one must not collide with it.
		let mut params = RpcParams::new();
		params.push(signer.account().ss58()).map_err(from_rpc)?;
		let nonce: u64 = self.request("system_accountNextIndex", params).await?;
		let params = DefaultExtrinsicParamsBuilder::new()
			.nonce(nonce)
			.mortal(LIFE_BLOCKS)
			.build();
		let at = self.finalized().await?;
		let mut transactions = at.transactions();
		let signed = transactions
			.create_signed(call, &signer.pair, params)
			.await
			.map_err(|e| self.failed(e))?;
		report.waiting("sending the transaction");
		let mut progress = signed.submit_and_watch().await.map_err(|e| self.failed(e))?;
		let mut told = false;
		while let Some(status) = progress.next().await {
			let (block, is_final) = match status.map_err(|e| self.failed(e))? {
				TransactionStatus::InBestBlock(block) => (block, false),
				TransactionStatus::InFinalizedBlock(block) => (block, true),
				TransactionStatus::NoLongerInBestBlock => {
					told = false;
					continue;
				}
				TransactionStatus::Validated | TransactionStatus::Broadcasted => continue,
				TransactionStatus::Error { message }
				| TransactionStatus::Invalid { message }
				| TransactionStatus::Dropped { message } => return Err(pool_refusal(&message)),
			};
			let number = block.at().await.map_err(|e| self.failed(e))?.block_number();
			let number = u32::try_from(number).unwrap_or(u32::MAX);
			let events = block.wait_for_success().await.map_err(|e| self.failed(e))?;
			if !told {
				told = true;
				let facts = json!({ "block": number, "hash": hex(&block.block_hash().0) });
				report.step("included", &format!("included in block {number}"), facts);
			}
			if is_final || until == Until::InBlock {
				return Ok(Included { number, events });
			}
			report.waiting("waiting until the block is finalized");
		}
		Err(CliError::Node(
			"it stopped telling about the transaction before it was done".into(),
		))
	}

	/// Decides between an error of the node and one of the call.
	pub(crate) fn failed(&self, error: impl Into<subxt::Error>) -> CliError {
		from_subxt(error.into(), &self.runtime)
	}
}

/// Where something was read.
pub(crate) fn read_at(at: &At, finalized: bool) -> ReadAt {
	ReadAt {
		number: u32::try_from(at.block_number()).unwrap_or(u32::MAX),
		hash: at.block_hash().0,
		finalized,
	}
}

/// `0x…`.
pub(crate) fn hex(bytes: &[u8]) -> String {
	format!("0x{}", ::hex::encode(bytes))
}
