//! The numbers of a Llama, read from a Hugging Face `config.json` and bounded before anything is allocated by them.

use crate::{canonical::linear::BLOCK, Error, Result};
use codec::{Decode, Encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An f32 that is hashed by its bits and written to JSON as the shortest number that reads back to them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct F32(pub f32);

impl Encode for F32 {
	fn encode_to<T: codec::Output + ?Sized>(&self, dest: &mut T) {
		self.0.to_bits().encode_to(dest);
	}
}

impl Decode for F32 {
	fn decode<I: codec::Input>(input: &mut I) -> std::result::Result<Self, codec::Error> {
		u32::decode(input).map(|bits| Self(f32::from_bits(bits)))
	}
}

/// Everything that defines a Llama's function besides its weights.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LlamaConfig {
	/// Rows of the embedding.
	pub vocab_size: u32,
	/// Width of the residual stream.
	pub hidden_size: u32,
	/// Width of the gated layer.
	pub intermediate_size: u32,
	/// Layers.
	pub num_hidden_layers: u32,
	/// Query heads.
	pub num_attention_heads: u32,
	/// Key and value heads.
	pub num_key_value_heads: u32,
	/// Length of one head.
	pub head_dim: u32,
	/// Most tokens, prompt and answer together.
	pub max_position_embeddings: u32,
	/// ε of the norms.
	pub rms_norm_eps: F32,
	/// Base of the rotary frequencies.
	pub rope_theta: F32,
	/// Whether the output layer is the embedding.
	pub tie_word_embeddings: bool,
	/// Tokens that end an answer, ascending.
	pub eos_token_ids: Vec<u32>,
}

impl LlamaConfig {
	/// Reads a Hugging Face `config.json`. What this profile doesn't compute is refused, not ignored.
	pub fn parse(json: &[u8]) -> Result<Self> {
		let root: Value = serde_json::from_slice(json).map_err(|e| Error::Config(e.to_string()))?;
		let get = |key: &str| root.get(key).filter(|v| !v.is_null());
		let number = |key: &str| -> Result<u32> {
			let value = get(key).ok_or_else(|| Error::Config(format!("`{key}` is missing")))?;
			as_u32(value).ok_or_else(|| Error::Config(format!("`{key}` is {value}, not a number below 2³²")))
		};
		let number_or = |key: &str, default: u32| if get(key).is_some() { number(key) } else { Ok(default) };
		let float = |key: &str, value: Option<&Value>, default: f64| -> Result<F32> {
			match value.map(|v| v.as_f64().ok_or(v)) {
				None => Ok(F32(default as f32)),
				Some(Ok(v)) => Ok(F32(v as f32)),
				Some(Err(v)) => Err(Error::Config(format!("`{key}` is {v}, not a number"))),
			}
		};
		for (key, only) in [
			("model_type", Value::from("llama")),
			("hidden_act", Value::from("silu")),
			("attention_bias", Value::from(false)),
			("mlp_bias", Value::from(false)),
		] {
			match get(key) {
				Some(value) if *value != only => {
					return Err(Error::Config(format!("`{key}` is {value}; c1-w8 knows {only}")))
				}
				None if key == "model_type" => return Err(Error::Config("`model_type` is missing".into())),
				_ => {}
			}
		}
		let rope = get("rope_parameters").or_else(|| get("rope_scaling"));
		let rope_type = rope.and_then(|r| r.get("rope_type").or_else(|| r.get("type")));
		if rope.is_some() && rope_type.is_some_and(|t| t != "default")
			|| (get("rope_scaling").is_some() && rope_type.is_none())
		{
			return Err(Error::Config(
				"scaled rotary positions are not part of c1-w8 yet".into(),
			));
		}
		let heads = number("num_attention_heads")?;
		let hidden_size = number("hidden_size")?;
		let config = Self {
			vocab_size: number("vocab_size")?,
			hidden_size,
			intermediate_size: number("intermediate_size")?,
			num_hidden_layers: number("num_hidden_layers")?,
			num_attention_heads: heads,
			num_key_value_heads: number_or("num_key_value_heads", heads)?,
			head_dim: number_or("head_dim", hidden_size.checked_div(heads).unwrap_or(0))?,
			max_position_embeddings: number("max_position_embeddings")?,
			rms_norm_eps: float("rms_norm_eps", get("rms_norm_eps"), 1e-6)?,
			rope_theta: float(
				"rope_theta",
				get("rope_theta").or_else(|| rope?.get("rope_theta")),
				10_000.0,
			)?,
			tie_word_embeddings: get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(false),
			eos_token_ids: eos_ids(get("eos_token_id"))?,
		};
		config.check()?;
		Ok(config)
	}

