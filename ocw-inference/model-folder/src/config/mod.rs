//! The hyperparameters of a model: everything that defines its function besides the weights. Bounded before anything is
//! allocated by them.
//!
//! [`ModelConfig::parse`] reads them from a Hugging Face `config.json` with the meaning that the family's own code
//! gives them (transformers), and refuses what this profile does not compute. [`ModelConfig::to_json`] writes the
//! canonical file.

mod decoder;
mod encoder;
mod fields;
pub mod keys;
mod read;
mod rope;
mod write;

pub use assay_numerics::{rope::RopeScaling, F32};
pub use decoder::DecoderConfig;
pub use encoder::EncoderConfig;

use crate::{Error, Result};
use assay_numerics::rope::Tables;
use codec::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// The families that profile c2 computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
	/// Llama 1 to 3.3, and what shares their form.
	Llama,
	/// Mistral: a Llama with a sliding window.
	Mistral,
	/// Qwen2 and Qwen2.5, dense: biases on queries, keys and values.
	Qwen2,
	/// Qwen3, dense: a norm on each head's queries and keys.
	Qwen3,
	/// BERT as a sentence encoder.
	Bert,
}

impl Architecture {
	/// All of them.
	pub const ALL: [Self; 5] = [Self::Llama, Self::Mistral, Self::Qwen2, Self::Qwen3, Self::Bert];

	/// Hugging Face's `model_type`, and the manifest's `architecture`.
	pub fn name(self) -> &'static str {
		match self {
			Self::Llama => "llama",
			Self::Mistral => "mistral",
			Self::Qwen2 => "qwen2",
			Self::Qwen3 => "qwen3",
			Self::Bert => "bert",
		}
	}

	/// Returns the family of that name.
	pub fn of(name: &str) -> Option<Self> {
		Self::ALL.into_iter().find(|a| a.name() == name)
	}

	/// All names, for messages.
	pub(crate) fn names() -> String {
		Self::ALL.map(Self::name).join(", ")
	}
}

/// A model's hyperparameters, as the manifest hashes them.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hyperparameters {
	/// A model that continues a text.
	#[codec(index = 0)]
	Decoder(DecoderConfig),
	/// A model that makes a vector of a text.
	#[codec(index = 1)]
	Encoder(EncoderConfig),
}

impl Hyperparameters {
	/// Returns the hyperparameters of a decoder; an error for other models.
	pub fn decoder(&self) -> Result<&DecoderConfig> {
		match self {
			Self::Decoder(config) => Ok(config),
			Self::Encoder(_) => Err(Error::Config("an encoder makes vectors, no text".into())),
		}
	}

	/// Returns the hyperparameters of an encoder; an error for other models.
	pub fn encoder(&self) -> Result<&EncoderConfig> {
		match self {
			Self::Encoder(config) => Ok(config),
			Self::Decoder(_) => Err(Error::Config("a decoder makes text, no vectors".into())),
		}
	}

	/// Returns the rows of the embedding: one more than the largest token id.
	pub fn vocab_size(&self) -> u32 {
		match self {
			Self::Decoder(n) => n.vocab_size,
			Self::Encoder(n) => n.vocab_size,
		}
	}

	/// Returns how many tokens one sequence may have.
	pub fn context_length(&self) -> u32 {
		match self {
			Self::Decoder(n) => n.max_position_embeddings,
			Self::Encoder(n) => n.max_seq_length,
		}
	}

	/// Limits sequences to `context` tokens.
	pub fn shorten(&mut self, context: u32) {
		let length = match self {
			Self::Decoder(n) => &mut n.max_position_embeddings,
			Self::Encoder(n) => &mut n.max_seq_length,
		};
		*length = (*length).min(context);
	}

	/// Returns the tokens that end an answer, ascending; none for an encoder.
	pub fn eos_token_ids(&self) -> &[u32] {
		match self {
			Self::Decoder(n) => &n.eos_token_ids,
			Self::Encoder(_) => &[],
		}
	}

	/// Returns the rotary tables; empty for an encoder, whose positions are learned.
	pub fn rope_tables(&self) -> Tables {
		match self {
			Self::Decoder(n) => n.rope_tables(),
			Self::Encoder(_) => Tables::default(),
		}
	}
}

/// The content of a `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
	/// The family.
	pub architecture: Architecture,
	/// Its hyperparameters.
	pub hyperparameters: Hyperparameters,
}

impl ModelConfig {
	/// Reads a Hugging Face `config.json`. What this profile does not compute is refused, not ignored.
	pub fn parse(json: &[u8]) -> Result<Self> {
		Self::parse_with(json, None)
	}

	/// [`Self::parse`] of a file beside which another one, `generation_config.json`, may name the tokens that end an
	/// answer. As in transformers these replace its own.
	pub fn parse_with(json: &[u8], ends: Option<Vec<u32>>) -> Result<Self> {
		let config = read::config(json, ends)?;
		config.check()?;
		Ok(config)
	}

	/// Returns the `config.json` that [`Self::parse`] reads back to this: keys in bytewise order, two spaces, one
	/// newline at the end.
	pub fn to_json(&self) -> Vec<u8> {
		write::json(self)
	}

	/// Refuses values that are outside the limits, do not fit together, or that the family cannot have.
	pub fn check(&self) -> Result<()> {
		match &self.hyperparameters {
			Hyperparameters::Decoder(n) => {
				n.check()?;
				n.check_family(self.architecture)
			}
			Hyperparameters::Encoder(n) if self.architecture == Architecture::Bert => n.check(),
			Hyperparameters::Encoder(_) => Err(Error::Config(format!(
				"`{}` is not an encoder",
				self.architecture.name()
			))),
		}
	}
}

/// Returns the tokens of an `eos_token_id` as a published file states it, ascending, or why it names none.
pub fn eos_token_ids(value: &serde_json::Value) -> std::result::Result<Vec<u32>, String> {
	read::eos_token_ids(value)
}

/// Refuses a number outside 1…limit.
fn within(name: &str, value: u32, limit: u32) -> Result<()> {
	match value {
		v if v >= 1 && v <= limit => Ok(()),
		_ => Err(Error::Config(format!(
			"`{name}` is {value}; 1 to {limit} are supported"
		))),
	}
}

/// Refuses widths that blocks do not divide.
fn in_blocks(widths: &[(&str, u32)]) -> Result<()> {
	let block = assay_numerics::BLOCK as u32;
	match widths.iter().find(|(_, k)| !k.is_multiple_of(block)) {
		Some((name, k)) => Err(Error::Config(format!(
			"`{name}` is {k}; c2 needs a multiple of {block}"
		))),
		None => Ok(()),
	}
}
