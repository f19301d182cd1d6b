//! Which tokenizers run: an allow-list, read from `tokenizer.json` before the library sees it.

use super::{keys, patterns, tables};
use crate::{Error, Result};
use serde_json::{json, Value};

/// How a tokenizer writes bytes, and what its tokens' bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
	/// BPE over characters that stand for bytes (GPT-2, Llama 3, Qwen).
	ByteLevel,
	/// BPE over characters, with `▁` for the space and a token `<0xNN>` for each byte (Llama 2, Mistral).
	ByteFallback {
		/// Whether a space that begins an answer belongs to the tokenizer and not to the text.
		strips_first_space: bool,
	},
	/// Words and their endings (BERT): for encoders only, because its tokens cannot be turned back into text.
	WordPiece {
		/// The tokens before and after a text.
		marks: (u32, u32),
	},
}

/// What stands for a space in a [`Kind::ByteFallback`] vocabulary.
pub(super) const SPACE: char = '▁';

/// Most characters of one word that WordPiece examines; its time grows with the square.
const MAX_WORD: u64 = 1000;
const MAX_STEPS: usize = 16;

/// Returns the kind of a `tokenizer.json`, or why it is not on the list. Removes from it what is decided elsewhere:
/// marks around a text, truncation and padding.
pub(super) fn check(root: &mut Value) -> Result<Kind> {
	keys::check(root)?;
	let Some(model) = present(root, "model") else {
		return refused("`model` is missing".into());
	};
	let kind = match (of(model), model.get("byte_fallback")) {
		("WordPiece", _) => word_piece(root, model)?,
		("BPE" | "none", fallback) if model.get("merges").is_some() => {
			check_bpe(model)?;
			if fallback == Some(&Value::Bool(true)) {
				byte_fallback(root)?
			} else {
				byte_level(root)?
			}
		}
		(other, _) => {
			return refused(format!(
				"the model is {other}; c2 knows byte-level BPE, BPE with byte fallback, and WordPiece for encoders"
			))
		}
	};
	for key in ["post_processor", "truncation", "padding"] {
		if let Some(value) = root.get_mut(key) {
			*value = Value::Null;
		}
	}
	Ok(kind)
}

fn refused<T>(reason: String) -> Result<T> {
	Err(Error::Tokenizer(reason))
}

fn present<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
	value.get(key).filter(|v| !v.is_null())
}

/// The `type` of a part.
pub(super) fn of(value: &Value) -> &str {
	value.get("type").and_then(Value::as_str).unwrap_or("none")
}

/// The parts of a sequence, or the one part that is none; nothing if the key is absent.
pub(super) fn steps<'a>(root: &'a Value, key: &str, list: &str) -> Result<Vec<&'a Value>> {
	let Some(part) = present(root, key) else {
		return Ok(Vec::new());
	};
	match (of(part), part.get(list).and_then(Value::as_array)) {
		("Sequence", Some(steps)) if steps.len() <= MAX_STEPS => Ok(steps.iter().collect()),
		("Sequence", _) => refused(format!(
			"`{key}` is a sequence without `{list}`, or with more than {MAX_STEPS}"
		)),
		_ => Ok(vec![part]),
	}
}

fn check_bpe(model: &Value) -> Result<()> {
	if present(model, "dropout").is_some_and(|d| d.as_f64() != Some(0.0)) {
		return refused("`dropout` makes tokens random".into());
	}
	for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
		if present(model, key).is_some_and(|s| s != "") {
			return refused(format!("`{key}` is written in tokens and in no text; c2 allows none"));
		}
	}
	tables::check_merges(model)
}

fn byte_level(root: &Value) -> Result<Kind> {
	for step in steps(root, "normalizer", "normalizers")? {
		if of(step) != "NFC" {
			return refused(format!(
				"normalizer {} is not on c2's list for byte-level BPE (NFC)",
				of(step)
			));
		}
	}
	match present(root, "decoder").map(of) {
		Some("ByteLevel") => {}
		other => {
			return refused(format!(
				"the decoder is {}; c2 knows ByteLevel for byte-level BPE",
				other.unwrap_or("none")
			))
		}
	}
	let mut byte_levels = 0;
	for step in steps(root, "pre_tokenizer", "pretokenizers")? {
		match of(step) {
			"ByteLevel" => byte_levels += 1,
			"Digits" => {}
			"Split" => check_split(step)?,
			other => {
				return refused(format!(
					"pre-tokenizer {other} is not on c2's list (ByteLevel, Split, Digits)"
				))
			}
		}
		if step.get("add_prefix_space").is_some_and(|b| b != &Value::Bool(false)) {
			return refused("`add_prefix_space` must be false".into());
		}
	}
	match byte_levels {
		1 => Ok(Kind::ByteLevel),
		n => refused(format!("{n} ByteLevel pre-tokenizers; c2 needs one")),
	}
}

