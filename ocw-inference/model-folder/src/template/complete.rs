//! Whether a prompt has every part of its conversation: what a template leaves out, nobody was asked.

use super::{builtins::is_space, chat::tools, names::Names, NAMES};
use assay_primitives::{chat::Chat, json::Json};

/// Returns the first part of a conversation that a prompt leaves out, as in `messages[2].content[0]`.
///
/// A text that must be there is compared without the white space around it, because templates trim it. What the model
/// said itself is left to the template: many write no earlier reasoning.
pub(super) fn left_out(chat: &Chat, names: &Names<'_>, prompt: &str) -> Option<String> {
	let message = chat
		.messages
		.iter()
		.enumerate()
		.find_map(|(i, message)| of_message(message, names, prompt).map(|part| format!("messages[{i}]{part}")));
	let tool = || {
		let mut tools = tools(chat).iter();
		let missing = tools.position(|tool| !names.variables.contains("tools") || !names_function(tool, prompt));
		missing.map(|i| format!("tools[{i}]"))
	};
	let variable = || {
		let mut variables = chat.template_variables.iter().map(|(name, _)| name);
		let missing = variables.find(|name| !names.variables.contains(name.as_str()) || NAMES.contains(&name.as_str()));
		missing.cloned()
	};
	message.or_else(tool).or_else(variable)
}

/// Returns the part of a message that is missing, as it is written behind the message's own name.
fn of_message(message: &Json, names: &Names<'_>, prompt: &str) -> Option<String> {
	let role = message.get("role").and_then(Json::as_text);
	match (role, message.get("content")) {
		(Some("assistant") | None, _) => {}
		(Some(role), Some(Json::Text(text))) if !stands(text, role, prompt) => return Some(String::new()),
		(Some(role), Some(Json::List(parts))) => {
			let text = |part: &Json| part.get("text").and_then(Json::as_text).map(str::to_owned);
			let missing = |part: &Json| text(part).is_some_and(|text| !stands(&text, role, prompt));
			if let Some(i) = parts.iter().position(missing) {
				return Some(format!(".content[{i}]"));
			}
		}
		_ => {}
	}
	let calls = message.get("tool_calls").and_then(Json::as_list).unwrap_or_default();
	let known = names.attributes.contains("tool_calls");
	let missing = calls.iter().position(|call| !known || !names_function(call, prompt));
	missing.map(|i| format!(".tool_calls[{i}]"))
}

/// Returns whether a text is in the prompt; a tool's may be written as JSON.
fn stands(text: &str, role: &str, prompt: &str) -> bool {
	let text = text.trim_matches(is_space);
	let as_json = || {
		let quoted = serde_json::to_string(text).unwrap_or_default();
		let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
		inner.is_some_and(|inner| prompt.contains(inner))
	};
	prompt.contains(text) || (role == "tool" && as_json())
}

/// Returns whether the prompt has the name of a tool's or a call's function.
fn names_function(described: &Json, prompt: &str) -> bool {
	let name = described
		.get("function")
		.and_then(|function| function.get("name")?.as_text());
	name.is_some_and(|name| prompt.contains(name))
}
