//! GGUF's metadata as Hugging Face's `config.json`, so that one parser decides what a model is.

use super::{read::Gguf, Metadata};
use crate::{Error, Result};
use assay_model_folder::config::{RopeScaling, F32};
use serde_json::{json, Value as Json};

/// Refuses an architecture that is not imported.
pub(super) fn check_family(arch: &str) -> Result<()> {
	if ["llama", "qwen2", "qwen3"].contains(&arch) {
		return Ok(());
	}
	Err(Error::Gguf(format!(
		"its architecture is {arch}; llama (Mistral among them), qwen2 and qwen3 are imported from GGUF. For BERT import the \
		 Hugging Face directory"
	)))
}

/// Returns the `config.json` of a GGUF file. `factors` are the divisors of its rotary frequencies, if it has some; `ends`
/// are the tokens that end an answer.
pub(super) fn json(
	metadata: &Metadata<'_>,
	gguf: &Gguf,
	factors: Option<&[f32]>,
	ends: &[u32],
	warnings: &mut Vec<String>,
) -> Result<Vec<u8>> {
	let arch = metadata.arch;
	let number = |name: &str| metadata.number(&metadata.of(name));
	let need = |name: &str| {
		let missing = || Error::Gguf(format!("`{}` is missing", metadata.of(name)));
		number(name)?.ok_or_else(missing)
	};
	let (hidden, heads) = (need("embedding_length")?, need("attention.head_count")?);
	let head_dim = head_dim(metadata, hidden.checked_div(heads).unwrap_or(0))?;
	let theta = metadata.float(&metadata.of("rope.freq_base"))?.unwrap_or(10_000.0);
	let epsilon = metadata.float(&metadata.of("attention.layer_norm_rms_epsilon"))?;
	let has = |tensor: &str| gguf.tensors.contains_key(tensor);
	let mut config = json!({
		"model_type": family(arch, gguf, warnings),
		"hidden_act": "silu",
		"vocab_size": rows(metadata, gguf)?,
		"hidden_size": hidden,
		"intermediate_size": need("feed_forward_length")?,
		"num_hidden_layers": need("block_count")?,
		"num_attention_heads": heads,
		"num_key_value_heads": number("attention.head_count_kv")?.unwrap_or(heads),
		"head_dim": head_dim,
		"max_position_embeddings": need("context_length")?,
		"rms_norm_eps": epsilon.ok_or_else(|| Error::Gguf("the norms' epsilon is missing".into()))?,
		"rope_theta": theta,
		"tie_word_embeddings": !has("output.weight"),
		"eos_token_id": ends,
	});
	if let Some(map) = config.as_object_mut() {
		if let Some(scaling) = rotary(metadata, factors, theta, head_dim, warnings)? {
			map.insert("rope_scaling".into(), scaling);
		}
		if arch != "qwen2" && has("blk.0.attn_q.bias") {
			map.insert("attention_bias".into(), true.into());
		}
		if arch == "llama" && has("blk.0.ffn_up.bias") {
			map.insert("mlp_bias".into(), true.into());
		}
	}
	serde_json::to_vec(&config).map_err(|e| Error::Gguf(e.to_string()))
}

/// Returns the length of a head: its own, or `usual`.
fn head_dim(metadata: &Metadata<'_>, usual: u32) -> Result<u32> {
	let number = |name: &str| metadata.number(&metadata.of(name));
	let head_dim = number("attention.key_length")?.unwrap_or(usual);
	for name in ["attention.value_length", "rope.dimension_count"] {
		if number(name)?.is_some_and(|n| n != head_dim) {
			return Err(Error::Gguf(format!(
				"`{}` is not the head's length, {head_dim}, as c2 needs it",
				metadata.of(name)
			)));
		}
	}
	Ok(head_dim)
}

/// Returns the rows of the embedding.
fn rows(metadata: &Metadata<'_>, gguf: &Gguf) -> Result<u64> {
	let rows = gguf.tensors.get("token_embd.weight").and_then(|t| t.shape.first());
	let rows = *rows.ok_or_else(|| Error::Gguf("tensor `token_embd.weight` is missing".into()))?;
	let key = metadata.of("vocab_size");
	if metadata.number(&key)?.is_some_and(|n| u64::from(n) != rows) {
		return Err(Error::Gguf(format!(
			"`{key}` is not the number of rows of `token_embd.weight`, {rows}; fetch the file again, or take another one"
		)));
	}
	Ok(rows)
}

/// Returns the family whose function this is.
fn family<'a>(arch: &'a str, gguf: &Gguf, warnings: &mut Vec<String>) -> &'a str {
	const BIAS: &str = "blk.0.attn_q.bias";
	if arch != "qwen2" || gguf.tensors.contains_key(BIAS) {
		return arch;
	}
	warnings.push(format!(
		"the tensor `{BIAS}` is missing, which every published Qwen2 has: without these biases it computes what a llama \
		 does, and is imported as one"
	));
	"llama"
}

