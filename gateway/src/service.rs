//! What all handlers share: from a request in either protocol to a reader of its answer.

use crate::{
	answer::Reader,
	catalog::{Catalog, Kept},
	config::Config,
	error::ApiError,
	jobs::Jobs,
	metrics::Metrics,
	network::{Health, JobTerms, Model, Network, NetworkError, PageFacts},
	reading::Reading,
	request::{Notes, Options, Wait, USED_KEY},
	responses::KeptItems,
	sampling::Sampling,
};
use assay_primitives::{
	chat::{Chat, LIMITS},
	json::Json,
	Input, UncheckedInput,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use std::{
	sync::Arc,
	time::{SystemTime, UNIX_EPOCH},
};

/// Where clients look for the name of a request: OpenAI's, and Anthropic's.
const REQUEST_ID: [HeaderName; 2] = [
	HeaderName::from_static("x-request-id"),
	HeaderName::from_static("request-id"),
];

/// The state of all handlers.
pub(crate) struct Service {
	pub(crate) config: Config,
	pub(crate) network: Arc<dyn Network>,
	pub(crate) catalog: Catalog,
	/// Strangers may ask for it, so it is read once a second at most.
	pub(crate) health: Kept<Health>,
	/// What the page has to know; strangers may ask for it too, and a specification costs the node seconds.
	pub(crate) page_facts: Kept<PageFacts>,
	pub(crate) chain_spec: Kept<Value>,
	pub(crate) jobs: Arc<Jobs>,
	/// The items that later requests for responses may name.
	pub(crate) items: Arc<KeptItems>,
	pub(crate) metrics: Arc<Metrics>,
}

/// A request that was understood.
pub(crate) struct Prepared {
	pub(crate) model: Arc<Model>,
	pub(crate) input: Input,
	pub(crate) sampling: Sampling,
	pub(crate) reading: Reading,
	pub(crate) notes: Notes,
}

impl Service {
	/// Returns how the node and the account that pays are doing.
	pub(crate) async fn health(&self) -> Result<Health, NetworkError> {
		self.health.get(self.network.health()).await
	}

	/// Returns what the page has to know of the chain.
	pub(crate) async fn page_facts(&self) -> Result<PageFacts, NetworkError> {
		self.page_facts.get(self.network.page_facts()).await
	}

	/// Returns the chain's specification for light clients.
	pub(crate) async fn chain_spec(&self) -> Result<Value, NetworkError> {
		self.chain_spec.get(self.network.chain_spec()).await
	}

	/// Requests the job of a request, or finds it, and returns its answer's reader and the headers of the response.
	pub(crate) async fn begin(
		&self,
		prepared: Prepared,
		options: &Options,
		body: &[u8],
	) -> Result<(Reader, HeaderMap), ApiError> {
		let Prepared {
			model,
			input,
			sampling,
			reading,
			mut notes,
		} = prepared;
		let terms = JobTerms {
			model: model.id,
			input,
			params: sampling.params(&model, &mut notes)?,
			verifiers: options.verifiers,
		};
		let running = self.jobs.request(terms, options, body).await?;
		let mut headers = HeaderMap::new();
		notes.write(&mut headers);
		let mut header = |name: HeaderName, value: &str| {
			if let Ok(value) = HeaderValue::from_str(value) {
				headers.insert(name, value);
			}
		};
		header(USED_KEY, running.key.as_str());
		let job = running.job.to_string();
		REQUEST_ID.into_iter().for_each(|name| header(name, &job));
		let limit = match options.wait {
			Wait::Settled => self.config.timeouts.settlement,
			Wait::Draft | Wait::Verdict | Wait::Final => self.config.timeouts.verdict,
		};
		let reader = Reader::new(self, running, &model, reading, &notes, options.wait, limit);
		Ok((reader, headers))
	}
}

/// Builds the conversation of a job from its parts, and has the chain's own parser check it.
pub(crate) fn conversation(parts: Vec<(&str, Option<Json>)>) -> Result<(Input, Chat), ApiError> {
	let given = parts
		.into_iter()
		.filter_map(|(key, value)| Some((key.to_string(), value?)));
	let json = Json::Map(given.collect());
	let bytes = serde_json::to_vec(&json).map_err(|e| ApiError::invalid("messages", e.to_string()))?;
	if bytes.len() as u64 > LIMITS.bytes {
		return Err(too_long(bytes.len()));
	}
	let chat = Chat::parse(&bytes).map_err(|e| {
		let param = if e.path.is_empty() {
			"messages".into()
		} else {
			e.path.clone()
		};
		ApiError::invalid(param, e.to_string())
	})?;
	let length = bytes.len();
	let input = UncheckedInput::Chat(bytes).bounded().ok_or_else(|| too_long(length))?;
	Ok((input, chat))
}

/// Returns the error of a prompt that is longer than the chain takes.
pub(crate) fn too_long(bytes: usize) -> ApiError {
	ApiError::new(
		StatusCode::BAD_REQUEST,
		"context_length_exceeded",
		format!(
			"prompt is too long: with its tools it has {bytes} bytes, and the chain takes {}; shorten the conversation",
			LIMITS.bytes
		),
	)
	.param("messages")
}

/// Returns the seconds since 1970.
pub(crate) fn seconds() -> u64 {
	SystemTime::now()
		.duration_since(UNIX_EPOCH)
		.map_or(0, |since| since.as_secs())
}

/// Returns an entry of a map.
pub(crate) fn text(value: &str) -> Json {
	Json::Text(value.into())
}
