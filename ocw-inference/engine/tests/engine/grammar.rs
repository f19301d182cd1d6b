//! Answers that are held to a schema or to calls: execution and verification find the same, and what a mask leaves out is
//! no answer.

use crate::common::{load, options, write_source, Tiny, TEMPLATE};
use assay_engine::{
	generate::{execute, verify_once, verify_with},
	scheduler::{Scheduler, SchedulerLimits},
	sequence::{Executed, Outcome},
	Model,
};
use assay_import::import;
use assay_primitives::{
	job::{Failure, FinishReason, Output, UncheckedInput},
	Finding, SamplingParams, Work, WorkId,
};
use serde_json::{json, Value};
use std::{collections::HashMap, fs};

/// How many answers are compared.
fn works() -> usize {
	crate::repetitions(64).max(6) as usize
}

/// A tiny model whose template writes tools, and calls between tags.
fn model() -> Model {
	let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
	write_source(source.path(), Tiny::default());
	let template =
		format!("{{% if tools %}}{{{{ tools | tojson }}}}{{% endif %}}{{# <tool_call> arguments #}}{TEMPLATE}");
	fs::write(source.path().join("chat_template.jinja"), template).unwrap();
	import(source.path(), out.path(), &options()).unwrap();
	load(out.path())
}

fn chat(text: &str, with: Value) -> UncheckedInput {
	let mut chat = json!({ "messages": [{ "role": "user", "content": text }] });
	chat.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
	UncheckedInput::Chat(chat.to_string().into_bytes())
}

fn held(text: &str, schema: Value) -> UncheckedInput {
	let format = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": schema } });
	chat(text, json!({ "response_format": format }))
}

fn person() -> Value {
	json!({
		"type": "object",
		"properties": {
			"name": { "type": "string", "maxLength": 6 },
			"age": { "type": "integer", "minimum": 0, "maximum": 150 },
			"tags": { "type": "array", "items": { "enum": ["a", "b"] }, "maxItems": 2 },
		},
		"required": ["name", "age"],
		"additionalProperties": false,
	})
}

fn params(i: usize) -> SamplingParams {
	SamplingParams {
		temperature: [0, 1 << 16, 3 << 15][i % 3],
		top_k: [0, 20][i % 2],
		min_p: [0, 0, 1 << 8][i % 3],
		..SamplingParams::greedy(8 + (i * 7 % 60) as u32)
	}
}

/// Inputs with and without a grammar.
fn input(i: usize) -> UncheckedInput {
	let text = format!("hello {}", "world ".repeat(i % 7));
	let tools = json!([{ "type": "function", "function": { "name": "f", "parameters": person() } }]);
	match i % 6 {
		0 => chat(&text, json!({})),
		1 => held(&text, person()),
		2 => chat(&text, json!({ "response_format": { "type": "json_object" } })),
		3 => chat(&text, json!({ "tools": tools, "tool_choice": "required" })),
		4 => chat(&text, json!({ "tools": tools })),
		_ => held(&text, json!({ "enum": ["yes", "no", { "maybe": [1, 2.5, null] }] })),
	}
}

fn work(model: &Model, i: usize, claim: Option<Output>) -> Work {
	Work {
		model: model.id(),
		input: input(i).bounded().unwrap(),
		params: params(i),
		seed: [i as u8; 32],
		claim,
	}
}

fn run(model: &Model, works: Vec<Work>, max_batched_tokens: usize) -> Vec<Outcome> {
	let limits = SchedulerLimits {
		max_batched_tokens,
		max_running: 13,
		..SchedulerLimits::default()
	};
	let mut scheduler = Scheduler::new(model, limits).unwrap();
	for (i, work) in works.iter().enumerate() {
		scheduler.submit(WorkId([i as u8; 32]), work.clone()).unwrap();
	}
	let mut outcomes = HashMap::new();
	while !scheduler.is_idle() {
		for (id, result) in scheduler.step(&mut |_, _| ()) {
			outcomes.insert(id.0[0], result.unwrap());
		}
	}
	(0..works.len()).map(|i| outcomes.remove(&(i as u8)).unwrap()).collect()
}

