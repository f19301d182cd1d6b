//! Answers in the form of the Responses API.

use super::tools::Names;
use crate::{
	answer::{Answer, Assay},
	error::ApiError,
	openai::{call_id, digits},
	service::seconds,
};
use assay_primitives::{chat::call::Call, json::Json, FinishReason, JobId};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// A response.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ResponseObject {
	/// The name of the answer, made of its job.
	id: String,
	object: &'static str,
	/// When it was begun, in seconds since 1970.
	created_at: u64,
	/// `in_progress`, `completed`, `incomplete` or `failed`.
	status: &'static str,
	error: Option<Failed>,
	incomplete_details: Option<Incomplete>,
	background: bool,
	/// Nothing is stored.
	store: bool,
	previous_response_id: Option<String>,
	truncation: &'static str,
	#[serde(flatten)]
	said: Said,
	output: Vec<Item>,
	usage: Option<Usage>,
	assay: Assay,
}

/// What an answer repeats of its request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Said {
	/// The model as the request named it.
	pub(super) model: String,
	pub(super) instructions: Option<String>,
	pub(super) max_output_tokens: Option<u64>,
	#[schema(value_type = Object)]
	pub(super) metadata: Json,
	pub(super) parallel_tool_calls: bool,
	pub(super) temperature: f64,
	#[schema(value_type = Object)]
	pub(super) text: Json,
	#[schema(value_type = Object)]
	pub(super) tool_choice: Json,
	#[schema(value_type = Vec<Object>)]
	pub(super) tools: Json,
	pub(super) top_p: f64,
}

/// Why there is no answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Failed {
	code: &'static str,
	message: String,
}

/// Why an answer is not complete.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Incomplete {
	reason: &'static str,
}

/// A part of an answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
	/// What the model wrote between `<think>` and `</think>` before it answered.
	Reasoning {
		id: String,
		summary: [String; 0],
		content: Vec<Part>,
		status: &'static str,
	},
	/// Text.
	Message {
		id: String,
		role: &'static str,
		content: Vec<Part>,
		status: &'static str,
	},
	/// A call of a function.
	FunctionCall {
		id: String,
		call_id: String,
		name: String,
		/// The namespace that its function is in.
		#[serde(skip_serializing_if = "Option::is_none")]
		namespace: Option<String>,
		/// A JSON object as a text.
		arguments: String,
		status: &'static str,
	},
}

/// A part of an item.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part {
	/// Reasoning.
	ReasoningText { text: String },
	/// Text.
	OutputText {
		text: String,
		annotations: [String; 0],
		logprobs: [String; 0],
	},
}

/// Tokens of a job, as its verifiers counted them. Which of them are reasoning is not counted, and nothing is cached.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = ResponseUsage)]
struct Usage {
	input_tokens: u32,
	input_tokens_details: InputDetails,
	output_tokens: u32,
	output_tokens_details: OutputDetails,
	total_tokens: u32,
}

#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
struct InputDetails {
	cached_tokens: u32,
	cache_write_tokens: u32,
}

#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
struct OutputDetails {
	reasoning_tokens: u32,
}

impl ResponseObject {
	/// Returns a response before its first word.
	pub(super) fn begun(said: Said, assay: &Assay) -> Self {
		Self {
			id: format!("resp_{}", digits(&assay.job)),
			object: "response",
			created_at: seconds(),
			status: IN_PROGRESS,
			error: None,
			incomplete_details: None,
			background: false,
			store: false,
			previous_response_id: None,
			truncation: "disabled",
			said,
			output: Vec::new(),
			usage: None,
			assay: assay.clone(),
		}
	}

	/// Returns the response with the whole answer.
	pub(super) fn whole(self, answer: Answer) -> Self {
		let mut output = Output::new(&self);
		if !answer.parts.reasoning.is_empty() {
			output.reason(&answer.parts.reasoning);
		}
		if !answer.parts.content.is_empty() {
			output.write(&answer.parts.content);
		}
		answer.parts.calls.iter().for_each(|call| output.call(call));
		if output.items.is_empty() {
			output.write("");
		}
		self.ended(output, answer)
	}

	/// Returns the response when its answer is complete.
	pub(super) fn ended(self, mut output: Output, answer: Answer) -> Self {
		let cut = answer.finish == FinishReason::Length;
		output.end(cut);
		Self {
			status: if cut { INCOMPLETE } else { COMPLETED },
			incomplete_details: cut.then_some(Incomplete {
				reason: "max_output_tokens",
			}),
			output: output.items,
			usage: Some(Usage {
				input_tokens: answer.input_tokens,
				input_tokens_details: InputDetails::default(),
				output_tokens: answer.output_tokens,
				output_tokens_details: OutputDetails::default(),
				total_tokens: answer.input_tokens.saturating_add(answer.output_tokens),
			}),
			assay: answer.assay,
			..self
		}
	}

