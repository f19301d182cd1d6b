//! Responses as server-sent events. Items are done only when the answer is: whoever acts on a call that is done acts on a
//! checked one.

use super::{
	kept::KeptItems,
	response::{Item, Output, Part, ResponseObject},
};
use crate::{
	answer::{Answer, Assay},
	error::ApiError,
	stream::{Frame, Protocol},
};
use assay_primitives::chat::call::Call;
use serde_json::{json, Value};
use std::sync::Arc;

/// A response.
pub(super) struct ResponseStream {
	head: ResponseObject,
	output: Output,
	/// Number of the next event.
	next: u64,
	/// Where the answer's items are kept; none if the client does not want it.
	kept: Option<Arc<KeptItems>>,
}

impl ResponseStream {
	pub(super) fn new(head: ResponseObject, kept: Option<Arc<KeptItems>>) -> Self {
		Self {
			output: Output::new(&head),
			head,
			next: 0,
			kept,
		}
	}

	fn event(&mut self, name: &'static str, fields: Value) -> Frame {
		let mut event = json!({ "type": name, "sequence_number": self.next });
		self.next = self.next.saturating_add(1);
		if let (Value::Object(event), Value::Object(fields)) = (&mut event, fields) {
			event.extend(fields);
		}
		Frame::named(name, &event)
	}

	/// Returns the events of what the last item has grown by, and of its beginning if there were only `before` items.
	fn grown(&mut self, before: usize, delta: &str) -> Vec<Frame> {
		let index = self.output.items.len().saturating_sub(1);
		let Some(item) = self.output.items.last() else {
			return Vec::new();
		};
		let (id, (begun, part)) = (item.id().to_string(), item.begun());
		let mut frames = Vec::new();
		if index >= before {
			let fields = json!({ "output_index": index, "item": begun });
			frames.push(self.event("response.output_item.added", fields));
			if let Some(part) = &part {
				let fields = json!({ "item_id": id, "output_index": index, "content_index": 0, "part": part });
				frames.push(self.event("response.content_part.added", fields));
			}
		}
		let mut fields = json!({ "item_id": id, "output_index": index, "delta": delta, "assay": { "draft": true } });
		let name = match part {
			Some(Part::ReasoningText { .. }) => "response.reasoning_text.delta",
			Some(Part::OutputText { .. }) => "response.output_text.delta",
			None => "response.function_call_arguments.delta",
		};
		add_part(&mut fields, part.as_ref());
		frames.push(self.event(name, fields));
		frames
	}

	/// Returns the events of an item's end.
	fn done(&mut self, index: usize, item: &Item) -> Vec<Frame> {
		let mut frames = Vec::new();
		let mut fields = json!({ "item_id": item.id(), "output_index": index });
		match (item.part(), item) {
			(Some(part), _) => {
				let name = match part {
					Part::ReasoningText { .. } => "response.reasoning_text.done",
					Part::OutputText { .. } => "response.output_text.done",
				};
				let whole = json!({ "item_id": item.id(), "output_index": index, "content_index": 0, "part": part });
				set(&mut fields, "text", part.text().into());
				add_part(&mut fields, Some(part));
				frames.push(self.event(name, fields));
				frames.push(self.event("response.content_part.done", whole));
			}
			(None, Item::FunctionCall { name, arguments, .. }) => {
				set(&mut fields, "name", name.as_str().into());
				set(&mut fields, "arguments", arguments.as_str().into());
				frames.push(self.event("response.function_call_arguments.done", fields));
			}
			(None, _) => {}
		}
		let fields = json!({ "output_index": index, "item": item });
		frames.push(self.event("response.output_item.done", fields));
		frames
	}

	fn write(&mut self, text: &str) -> Vec<Frame> {
		let before = self.output.items.len();
		self.output.write(text);
		self.grown(before, text)
	}
}

fn set(fields: &mut Value, key: &str, value: Value) {
	if let Value::Object(fields) = fields {
		fields.insert(key.into(), value);
	}
}

/// Adds what events of a part have: its number, and its probabilities, which nobody publishes.
fn add_part(fields: &mut Value, part: Option<&Part>) {
	if part.is_some() {
		set(fields, "content_index", 0.into());
	}
	if let Some(Part::OutputText { .. }) = part {
		set(fields, "logprobs", json!([]));
	}
}

impl Protocol for ResponseStream {
	type Whole = ResponseObject;

	fn whole(self, answer: Answer) -> ResponseObject {
		let response = self.head.whole(answer);
		if let Some(kept) = &self.kept {
			kept.keep(&response);
		}
		response
	}

	fn begin(&mut self, _: &Assay) -> Vec<Frame> {
		let response = json!({ "response": self.head });
		vec![
			self.event("response.created", response.clone()),
			self.event("response.in_progress", response),
		]
	}

	fn reasoning(&mut self, text: String) -> Vec<Frame> {
		let before = self.output.items.len();
		self.output.reason(&text);
		self.grown(before, &text)
	}

	fn text(&mut self, text: String) -> Vec<Frame> {
		self.write(&text)
	}

	fn call(&mut self, call: &Call, _: &Assay) -> Vec<Frame> {
		let before = self.output.items.len();
		self.output.call(call);
		let arguments = serde_json::to_string(&call.arguments).unwrap_or_default();
		self.grown(before, &arguments)
	}

	fn end(&mut self, answer: Answer) -> Vec<Frame> {
		let mut frames = Vec::new();
		if self.output.items.is_empty() {
			frames.extend(self.write(""));
		}
		let output = std::mem::replace(&mut self.output, Output::new(&self.head));
		let response = self.head.clone().ended(output, answer);
		if let Some(kept) = &self.kept {
			kept.keep(&response);
		}
		for (index, item) in response.output().iter().enumerate() {
			frames.extend(self.done(index, item));
		}
		let name = if response.is_cut() {
			"response.incomplete"
		} else {
			"response.completed"
		};
		frames.push(self.event(name, json!({ "response": response })));
		frames
	}

	fn failed(&mut self, error: &ApiError) -> Frame {
		let output = std::mem::replace(&mut self.output, Output::new(&self.head));
		let response = self.head.clone().failed(output, error);
		let mut fields = json!({ "response": response });
		// Official clients raise what has `error`, and only then.
		if let Value::Object(error) = error.openai() {
			error.into_iter().for_each(|(key, value)| set(&mut fields, &key, value));
		}
		self.event("response.failed", fields)
	}
}
