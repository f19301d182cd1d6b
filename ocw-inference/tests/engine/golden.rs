//! Golden vectors: what other computers and other implementations must get.
//!
//! `ASSAY_GOLDEN=write cargo test -p ocw-inference --release golden` writes the file anew; a change in it is a new profile.

use crate::common::{model, noise, Tiny};
use assay_primitives::{digest::output_hash, SamplingParams};
use candle_core::{Device, Tensor};
use ocw_inference::{
	canonical::{
		exp::exp,
		linear::{Linear, Packed},
		norm::RmsNorm,
		rope::Tables,
		Tier,
	},
	generate::{execute, verify},
	model::config::RopeScaling,
	sampler::Sampler,
	Engine, Model,
};
use serde_json::{json, Map, Value};
use std::{env, fs, path::PathBuf};

fn hash(values: &[f32]) -> String {
	let mut hasher = blake3::Hasher::new();
	values.iter().for_each(|v| {
		hasher.update(&v.to_le_bytes());
	});
	hasher.finalize().to_hex().to_string()
}

fn flat(tensor: Tensor) -> Vec<f32> {
	tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Each operation on numbers that anyone can make: BLAKE3's stream over a seed and a name.
fn operations(tier: Tier) -> Value {
	let tensor = |name: &str, shape: (usize, usize)| {
		Tensor::from_vec(noise(7, name, shape.0 * shape.1), shape, &Device::Cpu).unwrap()
	};
	let x = tensor("x", (5, 96));
	let bytes: Vec<u8> = noise(7, "w", 40 * 96).iter().map(|v| (v * 127.0) as i8 as u8).collect();
	let scale: Vec<half::f16> = noise(7, "scale", 40 * 3)
		.iter()
		.map(|v| half::f16::from_f32(v * 0.01))
		.collect();
	let weight = &Packed::pack(&[(&bytes, &scale)], 96).unwrap();
	let linear = Linear {
		weight,
		bias: None,
		tier,
	};
	let norm = noise(7, "norm", 96);
	let norm = RmsNorm {
		weight: &norm,
		epsilon: 1e-5,
		tier,
	};
	let tables = Tables::new(10_000.0, &RopeScaling::None, 16, 64);
	let exps: Vec<f32> = (-20_000..18_000).map(|i| exp(i as f32 * 0.005)).collect();
	let logits: Vec<f32> = noise(7, "logits", 300).iter().map(|v| v * 8.0).collect();
	let params = SamplingParams {
		temperature: 1 << 16,
		top_k: 100,
		min_p: 1 << 10,
		..SamplingParams::greedy(1)
	};
	let sampler = Sampler::new(&params, [3; 32]);
	let tokens: Vec<u32> = (0..32).map(|t| sampler.choose(&logits, t).unwrap()).collect();
	json!({
		"exp": hash(&exps),
		"linear": hash(&flat(x.apply_op1_no_bwd(&linear).unwrap())),
		"rms_norm": hash(&flat(x.apply_op1_no_bwd(&norm).unwrap())),
		"rope": hex::encode(tables.root()),
		"sampler": tokens,
	})
}

fn answers(model: &Model) -> Value {
	let mut all = Map::new();
	for (name, prompt, temperature) in [("greedy", "What is a receipt?", 0), ("warm", "hello world", 1 << 16)] {
		let params = SamplingParams {
			temperature,
			..SamplingParams::greedy(48)
		};
		let done = execute(model, prompt, &params, [5; 32]).unwrap();
		let vote = verify(model, prompt, &params, [5; 32], &done.output).unwrap();
		assert_eq!(
			vote,
			assay_primitives::Vote::Confirm {
				trace_root: done.trace_root
			}
		);
		all.insert(
			name.into(),
			json!({
				"output_hash": hex::encode(output_hash(&done.output)),
				"trace_root": hex::encode(done.trace_root),
				"text": String::from_utf8_lossy(&done.output.text),
			}),
		);
	}
	json!({ "model_id": model.id().to_string(), "answers": all })
}

fn compare(key: &str, found: Value) {
	let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
		.join("tests/golden")
		.join(format!("{key}.json"));
	if env::var("ASSAY_GOLDEN").as_deref() == Ok("write") {
		fs::create_dir_all(path.parent().unwrap()).unwrap();
		fs::write(&path, format!("{found:#}\n")).unwrap();
	}
	let golden: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
	assert_eq!(found, golden, "{key}");
}

#[test]
fn operations_give_the_golden_bits_on_every_tier() {
	compare("operations", operations(Tier::detect()));
	for tier in Tier::available() {
		assert_eq!(operations(tier), operations(Tier::detect()), "{tier}");
	}
}

#[test]
fn the_tiny_model_gives_the_golden_digests() {
	compare("tiny", answers(&model(Tiny::default())));
}

#[test]
fn the_demo_model_gives_the_golden_digests() {
	let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../demo-model/assay-demo");
	let model = Model::load(&dir).unwrap();
	compare("assay-demo", answers(&model));
	Engine::new().add(model).unwrap();
}
