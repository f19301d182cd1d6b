//! A chain as a client sees it: dynamic calls, and views decoded into the types of `assay-primitives`.

use anyhow::{bail, Context, Result};
use assay_primitives::{
	api::{Quote, QuoteError},
	digest::input_hash,
	ClaimId, Input, JobId, ModelId, OutputHash, SamplingParams, State, Target,
};
use codec::{Decode, Encode};
use subxt::{
	config::{
		substrate::{DigestItem, H256},
		DefaultExtrinsicParamsBuilder, RpcConfigFor,
	},
	dynamic::{self, Value},
	ext::scale_decode::DecodeAsType,
	rpcs::{client::RpcClient, methods::legacy::LegacyRpcMethods},
	tx::{Payload, TransactionStatus},
	OnlineClient, PolkadotConfig,
};
use subxt_signer::sr25519::Keypair;

/// A receipt with the runtime's account and block number types.
pub type Receipt = assay_primitives::Receipt<[u8; 32], u32>;
/// A view of a job with the runtime's account and block number types.
pub type Job = assay_primitives::api::JobView<[u8; 32], u32>;
/// A view of a provider with the runtime's account type.
pub type Provider = assay_primitives::api::ProviderView<[u8; 32]>;

/// Most tokens of an answer, where a test does not say otherwise.
const MAX_TOKENS: u32 = 64;

/// The jury of a claim, as far as tests read it.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Jury {
	/// The members of the electorate, parties included.
	pub members: Vec<Juror>,
	/// Whether votes are being revealed; otherwise they are being committed.
	pub revealing: bool,
}

/// A member of a jury, as far as tests read it.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Juror {
	/// The provider.
	pub who: [u8; 32],
	/// Its blinded vote.
	pub commitment: Option<[u8; 32]>,
}

