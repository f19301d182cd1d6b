//! What a mask costs with a published vocabulary of 128 000 tokens, if it can be fetched.

use super::{chat, with_schema};
use crate::grammar::{Asked, Grammar, Mask, Vocabulary};
use assay_model_folder::tokenizer::Tokenizer;
use assay_numerics::sampler::Sampler;
use assay_primitives::chat::Chat;
use assay_test_fixtures::{fetched, noise};
use serde_json::json;
use std::{
	fs,
	sync::Arc,
	time::{Duration, Instant},
};

const TEMPLATE: &str = "<tool_call> arguments";

fn person() -> serde_json::Value {
	json!({
		"type": "object",
		"properties": {
			"name": { "type": "string" },
			"age": { "type": "integer", "minimum": 0, "maximum": 150 },
			"mail": { "type": "string", "format": "email" },
			"tags": { "type": "array", "items": { "enum": ["red", "green", "blue"] }, "maxItems": 5 },
			"address": { "type": "object", "properties": { "street": { "type": "string", "maxLength": 40 } } },
		},
		"required": ["name", "age", "mail", "tags"],
		"additionalProperties": false,
	})
}

fn cases() -> Vec<(&'static str, Chat)> {
	let tools = json!([{ "type": "function", "function": { "name": "add_person", "parameters": person() } }]);
	vec![
		("a schema", with_schema(&person())),
		(
			"an object",
			chat(json!({ "response_format": { "type": "json_object" } })),
		),
		("a call", chat(json!({ "tools": tools, "tool_choice": "required" }))),
		("text that may call", chat(json!({ "tools": tools }))),
	]
}

#[test]
fn masks_of_a_large_vocabulary_are_made_in_time() {
	let Some(directory) = fetched("templates") else {
		return;
	};
	let json = fs::read(directory.join("llama3_1/tokenizer.json")).unwrap();
	let tokenizer = Tokenizer::parse(&json).unwrap();
	let start = Instant::now();
	let vocabulary = Arc::new(Vocabulary::new(&tokenizer, tokenizer.size(), &[128_009]).unwrap());
	println!("the trie of {} tokens: {:?}", tokenizer.size(), start.elapsed());
	for (what, chat) in cases() {
		let asked = Asked::of(&chat, TEMPLATE, &tokenizer).unwrap().unwrap();
		let start = Instant::now();
		let mut grammar = Grammar::new(&vocabulary, asked).unwrap().unwrap();
		let read = start.elapsed();
		let (mut masks, mut samples, mut pushes) = (Vec::new(), Duration::ZERO, Duration::ZERO);
		let sampler = Sampler::new(1 << 16, 0, 0, [1; 32]);
		let mut text = Vec::new();
		for step in 0..200 {
			let start = Instant::now();
			let mask = grammar.mask();
			masks.push(start.elapsed());
			let logits = noise(step.into(), what, tokenizer.size());
			let start = Instant::now();
			let token = match &mask {
				Mask::All => sampler.sample(&logits, step),
				Mask::Only(words) => sampler.sample_allowed(&logits, step, words),
				Mask::Nothing => panic!("{what}: no token may come after {text:?}"),
			};
			samples += start.elapsed();
			let token = token.unwrap();
			if token == 128_009 {
				break;
			}
			text.extend_from_slice(tokenizer.bytes(token));
			let start = Instant::now();
			grammar.push(token);
			pushes += start.elapsed();
		}
		let count = masks.len() as u32;
		let (mean, largest) = (masks.iter().sum::<Duration>() / count, masks.iter().max().unwrap());
		println!(
			"{what}: read in {read:?}; a mask {mean:?}, the largest {largest:?}; a token {:?}; sampling {:?}; {count} steps",
			pushes / count,
			samples / count
		);
	}
}
