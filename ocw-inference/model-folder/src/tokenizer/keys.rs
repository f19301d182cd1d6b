//! Which keys a `tokenizer.json` may have, each part for itself: the library skips what it doesn't know.

use super::kind::{of, steps};
use crate::{config::keys::Keys, Error, Result};
use serde_json::{Map, Value};

const FILE: &str = "tokenizer.json";

/// The file's own keys. Cutting and padding are for training: a prompt is taken whole, as transformers takes it.
pub const ROOT: Keys = Keys {
	read: &[
		"model",
		"normalizer",
		"pre_tokenizer",
		"post_processor",
		"decoder",
		"added_tokens",
	],
	inert: &["truncation", "padding"],
	neutral: &[("version", "\"1.0\"")],
};

/// The keys of an entry of `added_tokens`.
pub const ADDED_TOKEN: Keys = Keys {
	read: &[
		"id",
		"content",
		"special",
		"single_word",
		"lstrip",
		"rstrip",
		"normalized",
	],
	inert: &[],
	neutral: &[],
};

/// The keys of the parts, by their place and type. What is of another type is refused by name elsewhere.
pub const PARTS: [(&str, &str, &[&str]); 20] = [
	(
		"model",
		"BPE",
		&[
			"type",
			"vocab",
			"merges",
			"dropout",
			"unk_token",
			"continuing_subword_prefix",
			"end_of_word_suffix",
			"fuse_unk",
			"byte_fallback",
			"ignore_merges",
		],
	),
	(
		"model",
		"WordPiece",
		&[
			"type",
			"vocab",
			"unk_token",
			"continuing_subword_prefix",
			"max_input_chars_per_word",
		],
	),
	("normalizer", "NFC", &["type"]),
	("normalizer", "Prepend", &["type", "prepend"]),
	("normalizer", "Replace", &["type", "pattern", "content"]),
	(
		"normalizer",
		"BertNormalizer",
		&[
			"type",
			"clean_text",
			"handle_chinese_chars",
			"strip_accents",
			"lowercase",
		],
	),
	("normalizer", "Sequence", &["type", "normalizers"]),
	("pre_tokenizer", "ByteLevel", BYTE_LEVEL),
	("pre_tokenizer", "Split", &["type", "pattern", "behavior", "invert"]),
	("pre_tokenizer", "Digits", &["type", "individual_digits"]),
	(
		"pre_tokenizer",
		"Metaspace",
		&[
			"type",
			"replacement",
			"prepend_scheme",
			"split",
			"add_prefix_space",
			"str_rep",
		],
	),
	("pre_tokenizer", "BertPreTokenizer", &["type"]),
	("pre_tokenizer", "Sequence", &["type", "pretokenizers"]),
	("decoder", "ByteLevel", BYTE_LEVEL),
	("decoder", "Replace", &["type", "pattern", "content"]),
	("decoder", "ByteFallback", &["type"]),
	("decoder", "Fuse", &["type"]),
	("decoder", "Strip", &["type", "content", "start", "stop"]),
	("decoder", "WordPiece", &["type", "prefix", "cleanup"]),
	("decoder", "Sequence", &["type", "decoders"]),
];
const BYTE_LEVEL: &[&str] = &["type", "add_prefix_space", "trim_offsets", "use_regex"];

/// Refuses a key that is in none of the lists.
pub(super) fn check(root: &Value) -> Result<()> {
	let map = |value: &Value, at: &str| -> Result<Map<String, Value>> {
		let map = value.as_object().cloned();
		map.ok_or_else(|| Error::Tokenizer(format!("{FILE}: `{at}` must be a map; fetch the file again")))
	};
	let refused = |reason: String| Error::Tokenizer(format!("{FILE}: {reason}"));
	let Some(file) = root.as_object() else {
		return Err(refused("it is not a map; fetch it again".into()));
	};
	Keys::check(&[ROOT], file, FILE, "").map_err(refused)?;
	for token in root["added_tokens"].as_array().into_iter().flatten() {
		let Some(token) = token.as_object() else {
			return Err(refused(
				"each of `added_tokens` must be a map; fetch the file again".into(),
			));
		};
		Keys::check(&[ADDED_TOKEN], token, FILE, "added_tokens.").map_err(refused)?;
	}
	for (place, list) in [
		("model", "none"),
		("normalizer", "normalizers"),
		("pre_tokenizer", "pretokenizers"),
		("decoder", "decoders"),
	] {
		let whole = root.get(place).filter(|part| !part.is_null());
		for part in whole.into_iter().chain(steps(root, place, list)?) {
			let kind = match of(part) {
				"none" if place == "model" => "BPE",
				kind => kind,
			};
			let known = PARTS.iter().find(|(at, name, _)| *at == place && *name == kind);
			if let Some((_, _, read)) = known {
				let keys = Keys {
					read,
					..Keys::default()
				};
				Keys::check(&[keys], &map(part, place)?, FILE, &format!("{place}.")).map_err(refused)?;
			}
		}
	}
	Ok(())
}