/// Returns how the rotary positions are scaled, by the tensor of factors or by keys.
fn rotary(
	metadata: &Metadata<'_>,
	factors: Option<&[f32]>,
	theta: f64,
	head_dim: u32,
	warnings: &mut Vec<String>,
) -> Result<Option<Json>> {
	let scaling = match (factors_scaling(factors, theta as f32, head_dim)?, scaling(metadata)?) {
		(Some(_), Some(_)) => {
			return Err(Error::Gguf(format!(
				"its rotary frequencies are scaled twice, by `{}` and by the tensor `rope_freqs.weight`; import the Hugging \
				 Face directory",
				metadata.of("rope.scaling.factor")
			)))
		}
		(from_factors, from_keys) => from_factors.or(from_keys),
	};
	if factors.is_none() && scaling.is_none() {
		warnings.extend(unscaled_llama_3(metadata, theta)?);
	}
	Ok(scaling)
}

/// Returns a warning if the model is a Llama 3.1 or later that was converted before llama.cpp wrote its frequencies.
fn unscaled_llama_3(metadata: &Metadata<'_>, theta: f64) -> Result<Option<String>> {
	let mut named = false;
	for key in ["general.basename", "general.name"] {
		let name = metadata
			.text(key)?
			.unwrap_or_default()
			.to_lowercase()
			.replace([' ', '_'], "-");
		named |= ["llama-3.1", "llama-3.2", "llama-3.3"]
			.iter()
			.any(|later| name.contains(later));
	}
	let long = metadata
		.number(&metadata.of("context_length"))?
		.is_some_and(|n| n > 8192);
	let warned = metadata.arch == "llama" && theta == 500_000.0 && (named || long);
	Ok(warned.then(|| {
		"it looks like a Llama 3.1 or later, but the tensor `rope_freqs.weight` with its rotary frequencies is missing: the file \
		 is older than llama.cpp's support for them, and the model is not quite the published one. Take a newer file"
			.into()
	}))
}

/// Returns the scaling that the keys ask for, with llama.cpp's defaults: a factor without a type is linear.
fn scaling(metadata: &Metadata<'_>) -> Result<Option<Json>> {
	let [kind, factor, old, original] = [
		"scaling.type",
		"scaling.factor",
		"scale_linear",
		"scaling.original_context_length",
	]
	.map(|name| metadata.of(&format!("rope.{name}")));
	let stated = metadata.float(&factor)?;
	let older = metadata.float(&old)?;
	if stated.zip(older).is_some_and(|(a, b)| a != b) {
		return Err(Error::Gguf(format!(
			"`{factor}` and `{old}` contradict each other; import the Hugging Face directory"
		)));
	}
	let stated = stated.or(older);
	// Both mean that nothing is scaled.
	let scaled = stated.filter(|by| *by != 0.0 && *by != 1.0);
	match (metadata.text(&kind)?, scaled) {
		(None | Some("none"), None) => Ok(None),
		(Some("none"), Some(by)) => Err(Error::Gguf(format!(
			"`{kind}` is none, and the factor is {by}; import the Hugging Face directory"
		))),
		(Some("linear" | "yarn"), None) if stated.is_none() => Err(Error::Gguf(format!("`{factor}` is missing"))),
		(Some("linear" | "yarn"), None) => Ok(None),
		(None | Some("linear"), Some(by)) => Ok(Some(json!({ "rope_type": "linear", "factor": by }))),
		(Some("yarn"), Some(by)) => {
			let mut yarn = json!({ "rope_type": "yarn", "factor": by });
			if let (Some(map), Some(original)) = (yarn.as_object_mut(), metadata.number(&original)?) {
				map.insert("original_max_position_embeddings".into(), original.into());
			}
			Ok(Some(yarn))
		}
		(Some(other), _) => Err(Error::Gguf(format!(
			"rotary positions scaled by \"{other}\" (`{kind}`) are not part of c2 (linear, llama3 and yarn are)"
		))),
	}
}

/// Returns Llama 3.1's scaling from the quotients that llama.cpp's converter made of it. Its other three parameters are
/// not in the file; all published models have the same, and what they give is compared with every quotient.
fn factors_scaling(factors: Option<&[f32]>, theta: f32, head_dim: u32) -> Result<Option<Json>> {
	let Some(factors) = factors else { return Ok(None) };
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
			let json = factors_scaling(Some(&converter(factor, 500_000.0, head_dim)), 500_000.0, head_dim);
			assert_eq!(json.unwrap().unwrap()["factor"], f64::from(factor));
		}
		assert_eq!(factors_scaling(Some(&[1.0; 32]), 10_000.0, 64).unwrap(), None);
		assert!(factors_scaling(Some(&converter(8.0, 10_000.0, 128)), 500_000.0, 128).is_err());
		assert!(factors_scaling(Some(&[8.0; 3]), 500_000.0, 128).is_err());
	}
}
