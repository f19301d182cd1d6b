//! A chain as a client sees it: dynamic calls, and views decoded into the types of `assay-primitives`.

use anyhow::{bail, Context, Result};
use assay_primitives::{JobId, ModelId};
use codec::{Decode, Encode};
use subxt::{
	config::{substrate::DigestItem, RpcConfigFor},
	dynamic::{self, Value},
	rpcs::{client::RpcClient, methods::legacy::LegacyRpcMethods},
	tx::{Payload, TransactionStatus},
	OnlineClient, PolkadotConfig,
};
use subxt_signer::sr25519::Keypair;

/// A receipt with the runtime's account and block number types.
pub type Receipt = assay_primitives::Receipt<[u8; 32], u32>;
/// A view of a job with the runtime's account and block number types.
pub type Job = assay_primitives::api::JobView<[u8; 32], u32>;

/// A connection to one node.
#[derive(Clone)]
pub struct Chain {
	/// The subxt client.
	pub api: OnlineClient<PolkadotConfig>,
	rpc: LegacyRpcMethods<RpcConfigFor<PolkadotConfig>>,
}

impl Chain {
	/// Connects, waiting up to a minute for the node to answer.
	pub async fn connect(url: &str) -> Result<Self> {
		crate::eventually("the node answers", 60, || async {
			let client = RpcClient::from_insecure_url(url).await?;
			let rpc = LegacyRpcMethods::new(client.clone());
			Ok(Some(Self {
				api: OnlineClient::from_rpc_client(client).await?,
				rpc,
			}))
		})
		.await
	}

	/// Signs and submits a call, and waits until it is in a best block; returns the fields of its first event of the pallet
	/// `Jobs`, if any. An error names the pallet's error.
	pub async fn submit(&self, call: &impl Payload, signer: &Keypair) -> Result<Vec<u8>> {
		let at = self.api.at_current_block().await?;
		let nonce: u64 = self.rpc_nonce(signer).await?;
		let params = subxt::config::DefaultExtrinsicParamsBuilder::new().nonce(nonce).build();
		let mut progress = at
			.transactions()
			.sign_and_submit_then_watch(call, signer, params)
			.await?;
		while let Some(status) = progress.next().await {
			match status? {
				TransactionStatus::InBestBlock(block) | TransactionStatus::InFinalizedBlock(block) => {
					let events = block.wait_for_success().await?;
					let fields = events.iter().find_map(|event| {
						let event = event.ok()?;
						(event.pallet_name() == "Jobs").then(|| event.field_bytes().to_vec())
					});
					return Ok(fields.unwrap_or_default());
				}
				TransactionStatus::Error { message }
				| TransactionStatus::Invalid { message }
				| TransactionStatus::Dropped { message } => bail!("the transaction was refused: {message}"),
				_ => {}
			}
		}
		bail!("the node stopped watching the transaction")
	}

	async fn rpc_nonce(&self, signer: &Keypair) -> Result<u64> {
		Ok(self
			.rpc
			.system_account_next_index(&signer.public_key().to_account_id())
			.await?)
	}

	/// Requests an answer of `model` to `prompt`, and returns the job's id once the request is in a best block.
	pub async fn ask(&self, model: &ModelId, prompt: &str, committee: u32, signer: &Keypair) -> Result<JobId> {
		let stop: Vec<Value> = Vec::new();
		let params = Value::named_composite([
			("max_tokens", Value::u128(64)),
			("temperature", Value::u128(0)),
			("top_k", Value::u128(0)),
			("min_p", Value::u128(0)),
			("stop", Value::unnamed_composite(stop)),
		]);
		let call = dynamic::transaction(
			"Jobs",
			"request",
			vec![
				Value::unnamed_composite([Value::from_bytes(model.0)]),
				Value::from_bytes(prompt.as_bytes()),
				params,
				Value::u128(committee.into()),
				Value::u128(u128::from(u64::MAX)),
			],
		);
		let event = self.submit(&call, signer).await?;
		JobId::decode(&mut &event[..]).context("the request's event begins with the job's id")
	}

	/// Returns the number of the best block.
	pub async fn height(&self) -> Result<u64> {
		let header = self
			.rpc
			.chain_get_header(None)
			.await?
			.context("there is a best block")?;
		Ok(header.number)
	}

	/// Returns the slot that a block was made in. In the header's claim it follows the kind of claim and the author's index.
	pub async fn slot(&self, number: u64) -> Result<u64> {
		let hash = self
			.rpc
			.chain_get_block_hash(Some(number.into()))
			.await?
			.with_context(|| format!("there is a block {number}"))?;
		let header = self
			.rpc
			.chain_get_header(Some(hash))
			.await?
			.context("a block has a header")?;
		let claim = header.digest.logs.iter().find_map(|item| match item {
			DigestItem::PreRuntime([b'B', b'A', b'B', b'E'], claim) => claim.get(5..13),
			_ => None,
		});
		let slot = claim
			.and_then(|bytes| bytes.try_into().ok())
			.context("a header names its slot")?;
		Ok(u64::from_le_bytes(slot))
	}

	/// Returns the number of the last finalized block.
	pub async fn finalized(&self) -> Result<u64> {
		Ok(self.api.at_current_block().await?.block_number())
	}

	/// Calls a method of the runtime API at the best block and decodes the result.
	pub async fn view<T: Decode>(&self, name: &str, args: impl Encode) -> Result<T> {
		let bytes = self.rpc.state_call(name, Some(&args.encode()), None).await?;
		T::decode(&mut &bytes[..]).with_context(|| format!("the result of {name} does not decode"))
	}

	/// Returns a job, open or concluded.
	pub async fn job(&self, job: &JobId) -> Result<Option<Job>> {
		self.view("AssayApi_job", job).await
	}

	/// Returns the receipt of a job, once there is one.
	pub async fn receipt(&self, job: &JobId) -> Result<Option<Receipt>> {
		self.view("AssayApi_receipt", job).await
	}

	/// Waits for a job's receipt.
	pub async fn verdict(&self, job: &JobId, seconds: u64) -> Result<Receipt> {
		crate::eventually("the job has a receipt", seconds, || self.receipt(job)).await
	}

	/// Returns the free balance of an account.
	pub async fn free(&self, who: &[u8; 32]) -> Result<u128> {
		#[derive(subxt::ext::scale_decode::DecodeAsType)]
		#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
		struct Account {
			data: Data,
		}
		#[derive(subxt::ext::scale_decode::DecodeAsType)]
		#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
		struct Data {
			free: u128,
		}
		let key = dynamic::storage::<([u8; 32],), Account>("System", "Account");
		let at = self.api.at_current_block().await?;
		Ok(at.storage().fetch(key, (*who,)).await?.decode()?.data.free)
	}

	/// Returns the first registered model, which on a development chain is the bundled one.
	pub async fn demo_model(&self) -> Result<ModelId> {
		let bytes: Vec<u8> = self
			.rpc
			.state_call("AssayApi_models", Some(&(None::<ModelId>, 1u32).encode()), None)
			.await?;
		let input = &mut &bytes[..];
		let count = codec::Compact::<u32>::decode(input)?;
		if count.0 == 0 {
			bail!("no model is registered");
		}
		Ok(ModelId::decode(input)?)
	}
}
