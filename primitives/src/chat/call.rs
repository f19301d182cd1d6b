//! How a model writes tool calls: a family of notations, by its chat template, and the calls in the text of an answer.
//!
//! The engine holds an answer to the notation (`docs/spec/c2.md` §5.2), and clients read the calls back.

use super::{LIMITS, MAX_TOOLS};
use crate::json::Json;
use alloc::{string::String, vec::Vec};

/// A notation of tool calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolSyntax {
	/// Each call between `<tool_call>` and `</tool_call>`, as `{"name": …, "arguments": {…}}`, anywhere in the text: Hermes,
	/// Qwen, Granite 4.
	Tagged,
	/// One call that is the whole text, as `{"name": …, "parameters": {…}}`: Llama 3 and 4.
	Object,
	/// A list of calls that is the whole text but for a mark before it, as `[{"name": …, "arguments": {…}}]`: Mistral,
	/// Granite 3, Firefunction.
	List {
		/// What may stand before the list. Where it is a special token it is part of no text.
		mark: &'static str,
	},
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
	/// The tool's name.
	pub name: String,
	/// The arguments, a map.
	pub arguments: Json,
}

/// What stands before a tagged call.
pub const TAG: &str = "<tool_call>";
/// What stands behind a tagged call.
pub const END_TAG: &str = "</tool_call>";

impl ToolSyntax {
	/// Returns the notation that a chat template asks for; none if it is none of these.
	pub fn of_template(source: &str) -> Option<Self> {
		let has = |text: &str| source.contains(text);
		if has(TAG) {
			// Others write arguments as XML between the same tags.
			let json = has("arguments") && !has("<function=") && !has("<arg_key>");
			return json.then_some(Self::Tagged);
		}
		let list = |mark| Some(Self::List { mark });
		if has("[TOOL_CALLS]") {
			return if has("[ARGS]") { None } else { list("[TOOL_CALLS]") };
		}
		if has("<|tool_call|>") {
			return list("<|tool_call|>");
		}
		if has("functools[") && has("arguments") {
			return list("functools");
		}
		(has("{\"name\": ") && has("\"parameters\": ") && !has("<|START_ACTION|>")).then_some(Self::Object)
	}

	/// Returns the key of a call's arguments.
	pub fn arguments_key(&self) -> &'static str {
		match self {
			Self::Object => "parameters",
			Self::Tagged | Self::List { .. } => "arguments",
		}
	}

	/// Returns an answer's text without its calls, and the calls in order. What is not a whole call stays text: an answer that
	/// ended early, and whatever only looks like one.
	pub fn parse_calls(&self, text: &str) -> (String, Vec<Call>) {
		let whole = |calls: Option<Vec<Call>>| match calls {
			Some(calls) if !calls.is_empty() => (String::new(), calls),
			_ => (text.into(), Vec::new()),
		};
		match self {
			Self::Tagged => self.tagged(text),
			Self::Object => whole(value(text).and_then(|(json, rest)| {
				let call = self.call(&json).filter(|_| is_blank(rest))?;
				Some(Vec::from([call]))
			})),
			Self::List { mark } => {
				let list = text.trim_start();
				let read = value(list.strip_prefix(mark).unwrap_or(list));
				whole(read.and_then(|(json, rest)| {
					let list = json
						.as_list()
						.filter(|list| list.len() <= MAX_TOOLS && is_blank(rest))?;
					list.iter().map(|json| self.call(json)).collect()
				}))
			}
		}
	}

	fn tagged(&self, text: &str) -> (String, Vec<Call>) {
		let (mut content, mut calls, mut rest) = (String::new(), Vec::new(), text);
		while let Some((before, behind)) = rest.split_once(TAG) {
			let read = value(behind).and_then(|(json, rest)| {
				// A stop string or `max_tokens` may have taken the end tag away.
				let rest = rest.trim_start();
				let rest = if rest.is_empty() {
					rest
				} else {
					rest.strip_prefix(END_TAG)?
				};
				Some((self.call(&json)?, rest))
			});
			match read {
				Some((call, behind)) if calls.len() < MAX_TOOLS => {
					content.push_str(before.trim_end());
					calls.push(call);
					rest = behind;
				}
				_ => break,
			}
		}
		let rest = if calls.is_empty() { rest } else { rest.trim_end() };
		content.push_str(rest);
		(content, calls)
	}

	fn call(&self, json: &Json) -> Option<Call> {
		let known = |key: &str| key == "name" || key == self.arguments_key() || key == "id";
		if !json.as_map()?.iter().all(|(key, _)| known(key)) {
			return None;
		}
		let arguments = json.get(self.arguments_key())?;
		Some(Call {
			name: json.get("name")?.as_text()?.into(),
			arguments: arguments.as_map().map(|_| arguments.clone())?,
		})
	}
}

