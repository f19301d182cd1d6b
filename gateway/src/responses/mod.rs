//! OpenAI's endpoint for responses, without what it would have to store.

mod input;
mod request;
mod response;
mod stream;
mod tools;

pub(crate) use request::{ResponsesRequest, TextOptions};
pub(crate) use response::ResponseObject;

use crate::{
	error::ApiError,
	request::Received,
	service::Service,
	stream::{respond, whole},
};
use axum::{body::Body, extract::State, http::HeaderMap, response::Response};
use std::sync::Arc;
use stream::ResponseStream;

/// Answers a conversation that is sent whole: nothing is stored here.
#[utoipa::path(
	post,
	path = "/v1/responses",
	request_body = ResponsesRequest,
	responses(
		(status = 200, description = "The answer, or its events as `text/event-stream`", body = ResponseObject),
		(status = 400, description = "The request is refused, and nothing was spent"),
	)
)]
pub(crate) async fn create(
	State(service): State<Arc<Service>>,
	headers: HeaderMap,
	body: Body,
) -> Result<Response, ApiError> {
	let Received {
		body,
		options,
		request,
		notes,
	} = Received::<ResponsesRequest>::read(&headers, body, &service.config).await?;
	let stream = request.stream.unwrap_or(false);
	let said = request.said();
	let prepared = request.prepare(&service, &options, notes).await?;
	let (reader, headers) = service.begin(prepared, &options, &body).await?;
	let head = ResponseObject::begun(said, reader.assay());
	if stream {
		let protocol = ResponseStream::new(head);
		return Ok(respond(reader, protocol, service.config.timeouts.keep_alive, headers));
	}
	Ok(whole(reader, headers, |answer| head.whole(answer)).await)
}
