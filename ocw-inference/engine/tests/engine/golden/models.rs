//! Whole runs of tiny models whose weights anyone can make, and of the bundled one.

use super::{compare, hashes::params_json};
use crate::common::{config, folder, folder_of, load, Tiny};
use assay_engine::{execute, generate::verify_once, Engine, Executed, Model};
use assay_model_folder::tokenizer::Tokenizer;
use assay_primitives::{
	digest::output_hash,
	job::{FinishReason, Output},
	Finding, Hash32, SamplingParams,
};
use serde_json::{json, Map, Value};
use std::{fs, path::Path};

const SEED: Hash32 = [5; 32];

/// What an implementation needs to make the model again, and what it must find then.
pub(crate) fn identity(dir: &Path, model: &Model, tiny: &Tiny) -> Value {
	let mut manifest = serde_json::to_value(model.manifest()).unwrap();
	// Everybody makes the list of tensors from the weights.
	manifest.as_object_mut().unwrap().remove("tensors");
	let weights = fs::read(dir.join("model.safetensors")).unwrap();
	json!({
		"seed": tiny.seed, "poison": tiny.poison, "manifest": manifest, "model_id": model.id().to_string(),
		"weights_root": blake3::hash(&weights).to_hex().to_string(), "tokens": vocabulary(dir),
	})
}

/// Bytes of each token in hexadecimal; `-` for those that are written in no text.
fn vocabulary(dir: &Path) -> String {
	let tokenizer = Tokenizer::parse(&fs::read(dir.join("tokenizer.json")).unwrap()).unwrap();
	let written = |id: u32| match tokenizer.bytes(id) {
		[] => "-".into(),
		bytes => hex::encode(bytes),
	};
	(0..tokenizer.size() as u32).map(written).collect::<Vec<_>>().join(" ")
}

/// One run: what was asked, what came out.
struct Asked<'a> {
	model: &'a Model,
	input: String,
	params: SamplingParams,
	seed: Hash32,
}

impl Asked<'_> {
	fn run(&self) -> (Executed, Value) {
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

	fn finding(&self, claim: &Output) -> Finding {
		verify_once(self.model, &self.input, &self.params, self.seed, claim).unwrap()
	}
}

fn output(output: &Output) -> Value {
	json!({
		"input_tokens": output.input_tokens, "tokens": output.tokens.to_vec(), "text": String::from_utf8_lossy(&output.text),
		"finish": output.finish, "hash": hex::encode(output_hash(output)),
	})
}

fn warm(max_tokens: u32) -> SamplingParams {
	SamplingParams {
		temperature: 1 << 16,
		top_k: 60,
		min_p: 1 << 8,
		..SamplingParams::greedy(max_tokens)
	}
}

/// Claims that differ from an honest answer, and what is found of them.
fn rejections(asked: &Asked<'_>, honest: &Output) -> Value {
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

fn known_answer(model: &Model) -> Value {
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

#[test]
fn a_tiny_llama_gives_the_golden_runs() {
	let tiny = Tiny::default();
	let dir = folder(tiny);
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
	let hot = |seed: u8| {
		let params = SamplingParams {
			temperature: 4 << 16,
			..SamplingParams::greedy(60)
		};
		ask("hello", params, [seed; 32])
	};
	let ends = |seed: &u8| {
		let asked = hot(*seed);
		execute(model, &asked.input, &asked.params, asked.seed)
			.unwrap()
			.output
			.finish == FinishReason::Eos
	};
	add("eos", hot((0..=255).find(ends).unwrap()));
	// A string that the answer has somewhere in its middle.
	let text = String::from_utf8(add("warm", ask("hello world", warm(40), SEED)).output.text.to_vec()).unwrap();
	let stop: String = text.chars().skip(12).take(2).collect();
	let stopped = SamplingParams {
		stop: vec![
			b"never said".to_vec().try_into().unwrap(),
			stop.into_bytes().try_into().unwrap(),
		]
		.try_into()
		.unwrap(),
		..warm(40)
	};
	let done = add("stop", ask("hello world", stopped, SEED));
	assert_eq!(done.output.finish, FinishReason::Stop);
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

	let asked = ask("hello world", warm(40), SEED);
	let rejected = rejections(&asked, &asked.run().0.output);
	let found = json!({
		"model": identity(dir.path(), model, &tiny), "known answer": known_answer(model), "runs": runs,
		"rejected": { "warm": rejected },
	});
	compare("tiny-llama", &found);
}

/// Weights of the families' models.
pub(super) fn family_seed() -> Tiny {
	Tiny {
		seed: 2,
		..Tiny::default()
	}
}

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
	];
	let with = |changes: Value| {
		let mut config = config(family_seed());
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
		let tiny = family_seed();
		let dir = folder_of(tiny, &config);
		let model = &load(dir.path());
		let ask = |input: &str, params| Asked {
			model,
			input: input.into(),
			params,
			seed: SEED,
		};
		let asked = ask("hello world", warm(16));
		let (done, described) = asked.run();
		let long = ask(&"What is a receipt? ".repeat(4), SamplingParams::greedy(6)).run().1;
		let found = json!({
			"model": identity(dir.path(), model, &tiny), "known answer": known_answer(model),
			"runs": { "warm": described, "long": long }, "rejected": { "warm": rejections(&asked, &done.output) },
		});
		compare(name, &found);
	}
}

#[test]
fn a_model_that_meets_no_number_gives_the_golden_failures() {
	// `%` blows up: in the prompt, as its second row, or when it is chosen.
	let tiny = Tiny {
		poison: Some(u32::from(b'%')),
		..Tiny::default()
	};
	let dir = folder(tiny);
	let model = &load(dir.path());
	let mut runs = Map::new();
	let ask = |input: &str, seed: u8| Asked {
		model,
		input: input.into(),
		params: SamplingParams {
			temperature: 4 << 16,
			..SamplingParams::greedy(100)
		},
		seed: [seed; 32],
	};
	runs.insert("in the prompt".into(), ask("wor%d", 0).run().1);
	runs.insert("in the second row".into(), ask("% ", 0).run().1);
	let fails = |seed: &u8| {
		let asked = ask("hello", *seed);
		let output = execute(model, &asked.input, &asked.params, asked.seed).unwrap().output;
		matches!(output.finish, FinishReason::Failed(_)) && output.tokens.len() > 10
	};
	let asked = ask("hello", (0..=255).find(fails).unwrap());
	let (done, described) = asked.run();
	runs.insert("in the answer".into(), described);
	let found = json!({
		"model": identity(dir.path(), model, &tiny), "runs": runs,
		"rejected": { "in the answer": rejections(&asked, &done.output) },
	});
	compare("tiny-not-finite", &found);
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
		"model": { "model_id": model.id().to_string(), "tokens": vocabulary(&dir) },
		"runs": { "greedy": ask("What is a receipt?", 0), "warm": ask("hello world", 1 << 16) },
		"known answer": known_answer(&model),
	});
	compare("assay-demo", &found);
	Engine::new().add(model).unwrap();
}
