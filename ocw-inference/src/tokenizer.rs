//! Text to tokens, and tokens to text.
//!
//! Only byte-level BPE: every byte has a token, so no text is unknown and a prompt never has more tokens than bytes; and the
//! tokens' own bytes are known, so that text is made here by a rule of ours instead of a lossy decoder.

use crate::{files, Error, Result};
use serde_json::Value;
use std::{collections::HashMap, path::Path};

/// A byte-level BPE tokenizer.
pub struct Tokenizer {
	inner: tokenizers::Tokenizer,
	/// Bytes of each token id; empty for special tokens and for ids without a token.
	bytes: Vec<Box<[u8]>>,
	/// Special tokens by id.
	special: HashMap<u32, String>,
}

impl Tokenizer {
	/// Reads a folder's `tokenizer.json`.
	pub fn read(dir: &Path) -> Result<Self> {
		Self::parse(&files::read(&dir.join(files::TOKENIZER), files::MAX_TOKENIZER_BYTES)?)
	}

	/// Reads a `tokenizer.json`, which must be byte-level BPE without normaliser, dropout, truncation or padding.
	pub fn parse(json: &[u8]) -> Result<Self> {
		let root: Value = serde_json::from_slice(json).map_err(|e| Error::Tokenizer(e.to_string()))?;
		check_kind(&root)?;
		let inner = tokenizers::Tokenizer::from_bytes(json).map_err(|e| Error::Tokenizer(e.to_string()))?;
		let added = inner.get_added_tokens_decoder();
		let special: HashMap<u32, String> = added
			.iter()
			.filter(|(_, t)| t.special)
			.map(|(id, t)| (*id, t.content.clone()))
			.collect();
		let alphabet = alphabet();
		let vocabulary = inner.get_vocab(true);
		let size = vocabulary.values().max().map_or(0, |id| *id as usize + 1);
		if size > 1 << 20 {
			return Err(Error::Tokenizer(format!(
				"token ids up to {size}; at most 2²⁰ are supported"
			)));
		}
		if let Some((symbol, _)) = alphabet
			.iter()
			.find(|(symbol, _)| !vocabulary.contains_key(&symbol.to_string()))
		{
			return Err(Error::Tokenizer(format!(
				"no token for the byte written `{symbol}`; all 256 are needed"
			)));
		}
		let mut bytes = vec![Box::default(); size];
		for (token, id) in &vocabulary {
			if special.contains_key(id) {
				continue;
			}
			let content: Option<Box<[u8]>> = match added.get(id) {
				Some(token) => Some(token.content.as_bytes().into()),
				None => token.chars().map(|c| alphabet.get(&c).copied()).collect(),
			};
			let content =
				content.ok_or_else(|| Error::Tokenizer(format!("token `{token}` is not written in bytes")))?;
			if let Some(slot) = bytes.get_mut(*id as usize) {
				*slot = content;
			}
		}
		Ok(Self { inner, bytes, special })
	}

	/// Token ids of a rendered prompt. Special tokens written out in it count as such; none are added.
	pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
		let encoding = self
			.inner
			.encode_fast(text, false)
			.map_err(|e| Error::Tokenizer(e.to_string()))?;
		Ok(encoding.get_ids().to_vec())
	}

	/// Bytes of a token; none for special tokens and for ids without a token.
	pub fn bytes(&self, id: u32) -> &[u8] {
		self.bytes.get(id as usize).map_or(&[], |b| b)
	}

	/// Whether a token is special: written in no text.
	pub fn is_special(&self, id: u32) -> bool {
		self.special.contains_key(&id)
	}

	/// The written form of a special token, for chat templates.
	pub fn special(&self, id: u32) -> Option<&str> {
		self.special.get(&id).map(String::as_str)
	}

	/// Whether a special token is written so.
	pub fn has_special(&self, written: &str) -> bool {
		self.special.values().any(|s| s == written)
	}

	/// One more than the largest token id.
	pub fn size(&self) -> usize {
		self.bytes.len()
	}
}

