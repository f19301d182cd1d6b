//! The only module that talks to a node: one connection, views decoded into the chain's own types, calls signed and watched.

mod errors;
mod evidence;
pub(crate) mod runtime;
#[cfg(test)]
pub(crate) mod samples;
mod specification;
mod submission;
#[cfg(test)]
mod tests;

pub(crate) use submission::{last_block, Fate, Sent, Signed, Until};

use crate::{error::CliError, keys::Signer, output::Reporter};
use assay_primitives::{
	accumulator::{Accumulator, Proof},
	api::{ExecutionView, JobView, ListingView, ModelView, ProviderView, Quote, QuoteError},
	Balance, ClaimId, Hash32, JobId, ListingId, ModelId, OutputHash, Target,
};
use assay_receipt::{Account, ChainReceipt, ReadAt};
use codec::{DecodeAll, Encode};
use const_hex::encode_prefixed;
use errors::{from_rpc, from_subxt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use subxt::{
	backend::LegacyBackend,
	client::{Blocks, ClientAtBlock, OnlineClientAtBlockImpl},
	config::substrate::{SubstrateConfig, H256},
	rpcs::{client::RpcParams, RpcClient},
	OnlineClient,
};

const CONNECT_SECONDS: u64 = 10;

/// The chain's state at one block.
pub(crate) type At = ClientAtBlock<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;
/// A view of a job.
pub(crate) type Job = JobView<Account, u32>;
/// A view of a model.
pub(crate) type Model = ModelView<Account, u32>;
/// A view of a listing.
pub(crate) type Listing = ListingView<Account, u32>;
/// A view of a provider.
pub(crate) type Provider = ProviderView<Account>;

/// What an account has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Balances {
	/// What is not held.
	pub(crate) free: Balance,
	/// The part of it that is not frozen.
	pub(crate) spendable: Balance,
	/// What is held: deposits, bonds, jobs under way.
	pub(crate) held: Balance,
}

/// A stream of new blocks. subxt's own streams begin with older blocks, which are skipped up to `from`.
pub(crate) struct BlockStream {
	blocks: Blocks<SubstrateConfig>,
	from: u64,
}

/// A connection to one node.
pub(crate) struct Chain {
	api: OnlineClient<SubstrateConfig>,
	rpc: RpcClient,
	/// Whether this is a development chain or a local testnet.
	pub(crate) development: bool,
	/// The chain's name.
	pub(crate) name: String,
	/// Name and version of the node's runtime.
	pub(crate) runtime: String,
}

impl Chain {
	/// Connects, and warns if the node's runtime is not the one this program was built for.
	pub(crate) async fn connect(url: &str, report: &Reporter) -> Result<Self, CliError> {
		report.waiting(&format!("connecting to {url}"));
		let (rpc, api) = open(url).await?;
		let mut chain = Self {
			api,
			rpc,
			development: false,
			name: String::new(),
			runtime: String::new(),
		};
		chain.name = chain.request("system_chain", RpcParams::new()).await?;
		let kind: Value = chain.request("system_chainType", RpcParams::new()).await?;
		chain.development = matches!(kind.as_str(), Some("Development" | "Local"));
		let version: Value = chain.request("state_getRuntimeVersion", RpcParams::new()).await?;
		let spec = version
			.get("specName")
			.and_then(Value::as_str)
			.unwrap_or("an unnamed chain");
		let number = version.get("specVersion").and_then(Value::as_u64).unwrap_or_default();
		chain.runtime = format!("{spec} {number}");
		if spec != runtime::SPEC_NAME {
			return Err(CliError::OtherRuntime { runtime: chain.runtime });
		}
		if !runtime::fits(chain.finalized().await?.metadata_ref()) {
			report.warn(&format!(
				"the node runs {}, this program was built for another version: commands whose part of the interface differs will fail",
				chain.runtime
			));
		}
		Ok(chain)
	}

	/// Returns the hash of block 0.
	pub(crate) fn genesis(&self) -> Hash32 {
		self.api.genesis_hash().0
	}

	/// Warns if a public secret signs on a chain that is not for development.
	pub(crate) fn check_signer(&self, signer: &Signer, report: &Reporter) {
		if signer.well_known && !self.development {
			report.warn("this secret is public: everybody can spend the funds of its account");
		}
	}

	/// Returns the last finalized block.
	pub(crate) async fn finalized(&self) -> Result<At, CliError> {
		self.api.at_current_block().await.map_err(|e| self.failed(e))
	}

	/// Returns the best block.
	pub(crate) async fn best(&self) -> Result<At, CliError> {
		let hash: H256 = self.request("chain_getBlockHash", RpcParams::new()).await?;
		self.api.at_block(hash).await.map_err(|e| self.failed(e))
	}

