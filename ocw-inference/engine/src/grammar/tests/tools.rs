//! Tool calls: what must be called, what may be, and where a call begins.

use super::{accepts, allows, chat, fed, grammar, model_with, walk};
use crate::grammar::Mask;
use assay_primitives::chat::{call::ToolSyntax, Chat};
use serde_json::{json, Value};

const TAGGED: &str = "<tool_call> arguments";
const OBJECT: &str = r#"{"name": f, "parameters": a}"#;
const LIST: &str = "[TOOL_CALLS]";
/// Of the fixture's tokenizer: special, and no end token.
const USER: u32 = 262;

fn tools() -> Value {
	json!([
		{ "type": "function", "function": { "name": "add", "strict": true, "parameters": { "type": "object",
			"properties": { "a": { "type": "integer" } }, "required": ["a"], "additionalProperties": false } } },
		{ "type": "function", "function": { "name": "now" } },
	])
}

fn asked(choice: Value) -> Chat {
	chat(json!({ "tools": tools(), "tool_choice": choice }))
}

const ADD: &str = "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 7}}\n</tool_call>";
const NOW: &str = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";

#[test]
fn an_answer_that_must_call_is_calls_and_nothing_else() {
	let model = model_with(TAGGED);
	let required = asked(json!("required"));
	for good in [
		ADD.to_string(),
		NOW.into(),
		format!("{ADD}\n{NOW}"),
		ADD.replace('\n', ""),
	] {
		assert!(accepts(&model, &required, &good), "{good}");
	}
	for bad in [
		"",
		"hello",
		"<tool_call>\n{\"name\": \"other\"",
		&ADD.replace('7', "\"7\""),
		&ADD.replace("</tool_call>", ""),
	] {
		assert!(!accepts(&model, &required, bad), "{bad}");
	}
	let named = asked(json!({ "type": "function", "function": { "name": "now" } }));
	assert!(accepts(&model, &named, NOW));
	assert!(!accepts(&model, &named, ADD) && !accepts(&model, &named, &format!("{NOW}\n{NOW}")));
}

#[test]
fn each_notation_is_its_familys() {
	let required = asked(json!("required"));
	let object = r#"{"name": "add", "parameters": {"a": 7}}"#;
	assert!(accepts(&model_with(OBJECT), &required, object));
	assert!(!accepts(
		&model_with(OBJECT),
		&required,
		&object.replace("parameters", "arguments")
	));
	let list = r#"[{"name": "add", "arguments": {"a": 7}}, {"name": "now", "arguments": {}, "id": "abcDEF123"}]"#;
	for good in [
		list.into(),
		format!("[TOOL_CALLS] {list}"),
		format!("[TOOL_CALLS]{list}"),
	] {
		assert!(accepts(&model_with(LIST), &required, &good), "{good}");
	}
	assert!(!accepts(&model_with(LIST), &required, "[]"));
}

#[test]
fn a_template_without_a_known_notation_calls_nothing_on_demand() {
	let model = model_with("");
	let refused = |chat| grammar(&model, &chat).err();
	assert_eq!(refused(asked(json!("required"))), Some("tool_choice"));
	let named = asked(json!({ "type": "function", "function": { "name": "now" } }));
	assert_eq!(refused(named), Some("tool_choice"));
	for free in [json!("auto"), json!("none")] {
		assert!(grammar(&model, &asked(free)).unwrap().is_none());
	}
}

#[test]
fn text_is_free_until_a_tag_and_again_behind_its_end() {
	let model = model_with(TAGGED);
	let auto = asked(json!("auto"));
	let fed = |text: &str| fed(&mut grammar(&model, &auto).unwrap().unwrap(), text);
	for free in ["", "no <tool> and no <tool_call", "{\"name\"", "a < b > c"] {
		assert_eq!(fed(free), (free.len(), true), "{free}");
	}
	let text = format!("First this.\n{ADD}\nthen {NOW}{ADD} and text > text");
	assert_eq!(fed(&text), (text.len(), true));
	// In a call there is no other text, and no end.
	let bad = format!("Well: {}", ADD.replace('7', "x"));
	assert_eq!(fed(&bad), (bad.find('x').unwrap(), false));
	let cut = ADD.trim_end_matches("</tool_call>");
	assert_eq!(fed(cut), (cut.len(), false));
}

