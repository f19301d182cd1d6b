//! Writes a model as a plain Hugging Face directory, which `assay model import` and other programs read.

use crate::{
	llama::{Llama, LlamaConfig},
	vocabulary::*,
};
use anyhow::{anyhow, Context, Result};
use candle_core::{DType, Tensor};
use serde_json::{json, Value};
use std::{collections::HashMap, fs, path::Path};

/// Writes config.json, model.safetensors, tokenizer.json, tokenizer_config.json, chat_template.jinja and
/// generation_config.json to `directory`, which is created if it is missing. The weights are rounded to f16, as models are
/// published.
pub fn write(directory: &Path, model: &Llama, vocabulary: &Vocabulary) -> Result<()> {
	fs::create_dir_all(directory)
		.with_context(|| format!("cannot create {}; choose another --out", directory.display()))?;
	let generation = json!({
		"bos_token_id": vocabulary.bos,
		"eos_token_id": vocabulary.end,
		"do_sample": false,
		"max_new_tokens": 160,
	});
	let tokenizer_config = json!({
		"tokenizer_class": "PreTrainedTokenizerFast",
		"bos_token": BOS,
		"eos_token": END,
		"clean_up_tokenization_spaces": false,
		"model_max_length": model.config().context,
	});
	let tokenizer = vocabulary.tokenizer.to_string(false);
	for (name, text) in [
		("config.json", pretty(&config(model.config(), vocabulary))?),
		("generation_config.json", pretty(&generation)?),
		("tokenizer_config.json", pretty(&tokenizer_config)?),
		("chat_template.jinja", CHAT_TEMPLATE.into()),
		("tokenizer.json", tokenizer.map_err(|e| anyhow!("tokenizer: {e}"))?),
	] {
		let path = directory.join(name);
		fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
	}
	let weights: HashMap<String, Tensor> = model
		.weights()
		.into_iter()
		.map(|(name, var)| Ok((name, var.as_tensor().to_dtype(DType::F16)?)))
		.collect::<Result<_>>()?;
	candle_core::safetensors::save(&weights, directory.join("model.safetensors"))?;
	Ok(())
}

fn config(config: &LlamaConfig, vocabulary: &Vocabulary) -> Value {
	json!({
		"architectures": ["LlamaForCausalLM"],
		"model_type": "llama",
		"hidden_size": config.hidden,
		"intermediate_size": config.ffn,
		"num_hidden_layers": config.layers,
		"num_attention_heads": config.heads,
		"num_key_value_heads": config.kv_heads,
		"head_dim": config.head_dim(),
		"vocab_size": config.vocab,
		"max_position_embeddings": config.context,
		"rms_norm_eps": config.eps,
		"rope_theta": config.theta,
		"rope_scaling": null,
		"hidden_act": "silu",
		"attention_bias": false,
		"mlp_bias": false,
		"tie_word_embeddings": true,
		"bos_token_id": vocabulary.bos,
		"eos_token_id": vocabulary.end,
		"torch_dtype": "float16",
	})
}

fn pretty(value: &Value) -> Result<String> {
	Ok(serde_json::to_string_pretty(value)? + "\n")
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_directory_has_every_weight_under_its_name() {
		let vocabulary = Vocabulary::learn(&["a job".to_string()], 280).unwrap();
		let config = LlamaConfig {
			vocab: vocabulary.size(),
			..crate::llama::tests::TINY
		};
		let model = Llama::new(config, 1).unwrap();
		let directory = std::env::temp_dir().join(format!("assay-export-{}", std::process::id()));
		write(&directory, &model, &vocabulary).unwrap();
		let read =
			candle_core::safetensors::load(directory.join("model.safetensors"), &candle_core::Device::Cpu).unwrap();
		let config: Value = serde_json::from_slice(&fs::read(directory.join("config.json")).unwrap()).unwrap();
		fs::remove_dir_all(&directory).unwrap();
		assert_eq!(read.len(), model.weights().len());
		for (name, var) in model.weights() {
			assert_eq!(read[&name].dims(), var.dims(), "{name}");
			assert_eq!(read[&name].dtype(), DType::F16, "{name}");
		}
		assert_eq!(config["vocab_size"], vocabulary.size());
		assert_eq!(config["eos_token_id"], vocabulary.end);
	}
}
