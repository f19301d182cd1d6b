//! Models made on the spot, for tests: a tiny Llama with a byte-level tokenizer, tokenizers of the other kinds, and a
//! writer of safetensors files. Everything is the same on every machine.

#![deny(missing_docs)]
// Helpers of tests, where a panic is a failed test.
#![allow(clippy::unwrap_used)]

mod packages;
mod tokenizers;
mod weights;

pub use packages::fetched;
pub use tokenizers::{byte_fallback, qwen, sorted, tokenizer, tokenizer_json, word_piece};
pub use weights::write_safetensors;

use assay_import::{import, ImportOptions};
use assay_model_folder::{
	config::ModelConfig,
	header::Dtype,
	layout::{source_layout, SourceSpec},
};
use serde_json::{json, Value};
use std::{collections::HashMap, fs, path::Path};
use tempfile::TempDir;

/// Rows of the tiny model's embedding.
pub const VOCABULARY: u32 = 272;
/// The token that ends its answers.
pub const EOS: u32 = 263;
/// Its context.
pub const CONTEXT: u32 = 640;
/// Its chat template.
pub const TEMPLATE: &str =
	"{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

/// What varies between the tiny models: two layers of a Llama with grouped heads.
#[derive(Clone, Copy)]
pub struct Tiny {
	/// Seed of the weights.
	pub seed: u64,
	/// Whether the output layer is the embedding.
	pub tied: bool,
	/// A token whose row is not finite.
	pub poison: Option<u32>,
	/// Weights are rounded to this many levels on either side of zero; 0 leaves them.
	pub levels: u32,
	/// Longest context.
	pub context: u32,
	/// Float type of the published weights.
	pub dtype: Dtype,
}

impl Default for Tiny {
	fn default() -> Self {
		Self {
			seed: 1,
			tied: true,
			poison: None,
			levels: 0,
			context: CONTEXT,
			dtype: Dtype::F32,
		}
	}
}

/// Returns numbers in [−1, 1) that depend on the seed and the name.
pub fn noise(seed: u64, name: &str, count: usize) -> Vec<f32> {
	let mut bytes = vec![0u8; count * 4];
	blake3::Hasher::new()
		.update(&seed.to_le_bytes())
		.update(name.as_bytes())
		.finalize_xof()
		.fill(&mut bytes);
	let unit = |b: &[u8]| (u32::from_le_bytes(b.try_into().unwrap()) >> 8) as f32 / (1u32 << 23) as f32 - 1.0;
	bytes.chunks_exact(4).map(unit).collect()
}

/// Returns the `config.json` of a tiny model.
pub fn config(tiny: Tiny) -> Value {
	json!({
		"model_type": "llama", "hidden_act": "silu", "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96,
		"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": tiny.context,
		"rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": tiny.tied, "eos_token_id": EOS,
	})
}

/// Writes the Hugging Face directory of a tiny model.
pub fn write_source(dir: &Path, tiny: Tiny) {
	write_source_of(dir, tiny, &config(tiny));
}

/// [`write_source`] with another configuration.
pub fn write_source_of(dir: &Path, tiny: Tiny, config: &Value) {
	fs::create_dir_all(dir).unwrap();
	let json = sorted(config.clone()).to_string();
	let layout = source_layout(&ModelConfig::parse(json.as_bytes()).unwrap().hyperparameters);
	let specs: HashMap<&str, &SourceSpec> = layout.iter().map(|spec| (spec.name.as_str(), spec)).collect();
	let shapes = layout.iter().map(|spec| (spec.name.clone(), spec.shape()));
	write_safetensors(&dir.join("model.safetensors"), tiny.dtype, shapes, |name, _| {
		values(tiny, specs[name])
	});
	fs::write(dir.join("config.json"), json).unwrap();
	fs::write(dir.join("tokenizer.json"), tokenizer_json()).unwrap();
	fs::write(dir.join("chat_template.jinja"), TEMPLATE).unwrap();
}

/// Returns the float weights of one tensor.
pub fn values(tiny: Tiny, tensor: &SourceSpec) -> Vec<f32> {
	let width = tensor.width as usize;
	let mut values = noise(tiny.seed, &tensor.name, tensor.rows.unwrap_or(1) as usize * width);
	let embedding = matches!(tensor.name.as_str(), "model.embed_tokens.weight" | "lm_head.weight");
	for v in &mut values {
		*v = match tensor.rows {
			None if tensor.name.ends_with(".bias") => 0.1 * *v,
			None => 1.0 + 0.1 * *v,
			Some(_) if embedding => 0.5 * *v,
			Some(_) => 0.25 * *v,
		};
		if tiny.levels > 0 && tensor.rows.is_some() {
			let step = 0.5 / tiny.levels as f32;
			*v = (*v / step).round() * step;
		}
	}
	if let Some(token) = tiny.poison {
		// Dimension 0 of the residual stream is zero but for one token, and the last norm blows it up.
		if tensor.name == "model.norm.weight" {
			values[0] = 3e38;
		} else if embedding {
			values.iter_mut().step_by(width).for_each(|v| *v = 0.0);
			values[token as usize * width] = 8.0;
		} else if tensor.name.contains("o_proj") || tensor.name.contains("down_proj") {
			values[..width].fill(0.0);
		}
	}
	values
}

/// Makes the canonical model directory of a tiny model; it goes away with the returned guard.
pub fn folder(tiny: Tiny) -> TempDir {
	folder_of(tiny, &config(tiny))
}

/// [`folder`] with another configuration. A poisoned model, which may fail, is not asked for its known answer.
pub fn folder_of(tiny: Tiny, config: &Value) -> TempDir {
	let source = tempfile::tempdir().unwrap();
	write_source_of(source.path(), tiny, config);
	let out = tempfile::tempdir().unwrap();
	let options = ImportOptions {
		without_answer: tiny.poison.is_some(),
		..options()
	};
	import(source.path(), out.path(), &options).unwrap();
	out
}

/// Returns the options by which the tiny models are imported.
pub fn options() -> ImportOptions {
	ImportOptions {
		name: "tiny".into(),
		source: "made in a test".into(),
		license: "Apache-2.0".into(),
		..Default::default()
	}
}
