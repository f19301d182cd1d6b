//! Answers in the form of a protocol: whole, or as server-sent events.

use crate::{
	answer::{Answer, Assay, Reader, Step},
	error::ApiError,
	request::Options,
	service::{Prepared, Service},
};
use assay_primitives::chat::call::Call;
use axum::{
	http::{
		header::{CACHE_CONTROL, CONNECTION},
		HeaderMap, HeaderName, HeaderValue,
	},
	response::{
		sse::{Event, KeepAlive, Sse},
		IntoResponse, Response,
	},
	Json,
};
use futures::stream;
use serde::Serialize;
use std::{collections::VecDeque, convert::Infallible, time::Duration};

/// Keeps proxies from holding the events back.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Writes an answer: whole, or its steps as events.
pub(crate) trait Protocol: Send + 'static {
	/// A whole answer.
	type Whole: Serialize;

	/// Returns the whole answer.
	fn whole(self, answer: Answer) -> Self::Whole;
	/// Returns the events before the first step.
	fn begin(&mut self, assay: &Assay) -> Vec<Frame>;
	/// Returns the events of more reasoning.
	fn reasoning(&mut self, text: String) -> Vec<Frame>;
	/// Returns the events of more text.
	fn text(&mut self, text: String) -> Vec<Frame>;
	/// Returns the events of a call.
	fn call(&mut self, call: &Call, assay: &Assay) -> Vec<Frame>;
	/// Returns the events of the end.
	fn end(&mut self, answer: Answer) -> Vec<Frame>;
	/// Returns the event of an error, which official clients raise.
	fn failed(&mut self, error: &ApiError) -> Frame;
}

/// One event.
pub(crate) struct Frame {
	name: Option<&'static str>,
	data: String,
}

impl Frame {
	/// Returns an event without a name.
	pub(crate) fn data(value: &impl Serialize) -> Self {
		Self {
			name: None,
			data: serde_json::to_string(value).unwrap_or_default(),
		}
	}

	/// Returns an event with a name.
	pub(crate) fn named(name: &'static str, value: &impl Serialize) -> Self {
		Self {
			name: Some(name),
			..Self::data(value)
		}
	}

	/// Returns an event whose data is no JSON.
	pub(crate) fn raw(data: &str) -> Self {
		Self {
			name: None,
			data: data.into(),
		}
	}

	fn into_event(self) -> Event {
		let event = match self.name {
			Some(name) => Event::default().event(name),
			None => Event::default(),
		};
		event.data(self.data)
	}
}

/// Events of an answer in the making.
struct Events<P> {
	reader: Reader,
	protocol: P,
	due: VecDeque<Frame>,
	begun: bool,
	ended: bool,
}

impl<P: Protocol> Events<P> {
	async fn next(&mut self) -> Option<Frame> {
		loop {
			if let Some(frame) = self.due.pop_front() {
				return Some(frame);
			}
			if self.ended {
				return None;
			}
			if !std::mem::replace(&mut self.begun, true) {
				self.due.extend(self.protocol.begin(self.reader.assay()));
				continue;
			}
			match self.reader.step().await {
				Step::Reasoning(text) => self.due.extend(self.protocol.reasoning(text)),
				Step::Text(text) => self.due.extend(self.protocol.text(text)),
				Step::Call(call) => self.due.extend(self.protocol.call(&call, self.reader.assay())),
				Step::End(answer) => {
					self.due.extend(self.protocol.end(*answer));
					self.ended = true;
				}
				Step::Failed(error) => {
					self.reader.count(&error);
					self.due.push_back(self.protocol.failed(&error));
					self.ended = true;
				}
			}
		}
	}
}

/// Requests the job of a request, or finds it, and answers in the request's protocol, which is made of what is known of the
/// job by then.
pub(crate) async fn answer<P: Protocol>(
	service: &Service,
	prepared: Prepared,
	options: &Options,
	body: &[u8],
	streamed: bool,
	protocol: impl FnOnce(&Assay) -> P,
) -> Result<Response, ApiError> {
	let (reader, headers) = service.begin(prepared, options, body).await?;
	let protocol = protocol(reader.assay());
	if streamed {
		return Ok(respond(reader, protocol, service.config.timeouts.keep_alive, headers));
	}
	Ok(whole(reader, protocol, headers).await)
}

/// Returns a response with the whole answer.
async fn whole<P: Protocol>(reader: Reader, protocol: P, headers: HeaderMap) -> Response {
	match reader.finish().await {
		Ok(answer) => (headers, Json(protocol.whole(answer))).into_response(),
		Err(error) => (headers, error).into_response(),
	}
}

/// Returns a response that streams an answer. The connection asks for the next event when there is room for it, so a slow
/// client holds up nobody else.
fn respond<P: Protocol>(reader: Reader, protocol: P, keep_alive: Duration, headers: HeaderMap) -> Response {
	let events = Events {
		reader,
		protocol,
		due: VecDeque::new(),
		begun: false,
		ended: false,
	};
	let events = stream::unfold(events, |mut events| async {
		let frame = events.next().await?;
		Some((Ok::<_, Infallible>(frame.into_event()), events))
	});
	let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(keep_alive).text("keep-alive"));
	let mut response = (headers, sse).into_response();
	let headers = response.headers_mut();
	headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
	headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
	headers.insert(BUFFERING, HeaderValue::from_static("no"));
	response
}