#[test]
fn a_token_does_not_carry_text_past_the_beginning_of_a_call() {
	let auto = asked(json!("auto"));
	let model = model_with(OBJECT);
	let mut grammar = grammar(&model, &auto).unwrap().unwrap();
	// A special token is no text, and white space is none that counts.
	for token in [USER].into_iter().chain(" {\"name".bytes().map(u32::from)) {
		assert!(allows(&grammar.mask(), token));
		grammar.push(token);
	}
	// The quote begins a call: from here on only calls are let through.
	assert!(allows(&grammar.mask(), u32::from(b'"')));
	grammar.push(u32::from(b'"'));
	let Mask::Only(_) = grammar.mask() else {
		panic!("a call is held to its grammar");
	};
	assert_eq!(fed(&mut grammar, r#": "now", "parameters": {}}"#), (26, true));
	// What only looks like one is text.
	for text in ["{\"names\": 1}", "{ \"name\"", "x{\"name\": 1}", "[{\"name\"x"] {
		let mut grammar = super::grammar(&model, &auto).unwrap().unwrap();
		assert_eq!(fed(&mut grammar, text), (text.len(), true), "{text}");
	}
	let mut grammar = super::grammar(&model, &auto).unwrap().unwrap();
	assert_eq!(fed(&mut grammar, "{\"name\"x"), (7, false));
}

#[test]
fn tools_and_a_format_leave_the_choice_between_them() {
	let model = model_with(TAGGED);
	let with = |choice: &str| {
		let format = json!({ "type": "json_object" });
		chat(json!({ "tools": tools(), "tool_choice": choice, "response_format": format }))
	};
	for good in ["{\"x\": [1, 2]}", NOW] {
		assert!(accepts(&model, &with("auto"), good), "{good}");
	}
	assert!(!accepts(&model, &with("auto"), "[]") && !accepts(&model, &with("auto"), "text"));
	assert!(!accepts(&model, &with("none"), NOW) && accepts(&model, &with("none"), "{}"));
	assert!(accepts(&model, &with("required"), NOW) && !accepts(&model, &with("required"), "{}"));
}

#[test]
fn a_strict_tool_is_held_to_its_schema_or_refused() {
	let model = model_with(TAGGED);
	for schema in [
		json!({ "properties": { "a": { "type": "array", "uniqueItems": true } } }),
		json!({ "properties": { "a": { "type": "string", "pattern": "(?=x)y" } } }),
	] {
		let with = |strict: bool| {
			let function = json!({ "name": "f", "strict": strict, "parameters": schema });
			chat(json!({ "tools": [{ "type": "function", "function": function }], "tool_choice": "required" }))
		};
		assert_eq!(grammar(&model, &with(true)).err(), Some("tools"), "{schema}");
		// Without `strict` its arguments are an object.
		let call = "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 7}}</tool_call>";
		assert!(accepts(&model, &with(false), call), "{schema}");
		assert!(!accepts(&model, &with(false), &call.replace("{\"a\": 7}", "7")));
	}
}

#[test]
fn random_calls_are_read_back() {
	for (calls, syntax) in [
		(TAGGED, ToolSyntax::Tagged),
		(OBJECT, ToolSyntax::Object),
		(LIST, ToolSyntax::List { mark: LIST }),
	] {
		let model = model_with(calls);
		let mut read = 0;
		for seed in 0..12 {
			let mut grammar = grammar(&model, &asked(json!("required"))).unwrap().unwrap();
			let walk = walk(&model, &mut grammar, seed, 400);
			if walk.ended {
				let text = String::from_utf8(walk.text).unwrap();
				let (content, calls) = syntax.parse_calls(&text);
				assert!(content.is_empty() && !calls.is_empty(), "{text}");
				assert!(
					calls.iter().all(|call| call.name == "add" || call.name == "now"),
					"{text}"
				);
				read += 1;
			}
		}
		assert!(read > 3, "{read} with {syntax:?}");
	}
}
