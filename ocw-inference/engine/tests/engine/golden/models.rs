//! Whole runs of tiny models whose weights anyone can make, and of the bundled one.

use super::{compare, hashes::params_json, recipe::Recipe};
use crate::common::{config, load, Tiny};
use assay_engine::{
	execute,
	generate::verify_once,
	spot_check::{check, Record, SpotFinding},
	Engine, Executed, Model,
};
use assay_import::ImportOptions;
use assay_model_folder::{formats::Format, tokenizer::Tokenizer};
use assay_numerics::format::Group;
use assay_primitives::{
	digest::output_hash,
	job::{FinishReason, Output},
	Finding, Hash32, Input, SamplingParams, Work,
};
use serde_json::{json, Map, Value};
use std::{fs, path::Path};

pub(super) const SEED: Hash32 = [5; 32];

/// How golden models are imported.
pub(super) fn options() -> ImportOptions {
	crate::common::options()
}

/// What an implementation must find of a model; `made` is what it needs to make it.
pub(crate) fn identity(dir: &Path, model: &Model, mut made: Value) -> Value {
	let mut manifest = serde_json::to_value(model.manifest()).unwrap();
	// Everybody makes the list of tensors from the weights.
	manifest.as_object_mut().unwrap().remove("tensors");
	let root = |name: &str| json!(blake3::hash(&fs::read(dir.join(name)).unwrap()).to_hex().to_string());
	made["manifest"] = manifest;
	made["model_id"] = json!(model.id().to_string());
	made["weights_root"] = root("model.safetensors");
	made["manifest.json"] = root("manifest.json");
	made["known_answer"] = serde_json::to_value(model.known_answer()).unwrap();
	made
}

fn tokenizer(dir: &Path) -> Tokenizer {
	Tokenizer::parse(&fs::read(dir.join("tokenizer.json")).unwrap()).unwrap()
}

/// One run: what was asked, what came out.
pub(super) struct Asked<'a> {
	pub(super) model: &'a Model,
	pub(super) input: String,
	pub(super) params: SamplingParams,
	pub(super) seed: Hash32,
}

impl Asked<'_> {
	/// Computes the answer without checking it.
	pub(super) fn answer(&self) -> Output {
		execute(self.model, &self.input, &self.params, self.seed)
			.unwrap()
			.output
	}

	pub(super) fn run(&self) -> (Executed, Value) {
		let done = execute(self.model, &self.input, &self.params, self.seed).unwrap();
		let confirmed = Finding::Confirm {
			trace_root: done.trace_root,
		};
		assert_eq!(self.finding(&done.output), confirmed);
		let described = json!({
			"input": self.input, "prompt": self.model.prompt(&self.input).unwrap(), "params": params_json(&self.params),
			"seed": hex::encode(self.seed), "output": output(&done.output), "trace_root": hex::encode(done.trace_root),
		});
		(done, described)
	}

	pub(super) fn finding(&self, claim: &Output) -> Finding {
		verify_once(self.model, &self.input, &self.params, self.seed, claim).unwrap()
	}
}

/// What chunks of a run are recomputed from, and lead to (§6.3).
fn cells(asked: &Asked<'_>, chunks: &[usize]) -> Value {
	let Asked {
		model,
		input,
		params,
		seed,
	} = asked;
	let work = Work {
		model: model.id(),
		input: Input::Text(input.as_bytes().to_vec().try_into().unwrap()),
		params: params.clone(),
		seed: *seed,
		claim: Some(asked.answer()),
	};
	let record = Record::compute(model, &work).unwrap();
	let described = |chunk: &usize| {
		let spot = record.make(*chunk).unwrap();
		assert_eq!(
			check(model, &work, &record.trace_root(), &spot).unwrap(),
			SpotFinding::Confirm
		);
		let hashes = |hashes: &[Hash32]| json!(hashes.iter().map(hex::encode).collect::<Vec<_>>());
		json!({ "chunk": chunk, "leaves": hashes(&spot.leaves), "proof": hashes(&spot.proof) })
	};
	json!(chunks.iter().map(described).collect::<Vec<_>>())
}

