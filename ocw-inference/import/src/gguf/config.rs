//! GGUF's metadata as Hugging Face's `config.json`, so that one parser decides what a model is.

use super::{read::Gguf, Metadata};
use crate::{Error, Result};
use assay_model_folder::config::{RopeScaling, F32};
use serde_json::{json, Value as Json};

/// The fields of `{family}.rope.scaling.` that are read. Any other would change the function and is refused.
const SCALING: [&str; 4] = ["type", "factor", "original_context_length", "finetuned"];
/// Hyperparameters that change what a family computes, and that no supported family has.
const NOT_COMPUTED: [&str; 8] = [
	"expert_count",
	"attention.sliding_window",
	"attention.clamp_kqv",
	"attention.scale",
	"attention.max_alibi_bias",
	"attn_logit_softcapping",
	"final_logit_softcapping",
	"logit_scale",
];

/// Returns the `config.json` of a GGUF file. `factors` are the divisors of its rotary frequencies, if it has some.
pub(super) fn json(metadata: &Metadata<'_>, gguf: &Gguf, factors: Option<&[f32]>) -> Result<Vec<u8>> {
	let arch = metadata.arch;
	if !["llama", "qwen2", "qwen3"].contains(&arch) {
		return Err(Error::Gguf(format!(
			"its architecture is {arch}; llama (Mistral among them), qwen2 and qwen3 are imported from GGUF. For BERT import the \
			 Hugging Face directory"
		)));
	}
	let number = |name: &str| metadata.number(&metadata.of(name));
	let need = |name: &str| {
		let missing = || Error::Gguf(format!("`{}` is missing", metadata.of(name)));
		number(name)?.ok_or_else(missing)
	};
	for name in NOT_COMPUTED {
		if metadata.float(&metadata.of(name))?.is_some_and(|v| v != 0.0) {
			return Err(Error::Gguf(format!("`{}` is not part of c1-w8", metadata.of(name))));
		}
	}
	let (hidden, heads) = (need("embedding_length")?, need("attention.head_count")?);
	let head_dim = match number("attention.key_length")? {
		Some(length) => length,
		None => hidden.checked_div(heads).unwrap_or(0),
	};
	for name in ["attention.value_length", "rope.dimension_count"] {
		if number(name)?.is_some_and(|n| n != head_dim) {
			return Err(Error::Gguf(format!(
				"`{}` is not the head's length, {head_dim}, as c1-w8 needs it",
				metadata.of(name)
			)));
		}
	}
	let vocabulary = gguf.tensors.get("token_embd.weight").and_then(|t| t.shape.first());
	let theta = metadata.float(&metadata.of("rope.freq_base"))?.unwrap_or(10_000.0);
	let epsilon = metadata.float(&metadata.of("attention.layer_norm_rms_epsilon"))?;
	let mut config = json!({
		"model_type": arch,
		"hidden_act": "silu",
		"vocab_size": vocabulary.ok_or_else(|| Error::Gguf("tensor `token_embd.weight` is missing".into()))?,
		"hidden_size": hidden,
		"intermediate_size": need("feed_forward_length")?,
		"num_hidden_layers": need("block_count")?,
		"num_attention_heads": heads,
		"num_key_value_heads": number("attention.head_count_kv")?.unwrap_or(heads),
		"head_dim": head_dim,
		"max_position_embeddings": need("context_length")?,
		"rms_norm_eps": epsilon.ok_or_else(|| Error::Gguf("the norms' epsilon is missing".into()))?,
		"rope_theta": theta,
		"tie_word_embeddings": !gguf.tensors.contains_key("output.weight"),
		"eos_token_id": stop_tokens(metadata)?,
	});
	let scaling = match factors {
		Some(factors) => from_factors(factors, theta as f32, head_dim)?,
		None => scaling(metadata)?,
	};
	if let Some(map) = config.as_object_mut() {
		if let Some(scaling) = scaling {
			map.insert("rope_scaling".into(), scaling);
		}
		if arch != "qwen2" && gguf.tensors.contains_key("blk.0.attn_q.bias") {
			map.insert("attention_bias".into(), true.into());
		}
		if arch == "llama" && gguf.tensors.contains_key("blk.0.ffn_up.bias") {
			map.insert("mlp_bias".into(), true.into());
		}
	}
	serde_json::to_vec(&config).map_err(|e| Error::Gguf(e.to_string()))
}

/// Returns the tokens that end an answer or a turn.
fn stop_tokens(metadata: &Metadata<'_>) -> Result<Vec<u32>> {
	let mut ids = Vec::new();
	for kind in ["eos", "eot", "eom"] {
		ids.extend(metadata.number(&format!("tokenizer.ggml.{kind}_token_id"))?);
	}
	ids.sort_unstable();
	ids.dedup();
	if ids.is_empty() {
		return Err(Error::Gguf(
			"`tokenizer.ggml.eos_token_id` is missing: no token would end an answer".into(),
		));
	}
	Ok(ids)
}

