//! Inputs of which a model makes nothing (§5): the answer, its trace, and what is found of other claims.

use super::{
	compare,
	hashes::params_json,
	models::{hot, identity, output, Asked, SEED},
	recipe::Recipe,
};
use crate::common::{config, load, Tiny};
use assay_engine::{execute, generate::verify_once, Model};
use assay_primitives::{
	job::{Failure, FinishReason, Output},
	Finding, SamplingParams,
};
use serde_json::{json, Map, Value};

/// A template that does what the message asks for.
const TEMPLATE: &str = "{% set said = messages[0].content %}\
	{% if said == 'raise' %}{{ raise_exception('not this one') }}\
	{% elif said == 'rant' %}{{ raise_exception('x' ~ 'é' * 200) }}\
	{% elif said == 'fail' %}{{ said + 1 }}\
	{% elif said == 'mumble' %}{{ said[1:] }}\
	{% else %}{{ said | trim }}{% endif %}";

/// The token `a`, which ends answers as well as the special one.
const END: u32 = 65;

/// Returns what a model answers to these inputs, and what is found of other claims.
pub(crate) fn refusals(model: &Model, inputs: &[(&str, &str)]) -> (Value, Value) {
	let params = SamplingParams::greedy(5);
	let (mut runs, mut rejected) = (Map::new(), Map::new());
	for (name, input) in inputs {
		let done = execute(model, *input, &params, SEED).unwrap();
		assert!(!done.output.finish.model_ran(), "{name}");
		let finding = |claim: &Output| verify_once(model, *input, &params, SEED, claim).unwrap();
		let confirmed = Finding::Confirm {
			trace_root: done.trace_root,
		};
		assert_eq!(finding(&done.output), confirmed);
		let described = json!({
			"input": input, "prompt": model.prompt(input).ok(), "params": params_json(&params), "seed": hex::encode(SEED),
			"output": output(&done.output), "trace_root": hex::encode(done.trace_root),
		});
		runs.insert((*name).into(), described);
		let answer = Output {
			tokens: vec![65, 66].try_into().unwrap(),
			text: b"AB".to_vec().try_into().unwrap(),
			finish: FinishReason::Length,
			..done.output.clone()
		};
		let failure = Output {
			finish: FinishReason::Failed(Failure::NonFinite),
			..done.output.clone()
		};
		let mut claims = Map::new();
		for (name, claim) in [("an answer", answer), ("another failure", failure)] {
			let Finding::Reject { position, prefix_root } = finding(&claim) else {
				panic!("{name} is confirmed")
			};
			claims.insert(
				name.into(),
				json!({ "claim": output(&claim), "position": position, "prefix_root": hex::encode(prefix_root) }),
			);
		}
		rejected.insert((*name).into(), Value::Object(claims));
	}
	(Value::Object(runs), Value::Object(rejected))
}

/// A run that ends with a token that has a text, which is no part of the answer's.
fn end_with_a_text(model: &Model) -> Value {
	let ask = |seed: u8| Asked {
		model,
		input: "hello".into(),
		params: hot(60),
		seed: [seed; 32],
	};
	let ends = |seed: &u8| ask(*seed).answer().tokens.last() == Some(&END);
	ask((0..=255).find(ends).unwrap()).run().1
}

#[test]
fn a_tiny_model_gives_the_golden_refusals() {
	let mut config = config(Tiny {
		context: 64,
		..Tiny::default()
	});
	config["eos_token_id"] = json!([END, 263]);
	let recipe = Recipe {
		tokenizer: "long",
		template: TEMPLATE,
		..Recipe::of(8, config)
	};
	let dir = recipe.make();
	let model = &load(dir.path());
	let full = "?".repeat(64);
	assert_eq!(model.prompt(&full).unwrap().len(), 64);
	let (mut runs, rejected) = refusals(
		model,
		&[
			("an exception", "raise"),
			("a long exception", "rant"),
			("an error", "fail"),
			("a part left out", "mumble"),
			("a character without tokens", "½"),
			("no tokens", " "),
			("a prompt that fills the context", &full),
		],
	);
	runs["an end token with a text"] = end_with_a_text(model);
	let made = recipe.described();
	let found = json!({ "model": identity(dir.path(), model, made), "runs": runs, "rejected": rejected });
	compare("tiny-refusals", &found);
}
