//! Tokenizers of every kind, as `tokenizer.json`.

use crate::EOS;
use serde_json::{json, Value};

/// A special token, for `added_tokens`.
fn special(id: u32, content: &str) -> Value {
	json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
		"special": true })
}

/// Byte-level BPE: the 256 bytes, six merges, three special tokens.
pub fn tokenizer() -> Value {
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
	json!({
		"version": "1.0", "truncation": null, "padding": null,
		"added_tokens": [special(262, "<|user|>"), special(EOS, "<|end|>"), special(264, "<|assistant|>")],
		"normalizer": null,
		"pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
		"post_processor": null,
		"decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
		"model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
			"end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
			"vocab": vocabulary, "merges": merges },
	})
}

/// Returns [`tokenizer`] as a file, its keys in order.
pub fn tokenizer_json() -> String {
	sorted(tokenizer()).to_string()
}

/// Llama 2's form: BPE with `▁` and byte tokens.
pub fn byte_fallback() -> Value {
	let mut vocabulary = serde_json::Map::new();
	for (id, token) in ["<unk>", "<s>", "</s>"].iter().enumerate() {
		vocabulary.insert((*token).into(), json!(id));
	}
	for byte in 0..256 {
		vocabulary.insert(format!("<0x{byte:02X}>"), json!(3 + byte));
	}
	let merges = ["h e", "l l", "he ll", "hell o", "▁ hello", "▁ ▁"];
	let letters = "▁abcdefghijklmnopqrstuvwxyz.".chars().map(String::from);
	for token in letters.chain(merges.iter().map(|m| m.replace(' ', ""))) {
		let id = vocabulary.len();
		vocabulary.insert(token, json!(id));
	}
	json!({
		"version": "1.0", "truncation": null, "padding": null,
		"added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
		"normalizer": { "type": "Sequence", "normalizers": [
			{ "type": "Prepend", "prepend": "▁" },
			{ "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
		] },
		"pre_tokenizer": null,
		"post_processor": { "type": "TemplateProcessing", "single": [
			{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } } ], "pair": [],
			"special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } } },
		"decoder": { "type": "Sequence", "decoders": [
			{ "type": "Replace", "pattern": { "String": "▁" }, "content": " " }, { "type": "ByteFallback" }, { "type": "Fuse" },
			{ "type": "Strip", "content": " ", "start": 1, "stop": 0 },
		] },
		"model": { "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
			"end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
			"vocab": vocabulary, "merges": merges },
	})
}

/// BERT's form.
pub fn word_piece() -> Value {
	let words = [
		"[PAD]", "[UNK]", "[CLS]", "[SEP]", "hello", "wor", "##ld", "naive", ",", "##s",
	];
	let vocabulary: serde_json::Map<_, _> = words
		.iter()
		.enumerate()
		.map(|(id, word)| ((*word).to_string(), json!(id)))
		.collect();
	let special = |id: u32| special(id, words[id as usize]);
	json!({
		"version": "1.0", "added_tokens": [special(0), special(1), special(2), special(3)],
		"truncation": { "max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right" },
		"padding": { "strategy": { "Fixed": 8 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
			"pad_type_id": 0, "pad_token": "[PAD]" },
		"normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
			"lowercase": true },
		"pre_tokenizer": { "type": "BertPreTokenizer" },
		"post_processor": { "type": "TemplateProcessing",
			"single": [ { "SpecialToken": { "id": "[CLS]", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } },
				{ "SpecialToken": { "id": "[SEP]", "type_id": 0 } } ], "pair": [],
			"special_tokens": { "[CLS]": { "id": "[CLS]", "ids": [2], "tokens": ["[CLS]"] },
				"[SEP]": { "id": "[SEP]", "ids": [3], "tokens": ["[SEP]"] } } },
		"decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
		"model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
			"max_input_chars_per_word": 100, "vocab": vocabulary },
	})
}

/// Qwen's form: NFC, and a pattern of its own before the bytes.
pub fn qwen(pattern: &str) -> Value {
	let mut json = tokenizer();
	json["normalizer"] = json!({ "type": "NFC" });
	json["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": [
		{ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false },
		{ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false },
	] });
	json
}

/// The same value with its keys in order: which order `json!` keeps depends on features that other crates switch on.
pub fn sorted(value: Value) -> Value {
	match value {
		Value::Object(map) => {
			let mut entries: Vec<_> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
			entries.sort_by(|a, b| a.0.cmp(&b.0));
			Value::Object(entries.into_iter().collect())
		}
		Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
		other => other,
	}
}
