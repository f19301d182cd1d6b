//! Models as they were before they were quantized: candle's floats.

use candle_core::{DType, Device, Tensor};
use demo_model::llama::{Llama, LlamaConfig};
use serde_json::Value;
use std::{collections::HashMap, fs, path::Path};

/// Returns a directory of the bundled demo model.
pub(crate) fn demo(name: &str) -> std::path::PathBuf {
	Path::new(env!("CARGO_MANIFEST_DIR"))
		.join("../../demo-model")
		.join(name)
}

/// Returns the model of a Hugging Face directory of one file, for texts of at most `context` tokens.
pub(crate) fn load(dir: &Path, context: Option<usize>) -> Llama {
	let json: Value = serde_json::from_slice(&fs::read(dir.join("config.json")).unwrap()).unwrap();
	let number = |key: &str| json[key].as_u64().unwrap() as usize;
	let shape = LlamaConfig {
		hidden: number("hidden_size"),
		layers: number("num_hidden_layers"),
		heads: number("num_attention_heads"),
		kv_heads: number("num_key_value_heads"),
		ffn: number("intermediate_size"),
		vocab: number("vocab_size"),
		context: context.unwrap_or_else(|| number("max_position_embeddings")),
		eps: json["rms_norm_eps"].as_f64().unwrap(),
		theta: json["rope_theta"].as_f64().unwrap(),
	};
	let model = Llama::new(shape, 1).unwrap();
	let weights: HashMap<String, Tensor> =
		candle_core::safetensors::load(dir.join("model.safetensors"), &Device::Cpu).unwrap();
	for (name, var) in model.weights() {
		var.set(&weights[&name].to_dtype(DType::F32).unwrap()).unwrap();
	}
	model
}

/// Returns the logits of one text, row by row.
pub(crate) fn logits(model: &Llama, tokens: &[u32]) -> Vec<Vec<f32>> {
	let row = Tensor::new(tokens, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
	let hidden = model.hidden_states(&row).unwrap();
	model.logits(&hidden).unwrap().to_vec2().unwrap()
}

/// Returns the logarithm of the sum that makes probabilities of logits.
pub(crate) fn log_sum(logits: &[f32]) -> f64 {
	let max = f64::from(logits.iter().copied().fold(f32::MIN, f32::max));
	let sum: f64 = logits.iter().map(|l| (f64::from(*l) - max).exp()).sum();
	max + sum.ln()
}

/// Returns minus the logarithm of the probability that a row of logits gives to a token.
pub(crate) fn surprise(logits: &[f32], token: u32) -> f64 {
	log_sum(logits) - f64::from(logits[token as usize])
}
