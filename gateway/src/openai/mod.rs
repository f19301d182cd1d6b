//! OpenAI's endpoints for completions.

mod message;
mod request;
mod response;
mod stream;

pub(crate) use request::{is_neutral, CompletionRequest, StreamOptions};
pub(crate) use response::{call_id, digits, ChatChunk, ChatCompletion, Completion};

use crate::{answer::Assay, error::ApiError, request::Received, service::Service, stream::answer};
use axum::{extract::State, response::Response};
use response::Head;
use std::sync::Arc;
use stream::{ChatStream, TextStream};

/// Answers a conversation.
#[utoipa::path(
	post,
	path = "/v1/chat/completions",
	request_body = CompletionRequest,
	responses(
		(status = 200, description = "The answer, or its chunks as `text/event-stream`", body = ChatCompletion),
		(status = 400, description = "The request is refused, and nothing was spent"),
	)
)]
pub(crate) async fn chat(
	State(service): State<Arc<Service>>,
	received: Received<CompletionRequest>,
) -> Result<Response, ApiError> {
	let Received {
		body,
		options,
		request,
		notes,
	} = received;
	let (streamed, include_usage) = request.streams();
	let named = request.model.clone();
	let prepared = request.chat(&service, &options, notes).await?;
	let object = if streamed {
		"chat.completion.chunk"
	} else {
		"chat.completion"
	};
	let protocol = |assay: &Assay| ChatStream {
		head: Head::new("chatcmpl", object, &named, assay),
		include_usage,
		calls: 0,
	};
	answer(&service, prepared, &options, &body, streamed, protocol).await
}

/// Answers a text, as one message of a user.
#[utoipa::path(
	post,
	path = "/v1/completions",
	request_body = CompletionRequest,
	responses(
		(status = 200, description = "The answer, or its chunks as `text/event-stream`", body = Completion),
		(status = 400, description = "The request is refused, and nothing was spent"),
	)
)]
pub(crate) async fn completion(
	State(service): State<Arc<Service>>,
	received: Received<CompletionRequest>,
) -> Result<Response, ApiError> {
	let Received {
		body,
		options,
		request,
		notes,
	} = received;
	let (streamed, include_usage) = request.streams();
	let named = request.model.clone();
	let prepared = request.completion(&service, notes).await?;
	let protocol = |assay: &Assay| TextStream {
		head: Head::new("cmpl", "text_completion", &named, assay),
		include_usage,
	};
	answer(&service, prepared, &options, &body, streamed, protocol).await
}
