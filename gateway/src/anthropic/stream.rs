//! Answers as Anthropic's server-sent events.

use super::response::{start, tool_use_id, Ended, Message, StopReason, TokenCounts};
use crate::{
	answer::{Answer, Assay},
	error::ApiError,
	stream::{Frame, Protocol},
};
use assay_primitives::chat::call::Call;
use serde_json::{json, Value};

/// A block that grows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
	Thinking,
	Text,
}

/// An answer to a conversation.
pub(super) struct MessageStream {
	/// The model as the request named it.
	pub(super) model: String,
	/// The stop strings of the request.
	pub(super) stops: Vec<String>,
	/// Number of the next block.
	pub(super) next: usize,
	/// The block that is open.
	pub(super) open: Option<Kind>,
	/// Calls so far.
	pub(super) calls: usize,
}

impl MessageStream {
	fn start(&self, block: Value) -> Frame {
		let event = json!({ "type": "content_block_start", "index": self.next, "content_block": block });
		Frame::named("content_block_start", &event)
	}

	fn grow(&self, delta: Value) -> Frame {
		let event = json!({ "type": "content_block_delta", "index": self.next, "delta": delta });
		Frame::named("content_block_delta", &event)
	}

	fn close(&mut self) -> Frame {
		let event = json!({ "type": "content_block_stop", "index": self.next });
		self.next = self.next.saturating_add(1);
		Frame::named("content_block_stop", &event)
	}

	fn close_open(&mut self) -> Option<Frame> {
		self.open.take().map(|_| self.close())
	}

	/// Adds to a block of a kind, and begins it if another one is open.
	fn add(&mut self, kind: Kind, start: Value, delta: Value) -> Vec<Frame> {
		let mut frames = Vec::new();
		if self.open != Some(kind) {
			frames.extend(self.close_open());
			frames.push(self.start(start));
			self.open = Some(kind);
		}
		frames.push(self.grow(delta));
		frames
	}
}

impl Protocol for MessageStream {
	type Whole = Message;

	fn whole(self, answer: Answer) -> Message {
		Message::new(&self.model, &self.stops, answer)
	}

	fn begin(&mut self, assay: &Assay) -> Vec<Frame> {
		let event = json!({ "type": "message_start", "message": start(&self.model, assay) });
		vec![
			Frame::named("message_start", &event),
			Frame::named("ping", &json!({ "type": "ping" })),
		]
	}

	fn reasoning(&mut self, text: String) -> Vec<Frame> {
		self.add(
			Kind::Thinking,
			json!({ "type": "thinking", "thinking": "", "signature": "" }),
			json!({ "type": "thinking_delta", "thinking": text }),
		)
	}

	fn text(&mut self, text: String) -> Vec<Frame> {
		self.add(
			Kind::Text,
			json!({ "type": "text", "text": "" }),
			json!({ "type": "text_delta", "text": text }),
		)
	}

	fn call(&mut self, call: &Call, assay: &Assay) -> Vec<Frame> {
		let id = tool_use_id(self.calls, &assay.job);
		self.calls = self.calls.saturating_add(1);
		let mut frames: Vec<_> = self.close_open().into_iter().collect();
		frames.push(self.start(json!({ "type": "tool_use", "id": id, "name": call.name, "input": {} })));
		let arguments = serde_json::to_string(&call.arguments).unwrap_or_default();
		frames.push(self.grow(json!({ "type": "input_json_delta", "partial_json": arguments })));
		frames.push(self.close());
		frames
	}

	fn end(&mut self, answer: Answer) -> Vec<Frame> {
		let mut frames: Vec<_> = self.close_open().into_iter().collect();
		let stop = StopReason::of(&answer, &self.stops);
		let event = Ended {
			kind: "message_delta",
			delta: stop,
			usage: TokenCounts::of(&answer),
			assay: answer.assay,
		};
		frames.push(Frame::named("message_delta", &event));
		frames.push(Frame::named("message_stop", &json!({ "type": "message_stop" })));
		frames
	}

	fn failed(&mut self, error: &ApiError) -> Frame {
		Frame::named("error", &error.anthropic())
	}
}
