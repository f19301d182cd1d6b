//! Anthropic's endpoints for messages.

mod message;
mod request;
mod response;
mod stream;

pub(crate) use request::{Choice, MessagesRequest, OutputConfig};
pub(crate) use response::Message;

use crate::{
	error::ApiError,
	request::{parse, read_body, Notes, Options},
	service::Service,
	stream::{respond, whole},
};
use axum::{
	body::Body,
	extract::State,
	http::{HeaderMap, StatusCode},
	response::Response,
};
use std::sync::Arc;
use stream::MessageStream;

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
	headers: HeaderMap,
	body: Body,
) -> Result<Response, ApiError> {
	let body = read_body(body, &headers, service.config.timeouts.body).await?;
	let options = Options::parse(&headers, &service.config)?;
	let mut notes = Notes::default();
	let request: MessagesRequest = parse(&body, &mut notes)?;
	let stream = request.stream.unwrap_or(false);
	let (model, stops) = (
		request.model.clone(),
		request.stop_sequences.clone().unwrap_or_default(),
	);
	let prepared = request.prepare(&service, notes).await?;
	let (reader, headers) = service.begin(prepared, &options, &body).await?;
	if stream {
		let protocol = MessageStream {
			model,
			stops,
			next: 0,
			in_text: false,
			calls: 0,
		};
		return Ok(respond(reader, protocol, service.config.timeouts.keep_alive, headers));
	}
	Ok(whole(reader, headers, |answer| Message::new(&model, &stops, answer)).await)
}

/// Refuses to count tokens: only those who serve a model have its tokenizer.
#[utoipa::path(
	post,
	path = "/v1/messages/count_tokens",
	responses((status = 501, description = "This server has no tokenizers"))
)]
pub(crate) async fn count_tokens() -> ApiError {
	ApiError::new(
		StatusCode::NOT_IMPLEMENTED,
		"not_supported",
		"this server has no tokenizers, so it cannot count tokens beforehand; `usage` of each answer has the exact numbers, \
		 and a prompt has at most as many tokens as bytes",
	)
}
