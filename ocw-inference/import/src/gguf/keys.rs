//! Which keys the metadata of a GGUF file may have: what is read, and what is known to change nothing. Every other key is
//! refused by name, because it may be there for something that the importer does not do.
//!
//! The names are those of llama.cpp and of its Python package gguf. `{arch}` stands for the family, `*` for any rest.

use super::read::Value;
use crate::{Error, Result};

/// Keys that are read. The importer sees no others.
pub(super) const READ: [&str; 41] = [
	"general.architecture",
	"general.basename",
	"general.name",
	"split.count",
	"tokenizer.chat_template",
	"tokenizer.ggml.add_bos_token",
	"tokenizer.ggml.add_eos_token",
	"tokenizer.ggml.add_space_prefix",
	"tokenizer.ggml.bos_token_id",
	"tokenizer.ggml.eom_token_id",
	"tokenizer.ggml.eos_token_id",
	"tokenizer.ggml.eos_token_ids",
	"tokenizer.ggml.eot_token_id",
	"tokenizer.ggml.merges",
	"tokenizer.ggml.model",
	"tokenizer.ggml.padding_token_id",
	"tokenizer.ggml.pre",
	"tokenizer.ggml.scores",
	"tokenizer.ggml.token_type",
	"tokenizer.ggml.tokens",
	"tokenizer.ggml.unknown_token_id",
	"{arch}.attention.head_count",
	"{arch}.attention.head_count_kv",
	"{arch}.attention.key_length",
	"{arch}.attention.layer_norm_rms_epsilon",
	"{arch}.attention.value_length",
	"{arch}.block_count",
	"{arch}.context_length",
	"{arch}.embedding_length",
	"{arch}.feed_forward_length",
	"{arch}.rope.dimension_count",
	"{arch}.rope.freq_base",
	"{arch}.rope.scale_linear",
	"{arch}.rope.scaling.factor",
	"{arch}.rope.scaling.original_context_length",
	"{arch}.rope.scaling.type",
	"{arch}.vocab_size",
	// Read with the header.
	"general.alignment",
	// Texts that name a token for the template.
	"tokenizer.ggml.cls_token_id",
	"tokenizer.ggml.mask_token_id",
	"tokenizer.ggml.seperator_token_id",
];

/// Keys that change nothing in a chat, whatever their value: descriptions, suggestions, and what other programs keep
/// for themselves.
pub(super) const INERT: [&str; 22] = [
	"general.*",
	"imatrix.*",
	"mradermacher.*",
	"quantize.*",
	"split.no",
	"split.tensors.count",
	"tokenizer.chat_template.*",
	"tokenizer.chat_templates",
	"tokenizer.ggml.fim_mid_token_id",
	"tokenizer.ggml.fim_pad_token_id",
	"tokenizer.ggml.fim_pre_token_id",
	"tokenizer.ggml.fim_rep_token_id",
	"tokenizer.ggml.fim_sep_token_id",
	"tokenizer.ggml.fim_suf_token_id",
	"tokenizer.ggml.middle_token_id",
	"tokenizer.ggml.prefix_token_id",
	"tokenizer.ggml.suffix_token_id",
	"tokenizer.ggml.token_type_count",
	"tokenizer.huggingface.json",
	// No supported family has a norm that would use it.
	"{arch}.attention.layer_norm_epsilon",
	// Whether the model was trained with its scaling.
	"{arch}.rope.scaling.finetuned",
	// How many of a mixture's experts are used; there is none.
	"{arch}.expert_used_count",
];

/// Keys that change nothing if they have one of these values; any other value is refused.
pub(super) const NEUTRAL: [(&str, &[&str]); 27] = [
	("general.quantization_version", &["2"]),
	("general.type", &["model"]),
	("tokenizer.ggml.add_sep_token", &["false"]),
	("tokenizer.ggml.normalizer.lowercase", &["false"]),
	("tokenizer.ggml.normalizer.strip_accents", &["false"]),
	("tokenizer.ggml.remove_extra_whitespaces", &["false"]),
	("tokenizer.ggml.suppress_tokens", &["[]"]),
	("{arch}.attention.causal", &["true"]),
	("{arch}.attention.clamp_kqv", &["0"]),
	("{arch}.attention.max_alibi_bias", &["0"]),
	("{arch}.attention.scale", &["0"]),
	("{arch}.attention.sliding_window", &["0"]),
	("{arch}.attn_logit_softcapping", &["0"]),
	("{arch}.embedding_scale", &["0", "1"]),
	("{arch}.expert_count", &["0"]),
	("{arch}.expert_shared_count", &["0"]),
	("{arch}.final_logit_softcapping", &["0"]),
	("{arch}.logit_scale", &["0", "1"]),
	("{arch}.pooling_type", &["0"]),
	("{arch}.residual_scale", &["0", "1"]),
	("{arch}.rope.scaling.attn_factor", &["1"]),
	("{arch}.rope.scaling.yarn_attn_factor", &["1"]),
	("{arch}.rope.scaling.yarn_beta_fast", &["32"]),
	("{arch}.rope.scaling.yarn_beta_slow", &["1"]),
	("{arch}.rope.scaling.yarn_ext_factor", &["1"]),
	("{arch}.tensor_data_layout", &["Meta AI original pth"]),
	("{arch}.use_parallel_residual", &["false"]),
];

