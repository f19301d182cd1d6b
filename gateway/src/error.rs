//! Errors of the HTTP interface, in OpenAI's form and in Anthropic's.

use crate::{metrics::Metrics, network::NetworkError};
use axum::{
	extract::{Request, State},
	http::{
		header::{CONTENT_LENGTH, RETRY_AFTER},
		HeaderName, HeaderValue, StatusCode,
	},
	middleware::Next,
	response::{IntoResponse, Response},
	Json,
};
use serde_json::{json, Map, Value};
use std::sync::Arc;

/// Tells official clients whether they should try again by themselves.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// Seconds after which a client may try again when the node is away.
const RETRY_SECONDS: u64 = 5;

/// An error as a client gets it.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
	/// The status, if no answer has begun.
	pub(crate) status: StatusCode,
	/// A name for programs.
	pub(crate) code: &'static str,
	/// The field of the request that is wrong.
	pub(crate) param: Option<String>,
	/// What is wrong and what to do next.
	pub(crate) message: String,
	/// Seconds after which to try again.
	pub(crate) retry_after: Option<u64>,
	/// Whether official clients try again by themselves. A second try must not pay twice.
	pub(crate) retry: bool,
	/// The job, if one was requested.
	pub(crate) assay: Option<Value>,
}

impl ApiError {
	/// Returns an error that the same request meets again.
	pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
		Self {
			status,
			code,
			param: None,
			message: message.into(),
			retry_after: None,
			retry: false,
			assay: None,
		}
	}

	/// Returns the error of a request whose field is wrong.
	pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
		Self::new(StatusCode::BAD_REQUEST, "invalid_value", message).param(param)
	}

	/// Returns the error of a field that has no meaning here.
	pub(crate) fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
		Self {
			code: "unsupported_parameter",
			..Self::invalid(param, message)
		}
	}

	/// Returns an error that goes away by itself.
	pub(crate) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
		Self {
			retry_after: Some(RETRY_SECONDS),
			retry: true,
			..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
		}
	}

	/// Names the field that is wrong; an empty name is none.
	pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
		let param = param.into();
		self.param = (!param.is_empty()).then_some(param);
		self
	}

	/// Returns OpenAI's name of the kind of error.
	fn openai_type(&self) -> &'static str {
		match self.status.as_u16() {
			402 | 429 => "insufficient_quota",
			500.. => "server_error",
			_ => "invalid_request_error",
		}
	}

	/// Returns Anthropic's name of the kind of error.
	fn anthropic_type(&self) -> &'static str {
		match self.status.as_u16() {
			401 => "authentication_error",
			402 => "billing_error",
			403 => "permission_error",
			404 | 405 => "not_found_error",
			413 => "request_too_large",
			429 => "rate_limit_error",
			408 | 504 => "timeout_error",
			503 => "overloaded_error",
			500.. => "api_error",
			_ => "invalid_request_error",
		}
	}

	/// Returns the error in OpenAI's form.
	pub(crate) fn openai(&self) -> Value {
		json!({ "error": self.fields(self.openai_type()) })
	}

	/// Returns the error in Anthropic's form.
	pub(crate) fn anthropic(&self) -> Value {
		json!({ "type": "error", "error": self.fields(self.anthropic_type()) })
	}

	fn fields(&self, kind: &str) -> Value {
		let mut fields = Map::new();
		fields.insert("message".into(), self.message.clone().into());
		fields.insert("type".into(), kind.into());
		fields.insert("param".into(), self.param.clone().into());
		fields.insert("code".into(), self.code.into());
		if let Some(assay) = &self.assay {
			fields.insert("assay".into(), assay.clone());
		}
		fields.into()
	}
}

impl IntoResponse for ApiError {
	/// Returns a response without a body, which [`render`] writes: only it knows which form the client reads.
	fn into_response(self) -> Response {
		let mut response = self.status.into_response();
		response.extensions_mut().insert(self);
		response
	}
}

/// Writes the bodies of errors in the form that the client of the path reads.
pub(crate) async fn render(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
	let anthropic = is_anthropic(request.uri().path());
	let mut response = next.run(request).await;
	let Some(error) = response.extensions_mut().remove::<ApiError>() else {
		return response;
	};
	metrics.error(&error);
	let body = if anthropic { error.anthropic() } else { error.openai() };
	let (mut parts, _) = response.into_parts();
	parts.headers.remove(CONTENT_LENGTH);
	let mut written = (parts.status, Json(body)).into_response();
	let headers = written.headers_mut();
	headers.extend(
		parts
			.headers
			.into_iter()
			.filter_map(|(name, value)| Some((name?, value))),
	);
	headers.insert(
		SHOULD_RETRY,
		HeaderValue::from_static(if error.retry { "true" } else { "false" }),
	);
	if let Some(seconds) = error.retry_after {
		headers.insert(RETRY_AFTER, seconds.into());
	}
	written
}

/// Returns whether clients of Anthropic use this path.
pub(crate) fn is_anthropic(path: &str) -> bool {
	path == "/v1/messages" || path.starts_with("/v1/messages/")
}

impl From<NetworkError> for ApiError {
	fn from(error: NetworkError) -> Self {
		let message = error.to_string();
		match error {
			NetworkError::UnknownModel(_) => {
				Self::new(StatusCode::NOT_FOUND, "model_not_found", message).param("model")
			}
			NetworkError::Refused { param, .. } => {
				Self::new(StatusCode::BAD_REQUEST, "refused_by_chain", message).param(param.unwrap_or_default())
			}
			NetworkError::NoProvider(_) => Self::unavailable("no_provider", message),
			NetworkError::Unfunded(_) => Self::new(StatusCode::PAYMENT_REQUIRED, "insufficient_quota", message),
			// The quote has just grown; the next try reads the new one.
			NetworkError::TooExpensive { .. } => Self::unavailable("price_changed", message),
			NetworkError::KeyReused => Self::new(
				StatusCode::UNPROCESSABLE_ENTITY,
				"idempotency_key_reused",
				format!("{message}; choose a new `Idempotency-Key`, or repeat the first request unchanged"),
			),
			NetworkError::Unreachable(_) => Self::unavailable("node_unreachable", message),
			NetworkError::Internal(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message),
		}
	}
}
