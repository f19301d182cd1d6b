//! OpenAI's endpoint for responses, without what it would have to store for good.

mod input;
mod kept;
mod request;
mod response;
mod stream;
mod tools;

pub(crate) use kept::KeptItems;
pub(crate) use request::{ResponsesRequest, TextOptions};
pub(crate) use response::ResponseObject;

use crate::{answer::Assay, error::ApiError, request::Received, service::Service, stream::answer};
use axum::{extract::State, response::Response};
use std::sync::Arc;
use stream::ResponseStream;

/// Answers a conversation that is sent whole, but for items of answers that were given lately.
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
	received: Received<ResponsesRequest>,
) -> Result<Response, ApiError> {
	let Received {
		body,
		options,
		request,
		notes,
	} = received;
	let streamed = request.stream.unwrap_or(false);
	let said = request.said();
	let kept = request.keeps().then(|| service.items.clone());
	let prepared = request.prepare(&service, &options, notes).await?;
	let protocol = |assay: &Assay| ResponseStream::new(ResponseObject::begun(said, assay), kept);
	answer(&service, prepared, &options, &body, streamed, protocol).await
}
