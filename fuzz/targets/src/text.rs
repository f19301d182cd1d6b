//! Tokenizers and chat templates.

use crate::parts;
use assay_engine::{
	template::Template,
	tokenizer::{text, Kind, Tokenizer},
};
use serde_json::{json, Value};
use std::sync::OnceLock;

/// A `tokenizer.json`, a zero byte, and a text for it. Without a JSON the text goes to a tokenizer that is good.
pub fn tokenizer(data: &[u8]) {
	let (json, sample) = parts(data);
	let shown = text(sample);
	assert!(shown.len() <= 3 * sample.len());
	let sample = String::from_utf8_lossy(sample);
	if json.is_empty() {
		static GOOD: OnceLock<Tokenizer> = OnceLock::new();
		let good = GOOD.get_or_init(|| Tokenizer::parse(tokenizer_json().to_string().as_bytes()).unwrap());
		return check_tokens(good, &sample);
	}
	if let Ok(tokenizer) = Tokenizer::parse(json) {
		check_tokens(&tokenizer, "hello, wörld\n\t 123  <|end|> don't");
		check_tokens(&tokenizer, &sample);
	}
}

fn check_tokens(tokenizer: &Tokenizer, sample: &str) {
	// A tokenizer may refuse a text, but then it says so.
	let Ok(ids) = tokenizer.encode(sample) else { return };
	let mut bytes = Vec::new();
	for id in &ids {
		let id = *id;
		assert!((id as usize) < tokenizer.size(), "token {id} of {}", tokenizer.size());
		match tokenizer.special(id) {
			Some(written) => bytes.extend(written.as_bytes()),
			None => bytes.extend(tokenizer.bytes(id)),
		}
	}
	// Byte-level tokenizers say the text again, but for NFC, which changes texts that aren't ASCII.
	if tokenizer.kind() == Kind::ByteLevel && sample.is_ascii() {
		assert!(ids.len() <= sample.len(), "more tokens than bytes");
		assert_eq!(String::from_utf8_lossy(&bytes), sample, "the tokens say another text");
	}
	let _ = tokenizer.text(&bytes);
	let _ = tokenizer.encode_marked(sample);
}

/// A chat template, a zero byte, and a message.
pub fn template(data: &[u8]) {
	let (source, message) = parts(data);
	if let Ok(template) = Template::parse(source, "<s>", "</s>") {
		if let Ok(prompt) = template.render(&String::from_utf8_lossy(message)) {
			assert!(prompt.len() <= 128 << 10, "a prompt of {} bytes", prompt.len());
		}
	}
}

/// A small tokenizer: the 256 bytes, six merges, three special tokens.
pub fn tokenizer_json() -> Value {
	let mut next = 0x100;
	let mut symbol = |byte: u8| match byte {
		b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte),
		_ => {
			next += 1;
			char::from_u32(next - 1).unwrap()
		}
	};
	let mut vocabulary = serde_json::Map::new();
	for byte in 0..=255u8 {
		vocabulary.insert(symbol(byte).to_string(), json!(byte));
	}
	let merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "o r"];
	for (i, merge) in merges.iter().enumerate() {
		vocabulary.insert(merge.replace(' ', ""), json!(256 + i));
	}
	let special = |id: u32, content: &str| {
		json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
			"special": true })
	};
	json!({
		"version": "1.0", "truncation": null, "padding": null,
		"added_tokens": [special(262, "<|user|>"), special(263, "<|end|>"), special(264, "<|assistant|>")],
		"normalizer": null,
		"pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
		"post_processor": null,
		"decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
		"model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
			"end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
			"vocab": vocabulary, "merges": merges },
	})
}
