//! Schemas that would break a grammar, or be broken by it.

use super::{accepts, fed, grammar, model_with, walk, with_schema};
use crate::grammar::Mask;
use serde_json::{json, Value};
use std::time::Instant;

#[test]
fn what_is_not_held_to_is_refused_and_never_passed_over() {
	let model = model_with("");
	for schema in [
		json!({ "type": "array", "uniqueItems": true }),
		json!({ "not": { "type": "null" } }),
		json!({ "if": {}, "then": {} }),
		json!({ "type": "object", "minProperties": 1 }),
		json!({ "propertyNames": { "maxLength": 3 } }),
		json!({ "contains": {} }),
		json!({ "dependentRequired": {} }),
		json!({ "unevaluatedProperties": false }),
		json!({ "x-guidance": { "lenient": true }, "uniqueItems": true }),
		json!({ "x-guidance": {} }),
		json!({ "properties": { "a": { "x-guidance": { "lenient": true } } } }),
		json!({ "minimun": 3 }),
		json!({ "type": "string", "format": "made-up" }),
		json!({ "type": "string", "format": "unknown" }),
		json!({ "type": "string", "pattern": "(?=a)b" }),
		json!({ "type": "string", "pattern": "a".repeat(600) }),
		json!({ "type": "text" }),
		json!({ "type": [] }),
		json!({ "$schema": "http://json-schema.org/draft-04/schema#" }),
		json!({ "properties": { "a": { "$id": "other" } } }),
		json!({ "$ref": "#/$defs/missing" }),
		json!({ "$ref": "https://example.com/schema" }),
		json!({ "$ref": "#/properties/a", "properties": { "a": {} } }),
		json!({ "items": [{ "type": "null" }] }),
		json!({ "additionalItems": false, "items": {} }),
		json!({ "type": "integer", "minimum": 1e17 }),
		json!({ "const": 9_007_199_254_740_993i64 }),
		json!({ "multipleOf": 0 }),
		json!({ "exclusiveMinimum": true }),
		json!({ "maxLength": -1 }),
		json!({ "maxLength": 1.5 }),
		json!({ "enum": [] }),
		json!({ "anyOf": [] }),
		json!({ "const": "\u{1}" }),
		json!({ "properties": { "\t": {} } }),
		json!({ "oneOf": [{ "type": "integer" }, { "minimum": 2 }] }),
	] {
		assert_eq!(
			grammar(&model, &with_schema(&schema)).err(),
			Some("response_format"),
			"{schema}"
		);
	}
}

#[test]
fn what_nothing_fits_is_refused() {
	let model = model_with("");
	for schema in [
		json!(false),
		json!({ "allOf": [{ "type": "string" }, { "type": "integer" }] }),
		json!({ "type": "integer", "minimum": 3, "maximum": 2 }),
		json!({ "type": "string", "minLength": 3, "maxLength": 2 }),
		json!({ "type": "string", "pattern": "^a$", "minLength": 2 }),
		json!({ "type": "object", "properties": { "a": false }, "required": ["a"] }),
		json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } }),
		json!({ "$ref": "#" }),
	] {
		match grammar(&model, &with_schema(&schema)) {
			Err(part) => assert_eq!(part, "response_format", "{schema}"),
			// Some of these only show when the first token is asked for.
			Ok(grammar) => assert_eq!(grammar.unwrap().mask(), Mask::Nothing, "{schema}"),
		}
	}
}

