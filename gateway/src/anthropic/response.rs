//! Answers in Anthropic's form.

use crate::{
	answer::{Answer, Assay},
	openai::{call_id, digits},
	reading::Parts,
};
use assay_primitives::{json::Json, FinishReason, JobId};
use serde::Serialize;
use utoipa::ToSchema;

/// An answer to a conversation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
	/// The name of the answer, made of its job.
	id: String,
	#[serde(rename = "type")]
	kind: &'static str,
	role: &'static str,
	/// The model as the request named it.
	model: String,
	content: Vec<Block>,
	#[serde(flatten)]
	stop: StopReason,
	usage: TokenCounts,
	assay: Assay,
}

/// A part of an answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
	/// Reasoning. Nobody signs it: the signature is empty.
	Thinking { thinking: String, signature: &'static str },
	/// Text.
	Text { text: String },
	/// A call of a tool.
	ToolUse {
		id: String,
		name: String,
		#[schema(value_type = Object)]
		input: Json,
	},
}

/// Why an answer ended.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(super) struct StopReason {
	stop_reason: Option<&'static str>,
	/// The stop string that ended it; null too if it is one of several, because the text is cut before it.
	stop_sequence: Option<String>,
}

/// Tokens of a job, as its verifiers counted them.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub(super) struct TokenCounts {
	input_tokens: u32,
	output_tokens: u32,
}

/// The event of a complete answer.
#[derive(Debug, Serialize)]
pub(super) struct Ended {
	#[serde(rename = "type")]
	pub(super) kind: &'static str,
	pub(super) delta: StopReason,
	pub(super) usage: TokenCounts,
	pub(super) assay: Assay,
}

impl StopReason {
	pub(super) fn of(answer: &Answer, stops: &[String]) -> Self {
		let (reason, sequence) = match answer.finish {
			FinishReason::Length => ("max_tokens", None),
			_ if !answer.parts.calls.is_empty() => ("tool_use", None),
			FinishReason::Stop => match stops {
				[one] => ("stop_sequence", Some(one.clone())),
				_ => ("stop_sequence", None),
			},
			_ => ("end_turn", None),
		};
		Self {
			stop_reason: Some(reason),
			stop_sequence: sequence,
		}
	}
}

impl TokenCounts {
	pub(super) fn of(answer: &Answer) -> Self {
		Self {
			input_tokens: answer.input_tokens,
			output_tokens: answer.output_tokens,
		}
	}
}

/// Returns the id of a call.
pub(super) fn tool_use_id(number: usize, job: &JobId) -> String {
	call_id("toolu", number, job)
}

/// Returns a message before its first word. Its tokens are counted at the end.
pub(super) fn start(model: &str, assay: &Assay) -> Message {
	Message {
		id: format!("msg_{}", digits(&assay.job)),
		kind: "message",
		role: "assistant",
		model: model.into(),
		content: Vec::new(),
		stop: StopReason::default(),
		usage: TokenCounts::default(),
		assay: assay.clone(),
	}
}

impl Message {
	pub(super) fn new(model: &str, stops: &[String], answer: Answer) -> Self {
		let mut content = Vec::new();
		let (stop, usage) = (StopReason::of(&answer, stops), TokenCounts::of(&answer));
		let Parts {
			reasoning,
			content: text,
			calls,
		} = answer.parts;
		if !reasoning.is_empty() {
			content.push(Block::Thinking {
				thinking: reasoning,
				signature: "",
			});
		}
		if !text.is_empty() {
			content.push(Block::Text { text });
		}
		let job = answer.assay.job;
		content.extend(calls.into_iter().enumerate().map(|(i, call)| Block::ToolUse {
			id: tool_use_id(i, &job),
			name: call.name,
			input: call.arguments,
		}));
		Self {
			content,
			stop,
			usage,
			..start(model, &answer.assay)
		}
	}
}
