//! A model of random weights, large enough that its memory stands out from the program's.

use anyhow::Result;
use assay_engine::ImportOptions;
use assay_primitives::ModelId;
use half::f16;
use serde_json::{json, Map, Value};
use std::{
	fs::{self, File},
	io::{BufWriter, Write},
	path::Path,
};

const HIDDEN: usize = 1024;
const INTERMEDIATE: usize = 2816;
const LAYERS: usize = 9;
const KEYS: usize = 256;

/// Writes the model directory of a Llama with about a hundred million random weights to `out`; its tokenizer and template are
/// the demo model's. Returns its id and how many weights it has.
pub fn random_model(out: &Path) -> Result<(ModelId, u64)> {
	let demo = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo-model/assay-demo"));
	let config: Value = serde_json::from_slice(&fs::read(demo.join("config.json"))?)?;
	let vocabulary = config["vocab_size"].as_u64().unwrap_or_default() as usize;
	let source = tempfile::tempdir()?;
	for file in ["tokenizer.json", "chat_template.jinja"] {
		fs::copy(demo.join(file), source.path().join(file))?;
	}
	let config = json!({
		"model_type": "llama", "hidden_act": "silu", "vocab_size": vocabulary, "hidden_size": HIDDEN,
		"intermediate_size": INTERMEDIATE, "num_hidden_layers": LAYERS, "num_attention_heads": 16, "num_key_value_heads": 4,
		"max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true,
		"eos_token_id": config["eos_token_id"],
	});
	fs::write(source.path().join("config.json"), config.to_string())?;
	let tensors = tensors(vocabulary);
	write_weights(&source.path().join("model.safetensors"), &tensors)?;
	let options = ImportOptions {
		name: "random".into(),
		..Default::default()
	};
	let id = assay_engine::import(source.path(), out, &options)?;
	let weights = tensors
		.iter()
		.map(|(_, shape)| shape.iter().product::<usize>() as u64)
		.sum();
	Ok((id, weights))
}

/// Names and shapes.
fn tensors(vocabulary: usize) -> Vec<(String, Vec<usize>)> {
	let mut all = vec![
		("model.embed_tokens.weight".to_owned(), vec![vocabulary, HIDDEN]),
		("model.norm.weight".to_owned(), vec![HIDDEN]),
	];
	for layer in 0..LAYERS {
		for (name, shape) in [
			("input_layernorm", vec![HIDDEN]),
			("post_attention_layernorm", vec![HIDDEN]),
			("self_attn.q_proj", vec![HIDDEN, HIDDEN]),
			("self_attn.k_proj", vec![KEYS, HIDDEN]),
			("self_attn.v_proj", vec![KEYS, HIDDEN]),
			("self_attn.o_proj", vec![HIDDEN, HIDDEN]),
			("mlp.gate_proj", vec![INTERMEDIATE, HIDDEN]),
			("mlp.up_proj", vec![INTERMEDIATE, HIDDEN]),
			("mlp.down_proj", vec![HIDDEN, INTERMEDIATE]),
		] {
			all.push((format!("model.layers.{layer}.{name}.weight"), shape));
		}
	}
	all
}

/// A safetensors file of f16: a length, a JSON header, the numbers.
fn write_weights(path: &Path, tensors: &[(String, Vec<usize>)]) -> Result<()> {
	let mut header = Map::new();
	let mut at = 0;
	for (name, shape) in tensors {
		let end = at + 2 * shape.iter().product::<usize>();
		let entry = json!({ "dtype": "F16", "shape": shape, "data_offsets": [at, end] });
		header.insert(name.clone(), entry);
		at = end;
	}
	let header = Value::Object(header).to_string();
	let mut file = BufWriter::new(File::create(path)?);
	file.write_all(&(header.len() as u64).to_le_bytes())?;
	file.write_all(header.as_bytes())?;
	let mut state = 0x9E37_79B9_7F4A_7C15u64;
	for (_, shape) in tensors {
		for _ in 0..shape.iter().product::<usize>() {
			// xorshift64: any numbers will do, as long as they are always the same.
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			let unit = (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
			let value = if shape.len() == 1 { 1.0 } else { unit / 16.0 };
			file.write_all(&f16::from_f32(value).to_le_bytes())?;
		}
	}
	Ok(file.flush()?)
}