fn scaling(metadata: &Metadata<'_>) -> Result<Option<Json>> {
	let start = metadata.of("rope.scaling.");
	let other = |key: &&String| key.strip_prefix(&start).is_some_and(|rest| !SCALING.contains(&rest));
	if let Some(key) = metadata.entries.keys().find(other) {
		return Err(Error::Gguf(format!(
			"`{key}` is not imported; import the Hugging Face directory"
		)));
	}
	let get = |name: &str| metadata.of(&format!("rope.scaling.{name}"));
	let kind = metadata.text(&get("type"))?.unwrap_or("none");
	let missing = || Error::Gguf(format!("`{}` is missing", get("factor")));
	let factor = || metadata.float(&get("factor"))?.ok_or_else(missing);
	match kind {
		"none" => Ok(None),
		"linear" => Ok(Some(json!({ "rope_type": "linear", "factor": factor()? }))),
		"yarn" => {
			let mut yarn = json!({ "rope_type": "yarn", "factor": factor()? });
			if let (Some(map), Some(original)) =
				(yarn.as_object_mut(), metadata.number(&get("original_context_length"))?)
			{
				map.insert("original_max_position_embeddings".into(), original.into());
			}
			Ok(Some(yarn))
		}
		other => Err(Error::Gguf(format!(
			"rotary positions scaled by \"{other}\" are not part of c1-w8 (linear, llama3 and yarn are)"
		))),
	}
}

/// Returns Llama 3.1's scaling from the quotients that llama.cpp's converter made of it. Its other three parameters are
/// not in the file; all published models have the same, and what they give is compared with every quotient.
fn from_factors(factors: &[f32], theta: f32, head_dim: u32) -> Result<Option<Json>> {
	if factors.iter().all(|f| *f == 1.0) {
		return Ok(None);
	}
	let (low, high, original) = (1.0, 4.0, 8192);
	let largest = factors.iter().fold(1f32, |a, v| a.max(*v));
	let scaling = RopeScaling::Llama3 {
		factor: F32(largest),
		low_freq_factor: F32(low),
		high_freq_factor: F32(high),
		original_max_position_embeddings: original,
	};
	let foreign = || {
		Error::Gguf("its factors of the rotary frequencies are not Llama 3's; import the Hugging Face directory".into())
	};
	let head_dim = head_dim as usize;
	// Compared first, because it bounds what is computed.
	if factors.len() != head_dim / 2 {
		return Err(foreign());
	}
	let plain = RopeScaling::None.frequencies(theta, head_dim);
	let scaled = scaling.frequencies(theta, head_dim);
	let close = |(f, (a, b)): (&f32, (&f64, &f64))| (f64::from(*f) * b / a - 1.0).abs() < 1e-4;
	if !factors.iter().zip(plain.iter().zip(&scaled)).all(close) {
		return Err(foreign());
	}
	Ok(Some(json!({
		"rope_type": "llama3",
		"factor": largest,
		"low_freq_factor": low,
		"high_freq_factor": high,
		"original_max_position_embeddings": original,
	})))
}

#[cfg(test)]
mod tests {
	use super::*;

	/// llama.cpp's `convert_hf_to_gguf.py`, `generate_extra_tensors` of Llama.
	fn converter(factor: f32, theta: f32, head_dim: u32) -> Vec<f32> {
		let wave = |i: u32| 2.0 * std::f32::consts::PI * theta.powf((2 * i) as f32 / head_dim as f32);
		let one = |wave: f32| match wave {
			w if w < 8192.0 / 4.0 => 1.0,
			w if w > 8192.0 => factor,
			w => {
				let smooth = (8192.0 / w - 1.0) / 3.0;
				1.0 / ((1.0 - smooth) / factor + smooth)
			}
		};
		(0..head_dim / 2).map(|i| one(wave(i))).collect()
	}

	#[test]
	fn llama_3_1_and_3_2_are_recognized_by_their_factors() {
		for (factor, head_dim) in [(8.0, 128), (32.0, 64), (32.0, 128)] {
			let json = from_factors(&converter(factor, 500_000.0, head_dim), 500_000.0, head_dim);
			assert_eq!(json.unwrap().unwrap()["factor"], f64::from(factor));
		}
		assert_eq!(from_factors(&[1.0; 32], 10_000.0, 64).unwrap(), None);
		assert!(from_factors(&converter(8.0, 10_000.0, 128), 500_000.0, 128).is_err());
		assert!(from_factors(&[8.0; 3], 500_000.0, 128).is_err());
	}
}
