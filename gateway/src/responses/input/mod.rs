//! Items of the Responses API, brought into the form that the chain's parser knows.

use super::{kept::KeptItems, tools::full_name};
use crate::{error::ApiError, request::Notes, service::text};
use assay_primitives::json::Json;

/// Keys of items that carry nothing for the model.
const OWN: [&str; 3] = ["type", "id", "status"];

pub(super) fn invalid(at: &str, reason: &str) -> ApiError {
	ApiError::invalid(at, format!("{at}: {reason}"))
}

pub(super) fn map(entries: Vec<(&str, Json)>) -> Json {
	Json::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

/// The messages of a conversation, and where they were in the request.
pub(super) struct Conversation {
	pub(super) messages: Json,
	pub(super) places: Places,
}

/// Where the parts of a conversation were in the request.
pub(super) struct Places {
	/// Each message, and its calls.
	messages: Vec<(String, Vec<String>)>,
	/// Each tool.
	pub(super) tools: Vec<String>,
}

/// A message in the making.
struct Message {
	role: &'static str,
	at: String,
	text: String,
	reasoning: Vec<String>,
	/// The calls, and where they were.
	calls: Vec<(Json, String)>,
	/// The call that it answers.
	answers: Option<String>,
}

impl Message {
	fn new(role: &'static str, at: &str, text: String) -> Self {
		Self {
			role,
			at: at.into(),
			text,
			reasoning: Vec::new(),
			calls: Vec::new(),
			answers: None,
		}
	}

	fn written(self) -> (Json, (String, Vec<String>)) {
		let (calls, places): (Vec<_>, Vec<_>) = self.calls.into_iter().unzip();
		let mut entries = vec![("role", text(self.role)), ("content", Json::Text(self.text))];
		if !self.reasoning.is_empty() {
			entries.push(("reasoning_content", Json::Text(self.reasoning.join("\n"))));
		}
		if !calls.is_empty() {
			entries.push(("tool_calls", Json::List(calls)));
		}
		entries.extend(self.answers.map(|id| ("tool_call_id", Json::Text(id))));
		(map(entries), (self.at, places))
	}
}

/// Most bytes of the items that one request names: more than any conversation may have. One item may be named many times,
/// so the limit of the request's own bytes does not bound them.
const MAX_NAMED_BYTES: usize = 1 << 20;

/// Reads items in order.
struct Reader<'n> {
	/// The items that a reference can name.
	kept: &'n KeptItems,
	/// The bytes of those that were named.
	named: usize,
	messages: Vec<Message>,
	/// Reasoning that the next message of the assistant begins with, and where it was.
	reasoning: Vec<(String, String)>,
	notes: &'n mut Notes,
}

impl Conversation {
	/// Reads the instructions and the input: a text of the user, or items.
	pub(super) fn read(
		instructions: Option<String>,
		input: Json,
		kept: &KeptItems,
		notes: &mut Notes,
	) -> Result<Self, ApiError> {
		let mut reader = Reader {
			kept,
			named: 0,
			messages: Vec::new(),
			reasoning: Vec::new(),
			notes,
		};
		if let Some(told) = instructions.filter(|told| !told.is_empty()) {
			reader.push(Message::new("system", "instructions", told));
		}
		match input {
			Json::Text(asked) => reader.push(Message::new("user", "input", asked)),
			Json::List(items) => {
				for (i, item) in items.iter().enumerate() {
					reader.item(item, &format!("input[{i}]"))?;
				}
			}
			_ => return Err(invalid("input", "it must be a text or a list of items")),
		}
		reader.forget();
		let written = reader.messages.into_iter().map(Message::written);
		let (messages, places): (Vec<_>, Vec<_>) = written.unzip();
		Ok(Self {
			messages: Json::List(messages),
			places: Places {
				messages: places,
				tools: Vec::new(),
			},
		})
	}
}

