//! The folder that is written: a plain Hugging Face model, readable by `assay model import` and by anybody else.

use crate::{llama::Llama, vocabulary::*};
use anyhow::{anyhow, Context, Result};
use candle_core::{DType, Tensor};
use serde_json::json;
use std::{collections::HashMap, fs, path::Path};

/// Writes config.json, model.safetensors, tokenizer.json, tokenizer_config.json, chat_template.jinja and
/// generation_config.json into `folder`, which is made if it is missing. The weights are rounded to f16, as models are published.
pub fn write(folder: &Path, model: &Llama, vocabulary: &Vocabulary) -> Result<()> {
	fs::create_dir_all(folder).with_context(|| format!("cannot make {}; choose another --out", folder.display()))?;
	let s = model.shape();
	let config = json!({
		"architectures": ["LlamaForCausalLM"],
		"model_type": "llama",
		"hidden_size": s.hidden,
		"intermediate_size": s.ffn,
		"num_hidden_layers": s.layers,
		"num_attention_heads": s.heads,
		"num_key_value_heads": s.kv_heads,
		"head_dim": s.head_dim(),
		"vocab_size": s.vocab,
		"max_position_embeddings": s.context,
		"rms_norm_eps": s.eps,
		"rope_theta": s.theta,
		"rope_scaling": null,
		"hidden_act": "silu",
		"attention_bias": false,
		"mlp_bias": false,
		"tie_word_embeddings": true,
		"bos_token_id": vocabulary.bos,
		"eos_token_id": vocabulary.end,
		"torch_dtype": "float16",
	});
	let generation = json!({
		"bos_token_id": vocabulary.bos,
		"eos_token_id": vocabulary.end,
		"do_sample": false,
		"max_new_tokens": 160,
	});
	let tokenizer = json!({
		"tokenizer_class": "PreTrainedTokenizerFast",
		"bos_token": BOS,
		"eos_token": END,
		"clean_up_tokenization_spaces": false,
		"model_max_length": s.context,
	});
	let text = |name: &str, text: String| -> Result<()> {
		let path = folder.join(name);
		fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
	};
	text("config.json", pretty(&config)?)?;
	text("generation_config.json", pretty(&generation)?)?;
	text("tokenizer_config.json", pretty(&tokenizer)?)?;
	text("chat_template.jinja", CHAT_TEMPLATE.into())?;
	text(
		"tokenizer.json",
		vocabulary
			.tokenizer
			.to_string(false)
			.map_err(|e| anyhow!("tokenizer: {e}"))?,
	)?;
	let weights: HashMap<String, Tensor> = model
		.weights()
		.into_iter()
		.map(|(name, var)| Ok((name, var.as_tensor().to_dtype(DType::F16)?)))
		.collect::<Result<_>>()?;
	candle_core::safetensors::save(&weights, folder.join("model.safetensors"))?;
	Ok(())
}

fn pretty(value: &serde_json::Value) -> Result<String> {
	Ok(serde_json::to_string_pretty(value)? + "\n")
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_folder_holds_every_weight_under_its_name() {
		let vocabulary = Vocabulary::learn(&["a job".to_string()], 280).unwrap();
		let shape = crate::llama::Shape {
			vocab: vocabulary.size(),
			..crate::llama::tests::TINY
		};
		let model = Llama::new(shape, 1).unwrap();
		let folder = std::env::temp_dir().join(format!("assay-folder-{}", std::process::id()));
		write(&folder, &model, &vocabulary).unwrap();
		let read = candle_core::safetensors::load(folder.join("model.safetensors"), &candle_core::Device::Cpu).unwrap();
		let config: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
		fs::remove_dir_all(&folder).unwrap();
		assert_eq!(read.len(), model.weights().len());
		for (name, var) in model.weights() {
			assert_eq!(read[&name].dims(), var.dims(), "{name}");
			assert_eq!(read[&name].dtype(), DType::F16, "{name}");
		}
		assert_eq!(config["vocab_size"], vocabulary.size());
		assert_eq!(config["eos_token_id"], vocabulary.end);
	}
}
