//! Answers as OpenAI's server-sent events.

use super::response::{
	finish_reason, ChatChunk, ChatCompletion, ChunkAssay, ChunkChoice, Completion, Delta, Head, ToolCall, Usage,
};
use crate::{
	answer::{Answer, Assay},
	error::ApiError,
	stream::{Frame, Protocol},
};
use assay_primitives::chat::call::Call;

/// What ends a stream.
const DONE: &str = "[DONE]";

/// An answer to a conversation.
pub(super) struct ChatStream {
	pub(super) head: Head,
	/// Whether the last chunk counts the tokens.
	pub(super) include_usage: bool,
	/// Calls so far.
	pub(super) calls: usize,
}

impl ChatStream {
	fn chunk(&self, delta: Delta, finish_reason: Option<&'static str>, assay: ChunkAssay) -> Frame {
		Frame::data(&ChatChunk {
			head: self.head.clone(),
			choices: vec![ChunkChoice {
				index: 0,
				delta,
				logprobs: None,
				finish_reason,
			}],
			usage: self.include_usage.then_some(None),
			assay,
		})
	}
}

impl Protocol for ChatStream {
	type Whole = ChatCompletion;

	fn whole(self, answer: Answer) -> ChatCompletion {
		ChatCompletion::new(self.head, answer)
	}

	fn begin(&mut self, assay: &Assay) -> Vec<Frame> {
		let delta = Delta {
			role: Some("assistant"),
			content: Some(String::new()),
			..Delta::default()
		};
		vec![self.chunk(delta, None, ChunkAssay::whole(assay.clone()))]
	}

	fn reasoning(&mut self, text: String) -> Vec<Frame> {
		let delta = Delta {
			reasoning_content: Some(text),
			..Delta::default()
		};
		vec![self.chunk(delta, None, ChunkAssay::Draft { draft: true })]
	}

	fn text(&mut self, text: String) -> Vec<Frame> {
		let delta = Delta {
			content: Some(text),
			..Delta::default()
		};
		vec![self.chunk(delta, None, ChunkAssay::Draft { draft: true })]
	}

	fn call(&mut self, call: &Call, assay: &Assay) -> Vec<Frame> {
		let delta = Delta {
			tool_calls: vec![ToolCall::new(call, self.calls, &assay.job, true)],
			..Delta::default()
		};
		self.calls = self.calls.saturating_add(1);
		vec![self.chunk(delta, None, ChunkAssay::Draft { draft: true })]
	}

	fn end(&mut self, answer: Answer) -> Vec<Frame> {
		let reason = finish_reason(&answer);
		let usage = Usage::of(&answer);
		let mut frames = vec![self.chunk(Delta::default(), Some(reason), ChunkAssay::whole(answer.assay.clone()))];
		if self.include_usage {
			frames.push(Frame::data(&ChatChunk {
				head: self.head.clone(),
				choices: Vec::new(),
				usage: Some(Some(usage)),
				assay: ChunkAssay::whole(answer.assay),
			}));
		}
		frames.push(Frame::raw(DONE));
		frames
	}

	fn failed(&mut self, error: &ApiError) -> Frame {
		Frame::data(&error.openai())
	}
}

/// An answer to a text.
pub(super) struct TextStream {
	pub(super) head: Head,
	/// Whether the last chunk counts the tokens.
	pub(super) include_usage: bool,
}

impl Protocol for TextStream {
	type Whole = Completion;

	fn whole(self, answer: Answer) -> Completion {
		Completion::new(self.head, answer)
	}

	fn begin(&mut self, _: &Assay) -> Vec<Frame> {
		Vec::new()
	}

	fn reasoning(&mut self, _: String) -> Vec<Frame> {
		// A text is read as the model wrote it.
		Vec::new()
	}

	fn text(&mut self, text: String) -> Vec<Frame> {
		vec![Frame::data(&Completion::chunk(
			self.head.clone(),
			text,
			None,
			ChunkAssay::Draft { draft: true },
		))]
	}

	fn call(&mut self, _: &Call, _: &Assay) -> Vec<Frame> {
		// A text offers no tools, so its answer calls none.
		Vec::new()
	}

	fn end(&mut self, answer: Answer) -> Vec<Frame> {
		let reason = Some(finish_reason(&answer));
		let usage = Usage::of(&answer);
		let last = Completion::chunk(
			self.head.clone(),
			String::new(),
			reason,
			ChunkAssay::whole(answer.assay.clone()),
		);
		let mut frames = vec![Frame::data(&last)];
		if self.include_usage {
			frames.push(Frame::data(&Completion::usage(
				self.head.clone(),
				usage,
				ChunkAssay::whole(answer.assay),
			)));
		}
		frames.push(Frame::raw(DONE));
		frames
	}

	fn failed(&mut self, error: &ApiError) -> Frame {
		Frame::data(&error.openai())
	}
}
