//! The chain as the gateway asks it.

use super::{
	events,
	hub::{Head, Hub},
	journal::Journal,
	payments::Payments,
	refusal::network_error,
};
use crate::{commands::build_file, error::CliError, stream::Sources};
use assay_gateway::network::{
	Health, IdempotencyKey, JobEvent, JobRequest, JobTerms, Model, Network, NetworkError, Prices, Quote, ReceiptStatus,
	Ticket,
};
use assay_primitives::JobId;
use async_trait::async_trait;
use const_hex::encode_prefixed;
use futures::stream::BoxStream;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long one question to the node may take.
const CALL: Duration = Duration::from_secs(30);

/// A chain, by one node, and the account that pays.
pub(crate) struct ChainNetwork {
	pub(super) hub: Arc<Hub>,
	pub(super) journal: Arc<Journal>,
	pub(super) payments: Arc<Payments>,
	/// Where drafts are read; none if they are not.
	pub(super) sources: Option<Sources>,
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
		Ok(models.iter().map(model).collect())
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
				return build_file(&chain, at, job, is_final, evidence.as_ref()).await.map(Ok);
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
}

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
		// The chain counts blocks, and no clock says when one was made.
		created: 0,
		chat_template: None,
	}
}
