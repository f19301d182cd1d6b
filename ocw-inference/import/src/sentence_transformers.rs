//! What sentence-transformers keeps beside an encoder's `config.json`: how long a text may be, and what its vector is.

use crate::{source::read_whole, Error, Result};
use assay_model_folder::{config::EncoderConfig, files, manifest::SourceFile};
use serde_json::Value;
use std::path::Path;

const MODULES: &str = "modules.json";
const SENTENCES: &str = "sentence_bert_config.json";

/// Completes an encoder's configuration. What c1-w8 does not compute is refused: other poolings, further layers.
pub(super) fn complete(dir: &Path, config: &mut EncoderConfig, read: &mut Vec<SourceFile>) -> Result<()> {
	if dir.join(SENTENCES).exists() {
		let json = json(dir, SENTENCES, read)?;
		if json.get("do_lower_case") == Some(&Value::Bool(true)) {
			return refused(
				SENTENCES,
				"`do_lower_case` is not part of c1-w8; only the tokenizer's own normalizer is",
			);
		}
		if let Some(length) = json.get("max_seq_length").filter(|v| !v.is_null()) {
			match length.as_u64().and_then(|n| u32::try_from(n).ok()) {
				Some(length) => config.max_seq_length = length,
				None => return refused(SENTENCES, "`max_seq_length` is not a number below 2³²"),
			}
		}
	}
	if dir.join(MODULES).exists() {
		modules(dir, config, read)?;
	}
	Ok(())
}

fn json(dir: &Path, name: &str, read: &mut Vec<SourceFile>) -> Result<Value> {
	let content = read_whole(dir, name, files::MAX_JSON_BYTES, read)?;
	serde_json::from_slice(&content).map_err(|e| Error::Import(format!("{name}: {e}")))
}

fn refused<T>(name: &str, reason: &str) -> Result<T> {
	Err(Error::Import(format!("{name}: {reason}")))
}

/// The steps behind the encoder: the mean of the rows, and whether the vector is scaled to length 1.
fn modules(dir: &Path, config: &mut EncoderConfig, read: &mut Vec<SourceFile>) -> Result<()> {
	let list = json(dir, MODULES, read)?;
	let text = |module: &Value, key: &str| module.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
	let steps: Vec<(String, String)> = list
		.as_array()
		.into_iter()
		.flatten()
		.map(|module| {
			let kind = text(module, "type");
			(
				kind.rsplit('.').next().unwrap_or_default().to_owned(),
				text(module, "path"),
			)
		})
		.collect();
	let kinds: Vec<&str> = steps.iter().map(|(kind, _)| kind.as_str()).collect();
	config.normalize = match kinds.as_slice() {
		["Transformer", "Pooling"] => false,
		["Transformer", "Pooling", "Normalize"] => true,
		other => {
			return Err(Error::Import(format!(
				"{MODULES}: the steps are {other:?}; c1-w8 knows Transformer, Pooling and Normalize"
			)))
		}
	};
	let path = steps.get(1).map(|(_, path)| path.as_str()).unwrap_or_default();
	let plain = !path.is_empty() && path.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
	if !plain {
		return refused(MODULES, "the path of Pooling is not a directory inside this one");
	}
	let name = format!("{path}/config.json");
	let pooling = json(dir, &name, read)?;
	let modes = pooling.as_object().into_iter().flatten();
	let chosen: Vec<&str> = modes
		.filter(|(key, value)| key.starts_with("pooling_mode") && **value != Value::Bool(false))
		.map(|(key, _)| key.as_str())
		.collect();
	match chosen.as_slice() {
		["pooling_mode_mean_tokens"] => Ok(()),
		other => Err(Error::Import(format!(
			"{name}: the vector is {other:?}; c1-w8 knows pooling_mode_mean_tokens"
		))),
	}
}
