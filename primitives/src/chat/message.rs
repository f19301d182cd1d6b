//! The messages of a conversation.

use super::{check_name, error, known_keys, optional_text, required_text, ChatError, Result, LIMITS, MAX_MESSAGES};
use crate::json::Json;
use alloc::{
	collections::BTreeSet,
	format,
	string::{String, ToString},
	vec::Vec,
};

/// Names under which a message may carry the model's reasoning; templates know one or another.
const REASONING: [&str; 3] = ["reasoning_content", "reasoning", "thinking"];

/// Reads the messages. A tool's result must follow the call that it names.
pub(super) fn all(value: Json) -> Result<Vec<Json>> {
	let Json::List(mut messages) = value else {
		return Err(error("messages", "it must be a list"));
	};
	if messages.is_empty() {
		return Err(error("messages", "it is empty; give at least one message"));
	}
	if messages.len() > MAX_MESSAGES {
		return Err(error("messages", format!("it has more than {MAX_MESSAGES} messages")));
	}
	let mut calls = BTreeSet::new();
	for (i, message) in messages.iter_mut().enumerate() {
		one(message, &format!("messages[{i}]"), &mut calls)?;
	}
	Ok(messages)
}

/// Checks a message; `calls` are the ids of the calls so far.
fn one(message: &mut Json, at: &str, calls: &mut BTreeSet<String>) -> Result<()> {
	let role = required_text(message, at, "role")?.to_string();
	let known: &[&str] = match role.as_str() {
		"system" | "developer" | "user" => &["role", "content", "name"],
		"assistant" => &[
			"role",
			"content",
			"name",
			"tool_calls",
			"reasoning_content",
			"reasoning",
			"thinking",
		],
		"tool" => &["role", "content", "name", "tool_call_id"],
		_ => {
			return Err(error(
				format!("{at}.role"),
				"it must be `system`, `developer`, `user`, `assistant` or `tool`",
			))
		}
	};
	known_keys(message, at, known)?;
	optional_text(message, at, "name")?;
	for name in REASONING {
		optional_text(message, at, name)?;
	}
	let has_calls = match tool_calls(message) {
		Some(list) => assistant_calls(list, &format!("{at}.tool_calls"), calls)?,
		None => false,
	};
	content(message, at, has_calls)?;
	if role == "tool" {
		let id = required_text(message, at, "tool_call_id")?;
		if !calls.contains(id) {
			return Err(error(
				format!("{at}.tool_call_id"),
				"no earlier message of the assistant has a tool call with this id",
			));
		}
	}
	Ok(())
}

fn content(message: &Json, at: &str, optional: bool) -> Result<()> {
	let at = format!("{at}.content");
	match message.get("content") {
		Some(Json::Text(_)) => Ok(()),
		None | Some(Json::Null) if optional => Ok(()),
		None | Some(Json::Null) => Err(error(at, "it is missing")),
		Some(Json::List(parts)) if !parts.is_empty() => {
			for (i, part) in parts.iter().enumerate() {
				let at = format!("{at}[{i}]");
				if required_text(part, &at, "type")? != "text" {
					return Err(error(format!("{at}.type"), "models here read `text` only"));
				}
				known_keys(part, &at, &["type", "text"])?;
				required_text(part, &at, "text")?;
			}
			Ok(())
		}
		Some(_) => Err(error(at, "it must be a text, or a list of parts of type `text`")),
	}
}

fn tool_calls(message: &mut Json) -> Option<&mut Json> {
	let Json::Map(entries) = message else { return None };
	let found = entries.iter_mut().find(|(key, _)| key == "tool_calls");
	found.map(|(_, value)| value).filter(|value| **value != Json::Null)
}

/// Checks the calls of a message and notes their ids; returns whether there is one.
fn assistant_calls(list: &mut Json, at: &str, ids: &mut BTreeSet<String>) -> Result<bool> {
	let Json::List(list) = list else {
		return Err(error(at, "it must be a list"));
	};
	for (i, call) in list.iter_mut().enumerate() {
		let at = format!("{at}[{i}]");
		known_keys(call, &at, &["id", "type", "function"])?;
		optional_text(call, &at, "id")?;
		if !matches!(call.get("type").map(Json::as_text), None | Some(Some("function"))) {
			return Err(error(format!("{at}.type"), "it must be `function`"));
		}
		if let Some(id) = call.get("id").and_then(Json::as_text) {
			ids.insert(id.into());
		}
		let at = format!("{at}.function");
		let function = entry(call, "function").ok_or_else(|| error(&at, "it is missing"))?;
		known_keys(function, &at, &["name", "arguments"])?;
		check_name(required_text(function, &at, "name")?, &format!("{at}.name"))?;
		let at = format!("{at}.arguments");
		let arguments = entry(function, "arguments").ok_or_else(|| error(&at, "it is missing"))?;
		*arguments = parsed_arguments(arguments, &at)?;
	}
	Ok(!list.is_empty())
}

fn entry<'j>(value: &'j mut Json, key: &str) -> Option<&'j mut Json> {
	let Json::Map(entries) = value else { return None };
	entries.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// Returns arguments as a map: OpenAI writes them as a text of JSON, and templates take them apart.
fn parsed_arguments(arguments: &Json, at: &str) -> Result<Json> {
	let not_object = |reason: String| -> ChatError { error(at, reason) };
	let map = match arguments {
		Json::Map(_) => arguments.clone(),
		Json::Text(text) => LIMITS
			.parse(text.as_bytes())
			.map_err(|reason| not_object(format!("it must be a JSON object as a text: {reason}")))?,
		_ => Json::Null,
	};
	match map {
		Json::Map(_) => Ok(map),
		_ => Err(not_object("it must be a JSON object, or one as a text".into())),
	}
}
