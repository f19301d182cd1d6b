//! The tokens that begin and end a text.

use super::{tokenizer::Tokens, Metadata};
use crate::{Error, Result};
use assay_model_folder::template::{named, SpecialTokens};

/// Texts of tokens that end an answer or a turn in any model that has them, as llama.cpp takes them.
const ENDS: [&str; 17] = [
	"<|eot_id|>",
	"<|eom_id|>",
	"<|im_end|>",
	"<|end|>",
	"<|return|>",
	"<|call|>",
	"<|calls|>",
	"<|flush|>",
	"<|endoftext|>",
	"<|end_of_text|>",
	"<end_of_turn>",
	"<end_of_utterance>",
	"<｜end▁of▁sentence｜>",
	"</s>",
	"<EOT>",
	"[EOT]",
	"<eos>",
];

/// Texts of tokens that begin a text.
const BEGINNINGS: [&str; 6] = [
	"<|begin_of_text|>",
	"<｜begin▁of▁sentence｜>",
	"<|bos|>",
	"<|startoftext|>",
	"<bos>",
	"<s>",
];

/// What templates call a token, and what GGUF calls its key.
const NAMES: [(&str, &str); 7] = [
	("bos_token", "bos_token_id"),
	("eos_token", "eos_token_id"),
	("unk_token", "unknown_token_id"),
	("sep_token", "seperator_token_id"),
	("pad_token", "padding_token_id"),
	("cls_token", "cls_token_id"),
	("mask_token", "mask_token_id"),
];

/// Returns whether a token of this text controls the model whatever its type: files exist that call such tokens ordinary.
/// The other ends could be meant as text.
pub(super) fn is_control(text: &str) -> bool {
	text.starts_with("<|") && ENDS.contains(&text)
}

/// Returns the tokens that end an answer, ascending: those that the file names, and those whose text says so.
pub(super) fn ends(metadata: &Metadata<'_>, tokens: &Tokens<'_>, warnings: &mut Vec<String>) -> Result<Vec<u32>> {
	let mut ids = Vec::new();
	for kind in ["eos_token_id", "eos_token_ids", "eot_token_id", "eom_token_id"] {
		ids.extend(metadata.numbers(&format!("tokenizer.ggml.{kind}"))?);
	}
	let has = |text: &str| tokens.control(text).is_some();
	// Where these two exist, `<|end|>` ends a part of an answer.
	let parts = (has("<|return|>") && has("<|call|>")) || (has("<|flush|>") && has("<|calls|>"));
	for text in ENDS.into_iter().filter(|text| !(parts && *text == "<|end|>")) {
		let Some(id) = tokens.control(text).filter(|id| !ids.contains(id)) else {
			continue;
		};
		warnings.push(format!(
			"`{text}` (token {id}) ends an answer too, as in llama.cpp. The file does not name it as an end \
			 (`tokenizer.ggml.eot_token_id`)"
		));
		ids.push(id);
	}
	ids.sort_unstable();
	ids.dedup();
	if ids.is_empty() {
		return Err(Error::Gguf(
			"`tokenizer.ggml.eos_token_id` is missing: no token would end an answer. Take a newer file of the model, or \
			 import its Hugging Face directory"
				.into(),
		));
	}
	Ok(ids)
}

/// Returns the tokens that the template may name: those that the file names, and what begins and ends a text by its text.
pub(super) fn for_template(
	metadata: &Metadata<'_>,
	tokens: &Tokens<'_>,
	template: &[u8],
	ends: &[u32],
	warnings: &mut Vec<String>,
) -> Result<SpecialTokens> {
	let used = named(template)?;
	let mut special = SpecialTokens::default();
	for (name, key) in NAMES {
		let key = format!("tokenizer.ggml.{key}");
		if let Some(text) = metadata.numbers(&key)?.first().and_then(|id| tokens.text(*id)) {
			special.set(name, text);
			continue;
		}
		let text = match name {
			"bos_token" => BEGINNINGS.into_iter().find(|text| tokens.control(text).is_some()),
			"eos_token" => ends.first().and_then(|id| tokens.text(*id)),
			_ => None,
		};
		if let Some(text) = text {
			special.set(name, text);
		}
		if used.contains(name) {
			let taken = text.map_or("nothing is written there".into(), |text| {
				format!("`{text}` is taken, by its text")
			});
			warnings.push(format!(
				"the chat template writes `{name}`, and the file does not say which token that is (`{key}`): {taken}"
			));
		}
	}
	Ok(special)
}

/// Warns of tokens that the file asks for around a text and that the template does not write: what a chat's prompt begins
/// and ends with is the template's alone, as in transformers.
pub(super) fn check_around(
	metadata: &Metadata<'_>,
	tokens: &Tokens<'_>,
	template: &[u8],
	warnings: &mut Vec<String>,
) -> Result<()> {
	let template = String::from_utf8_lossy(template);
	for kind in ["bos", "eos"] {
		let asked = format!("tokenizer.ggml.add_{kind}_token");
		let ids = metadata.numbers(&format!("tokenizer.ggml.{kind}_token_id"))?;
		let text = ids.first().and_then(|id| tokens.text(*id)).unwrap_or_default();
		let written = template.contains(&format!("{kind}_token")) || (!text.is_empty() && template.contains(text));
		if metadata.flag(&asked)? == Some(true) && !written {
			warnings.push(format!(
				"`{asked}` is true, but the chat template does not write `{text}`: prompts are as the template has them, \
				 without it, as in transformers"
			));
		}
	}
	Ok(())
}
