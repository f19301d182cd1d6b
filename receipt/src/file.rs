//! The receipt file: a receipt with the prompt and the answer that its hashes name, and the block it was read at.

use crate::{Account, StreamEvidence};
#[cfg(feature = "std")]
use alloc::string::String;
use assay_primitives::{accumulator::Proof, job::Input, AccumulatorRoot, Hash32, Output, Receipt};

/// A receipt of an Assay chain.
pub type ChainReceipt = Receipt<Account, u32>;

/// Version of the file format.
pub const FORMAT: u32 = 4;

/// Most bytes of JSON that are read. A receipt with the longest prompt and answer, and with evidence of two drafts as long,
/// stays below, also if six characters are written for each byte of them.
pub const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;

/// The block at which a receipt was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ReadAt {
	/// Number of the block.
	pub number: u32,
	/// Hash of the block.
	#[cfg_attr(feature = "std", serde(with = "assay_primitives::hash::hex32"))]
	pub hash: Hash32,
	/// Whether GRANDPA had finalized the block.
	pub finalized: bool,
}

/// Where a final receipt is in its chain's accumulator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct Leaf {
	/// The index of its leaf, from 0.
	pub index: u64,
	/// The proof for the block at which it was read; none if the node that was asked keeps no proofs.
	pub proof: Option<Proof>,
}

/// A receipt outside its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct ReceiptFile {
	/// [`FORMAT`].
	pub format: u32,
	/// Hash of the chain's block 0.
	#[cfg_attr(feature = "std", serde(with = "assay_primitives::hash::hex32"))]
	pub genesis: Hash32,
	/// The block it was read at.
	pub read_at: ReadAt,
	/// What the model was asked: in JSON `{"text": …}`, or `{"chat": …}` with a string, whose bytes are what is hashed.
	#[cfg_attr(feature = "std", serde(with = "json::input"))]
	pub input: Input,
	/// What was published; none if nothing was. The verdict says what it is worth.
	#[cfg_attr(feature = "std", serde(with = "json::output"))]
	pub output: Option<Output>,
	/// The receipt as the chain stores it.
	pub receipt: ChainReceipt,
	/// Where the receipt is in the chain's accumulator, which outlives it; none before it is final.
	#[cfg_attr(feature = "std", serde(default, skip_serializing_if = "Option::is_none"))]
	pub accumulator: Option<Leaf>,
	/// What the executor signed while it streamed its draft, if a client keeps it against it.
	#[cfg_attr(feature = "std", serde(default, skip_serializing_if = "Option::is_none"))]
	pub stream: Option<StreamEvidence>,
}

impl ReceiptFile {
	/// Returns the root of the chain's accumulator to which the file's own proof leads; none if it has no proof.
	/// Whoever knows this root to be the chain's knows that the chain made this receipt final.
	pub fn root(&self) -> Option<AccumulatorRoot> {
		let leaf = self.accumulator.as_ref()?;
		leaf.proof.as_ref()?.root(&self.receipt.leaf(), leaf.index)
	}

	/// Returns the text that was published. The verdict says what it is worth.
	pub fn answer(&self) -> Option<&str> {
		self.output.as_ref().and_then(|o| core::str::from_utf8(&o.text).ok())
	}
}

/// Why a receipt file could not be read.
#[cfg(feature = "std")]
#[derive(Debug)]
pub enum ReadError {
	/// Longer than [`MAX_FILE_BYTES`].
	TooLong(usize),
	/// Of another format than [`FORMAT`].
	Format(u32),
	/// Not the JSON form of a receipt.
	Json(serde_json::Error),
}

#[cfg(feature = "std")]
impl core::fmt::Display for ReadError {
	fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
		match self {
			Self::TooLong(n) => write!(f, "{n} bytes are more than a receipt can have ({MAX_FILE_BYTES})"),
			Self::Format(n) => write!(
				f,
				"this receipt has format {n}; this program reads format {FORMAT} only, which chains of its version write"
			),
			Self::Json(e) => write!(f, "this is not an Assay receipt: {e}"),
		}
	}
}