	/// Returns the response when there is no answer.
	pub(super) fn failed(self, output: Output, error: &ApiError) -> Self {
		// A name that the protocol has: by any other, agents ask again by themselves what is refused again.
		let code = match (error.status, error.code) {
			(_, code @ "context_length_exceeded") => code,
			(StatusCode::BAD_REQUEST, _) => "invalid_prompt",
			(_, code) => code,
		};
		Self {
			status: "failed",
			error: Some(Failed {
				code,
				message: error.message.clone(),
			}),
			output: output.items,
			..self
		}
	}

	/// Returns the items.
	pub(super) fn output(&self) -> &[Item] {
		&self.output
	}

	/// Returns whether the answer was cut off.
	pub(super) fn is_cut(&self) -> bool {
		self.incomplete_details.is_some()
	}
}

const IN_PROGRESS: &str = "in_progress";
const COMPLETED: &str = "completed";
const INCOMPLETE: &str = "incomplete";

/// The items of an answer in the making.
pub(super) struct Output {
	job: JobId,
	names: Names,
	pub(super) items: Vec<Item>,
	/// Calls so far.
	calls: usize,
}

impl Output {
	pub(super) fn new(response: &ResponseObject) -> Self {
		Self {
			job: response.assay.job,
			names: Names::of(&response.said.tools),
			items: Vec::new(),
			calls: 0,
		}
	}

	/// Adds reasoning, in an item of its own unless the last one is reasoning.
	pub(super) fn reason(&mut self, more: &str) {
		if !matches!(self.items.last(), Some(Item::Reasoning { .. })) {
			self.items.push(Item::Reasoning {
				id: self.id("rs"),
				summary: [],
				content: vec![Part::ReasoningText { text: String::new() }],
				status: IN_PROGRESS,
			});
		}
		self.grow(more);
	}

	/// Adds text, in an item of its own unless the last one is text.
	pub(super) fn write(&mut self, more: &str) {
		if !matches!(self.items.last(), Some(Item::Message { .. })) {
			self.items.push(Item::Message {
				id: self.id("msg"),
				role: "assistant",
				content: vec![Part::empty_text()],
				status: IN_PROGRESS,
			});
		}
		self.grow(more);
	}

	/// Adds a call.
	pub(super) fn call(&mut self, call: &Call) {
		let (namespace, name) = self.names.parts(&call.name);
		self.items.push(Item::FunctionCall {
			id: call_id("fc", self.calls, &self.job),
			call_id: call_id("call", self.calls, &self.job),
			name: name.into(),
			namespace: namespace.map(String::from),
			arguments: serde_json::to_string(&call.arguments).unwrap_or_default(),
			status: IN_PROGRESS,
		});
		self.calls = self.calls.saturating_add(1);
	}

	fn id(&self, prefix: &str) -> String {
		call_id(prefix, self.items.len(), &self.job)
	}

	fn grow(&mut self, more: &str) {
		if let Some(Part::ReasoningText { text } | Part::OutputText { text, .. }) =
			self.items.last_mut().and_then(|item| item.parts_mut()?.last_mut())
		{
			text.push_str(more);
		}
	}

	/// Ends all items, the last one as cut off if it was.
	fn end(&mut self, cut: bool) {
		self.items.iter_mut().for_each(|item| *item.status_mut() = COMPLETED);
		if let Some(last) = self.items.last_mut().filter(|_| cut) {
			*last.status_mut() = INCOMPLETE;
		}
	}
}

impl Part {
	fn empty_text() -> Self {
		Self::OutputText {
			text: String::new(),
			annotations: [],
			logprobs: [],
		}
	}

	/// Returns the part before its first word.
	fn emptied(&self) -> Self {
		match self {
			Self::ReasoningText { .. } => Self::ReasoningText { text: String::new() },
			Self::OutputText { .. } => Self::empty_text(),
		}
	}

	pub(super) fn text(&self) -> &str {
		match self {
			Self::ReasoningText { text } | Self::OutputText { text, .. } => text,
		}
	}
}

impl Item {
	pub(super) fn id(&self) -> &str {
		match self {
			Self::Reasoning { id, .. } | Self::Message { id, .. } | Self::FunctionCall { id, .. } => id,
		}
	}

	/// Returns its only part; none of a call.
	pub(super) fn part(&self) -> Option<&Part> {
		match self {
			Self::Reasoning { content, .. } | Self::Message { content, .. } => content.first(),
			Self::FunctionCall { .. } => None,
		}
	}

	/// Returns the item as a stream begins it: without its part or its arguments; and the part before its first word.
	pub(super) fn begun(&self) -> (Self, Option<Part>) {
		let part = self.part().map(Part::emptied);
		let mut begun = self.clone();
		match &mut begun {
			Self::Reasoning { content, .. } | Self::Message { content, .. } => content.clear(),
			Self::FunctionCall { arguments, .. } => arguments.clear(),
		}
		(begun, part)
	}

	fn parts_mut(&mut self) -> Option<&mut Vec<Part>> {
		match self {
			Self::Reasoning { content, .. } | Self::Message { content, .. } => Some(content),
			Self::FunctionCall { .. } => None,
		}
	}

	fn status_mut(&mut self) -> &mut &'static str {
		match self {
			Self::Reasoning { status, .. } | Self::Message { status, .. } | Self::FunctionCall { status, .. } => status,
		}
	}
}