pub(super) fn output(output: &Output) -> Value {
	json!({
		"input_tokens": output.input_tokens, "tokens": output.tokens.to_vec(), "text": String::from_utf8_lossy(&output.text),
		"finish": output.finish, "hash": hex::encode(output_hash(output)),
	})
}

pub(super) fn warm(max_tokens: u32) -> SamplingParams {
	SamplingParams {
		temperature: 1 << 16,
		top_k: 60,
		min_p: 1 << 8,
		..SamplingParams::greedy(max_tokens)
	}
}

/// Parameters under which nearly every token may come.
pub(super) fn hot(max_tokens: u32) -> SamplingParams {
	SamplingParams {
		temperature: 4 << 16,
		..SamplingParams::greedy(max_tokens)
	}
}

/// Returns the parameters with these stop strings.
pub(super) fn stopping(params: SamplingParams, stop: &[&str]) -> SamplingParams {
	let stop = stop.iter().map(|stop| stop.as_bytes().to_vec().try_into().unwrap());
	SamplingParams {
		stop: stop.collect::<Vec<_>>().try_into().unwrap(),
		..params
	}
}

/// Claims that differ from an honest answer, and what is found of them.
pub(super) fn rejections(asked: &Asked<'_>, honest: &Output) -> Value {
	let mut all = Map::new();
	let mut reject = |name: &str, change: &dyn Fn(&mut Vec<u32>, &mut Output)| {
		let (mut claim, mut tokens) = (honest.clone(), honest.tokens.to_vec());
		change(&mut tokens, &mut claim);
		claim.tokens = tokens.try_into().unwrap();
		let Finding::Reject { position, prefix_root } = asked.finding(&claim) else {
			panic!("{name} is confirmed")
		};
		all.insert(
			name.into(),
			json!({ "claim": output(&claim), "position": position, "prefix_root": hex::encode(prefix_root) }),
		);
	};
	reject("another token", &|tokens, _| tokens[5] ^= 1);
	reject("another first token", &|tokens, _| tokens[0] ^= 1);
	reject("no token", &|tokens, _| tokens[7] = u32::MAX);
	reject("early stop", &|tokens, _| tokens.truncate(9));
	reject("nothing", &|tokens, _| tokens.clear());
	reject("run-on", &|tokens, _| tokens.push(65));
	reject("another text", &|_, claim| {
		claim.text = b"something else".to_vec().try_into().unwrap()
	});
	reject("another finish", &|_, claim| {
		claim.finish = match claim.finish {
			FinishReason::Eos => FinishReason::Length,
			_ => FinishReason::Eos,
		}
	});
	reject("another length of the prompt", &|_, claim| claim.input_tokens += 1);
	Value::Object(all)
}

pub(super) fn known_answer(model: &Model) -> Value {
	let known = model.known_answer().unwrap();
	let asked = Asked {
		model,
		input: known.prompt.clone(),
		params: SamplingParams {
			temperature: known.temperature,
			..SamplingParams::greedy(known.max_tokens)
		},
		seed: known.seed,
	};
	let (done, mut described) = asked.run();
	assert_eq!(done.hash(), known.answer);
	described["answer"] = json!(hex::encode(known.answer));
	described
}

/// Runs that end by a token or a text, also where the answer could have no further token.
fn ends(model: &Model) -> Vec<(&'static str, Asked<'_>, FinishReason)> {
	let ask = |input: &str, params: SamplingParams, seed: Hash32| Asked {
		model,
		input: input.into(),
		params,
		seed,
	};
	let is_end = |seed: &u8| ask("hello", hot(60), [*seed; 32]).answer().finish == FinishReason::Eos;
	let seed = [(0..=255).find(is_end).unwrap(); 32];
	let eos = |max_tokens| ask("hello", hot(max_tokens), seed);
	let world = |params| ask("hello world", params, SEED);
	let length = |asked: &Asked<'_>| asked.answer().tokens.len() as u32;
	// A string that the answer has somewhere in its middle.
	let text = String::from_utf8(world(warm(40)).answer().text.to_vec()).unwrap();
	let stop: String = text.chars().skip(12).take(2).collect();
	let stopped = |max_tokens| world(stopping(warm(max_tokens), &["never said", &stop]));
	// Two that one token completes: the one that begins first is not the first of the list.
	let is_new = |(at, c): &(usize, char)| *at > 8 && text.find(*c) == Some(*at) && c.is_ascii();
	let (at, late) = text.char_indices().find(is_new).unwrap();
	let begin = text.floor_char_boundary(at - 1);
	let both = world(stopping(warm(40), &[&late.to_string(), &text[begin..=at]]));
	assert_eq!(&both.answer().text[..], &text.as_bytes()[..begin]);
	vec![
		("eos", eos(60), FinishReason::Eos),
		("eos as the last token", eos(length(&eos(60))), FinishReason::Eos),
		("warm", world(warm(40)), FinishReason::Length),
		("stop", stopped(40), FinishReason::Stop),
		(
			"stop with the last token",
			stopped(length(&stopped(40))),
			FinishReason::Stop,
		),
		("two stops", both, FinishReason::Stop),
	]
}

