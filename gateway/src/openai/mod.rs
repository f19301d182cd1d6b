//! OpenAI's endpoints for completions.

mod message;
mod request;
mod response;
mod stream;

pub(crate) use request::{is_neutral, CompletionRequest, StreamOptions};
pub(crate) use response::{call_id, digits, ChatChunk, ChatCompletion, Completion};

use crate::{
	error::ApiError,
	request::Received,
	service::Service,
	stream::{respond, whole},
};
use axum::{body::Body, extract::State, http::HeaderMap, response::Response};
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
	headers: HeaderMap,
	body: Body,
) -> Result<Response, ApiError> {
	let Received {
		body,
		options,
		request,
		notes,
	} = Received::<CompletionRequest>::read(&headers, body, &service.config).await?;
	let (stream, include_usage) = request.streams();
	let named = request.model.clone();
	let prepared = request.chat(&service, &options, notes).await?;
	let (reader, headers) = service.begin(prepared, &options, &body).await?;
	let object = if stream {
		"chat.completion.chunk"
	} else {
		"chat.completion"
	};
	let head = Head::new("chatcmpl", object, &named, reader.assay());
	if stream {
		let protocol = ChatStream {
			head,
			include_usage,
			calls: 0,
		};
		return Ok(respond(reader, protocol, service.config.timeouts.keep_alive, headers));
	}
	Ok(whole(reader, headers, |answer| ChatCompletion::new(head, answer)).await)
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
	headers: HeaderMap,
	body: Body,
) -> Result<Response, ApiError> {
	let Received {
		body,
		options,
		request,
		notes,
	} = Received::<CompletionRequest>::read(&headers, body, &service.config).await?;
	let (stream, include_usage) = request.streams();
	let named = request.model.clone();
	let prepared = request.completion(&service, notes).await?;
	let (reader, headers) = service.begin(prepared, &options, &body).await?;
	let head = Head::new("cmpl", "text_completion", &named, reader.assay());
	if stream {
		let protocol = TextStream { head, include_usage };
		return Ok(respond(reader, protocol, service.config.timeouts.keep_alive, headers));
	}
	Ok(whole(reader, headers, |answer| Completion::new(head, answer)).await)
}
