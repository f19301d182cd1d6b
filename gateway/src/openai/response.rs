//! Answers in OpenAI's form.

use crate::{
	answer::{Answer, Assay},
	catalog::fingerprint,
	reading::Parts,
	service::seconds,
};
use assay_primitives::{chat::call::Call, FinishReason, JobId};
use serde::Serialize;
use utoipa::ToSchema;

/// What all answers and chunks to one request have in common.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Head {
	/// The name of the answer, made of its job.
	id: String,
	/// The kind of object.
	object: &'static str,
	/// When it was made, in seconds since 1970.
	created: u64,
	/// The model as the request named it.
	model: String,
	/// The beginning of the model's id, which is a hash of its weights, tokenizer and template.
	system_fingerprint: String,
}

impl Head {
	pub(super) fn new(prefix: &str, object: &'static str, model: &str, assay: &Assay) -> Self {
		Self {
			id: format!("{prefix}-{}", digits(&assay.job)),
			object,
			created: seconds(),
			model: model.into(),
			system_fingerprint: fingerprint(&assay.model),
		}
	}
}

/// Returns a job's name without `0x`.
pub(crate) fn digits(job: &JobId) -> String {
	let text = job.to_string();
	text.trim_start_matches("0x").into()
}

/// An answer to a conversation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChatCompletion {
	#[serde(flatten)]
	head: Head,
	choices: [ChatChoice; 1],
	usage: Usage,
	assay: Assay,
}

#[derive(Debug, Serialize, ToSchema)]
struct ChatChoice {
	index: u32,
	message: Message,
	logprobs: Option<()>,
	finish_reason: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChatMessage)]
struct Message {
	role: &'static str,
	content: Option<String>,
	/// What the model wrote between `<think>` and `</think>` before it answered.
	#[serde(skip_serializing_if = "Option::is_none")]
	reasoning_content: Option<String>,
	refusal: Option<String>,
	#[serde(skip_serializing_if = "Vec::is_empty")]
	tool_calls: Vec<ToolCall>,
}

/// An answer to a text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Completion {
	#[serde(flatten)]
	head: Head,
	choices: Vec<TextChoice>,
	#[serde(skip_serializing_if = "Option::is_none")]
	usage: Option<Usage>,
	assay: ChunkAssay,
}

#[derive(Debug, Serialize, ToSchema)]
struct TextChoice {
	index: u32,
	text: String,
	logprobs: Option<()>,
	finish_reason: Option<&'static str>,
}

/// A call of a function.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ToolCall {
	/// Its number, in chunks.
	#[serde(skip_serializing_if = "Option::is_none")]
	index: Option<u32>,
	id: String,
	#[serde(rename = "type")]
	kind: &'static str,
	function: Function,
}

#[derive(Debug, Serialize, ToSchema)]
struct Function {
	name: String,
	/// A JSON object as a text.
	arguments: String,
}

impl ToolCall {
	pub(super) fn new(call: &Call, number: usize, job: &JobId, is_chunk: bool) -> Self {
		Self {
			index: is_chunk.then(|| u32::try_from(number).unwrap_or(u32::MAX)),
			id: call_id("call", number, job),
			kind: "function",
			function: Function {
				name: call.name.clone(),
				arguments: serde_json::to_string(&call.arguments).unwrap_or_default(),
			},
		}
	}
}

/// Returns the id of a call: the same whoever reads the job's answer, and whenever.
pub(crate) fn call_id(prefix: &str, number: usize, job: &JobId) -> String {
	let digits = digits(job);
	format!("{prefix}_{}_{number}", digits.get(..24).unwrap_or(&digits))
}

/// Tokens of a job, as its verifiers counted them.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct Usage {
	prompt_tokens: u32,
	completion_tokens: u32,
	total_tokens: u32,
}

impl Usage {
	pub(super) fn of(answer: &Answer) -> Self {
		Self {
			prompt_tokens: answer.input_tokens,
			completion_tokens: answer.output_tokens,
			total_tokens: answer.input_tokens.saturating_add(answer.output_tokens),
		}
	}
}

/// A piece of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChatChunk {
	#[serde(flatten)]
	pub(super) head: Head,
	pub(super) choices: Vec<ChunkChoice>,
	/// Null but in the last chunk, if it was asked for.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub(super) usage: Option<Option<Usage>>,
	/// Of a draft only that it is one; the rest is in the first and the last chunk.
	pub(super) assay: ChunkAssay,
}

/// What a chunk says of itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum ChunkAssay {
	/// Nobody has checked it yet.
	Draft { draft: bool },
	/// Everything.
	Whole(Box<Assay>),
}

impl ChunkAssay {
	pub(super) fn whole(assay: Assay) -> Self {
		Self::Whole(Box::new(assay))
	}
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChunkChoice {
	pub(super) index: u32,
	pub(super) delta: Delta,
	pub(super) logprobs: Option<()>,
	pub(super) finish_reason: Option<&'static str>,
}

/// What an answer grows by.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Delta {
	#[serde(skip_serializing_if = "Option::is_none")]
	pub(super) role: Option<&'static str>,
	#[serde(skip_serializing_if = "Option::is_none")]
	pub(super) content: Option<String>,
	#[serde(skip_serializing_if = "Option::is_none")]
	pub(super) reasoning_content: Option<String>,
	#[serde(skip_serializing_if = "Vec::is_empty")]
	pub(super) tool_calls: Vec<ToolCall>,
}

/// Returns why an answer ended, in OpenAI's words.
pub(super) fn finish_reason(answer: &Answer) -> &'static str {
	match answer.finish {
		FinishReason::Length => "length",
		_ if !answer.parts.calls.is_empty() => "tool_calls",
		_ => "stop",
	}
}

impl ChatCompletion {
	pub(super) fn new(head: Head, answer: Answer) -> Self {
		let job = answer.assay.job;
		let Parts {
			reasoning,
			content,
			calls,
		} = &answer.parts;
		let calls = calls.iter().enumerate();
		let tool_calls: Vec<_> = calls.map(|(i, call)| ToolCall::new(call, i, &job, false)).collect();
		Self {
			head,
			usage: Usage::of(&answer),
			choices: [ChatChoice {
				index: 0,
				logprobs: None,
				finish_reason: finish_reason(&answer),
				message: Message {
					role: "assistant",
					content: (tool_calls.is_empty() || !content.is_empty()).then(|| content.clone()),
					reasoning_content: (!reasoning.is_empty()).then(|| reasoning.clone()),
					refusal: None,
					tool_calls,
				},
			}],
			assay: answer.assay,
		}
	}
}

impl Completion {
	pub(super) fn new(head: Head, answer: Answer) -> Self {
		Self {
			head,
			usage: Some(Usage::of(&answer)),
			choices: vec![TextChoice {
				index: 0,
				logprobs: None,
				finish_reason: Some(finish_reason(&answer)),
				text: answer.parts.content,
			}],
			assay: ChunkAssay::whole(answer.assay),
		}
	}

	/// Returns a piece of an answer.
	pub(super) fn chunk(head: Head, text: String, finish_reason: Option<&'static str>, assay: ChunkAssay) -> Self {
		Self {
			head,
			usage: None,
			choices: vec![TextChoice {
				index: 0,
				text,
				logprobs: None,
				finish_reason,
			}],
			assay,
		}
	}

	/// Returns the chunk that counts the tokens.
	pub(super) fn usage(head: Head, usage: Usage, assay: ChunkAssay) -> Self {
		Self {
			head,
			usage: Some(usage),
			choices: Vec::new(),
			assay,
		}
	}
}
