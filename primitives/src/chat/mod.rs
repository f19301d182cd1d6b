//! A conversation as the input of a job: OpenAI's `messages`, `tools`, `tool_choice` and `response_format` as JSON.
//!
//! Chain, engine and clients read it with this one parser, so what a request is accepted with is what the model is asked.
//! What it does not know it refuses by name: nothing that could change a prompt is passed over.

pub mod call;
mod message;
mod tool;

use crate::{
	json::{Json, JsonLimits},
	limits::MAX_INPUT_BYTES,
};
use alloc::{
	format,
	string::{String, ToString},
	vec::Vec,
};
use core::fmt;

/// Limits of a conversation's JSON.
pub const LIMITS: JsonLimits = JsonLimits {
	bytes: MAX_INPUT_BYTES as u64,
	values: 16_384,
	depth: 32,
};
/// Most messages.
pub const MAX_MESSAGES: usize = 1_024;
/// Most tools.
pub const MAX_TOOLS: usize = 128;
/// Longest name of a tool or of a schema, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// A conversation and what the answer must be like.
#[derive(Clone, Debug, PartialEq)]
pub struct Chat {
	/// The messages, at least one. Arguments of tool calls are maps, also where they came as a text of JSON.
	pub messages: Vec<Json>,
	/// The tools that the model may call, each a map of `type` and `function`.
	pub tools: Vec<Json>,
	/// Whether the model calls a tool.
	pub tool_choice: ToolChoice,
	/// What the answer's text must be.
	pub response_format: ResponseFormat,
	/// Further variables of the chat template, as `enable_thinking`.
	pub template_variables: Vec<(String, Json)>,
}

/// Whether the model calls a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
	/// As it likes.
	#[default]
	Auto,
	/// It answers with text.
	None,
	/// It calls at least one.
	Required,
	/// It calls this one.
	Function(String),
}

/// What the answer's text must be.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ResponseFormat {
	/// Any text.
	#[default]
	Text,
	/// A JSON object.
	JsonObject,
	/// JSON that is valid against this schema.
	JsonSchema(Json),
}

/// What is wrong with a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatError {
	/// Where, as in `messages[2].role`; empty for the whole.
	pub path: String,
	/// Why.
	pub reason: String,
}

impl fmt::Display for ChatError {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		if self.path.is_empty() {
			f.write_str(&self.reason)
		} else {
			write!(f, "{}: {}", self.path, self.reason)
		}
	}
}

impl core::error::Error for ChatError {}

type Result<T> = core::result::Result<T, ChatError>;

impl Chat {
	/// Makes the conversation of one user message.
	pub fn of_message(text: impl Into<String>) -> Self {
		let entry = |key: &str, text: String| (key.to_string(), Json::Text(text));
		let message = Json::Map(Vec::from([entry("role", "user".into()), entry("content", text.into())]));
		Self {
			messages: Vec::from([message]),
			tools: Vec::new(),
			tool_choice: ToolChoice::default(),
			response_format: ResponseFormat::default(),
			template_variables: Vec::new(),
		}
	}

	/// Reads a conversation.
	pub fn parse(json: &[u8]) -> Result<Self> {
		let json: Json = LIMITS.parse(json).map_err(|reason| error("", reason))?;
		Self::from_json(json)
	}

	/// Reads a conversation that was parsed within [`LIMITS`].
	pub fn from_json(json: Json) -> Result<Self> {
		let Json::Map(entries) = json else {
			return Err(error("", "it must be an object with `messages`"));
		};
		let (mut messages, mut tools, mut choice, mut format, mut variables) =
			(None, Vec::new(), None, None, Vec::new());
		for (key, value) in entries {
			match (key.as_str(), value) {
				("messages", value) => messages = Some(message::all(value)?),
				(_, Json::Null) => {}
				("tools", value) => tools = tool::all(value)?,
				("tool_choice", value) => choice = Some(tool::choice(&value)?),
				("response_format", value) => format = Some(response_format(value)?),
				("chat_template_kwargs", Json::Map(entries)) => variables = template_variables(entries)?,
				("chat_template_kwargs", _) => return Err(error("chat_template_kwargs", "it must be an object")),
				(key, _) => return Err(unknown(key)),
			}
		}
		let tool_choice = choice.unwrap_or_default();
		tool::check_choice(&tool_choice, &tools)?;
		Ok(Self {
			messages: messages.ok_or_else(|| error("messages", "it is missing; give at least one message"))?,
			tools,
			tool_choice,
			response_format: format.unwrap_or_default(),
			template_variables: variables,
		})
	}
}

