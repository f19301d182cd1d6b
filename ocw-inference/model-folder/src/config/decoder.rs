//! The hyperparameters of a decoder: Llama, Mistral, Qwen2, Qwen3.

use super::{in_blocks, within, Architecture, RopeScaling, F32};
use crate::{Error, Result};
use assay_numerics::rope::Tables;
use codec::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Everything that defines a decoder's function besides its weights.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
	/// Rows of the embedding.
	pub vocab_size: u32,
	/// Width of the residual stream.
	pub hidden_size: u32,
	/// Width of the MLP.
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
	/// What is done to the rotary frequencies.
	pub rope_scaling: RopeScaling,
	/// How many rows a row attends to, itself and those before it; all if none.
	pub sliding_window: Option<u32>,
	/// Biases on queries, keys and values.
	pub attention_bias: bool,
	/// A bias on the attention's output matrix.
	pub output_bias: bool,
	/// Biases on the three matrices of the MLP.
	pub mlp_bias: bool,
	/// An RMS norm on each head's query and key, before the rotation.
	pub qk_norm: bool,
	/// Whether the output layer is the embedding.
	pub tie_word_embeddings: bool,
	/// Tokens that end an answer, ascending.
	pub eos_token_ids: Vec<u32>,
}

impl DecoderConfig {
	/// Refuses values that are outside the limits or do not fit together.
	pub fn check(&self) -> Result<()> {
		let refused = |reason: &str| Err(Error::Config(reason.into()));
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
		in_blocks(&[
			("hidden_size", self.hidden_size),
			("intermediate_size", self.intermediate_size),
			("num_attention_heads · head_dim", self.q_width()),
		])?;
		if let Some(window) = self.sliding_window {
			within("sliding_window", window, 1 << 20)?;
		}
		if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
			return refused("`num_attention_heads` is not a multiple of `num_key_value_heads`");
		}
		if !self.head_dim.is_multiple_of(2) {
			return Err(Error::Config(format!(
				"`head_dim` is {}; rotary positions need an even number",
				self.head_dim
			)));
		}
		let from = |v: F32, least: f32| v.0.is_finite() && v.0 >= least;
		if !from(self.rms_norm_eps, f32::MIN_POSITIVE) {
			return refused("`rms_norm_eps` must be positive");
		}
		// So the angles never outgrow the positions, and the spec's cos and sin need no more than 2²⁰.
		if !from(self.rope_theta, 1.0) {
			return refused("`rope_theta` must be at least 1");
		}
		self.rope_scaling
			.check(self.rope_theta.0)
			.map_err(|e| Error::Config(format!("`rope_scaling`: {e}")))?;
		if self.eos_token_ids.is_empty() || self.eos_token_ids.len() > 64 {
			return refused("`eos_token_id` must name 1 to 64 tokens");
		}
		if !self.eos_token_ids.is_sorted_by(|a, b| a < b) {
			return refused("`eos_token_id` must be ascending");
		}
		match self.eos_token_ids.iter().find(|id| **id >= self.vocab_size) {
			Some(id) => Err(Error::Config(format!(
				"`eos_token_id` {id} is outside the vocabulary of {}",
				self.vocab_size
			))),
			None => Ok(()),
		}
	}

	/// Refuses values that the family cannot have: its `config.json` has no fields for them.
	pub fn check_family(&self, family: Architecture) -> Result<()> {
		let Self {
			sliding_window: window,
			attention_bias: qkv,
			output_bias: o,
			mlp_bias: mlp,
			qk_norm: norm,
			..
		} = *self;
		let fits = match family {
			Architecture::Llama => qkv == o && !norm && window.is_none(),
			Architecture::Mistral => !qkv && !o && !mlp && !norm,
			Architecture::Qwen2 => qkv && !o && !mlp && !norm,
			Architecture::Qwen3 => qkv == o && !mlp && norm,
			Architecture::Bert => false,
		};
		if fits {
			return Ok(());
		}
		Err(Error::Config(format!(
			"no {} has attention_bias {qkv}, output_bias {o}, mlp_bias {mlp}, qk_norm {norm} and sliding_window {window:?}",
			family.name()
		)))
	}

	/// Returns the width of all query heads together.
	pub fn q_width(&self) -> u32 {
		self.num_attention_heads.saturating_mul(self.head_dim)
	}

	/// Returns the width of all key heads together.
	pub fn kv_width(&self) -> u32 {
		self.num_key_value_heads.saturating_mul(self.head_dim)
	}

	/// Returns the rotary tables of all positions.
	pub fn rope_tables(&self) -> Tables {
		Tables::new(
			self.rope_theta.0,
			&self.rope_scaling,
			self.head_dim as usize,
			self.max_position_embeddings as usize,
		)
	}
}
