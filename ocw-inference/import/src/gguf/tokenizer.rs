//! GGUF's tokenizer as Hugging Face's `tokenizer.json`: byte-level BPE (`gpt2`) and SentencePiece's BPE (`llama`).
//!
//! The file is written by hand, field by field in one order, because its bytes are part of the model's identity.

use super::{read::Value, special, Metadata};
use crate::{Error, Result};
use assay_model_folder::tokenizer::patterns;
use std::collections::HashMap;

/// Most tokens.
const MAX_TOKENS: usize = 1 << 20;
/// Most merges.
const MAX_MERGES: usize = 1 << 22;
/// Longest token that is taken apart to find its merges.
const MAX_PIECE_BYTES: usize = 256;

/// `tokenizer.ggml.token_type`.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;
const BYTE: i64 = 6;

/// How text is split before the merges, by `tokenizer.ggml.pre`, as the families' own tokenizer.json have it. llama.cpp
/// has several names for one split.
struct PreTokenizer {
	/// llama.cpp's names.
	names: &'static [&'static str],
	/// The pattern of a `Split`; none for what comes before byte-level BPE's own pattern.
	pattern: Option<&'static str>,
	/// Whether each digit is split off first.
	digits: bool,
	/// Whether characters are composed first (NFC).
	composes: bool,
	/// Whether a word that is a token stays whole.
	ignore_merges: bool,
}

/// GPT-2's.
const PLAIN: PreTokenizer = PreTokenizer {
	names: &[
		"gpt-2",
		"gpt2",
		"phi-2",
		"mpt",
		"olmo",
		"jais",
		"gigachat",
		"a.x-4.0",
		"mellum",
		"exaone4",
		"trillion",
		"granite-docling",
	],
	pattern: None,
	digits: false,
	composes: false,
	ignore_merges: false,
};

/// By the name that a message gives for each first.
const PRE_TOKENIZERS: [PreTokenizer; 9] = [
	PreTokenizer {
		names: &[
			"llama-bpe",
			"llama3",
			"llama-v3",
			"falcon3",
			"falcon-h1",
			"pixtral",
			"midm-2.0",
			"lfm2",
			"jina-v5-nano",
		],
		pattern: Some(patterns::LLAMA3),
		ignore_merges: true,
		..PLAIN
	},
	PreTokenizer {
		names: &["smaug-bpe", "dbrx"],
		pattern: Some(patterns::LLAMA3),
		..PLAIN
	},
	PreTokenizer {
		names: &["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez"],
		pattern: Some(patterns::QWEN2),
		composes: true,
		..PLAIN
	},
	PreTokenizer {
		names: &["qwen35"],
		pattern: Some(patterns::QWEN35),
		composes: true,
		..PLAIN
	},
	PreTokenizer {
		names: &["tekken"],
		pattern: Some(patterns::TEKKEN),
		ignore_merges: true,
		..PLAIN
	},
	PreTokenizer {
		names: &["gpt-4o", "llama4", "kanana2", "talkie"],
		pattern: Some(patterns::O200K),
		..PLAIN
	},
	PreTokenizer {
		names: &[
			"smollm",
			"starcoder",
			"refact",
			"codeshell",
			"exaone",
			"minerva-7b",
			"mellum2",
		],
		digits: true,
		..PLAIN
	},
	PreTokenizer {
		names: &["command-r"],
		digits: true,
		composes: true,
		..PLAIN
	},
	PLAIN,
];

fn refused<T>(reason: impl Into<String>) -> Result<T> {
	Err(Error::Gguf(reason.into()))
}

/// Returns the `tokenizer.json` of a GGUF file.
pub(super) fn json(metadata: &Metadata<'_>, tokens: &Tokens<'_>) -> Result<Vec<u8>> {
	match metadata.text("tokenizer.ggml.model")? {
		Some("gpt2") => byte_level(metadata, tokens),
		Some("llama") => sentence_piece(metadata, tokens),
		Some(other) => refused(format!("its tokenizer is {other}; gpt2 and llama are imported")),
		None => refused("`tokenizer.ggml.model` is missing"),
	}
}

/// The vocabulary.
pub(super) struct Tokens<'a> {
	/// Text by id.
	texts: &'a [String],
	/// Types by id; empty if the file has none.
	types: &'a [i64],
	/// Id by text, of those that are used.
	ids: HashMap<&'a str, u32>,
}