/// Returns whether a key is read; refuses one that is unknown, or whose value changes what is computed.
pub(super) fn check(arch: &str, key: &str, value: &Value) -> Result<bool> {
	let of_family = key.strip_prefix(arch).filter(|rest| rest.starts_with('.'));
	let name = of_family.map_or_else(|| key.to_owned(), |rest| format!("{{arch}}{rest}"));
	if READ.contains(&name.as_str()) {
		return Ok(true);
	}
	if let Some((_, values)) = NEUTRAL.iter().find(|(known, _)| *known == name) {
		if values.iter().any(|text| is(value, text)) {
			return Ok(false);
		}
		return Err(Error::Gguf(format!(
			"`{key}` is {}; c2 computes only what it means when it is {}. Take another model",
			shown(value),
			values.join(" or ")
		)));
	}
	let inert = |known: &&str| match known.strip_suffix('*') {
		Some(start) => name.starts_with(start),
		None => **known == name,
	};
	if INERT.iter().any(inert) {
		return Ok(false);
	}
	Err(Error::Gguf(format!(
		"`{key}` is not a known key: it may change what the model computes. Import the Hugging Face directory; or, if you \
		 know that the key changes nothing, remove it with `gguf-new-metadata --remove-metadata {key}` of the Python \
		 package gguf (docs/models.md lists the known keys)"
	)))
}

/// Returns whether a value is this one; numbers are compared as numbers.
fn is(value: &Value, text: &str) -> bool {
	match value {
		Value::Int(n) => text.parse() == Ok(*n),
		Value::Float(v) => text.parse() == Ok(*v),
		Value::Ints(v) => text == "[]" && v.is_empty(),
		Value::Bool(_) | Value::Text(_) => text == shown(value),
		_ => false,
	}
}

fn shown(value: &Value) -> String {
	match value {
		Value::Int(n) => n.to_string(),
		Value::Float(v) => v.to_string(),
		Value::Bool(flag) => flag.to_string(),
		Value::Text(text) => text.chars().take(40).collect(),
		_ => "a list".into(),
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn every_key_is_in_one_list_and_in_the_documents_table() {
		let page = include_str!("../../../../docs/models.md");
		let neutral = NEUTRAL.iter().map(|(key, _)| *key);
		let keys: Vec<&str> = READ.into_iter().chain(INERT).chain(neutral).collect();
		for key in &keys {
			assert_eq!(keys.iter().filter(|k| k == &key).count(), 1, "{key}");
			assert!(page.contains(&format!("`{key}`")), "docs/models.md lacks `{key}`");
		}
		for (key, values) in NEUTRAL {
			let row = page.lines().find(|line| line.contains(&format!("`{key}`"))).unwrap();
			assert!(values.iter().all(|value| row.contains(value)), "{row}");
		}
	}

	#[test]
	fn a_key_is_read_or_changes_nothing_or_is_refused() {
		let number = Value::Int(1);
		assert!(check("llama", "llama.block_count", &number).unwrap());
		assert!(!check("llama", "general.tags", &Value::Skipped).unwrap());
		assert!(!check("llama", "llama.residual_scale", &Value::Float(1.0)).unwrap());
		assert!(!check("llama", "tokenizer.ggml.suppress_tokens", &Value::Ints(Vec::new())).unwrap());
		for (key, value) in [
			("llama.residual_scale", Value::Float(0.5)),
			("llama.attention.causal", Value::Bool(false)),
			("llama.rope.dimension_sections", Value::Ints(vec![0; 4])),
			("qwen2.block_count", number.clone()),
			("llamas.block_count", number.clone()),
			("tokenizer.ggml.precompiled_charsmap", Value::Skipped),
			("adapter.type", Value::Text("lora".into())),
			("block_count", number),
		] {
			let error = check("llama", key, &value).unwrap_err().to_string();
			assert!(error.contains(&format!("`{key}`")), "{error}");
		}
	}
}
