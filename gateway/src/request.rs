//! What all requests have in common: a body within limits, headers of this server, and what is told of a request.

use crate::{config::Config, error::ApiError, network::IdempotencyKey, reading::Reasoning, service::Service};
use assay_primitives::{json::JsonLimits, limits::MAX_VERIFIERS};
use axum::{
	body::{Body, BodyDataStream},
	extract::{FromRequest, Request},
	http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use std::{sync::Arc, time::Duration};

/// Names the key under which the answer can be had again.
pub(crate) const USED_KEY: HeaderName = HeaderName::from_static("x-assay-idempotency-key");
/// Names fields of the request that had no effect.
pub(crate) const IGNORED: HeaderName = HeaderName::from_static("x-assay-ignored");
/// Names fields of the request that had another effect than their words promise.
pub(crate) const ADJUSTED: HeaderName = HeaderName::from_static("x-assay-adjusted");
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const VERIFIERS: HeaderName = HeaderName::from_static("x-assay-verifiers");
const REASONING: HeaderName = HeaderName::from_static("x-assay-reasoning");
const WAIT: HeaderName = HeaderName::from_static("x-assay-wait");
/// Official clients count their automatic retries here.
const RETRIES: HeaderName = HeaderName::from_static("x-stainless-retry-count");

/// Limits of a body's JSON. What reaches the model is held to stricter ones.
const LIMITS: JsonLimits = JsonLimits {
	bytes: 1 << 20,
	values: 65_536,
	depth: 64,
};
/// Bytes of a body that is too long that are read nevertheless: a client that still writes reads no answer.
const MAX_DRAINED_BYTES: u64 = 16 << 20;
/// Most ignored fields that are named.
const MAX_NAMED: usize = 32;
/// Longest name of an ignored field, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// How long a client waits before its answer is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wait {
	/// Until the executor has published it.
	Draft,
	/// Until there is a verdict.
	Verdict,
	/// Until the verdict's block is finalized.
	Final,
	/// Until nothing can change any more.
	Settled,
}

/// What a request asks of this server by its headers.
#[derive(Clone, Debug)]
pub(crate) struct Options {
	pub(crate) verifiers: u8,
	pub(crate) wait: Wait,
	/// What the client wants of the model's reasoning; none if it does not say.
	pub(crate) reasoning: Option<Reasoning>,
	/// The client's name for the request.
	pub(crate) key: Option<IdempotencyKey>,
	/// Whether an official client repeats a request by itself.
	pub(crate) is_retry: bool,
}

impl Options {
	pub(crate) fn parse(headers: &HeaderMap, config: &Config) -> Result<Self, ApiError> {
		let text = |name: &HeaderName| {
			headers
				.get(name)
				.map(|value| value.to_str().unwrap_or("\u{fffd}").trim())
		};
		let verifiers = match text(&VERIFIERS) {
			None => config.verifiers,
			Some(text) => {
				let number = text.parse().ok().filter(|number| *number <= MAX_VERIFIERS);
				number.ok_or_else(|| {
					ApiError::invalid(
						VERIFIERS.as_str(),
						format!("`{VERIFIERS}` must be a number from 0 to {MAX_VERIFIERS}"),
					)
				})?
			}
		};
		let wait = match text(&WAIT) {
			None | Some("verdict") => Wait::Verdict,
			Some("draft") => Wait::Draft,
			Some("final") => Wait::Final,
			Some("settled") => Wait::Settled,
			Some(_) => {
				return Err(ApiError::invalid(
					WAIT.as_str(),
					format!("`{WAIT}` must be `draft`, `verdict`, `final` or `settled`"),
				))
			}
		};
		let key = match text(&KEY) {
			None => None,
			Some(text) => Some(IdempotencyKey::parse(text).ok_or_else(|| {
				ApiError::invalid(
					KEY.as_str(),
					format!(
						"an `Idempotency-Key` has 1 to {} printable ASCII characters",
						IdempotencyKey::MAX_BYTES
					),
				)
			})?),
		};
		let is_retry = text(&RETRIES)
			.and_then(|text| text.parse::<u32>().ok())
			.is_some_and(|tries| tries > 0);
		Ok(Self {
			verifiers,
			wait,
			reasoning: reasoning(text(&REASONING))?,
			key,
			is_retry,
		})
	}
}

/// Reads what a client wants of the model's reasoning.
fn reasoning(text: Option<&str>) -> Result<Option<Reasoning>, ApiError> {
	match text {
		None => Ok(None),
		Some("separate") => Ok(Some(Reasoning::Separate)),
		Some("opened") => Ok(Some(Reasoning::Opened)),
		Some("raw") => Ok(Some(Reasoning::Raw)),
		Some(_) => Err(ApiError::invalid(
			REASONING.as_str(),
			format!("`{REASONING}` must be `separate`, `opened` or `raw`"),
		)),
	}
}