impl Reader<'_> {
	fn item(&mut self, item: &Json, at: &str) -> Result<(), ApiError> {
		if item.as_map().is_none() {
			return Err(invalid(at, "it must be an object"));
		}
		match item.get("type").and_then(Json::as_text) {
			Some("message") => self.message(item, at),
			None if item.get("role").is_some() => self.message(item, at),
			Some("function_call") => self.call(item, at),
			Some("function_call_output") => self.output(item, at),
			Some("reasoning") => {
				self.think(item, at);
				Ok(())
			}
			Some("item_reference") => {
				let id = required(item, "id", at)?;
				let (kept, bytes) = self.kept.get(&id).ok_or_else(|| {
					invalid(
						&format!("{at}.id"),
						"items of answers are kept for a while only, and this one is not here; send the item itself, as \
						 clients do with `store: false`",
					)
				})?;
				self.named = self.named.saturating_add(bytes);
				if self.named > MAX_NAMED_BYTES {
					return Err(invalid(
						at,
						"the items that are named are longer than a conversation may be",
					));
				}
				self.item(&kept, at)
			}
			Some(kind) => Err(unsupported(
				at,
				kind,
				"models here read messages, functions' calls and outputs, and reasoning",
			)),
			None => Err(invalid(&format!("{at}.type"), "it must be a text")),
		}
	}

	fn message(&mut self, item: &Json, at: &str) -> Result<(), ApiError> {
		self.ignore(item, &["role", "content"], at);
		let role = match item.get("role").and_then(Json::as_text) {
			Some("user") => "user",
			Some("assistant") => "assistant",
			Some("system" | "developer") => "system",
			_ => {
				return Err(invalid(
					&format!("{at}.role"),
					"it must be `user`, `assistant`, `system` or `developer`",
				))
			}
		};
		let content = self.content(item, "content", at)?;
		self.push(Message::new(role, at, content));
		Ok(())
	}

	/// Adds a message. What the model is told at the beginning is one message: many templates know one only.
	fn push(&mut self, mut message: Message) {
		if message.role == "assistant" {
			message
				.reasoning
				.extend(self.reasoning.drain(..).map(|(thought, _)| thought));
		} else {
			self.forget();
		}
		match self.messages.as_mut_slice() {
			[first] if first.role == "system" && message.role == "system" => {
				first.text.push_str("\n\n");
				first.text.push_str(&message.text);
			}
			_ => self.messages.push(message),
		}
	}

	/// Adds a call to the assistant's message before it, or to one of its own.
	fn call(&mut self, item: &Json, at: &str) -> Result<(), ApiError> {
		self.ignore(item, &["call_id", "name", "namespace", "arguments"], at);
		let name = required(item, "name", at)?;
		let name = match item.get("namespace").and_then(Json::as_text) {
			Some(namespace) => full_name(namespace, &name),
			None => name,
		};
		let call = map(vec![
			("id", Json::Text(required(item, "call_id", at)?)),
			("type", text("function")),
			(
				"function",
				map(vec![
					("name", Json::Text(name)),
					("arguments", Json::Text(required(item, "arguments", at)?)),
				]),
			),
		]);
		if self.messages.last().is_none_or(|last| last.role != "assistant") {
			self.push(Message::new("assistant", at, String::new()));
		}
		let reasoning = self.reasoning.drain(..).map(|(thought, _)| thought);
		if let Some(last) = self.messages.last_mut() {
			last.reasoning.extend(reasoning);
			last.calls.push((call, at.into()));
		}
		Ok(())
	}

	fn output(&mut self, item: &Json, at: &str) -> Result<(), ApiError> {
		self.ignore(item, &["call_id", "output"], at);
		let output = self.content(item, "output", at)?;
		let mut message = Message::new("tool", at, output);
		message.answers = Some(required(item, "call_id", at)?);
		self.push(message);
		Ok(())
	}

	/// Keeps reasoning for the message that follows. Only its text is read, not what stands for it.
	fn think(&mut self, item: &Json, at: &str) {
		let texts = |key: &str| {
			let parts = item.get(key).and_then(Json::as_list).unwrap_or_default();
			let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_text()).collect();
			texts.join("\n")
		};
		let (content, summary) = (texts("content"), texts("summary"));
		self.ignore(item, &["content", if content.is_empty() { "summary" } else { "" }], at);
		let thought = if content.is_empty() { summary } else { content };
		if !thought.is_empty() {
			self.reasoning.push((thought, at.into()));
		}
	}

	/// Notes reasoning that no message of the assistant follows.
	fn forget(&mut self) {
		for (_, at) in self.reasoning.drain(..) {
			self.notes.ignore(at);
		}
	}

	/// Returns a content as one text, line by line.
	fn content(&mut self, item: &Json, key: &str, at: &str) -> Result<String, ApiError> {
		let at = format!("{at}.{key}");
		match item.get(key) {
			Some(Json::Text(text)) => Ok(text.clone()),
			Some(Json::List(parts)) => {
				let parts = parts.iter().enumerate();
				let texts = parts.map(|(i, part)| self.part(part, &format!("{at}[{i}]")));
				Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
			}
			_ => Err(invalid(&at, "it must be a text or a list of parts")),
		}
	}

	fn part(&mut self, part: &Json, at: &str) -> Result<String, ApiError> {
		let key = match part.get("type").and_then(Json::as_text) {
			Some("input_text" | "output_text" | "text") => "text",
			Some("refusal") => "refusal",
			Some(kind) => return Err(unsupported(at, kind, "models here read text only")),
			None => return Err(invalid(&format!("{at}.type"), "it must be a text")),
		};
		self.ignore(part, &[key], at);
		required(part, key, at)
	}

	/// Notes the keys that nobody reads, unless they hold nothing.
	fn ignore(&mut self, item: &Json, known: &[&str], at: &str) {
		for (key, value) in item.as_map().unwrap_or_default() {
			let empty = *value == Json::Null || value.as_list().is_some_and(<[Json]>::is_empty);
			if !empty && !known.contains(&key.as_str()) && !OWN.contains(&key.as_str()) {
				self.notes.ignore(format!("{at}.{key}"));
			}
		}
	}
}