/// Returns a call that requests an answer, at whatever it costs.
pub fn request(model: &ModelId, prompt: &str, params: &SamplingParams, verifiers: u8) -> impl Payload {
	let stop: Vec<Value> = params.stop.iter().map(|stop| Value::from_bytes(&stop[..])).collect();
	let params = Value::named_composite([
		("max_tokens", Value::u128(params.max_tokens.into())),
		("temperature", Value::u128(params.temperature.into())),
		("top_k", Value::u128(params.top_k.into())),
		("min_p", Value::u128(params.min_p.into())),
		("stop", Value::unnamed_composite(stop)),
	]);
	dynamic::transaction(
		"Jobs",
		"request",
		vec![
			Value::unnamed_variant("Model", [Value::unnamed_composite([Value::from_bytes(model.0)])]),
			Value::unnamed_variant("Text", [Value::from_bytes(prompt.as_bytes())]),
			params,
			Value::u128(verifiers.into()),
			Value::u128(u128::from(u64::MAX)),
		],
	)
}

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
		let nonce: u64 = self.nonce(signer).await?;
		let params = DefaultExtrinsicParamsBuilder::new().nonce(nonce).build();
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

	/// Signs a call. Every fork on which the signer has this nonce takes the result.
	pub async fn sign(&self, call: &impl Payload, signer: &Keypair, nonce: u64) -> Result<Vec<u8>> {
		let at = self.api.at_current_block().await?;
		// Immortal: a node on another fork may not know the block that a mortal one is bound to.
		let params = DefaultExtrinsicParamsBuilder::new().nonce(nonce).immortal().build();
		let signed = at.transactions().create_signed(call, signer, params).await?;
		Ok(signed.into_encoded())
	}

	/// Hands a signed transaction to the node's pool.
	pub async fn send(&self, transaction: &[u8]) -> Result<()> {
		self.rpc.author_submit_extrinsic(transaction).await?;
		Ok(())
	}

	/// Returns an account's next nonce, behind its transactions in the pool.
	pub async fn nonce(&self, signer: &Keypair) -> Result<u64> {
		Ok(self
			.rpc
			.system_account_next_index(&signer.public_key().to_account_id())
			.await?)
	}

	/// Requests an answer of `model` to `prompt`, and returns the job's id once the request is in a best block.
	pub async fn ask(&self, model: &ModelId, prompt: &str, verifiers: u8, signer: &Keypair) -> Result<JobId> {
		let params = SamplingParams::greedy(MAX_TOKENS);
		self.ask_with(model, prompt, &params, verifiers, signer).await
	}

	/// Does the same with other parameters.
	pub async fn ask_with(
		&self,
		model: &ModelId,
		prompt: &str,
		params: &SamplingParams,
		verifiers: u8,
		signer: &Keypair,
	) -> Result<JobId> {
		let call = request(model, prompt, params, verifiers);
		let event = self.submit(&call, signer).await?;
		JobId::decode(&mut &event[..]).context("the request's event begins with the job's id")
	}

	/// Requests many answers at once, of this node and of others, whose forks may differ. Returns the ids of the jobs, which
	/// follow from the requests, without waiting for a block. What the signer has in the pool may only be requests.
	pub async fn ask_all(
		&self,
		others: &[&Chain],
		model: &ModelId,
		prompts: &[String],
		params: &SamplingParams,
		verifiers: u8,
		signer: &Keypair,
	) -> Result<Vec<JobId>> {
		let genesis = self.api.genesis_hash().0;
		let requester = signer.public_key().0;
		// A request of before may be pending again, because its block was retracted.
		let mut nonce = self.nonce(signer).await?;
		let (in_block, counted) = self.nonce_and_job_count(&requester).await?;
		let mut count = counted + nonce.saturating_sub(in_block);
		let mut jobs = Vec::with_capacity(prompts.len());
		for prompt in prompts {
			let transaction = self
				.sign(&request(model, prompt, params, verifiers), signer, nonce)
				.await?;
			self.send(&transaction).await?;
			for other in others {
				other.send(&transaction).await?;
			}
			nonce += 1;
			count += 1;
			let hash = input_hash(&Input::Text(prompt.as_bytes()));
			jobs.push(JobId::derive(&genesis, &requester, count, model, None, &hash, params));
		}
		Ok(jobs)
	}

	/// Objects to a claim, and waits until the objection is in a best block.
	pub async fn object(&self, claim: &ClaimId, output_hash: &OutputHash, signer: &Keypair) -> Result<()> {
		let named = |hash: [u8; 32]| Value::unnamed_composite([Value::from_bytes(hash)]);
		let call = dynamic::transaction("Verification", "object", vec![named(claim.0), named(output_hash.0)]);
		self.submit(&call, signer).await.map(drop)
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

	/// Returns a job, open or closed.
	pub async fn job(&self, job: &JobId) -> Result<Option<Job>> {
		self.view("AssayApi_job", job).await
	}

	/// Returns the receipt of a job that has a verdict. It may change until its state is final.
	pub async fn receipt(&self, job: &JobId) -> Result<Option<Receipt>> {
		self.view("AssayApi_receipt", job).await
	}

	/// Waits until a job is in a state that it is to reach.
	pub async fn reaches(&self, job: &JobId, state: State, seconds: u64) -> Result<Job> {
		crate::eventually(&format!("the job is {state:?}"), seconds, || async {
			Ok(self.job(job).await?.filter(|job| job.state == state))
		})
		.await
	}

	/// Waits for a job's verdict: returns the first receipt, which may change until it is settled.
	pub async fn verdict(&self, job: &JobId, seconds: u64) -> Result<Receipt> {
		crate::eventually("the job has a verdict", seconds, || self.receipt(job)).await
	}

	/// Waits until nothing about a job can change any more, and returns its receipt.
	pub async fn settled(&self, job: &JobId, seconds: u64) -> Result<Receipt> {
		crate::eventually("the job is final", seconds, || async {
			Ok(self.receipt(job).await?.filter(Receipt::is_settled))
		})
		.await
	}

	/// Waits until a block is finalized.
	pub async fn finality(&self, block: u32, seconds: u64) -> Result<()> {
		crate::eventually(&format!("block {block} is finalized"), seconds, || async {
			Ok((self.finalized().await? >= u64::from(block)).then_some(()))
		})
		.await
	}

	/// Returns the price of a job, or the error that its request would meet.
	pub async fn quote(
		&self,
		model: &ModelId,
		prompt: &str,
		max_tokens: u32,
		verifiers: u8,
	) -> Result<Result<Quote, QuoteError>> {
		let bytes = u32::try_from(prompt.len())?;
		self.view("AssayApi_quote", (Target::Model(*model), bytes, max_tokens, verifiers))
			.await
	}

	/// Returns the provider with this account that serves a model.
	pub async fn provider(&self, model: &ModelId, who: &[u8; 32]) -> Result<Provider> {
		let providers: Vec<Provider> = self.view("AssayApi_providers_of", model).await?;
		providers
			.into_iter()
			.find(|provider| provider.provider == *who)
			.context("the account serves the model")
	}

	/// Returns the jury of a claim that is disputed, once it is called.
	pub async fn jury(&self, claim: &ClaimId) -> Result<Option<Jury>> {
		let key = dynamic::storage::<([u8; 32],), Jury>("Verification", "Juries");
		let at = self.api.at_block(self.best().await?).await?;
		let jury = at.storage().try_fetch(key, (claim.0,)).await?;
		Ok(jury.map(|jury| jury.decode()).transpose()?)
	}

	/// Returns how many convictions there have been on this chain.
	pub async fn convictions(&self) -> Result<u32> {
		let key = dynamic::storage::<(), u32>("Verification", "NextConviction");
		let at = self.api.at_block(self.best().await?).await?;
		Ok(at.storage().fetch(key, ()).await?.decode()?)
	}

	/// Returns how many validators this session has.
	pub async fn validators(&self) -> Result<usize> {
		let key = dynamic::storage::<(), Vec<[u8; 32]>>("Session", "Validators");
		let at = self.api.at_block(self.best().await?).await?;
		Ok(at.storage().fetch(key, ()).await?.decode()?.len())
	}

	/// Returns how many jobs an account has requested.
	pub async fn job_count(&self, who: &[u8; 32]) -> Result<u64> {
		let key = dynamic::storage::<([u8; 32],), u64>("Jobs", "JobCount");
		let at = self.api.at_block(self.best().await?).await?;
		Ok(at.storage().fetch(key, (*who,)).await?.decode()?)
	}

	/// Returns an account's nonce and how many jobs it has requested, both in the best block.
	async fn nonce_and_job_count(&self, who: &[u8; 32]) -> Result<(u64, u64)> {
		#[derive(DecodeAsType)]
		#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
		struct Account {
			nonce: u32,
		}
		let at = self.api.at_block(self.best().await?).await?;
		let account = dynamic::storage::<([u8; 32],), Account>("System", "Account");
		let nonce = at.storage().fetch(account, (*who,)).await?.decode()?.nonce;
		let count = dynamic::storage::<([u8; 32],), u64>("Jobs", "JobCount");
		Ok((nonce.into(), at.storage().fetch(count, (*who,)).await?.decode()?))
	}

	async fn best(&self) -> Result<H256> {
		let hash = self.rpc.chain_get_block_hash(None).await?;
		hash.context("there is a best block")
	}

	/// Returns the free balance of an account, and what is held of its money besides.
	pub async fn balance(&self, who: &[u8; 32]) -> Result<(u128, u128)> {
		#[derive(DecodeAsType)]
		#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
		struct Account {
			data: Data,
		}
		#[derive(DecodeAsType)]
		#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
		struct Data {
			free: u128,
			reserved: u128,
		}
		let key = dynamic::storage::<([u8; 32],), Account>("System", "Account");
		let at = self.api.at_block(self.best().await?).await?;
		let account = at.storage().fetch(key, (*who,)).await?.decode()?;
		Ok((account.data.free, account.data.reserved))
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
