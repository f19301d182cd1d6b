//! A tiny Llama made on the spot: two layers, grouped heads, a byte-level tokenizer with a few merges.

use assay_engine::{
	header::{Dtype, Header},
	import,
	layout::{source_layout, SourceSpec},
	model::config::Config,
	ImportOptions, Model,
};
use serde_json::{json, Value};
use std::{fs, path::Path};
use tempfile::TempDir;

pub(crate) const VOCABULARY: u32 = 272;
pub(crate) const EOS: u32 = 263;
pub(crate) const CONTEXT: u32 = 640;

/// What varies between the tiny models.
#[derive(Clone, Copy)]
pub(crate) struct Tiny {
	pub(crate) seed: u64,
	pub(crate) tied: bool,
	/// A token whose row isn't finite.
	pub(crate) poison: Option<u32>,
	/// Weights are rounded to so many levels on either side of zero; 0 leaves them.
	pub(crate) levels: u32,
	pub(crate) context: u32,
	pub(crate) dtype: Dtype,
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

/// Numbers in [−1, 1) that depend on the seed and the name.
pub(crate) fn noise(seed: u64, name: &str, count: usize) -> Vec<f32> {
	let mut bytes = vec![0u8; count * 4];
	blake3::Hasher::new()
		.update(&seed.to_le_bytes())
		.update(name.as_bytes())
		.finalize_xof()
		.fill(&mut bytes);
	let unit = |b: &[u8]| (u32::from_le_bytes(b.try_into().unwrap()) >> 8) as f32 / (1u32 << 23) as f32 - 1.0;
	bytes.chunks_exact(4).map(unit).collect()
}

pub(crate) fn config(tiny: Tiny) -> Value {
	json!({
		"model_type": "llama", "hidden_act": "silu", "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96,
		"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": tiny.context,
		"rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": tiny.tied, "eos_token_id": EOS,
	})
}

/// Byte-level BPE: 256 bytes, six merges, two special tokens.
pub(crate) fn tokenizer() -> Value {
	let mut next = 0x100;
	let mut symbol = |byte: u8| match byte {
		b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte),
		_ => {
			next += 1;
			char::from_u32(next - 1).unwrap()
		}
	};
	let mut vocabulary = serde_json::Map::new();
	for byte in 0..=255u8 {
		vocabulary.insert(symbol(byte).to_string(), json!(byte));
	}
	let merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "o r"];
	for (i, merge) in merges.iter().enumerate() {
		vocabulary.insert(merge.replace(' ', ""), json!(256 + i));
	}
	let special = |id: u32, content: &str| {
		json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
			"special": true })
	};
	json!({
		"version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
		"added_tokens": [special(262, "<|user|>"), special(EOS, "<|end|>"), special(264, "<|assistant|>")],
		"pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
		"decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
		"model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
			"end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
			"vocab": vocabulary, "merges": merges },
	})
}

/// [`tokenizer`] as a file.
pub(crate) fn tokenizer_json() -> String {
	sorted(tokenizer()).to_string()
}

pub(crate) const TEMPLATE: &str =
	"{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

/// Writes the Hugging Face folder of a tiny model.
pub(crate) fn write_source(dir: &Path, tiny: Tiny) {
	write_source_of(dir, tiny, &config(tiny));
}

/// The same with another configuration.
pub(crate) fn write_source_of(dir: &Path, tiny: Tiny, config: &Value) {
	fs::create_dir_all(dir).unwrap();
	let config = config.to_string();
	let layout = source_layout(&Config::parse(config.as_bytes()).unwrap().numbers);
	let shapes: Vec<_> = layout
		.iter()
		.map(|t| (t.name.as_str(), tiny.dtype, t.shape()))
		.collect();
	let mut bytes = Header::canonical(
		shapes
			.iter()
			.map(|(name, dtype, shape)| (*name, *dtype, shape.as_slice())),
	);
	for tensor in &layout {
		for v in values(tiny, tensor) {
			match tiny.dtype {
				Dtype::F32 => bytes.extend(v.to_le_bytes()),
				Dtype::F16 => bytes.extend(half::f16::from_f32(v).to_le_bytes()),
				Dtype::BF16 => bytes.extend(half::bf16::from_f32(v).to_le_bytes()),
				Dtype::I8 => bytes.push(v as i8 as u8),
				Dtype::I64 => bytes.extend((v as i64).to_le_bytes()),
			}
		}
	}
	fs::write(dir.join("model.safetensors"), bytes).unwrap();
	fs::write(dir.join("config.json"), config).unwrap();
	fs::write(dir.join("tokenizer.json"), tokenizer_json()).unwrap();
	fs::write(dir.join("chat_template.jinja"), TEMPLATE).unwrap();
}

/// The float weights of one tensor.
pub(crate) fn values(tiny: Tiny, tensor: &SourceSpec) -> Vec<f32> {
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

/// A canonical folder of a tiny model; it goes away with the returned guard.
pub(crate) fn folder(tiny: Tiny) -> TempDir {
	folder_of(tiny, &config(tiny))
}

/// The same with another configuration.
pub(crate) fn folder_of(tiny: Tiny, config: &Value) -> TempDir {
	let source = tempfile::tempdir().unwrap();
	write_source_of(source.path(), tiny, config);
	let out = tempfile::tempdir().unwrap();
	import(source.path(), out.path(), &options()).unwrap();
	out
}

pub(crate) fn options() -> ImportOptions {
	ImportOptions {
		name: "tiny".into(),
		source: "made in a test".into(),
		licence: "Apache-2.0".into(),
		..Default::default()
	}
}

pub(crate) fn model(tiny: Tiny) -> Model {
	load(folder(tiny).path())
}

/// A model, where this test program computes.
pub(crate) fn load(dir: &Path) -> Model {
	placed(Model::load(dir).unwrap())
}

/// The same model, on the device of this test program if it has one.
pub(crate) fn placed(model: Model) -> Model {
	match crate::device() {
		Some(device) => model.on_gpu(device).unwrap(),
		None => model,
	}
}

/// The same value with its keys in order: which order `json!` keeps depends on features that other crates switch on.
pub(crate) fn sorted(value: Value) -> Value {
	match value {
		Value::Object(map) => {
			let mut entries: Vec<_> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
			entries.sort_by(|a, b| a.0.cmp(&b.0));
			Value::Object(entries.into_iter().collect())
		}
		Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
		other => other,
	}
}