#[cfg(feature = "std")]
impl std::error::Error for ReadError {}

#[cfg(feature = "std")]
impl ReceiptFile {
	/// Reads the JSON form.
	pub fn from_json(text: &str) -> Result<Self, ReadError> {
		if text.len() > MAX_FILE_BYTES {
			return Err(ReadError::TooLong(text.len()));
		}
		/// What every format begins with.
		#[derive(serde::Deserialize)]
		struct Named {
			format: u32,
			#[serde(rename = "receipt")]
			_receipt: serde::de::IgnoredAny,
		}
		// Named before it is read: another format has other fields.
		if let Ok(Named { format, .. }) = serde_json::from_str(text) {
			if format != FORMAT {
				return Err(ReadError::Format(format));
			}
		}
		serde_json::from_str(text).map_err(ReadError::Json)
	}

	/// Writes the JSON form, for people: indented, with a newline at the end.
	pub fn to_json(&self) -> Result<String, ReadError> {
		let mut text = serde_json::to_string_pretty(self).map_err(ReadError::Json)?;
		text.push('\n');
		Ok(text)
	}
}

/// Serde of prompt and answer as text instead of lists of bytes.
#[cfg(feature = "std")]
mod json {
	pub(super) mod input {
		use assay_primitives::{Input, UncheckedInput};
		use serde::{de::Error, Deserialize, Deserializer, Serialize, Serializer};
		use std::string::String;

		pub(in super::super) fn serialize<S: Serializer>(input: &Input, s: S) -> Result<S::Ok, S::Error> {
			let text = core::str::from_utf8(input.bytes()).map_err(serde::ser::Error::custom)?;
			match input {
				Input::Text(_) => Input::Text(text),
				Input::Chat(_) => Input::Chat(text),
			}
			.serialize(s)
		}

		pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Input, D::Error> {
			let input = match Input::<String>::deserialize(d)? {
				Input::Text(text) => UncheckedInput::Text(text.into_bytes()),
				Input::Chat(json) => UncheckedInput::Chat(json.into_bytes()),
			};
			let bounded = input.bounded();
			bounded.ok_or_else(|| D::Error::custom("the prompt is longer than the chain's limit"))
		}
	}

	pub(super) mod output {
		use assay_primitives::{FinishReason, Output};
		use serde::{de::Error, Deserialize, Deserializer, Serialize, Serializer};
		use std::{string::String, vec::Vec};

		#[derive(Serialize, Deserialize)]
		#[serde(deny_unknown_fields)]
		struct Plain {
			input_tokens: u32,
			tokens: Vec<u32>,
			text: String,
			finish: FinishReason,
		}

		pub(in super::super) fn serialize<S: Serializer>(output: &Option<Output>, s: S) -> Result<S::Ok, S::Error> {
			let plain = output.as_ref().map(|o| {
				Ok::<_, S::Error>(Plain {
					input_tokens: o.input_tokens,
					tokens: o.tokens.to_vec(),
					text: core::str::from_utf8(&o.text).map_err(serde::ser::Error::custom)?.into(),
					finish: o.finish,
				})
			});
			plain.transpose()?.serialize(s)
		}

		pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Output>, D::Error> {
			let Some(Plain {
				input_tokens,
				tokens,
				text,
				finish,
			}) = Option::deserialize(d)?
			else {
				return Ok(None);
			};
			let tokens = tokens
				.try_into()
				.map_err(|_| D::Error::custom("more tokens than a job may generate"))?;
			let text = text
				.into_bytes()
				.try_into()
				.map_err(|_| D::Error::custom("the answer is longer than the chain's limit"))?;
			Ok(Some(Output {
				input_tokens,
				tokens,
				text,
				finish,
			}))
		}
	}
}