	/// Returns best blocks from now on, the current one first.
	pub(crate) async fn best_blocks(&self) -> Result<BlockStream, CliError> {
		let from = self.best().await?.block_number();
		let blocks = self.api.stream_best_blocks().await.map_err(|e| self.failed(e))?;
		Ok(BlockStream { blocks, from })
	}

	/// Returns finalized blocks from now on, the current one first.
	pub(crate) async fn finalized_blocks(&self) -> Result<BlockStream, CliError> {
		let from = self.finalized().await?.block_number();
		let blocks = self.api.stream_blocks().await.map_err(|e| self.failed(e))?;
		Ok(BlockStream { blocks, from })
	}

	/// Waits for the next block of a stream.
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

	/// Returns the hash of the block at this height of the node's best chain, if there is one.
	pub(crate) async fn hash_at(&self, number: u32) -> Result<Option<Hash32>, CliError> {
		let mut params = RpcParams::new();
		params.push(number).map_err(from_rpc)?;
		let hash: Option<String> = self.request("chain_getBlockHash", params).await?;
		Ok(hash.and_then(|h| assay_primitives::hash::parse(&h).ok()))
	}

	/// Returns when the block at this height of the node's best chain was made, in seconds since 1970: none without the
	/// block's body.
	pub(crate) async fn block_time(&self, number: u32) -> Result<Option<u64>, CliError> {
		// Block 0 has no time; it is that of the first that was made.
		let Some(hash) = self.hash_at(number.max(1)).await? else {
			return Ok(None);
		};
		let at = self.api.at_block(H256(hash)).await.map_err(|e| self.failed(e))?;
		let all = at.extrinsics().fetch().await.map_err(|e| self.failed(e))?;
		let set = all.find_first::<runtime::timestamp::calls::Set>().transpose();
		let set = set.map_err(|e| self.failed(e))?;
		Ok(set.map(|set| set.now / 1000))
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

	/// Returns all registered models.
	pub(crate) async fn models(&self, at: &At) -> Result<Vec<Model>, CliError> {
		const PAGE: u32 = 100;
		let mut all: Vec<Model> = Vec::new();
		loop {
			let start = all.last().map(|m| m.id);
			let page: Vec<Model> = self.view(at, "models", (start, PAGE)).await?;
			// A page without anything new is the last one.
			let last = page.len() < PAGE as usize || page.last().map(|m| m.id) == start;
			all.extend(page);
			if last {
				return Ok(all);
			}
		}
	}

	/// Finds a model by its id or by a name that only one model has.
	pub(crate) async fn model(&self, at: &At, named: &str) -> Result<Model, CliError> {
		if let Ok(id) = named.parse::<ModelId>() {
			let model: Option<Model> = self.view(at, "model", id).await?;
			return model.ok_or_else(|| {
				CliError::NotFound(format!("no model {named} is registered: `assay models` lists all"))
			});
		}
		let mut found = self.models(at).await?;
		found.retain(|m| m.name == named);
		if found.len() > 1 {
			found.retain(|m| !m.listings.is_empty());
		}
		match (found.pop(), found.len()) {
			(Some(model), 0) => Ok(model),
			(Some(_), _) => Err(CliError::Usage(format!(
				"more than one model is called {named}: give the id, `assay models --json` lists them"
			))),
			(None, _) => Err(CliError::NotFound(format!(
				"no model called {named} is registered: `assay models` lists all"
			))),
		}
	}

	/// Returns a listing, also a retired one.
	pub(crate) async fn listing(&self, at: &At, id: ListingId) -> Result<Listing, CliError> {
		let listing: Option<Listing> = self.view(at, "listing", id).await?;
		listing.ok_or_else(|| CliError::NotFound(format!("there is no listing {id}: `assay models` lists all")))
	}

	/// Returns the providers of a model.
	pub(crate) async fn providers_of(&self, at: &At, model: ModelId) -> Result<Vec<Provider>, CliError> {
		self.view(at, "providers_of", model).await
	}

	/// Returns the most that a job can cost, or the refusal that a request would meet.
	pub(crate) async fn quote(
		&self,
		at: &At,
		target: Target,
		input: u32,
		tokens: u32,
		verifiers: u8,
	) -> Result<Quote, CliError> {
		let quote: Result<Quote, QuoteError> = self.view(at, "quote", (target, input, tokens, verifiers)).await?;
		quote.map_err(|e| CliError::refused(format!("Jobs::{e:?}")))
	}

	/// Returns a job, open or closed.
	pub(crate) async fn job(&self, at: &At, id: JobId) -> Result<Option<Job>, CliError> {
		self.view(at, "job", id).await
	}

	/// Returns who makes a job's draft; none before an executor is drawn, and once the job is closed.
	pub(crate) async fn execution(&self, at: &At, id: JobId) -> Result<Option<ExecutionView<Account>>, CliError> {
		self.view(at, "execution", id).await
	}

	/// Returns the receipt of a job that has a verdict.
	pub(crate) async fn receipt(&self, at: &At, id: JobId) -> Result<Option<ChainReceipt>, CliError> {
		self.view(at, "receipt", id).await
	}

	/// Returns the index of a final receipt's leaf in the accumulator.
	pub(crate) async fn receipt_leaf(&self, at: &At, id: JobId) -> Result<Option<u64>, CliError> {
		self.view(at, "receipt_leaf", id).await
	}

	/// Returns the accumulator of all final receipts.
	pub(crate) async fn accumulator(&self, at: &At) -> Result<Accumulator, CliError> {
		self.view(at, "receipt_accumulator", ()).await
	}

	/// Returns the proof of a leaf in the accumulator, from a node that keeps proofs.
	pub(crate) async fn accumulator_proof(&self, at: &At, index: u64) -> Result<Proof, CliError> {
		#[derive(serde::Deserialize)]
		struct Answer {
			proof: Proof,
		}
		let mut params = RpcParams::new();
		params.push(index).map_err(from_rpc)?;
		params.push(encode_prefixed(at.block_hash())).map_err(from_rpc)?;
		let answer: Answer = self.request("assay_accumulatorProof", params).await?;
		Ok(answer.proof)
	}

	/// Returns what an account has.
	pub(crate) async fn balance(&self, at: &At, who: &Account) -> Result<Balances, CliError> {
		let address = runtime::storage().system().account();
		let stored = at.storage().try_fetch(address, (who.0.into(),)).await;
		let stored = stored.map_err(|e| self.failed(e))?;
		let record = stored
			.map(|value| value.decode())
			.transpose()
			.map_err(|e| self.failed(e))?;
		Ok(record.map_or_else(Balances::default, |record| Balances {
			free: record.data.free,
			spendable: record
				.data
				.free
				.saturating_sub(record.data.frozen.saturating_sub(record.data.reserved)),
			held: record.data.reserved,
		}))
	}

	/// Returns the hash of an open claim's output.
	pub(crate) async fn output_of(&self, at: &At, claim: ClaimId) -> Result<Option<OutputHash>, CliError> {
		let address = runtime::storage().verification().claims();
		let stored = at
			.storage()
			.try_fetch(address, (claim.into(),))
			.await
			.map_err(|e| self.failed(e))?;
		let claim = stored.map(|value| value.decode()).transpose();
		Ok(claim
			.map_err(|e| self.failed(e))?
			.map(|claim| claim.record.output_hash.0))
	}

	/// Returns the error of this program for one of subxt.
	pub(crate) fn failed(&self, error: impl Into<subxt::Error>) -> CliError {
		from_subxt(error.into(), &self.runtime)
	}
}

/// Opens a connection, within a time limit.
async fn open(url: &str) -> Result<(RpcClient, OnlineClient<SubstrateConfig>), CliError> {
	if !url.starts_with("ws://") && !url.starts_with("wss://") {
		return Err(CliError::Usage(format!(
			"--url {url}: a node's address starts with ws:// or wss://"
		)));
	}
	// The innermost of the nested errors names the cause.
	let no_node = |reason: String| CliError::NoNode {
		url: url.into(),
		reason: reason.rsplit("error: ").next().unwrap_or_default().to_owned(),
	};
	let connecting = async {
		let rpc = RpcClient::from_insecure_url(url)
			.await
			.map_err(|e| no_node(e.to_string()))?;
		// Not by `chainHead_v1_follow`, which a node stops while it catches up, whatever is being watched.
		let backend = LegacyBackend::builder().build(rpc.clone());
		let api = OnlineClient::from_backend(Arc::new(backend))
			.await
			.map_err(|e| no_node(e.to_string()))?;
		Ok((rpc, api))
	};
	tokio::time::timeout(Duration::from_secs(CONNECT_SECONDS), connecting)
		.await
		.map_err(|_| no_node(format!("no answer within {CONNECT_SECONDS} s")))?
}

/// Returns the block of `at` as a receipt file names it.
pub(crate) fn read_at(at: &At, finalized: bool) -> ReadAt {
	ReadAt {
		number: u32::try_from(at.block_number()).unwrap_or(u32::MAX),
		hash: at.block_hash().0,
		finalized,
	}
}
