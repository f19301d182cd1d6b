//! What each family's `config.json` says, and what of it is refused.

use assay_model_folder::{
	config::{Architecture, DecoderConfig, Hyperparameters, ModelConfig, RopeScaling, F32},
	formats::Formats,
	header::Dtype,
	layout::{layout, source_layout},
};
use assay_test_fixtures::Tiny;
use serde_json::{json, Value};

/// A `config.json` as each family publishes it.
pub(crate) fn published(family: Architecture) -> Value {
	let every = json!({
		"model_type": family.name(), "vocab_size": 320, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
		"num_attention_heads": 4, "bos_token_id": 1, "initializer_range": 0.02, "use_cache": true,
		"torch_dtype": "bfloat16", "transformers_version": "4.46.0", "_name_or_path": "x/y",
	});
	let decoder = json!({
		"hidden_act": "silu", "num_key_value_heads": 2, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
		"rope_theta": 10000.0, "tie_word_embeddings": false, "eos_token_id": 2, "attention_dropout": 0.0,
	});
	let more = match family {
		Architecture::Llama => {
			json!({ "attention_bias": false, "mlp_bias": false, "pretraining_tp": 1, "rope_scaling": null })
		}
		Architecture::Mistral => json!({ "sliding_window": 64 }),
		Architecture::Qwen2 => json!({ "use_sliding_window": false, "sliding_window": 131072, "max_window_layers": 1 }),
		Architecture::Qwen3 => json!({
			"use_sliding_window": false, "sliding_window": null, "max_window_layers": 2, "attention_bias": false, "head_dim": 32,
			"layer_types": ["full_attention", "full_attention"],
		}),
		Architecture::Bert => json!({
			"hidden_act": "gelu", "max_position_embeddings": 128, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
			"position_embedding_type": "absolute", "gradient_checkpointing": false, "hidden_dropout_prob": 0.1,
			"attention_probs_dropout_prob": 0.1, "pad_token_id": 0,
		}),
	};
	match family {
		Architecture::Bert => with(every, more),
		_ => with(with(every, decoder), more),
	}
}

pub(crate) fn with(mut base: Value, more: Value) -> Value {
	let Value::Object(more) = more else { panic!("no object") };
	base.as_object_mut().unwrap().extend(more);
	base
}

pub(crate) fn parse(config: &Value) -> Result<ModelConfig, String> {
	ModelConfig::parse(config.to_string().as_bytes()).map_err(|e| e.to_string())
}

pub(crate) fn decoder(config: &Value) -> DecoderConfig {
	parse(config).unwrap().hyperparameters.decoder().unwrap().clone()
}

