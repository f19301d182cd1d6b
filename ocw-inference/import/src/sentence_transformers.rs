//! What sentence-transformers keeps beside an encoder's `config.json`: how long a text may be, and what its vector is.

use crate::{
	source::{json_map, json_value, JsonMap},
	Error, Result,
};
use assay_model_folder::{
	config::{keys::Keys, EncoderConfig},
	manifest::SourceFile,
};
use serde_json::Value;
use std::path::Path;

pub(super) const MODULES: &str = "modules.json";
const OWN: &str = "config_sentence_transformers.json";
/// Where the encoder's own settings are, in the order in which sentence-transformers looks for them.
const SENTENCES: [&str; 7] = [
	"sentence_bert_config.json",
	"sentence_roberta_config.json",
	"sentence_distilbert_config.json",
	"sentence_camembert_config.json",
	"sentence_albert_config.json",
	"sentence_xlm-roberta_config.json",
	"sentence_xlnet_config.json",
];

/// Keys of the encoder's own settings.
pub(super) const SENTENCE_KEYS: Keys = Keys {
	read: &["max_seq_length"],
	inert: &["unpad_inputs"],
	neutral: &[
		("do_lower_case", "false"),
		("tokenizer_name_or_path", "false"),
		("transformer_task", "\"feature-extraction\""),
		(
			"modality_config",
			r#"{"text":{"method":"forward","method_output_name":"last_hidden_state"}}"#,
		),
		("module_output_name", "\"token_embeddings\""),
		("processing_kwargs", "{}"),
		("model_args", "{}"),
		("model_kwargs", "{}"),
		("tokenizer_args", "{}"),
		("processor_kwargs", "{}"),
		("config_args", "{}"),
		("config_kwargs", "{}"),
		("query_length", "false"),
		("document_length", "false"),
		("query_expansion", "false"),
	],
};

/// Keys of `config_sentence_transformers.json`. A prompt that is no default is the caller's to write.
pub(super) const OWN_KEYS: Keys = Keys {
	read: &[],
	inert: &["__version__", "prompts", "similarity_fn_name", "requirements"],
	neutral: &[
		("model_type", "\"SentenceTransformer\""),
		("default_prompt_name", "false"),
		("truncate_dim", "false"),
	],
};

/// Keys of each step in `modules.json`.
pub(super) const STEP_KEYS: Keys = Keys {
	read: &["type", "path"],
	inert: &["idx", "name"],
	neutral: &[("kwargs", "[]")],
};

/// Keys of Pooling's `config.json`: `pooling_mode`, or before sentence-transformers 6 a flag for each mode.
pub(super) const POOLING_KEYS: Keys = Keys {
	read: &[
		"embedding_dimension",
		"word_embedding_dimension",
		"pooling_mode",
		"pooling_mode_cls_token",
		"pooling_mode_max_tokens",
		"pooling_mode_mean_tokens",
		"pooling_mode_mean_sqrt_len_tokens",
		"pooling_mode_weightedmean_tokens",
		"pooling_mode_lasttoken",
	],
	inert: &[],
	neutral: &[("include_prompt", "true")],
};

/// Keys of Normalize's `config.json`.
pub(super) const NORMALIZE_KEYS: Keys = Keys {
	read: &[],
	inert: &[],
	neutral: &[
		("module_input_name", "\"sentence_embedding\""),
		("module_output_name", "\"sentence_embedding\""),
	],
};

/// Completes an encoder's configuration. What c2 does not compute is refused: other poolings, further layers.
pub(super) fn complete(dir: &Path, config: &mut EncoderConfig, read: &mut Vec<SourceFile>) -> Result<()> {
	if let Some(name) = SENTENCES.iter().find(|name| dir.join(name).exists()) {
		let json = known(dir, name, SENTENCE_KEYS, read)?;
		if let Some(length) = json.get("max_seq_length").filter(|v| !v.is_null()) {
			match length.as_u64().and_then(|n| u32::try_from(n).ok()) {
				Some(length) => config.max_seq_length = length,
				None => return refused(name, "`max_seq_length` is not a number below 2³²; correct it"),
			}
		}
	}
	if dir.join(OWN).exists() {
		// Nothing is taken from it, so it is no part of the provenance.
		known(dir, OWN, OWN_KEYS, &mut Vec::new())?;
	}
	if dir.join(MODULES).exists() {
		modules(dir, config, read)?;
	}
	Ok(())
}

/// Reads an object, all of whose keys are known.
fn known(dir: &Path, name: &str, keys: Keys, read: &mut Vec<SourceFile>) -> Result<JsonMap> {
	let map = json_map(dir, name, read)?;
	Keys::check(&[keys], &map, name, "").map_err(|reason| Error::file(name, reason))?;
	Ok(map)
}

