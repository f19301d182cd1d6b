//! The tools of a conversation, and which of them is called.

use super::{check_name, error, known_keys, optional_text, required_text, Result, ToolChoice, MAX_TOOLS};
use crate::json::Json;
use alloc::{collections::BTreeSet, format, vec::Vec};

/// Reads the tools: functions with names of their own.
pub(super) fn all(value: Json) -> Result<Vec<Json>> {
	let Json::List(tools) = value else {
		return Err(error("tools", "it must be a list"));
	};
	if tools.len() > MAX_TOOLS {
		return Err(error("tools", format!("it has more than {MAX_TOOLS} tools")));
	}
	let mut names = BTreeSet::new();
	for (i, tool) in tools.iter().enumerate() {
		let at = format!("tools[{i}]");
		if required_text(tool, &at, "type")? != "function" {
			return Err(error(format!("{at}.type"), "it must be `function`"));
		}
		known_keys(tool, &at, &["type", "function"])?;
		let at = format!("{at}.function");
		let function = tool.get("function").ok_or_else(|| error(&at, "it is missing"))?;
		known_keys(
			function,
			&at,
			&["name", "description", "parameters", "strict", "return"],
		)?;
		optional_text(function, &at, "description")?;
		let name = required_text(function, &at, "name")?;
		check_name(name, &format!("{at}.name"))?;
		if !names.insert(name) {
			return Err(error(format!("{at}.name"), "another tool has this name"));
		}
		if !matches!(function.get("parameters"), None | Some(Json::Null | Json::Map(_))) {
			return Err(error(format!("{at}.parameters"), "a schema of parameters is an object"));
		}
	}
	Ok(tools)
}

/// Reads which tool is called.
pub(super) fn choice(value: &Json) -> Result<ToolChoice> {
	const AT: &str = "tool_choice";
	match value.as_text() {
		Some("auto") => return Ok(ToolChoice::Auto),
		Some("none") => return Ok(ToolChoice::None),
		Some("required") => return Ok(ToolChoice::Required),
		Some(_) => return Err(error(AT, "it must be `auto`, `none`, `required` or a function")),
		None => {}
	}
	known_keys(value, AT, &["type", "function"])?;
	if required_text(value, AT, "type")? != "function" {
		return Err(error("tool_choice.type", "it must be `function`"));
	}
	let at = "tool_choice.function";
	let function = value.get("function").ok_or_else(|| error(at, "it is missing"))?;
	known_keys(function, at, &["name"])?;
	Ok(ToolChoice::Function(required_text(function, at, "name")?.into()))
}

/// Refuses a call that no tool can answer.
pub(super) fn check_choice(choice: &ToolChoice, tools: &[Json]) -> Result<()> {
	let named = |name: &str| {
		let of = |tool: &Json| {
			tool.get("function")
				.and_then(|f| f.get("name")?.as_text().map(|n| n == name))
		};
		tools.iter().any(|tool| of(tool) == Some(true))
	};
	match choice {
		ToolChoice::Required if tools.is_empty() => {
			Err(error("tool_choice", "it is `required`, and there are no tools"))
		}
		ToolChoice::Function(name) if !named(name) => Err(error(
			"tool_choice.function.name",
			format!("no tool has the name `{name}`"),
		)),
		_ => Ok(()),
	}
}
