//! Calls as elements: `<tool_call><function=f><parameter=a>…</parameter></function></tool_call>` as Qwen3-Coder writes them,
//! and `<tool_call>f<arg_key>a</arg_key><arg_value>…</arg_value></tool_call>` as GLM does.
//!
//! A value is written as it is, so only the tool's schema tells a text from a number.

use super::named;
use assay_primitives::{
	chat::{
		call::{Call, END_TAG, TAG},
		Chat, LIMITS,
	},
	json::Json,
};

const FUNCTION: &str = "<function=";
const END_FUNCTION: &str = "</function>";
const PARAMETER: &str = "<parameter=";
const END_PARAMETER: &str = "</parameter>";
const KEY: &str = "<arg_key>";
const END_KEY: &str = "</arg_key>";
const VALUE: &str = "<arg_value>";
const END_VALUE: &str = "</arg_value>";

/// What a call may begin with. Qwen3-Coder forgets the tag at times.
pub(super) const MARKS: [&str; 2] = [TAG, FUNCTION];
/// What a call may end with.
pub(super) const ENDS: [&str; 2] = [END_TAG, END_FUNCTION];

/// Returns whether a chat template asks for calls as elements.
pub(super) fn is_in(template: &str) -> bool {
	template.contains(FUNCTION) || template.contains(KEY)
}

/// The tools of a conversation, whose schemas say what a value is.
#[derive(Clone, Debug)]
pub(super) struct Schemas(Vec<Json>);

impl Schemas {
	pub(super) fn of(chat: &Chat) -> Self {
		Self(chat.tools.clone())
	}

	/// Returns the function that a tool's name stands for.
	fn function(&self, name: &str) -> Option<&Json> {
		let mut functions = self.0.iter().filter_map(|tool| tool.get("function"));
		functions.find(|function| function.get("name").and_then(Json::as_text) == Some(name))
	}

	/// Returns a value as its schema has it: what may be a text is one, and of the rest what is JSON.
	fn typed(&self, tool: &str, key: &str, written: &str) -> Json {
		let schema = self.function(tool);
		let schema = schema.and_then(|f| f.get("parameters")?.get("properties")?.get(key));
		let mut kinds = Vec::new();
		if let Some(schema) = schema {
			add_kinds(schema, &mut kinds);
		}
		let may_be = |kind: &str| kinds.contains(&kind);
		let is_text = kinds.is_empty() || may_be("string") && !(may_be("null") && written.trim() == "null");
		let read = (!is_text).then(|| LIMITS.parse(written.as_bytes()).ok()).flatten();
		read.unwrap_or_else(|| Json::Text(written.into()))
	}
}

/// Adds the types that a schema names, its alternatives among them.
fn add_kinds<'s>(schema: &'s Json, kinds: &mut Vec<&'s str>) {
	match schema.get("type") {
		Some(Json::Text(kind)) => kinds.push(kind),
		Some(Json::List(several)) => kinds.extend(several.iter().filter_map(Json::as_text)),
		_ => {}
	}
	let alternatives = ["anyOf", "oneOf"]
		.into_iter()
		.filter_map(|key| schema.get(key)?.as_list());
	// One level is what clients write; a deeper one is a text.
	for kind in alternatives
		.flatten()
		.filter_map(|schema| schema.get("type")?.as_text())
	{
		kinds.push(kind);
	}
}

/// Reads the call that a text begins with, and returns what is behind it.
pub(super) fn one<'t>(from: &'t str, schemas: &Schemas) -> Option<(Vec<Call>, &'t str)> {
	let tagged = from.strip_prefix(TAG);
	let body = tagged.unwrap_or(from).trim_start();
	if let Some(body) = body.strip_prefix(FUNCTION) {
		let (call, behind) = with_parameters(body, schemas)?;
		// Without the end tag it is a call nevertheless: several may stand between two tags.
		let after = behind.trim_start().strip_prefix(END_TAG);
		return Some((Vec::from([call]), after.filter(|_| tagged.is_some()).unwrap_or(behind)));
	}
	tagged?;
	let (call, behind) = with_keys(body, schemas)?;
	Some((Vec::from([call]), behind))
}

/// Reads `f><parameter=a>…</parameter></function>`.
fn with_parameters<'t>(body: &'t str, schemas: &Schemas) -> Option<(Call, &'t str)> {
	let (name, mut rest) = body.split_once('>')?;
	let mut arguments = Vec::new();
	loop {
		rest = rest.trim_start();
		if let Some(behind) = rest.strip_prefix(END_FUNCTION) {
			return Some((named(name, Json::Map(arguments))?, behind));
		}
		let (key, value) = rest.strip_prefix(PARAMETER)?.split_once('>')?;
		let (value, behind) = until(value, END_PARAMETER, &[PARAMETER, END_FUNCTION])?;
		add(&mut arguments, key, schemas.typed(name, key, value))?;
		rest = behind;
	}
}

/// Reads `f<arg_key>a</arg_key><arg_value>…</arg_value></tool_call>`.
fn with_keys<'t>(body: &'t str, schemas: &Schemas) -> Option<(Call, &'t str)> {
	let (name, mut rest) = body.split_at_checked(body.find('<')?)?;
	let name = name.trim_end();
	// Any word between the tags looks like a call without arguments.
	schemas.function(name)?;
	let mut arguments = Vec::new();
	loop {
		rest = rest.trim_start();
		if let Some(behind) = rest.strip_prefix(END_TAG) {
			return Some((named(name, Json::Map(arguments))?, behind));
		}
		let (key, behind) = rest.strip_prefix(KEY)?.split_once(END_KEY)?;
		let value = behind.trim_start().strip_prefix(VALUE)?;
		let (value, behind) = until(value, END_VALUE, &[KEY, END_TAG])?;
		let key = key.trim();
		add(&mut arguments, key, schemas.typed(name, key, value))?;
		rest = behind;
	}
}

/// Returns a value up to its end tag, behind which one of some others follows: a value may hold such a tag itself. The line
/// break after the first tag and before the last are not part of it.
fn until<'t>(text: &'t str, end: &str, next: &[&str]) -> Option<(&'t str, &'t str)> {
	let followed = |(at, _): &(usize, &str)| {
		let behind = at.checked_add(end.len()).and_then(|at| text.get(at..));
		behind.is_some_and(|behind| next.iter().any(|tag| behind.trim_start().starts_with(tag)))
	};
	let (at, _) = text.match_indices(end).find(followed)?;
	let (value, behind) = (text.get(..at)?, text.get(at.checked_add(end.len())?..)?);
	let value = value.strip_prefix('\n').unwrap_or(value);
	Some((value.strip_suffix('\n').unwrap_or(value), behind))
}

/// Adds an argument; none if its key is there already.
fn add(arguments: &mut Vec<(String, Json)>, key: &str, value: Json) -> Option<()> {
	let known = arguments.iter().any(|(other, _)| other == key);
	(!known).then(|| arguments.push((key.into(), value)))
}