impl<'a> Tokens<'a> {
	pub(super) fn read(metadata: &Metadata<'a>) -> Result<Self> {
		const TYPES: &str = "tokenizer.ggml.token_type";
		let Some(texts) = metadata.texts("tokenizer.ggml.tokens")? else {
			return refused("`tokenizer.ggml.tokens` is missing");
		};
		let types = match metadata.entries.get(TYPES) {
			None => &[][..],
			Some(Value::Ints(types)) if types.len() == texts.len() => types,
			Some(_) => return refused(format!("`{TYPES}` is not a list of one number for each token")),
		};
		if texts.len() > MAX_TOKENS {
			return refused(format!("{} tokens; at most {MAX_TOKENS} are supported", texts.len()));
		}
		let mut tokens = Self {
			texts,
			types,
			ids: HashMap::new(),
		};
		for (id, text) in (0u32..).zip(texts) {
			// What llama.cpp's converter fills up ids with that have no token.
			if tokens.kind(id) == UNUSED && *text == format!("[PAD{id}]") {
				continue;
			}
			if tokens.ids.insert(text, id).is_some() {
				return refused(format!("token {text:?} appears twice"));
			}
		}
		Ok(tokens)
	}

	fn kind(&self, id: u32) -> i64 {
		match self.text(id) {
			Some(text) if special::is_control(text) => CONTROL,
			_ => self.types.get(id as usize).copied().unwrap_or(1),
		}
	}

	/// Returns the text of an id.
	pub(super) fn text(&self, id: u32) -> Option<&'a str> {
		self.texts.get(id as usize).map(String::as_str)
	}

	/// Returns the token of this text, if it controls the model.
	pub(super) fn control(&self, text: &str) -> Option<u32> {
		let id = self.ids.get(text).copied()?;
		(self.kind(id) == CONTROL).then_some(id)
	}

	/// The tokens with their ids, ascending.
	fn used(&self) -> impl Iterator<Item = (u32, &'a str)> + '_ {
		let all = (0u32..).zip(self.texts.iter().map(String::as_str));
		all.filter(|(id, text)| self.ids.get(text) == Some(id))
	}

	/// `"text":id` of each, comma-separated.
	fn vocabulary(&self) -> String {
		let entries: Vec<String> = self.used().map(|(id, text)| format!("{}:{id}", quoted(text))).collect();
		entries.join(",")
	}

	/// The tokens that are cut out of a text before anything else. Those that control the model are special.
	fn added(&self) -> String {
		let mut added = Vec::new();
		for (id, text) in self.used() {
			let special = match self.kind(id) {
				CONTROL | UNKNOWN => true,
				USER_DEFINED => false,
				_ => continue,
			};
			added.push(format!(
				r#"{{"id":{id},"content":{},"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":{special}}}"#,
				quoted(text)
			));
		}
		added.join(",")
	}
}

/// A JSON string.
fn quoted(text: &str) -> String {
	serde_json::Value::from(text).to_string()
}

/// `["left","right"]` of each pair, comma-separated.
fn pairs<'a>(merges: impl Iterator<Item = (&'a str, &'a str)>) -> String {
	let entries: Vec<String> = merges.map(|(l, r)| format!("[{},{}]", quoted(l), quoted(r))).collect();
	entries.join(",")
}