#[test]
fn a_name_that_is_taken_has_no_second_notation() {
	let model = model_with("");
	let open =
		with_schema(&json!({ "properties": { "age": { "type": "integer" } }, "required": ["age"], "type": "object" }));
	assert!(accepts(&model, &open, r#"{"age": 7, "more": "x"}"#));
	for bad in [r#"{"age": 7, "age": "x"}"#, "{\"age\": 7, \"\\u0061ge\": \"x\"}"] {
		assert!(!accepts(&model, &open, bad), "{bad}");
	}
}

#[test]
fn white_space_comes_to_an_end() {
	let model = model_with("");
	let any = with_schema(&json!(true));
	for good in ["{ \"a\": 1 }", "{\n  \"a\": 1\n}", " []", "true"] {
		assert!(accepts(&model, &any, good), "{good:?}");
	}
	for (bad, at) in [("{   ", 2), ("{\n\n", 2), ("[\t", 1), ("[] ", 2)] {
		assert_eq!(
			fed(&mut grammar(&model, &any).unwrap().unwrap(), bad),
			(at, false),
			"{bad:?}"
		);
	}
}

/// Schemas that are allowed and as large or as twisted as the limits let them be.
fn heavy() -> Vec<(&'static str, Value)> {
	let chain = |count: usize| {
		let one = |i: usize| {
			(
				format!("d{i}"),
				json!({ "items": { "$ref": format!("#/$defs/d{}", (i + 1) % count) } }),
			)
		};
		let definitions: serde_json::Map<_, _> = (0..count).map(one).collect();
		json!({ "$ref": "#/$defs/d0", "$defs": definitions })
	};
	let nested = (0..8).fold(
		json!({ "type": "integer" }),
		|inner, _| json!({ "anyOf": [inner, { "type": "null" }] }),
	);
	let wide = |count: usize, kind: &str| {
		let names = (0..count).map(|i| (format!("property_{i}"), json!({ "type": kind })));
		json!({ "type": "object", "properties": names.collect::<serde_json::Map<_, _>>() })
	};
	let crossed = |count: usize| {
		let options: Vec<Value> = (0..count)
			.map(|i| wide(4 + i % 3, ["string", "integer"][i % 2]))
			.collect();
		json!({ "allOf": [{ "anyOf": options }, { "anyOf": options }, { "anyOf": options }] })
	};
	let words: Vec<String> = (0..1_000).map(|i| format!("word {i} {}", "x".repeat(i % 40))).collect();
	vec![
		("a chain of definitions", chain(64)),
		("nested options", nested),
		("256 properties", wide(256, "string")),
		("options that cross", crossed(40)),
		("a long constant", json!({ "const": "long ".repeat(9_000) })),
		("many words", json!({ "enum": words })),
		(
			"long repetitions",
			json!({ "type": "string", "pattern": "^(a{1,500}b){1,500}$" }),
		),
		(
			"an exponential automaton",
			json!({ "type": "string", "pattern": "^[ab]*a[ab]{200}$" }),
		),
		(
			"many alternatives",
			json!({ "type": "string", "pattern": "(a|b|ab|ba|aab|c)*x(a|b|ab|ba|aab|c)*y(a|b|ab)*" }),
		),
		(
			"large counts",
			json!({ "type": "array", "items": { "maxLength": 65_536, "minLength": 60_000 }, "minItems": 65_536 }),
		),
		("any JSON", json!(true)),
	]
}

#[test]
fn heavy_schemas_end_in_time_and_always_alike() {
	let model = model_with("");
	for (what, schema) in heavy() {
		let start = Instant::now();
		let of =
			|| grammar(&model, &with_schema(&schema)).map(|made| made.map(|mut made| walk(&model, &mut made, 1, 300)));
		let (one, two) = (of(), of());
		match (one, two) {
			(Ok(Some(one)), Ok(Some(two))) => {
				assert!(one.tokens == two.tokens && one.masks == two.masks, "{what}");
				println!(
					"{what}: {} tokens, ended {}, {:?} for two",
					one.tokens.len(),
					one.ended,
					start.elapsed()
				);
			}
			(Err(one), Err(two)) => {
				assert_eq!(one, two);
				println!("{what}: refused after {:?}", start.elapsed() / 2);
			}
			_ => panic!("{what} is once refused and once not"),
		}
	}
}

#[test]
fn brackets_may_nest_as_deep_as_an_answer_is_long() {
	let model = model_with("");
	let mut grammar = grammar(&model, &with_schema(&json!(true))).unwrap().unwrap();
	let deep = "[".repeat(4_096);
	assert_eq!(fed(&mut grammar, &deep).0, deep.len());
	assert_ne!(grammar.mask(), Mask::Nothing);
}

#[test]
fn an_answer_that_costs_too_much_has_no_next_token() {
	let model = model_with("");
	let mut grammar = grammar(&model, &with_schema(&json!(true))).unwrap().unwrap();
	grammar.fuel = 1;
	assert_ne!(grammar.mask(), Mask::Nothing);
	grammar.push(u32::from(b'['));
	assert_eq!(grammar.mask(), Mask::Nothing);
}