#[test]
fn many_answers_with_and_without_grammars_are_made_and_verified_alike() {
	let model = model();
	let made = run(&model, (0..works()).map(|i| work(&model, i, None)).collect(), 96);
	let mut ended = 0;
	let executed: Vec<Executed> = made
		.into_iter()
		.enumerate()
		.map(|(i, outcome)| {
			let Outcome::Executed(executed) = outcome else {
				panic!("an execution ended as a verification")
			};
			let alone = execute(&model, input(i), &params(i), [i as u8; 32]).unwrap();
			assert_eq!(executed, alone, "{i}");
			assert!(!executed.output.tokens.is_empty(), "{i}: {:?}", executed.output);
			if i % 6 == 1 && executed.output.finish == FinishReason::Eos {
				let text = String::from_utf8(executed.output.text.to_vec()).unwrap();
				let person: Value = serde_json::from_str(&text).unwrap();
				assert!(person["name"].is_string() && person["age"].is_u64(), "{text}");
				ended += 1;
			}
			executed
		})
		.collect();
	println!("{ended} ended");
	for max_batched_tokens in [96, 33] {
		let claims = executed.iter().enumerate();
		let claims = claims.map(|(i, executed)| work(&model, i, Some(executed.output.clone())));
		for (i, found) in run(&model, claims.collect(), max_batched_tokens)
			.into_iter()
			.enumerate()
		{
			let trace_root = executed[i].trace_root;
			assert_eq!(found, Outcome::Verified(Finding::Confirm { trace_root }), "{i}");
		}
	}
}

/// Checks that a claim is rejected at this position, whatever the size of a step.
fn rejected(model: &Model, i: usize, claim: &Output, position: usize) {
	for chunk in [1, 7, 128] {
		let found = verify_with(model, input(i), &params(i), [i as u8; 32], claim, chunk).unwrap();
		let Finding::Reject { position: at, .. } = found else {
			panic!("{i}: {found:?}")
		};
		assert_eq!(at as usize, position, "{i} by {chunk}");
	}
}

#[test]
fn an_answer_made_without_the_mask_is_rejected_where_it_first_differs() {
	let model = model();
	let mut found = 0;
	for i in (0..works()).filter(|i| [1, 2, 5].contains(&(i % 6))) {
		let (params, seed) = (params(i), [i as u8; 32]);
		let honest = execute(&model, input(i), &params, seed).unwrap().output;
		// The same prompt, so the same logits: only the mask is missing.
		let text = format!("hello {}", "world ".repeat(i % 7));
		let claim = execute(&model, chat(&text, json!({})), &params, seed).unwrap().output;
		let claim = Output {
			input_tokens: honest.input_tokens,
			..claim
		};
		let tokens = honest.tokens.iter().zip(claim.tokens.iter());
		let position = tokens.take_while(|(a, b)| a == b).count();
		if claim != honest {
			rejected(&model, i, &claim, position);
			found += 1;
		}
	}
	assert!(found >= works() / 4, "{found}");
}

#[test]
fn a_claimed_token_that_may_not_come_is_rejected_there() {
	let model = model();
	for i in [1, 2, 3, 5, 7] {
		let honest = execute(&model, input(i), &params(i), [i as u8; 32]).unwrap().output;
		for position in [0, honest.tokens.len() / 2, honest.tokens.len() - 1] {
			let mut claim = honest.clone();
			let mut tokens = claim.tokens.to_vec();
			// No JSON has this control character anywhere.
			tokens[position] = 7;
			claim.tokens = tokens.try_into().unwrap();
			rejected(&model, i, &claim, position);
		}
	}
}

#[test]
fn an_answer_cut_short_is_no_answer() {
	let model = model();
	for i in [1, 2, 3] {
		let mut claim = execute(&model, input(i), &params(i), [i as u8; 32]).unwrap().output;
		let kept = claim.tokens.len() / 2;
		claim.tokens.truncate(kept);
		claim.text = claim
			.tokens
			.iter()
			.map(|token| *token as u8)
			.collect::<Vec<_>>()
			.try_into()
			.unwrap();
		claim.finish = FinishReason::Length;
		rejected(&model, i, &claim, kept);
	}
}

#[test]
fn a_schema_that_is_not_held_to_fails_by_name_and_everybody_confirms_it() {
	let model = model();
	for (input, part) in [
		(held("x", json!({ "uniqueItems": true })), "response_format"),
		(
			held("x", json!({ "type": "integer", "minimum": 2, "maximum": 1 })),
			"response_format",
		),
	] {
		let params = SamplingParams::greedy(5);
		let executed = execute(&model, input.clone(), &params, [0; 32]).unwrap();
		let output = &executed.output;
		assert_eq!(output.finish, FinishReason::Failed(Failure::Grammar));
		assert_eq!((output.tokens.len(), output.text.as_slice()), (0, part.as_bytes()));
		assert!(output.input_tokens > 0);
		let found = |claim: &Output| verify_once(&model, input.clone(), &params, [0; 32], claim).unwrap();
		let trace_root = executed.trace_root;
		assert_eq!(found(output), Finding::Confirm { trace_root });
		let other = Output {
			text: b"tools".to_vec().try_into().unwrap(),
			..output.clone()
		};
		assert!(matches!(found(&other), Finding::Reject { position: 0, .. }));
	}
	// And a provider that refuses what it could answer is wrong.
	let lie = Output {
		input_tokens: 0,
		tokens: Default::default(),
		text: b"response_format".to_vec().try_into().unwrap(),
		finish: FinishReason::Failed(Failure::Grammar),
	};
	rejected(&model, 1, &lie, 0);
}