pub(super) fn required(item: &Json, key: &str, at: &str) -> Result<String, ApiError> {
	let found = item.get(key).and_then(Json::as_text).map(String::from);
	found.ok_or_else(|| invalid(&format!("{at}.{key}"), "it must be a text"))
}

pub(super) fn unsupported(at: &str, kind: &str, why: &str) -> ApiError {
	let (at, kind) = (format!("{at}.type"), kind.chars().take(40).collect::<String>());
	ApiError::unsupported(at.clone(), format!("{at}: `{kind}` is not supported: {why}"))
}

impl Places {
	/// Returns an error of the conversation with the names that the request has for its parts.
	pub(super) fn named(&self, error: ApiError) -> ApiError {
		let Some(param) = error.param.clone() else { return error };
		let named = self.place(&param).unwrap_or_else(|| param.replacen(".function", "", 1));
		let message = error.message.replacen(&param, &named, 1);
		ApiError {
			message,
			..error.param(named)
		}
	}

	fn place(&self, param: &str) -> Option<String> {
		if param == "messages" {
			return Some("input".into());
		}
		if let Some(rest) = param.strip_prefix("response_format") {
			return Some(format!("text.format{}", rest.replacen(".json_schema", "", 1)));
		}
		if let Some((tool, rest)) = listed(param, "tools[", &self.tools) {
			return Some(format!("{tool}{}", rest.replacen(".function", "", 1)));
		}
		let ((at, calls), rest) = listed(param, "messages[", &self.messages)?;
		let of_call = || {
			let (at, rest) = listed(rest, ".tool_calls[", calls)?;
			Some(format!("{at}{}", rest.replacen(".function", "", 1)))
		};
		Some(of_call().unwrap_or_else(|| format!("{at}{}", rest.replacen("tool_call_id", "call_id", 1))))
	}
}

/// Returns the item of a list that a path names, and what is behind it in the path.
fn listed<'l, 'p, T>(path: &'p str, list: &str, items: &'l [T]) -> Option<(&'l T, &'p str)> {
	let (number, rest) = path.strip_prefix(list)?.split_once(']')?;
	Some((items.get(number.parse::<usize>().ok()?)?, rest))
}

#[cfg(test)]
mod tests;
