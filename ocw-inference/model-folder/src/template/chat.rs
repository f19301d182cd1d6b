//! What a template is given: a conversation, as transformers hands it over.

use super::{
	error::Result,
	value::{Key, Value},
};
use assay_primitives::{
	chat::{Chat, ToolChoice},
	json::Json,
};
use std::collections::BTreeMap;

/// The names under which a message may carry the model's reasoning; templates know one or another.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Variables by their names.
pub(super) type Variables<'v> = BTreeMap<&'v str, Value<'v>>;

/// Returns the variables of a conversation.
pub(super) fn of_chat(chat: &Chat) -> Result<Variables<'_>> {
	let mut variables = defaults();
	for (name, value) in &chat.template_variables {
		variables.insert(name, plain(value)?);
	}
	if let tools @ [_, ..] = tools(chat) {
		variables.insert("tools", list(tools)?);
	}
	variables.insert("messages", messages(&chat.messages)?);
	Ok(variables)
}

/// Returns the variables of a map that has `messages`, and what else transformers can be given.
#[cfg(any(test, feature = "test-utils"))]
pub(super) fn of_map(map: &[(String, Json)]) -> Result<Variables<'_>> {
	let mut variables = defaults();
	for (name, value) in map {
		let value = match value {
			Json::List(all) if name == "messages" => messages(all)?,
			value => plain(value)?,
		};
		variables.insert(name, value);
	}
	Ok(variables)
}

/// Returns the tools that a template is given: none if none may be called.
pub(super) fn tools(chat: &Chat) -> &[Json] {
	match chat.tool_choice {
		ToolChoice::None => &[],
		_ => &chat.tools,
	}
}

/// What transformers sets: templates ask whether it is none.
fn defaults<'v>() -> Variables<'v> {
	BTreeMap::from([
		("add_generation_prompt", Value::Bool(true)),
		("tools", Value::None),
		("documents", Value::None),
	])
}

fn messages<'v>(messages: &[Json]) -> Result<Value<'v>> {
	Value::list(messages.iter().map(message).collect::<Result<_>>()?)
}

/// Returns a message as transformers has it before it renders: a key without a value is no key, and reasoning has the
/// names that templates ask for.
fn message<'v>(message: &Json) -> Result<Value<'v>> {
	let Json::Map(entries) = message else {
		return plain(message);
	};
	let entries = || entries.iter().filter(|(_, value)| *value != Json::Null);
	let reasoning = REASONING
		.into_iter()
		.find_map(|name| entries().find(|(key, _)| key == name).map(|(_, value)| value));
	let mut all = Vec::new();
	if let Some(reasoning) = reasoning {
		all.push((Key::from("thinking"), plain(reasoning)?));
	}
	for (key, value) in entries() {
		all.push((Key::from(key.as_str()), plain(value)?));
	}
	if let Some(reasoning) = reasoning {
		all.push((Key::from("reasoning_content"), plain(reasoning)?));
	}
	Value::map(all)
}

fn list<'v>(items: &[Json]) -> Result<Value<'v>> {
	Value::list(items.iter().map(plain).collect::<Result<_>>()?)
}

fn plain<'v>(json: &Json) -> Result<Value<'v>> {
	Ok(match json {
		Json::Null => Value::None,
		Json::Bool(b) => Value::Bool(*b),
		Json::Int(n) => Value::Int(*n),
		Json::Float(x) => Value::Fraction(*x),
		Json::Text(text) => Value::text(text),
		Json::List(items) => list(items)?,
		Json::Map(entries) => {
			let entries = entries
				.iter()
				.map(|(key, value)| Ok((Key::from(key.as_str()), plain(value)?)));
			Value::map(entries.collect::<Result<_>>()?)?
		}
	})
}
