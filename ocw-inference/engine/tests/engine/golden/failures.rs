//! Models whose rows fail, each by another of the values that are looked at (§3.3).

use super::{
	compare,
	models::{hot, identity, rejections, Asked},
	recipe::{change, Change, Recipe},
};
use crate::{
	common::load,
	rows::{forward, Sequence},
};
use assay_engine::Model;
use assay_primitives::job::{Failure, FinishReason};
use serde_json::{json, Map, Value};

/// A template that writes the message and nothing else.
const PLAIN: &str = "{% for m in messages %}{{ m.content }}{% endfor %}";

/// Dimension 0 of the residual stream is zero but for one token, and the last norm multiplies it by `by`.
fn poison(token: usize, by: f32) -> Vec<Change> {
	let embedding = "model.embed_tokens.weight";
	let mut changes = vec![
		change("model.norm.weight", &[Some(0)], by),
		change(embedding, &[None, Some(0)], 0.0),
		change(embedding, &[Some(token), Some(0)], 8.0),
	];
	for layer in 0..2 {
		for part in ["self_attn.o_proj", "mlp.down_proj"] {
			changes.push(change(
				&format!("model.layers.{layer}.{part}.weight"),
				&[Some(0), None],
				0.0,
			));
		}
	}
	changes
}

fn ask<'a>(model: &'a Model, input: &str, seed: u8) -> Asked<'a> {
	Asked {
		model,
		input: input.into(),
		params: hot(100),
		seed: [seed; 32],
	}
}

/// A run that fails after more than ten tokens.
fn failing<'a>(model: &'a Model, input: &str) -> Asked<'a> {
	let fails = |seed: &u8| {
		let output = ask(model, input, *seed).answer();
		output.finish == FinishReason::Failed(Failure::NonFinite) && output.tokens.len() > 10
	};
	ask(model, input, (0..=255).find(fails).unwrap())
}

#[test]
fn a_model_that_meets_no_number_gives_the_golden_failures() {
	// `%` blows up: in the prompt, as its second row, or when it is chosen.
	let recipe = Recipe {
		changes: poison(usize::from(b'%'), 3e38),
		..Recipe::tiny(1)
	};
	let dir = recipe.make();
	let model = &load(dir.path());
	let mut runs = Map::new();
	for (name, input) in [("in the prompt", "wor%d"), ("in the second row", "% ")] {
		runs.insert(name.into(), ask(model, input, 0).run().1);
	}
	let asked = failing(model, "hello");
	let (done, described) = asked.run();
	runs.insert("in the answer".into(), described);
	let found = json!({
		"model": identity(dir.path(), model, recipe.described()), "runs": runs,
		"rejected": { "in the answer": rejections(&asked, &done.output) },
	});
	compare("tiny-not-finite", &found);
}

/// A row whose logits overflow fails if it chooses a token, and only then.
#[test]
fn a_model_whose_logits_overflow_gives_the_golden_failures() {
	let recipe = Recipe {
		template: PLAIN,
		changes: poison(usize::from(b'%'), 3e37),
		..Recipe::tiny(1)
	};
	let dir = recipe.make();
	let model = &load(dir.path());
	let mut runs = Map::new();
	let mut add = |name: &str, asked: &Asked<'_>| {
		let (done, described) = asked.run();
		runs.insert(name.into(), described);
		done.output
	};
	let last = add("as the prompt's last token", &ask(model, "wor%", 0));
	assert_eq!(
		(last.finish, last.tokens.len()),
		(FinishReason::Failed(Failure::NonFinite), 0)
	);
	let inside = ask(model, "wor%d", 1);
	let passed = add("inside the prompt", &inside);
	assert!(passed.tokens.len() > 10);
	let answer = failing(model, "hello");
	let failed = add("in the answer", &answer);
	// The same answer, that ends with the token whose row would fail: nobody looks at that row's logits.
	let ended = Asked {
		params: hot(failed.tokens.len() as u32),
		input: answer.input.clone(),
		..answer
	};
	let cut = add("at the end of the answer", &ended);
	assert_eq!((cut.finish, &cut.tokens), (FinishReason::Length, &failed.tokens));
	let rejected = json!({
		"inside the prompt": rejections(&inside, &passed), "in the answer": rejections(&answer, &failed),
		"at the end of the answer": rejections(&ended, &cut),
	});
	let found = json!({
		"model": identity(dir.path(), model, recipe.described()), "runs": runs, "rejected": rejected,
	});
	compare("tiny-overflow-logits", &found);
}

/// Returns the first row of a prompt that fails before its logits.
fn first_failing(model: &Model, tokens: &[u32]) -> Option<usize> {
	let mut pool = model.decoder().unwrap().pool(tokens.len().div_ceil(32)).unwrap();
	let mut sequence = Sequence::new(tokens.to_vec(), &mut pool);
	let rows = forward(model, &mut pool, &mut [&mut sequence], &[tokens.len()]);
	rows.non_finite.iter().position(|failed| *failed)
}

/// Keys that are too large for f16, scores that overflow, gates that do: prompts in whose middle a row fails.
#[test]
fn models_in_which_other_values_overflow_give_the_golden_failures() {
	let layer = |part: &str| format!("model.layers.0.{part}.weight");
	let keys = vec![change(&layer("self_attn.k_proj"), &[Some(3), None], 7_000.0)];
	let scores = vec![
		change(&layer("input_layernorm"), &[Some(0)], 1.5e38),
		change(&layer("self_attn.k_proj"), &[None, Some(0)], 0.0),
		change(&layer("self_attn.v_proj"), &[None, Some(0)], 0.0),
	];
	let gates = vec![change(&layer("post_attention_layernorm"), &[Some(0)], 4e19)];
	for (name, changes) in [("k", keys), ("a", scores), ("y", gates)] {
		let recipe = Recipe {
			template: PLAIN,
			changes,
			..Recipe::tiny(1)
		};
		let dir = recipe.make();
		let model = &load(dir.path());
		let mut runs = Map::new();
		for seed in 0..=255u8 {
			let letters = super::stream(&format!("overflow/{seed}"), 24);
			let input: String = letters.into_iter().map(|b| char::from(b'!' + b % 90)).collect();
			let tokens = model.prompt(&input).unwrap();
			if first_failing(model, &tokens).is_some_and(|row| row >= 4) {
				runs.insert(format!("input {seed}"), ask(model, &input, seed).run().1);
			}
			if runs.len() == 8 {
				break;
			}
		}
		assert!(runs.len() >= 4, "{name}: {} runs", runs.len());
		let found = json!({ "model": identity(dir.path(), model, recipe.described()), "runs": Value::Object(runs) });
		compare(&format!("tiny-overflow-{name}"), &found);
	}
}