	/// Refuses numbers outside the limits or that don't fit together.
	pub fn check(&self) -> Result<()> {
		let within = |name: &str, value: u32, limit: u32| match value {
			v if v >= 1 && v <= limit => Ok(()),
			_ => Err(Error::Config(format!(
				"`{name}` is {value}; 1 to {limit} are supported"
			))),
		};
		within("vocab_size", self.vocab_size, 1 << 20)?;
		within("hidden_size", self.hidden_size, 1 << 16)?;
		within("intermediate_size", self.intermediate_size, 1 << 18)?;
		within("num_hidden_layers", self.num_hidden_layers, 256)?;
		within("num_attention_heads", self.num_attention_heads, 1 << 10)?;
		within(
			"num_key_value_heads",
			self.num_key_value_heads,
			self.num_attention_heads,
		)?;
		within("head_dim", self.head_dim, 1 << 10)?;
		within("max_position_embeddings", self.max_position_embeddings, 1 << 20)?;
		let block = BLOCK as u32;
		for (name, k) in [
			("hidden_size", self.hidden_size),
			("intermediate_size", self.intermediate_size),
			("num_attention_heads · head_dim", self.q_width()),
		] {
			if k % block != 0 {
				return Err(Error::Config(format!(
					"`{name}` is {k}; c1-w8 needs a multiple of {block}"
				)));
			}
		}
		if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
			return Err(Error::Config(
				"`num_attention_heads` is no multiple of `num_key_value_heads`".into(),
			));
		}
		if !self.head_dim.is_multiple_of(2) {
			return Err(Error::Config(format!(
				"`head_dim` is {}; rotary positions need an even number",
				self.head_dim
			)));
		}
		let positive = |v: F32| v.0.is_finite() && v.0 > 0.0;
		if !positive(self.rms_norm_eps) || !positive(self.rope_theta) {
			return Err(Error::Config("`rms_norm_eps` and `rope_theta` must be positive".into()));
		}
		if self.eos_token_ids.is_empty() || self.eos_token_ids.len() > 64 {
			return Err(Error::Config("`eos_token_id` must name 1 to 64 tokens".into()));
		}
		match self.eos_token_ids.iter().find(|id| **id >= self.vocab_size) {
			Some(id) => Err(Error::Config(format!(
				"`eos_token_id` {id} is outside the vocabulary of {}",
				self.vocab_size
			))),
			None => Ok(()),
		}
	}

	/// Width of all query heads together.
	pub fn q_width(&self) -> u32 {
		self.num_attention_heads.saturating_mul(self.head_dim)
	}

	/// Width of all key heads together.
	pub fn kv_width(&self) -> u32 {
		self.num_key_value_heads.saturating_mul(self.head_dim)
	}

	/// The `config.json` that [`Self::parse`] reads back to this.
	pub fn to_json(&self) -> Vec<u8> {
		let json = serde_json::json!({
			"architectures": ["LlamaForCausalLM"],
			"model_type": "llama",
			"hidden_act": "silu",
			"vocab_size": self.vocab_size,
			"hidden_size": self.hidden_size,
			"intermediate_size": self.intermediate_size,
			"num_hidden_layers": self.num_hidden_layers,
			"num_attention_heads": self.num_attention_heads,
			"num_key_value_heads": self.num_key_value_heads,
			"head_dim": self.head_dim,
			"max_position_embeddings": self.max_position_embeddings,
			"rms_norm_eps": self.rms_norm_eps,
			"rope_theta": self.rope_theta,
			"tie_word_embeddings": self.tie_word_embeddings,
			"eos_token_id": self.eos_token_ids,
		});
		format!("{json:#}\n").into_bytes()
	}
}

fn as_u32(value: &Value) -> Option<u32> {
	value.as_u64().and_then(|v| u32::try_from(v).ok())
}

fn eos_ids(value: Option<&Value>) -> Result<Vec<u32>> {
	let ids = match value {
		Some(Value::Array(ids)) if ids.len() <= 64 => ids.iter().map(as_u32).collect(),
		Some(id) => as_u32(id).map(|id| vec![id]),
		None => None,
	};
	let mut ids: Vec<u32> =
		ids.ok_or_else(|| Error::Config("`eos_token_id` must be a token id or a list of them".into()))?;
	ids.sort_unstable();
	ids.dedup();
	Ok(ids)
}
