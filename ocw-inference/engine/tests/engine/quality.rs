//! How near the quantized models are to the floats they were made from.

#[allow(dead_code)]
#[path = "../../examples/quality/float.rs"]
mod float;

use crate::{
	common::{noise, tokenizer, TEMPLATE},
	rows,
};
use assay_engine::Model;
use assay_import::{import, ImportOptions};
use assay_model_folder::{
	config::ModelConfig,
	header::{Dtype, Header},
	layout::source_layout,
	manifest::Defaults,
	tokenizer::Tokenizer,
	Manifest,
};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{llama, mistral, qwen2, qwen3};
use demo_model::{corpus, judge};
use float::{demo, surprise};
use serde_json::{json, Value};
use std::{collections::HashMap, fs, path::Path};

#[test]
fn the_bundled_model_is_what_its_original_gives_byte_for_byte() {
	let out = tempfile::tempdir().unwrap();
	let options = ImportOptions {
		name: "assay-demo".into(),
		source: "assay-train, from demo-model/corpus".into(),
		license: "Apache-2.0".into(),
		defaults: Defaults {
			max_tokens: 128,
			..Defaults::default()
		},
		..ImportOptions::default()
	};
	let id = import(&demo("original"), out.path(), &options).unwrap();
	let mut files = 0;
	for entry in fs::read_dir(out.path()).unwrap() {
		let name = entry.unwrap().file_name();
		let bundled = fs::read(demo("assay-demo").join(&name)).unwrap();
		assert!(fs::read(out.path().join(&name)).unwrap() == bundled, "{name:?} differs");
		files += 1;
	}
	assert_eq!(files, 5);
	assert_eq!(Manifest::read(&demo("assay-demo")).unwrap().model_id(), id);
	assert_eq!(
		fs::read_to_string(demo("assay-demo/model_id")).unwrap().trim(),
		id.to_string()
	);
}

#[test]
fn the_demo_models_perplexity_is_within_one_per_cent_of_its_float_originals() {
	let quantized = Model::load(&demo("assay-demo")).unwrap();
	let tokenizer = Tokenizer::parse(&fs::read(demo("assay-demo/tokenizer.json")).unwrap()).unwrap();
	let original = float::load(&demo("original"), None);
	// Whole conversations with questions that it never learned, and with the right answers: of question and answer, and of the
	// answer alone, which the model nearly knows by heart.
	let (mut ours, mut floats, mut tokens) = ([0.0; 2], [0.0; 2], [0; 2]);
	for (topic, question) in judge::held_out(&corpus::load().unwrap()).step_by(4) {
		let mut text = quantized.prompt(&question).unwrap();
		let answer = text.len();
		text.extend(tokenizer.encode(&format!("{}<|end|>", topic.answer)).unwrap());
		let found = rows::logits(&quantized, &text);
		let vocabulary = found.len() / text.len();
		let truth = float::logits(&original, &text);
		for (i, (found, truth)) in found.chunks(vocabulary).zip(&truth).enumerate().take(text.len() - 1) {
			let parts = if i + 1 < answer { 0..1 } else { 0..2 };
			for part in parts {
				ours[part] += surprise(found, text[i + 1]);
				floats[part] += surprise(truth, text[i + 1]);
				tokens[part] += 1;
			}
		}
	}
	assert!(tokens[1] > 3000, "{tokens:?}");
	for (part, name) in ["question and answer", "answer"].iter().enumerate() {
		let perplexity = |sum: f64| (sum / f64::from(tokens[part])).exp();
		let (ours, floats) = (perplexity(ours[part]), perplexity(floats[part]));
		println!(
			"{name}: perplexity {ours:.4}, floats {floats:.4}, {} tokens",
			tokens[part]
		);
		assert!((ours / floats - 1.0).abs() < 0.01, "{name}: {ours} and {floats}");
	}
}

/// Lengths of prefixes whose last row is compared; the window of the sliding models is 16, the scaled context 64.
const PREFIXES: [usize; 9] = [1, 2, 3, 16, 17, 40, 65, 130, 200];

