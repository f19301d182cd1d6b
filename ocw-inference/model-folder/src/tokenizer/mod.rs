//! Text to tokens, and tokens to text.
//!
//! Three kinds of tokenizers are on the allow-list ([`Kind`]). The library splits and merges; the bytes of each token
//! are found here, so that text is made by a defined rule instead of a lossy decoder.

pub mod keys;
mod kind;
pub mod patterns;
mod tables;
mod text;

pub use kind::Kind;
pub use text::{text, TextDecoder};

use crate::{files, Error, Result};
use serde_json::Value;
use std::collections::HashMap;
use tokenizers::{AddedToken, OffsetReferential, OffsetType};

/// A tokenizer, as `tokenizer.json` describes it.
pub struct Tokenizer {
	inner: tokenizers::Tokenizer,
	kind: Kind,
	/// Bytes of each token id; empty for special tokens and for ids without a token.
	bytes: Vec<Box<[u8]>>,
	/// Special tokens by id.
	special: HashMap<u32, String>,
	/// Bytes that no token writes.
	missing: Vec<u8>,
}

impl Tokenizer {
	/// Reads a `tokenizer.json`, which must be of a kind on the list.
	pub fn parse(json: &[u8]) -> Result<Self> {
		let malformed = |e: &dyn std::fmt::Display| Error::Tokenizer(e.to_string());
		let mut root: Value = files::TOKENIZER_LIMITS.parse(json).map_err(Error::Tokenizer)?;
		let kind = kind::check(&mut root)?;
		// The library reads what was checked and not the untrusted bytes: no second reading of a name that appears twice.
		let checked = serde_json::to_vec(&root).map_err(|e| malformed(&e))?;
		let listed = root["added_tokens"].take();
		drop(root);
		let inner = tokenizers::Tokenizer::from_bytes(checked).map_err(|e| malformed(&e))?;
		let added = inner.get_added_tokens_decoder();
		let special: HashMap<u32, String> = added
			.iter()
			.filter(|(_, t)| t.special)
			.map(|(id, t)| (*id, t.content.clone()))
			.collect();
		let vocabulary = inner.get_vocab(true);
		let size = vocabulary.values().max().map_or(0, |id| *id as usize + 1);
		if size > 1 << 20 {
			return Err(Error::Tokenizer(format!(
				"token ids up to {size}; at most 2²⁰ are supported"
			)));
		}
		let encoding = ByteEncoding::of(kind);
		let missing = encoding.missing(&vocabulary);
		tables::check_ids(&listed, &inner)?;
		let mut bytes = vec![Box::default(); size];
		for (token, id) in &vocabulary {
			if special.contains_key(id) {
				continue;
			}
			let content: Option<Box<[u8]>> = match added.get(id) {
				Some(token) => Some(token.content.as_bytes().into()),
				None => encoding.bytes(token),
			};
			let content =
				content.ok_or_else(|| Error::Tokenizer(format!("token `{token}` is not written in bytes")))?;
			if let Some(slot) = bytes.get_mut(*id as usize) {
				*slot = content;
			}
		}
		if let Kind::WordPiece { marks: (first, last) } = kind {
			if !special.contains_key(&first) || !special.contains_key(&last) {
				return Err(Error::Tokenizer(
					"the marks around a text must be special tokens".into(),
				));
			}
		}
		Ok(Self {
			inner,
			kind,
			bytes,
			special,
			missing,
		})
	}

	/// Returns which kind it is.
	pub fn kind(&self) -> Kind {
		self.kind
	}

	/// Returns the token ids of a text for an encoder, with its marks around it.
	pub fn encode_marked(&self, text: &str) -> Result<Vec<u32>> {
		let Kind::WordPiece { marks: (first, last) } = self.kind else {
			return Err(Error::Tokenizer("only WordPiece marks a text's ends".into()));
		};
		let mut ids = vec![first];
		ids.extend(self.encode(text)?);
		ids.push(last);
		Ok(ids)
	}

	/// Returns a decoder of an answer's bytes, which leaves out the space that a tokenizer of that kind wrote before them.
	pub fn text_decoder(&self) -> TextDecoder {
		match self.kind {
			Kind::ByteFallback {
				strips_first_space: true,
			} => TextDecoder::without_first_space(),
			_ => TextDecoder::default(),
		}
	}

	/// Returns the text of an answer's bytes.
	pub fn text(&self, bytes: &[u8]) -> String {
		let mut text = String::new();
		self.text_decoder().push(bytes, &mut text);
		text
	}

