//! The receipt file: a receipt with the prompt and the answer that its hashes name, the block it was read at, and what
//! shows that this block is finalized.

use crate::{Account, Finality, StreamEvidence};
#[cfg(feature = "std")]
use alloc::string::{String, ToString};
use assay_primitives::{accumulator::Proof, job::Input, AccumulatorRoot, Hash32, Output, Receipt};

/// A receipt of an Assay chain.
pub type ChainReceipt = Receipt<Account, u32>;

/// Version of the file format.
pub const FORMAT: u32 = 5;

/// The formats that are read: files of format 4 have no finality evidence.
pub(crate) const FORMATS: [u32; 2] = [4, FORMAT];

/// Most bytes of JSON that are read. A receipt with the longest prompt and answer, and with evidence of two drafts as long,
/// takes less than half of it, also if six characters are written for each byte of them; the rest is for finality evidence.
pub const MAX_FILE_BYTES: usize = 8 * 1024 * 1024;

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
	/// [`FORMAT`], or 4 if it was written before there was finality evidence.
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
	/// What shows that the block it was read at is finalized, and that its state stores the receipt; none before that.
	#[cfg_attr(feature = "std", serde(default, skip_serializing_if = "Option::is_none"))]
	pub finality: Option<Finality>,
}

impl ReceiptFile {
	/// Returns the root of the chain's accumulator to which the file's own proof leads; none if it has no proof.
	/// Whoever knows this root to be the chain's knows that the chain made this receipt final.
	pub fn root(&self) -> Option<AccumulatorRoot> {
		let leaf = self.accumulator.as_ref()?;
		leaf.proof.as_ref()?.root(&self.receipt.leaf(), leaf.index)
	}

	/// Returns whether the format is known, and the evidence of finality is of it and within its limits.
	pub fn is_well_formed(&self) -> bool {
		let evidence = self.finality.as_ref();
		FORMATS.contains(&self.format)
			&& evidence.is_none_or(|evidence| self.format == FORMAT && evidence.is_within_limits())
	}

	/// Returns the text that was published. The verdict says what it is worth.
	pub fn answer(&self) -> Option<&str> {
		self.output.as_ref().and_then(|o| core::str::from_utf8(&o.text).ok())
	}
}

/// Why a receipt file could not be read.
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
	/// Longer than [`MAX_FILE_BYTES`].
	TooLong(usize),
	/// Not strict JSON.
	NotJson(String),
	/// Of another format than are read.
	Format(i64),
	/// Not the JSON form of a receipt.
	Malformed(String),
}

#[cfg(feature = "std")]
impl core::fmt::Display for ReadError {
	fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
		match self {
			Self::TooLong(n) => write!(
				f,
				"the file has at least {n} bytes, and a receipt at most {MAX_FILE_BYTES}"
			),
			Self::NotJson(why) => write!(f, "this is not an Assay receipt, nor JSON as one is written: {why}"),
			Self::Format(n) => write!(
				f,
				"this receipt has format {n}; this program reads formats 4 and {FORMAT}, which chains of its version write"
			),
			Self::Malformed(why) => write!(f, "this is not an Assay receipt: {why}"),
		}
	}
}

#[cfg(feature = "std")]
impl std::error::Error for ReadError {}

#[cfg(feature = "std")]
impl ReceiptFile {
	/// Reads the JSON form from the bytes of a file.
	pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReadError> {
		if bytes.len() > MAX_FILE_BYTES {
			return Err(ReadError::TooLong(bytes.len()));
		}
		let text = core::str::from_utf8(bytes).map_err(|_| ReadError::NotJson("it is not UTF-8".into()))?;
		Self::from_json(text)
	}

	/// Reads the JSON form, strictly: what would not be written in the same way again, spaces and the order of keys aside,
	/// is refused.
	pub fn from_json(text: &str) -> Result<Self, ReadError> {
		use assay_primitives::json::Json;
		if text.len() > MAX_FILE_BYTES {
			return Err(ReadError::TooLong(text.len()));
		}
		let json = crate::json::read(text).map_err(ReadError::NotJson)?;
		let Some(Json::Int(format)) = json.get("format") else {
			return Err(ReadError::Malformed("it has no format".into()));
		};
		if !FORMATS.iter().any(|known| i64::from(*known) == *format) {
			return Err(ReadError::Format(*format));
		}
		let file: Self = crate::json::read_as(text, &json).map_err(ReadError::Malformed)?;
		if !file.is_well_formed() {
			return Err(ReadError::Malformed(
				"its finality evidence is over a limit, or not of its format".into(),
			));
		}
		Ok(file)
	}

	/// Writes the JSON form, for people: indented, with a newline at the end.
	pub fn to_json(&self) -> Result<String, ReadError> {
		let mut text = serde_json::to_string_pretty(self).map_err(|e| ReadError::Malformed(e.to_string()))?;
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