#[test]
fn every_family_is_read_and_its_canonical_file_reads_back_to_the_same() {
	let scaled = json!({ "rope_scaling": { "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
		"high_freq_factor": 4.0, "original_max_position_embeddings": 64 } });
	let yarn = json!({ "rope_scaling": { "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64 } });
	let linear =
		json!({ "rope_theta": null, "rope_parameters": { "rope_type": "linear", "factor": 2.5, "rope_theta": 5e5 } });
	let mut all: Vec<Value> = Architecture::ALL.map(published).into();
	all.push(with(published(Architecture::Llama), scaled));
	all.push(with(published(Architecture::Qwen2), yarn));
	all.push(with(published(Architecture::Mistral), linear));
	all.push(with(
		published(Architecture::Mistral),
		json!({ "sliding_window": null }),
	));
	all.push(with(
		published(Architecture::Llama),
		json!({ "attention_bias": true, "mlp_bias": true }),
	));
	all.push(with(published(Architecture::Qwen3), json!({ "attention_bias": true })));
	all.push(with(
		published(Architecture::Qwen2),
		json!({ "use_sliding_window": true, "sliding_window": 32, "max_window_layers": 0 }),
	));
	for json in all {
		let config = parse(&json).unwrap_or_else(|e| panic!("{json}: {e}"));
		assert_eq!(
			Some(config.architecture),
			json["model_type"].as_str().and_then(Architecture::of)
		);
		let canonical = config.to_json();
		assert_eq!(ModelConfig::parse(&canonical).unwrap(), config);
		let value: Value = serde_json::from_slice(&canonical).unwrap();
		assert_eq!(parse(&value).unwrap().to_json(), canonical);
		let mut keys: Vec<_> = String::from_utf8(canonical)
			.unwrap()
			.lines()
			.filter_map(|line| line.strip_prefix("  \"")?.split('"').next().map(String::from))
			.collect();
		let found = keys.clone();
		keys.sort();
		assert_eq!(found, keys);
	}
}

#[test]
fn each_family_has_the_parts_its_own_code_gives_it() {
	let [llama, mistral, qwen2, qwen3] = [
		Architecture::Llama,
		Architecture::Mistral,
		Architecture::Qwen2,
		Architecture::Qwen3,
	]
	.map(|family| decoder(&published(family)));
	assert_eq!(
		(
			llama.attention_bias,
			llama.qk_norm,
			llama.sliding_window,
			llama.head_dim
		),
		(false, false, None, 16)
	);
	assert_eq!(mistral.sliding_window, Some(64));
	assert_eq!(
		(qwen2.attention_bias, qwen2.output_bias, qwen2.sliding_window),
		(true, false, None)
	);
	assert_eq!((qwen3.attention_bias, qwen3.qk_norm, qwen3.head_dim), (false, true, 32));
	// What a file leaves out has the family's default.
	let without = |family, key: &str| {
		let mut json = published(family);
		json.as_object_mut().unwrap().remove(key);
		decoder(&json)
	};
	assert_eq!(
		without(Architecture::Mistral, "sliding_window").sliding_window,
		Some(4096)
	);
	assert_eq!(
		without(Architecture::Llama, "num_key_value_heads").num_key_value_heads,
		4
	);
	assert_eq!(without(Architecture::Qwen3, "head_dim").head_dim, 128);
	assert_eq!(without(Architecture::Llama, "rms_norm_eps").rms_norm_eps, F32(1e-6));

	let names = |config: Value| -> Vec<String> {
		source_layout(&parse(&config).unwrap().hyperparameters)
			.into_iter()
			.map(|t| t.name)
			.filter(|name| name.contains("bias") || name.contains("_norm."))
			.collect()
	};
	assert_eq!(names(published(Architecture::Llama)), Vec::<String>::new());
	let qwen2 = names(published(Architecture::Qwen2));
	assert_eq!(qwen2.len(), 6);
	assert!(
		qwen2.contains(&"model.layers.1.self_attn.v_proj.bias".into()),
		"{qwen2:?}"
	);
	let qwen3 = names(published(Architecture::Qwen3));
	assert_eq!(qwen3.len(), 4);
	assert!(
		qwen3.contains(&"model.layers.0.self_attn.k_norm.weight".into()),
		"{qwen3:?}"
	);
	let biased = with(
		published(Architecture::Llama),
		json!({ "attention_bias": true, "mlp_bias": true }),
	);
	assert_eq!(names(biased).len(), 14);
}

#[test]
fn canonical_tensors_are_int8_with_scales_for_matrices_and_f32_for_the_rest() {
	for family in Architecture::ALL {
		let numbers = parse(&published(family)).unwrap().hyperparameters;
		let tensors = layout(&numbers, &Formats::default());
		assert!(tensors.is_sorted_by(|a, b| a.name < b.name));
		for (i, tensor) in tensors.iter().enumerate() {
			match tensor.dtype {
				Dtype::I8 => {
					let scale = &tensors[i + 1];
					assert_eq!(scale.name, format!("{}_scale", tensor.name));
					assert_eq!(scale.shape, [tensor.shape[0], tensor.shape[1] / 32]);
				}
				Dtype::F32 => assert!(!tensor.name.ends_with("proj.weight"), "{}", tensor.name),
				Dtype::F16 => assert!(tensor.name.ends_with("_scale")),
				Dtype::BF16 | Dtype::I64 | Dtype::U8 | Dtype::I32 => panic!("{}", tensor.name),
			}
		}
		let quantized = source_layout(&numbers).iter().filter(|t| t.quantized).count();
		assert_eq!(quantized, tensors.iter().filter(|t| t.dtype == Dtype::F16).count());
	}
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
	use Architecture::*;
	for (family, change, reason) in [
		(Llama, json!({ "model_type": "mamba" }), "`model_type` is \"mamba\""),
		(Llama, json!({ "hidden_act": "gelu" }), "`hidden_act` is \"gelu\""),
		(Qwen3, json!({ "hidden_act": "gelu_pytorch_tanh" }), "`hidden_act`"),
		(Bert, json!({ "hidden_act": "relu" }), "`hidden_act` is \"relu\""),
		(
			Bert,
			json!({ "position_embedding_type": "relative_key" }),
			"`position_embedding_type`",
		),
		(Bert, json!({ "is_decoder": true }), "`is_decoder`"),
		(
			Llama,
			json!({ "partial_rotary_factor": 0.5 }),
			"`partial_rotary_factor` is 0.5",
		),
		(
			Qwen2,
			json!({ "rope_parameters": { "partial_rotary_factor": 0.25 } }),
			"`partial_rotary_factor`",
		),
		(
			Qwen2,
			json!({ "use_sliding_window": true }),
			"`max_window_layers` 1 of 2",
		),
		(
			Qwen3,
			json!({ "layer_types": ["full_attention", "sliding_attention"] }),
			"`layer_types`",
		),
		(Qwen3, json!({ "layer_types": ["full_attention"] }), "every layer"),
		(Llama, json!({ "sliding_window": 64 }), "`sliding_window` is 64"),
		(Mistral, json!({ "attention_bias": true }), "`attention_bias`"),
		(Qwen2, json!({ "attention_bias": false }), "`attention_bias`"),
		(Qwen2, json!({ "mlp_bias": true }), "`mlp_bias`"),
		(
			Llama,
			json!({ "quantization_config": { "bits": 4 } }),
			"`quantization_config`",
		),
		(Llama, json!({ "num_local_experts": 8 }), "`num_local_experts`"),
		(
			Llama,
			json!({ "attn_logit_softcapping": 30.0 }),
			"`attn_logit_softcapping`",
		),
		(Llama, json!({ "auto_map": { "AutoModel": "x.Y" } }), "`auto_map`"),
		(
			Llama,
			json!({ "rope_scaling": { "rope_type": "dynamic", "factor": 2.0 } }),
			"scaled by \"dynamic\"",
		),
		(
			Llama,
			json!({ "rope_scaling": { "rope_type": "longrope" } }),
			"scaled by \"longrope\"",
		),
		(
			Llama,
			json!({ "rope_scaling": { "rope_type": "linear" } }),
			"linear needs `factor`",
		),
		(Llama, json!({ "rope_scaling": { "factor": 2.0 } }), "no `rope_type`"),
		(
			Llama,
			json!({ "rope_scaling": { "rope_type": "linear", "factor": 0.5 } }),
			"`factor` is 0.5",
		),
		(
			Llama,
			json!({ "rope_scaling": { "rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4 } }),
			"`high_freq_factor` must be greater",
		),
		(
			Qwen2,
			json!({ "rope_scaling": { "type": "yarn", "factor": 4, "attention_factor": 0 } }),
			"`attention_factor` is 0",
		),
		(
			Qwen2,
			json!({ "rope_theta": 1, "rope_scaling": { "type": "yarn", "factor": 4 } }),
			"`rope_theta` above 1",
		),
		(
			Llama,
			json!({ "rope_scaling": { "type": "linear", "factor": 2 }, "rope_parameters": { "rope_type": "default" } }),
			"`rope_scaling` differ",
		),
		(Llama, json!({ "rope_scaling": "yarn" }), "not an object"),
		(
			Mistral,
			json!({ "num_key_value_heads": null }),
			"`num_key_value_heads` is missing",
		),
		(Llama, json!({ "tie_word_embeddings": "yes" }), "not true or false"),
		(
			Llama,
			json!({ "vocab_size": 4294967296u64 }),
			"`vocab_size` is 4294967296",
		),
		(Llama, json!({ "eos_token_id": null }), "`eos_token_id`"),
		(Bert, json!({ "hidden_size": 72 }), "multiple of 32"),
		(Bert, json!({ "num_attention_heads": 5 }), "not a multiple"),
		(Bert, json!({ "max_seq_length": 129 }), "`max_seq_length` is 129"),
	] {
		let error = parse(&with(published(family), change.clone())).expect_err(&change.to_string());
		assert!(error.contains(reason), "{change}: {error}");
	}
	assert!(parse(&json!([])).unwrap_err().contains("not a JSON object"));
}

#[test]
fn hyperparameters_that_a_family_cannot_have_are_refused() {
	let config = parse(&published(Architecture::Llama)).unwrap();
	let mut qk = config.clone();
	let Hyperparameters::Decoder(numbers) = &mut qk.hyperparameters else {
		panic!()
	};
	numbers.qk_norm = true;
	assert!(qk.check().unwrap_err().to_string().contains("no llama has"));
	let mut bert = config;
	bert.architecture = Architecture::Bert;
	assert!(bert.check().is_err());
	let mut encoder = parse(&published(Architecture::Bert)).unwrap();
	encoder.check().unwrap();
	encoder.architecture = Architecture::Llama;
	assert!(encoder.check().unwrap_err().to_string().contains("not an encoder"));
}

/// Frequencies against numbers worked out with transformers' formulas in another language (Python, f64).
#[test]
fn scaled_frequencies_are_those_of_transformers() {
	let close = |found: &[f64], expected: &[(usize, f64)]| {
		for (i, value) in expected {
			let distance = (found[*i] / value - 1.0).abs();
			assert!(distance < 1e-12, "pair {i}: {} and {value}", found[*i]);
		}
	};
	let llama3 = RopeScaling::Llama3 {
		factor: F32(32.0),
		low_freq_factor: F32(1.0),
		high_freq_factor: F32(4.0),
		original_max_position_embeddings: 8192,
	};
	close(&llama3.frequencies(5e5, 64), &LLAMA3);
	let yarn = RopeScaling::Yarn {
		factor: F32(4.0),
		original_max_position_embeddings: 32_768,
		beta_fast: F32(32.0),
		beta_slow: F32(1.0),
		attention_factor: F32(1.0),
		truncate: true,
	};
	close(&yarn.frequencies(1e6, 128), &YARN);
	let linear = RopeScaling::Linear { factor: F32(2.0) };
	let plain = RopeScaling::None.frequencies(1e4, 64);
	for (half, own) in linear.frequencies(1e4, 64).iter().zip(plain) {
		assert_eq!(half * 2.0, own);
	}
}

#[test]
fn yarn_scales_cos_and_sin_by_its_attention_factor() {
	let config = |rope: Value| decoder(&with(published(Architecture::Qwen2), json!({ "rope_scaling": rope })));
	let yarn = config(json!({ "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64 }));
	let factor = 1.138_629_436_111_989;
	assert!((yarn.rope_scaling.attention_factor() - factor).abs() < 1e-6);
	// Position 0 turns nothing: its cos is the factor itself.
	assert_eq!(yarn.rope_tables().cos[0], yarn.rope_scaling.attention_factor() as f32);
	let given = config(json!({ "type": "yarn", "factor": 4.0, "attention_factor": 1.0 }));
	assert_eq!(given.rope_tables().cos[0], 1.0);
	let scaled = config(json!({ "type": "yarn", "factor": 40, "mscale": 0.707, "mscale_all_dim": 1.0 }));
	let ratio = (0.1 * 0.707 * 40f64.ln() + 1.0) / (0.1 * 40f64.ln() + 1.0);
	assert!((scaled.rope_scaling.attention_factor() - ratio).abs() < 1e-6);
	// A factor that is left out is the quotient of the two contexts.
	let implied = config(json!({ "type": "yarn", "original_max_position_embeddings": 64 }));
	assert!(matches!(
		implied.rope_scaling,
		RopeScaling::Yarn { factor: F32(4.0), .. }
	));
}

const LLAMA3: [(usize, f64); 9] = [
	(0, 1.0),
	(1, 0.6636012376960885),
	(13, 0.004839421345719893),
	(14, 0.003211445994752591),
	(15, 0.001290547928209264),
	(16, 0.00042955679655936815),
	(17, 9.70828780262767e-05),
	(18, 1.9461638184831125e-05),
	(31, 9.41830672543491e-08),
];

const YARN: [(usize, f64); 10] = [
	(0, 1.0),
	(1, 0.8058421877614819),
	(20, 0.01333521432163324),
	(25, 0.004131738022518394),
	(30, 0.0010643609812470017),
	(35, 0.0002462584069089387),
	(39, 6.490394320837028e-05),
	(40, 4.445698525097307e-05),
	(45, 1.5107409755953319e-05),
	(63, 3.102344401879299e-07),
];

#[test]
fn a_config_survives_being_written_and_read() {
	let parsed = ModelConfig::parse(assay_test_fixtures::config(Tiny::default()).to_string().as_bytes()).unwrap();
	assert_eq!(ModelConfig::parse(&parsed.to_json()).unwrap(), parsed);
}