#[test]
fn a_tiny_llama_gives_the_golden_runs() {
	let recipe = Recipe::tiny(1);
	let dir = recipe.make();
	let model = &load(dir.path());
	let ask = |input: &str, params: SamplingParams, seed: Hash32| Asked {
		model,
		input: input.into(),
		params,
		seed,
	};
	let long = |bytes: usize| "hello world ".repeat(bytes / 12 + 1)[..bytes].to_owned();
	let mut runs = Map::new();
	let mut add = |name: &str, asked: Asked<'_>| {
		let (done, described) = asked.run();
		runs.insert(name.into(), described);
		done
	};
	add("greedy", ask("What is a receipt?", SamplingParams::greedy(32), SEED));
	for (name, asked, finish) in ends(model) {
		assert_eq!(add(name, asked).output.finish, finish, "{name}");
	}
	// Rows of the trace: 31, 32, 33, 70. The prompt has three tokens besides the bytes.
	for bytes in [28, 29, 30, 67] {
		add(
			&format!("{} rows", bytes + 3),
			ask(&"x".repeat(bytes), SamplingParams::greedy(1), SEED),
		);
	}
	add("two tiles", ask(&long(520).replace("ll", "l l"), warm(5), SEED));
	add("context full", ask(&"y".repeat(630), warm(100), SEED));
	add("prompt fills the context", ask(&"z".repeat(637), warm(100), SEED));
	// Only what the context holds is paid for.
	let done = add("prompt longer than the context", ask(&"z".repeat(700), warm(100), SEED));
	assert_eq!(done.output.input_tokens, 640);

	let asked = ask("hello world", warm(40), SEED);
	let rejected = rejections(&asked, &asked.run().0.output);
	let greedy = ask("What is a receipt?", SamplingParams::greedy(32), SEED);
	let two = ask(&long(520).replace("ll", "l l"), warm(5), SEED);
	let cells = json!({ "greedy": cells(&greedy, &[0, 1]), "two tiles": cells(&two, &[9]) });
	let found = json!({
		"model": identity(dir.path(), model, recipe.described()), "known answer": known_answer(model), "runs": runs,
		"rejected": { "warm": rejected }, "cells": cells,
	});
	compare("tiny-llama", &found);
}

/// Seed of the families' weights.
pub(super) const FAMILY_SEED: u64 = 2;

