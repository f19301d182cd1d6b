//! A model of random weights, large enough that its memory can be told from the program's.

use anyhow::Result;
use assay_import::{import, ImportOptions};
use assay_model_folder::{config::ModelConfig, header::Dtype, layout::source_layout, Manifest};
use assay_primitives::ModelId;
use assay_test_fixtures::{noise, write_safetensors};
use serde_json::{json, Value};
use std::{fs, path::Path};

/// Writes the canonical model directory of a Llama with about a hundred million random weights to `out`; its tokenizer
/// and template are the demo model's. Returns its id and how many weights it has.
pub fn random_model(out: &Path) -> Result<(ModelId, u64)> {
	let demo = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo-model/assay-demo"));
	let config: Value = serde_json::from_slice(&fs::read(demo.join("config.json"))?)?;
	let source = tempfile::tempdir()?;
	for file in ["tokenizer.json", "chat_template.jinja"] {
		fs::copy(demo.join(file), source.path().join(file))?;
	}
	let config = json!({
		"model_type": "llama", "hidden_act": "silu", "vocab_size": config["vocab_size"], "hidden_size": 1024,
		"intermediate_size": 2816, "num_hidden_layers": 9, "num_attention_heads": 16, "num_key_value_heads": 4,
		"max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true,
		"eos_token_id": config["eos_token_id"],
	});
	let config = config.to_string();
	fs::write(source.path().join("config.json"), &config)?;
	let layout = source_layout(&ModelConfig::parse(config.as_bytes())?.hyperparameters);
	let shapes = layout.iter().map(|t| (t.name.clone(), t.shape()));
	write_safetensors(
		&source.path().join("model.safetensors"),
		Dtype::F16,
		shapes,
		|name, count| {
			if name.contains("norm") {
				return vec![1.0; count];
			}
			noise(1, name, count).into_iter().map(|v| v / 32.0).collect()
		},
	);
	let options = ImportOptions {
		name: "random".into(),
		..Default::default()
	};
	let id = import(source.path(), out, &options)?;
	Ok((id, Manifest::read(out)?.parameters()))
}
