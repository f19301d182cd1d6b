//! The hyperparameters of a sentence encoder: BERT, mean over the rows, length 1.

use super::{in_blocks, within, F32};
use crate::{Error, Result};
use codec::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Everything that defines an encoder's function besides its weights. The activation is GELU in its erf form, positions are
/// learned, the vector is the mean of the last layer's rows.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
	/// Rows of the embedding.
	pub vocab_size: u32,
	/// Width of a row.
	pub hidden_size: u32,
	/// Width of the intermediate layer.
	pub intermediate_size: u32,
	/// Layers.
	pub num_hidden_layers: u32,
	/// Heads.
	pub num_attention_heads: u32,
	/// Rows of the table of positions.
	pub max_position_embeddings: u32,
	/// Rows of the table of token types; only the first is used.
	pub type_vocab_size: u32,
	/// ε of the norms.
	pub layer_norm_eps: F32,
	/// Most tokens of a text, its two marks included.
	pub max_seq_length: u32,
	/// Whether the vector is scaled to length 1.
	pub normalize: bool,
}

impl EncoderConfig {
	/// Refuses values that are outside the limits or do not fit together.
	pub fn check(&self) -> Result<()> {
		within("vocab_size", self.vocab_size, 1 << 20)?;
		within("hidden_size", self.hidden_size, 1 << 16)?;
		within("intermediate_size", self.intermediate_size, 1 << 18)?;
		within("num_hidden_layers", self.num_hidden_layers, 256)?;
		within("num_attention_heads", self.num_attention_heads, 1 << 10)?;
		within("max_position_embeddings", self.max_position_embeddings, 1 << 16)?;
		within("type_vocab_size", self.type_vocab_size, 1 << 10)?;
		within("max_seq_length", self.max_seq_length, self.max_position_embeddings)?;
		in_blocks(&[
			("hidden_size", self.hidden_size),
			("intermediate_size", self.intermediate_size),
		])?;
		if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
			return Err(Error::Config(
				"`hidden_size` is not a multiple of `num_attention_heads`".into(),
			));
		}
		if self.layer_norm_eps.0.is_finite() && self.layer_norm_eps.0 > 0.0 {
			Ok(())
		} else {
			Err(Error::Config("`layer_norm_eps` must be positive".into()))
		}
	}

	/// Returns the length of one head.
	pub fn head_dim(&self) -> u32 {
		self.hidden_size.checked_div(self.num_attention_heads).unwrap_or(0)
	}
}