fn check_split(step: &Value) -> Result<()> {
	// A removed piece of the prompt would be text that the model never sees.
	if step.get("behavior").is_some_and(|b| b == "Removed") {
		return refused("a pre-tokenizer that removes text is not on c2's list".into());
	}
	let pattern = step.pointer("/pattern/Regex").and_then(Value::as_str);
	if pattern.is_some_and(|p| patterns::ALLOWED.contains(&p)) {
		return Ok(());
	}
	refused(format!(
		"a split by the pattern {:?} is not on c2's list of published patterns",
		pattern.unwrap_or("none").chars().take(80).collect::<String>()
	))
}

fn byte_fallback(root: &Value) -> Result<Kind> {
	let list = "(Prepend ▁ and Replace of the space by ▁, or the pre-tokenizer Metaspace with ▁)";
	let mut spaces = 0;
	for step in steps(root, "normalizer", "normalizers")? {
		match of(step) {
			"Prepend" if step["prepend"] == "▁" && spaces == 0 => {}
			"Replace" if is_replace(step, " ", "▁") => spaces += 1,
			other => {
				return refused(format!(
					"normalizer {other} is not on c2's list for byte fallback {list}"
				))
			}
		}
	}
	for step in steps(root, "pre_tokenizer", "pretokenizers")? {
		match of(step) {
			"Metaspace" if step["replacement"] == "▁" => spaces += 1,
			other => {
				return refused(format!(
					"pre-tokenizer {other} is not on c2's list for byte fallback {list}"
				))
			}
		}
	}
	if spaces != 1 {
		return refused(format!("{spaces} steps write ▁ for the space; c2 needs one {list}"));
	}
	let decoder = steps(root, "decoder", "decoders")?;
	let known = match decoder.as_slice() {
		[replace, bytes, fuse, rest @ ..] => {
			is_replace(replace, "▁", " ") && of(bytes) == "ByteFallback" && of(fuse) == "Fuse" && rest.len() <= 1
		}
		_ => false,
	};
	let strip = decoder.get(3);
	let strips = |step: &Value| of(step) == "Strip" && step["content"] == " " && step["stop"] == 0;
	match (known, strip) {
		(true, None) => Ok(Kind::ByteFallback {
			strips_first_space: false,
		}),
		(true, Some(step)) if strips(step) && (step["start"] == 0 || step["start"] == 1) => Ok(Kind::ByteFallback {
			strips_first_space: step["start"] == 1,
		}),
		_ => refused(
			"the decoder is not c2's for byte fallback (Replace ▁ by the space, ByteFallback, Fuse, Strip of one space)".into(),
		),
	}
}

fn is_replace(step: &Value, from: &str, to: &str) -> bool {
	of(step) == "Replace" && step["pattern"] == json!({ "String": from }) && step["content"] == to
}

fn word_piece(root: &Value, model: &Value) -> Result<Kind> {
	if present(root, "normalizer").map(of) != Some("BertNormalizer") {
		return refused("WordPiece without BertNormalizer is not on c2's list".into());
	}
	if present(root, "pre_tokenizer").map(of) != Some("BertPreTokenizer") {
		return refused("WordPiece without BertPreTokenizer is not on c2's list".into());
	}
	let word = model.get("max_input_chars_per_word").map_or(Some(100), Value::as_u64);
	if word.is_none_or(|limit| limit > MAX_WORD) {
		return refused(format!("`max_input_chars_per_word` must be at most {MAX_WORD}"));
	}
	match marks(root) {
		Some(marks) => Ok(Kind::WordPiece { marks }),
		None => refused("`post_processor` must put one mark before and one after a text, and nothing else".into()),
	}
}

/// The ids of the two marks, from either form of post-processor.
fn marks(root: &Value) -> Option<(u32, u32)> {
	let id = |v: &Value| u32::try_from(v.as_u64()?).ok();
	let post = present(root, "post_processor")?;
	match of(post) {
		"BertProcessing" => Some((id(post.pointer("/cls/1")?)?, id(post.pointer("/sep/1")?)?)),
		"TemplateProcessing" => {
			let [first, text, last] = post.get("single")?.as_array()?.as_slice() else {
				return None;
			};
			text.get("Sequence")?;
			let mark = |piece: &Value| {
				let name = piece.pointer("/SpecialToken/id")?.as_str()?;
				let ids = post.get("special_tokens")?.get(name)?.get("ids")?.as_array()?;
				match ids.as_slice() {
					[one] => id(one),
					_ => None,
				}
			};
			Some((mark(first)?, mark(last)?))
		}
		_ => None,
	}
}