fn refused<T>(name: &str, reason: impl Into<String>) -> Result<T> {
	Err(Error::file(name, reason))
}

/// Returns the class and the directory of each step.
fn steps(list: &Value) -> Result<Vec<(&str, &str)>> {
	let mut steps = Vec::new();
	for (at, step) in list.as_array().into_iter().flatten().enumerate() {
		let Some(map) = step.as_object() else {
			return refused(MODULES, "a step is not an object; fetch the file again");
		};
		Keys::check(&[STEP_KEYS], map, MODULES, &format!("{at}.")).map_err(|reason| Error::file(MODULES, reason))?;
		let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
		// Of somebody else's package, a class of the same name may do anything.
		let Some(class) = text("type").strip_prefix("sentence_transformers.") else {
			return refused(
				MODULES,
				format!(
					"the type \"{}\" is not one of sentence-transformers, whose steps alone c2 knows; take another model",
					text("type")
				),
			);
		};
		steps.push((class.rsplit('.').next().unwrap_or_default(), text("path")));
	}
	Ok(steps)
}

/// The steps behind the encoder: the mean of the rows, and whether the vector is scaled to length 1.
fn modules(dir: &Path, config: &mut EncoderConfig, read: &mut Vec<SourceFile>) -> Result<()> {
	let list = json_value(dir, MODULES, read)?;
	let steps = steps(&list)?;
	let (pooling, normalize) = match steps.as_slice() {
		[("Transformer", ""), ("Pooling", pooling)] => (*pooling, None),
		[("Transformer", ""), ("Pooling", pooling), ("Normalize", path)] => (*pooling, Some(*path)),
		[("Transformer", path), ..] if !path.is_empty() => {
			return refused(
				MODULES,
				format!(
				"the encoder is in `{path}`; move its files beside {MODULES}, set that `path` to \"\" and import again"
			),
			)
		}
		other => {
			let kinds: Vec<_> = other.iter().map(|(kind, _)| kind).collect();
			return refused(
				MODULES,
				format!(
					"the steps are {kinds:?}; c2 knows Transformer, Pooling and Normalize, in this order. Take a model \
					 that has no others"
				),
			);
		}
	};
	config.normalize = normalize.is_some();
	if let Some(path) = normalize {
		let name = format!("{path}/config.json");
		if is_directory(path) && dir.join(&name).exists() {
			known(dir, &name, NORMALIZE_KEYS, &mut Vec::new())?;
		}
	}
	if !is_directory(pooling) {
		return refused(
			MODULES,
			"the path of Pooling is not a directory inside this one; correct it",
		);
	}
	check_pooling(dir, &format!("{pooling}/config.json"), config, read)
}

/// Returns whether a path leads to a directory inside the model's own.
fn is_directory(path: &str) -> bool {
	!path.is_empty() && path.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Refuses every pooling but the mean over all rows of the encoder.
fn check_pooling(dir: &Path, name: &str, config: &EncoderConfig, read: &mut Vec<SourceFile>) -> Result<()> {
	let pooling = known(dir, name, POOLING_KEYS, read)?;
	let get = |key: &str| pooling.get(key).filter(|v| !v.is_null());
	for key in ["embedding_dimension", "word_embedding_dimension"] {
		if let Some(width) = get(key).filter(|v| v.as_u64() != Some(config.hidden_size.into())) {
			return refused(
				name,
				format!(
					"`{key}` is {width}, the encoder's `hidden_size` {}; fetch the files of one model",
					config.hidden_size
				),
			);
		}
	}
	let flags = pooling.iter().filter(|(key, _)| key.starts_with("pooling_mode_"));
	let chosen: Vec<String> = match get("pooling_mode") {
		Some(Value::Array(modes)) => modes.iter().map(Value::to_string).collect(),
		Some(mode) => vec![mode.to_string()],
		// Neither form: the mean is the default of every version.
		None if flags.clone().next().is_none() => return Ok(()),
		None => flags
			.filter(|(_, value)| **value != Value::Bool(false))
			.map(|(key, _)| key.clone())
			.collect(),
	};
	match chosen.as_slice() {
		[mean] if mean == "\"mean\"" || mean == "pooling_mode_mean_tokens" => Ok(()),
		other => {
			refused(
				name,
				format!(
				"the vector is made by {}; c2 knows the mean (`pooling_mode` \"mean\", or `pooling_mode_mean_tokens`) \
				 alone. Take a model with mean pooling",
				if other.is_empty() { "no mode".into() } else { other.join(" and ") }
			),
			)
		}
	}
}
