//! Weights are in memory once, packed, and reading them takes little more.

use crate::{
	common::{noise, options, tokenizer_json, write_safetensors, TEMPLATE, VOCABULARY},
	process::start,
};
use assay_import::import;
use assay_model_folder::{config::ModelConfig, header::Dtype, layout::source_layout, Manifest};
use assay_protocol::process::proc_bytes;
use serde_json::json;
use std::{fs, path::Path};

/// Writes the Hugging Face directory of a model with 93 million random weights.
fn write_large_source(dir: &Path) {
	let config = json!({
		"model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": 1024, "intermediate_size": 2816,
		"num_hidden_layers": 8, "num_attention_heads": 16, "num_key_value_heads": 8, "max_position_embeddings": 512,
		"rms_norm_eps": 1e-5, "tie_word_embeddings": true, "eos_token_id": 263,
	})
	.to_string();
	let layout = source_layout(&ModelConfig::parse(config.as_bytes()).unwrap().hyperparameters);
	let shapes = layout.iter().map(|t| (t.name.clone(), t.shape()));
	write_safetensors(&dir.join("model.safetensors"), Dtype::F16, shapes, |name, count| {
		let scale = if name.contains("norm") { 1.0 } else { 0.05 };
		noise(3, name, count).into_iter().map(|v| v * scale).collect()
	});
	fs::write(dir.join("config.json"), config).unwrap();
	fs::write(dir.join("tokenizer.json"), tokenizer_json()).unwrap();
	fs::write(dir.join("chat_template.jinja"), TEMPLATE).unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_weights_are_in_memory_once() {
	let (source, models) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
	write_large_source(source.path());
	let folder = models.path().join("large");
	import(source.path(), &folder, &options()).unwrap();
	let weights = Manifest::read(&folder).unwrap().parameters();
	assert!(weights > 90_000_000);

	let mut engine = start(models.path(), &[]).await;
	assert_eq!(engine.models.len(), 1, "it passed its known-answer test");
	let status = fs::read_to_string(format!("/proc/{}/status", engine.child.id())).unwrap();
	let bytes = |key| proc_bytes(&status, key).unwrap();
	let (resident, peak) = (bytes("VmRSS"), bytes("VmHWM"));
	drop(engine.socket);
	engine.child.wait().unwrap();

	println!("{weights} weights, {resident} bytes resident, {peak} at the peak");
	// What a process of this kind has without weights; a second copy of them would be three times as much.
	let rest = 32 << 20;
	assert!(
		resident < weights * 115 / 100 + rest,
		"{resident} bytes for {weights} weights"
	);
	assert!(
		peak < weights * 115 / 100 + rest,
		"{peak} bytes at the peak for {weights} weights"
	);
}
