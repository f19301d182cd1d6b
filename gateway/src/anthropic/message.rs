//! Messages and tools of Anthropic's clients, brought into the form that the chain's parser knows.

use crate::{error::ApiError, request::Notes, service::text};
use assay_primitives::json::Json;

/// Hints of tools that change no prompt.
const TOOL_OWN: [&str; 5] = [
	"cache_control",
	"input_examples",
	"defer_loading",
	"eager_input_streaming",
	"allowed_callers",
];

type Entries = Vec<(String, Json)>;

fn map(entries: Vec<(&str, Json)>) -> Json {
	Json::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn invalid(at: &str, reason: &str) -> ApiError {
	ApiError::invalid(at, format!("{at}: {reason}"))
}

/// Returns the conversation, what the model is told first at its head.
pub(super) fn messages(system: Option<Json>, messages: Json, notes: &mut Notes) -> Result<Json, ApiError> {
	let Json::List(messages) = messages else {
		return Err(invalid("messages", "it must be a list"));
	};
	let mut out = Vec::with_capacity(messages.len().saturating_add(1));
	if let Some(system) = system {
		let told = joined(&system, "system", notes)?;
		if !told.is_empty() {
			out.push(map(vec![("role", text("system")), ("content", Json::Text(told))]));
		}
	}
	for (i, message) in messages.iter().enumerate() {
		one(message, &format!("messages[{i}]"), &mut out, notes)?;
	}
	Ok(Json::List(out))
}

fn one(message: &Json, at: &str, out: &mut Vec<Json>, notes: &mut Notes) -> Result<(), ApiError> {
	let entries = message.as_map().ok_or_else(|| invalid(at, "it must be an object"))?;
	for (key, _) in entries.iter().filter(|(key, _)| key != "role" && key != "content") {
		notes.ignore(format!("{at}.{key}"));
	}
	let at_content = format!("{at}.content");
	let content = message
		.get("content")
		.ok_or_else(|| invalid(&at_content, "it is missing"))?;
	match message.get("role").and_then(Json::as_text) {
		Some("user") => user(content, &at_content, out, notes),
		Some("assistant") => {
			out.push(assistant(content, &at_content, notes)?);
			Ok(())
		}
		Some("system") => {
			let told = joined(content, &at_content, notes)?;
			out.push(map(vec![("role", text("system")), ("content", Json::Text(told))]));
			Ok(())
		}
		_ => Err(invalid(&format!("{at}.role"), "it must be `user` or `assistant`")),
	}
}

/// Adds a user's message: the results of tools first, each a message of its own, then the text.
fn user(content: &Json, at: &str, out: &mut Vec<Json>, notes: &mut Notes) -> Result<(), ApiError> {
	let Some(blocks) = content.as_list() else {
		out.push(map(vec![
			("role", text("user")),
			("content", Json::Text(joined(content, at, notes)?)),
		]));
		return Ok(());
	};
	let mut texts = Vec::new();
	let mut results = 0usize;
	for (i, block) in blocks.iter().enumerate() {
		let at = format!("{at}[{i}]");
		match block.get("type").and_then(Json::as_text) {
			Some("tool_result") => {
				out.push(result(block, &at, notes)?);
				results = results.saturating_add(1);
			}
			_ => texts.push(text_block(block, &at, notes)?),
		}
	}
	if !texts.is_empty() || results == 0 {
		out.push(map(vec![
			("role", text("user")),
			("content", Json::Text(texts.join("\n"))),
		]));
	}
	Ok(())
}

/// Returns a tool's result. Templates know no failed calls, so the text says it.
fn result(block: &Json, at: &str, notes: &mut Notes) -> Result<Json, ApiError> {
	ignore(block, &["type", "tool_use_id", "content", "is_error"], at, notes);
	let id = block.get("tool_use_id").and_then(Json::as_text);
	let id = id.ok_or_else(|| invalid(&format!("{at}.tool_use_id"), "it must be a text"))?;
	let content = match block.get("content") {
		None | Some(Json::Null) => String::new(),
		Some(content) => joined(content, &format!("{at}.content"), notes)?,
	};
	let content = match block.get("is_error") {
		Some(Json::Bool(true)) => format!("Error: {content}"),
		_ => content,
	};
	Ok(map(vec![
		("role", text("tool")),
		("tool_call_id", text(id)),
		("content", Json::Text(content)),
	]))
}

fn assistant(content: &Json, at: &str, notes: &mut Notes) -> Result<Json, ApiError> {
	let mut entries = vec![("role", text("assistant"))];
	let Some(blocks) = content.as_list() else {
		entries.push(("content", Json::Text(joined(content, at, notes)?)));
		return Ok(map(entries));
	};
	let (mut texts, mut calls, mut thoughts) = (Vec::new(), Vec::new(), Vec::new());
	for (i, block) in blocks.iter().enumerate() {
		let at = format!("{at}[{i}]");
		match block.get("type").and_then(Json::as_text) {
			Some("tool_use") => calls.push(call(block, &at, notes)?),
			Some("thinking") => {
				ignore(block, &["type", "thinking", "signature"], &at, notes);
				thoughts.extend(block.get("thinking").and_then(Json::as_text).map(String::from));
			}
			Some("redacted_thinking") => notes.ignore(at),
			_ => texts.push(text_block(block, &at, notes)?),
		}
	}
	entries.push(("content", Json::Text(texts.join("\n"))));
	if !thoughts.is_empty() {
		entries.push(("reasoning_content", Json::Text(thoughts.join("\n"))));
	}
	if !calls.is_empty() {
		entries.push(("tool_calls", Json::List(calls)));
	}
	Ok(map(entries))
}

fn call(block: &Json, at: &str, notes: &mut Notes) -> Result<Json, ApiError> {
	ignore(block, &["type", "id", "name", "input"], at, notes);
	let part = |key: &str| {
		block
			.get(key)
			.cloned()
			.ok_or_else(|| invalid(&format!("{at}.{key}"), "it is missing"))
	};
	Ok(map(vec![
		("id", part("id")?),
		("type", text("function")),
		(
			"function",
			map(vec![("name", part("name")?), ("arguments", part("input")?)]),
		),
	]))
}

/// Returns a content as one text, line by line.
fn joined(content: &Json, at: &str, notes: &mut Notes) -> Result<String, ApiError> {
	match content {
		Json::Text(text) => Ok(text.clone()),
		Json::List(blocks) => {
			let texts = blocks
				.iter()
				.enumerate()
				.map(|(i, block)| text_block(block, &format!("{at}[{i}]"), notes));
			Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
		}
		_ => Err(invalid(at, "it must be a text or a list of blocks")),
	}
}

fn text_block(block: &Json, at: &str, notes: &mut Notes) -> Result<String, ApiError> {
	match block.get("type").and_then(Json::as_text) {
		Some("text") => {}
		Some(kind) => {
			let kind: String = kind.chars().take(40).collect();
			return Err(invalid(
				&format!("{at}.type"),
				&format!("models here read `text` only, and no `{kind}` here"),
			));
		}
		None => return Err(invalid(&format!("{at}.type"), "it must be a text")),
	}
	ignore(block, &["type", "text"], at, notes);
	let text = block.get("text").and_then(Json::as_text);
	text.map(String::from)
		.ok_or_else(|| invalid(&format!("{at}.text"), "it must be a text"))
}

/// Notes the keys of a block that nobody reads.
fn ignore(block: &Json, known: &[&str], at: &str, notes: &mut Notes) {
	for (key, value) in block.as_map().unwrap_or_default() {
		if *value != Json::Null && !known.contains(&key.as_str()) {
			notes.ignore(format!("{at}.{key}"));
		}
	}
}

/// Returns the tools in OpenAI's form.
pub(super) fn tools(tools: Json, notes: &mut Notes) -> Result<Json, ApiError> {
	let Json::List(tools) = tools else {
		return Err(invalid("tools", "it must be a list"));
	};
	let read = tools
		.into_iter()
		.enumerate()
		.map(|(i, tool)| function(tool, &format!("tools[{i}]"), notes));
	Ok(Json::List(read.collect::<Result<_, _>>()?))
}

fn function(tool: Json, at: &str, notes: &mut Notes) -> Result<Json, ApiError> {
	let Json::Map(entries) = tool else {
		return Err(invalid(at, "it must be an object"));
	};
	let mut function: Entries = Vec::new();
	for (key, value) in entries {
		match key.as_str() {
			"type" if matches!(value.as_text(), Some("custom")) || value == Json::Null => {}
			"type" => {
				return Err(invalid(
					&format!("{at}.type"),
					"tools that a provider runs are not supported; offer one of your own with an `input_schema`",
				))
			}
			"input_schema" => function.push(("parameters".into(), value)),
			name if TOOL_OWN.contains(&name) => notes.ignore(format!("{at}.{name}")),
			// The chain's parser knows the others, or refuses them.
			_ => function.push((key, value)),
		}
	}
	Ok(map(vec![("type", text("function")), ("function", Json::Map(function))]))
}

#[cfg(test)]
mod tests {
	use super::*;

	fn json(value: &Json) -> String {
		serde_json::to_string(value).unwrap()
	}

	fn read(sent: &str) -> Result<(String, Notes), ApiError> {
		let mut notes = Notes::default();
		let read = messages(None, serde_json::from_str(sent).unwrap(), &mut notes)?;
		Ok((json(&read), notes))
	}

	#[test]
	fn blocks_become_messages_in_the_order_that_templates_expect() {
		let (read, notes) = read(
			r#"[{"role":"user","content":[{"type":"text","text":"Weather?","cache_control":{"type":"ephemeral"}}]},
			{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"x"},{"type":"text","text":"Let me see."},
				{"type":"tool_use","id":"t1","name":"weather","input":{"city":"Rome"}}]},
			{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","is_error":true,"content":[{"type":"text","text":"no"}]},
				{"type":"text","text":"Again?"}]}]"#,
		)
		.unwrap();
		assert_eq!(
			read,
			r#"[{"role":"user","content":"Weather?"},{"role":"assistant","content":"Let me see.","reasoning_content":"hm","#
				.to_string() + r#""tool_calls":[{"id":"t1","type":"function","function":{"name":"weather","arguments":{"city":"Rome"}}}]},"#
				+ r#"{"role":"tool","tool_call_id":"t1","content":"Error: no"},{"role":"user","content":"Again?"}]"#
		);
		assert_eq!(notes.ignored, ["messages[0].content[0].cache_control"]);
	}

	#[test]
	fn what_is_told_first_is_a_message_of_the_system() {
		let system = serde_json::from_str(r#"[{"type":"text","text":"a"},{"type":"text","text":"b"}]"#).unwrap();
		let sent = serde_json::from_str(r#"[{"role":"user","content":"x"}]"#).unwrap();
		let read = messages(Some(system), sent, &mut Notes::default()).unwrap();
		assert_eq!(
			json(&read),
			r#"[{"role":"system","content":"a\nb"},{"role":"user","content":"x"}]"#
		);
	}

	#[test]
	fn each_refusal_names_its_place() {
		for (sent, param) in [
			("{}", "messages"),
			(r#"[1]"#, "messages[0]"),
			(r#"[{"role":"user"}]"#, "messages[0].content"),
			(r#"[{"role":"tool","content":"x"}]"#, "messages[0].role"),
			(
				r#"[{"role":"user","content":[{"type":"image","source":{}}]}]"#,
				"messages[0].content[0].type",
			),
			(
				r#"[{"role":"user","content":[{"type":"text"}]}]"#,
				"messages[0].content[0].text",
			),
			(
				r#"[{"role":"user","content":[{"type":"tool_result"}]}]"#,
				"messages[0].content[0].tool_use_id",
			),
			(
				r#"[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f"}]}]"#,
				"messages[0].content[0].input",
			),
		] {
			assert_eq!(read(sent).unwrap_err().param.as_deref(), Some(param), "{sent}");
		}
	}

	#[test]
	fn tools_of_a_provider_are_refused_and_others_are_functions() {
		let read = |sent: &str| tools(serde_json::from_str(sent).unwrap(), &mut Notes::default());
		let sent =
			r#"[{"name":"f","description":"d","input_schema":{"type":"object"},"type":"custom","cache_control":{}}]"#;
		assert_eq!(
			json(&read(sent).unwrap()),
			r#"[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}]"#
		);
		let refused = read(r#"[{"type":"web_search_20250305","name":"web_search"}]"#).unwrap_err();
		assert_eq!(refused.param.as_deref(), Some("tools[0].type"));
	}
}