/// Writes the Hugging Face directory of a model of random weights; returns these as tensors.
fn random(dir: &Path, config: &Value, seed: u64) -> HashMap<String, Tensor> {
	let hyperparameters = ModelConfig::parse(config.to_string().as_bytes())
		.unwrap()
		.hyperparameters;
	let layout = source_layout(&hyperparameters);
	let shapes: Vec<_> = layout.iter().map(|t| (t.name.as_str(), t.shape())).collect();
	let mut file = Header::canonical(shapes.iter().map(|(name, shape)| (*name, Dtype::F32, shape.as_slice())));
	let mut tensors = HashMap::new();
	for (name, shape) in shapes {
		let mut values = noise(seed, name, shape.iter().product::<u64>() as usize);
		for v in &mut values {
			*v = match shape.len() {
				1 if name.ends_with("bias") => 0.3 * *v,
				1 => 1.0 + 0.1 * *v,
				_ if name.contains("embed") || name == "lm_head.weight" => 0.5 * *v,
				_ => 0.25 * *v,
			};
		}
		file.extend(values.iter().flat_map(|v| v.to_le_bytes()));
		let shape: Vec<usize> = shape.iter().map(|d| *d as usize).collect();
		tensors.insert(name.to_owned(), Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
	}
	fs::write(dir.join("model.safetensors"), file).unwrap();
	fs::write(dir.join("config.json"), config.to_string()).unwrap();
	fs::write(dir.join("tokenizer.json"), tokenizer().to_string()).unwrap();
	fs::write(dir.join("chat_template.jinja"), TEMPLATE).unwrap();
	tensors
}

/// Returns the relative distance of our logits from a float model's, over the last rows of some prefixes.
fn distance(
	more: Value,
	forward: impl FnOnce(&Value, VarBuilder<'static>) -> Box<dyn FnMut(&Tensor) -> Tensor>,
) -> f64 {
	let mut config = json!({
		"hidden_act": "silu", "vocab_size": 272, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
		"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
		"rope_theta": 10000.0, "tie_word_embeddings": false, "eos_token_id": 263,
	});
	let Value::Object(more) = more else { panic!("no object") };
	config.as_object_mut().unwrap().extend(more);
	let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
	let tensors = random(source.path(), &config, 11);
	let options = ImportOptions {
		name: "random".into(),
		..ImportOptions::default()
	};
	import(source.path(), out.path(), &options).unwrap();
	let model = Model::load(out.path()).unwrap();
	let mut float = forward(&config, VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu));

	let tokens: Vec<u32> = (0..200u32).map(|i| (i * 31 + i / 7) % 256).collect();
	let found = rows::logits(&model, &tokens);
	let (mut error, mut size) = (0.0, 0.0);
	for length in PREFIXES {
		let row = Tensor::new(&tokens[..length], &Device::Cpu)
			.unwrap()
			.unsqueeze(0)
			.unwrap();
		let truth = float(&row).flatten_all().unwrap().to_vec1::<f32>().unwrap();
		let found = &found[(length - 1) * truth.len()..][..truth.len()];
		for (a, b) in found.iter().zip(&truth) {
			error += f64::from(a - b).powi(2);
			size += f64::from(*b).powi(2);
		}
	}
	(error / size).sqrt()
}

fn float_llama(config: &Value, weights: VarBuilder<'static>) -> Box<dyn FnMut(&Tensor) -> Tensor> {
	let config: llama::LlamaConfig = serde_json::from_value(config.clone()).unwrap();
	let config = config.into_config(false);
	let model = llama::Llama::load(weights, &config).unwrap();
	Box::new(move |tokens| {
		let mut cache = llama::Cache::new(false, DType::F32, &config, &Device::Cpu).unwrap();
		model.forward(tokens, 0, &mut cache).unwrap()
	})
}

fn float_mistral(config: &Value, weights: VarBuilder<'static>) -> Box<dyn FnMut(&Tensor) -> Tensor> {
	let mut config: mistral::Config = serde_json::from_value(config.clone()).unwrap();
	// candle's mask lets a row see one key more than transformers' and ours.
	config.sliding_window = config.sliding_window.map(|window| window - 1);
	let mut model = mistral::Model::new(&config, weights).unwrap();
	Box::new(move |tokens| {
		model.clear_kv_cache();
		model.forward(tokens, 0).unwrap()
	})
}

fn float_qwen2(config: &Value, weights: VarBuilder<'static>) -> Box<dyn FnMut(&Tensor) -> Tensor> {
	let config: qwen2::Config = serde_json::from_value(config.clone()).unwrap();
	let mut model = qwen2::ModelForCausalLM::new(&config, weights).unwrap();
	Box::new(move |tokens| {
		model.clear_kv_cache();
		model.forward(tokens, 0).unwrap()
	})
}

fn float_qwen3(config: &Value, weights: VarBuilder<'static>) -> Box<dyn FnMut(&Tensor) -> Tensor> {
	let config: qwen3::Config = serde_json::from_value(config.clone()).unwrap();
	let mut model = qwen3::ModelForCausalLM::new(&config, weights).unwrap();
	Box::new(move |tokens| {
		model.clear_kv_cache();
		model.forward(tokens, 0).unwrap()
	})
}

/// What a random model's logits may be off by. Random weights are the worst case: nothing in them is large and certain.
const MAX_DISTANCE: f64 = 0.05;

#[test]
fn each_familys_logits_are_within_five_per_cent_of_candles_floats() {
	let llama3 = json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
		"original_max_position_embeddings": 64 });
	let qwen = json!({ "use_sliding_window": false, "sliding_window": 256, "max_window_layers": 3 });
	let with = |base: &Value, more: Value| {
		let mut base = base.clone();
		let Value::Object(more) = more else { panic!("no object") };
		base.as_object_mut().unwrap().extend(more);
		base
	};
	let found = [
		("llama", distance(json!({ "model_type": "llama" }), float_llama)),
		(
			"llama, scaled",
			distance(json!({ "model_type": "llama", "rope_scaling": llama3 }), float_llama),
		),
		(
			"mistral",
			distance(
				json!({ "model_type": "mistral", "sliding_window": 16, "head_dim": 32 }),
				float_mistral,
			),
		),
		(
			"qwen2",
			distance(with(&qwen, json!({ "model_type": "qwen2" })), float_qwen2),
		),
		(
			"qwen2, tied",
			distance(
				with(&qwen, json!({ "model_type": "qwen2", "tie_word_embeddings": true })),
				float_qwen2,
			),
		),
		(
			"qwen3",
			distance(
				with(
					&qwen,
					json!({ "model_type": "qwen3", "head_dim": 32, "attention_bias": false }),
				),
				float_qwen3,
			),
		),
	];
	for (family, distance) in found {
		println!("{family}: {distance:.4}");
	}
	for (family, distance) in found {
		assert!(distance > 0.0 && distance < MAX_DISTANCE, "{family}: {distance}");
	}
	// The comparison sees what it is about: with another scaling or window, the float model is another.
	let plain = |_: &Value, weights| float_llama(&json_without_scaling(), weights);
	let scaled = json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
		"original_max_position_embeddings": 64 });
	let off = distance(json!({ "model_type": "llama", "rope_scaling": scaled }), plain);
	println!("llama, scaled against unscaled: {off:.4}");
	assert!(off > MAX_DISTANCE, "{off}");
	let wide = |config: &Value, weights| {
		let mut config = config.clone();
		config["sliding_window"] = json!(48);
		float_mistral(&config, weights)
	};
	let off = distance(json!({ "model_type": "mistral", "sliding_window": 16 }), wide);
	println!("mistral, window 16 against 48: {off:.4}");
	assert!(off > MAX_DISTANCE, "{off}");
}

fn json_without_scaling() -> Value {
	json!({
		"vocab_size": 272, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
		"num_key_value_heads": 2, "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
		"tie_word_embeddings": false,
	})
}