fn is_blank(text: &str) -> bool {
	text.trim_start().is_empty()
}

/// Returns the JSON that a text begins with, and what is behind it.
fn value(text: &str) -> Option<(Json, &str)> {
	LIMITS.check(text.as_bytes()).ok()?;
	let mut values = serde_json::Deserializer::from_str(text).into_iter::<Json>();
	let json = values.next()?.ok()?;
	let rest = text.get(values.byte_offset()..)?;
	Some((json, rest))
}

#[cfg(test)]
mod tests {
	use super::*;
	use alloc::format;

	const LIST: ToolSyntax = ToolSyntax::List { mark: "[TOOL_CALLS]" };

	fn calls(syntax: ToolSyntax, text: &str) -> (String, Vec<(String, String)>) {
		let (content, calls) = syntax.parse_calls(text);
		let written = |call: Call| (call.name, serde_json::to_string(&call.arguments).unwrap());
		(content, calls.into_iter().map(written).collect())
	}

	fn call(name: &str, arguments: &str) -> (String, String) {
		(name.into(), arguments.into())
	}

	#[test]
	fn a_template_tells_how_calls_are_written() {
		for (source, syntax) in [
			(r#"<tool_call>\n{"name": f, "arguments": a}"#, Some(ToolSyntax::Tagged)),
			("<tool_call>\n<function=f>\n<parameter=a>", None),
			("<tool_call>f\n<arg_key>a</arg_key> arguments", None),
			(r#"[TOOL_CALLS] [{"name": f, "arguments": a}]"#, Some(LIST)),
			("[TOOL_CALLS]f[ARGS]{}", None),
			(
				"respond with <|tool_call|> and a list",
				Some(ToolSyntax::List { mark: "<|tool_call|>" }),
			),
			(
				r#"{"name": function name, "parameters": d}, "parameters": "#,
				Some(ToolSyntax::Object),
			),
			("{{ message.content }}", None),
		] {
			assert_eq!(ToolSyntax::of_template(source), syntax, "{source}");
		}
	}

	#[test]
	fn tagged_calls_are_taken_out_of_the_text() {
		let text = "Let me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"b\": 1, \"a\": \"</tool_call>\"}}\n</tool_call>\n\
			<tool_call>{\"name\":\"g\",\"arguments\":{}}</tool_call>\n";
		let expected = [call("f", r#"{"b":1,"a":"</tool_call>"}"#), call("g", "{}")];
		assert_eq!(
			calls(ToolSyntax::Tagged, text),
			("Let me see.".into(), expected.to_vec())
		);
		// The end tag may be cut off, a call may not.
		let cut = "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n";
		assert_eq!(calls(ToolSyntax::Tagged, cut), (String::new(), vec![call("f", "{}")]));
		for text in [
			"<tool_call>{\"name\": \"f\", \"arguments\": {}",
			"<tool_call>{\"name\": \"f\", \"arguments\": {}} and so on",
			"<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>",
			"<tool_call>{\"name\": \"f\", \"arguments\": {}, \"more\": 1}</tool_call>",
			"no call\n",
		] {
			assert_eq!(calls(ToolSyntax::Tagged, text), (text.into(), vec![]), "{text}");
		}
	}

	#[test]
	fn a_call_that_is_the_whole_text_is_read() {
		let text = " {\"name\": \"f\", \"parameters\": {\"x\": 1.5}}\n";
		assert_eq!(
			calls(ToolSyntax::Object, text),
			(String::new(), vec![call("f", r#"{"x":1.5}"#)])
		);
		for text in [
			r#"{"name": "f", "parameters": {}} is a call"#,
			r#"{"name": "Ada"}"#,
			"hello",
		] {
			assert_eq!(calls(ToolSyntax::Object, text), (text.into(), vec![]), "{text}");
		}
	}

	#[test]
	fn a_list_of_calls_is_read_with_and_without_its_mark() {
		let list = r#"[{"name": "f", "arguments": {}, "id": "abcdefghi"}, {"name": "g", "arguments": {"a": []}}]"#;
		let expected = vec![call("f", "{}"), call("g", r#"{"a":[]}"#)];
		for text in [
			list.into(),
			format!(" [TOOL_CALLS] {list}"),
			format!("[TOOL_CALLS]{list}\n"),
		] {
			assert_eq!(calls(LIST, &text), (String::new(), expected.clone()), "{text}");
		}
		for text in ["[]", "[1]", "[{\"name\": \"f\"}]", "see [TOOL_CALLS]"] {
			assert_eq!(calls(LIST, text), (text.into(), vec![]), "{text}");
		}
	}

	#[test]
	fn nesting_beyond_the_limit_stays_text() {
		let deep = format!("<tool_call>{}{}", "[".repeat(5_000), "]".repeat(5_000));
		assert_eq!(calls(ToolSyntax::Tagged, &deep), (deep.clone(), vec![]));
	}
}
