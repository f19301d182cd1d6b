//! The chain as the gateway asks it.

use super::{
	events,
	folders::Folders,
	hub::{Head, Hub},
	journal::Journal,
	payments::Payments,
	refusal::network_error,
};
use crate::{
	anchors,
	commands::{build_file, proved_file},
	error::CliError,
	stream::Sources,
};
use assay_gateway::network::{
	Health, IdempotencyKey, JobEvent, JobRequest, JobTerms, Model, Network, NetworkError, PageFacts, Prices, Quote,
	ReceiptStatus, Ticket,
};
use assay_primitives::{Input, JobId, ModelId};
use async_trait::async_trait;
use const_hex::encode_prefixed;
use futures::stream::BoxStream;
use serde_json::Value;
use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::timeout};

/// How long one question to the node may take.
const CALL: Duration = Duration::from_secs(30);
/// Most models whose time is asked for when the list is read. The others are asked for later.
const MAX_TIMES: usize = 16;

/// A chain, by one node, and the account that pays.
pub(crate) struct ChainNetwork {
	pub(super) hub: Arc<Hub>,
	pub(super) journal: Arc<Journal>,
	pub(super) payments: Arc<Payments>,
	/// Where drafts are read; none if they are not.
	pub(super) sources: Option<Sources>,
	/// The models that are on this machine too.
	pub(super) folders: Arc<Folders>,
	/// When models were listed, as far as it was asked and the node knew.
	pub(super) times: Mutex<HashMap<ModelId, Option<u64>>>,
	/// The node's URL, if browsers can reach it there.
	pub(super) page_node: Option<String>,
}

impl ChainNetwork {
	fn head(&self) -> Result<Head, NetworkError> {
		self.hub.head().map_err(NetworkError::Unreachable)
	}
}

/// Asks the node something, within a time limit.
async fn ask<T>(question: impl Future<Output = Result<T, CliError>> + Send) -> Result<T, NetworkError> {
	match timeout(CALL, question).await {
		Ok(answer) => answer.map_err(|e| network_error(&e)),
		Err(_) => Err(NetworkError::Unreachable("the node does not answer".into())),
	}
}

/// Returns what a job would cost at most.
pub(super) async fn quote(head: &Head, terms: &JobTerms) -> Result<Quote, NetworkError> {
	let bytes = u32::try_from(terms.input.bytes().len()).unwrap_or(u32::MAX);
	let target = terms.model.into();
	let quoted = head
		.chain
		.quote(&head.at, target, bytes, terms.params.max_tokens, terms.verifiers);
	match ask(quoted).await {
		Ok(quote) => Ok(Quote {
			fee_ceiling: quote.fee_ceiling,
			deposit: quote.deposit,
		}),
		Err(NetworkError::Refused {
			param: Some("model"),
			reason,
		}) if reason.contains("UnknownModel") => Err(NetworkError::UnknownModel(terms.model)),
		Err(e) => Err(e),
	}
}

#[async_trait]
impl Network for ChainNetwork {
	async fn health(&self) -> Result<Health, NetworkError> {
		let Head { chain, at, .. } = self.head()?;
		let account = self.payments.account();
		ask(async {
			Ok(Health {
				best: at.block_number(),
				finalized: chain.finalized().await?.block_number(),
				genesis: encode_prefixed(chain.genesis()),
				account: account.ss58(),
				balance: chain.balance(&at, &account).await?.spendable,
			})
		})
		.await
	}

	async fn models(&self) -> Result<Vec<Model>, NetworkError> {
		let Head { chain, at, .. } = self.head()?;
		let models = ask(chain.models(&at)).await?;
		let mut times = self.times.lock().await;
		let new = models.iter().filter(|model| !times.contains_key(&model.id));
		let new: Vec<_> = new
			.filter_map(|model| Some((model.id, listed_at(model)?)))
			.take(MAX_TIMES)
			.collect();
		for (id, block) in new {
			// A list without times is better than none.
			let Ok(time) = ask(chain.block_time(block)).await else {
				break;
			};
			times.insert(id, time);
		}
		let created = |id: &ModelId| times.get(id).copied().flatten();
		let known = |listed: &crate::chain::Model| Model {
			created: created(&listed.id),
			chat_template: self.folders.template(&listed.id),
			..model(listed)
		};
		Ok(models.iter().map(known).collect())
	}