/// A request as it was received: read, within limits, and not yet understood.
pub(crate) struct Received<R> {
	/// The body, which names the request together with its key.
	pub(crate) body: Vec<u8>,
	/// What the headers ask.
	pub(crate) options: Options,
	/// The body's JSON.
	pub(crate) request: R,
	/// What was ignored of it.
	pub(crate) notes: Notes,
}

impl<R: DeserializeOwned> FromRequest<Arc<Service>> for Received<R> {
	type Rejection = ApiError;

	async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, ApiError> {
		let (head, body) = request.into_parts();
		let body = read_body(body, &head.headers, service.config.timeouts.body).await?;
		let options = Options::parse(&head.headers, &service.config)?;
		let mut notes = Notes::default();
		let request = parse(&body, &mut notes)?;
		Ok(Self {
			body,
			options,
			request,
			notes,
		})
	}
}

/// What a request said that was not done as said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
	/// Fields without effect, by their paths.
	pub(crate) ignored: Vec<String>,
	/// Fields with another effect, as sentences that begin with the field.
	pub(crate) adjusted: Vec<String>,
}

impl Notes {
	pub(crate) fn ignore(&mut self, path: impl Into<String>) {
		let mut path: String = path.into();
		path.retain(|c| c.is_ascii_graphic() && c != ',');
		path.truncate(MAX_NAME_BYTES);
		if self.ignored.len() < MAX_NAMED && !self.ignored.contains(&path) {
			self.ignored.push(path);
		}
	}

	pub(crate) fn adjust(&mut self, sentence: impl Into<String>) {
		self.adjusted.push(sentence.into());
	}

	/// Adds what is told of the request to an answer's headers.
	pub(crate) fn write(&self, headers: &mut HeaderMap) {
		for (name, list) in [(IGNORED, self.ignored.join(", ")), (ADJUSTED, self.adjusted.join("; "))] {
			if let Some(value) = HeaderValue::from_str(&list).ok().filter(|_| !list.is_empty()) {
				headers.insert(name, value);
			}
		}
	}
}

/// Reads a body within its limits of size and time.
async fn read_body(body: Body, headers: &HeaderMap, limit: Duration) -> Result<Vec<u8>, ApiError> {
	let announced = headers
		.get("content-length")
		.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
	if announced.is_some_and(|bytes| bytes > MAX_DRAINED_BYTES) {
		return Err(too_large());
	}
	let read = tokio::time::timeout(limit, read_all(body.into_data_stream()));
	read.await.unwrap_or_else(|_| {
		Err(ApiError::new(
			StatusCode::REQUEST_TIMEOUT,
			"body_timeout",
			format!(
				"the body was not complete within {} seconds; send it again",
				limit.as_secs()
			),
		))
	})
}

async fn read_all(mut data: BodyDataStream) -> Result<Vec<u8>, ApiError> {
	let (mut bytes, mut total) = (Vec::new(), 0u64);
	while let Some(chunk) = data.next().await {
		let chunk = chunk.map_err(|e| {
			ApiError::new(
				StatusCode::BAD_REQUEST,
				"body_incomplete",
				format!("the body could not be read: {e}"),
			)
		})?;
		total = total.saturating_add(chunk.len() as u64);
		if total > MAX_DRAINED_BYTES {
			break;
		}
		if total <= LIMITS.bytes {
			bytes.extend_from_slice(&chunk);
		}
	}
	if total > LIMITS.bytes {
		return Err(too_large());
	}
	Ok(bytes)
}

fn too_large() -> ApiError {
	ApiError::new(
		StatusCode::PAYLOAD_TOO_LARGE,
		"body_too_large",
		format!("a body has at most {} bytes; shorten the conversation", LIMITS.bytes),
	)
}

/// Parses a body, and notes the fields that the type does not know.
fn parse<T: DeserializeOwned>(body: &[u8], notes: &mut Notes) -> Result<T, ApiError> {
	let malformed = |reason: String| ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", reason);
	std::str::from_utf8(body).map_err(|e| malformed(format!("the body is not UTF-8: {e}")))?;
	LIMITS
		.check(body)
		.map_err(|reason| malformed(format!("the body: {reason}")))?;
	let mut json = serde_json::Deserializer::from_slice(body);
	let mut track = serde_path_to_error::Track::new();
	let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
	let parsed = serde_ignored::deserialize(tracked, |path| {
		// A field that may be missing is a level of its own there.
		notes.ignore(path.to_string().replace(".?", ""));
	});
	let value = parsed.map_err(|e: serde_json::Error| {
		if e.is_data() {
			let path = track.path().to_string();
			let at = if path == "." { String::new() } else { path };
			let reason = e.to_string();
			let reason = reason.split(" at line ").next().unwrap_or_default().to_string();
			let message = if at.is_empty() {
				reason
			} else {
				format!("{at}: {reason}")
			};
			ApiError::invalid(at, message)
		} else {
			malformed(format!("the body is not valid JSON: {e}"))
		}
	})?;
	json.end()
		.map_err(|e| malformed(format!("the body is not valid JSON: {e}")))?;
	Ok(value)
}
