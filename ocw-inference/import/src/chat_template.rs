//! The chat template of a Hugging Face directory: where it is, and the special tokens that it names.

use crate::{
	source::json_map,
	tokenizer_files::{TokenizerFiles, CONFIG, SPECIAL},
	Error, ImportOptions, Result,
};
use assay_model_folder::{
	files,
	manifest::SourceFile,
	template::{named, with_special_tokens},
};
use serde_json::Value;
use std::path::Path;

/// Where a processor's template is, in files from before templates had a file of their own.
const PROCESSOR: &str = "chat_template.json";

/// Returns the template of the model directory.
pub(super) fn read(
	dir: &Path,
	options: &ImportOptions,
	tokenizer: TokenizerFiles,
	read: &mut Vec<SourceFile>,
	warnings: &mut Vec<String>,
) -> Result<Vec<u8>> {
	let mut from_config = false;
	let source = match &options.chat_template {
		Some(file) => files::read(file, files::MAX_TEMPLATE_BYTES)?,
		None if dir.join(files::TEMPLATE).exists() => {
			files::read(&dir.join(files::TEMPLATE), files::MAX_TEMPLATE_BYTES)?
		}
		None => match tokenizer.config.get("chat_template").filter(|v| !v.is_null()) {
			Some(stated) => {
				from_config = true;
				by_name(stated)?
			}
			None if dir.join(PROCESSOR).exists() => {
				let map = json_map(dir, PROCESSOR, read)?;
				by_name(map.get("chat_template").unwrap_or(&Value::Null))?
			}
			None => return Err(none()),
		},
	};
	let names = named(&source)?;
	if let Some(name) = tokenizer.unknown.iter().find(|name| names.contains(**name)) {
		let class = tokenizer.config.get("tokenizer_class").unwrap_or(&Value::Null);
		return Err(Error::file(
			CONFIG,
			format!(
				"the chat template names `{name}`, which neither this file nor {SPECIAL} has, and what the \
				 `tokenizer_class` {class} sets is not known here; add `{name}`, null if there is none"
			),
		));
	}
	for name in names.iter().filter(|name| tokenizer.special.get(name).is_none()) {
		if matches!(name.as_str(), "bos_token" | "eos_token") {
			warnings.push(format!(
				"the chat template names `{name}`, and neither {CONFIG} nor {SPECIAL} has one: it is written as nothing, as \
				 transformers writes it. If the model was trained with one, add it to {CONFIG} and import again"
			));
		}
	}
	if from_config || names.iter().any(|name| tokenizer.special.get(name).is_some()) {
		read.extend(tokenizer.read);
	}
	Ok(with_special_tokens(&source, &tokenizer.special)?)
}

/// Returns a template, or of several the one for plain chat, which is called `default`.
fn by_name(stated: &Value) -> Result<Vec<u8>> {
	let template = match stated {
		Value::Array(all) => {
			let name = |t: &Value| t.get("name").and_then(Value::as_str).map(str::to_owned);
			let default = all.iter().find(|t| name(t).as_deref() == Some("default"));
			let Some(default) = default else {
				let names: Vec<String> = all.iter().filter_map(name).collect();
				return Err(Error::file(
					CONFIG,
					format!(
						"`chat_template` has {} and none called `default`; write one of them to a file and give it with \
						 --chat-template FILE",
						names.join(", ")
					),
				));
			};
			default.get("template")
		}
		one => Some(one),
	};
	let template = template.and_then(Value::as_str).ok_or_else(none)?;
	Ok(template.as_bytes().to_vec())
}

fn none() -> Error {
	Error::Import(format!(
		"no chat template, neither {} nor `chat_template` in {CONFIG}; give one with --chat-template FILE",
		files::TEMPLATE
	))
}
