//! Section 8: the JSON of a model's directory.

use super::{compare, Cases};
use assay_model_folder::config::{Architecture, Hyperparameters, ModelConfig, F32};
use codec::Encode;
use serde_json::{json, Value};

#[test]
fn floats_are_written_with_the_golden_digits() {
	let values = [
		0.0,
		1e-45,
		1.175_494_4e-38,
		1e-12,
		1e-6,
		1.5e-7,
		9.999_999e-6,
		1e-5,
		1.000_000_1e-5,
		1.234e-5,
		0.1,
		1.0 / 3.0,
		1.0,
		8.0,
		1.138_629_4,
		10_000.0,
		123_456.7,
		5e5,
		1e6,
		16_777_216.0,
		3e7,
		1e15,
		9.999_999e15,
		1e16,
		1.234_5e16,
		1e20,
		3e38,
		f32::MAX,
		// The digits that are enough for an f32, read as f64 and rounded, are its neighbor.
		f32::from_bits(0x15AE_43FD),
	];
	let case = |v: f32| {
		(
			hex::encode(v.to_le_bytes()),
			json!(serde_json::to_string(&F32(v)).unwrap()),
		)
	};
	compare("numbers", &Value::Object(values.into_iter().map(case).collect()));
}

#[test]
fn configurations_are_written_as_the_golden_ones() {
	let decoder = |family: &str, scaling: Value, window: Value, eps: f32, theta: f32| {
		let qk_norm = family == "qwen3";
		json!({ "decoder": {
			"vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
			"num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 640, "rms_norm_eps": F32(eps),
			"rope_theta": F32(theta), "rope_scaling": scaling, "sliding_window": window, "attention_bias": family == "qwen2",
			"output_bias": false, "mlp_bias": false, "qk_norm": qk_norm, "tie_word_embeddings": true, "eos_token_ids": [1, 263],
		}})
	};
	let llama3 = json!({ "llama3": { "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
		"original_max_position_embeddings": 64 } });
	let yarn = json!({ "yarn": { "factor": 4.0, "original_max_position_embeddings": 160, "beta_fast": 32.0, "beta_slow": 1.0,
		"attention_factor": 1.138_629_4, "truncate": false } });
	let linear = json!({ "linear": { "factor": 2.5 } });
	let mut cases = Cases::new();
	for (name, family, numbers) in [
		(
			"llama",
			"llama",
			decoder("llama", json!("none"), json!(null), 1e-6, 1e16),
		),
		(
			"llama, linear",
			"llama",
			decoder("llama", linear, json!(null), 1e-12, 5e5),
		),
		(
			"llama, llama3",
			"llama",
			decoder("llama", llama3, json!(null), 1e-5, 5e5),
		),
		(
			"mistral",
			"mistral",
			decoder("mistral", json!("none"), json!(20), 1e-5, 1e4),
		),
		(
			"mistral, no window",
			"mistral",
			decoder("mistral", json!("none"), json!(null), 1e-5, 1e6),
		),
		(
			"qwen2, window",
			"qwen2",
			decoder("qwen2", json!("none"), json!(4_096), 1e-6, 1e6),
		),
		("qwen2, yarn", "qwen2", decoder("qwen2", yarn, json!(null), 1e-6, 1e6)),
		(
			"qwen3, window",
			"qwen3",
			decoder("qwen3", json!("none"), json!(7), 1e-6, 1e6),
		),
		(
			"bert",
			"bert",
			json!({ "encoder": {
				"vocab_size": 40, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
				"max_position_embeddings": 96, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "max_seq_length": 80, "normalize": true,
			}}),
		),
	] {
		let hyperparameters: Hyperparameters = serde_json::from_value(numbers).unwrap();
		let config = ModelConfig {
			architecture: Architecture::of(family).unwrap(),
			hyperparameters,
		};
		config.check().unwrap();
		let file = config.to_json();
		assert_eq!(ModelConfig::parse(&file).unwrap(), config);
		let case = json!({
			"architecture": family, "numbers": config.hyperparameters, "config.json": String::from_utf8(file).unwrap(),
			"scale of numbers": hex::encode(config.hyperparameters.encode()),
		});
		cases.insert(name.into(), case);
	}
	compare("configs", &Value::Object(cases));
}
