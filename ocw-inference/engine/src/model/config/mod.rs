//! The numbers of a model: everything that defines its function besides the weights. Bounded before anything is allocated
//! by them.
//!
//! [`Config::parse`] reads them from a Hugging Face `config.json` with the meaning that the family's own code gives them
//! (transformers), and refuses what this profile doesn't compute. [`Config::to_json`] writes the canonical file.

mod decoder;
mod encoder;
mod fields;
mod read;
mod rope;
mod write;

pub use decoder::DecoderConfig;
pub use encoder::EncoderConfig;
pub use rope::RopeScaling;

use crate::{canonical::rope::Tables, Error, Result};
use codec::{Decode, Encode};
use serde::{Deserialize, Serialize, Serializer};

/// An f32 that is hashed by its bits and written to JSON as the shortest number that reads back to them.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct F32(pub f32);

impl F32 {
	/// The f64 whose shortest form is the f32's own: 1e-5 and not 9.999999747378752e-6.
	fn for_json(self) -> f64 {
		let short = self.0.to_string().parse().unwrap_or(f64::from(self.0));
		match (short as f32).to_bits() == self.0.to_bits() {
			true => short,
			false => f64::from(self.0),
		}
	}
}

impl Serialize for F32 {
	fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
		serializer.serialize_f64(self.for_json())
	}
}

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

/// The families that this engine runs.
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

	/// The family of that name.
	pub fn of(name: &str) -> Option<Self> {
		Self::ALL.into_iter().find(|a| a.name() == name)
	}

	/// All names, for messages.
	pub(crate) fn names() -> String {
		Self::ALL.map(Self::name).join(", ")
	}
}

/// A model's numbers, as the manifest hashes them.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numbers {
	/// A model that goes on with a text.
	#[codec(index = 0)]
	Decoder(DecoderConfig),
	/// A model that makes a vector of a text.
	#[codec(index = 1)]
	Encoder(EncoderConfig),
}

impl Numbers {
	/// The numbers of a decoder; an error for other models.
	pub fn decoder(&self) -> Result<&DecoderConfig> {
		match self {
			Self::Decoder(numbers) => Ok(numbers),
			Self::Encoder(_) => Err(Error::Config("an encoder makes vectors, no text".into())),
		}
	}

	/// The numbers of an encoder; an error for other models.
	pub fn encoder(&self) -> Result<&EncoderConfig> {
		match self {
			Self::Encoder(numbers) => Ok(numbers),
			Self::Decoder(_) => Err(Error::Config("a decoder makes text, no vectors".into())),
		}
	}

	/// Rows of the embedding: one more than the largest token id.
	pub fn vocab_size(&self) -> u32 {
		match self {
			Self::Decoder(n) => n.vocab_size,
			Self::Encoder(n) => n.vocab_size,
		}
	}

	/// Most tokens of one sequence.
	pub fn context_length(&self) -> u32 {
		match self {
			Self::Decoder(n) => n.max_position_embeddings,
			Self::Encoder(n) => n.max_seq_length,
		}
	}

	/// Offers no longer sequences than `context`.
	pub fn shorten(&mut self, context: u32) {
		let length = match self {
			Self::Decoder(n) => &mut n.max_position_embeddings,
			Self::Encoder(n) => &mut n.max_seq_length,
		};
		*length = (*length).min(context);
	}

	/// Tokens that end an answer, ascending; none for an encoder.
	pub fn eos_token_ids(&self) -> &[u32] {
		match self {
			Self::Decoder(n) => &n.eos_token_ids,
			Self::Encoder(_) => &[],
		}
	}

	/// The rotary tables; empty for an encoder, whose positions are learnt.
	pub fn rope_tables(&self) -> Tables {
		match self {
			Self::Decoder(n) => n.rope_tables(),
			Self::Encoder(_) => Tables {
				cos: Vec::new(),
				sin: Vec::new(),
			},
		}
	}
}

/// What a `config.json` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
	/// The family.
	pub architecture: Architecture,
	/// Its numbers.
	pub numbers: Numbers,
}

impl Config {
	/// Reads a Hugging Face `config.json`. What this profile doesn't compute is refused, not ignored.
	pub fn parse(json: &[u8]) -> Result<Self> {
		let config = read::config(json)?;
		config.check()?;
		Ok(config)
	}

	/// The `config.json` that [`Self::parse`] reads back to this: keys in bytewise order, two spaces, one newline at the end.
	pub fn to_json(&self) -> Vec<u8> {
		write::json(self)
	}

	/// Refuses numbers outside the limits, numbers that don't fit together, and numbers that the family can't have.
	pub fn check(&self) -> Result<()> {
		match &self.numbers {
			Numbers::Decoder(n) => {
				n.check()?;
				n.check_family(self.architecture)
			}
			Numbers::Encoder(n) if self.architecture == Architecture::Bert => n.check(),
			Numbers::Encoder(_) => Err(Error::Config(format!("`{}` is no encoder", self.architecture.name()))),
		}
	}
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

/// Refuses widths that blocks don't divide.
fn in_blocks(widths: &[(&str, u32)]) -> Result<()> {
	let block = crate::canonical::linear::BLOCK as u32;
	match widths.iter().find(|(_, k)| !k.is_multiple_of(block)) {
		Some((name, k)) => Err(Error::Config(format!(
			"`{name}` is {k}; c1-w8 needs a multiple of {block}"
		))),
		None => Ok(()),
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_float_is_written_as_people_write_it_and_read_back_to_its_bits() {
		assert_eq!(
			serde_json::to_string(&F32(1e-5)).unwrap(),
			serde_json::to_string(&1e-5f64).unwrap()
		);
		for bits in (0..0x7f80_0000u32).step_by(65_537).chain([1, 0x007f_ffff, 0x7f7f_ffff]) {
			let text = serde_json::to_string(&F32(f32::from_bits(bits))).unwrap();
			let back: F32 = serde_json::from_str(&text).unwrap();
			assert_eq!(back.0.to_bits(), bits, "{text}");
		}
	}
}