fn response_format(value: Json) -> Result<ResponseFormat> {
	const AT: &str = "response_format";
	let kind = required_text(&value, AT, "type")?;
	let allowed: &[&str] = match kind {
		"json_schema" => &["type", "json_schema"],
		_ => &["type"],
	};
	known_keys(&value, AT, allowed)?;
	match kind {
		"text" => Ok(ResponseFormat::Text),
		"json_object" => Ok(ResponseFormat::JsonObject),
		"json_schema" => {
			let at = "response_format.json_schema";
			let described = value.get("json_schema").ok_or_else(|| error(at, "it is missing"))?;
			known_keys(described, at, &["name", "description", "schema", "strict"])?;
			match described.get("schema") {
				Some(schema @ (Json::Map(_) | Json::Bool(_))) => Ok(ResponseFormat::JsonSchema(schema.clone())),
				Some(_) => Err(error(format!("{at}.schema"), "a schema is an object or a boolean")),
				None => Err(error(format!("{at}.schema"), "it is missing")),
			}
		}
		_ => Err(error(
			"response_format.type",
			"it must be `text`, `json_object` or `json_schema`",
		)),
	}
}

/// Returns the further variables of a template, which must not take the place of the conversation's own.
fn template_variables(entries: Vec<(String, Json)>) -> Result<Vec<(String, Json)>> {
	const OWN: [&str; 3] = ["messages", "tools", "add_generation_prompt"];
	match entries.iter().find(|(name, _)| OWN.contains(&name.as_str())) {
		Some((name, _)) => Err(error(format!("chat_template_kwargs.{name}"), "it cannot be set here")),
		None => Ok(entries),
	}
}

fn error(path: impl Into<String>, reason: impl Into<String>) -> ChatError {
	ChatError {
		path: path.into(),
		reason: reason.into(),
	}
}

fn unknown(path: impl Into<String>) -> ChatError {
	error(path, "it is not known here; leave it out")
}

/// Refuses keys of a map that are not known, and what is no map.
fn known_keys(value: &Json, at: &str, known: &[&str]) -> Result<()> {
	let entries = value.as_map().ok_or_else(|| error(at, "it must be an object"))?;
	match entries.iter().find(|(key, _)| !known.contains(&key.as_str())) {
		Some((key, _)) => Err(unknown(format!("{at}.{key}"))),
		None => Ok(()),
	}
}

fn required_text<'j>(value: &'j Json, at: &str, key: &str) -> Result<&'j str> {
	let found = value.get(key).and_then(Json::as_text);
	found.ok_or_else(|| error(format!("{at}.{key}"), "it must be a text"))
}

/// Refuses an optional text that is something else.
fn optional_text(value: &Json, at: &str, key: &str) -> Result<()> {
	match value.get(key) {
		None | Some(Json::Null | Json::Text(_)) => Ok(()),
		Some(_) => Err(error(format!("{at}.{key}"), "it must be a text")),
	}
}

/// Refuses what cannot name a tool: 1 to 64 letters, digits, underscores and hyphens.
fn check_name(name: &str, at: &str) -> Result<()> {
	let letters = name
		.bytes()
		.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
	if letters && (1..=MAX_NAME_BYTES).contains(&name.len()) {
		return Ok(());
	}
	Err(error(
		at,
		"a name has 1 to 64 letters, digits, underscores and hyphens".to_string(),
	))
}

#[cfg(test)]
mod tests;