/// A tiny configuration of each family, with what it has and others haven't.
pub(super) fn families() -> Vec<(&'static str, Value)> {
	let llama3 = json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
		"original_max_position_embeddings": 64 });
	let yarn = json!({ "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 160 });
	let all = [
		(
			"tiny-llama-3",
			json!({ "rope_theta": 5e5, "rope_scaling": llama3, "attention_bias": true, "mlp_bias": true, "tie_word_embeddings": false }),
		),
		(
			"tiny-mistral",
			json!({ "model_type": "mistral", "sliding_window": 20, "head_dim": 24 }),
		),
		(
			"tiny-qwen2",
			json!({ "model_type": "qwen2", "rope_theta": 1e6, "rope_scaling": yarn }),
		),
		(
			"tiny-qwen3",
			json!({ "model_type": "qwen3", "head_dim": 32, "num_key_value_heads": 4, "rms_norm_eps": 1e-6 }),
		),
		(
			"tiny-window",
			json!({ "model_type": "qwen2", "use_sliding_window": true, "sliding_window": 40, "max_window_layers": 0,
				"rope_scaling": { "rope_type": "linear", "factor": 2.0 } }),
		),
	];
	let with = |changes: Value| {
		let mut config = config(Tiny::default());
		config
			.as_object_mut()
			.unwrap()
			.extend(changes.as_object().unwrap().clone());
		config
	};
	all.into_iter().map(|(name, changes)| (name, with(changes))).collect()
}

#[test]
fn tiny_models_of_each_family_give_the_golden_runs() {
	for (name, config) in families() {
		gives_the_golden_runs(name, &Recipe::of(FAMILY_SEED, config));
	}
}

/// A model of four bits, and one that has all formats; groups are short at the end of rows.
#[test]
fn tiny_models_of_each_format_give_the_golden_runs() {
	let matrix = |layer: usize, part: &str| format!("model.layers.{layer}.{part}.weight");
	let formats = |of: &dyn Fn(usize, usize) -> Format| -> Vec<(String, Format)> {
		let parts = ["q_proj", "k_proj", "v_proj", "o_proj"].map(|part| format!("self_attn.{part}"));
		let mlp = ["gate_proj", "up_proj", "down_proj"].map(|part| format!("mlp.{part}"));
		let parts: Vec<String> = parts.into_iter().chain(mlp).collect();
		let all = (0..2).flat_map(|layer| parts.iter().enumerate().map(move |(at, part)| (layer, at, part)));
		all.map(|(layer, at, part)| (matrix(layer, part), of(layer, at)))
			.collect()
	};
	let w4 = Recipe {
		formats: formats(&|_, _| Format::W4),
		..Recipe::tiny(3)
	};
	gives_the_golden_runs("tiny-w4", &w4);
	let [w8, w8_128, w4, z32, z64, z128] = Format::ALL;
	assert_eq!((w8, z64), (Format::W8(Group::G32), Format::W4z(Group::G64)));
	let layers = [
		[z64, w8, z64, z64, z64, z64, z64],
		[z32, w4, w8_128, z128, w8_128, z32, z128],
	];
	let mut config = config(Tiny::default());
	config.as_object_mut().unwrap().extend([
		("hidden_size".into(), json!(160)),
		("intermediate_size".into(), json!(224)),
		("head_dim".into(), json!(40)),
	]);
	let mixed = Recipe {
		formats: formats(&|layer, at| layers[layer][at])
			.into_iter()
			.filter(|(_, format)| *format != w8)
			.collect(),
		..Recipe::of(4, config)
	};
	gives_the_golden_runs("tiny-w4z", &mixed);
}

fn gives_the_golden_runs(name: &str, recipe: &Recipe) {
	let dir = recipe.make();
	let model = &load(dir.path());
	let ask = |input: &str, params| Asked {
		model,
		input: input.into(),
		params,
		seed: SEED,
	};
	let asked = ask("hello world", warm(16));
	let (done, described) = asked.run();
	let repeated = ask(&"What is a receipt? ".repeat(4), SamplingParams::greedy(6));
	let long = repeated.run().1;
	let found = json!({
		"model": identity(dir.path(), model, recipe.described()), "known answer": known_answer(model),
		"runs": { "warm": described, "long": long }, "rejected": { "warm": rejections(&asked, &done.output) },
		"cells": { "long": cells(&repeated, &[1, 2]) },
	});
	compare(name, &found);
}

/// Byte fallback: `▁` before each piece is paid by nobody, and a space at the beginning is no text.
#[test]
fn a_model_with_byte_fallback_gives_the_golden_runs() {
	let mut config = config(Tiny::default());
	config
		.as_object_mut()
		.unwrap()
		.extend([("vocab_size".into(), json!(300)), ("eos_token_id".into(), json!(2))]);
	let recipe = Recipe {
		tokenizer: "fallback",
		template: "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}",
		..Recipe::of(6, config)
	};
	let dir = recipe.make();
	let model = &load(dir.path());
	let ask = |input: &str, seed: u8| Asked {
		model,
		input: input.into(),
		params: hot(12),
		seed: [seed; 32],
	};
	let tokenizer = tokenizer(dir.path());
	let begins = |seed: &u8| {
		let output = ask("x", *seed).answer();
		output
			.tokens
			.first()
			.is_some_and(|t| tokenizer.bytes(*t).starts_with(b" "))
			&& output.tokens.len() > 3
	};
	let mut runs = Map::new();
	let (done, described) = ask("x", (0..=255).find(begins).unwrap()).run();
	let prompt = model.prompt("x").unwrap().len();
	assert!(prompt > done.output.input_tokens as usize);
	runs.insert("a space first".into(), described);
	runs.insert("a longer one".into(), ask("hello é  world", 0).run().1);
	let found = json!({
		"model": identity(dir.path(), model, recipe.described()), "known answer": known_answer(model), "runs": runs,
	});
	compare("tiny-fallback", &found);
}

/// Tokens of more than a hundred bytes: where a text is cut off (§5).
#[test]
fn a_model_with_long_tokens_gives_the_golden_runs() {
	let recipe = Recipe {
		tokenizer: "long",
		..Recipe::of(
			7,
			config(Tiny {
				context: 1_024,
				..Tiny::default()
			}),
		)
	};
	let dir = recipe.make();
	let model = &load(dir.path());
	let ask = |params: SamplingParams, seed: u8| Asked {
		model,
		input: "hello".into(),
		params,
		seed: [seed; 32],
	};
	let tokenizer = tokenizer(dir.path());
	// The text of all tokens, of which the answer's is a beginning.
	let whole = |output: &Output| {
		let bytes: Vec<u8> = output
			.tokens
			.iter()
			.flat_map(|t| tokenizer.bytes(*t))
			.copied()
			.collect();
		String::from_utf8(bytes).unwrap()
	};
	let mut runs = Map::new();
	let mut add = |name: &str, params: SamplingParams, fits: &dyn Fn(&Output) -> bool| {
		let seed = (0..=255)
			.find(|seed| fits(&ask(params.clone(), *seed).answer()))
			.unwrap();
		let (done, described) = ask(params, seed).run();
		runs.insert(name.into(), described);
		(seed, done.output)
	};
	for (max_tokens, limit) in [(30, 1_024), (1_024, 16_384), (4_096, 65_536)] {
		let name = format!("a character across {limit} bytes");
		add(&name, hot(max_tokens), &|output| output.text.len() == limit - 1);
	}
	let (seed, output) = add("a character at the border", hot(30), &|output| {
		output.text.len() == 1_024
	});
	// With its last token the text has too many bytes, and the answer as many tokens as it may have.
	let both = ask(hot(output.tokens.len() as u32), seed).run();
	assert_eq!(both.0.output.text, output.text);
	runs.insert("both limits".into(), both.1);
	let text = whole(&output);
	let three = |from: usize| text[from..].chars().take(3).collect::<String>();
	let next = 1_024 + text[1_024..].chars().next().unwrap().len_utf8();
	for (name, stop) in [
		("a stop at the border", three(1_024)),
		("a stop behind the border", three(next)),
	] {
		assert_eq!(
			text.find(&stop),
			Some(if name.contains("behind") { next } else { 1_024 })
		);
		runs.insert(name.into(), ask(stopping(hot(30), &[&stop]), seed).run().1);
	}
	let found = json!({
		"model": identity(dir.path(), model, recipe.described()), "known answer": known_answer(model), "runs": runs,
	});
	compare("tiny-long", &found);
}

#[test]
fn the_demo_model_gives_the_golden_runs() {
	let dir = super::home().join("../../demo-model/assay-demo");
	let model = load(&dir);
	let ask = |input: &str, temperature| {
		Asked {
			model: &model,
			input: input.into(),
			params: SamplingParams {
				temperature,
				..SamplingParams::greedy(48)
			},
			seed: SEED,
		}
		.run()
		.1
	};
	let found = json!({
		"model": { "model_id": model.id().to_string() },
		"runs": { "greedy": ask("What is a receipt?", 0), "warm": ask("hello world", 1 << 16) },
		"known answer": known_answer(&model),
	});
	compare("assay-demo", &found);
	Engine::new().add(model).unwrap();
}