	/// Returns the token ids of a rendered prompt. Special tokens written out in it count as such; none are added. A text
	/// with a character that the vocabulary has no tokens for is refused: the library would leave it out.
	pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
		self.check_written(text)?;
		let encoding = self
			.inner
			.encode_fast(text, false)
			.map_err(|e| Error::Tokenizer(e.to_string()))?;
		Ok(encoding.get_ids().to_vec())
	}

	fn check_written(&self, text: &str) -> Result<()> {
		if self.missing.is_empty() {
			return Ok(());
		}
		let pieces = self
			.inner
			.get_added_vocabulary()
			.extract_and_normalize(self.inner.get_normalizer(), text);
		let lacks = |c: &char| {
			let mut bytes = [0; 4];
			let written = c.encode_utf8(&mut bytes);
			// With byte fallback, bytes are only for what has no token of its own.
			let whole = self.kind != Kind::ByteLevel && self.inner.token_to_id(written).is_some();
			!whole && written.bytes().any(|byte| self.missing.contains(&byte))
		};
		let pieces = pieces.get_splits(OffsetReferential::Normalized, OffsetType::None);
		let between = pieces.iter().filter(|(_, _, tokens)| tokens.is_none());
		match between.flat_map(|(text, ..)| text.chars()).find(lacks) {
			Some(c) => Err(Error::Tokenizer(format!(
				"this model's vocabulary has no tokens for the character {c:?} (U+{:04X}); leave it out",
				u32::from(c)
			))),
			None => Ok(()),
		}
	}

	/// Returns the bytes that no token writes: a text that needs one is refused.
	pub fn missing_bytes(&self) -> &[u8] {
		&self.missing
	}

	/// Returns the bytes of a token; none for special tokens and for ids without a token.
	pub fn bytes(&self, id: u32) -> &[u8] {
		self.bytes.get(id as usize).map_or(&[], |b| b)
	}

	/// Returns whether a token is special: part of no text.
	pub fn is_special(&self, id: u32) -> bool {
		self.special.contains_key(&id)
	}

	/// Returns the written form of a special token, for chat templates.
	pub fn special(&self, id: u32) -> Option<&str> {
		self.special.get(&id).map(String::as_str)
	}

	/// Returns the id of a token with this written form.
	pub fn id(&self, written: &str) -> Option<u32> {
		self.inner.token_to_id(written)
	}

	/// Returns a token that a text is cut at, with its flags.
	pub fn added(&self, id: u32) -> Option<&AddedToken> {
		self.inner.get_added_vocabulary().get_added_tokens_decoder().get(&id)
	}

	/// Returns a flag of BERT's normalizer as the file has it; none of other normalizers.
	pub fn normalizer_flag(&self, name: &str) -> Option<Value> {
		let normalizer = serde_json::to_value(self.inner.get_normalizer()?).ok()?;
		(normalizer["type"] == "BertNormalizer").then(|| normalizer[name].clone())
	}

	/// Returns one more than the largest token id.
	pub fn size(&self) -> usize {
		self.bytes.len()
	}
}

/// How a vocabulary writes the bytes of its tokens.
enum ByteEncoding {
	/// A character for each byte.
	Alphabet(HashMap<char, u8>),
	/// As text, with `▁` for the space, or as `<0xNN>`.
	Fallback,
	/// As text that is only ever read.
	Words,
}

impl ByteEncoding {
	fn of(kind: Kind) -> Self {
		match kind {
			Kind::ByteLevel => Self::Alphabet(alphabet()),
			Kind::ByteFallback { .. } => Self::Fallback,
			Kind::WordPiece { .. } => Self::Words,
		}
	}

	/// Returns the bytes that the vocabulary has no token for, ascending.
	fn missing(&self, vocabulary: &HashMap<String, u32>) -> Vec<u8> {
		let lacks = |symbol: &str| !vocabulary.contains_key(symbol);
		let mut missing: Vec<u8> = match self {
			Self::Alphabet(alphabet) => {
				let symbols = alphabet.iter();
				symbols
					.filter(|(symbol, _)| lacks(symbol.encode_utf8(&mut [0; 4])))
					.map(|(_, byte)| *byte)
					.collect()
			}
			Self::Fallback => (0..=255u8).filter(|byte| lacks(&format!("<0x{byte:02X}>"))).collect(),
			Self::Words => Vec::new(),
		};
		missing.sort_unstable();
		missing
	}

	/// Returns the bytes of a token; none if it is not in this encoding.
	fn bytes(&self, token: &str) -> Option<Box<[u8]>> {
		match self {
			Self::Alphabet(alphabet) => token.chars().map(|c| alphabet.get(&c).copied()).collect(),
			Self::Fallback => {
				let byte = token.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'));
				let hex = |t: &&str| t.len() == 2 && t.bytes().all(|b| b.is_ascii_hexdigit());
				let byte = byte.filter(hex).and_then(|t| u8::from_str_radix(t, 16).ok());
				Some(match byte {
					Some(byte) => [byte].into(),
					None => token.replace(kind::SPACE, " ").into_bytes().into(),
				})
			}
			Self::Words => Some(token.as_bytes().into()),
		}
	}
}

/// The printable characters that byte-level BPE writes bytes with: printable Latin-1 stands for itself, the other bytes
/// take the characters from U+0100 on, in ascending order.
fn alphabet() -> HashMap<char, u8> {
	let mut next = 0x100;
	let mut alphabet = HashMap::new();
	for byte in 0..=255u8 {
		let symbol = match byte {
			b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte),
			_ => {
				next += 1;
				char::from_u32(next - 1).unwrap_or_default()
			}
		};
		alphabet.insert(symbol, byte);
	}
	alphabet
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_alphabet_writes_every_byte_once() {
		let alphabet = alphabet();
		assert_eq!(alphabet.len(), 256);
		assert_eq!(alphabet.get(&'Ġ'), Some(&b' '));
		assert_eq!(alphabet.get(&'Ċ'), Some(&b'\n'));
	}
}
