//! Anthropic's endpoints for messages.

mod message;
mod request;
mod response;
mod stream;

pub(crate) use request::{Choice, MessagesRequest, OutputConfig};
pub(crate) use response::Message;

use crate::{answer::Assay, error::ApiError, request::Received, service::Service, stream::answer};
use axum::{extract::State, http::StatusCode, response::Response, Json};
use serde::Serialize;
use std::sync::Arc;
use stream::MessageStream;
use utoipa::ToSchema;

/// Answers a conversation.
#[utoipa::path(
	post,
	path = "/v1/messages",
	request_body = MessagesRequest,
	responses(
		(status = 200, description = "The answer, or its events as `text/event-stream`", body = Message),
		(status = 400, description = "The request is refused, and nothing was spent"),
	)
)]
pub(crate) async fn messages(
	State(service): State<Arc<Service>>,
	received: Received<MessagesRequest>,
) -> Result<Response, ApiError> {
	let Received {
		body,
		options,
		request,
		notes,
	} = received;
	if request.max_tokens.is_none() {
		return Err(ApiError::invalid(
			"max_tokens",
			"`max_tokens` is missing: say how long the answer may be",
		));
	}
	let streamed = request.stream.unwrap_or(false);
	let (model, stops) = (
		request.model.clone(),
		request.stop_sequences.clone().unwrap_or_default(),
	);
	let prepared = request.prepare(&service, &options, notes).await?;
	let protocol = |_: &Assay| MessageStream {
		model,
		stops,
		next: 0,
		open: None,
		calls: 0,
	};
	answer(&service, prepared, &options, &body, streamed, protocol).await
}

/// How many tokens a request has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenCount {
	/// The prompt's tokens, with what the model's template adds.
	input_tokens: u32,
}

/// Counts the tokens of a request, if the model's tokenizer is on this machine. Nothing is requested.
#[utoipa::path(
	post,
	path = "/v1/messages/count_tokens",
	request_body = MessagesRequest,
	responses(
		(status = 200, description = "The number of tokens", body = TokenCount),
		(status = 501, description = "This server does not have the model's tokenizer"),
	)
)]
pub(crate) async fn count_tokens(
	State(service): State<Arc<Service>>,
	received: Received<MessagesRequest>,
) -> Result<Json<TokenCount>, ApiError> {
	let Received {
		options,
		request,
		notes,
		..
	} = received;
	let prepared = request.prepare(&service, &options, notes).await?;
	let counted = service.network.count_tokens(prepared.model.id, &prepared.input).await?;
	let input_tokens = counted.ok_or_else(|| {
		ApiError::new(
			StatusCode::NOT_IMPLEMENTED,
			"not_supported",
			"this server does not have the model's tokenizer, so it cannot count its tokens beforehand: start it with the \
			 directory of the model (`assay serve --models`). `usage` of each answer has the exact numbers, and a prompt has \
			 at most as many tokens as bytes",
		)
	})?;
	Ok(Json(TokenCount { input_tokens }))
}