fn byte_level(metadata: &Metadata<'_>, tokens: &Tokens<'_>) -> Result<Vec<u8>> {
	const PREFIX: &str = "tokenizer.ggml.add_space_prefix";
	if metadata.flag(PREFIX)? == Some(true) {
		return refused(format!(
			"`{PREFIX}` is true, which llama.cpp ignores for this kind of tokenizer; import the Hugging Face directory"
		));
	}
	let pre = metadata.text("tokenizer.ggml.pre")?.unwrap_or("missing");
	let Some(rule) = PRE_TOKENIZERS.iter().find(|known| known.names.contains(&pre)) else {
		let known: Vec<&str> = PRE_TOKENIZERS
			.iter()
			.filter_map(|known| known.names.first().copied())
			.collect();
		return refused(format!(
			"`tokenizer.ggml.pre` is {pre}; {} are imported. Import the Hugging Face directory, whose tokenizer.json \
			 defines how text is split",
			known.join(", ")
		));
	};
	let byte_level = |regex: bool| {
		format!(r#"{{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":{regex}}}"#)
	};
	let pre_tokenizer = match rule.pattern {
		Some(pattern) => format!(
			r#"{{"type":"Sequence","pretokenizers":[{{"type":"Split","pattern":{{"Regex":{}}},"behavior":"Isolated","invert":false}},{}]}}"#,
			quoted(pattern),
			byte_level(false)
		),
		None if rule.digits => format!(
			r#"{{"type":"Sequence","pretokenizers":[{{"type":"Digits","individual_digits":true}},{}]}}"#,
			byte_level(true)
		),
		None => byte_level(true),
	};
	let Some(merges) = metadata.texts("tokenizer.ggml.merges")? else {
		return refused("`tokenizer.ggml.merges` is missing");
	};
	let mut split = Vec::new();
	for merge in merges {
		match merge.split_once(' ') {
			Some((left, right)) if !left.is_empty() && !right.is_empty() => split.push((left, right)),
			_ => return refused(format!("{merge:?} is not a merge of two tokens")),
		}
	}
	let (added, vocabulary, merges) = (tokens.added(), tokens.vocabulary(), pairs(split.into_iter()));
	let ignore = rule.ignore_merges;
	let normalizer = if rule.composes { r#"{"type":"NFC"}"# } else { "null" };
	Ok(format!(
		r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{added}],"normalizer":{normalizer},"pre_tokenizer":{pre_tokenizer},"post_processor":null,"decoder":{{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}},"model":{{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":{ignore},"vocab":{{{vocabulary}}},"merges":[{merges}]}}}}"#
	)
	.into_bytes())
}

/// SentencePiece's BPE: spaces are written `▁`, unknown characters as bytes.
fn sentence_piece(metadata: &Metadata<'_>, tokens: &Tokens<'_>) -> Result<Vec<u8>> {
	let scores = match metadata.entries.get("tokenizer.ggml.scores") {
		Some(Value::Floats(scores)) if scores.len() == tokens.texts.len() => scores,
		_ => return refused("`tokenizer.ggml.scores` is not a list of one number for each token"),
	};
	let unknown = match tokens.used().find(|(id, _)| tokens.kind(*id) == UNKNOWN) {
		Some((_, text)) => quoted(text),
		None => return refused("no token stands for the unknown"),
	};
	let space = quoted("▁");
	let mut normalizers = Vec::new();
	let mut decoders = vec![
		format!(r#"{{"type":"Replace","pattern":{{"String":{space}}},"content":" "}}"#),
		r#"{"type":"ByteFallback"}"#.into(),
		r#"{"type":"Fuse"}"#.into(),
	];
	if metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true) {
		normalizers.push(format!(r#"{{"type":"Prepend","prepend":{space}}}"#));
		decoders.push(r#"{"type":"Strip","content":" ","start":1,"stop":0}"#.into());
	}
	normalizers.push(format!(
		r#"{{"type":"Replace","pattern":{{"String":" "}},"content":{space}}}"#
	));
	let (normalizers, decoders) = (normalizers.join(","), decoders.join(","));
	let text = |id: u32| tokens.text(id).unwrap_or_default();
	let merges = merges(tokens, scores)?;
	let merges = pairs(merges.into_iter().map(|(l, r)| (text(l), text(r))));
	let (added, vocabulary) = (tokens.added(), tokens.vocabulary());
	Ok(format!(
		r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{added}],"normalizer":{{"type":"Sequence","normalizers":[{normalizers}]}},"pre_tokenizer":null,"post_processor":null,"decoder":{{"type":"Sequence","decoders":[{decoders}]}},"model":{{"type":"BPE","dropout":null,"unk_token":{unknown},"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":true,"byte_fallback":true,"ignore_merges":false,"vocab":{{{vocabulary}}},"merges":[{merges}]}}}}"#
	)
	.into_bytes())
}

/// The merges that SentencePiece's scores stand for, as transformers derives them: every way to make a token of two
/// tokens, the best score first, then by id of the token, of the left and of the right part.
fn merges(tokens: &Tokens<'_>, scores: &[f32]) -> Result<Vec<(u32, u32)>> {
	let mut merges: Vec<(f32, u32, u32)> = Vec::new();
	for (id, text) in tokens.used() {
		if [UNKNOWN, CONTROL, BYTE].contains(&tokens.kind(id)) {
			continue;
		}
		let score = scores.get(id as usize).copied().unwrap_or(f32::NAN);
		if score.is_nan() || text.len() > MAX_PIECE_BYTES {
			return refused(format!("token {id} has no score, or more than {MAX_PIECE_BYTES} bytes"));
		}
		let first = merges.len();
		for (at, _) in text.char_indices().skip(1) {
			let (left, right) = text.split_at(at);
			if let (Some(left), Some(right)) = (tokens.ids.get(left), tokens.ids.get(right)) {
				merges.push((score, *left, *right));
			}
		}
		if merges.len() > MAX_MERGES {
			return refused(format!("more than {MAX_MERGES} merges follow from its tokens"));
		}
		if let Some(own) = merges.get_mut(first..) {
			own.sort_by_key(|(_, left, right)| (*left, *right));
		}
	}
	merges.sort_by(|a, b| b.0.total_cmp(&a.0));
	Ok(merges.into_iter().map(|(_, left, right)| (left, right)).collect())
}