	async fn quote(&self, request: &JobTerms) -> Result<Quote, NetworkError> {
		quote(&self.head()?, request).await
	}

	async fn find(&self, key: &IdempotencyKey) -> Result<Option<JobId>, NetworkError> {
		self.payments.find(key).await
	}

	async fn request(&self, request: JobRequest) -> Result<Ticket, NetworkError> {
		self.payments.request(request).await
	}

	fn follow(&self, job: JobId) -> BoxStream<'static, Result<JobEvent, NetworkError>> {
		events::follow(
			job,
			self.hub.heads(),
			self.sources.clone(),
			self.journal.clone(),
			self.payments.clone(),
		)
	}

	async fn count_tokens(&self, model: ModelId, input: &Input) -> Result<Option<u32>, NetworkError> {
		let (folders, input) = (self.folders.clone(), input.clone());
		// A long conversation takes a moment.
		let counted = tokio::task::spawn_blocking(move || folders.count_tokens(&model, &input)).await;
		counted.unwrap_or_else(|e| Err(NetworkError::Internal(format!("a task ended early: {e}"))))
	}

	async fn receipt(&self, job: JobId) -> Result<ReceiptStatus, NetworkError> {
		let Head { chain, at: best, .. } = self.head()?;
		let evidence = self.journal.evidence(job);
		let found = ask(async {
			let finalized = chain.finalized().await?;
			let (at, is_final) = match chain.receipt(&finalized, job).await? {
				Some(_) => (&finalized, true),
				None => (&*best, false),
			};
			if chain.receipt(at, job).await?.is_some() {
				let file = if is_final {
					proved_file(&chain, at, job, evidence.as_ref()).await
				} else {
					build_file(&chain, at, job, false, evidence.as_ref()).await
				};
				return file.map(Ok);
			}
			Ok(match chain.job(at, job).await? {
				Some(_) => Err(ReceiptStatus::NotYet),
				None => Err(ReceiptStatus::Unknown),
			})
		});
		match found.await? {
			Err(status) => Ok(status),
			Ok(file) => serde_json::to_value(file)
				.map(ReceiptStatus::Receipt)
				.map_err(|e| NetworkError::Internal(e.to_string())),
		}
	}

	async fn page_facts(&self) -> Result<PageFacts, NetworkError> {
		let Head { chain, .. } = self.head()?;
		let anchor = ask(async {
			match anchors::known(&chain.genesis())? {
				Some((anchor, _)) => Ok(anchor),
				None => chain.anchor().await,
			}
		});
		let anchor = serde_json::to_value(anchor.await?).map_err(|e| NetworkError::Internal(e.to_string()))?;
		Ok(PageFacts {
			chain: chain.name.clone(),
			node: self.page_node.clone(),
			anchor: Some(anchor),
		})
	}

	async fn chain_spec(&self) -> Result<Value, NetworkError> {
		let Head { chain, .. } = self.head()?;
		ask(async {
			// Light clients refuse block 0 as a checkpoint.
			if chain.finalized().await?.block_number() == 0 {
				return Err(CliError::Node(
					"it has finalized no block yet; ask again in some seconds".into(),
				));
			}
			chain.light_client_spec().await
		})
		.await
	}
}

/// Returns the block in which a model was listed first, of the listings that take jobs.
fn listed_at(model: &crate::chain::Model) -> Option<u32> {
	model.listings.iter().map(|listing| listing.listed_at).min()
}

/// Returns what the chain says of a model.
fn model(model: &crate::chain::Model) -> Model {
	let prices = model.listings.iter().map(|listing| listing.prices);
	// The generated tokens are what a chat pays for most.
	let cheapest = prices.min_by_key(|prices| (prices.price_out, prices.price_in));
	Model {
		id: model.id,
		name: model.name.clone(),
		context_length: model.context_length,
		providers: model.providers,
		prices: cheapest.map(|prices| Prices {
			price_in: prices.price_in,
			price_out: prices.price_out,
		}),
		created: None,
		chat_template: None,
	}
}