/// Text of bytes: ill-formed sequences become U+FFFD (one each maximal subpart, Unicode §3.9), and a sequence that is only
/// unfinished at the end is left out.
pub fn text(bytes: &[u8]) -> String {
	let mut text = String::new();
	let mut chunks = bytes.utf8_chunks().peekable();
	while let Some(chunk) = chunks.next() {
		text.push_str(chunk.valid());
		let unfinished = chunks.peek().is_none()
			&& std::str::from_utf8(chunk.invalid())
				.is_err_and(|e| e.error_len().is_none() && !chunk.invalid().is_empty());
		if !chunk.invalid().is_empty() && !unfinished {
			text.push(char::REPLACEMENT_CHARACTER);
		}
	}
	text
}

fn check_kind(root: &Value) -> Result<()> {
	let refused = |reason: String| Err(Error::Tokenizer(reason));
	let present = |key: &str| root.get(key).filter(|v| !v.is_null());
	let kind = |v: &Value| v.get("type").and_then(Value::as_str).unwrap_or("none").to_owned();
	for key in ["normalizer", "truncation", "padding"] {
		if let Some(value) = present(key) {
			return refused(format!("`{key}` is {}; c1-w8 allows none", kind(value)));
		}
	}
	let Some(model) = present("model") else {
		return refused("`model` is missing".into());
	};
	if model.get("type").is_some_and(|t| t != "BPE") || model.get("merges").is_none() {
		return refused(format!("the model is {}; c1-w8 knows byte-level BPE", kind(model)));
	}
	if model
		.get("dropout")
		.is_some_and(|d| !d.is_null() && d.as_f64() != Some(0.0))
	{
		return refused("`dropout` makes tokens random".into());
	}
	match present("decoder").map(kind) {
		Some(kind) if kind == "ByteLevel" => {}
		other => {
			return refused(format!(
				"the decoder is {}; c1-w8 knows ByteLevel",
				other.unwrap_or("none".into())
			))
		}
	}
	let Some(pre) = present("pre_tokenizer") else {
		return refused("`pre_tokenizer` is missing".into());
	};
	let steps: Vec<&Value> = match pre.get("pretokenizers").and_then(Value::as_array) {
		Some(steps) => steps.iter().collect(),
		None => vec![pre],
	};
	for step in &steps {
		if !["ByteLevel", "Split", "Digits"].contains(&kind(step).as_str()) {
			return refused(format!(
				"pre-tokenizer {} is not on c1-w8's list (ByteLevel, Split, Digits)",
				kind(step)
			));
		}
		// A removed piece of the prompt would be text that the model never sees.
		if step.get("behavior").is_some_and(|b| b == "Removed") {
			return refused("a pre-tokenizer that removes text is not on c1-w8's list".into());
		}
		if step.get("add_prefix_space").is_some_and(|b| b != &Value::Bool(false)) {
			return refused("`add_prefix_space` must be false".into());
		}
	}
	match steps.iter().filter(|s| kind(s) == "ByteLevel").count() {
		1 => Ok(()),
		n => refused(format!("{n} ByteLevel pre-tokenizers; c1-w8 needs one")),
	}
}

/// The printable characters that byte-level BPE writes bytes with: printable Latin-1 stands for itself, the other bytes take
/// the characters from U+0100 on, in ascending order.
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
	fn text_leaves_out_an_unfinished_end_and_marks_what_is_ill_formed() {
		assert_eq!(text("plain".as_bytes()), "plain");
		assert_eq!(text(b"a\xF0\x9F\x98"), "a");
		assert_eq!(text(b"a\xC3"), "a");
		assert_eq!(text(b"a\xFF"), "a\u{FFFD}");
		assert_eq!(text(b"a\xC3b"), "a\u{FFFD}b");
		assert_eq!(text("😀é".as_bytes()), "😀é");
		assert_eq!(text(b""), "");
	}

	#[test]
	fn the_alphabet_writes_every_byte_once() {
		let alphabet = alphabet();
		assert_eq!(alphabet.len(), 256);
		assert_eq!(alphabet.get(&'Ġ'), Some(&b' '));
		assert_eq!(alphabet.get(&'Ċ'), Some(&b'\n'));
	}
}
