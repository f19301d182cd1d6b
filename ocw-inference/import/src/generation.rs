//! `generation_config.json`: the tokens that end an answer, and the sampling that the publisher suggests.

use crate::{source::json_map, Error, Result};
use assay_model_folder::{
	config::{
		eos_token_ids,
		keys::{self, Keys},
	},
	manifest::SourceFile,
	Error as FolderError,
};
use serde_json::Value;
use std::path::Path;

pub(super) const FILE: &str = "generation_config.json";

/// Keys of this file alone; the others are [`keys::GENERATION`].
pub(super) const OWN_KEYS: Keys = Keys {
	read: &["eos_token_id"],
	inert: &["_from_model_config", "_commit_hash", "transformers_version"],
	neutral: &[],
};

/// Suggestions that sampler s1 has no parameter for, each with the value that suggests nothing.
const NO_PARAMETER: [(&str, f64); 5] = [
	("top_p", 1.0),
	("typical_p", 1.0),
	("epsilon_cutoff", 0.0),
	("eta_cutoff", 0.0),
	("repetition_penalty", 1.0),
];

/// Returns the tokens that end an answer, if the file is there and names some. As in transformers they take the place
/// of those in `config.json`. `read` gets the file if that makes a difference, `warnings` what is not honored.
pub(super) fn ends(
	dir: &Path,
	config: &Value,
	read: &mut Vec<SourceFile>,
	warnings: &mut Vec<String>,
) -> Result<Option<Vec<u32>>> {
	if !dir.join(FILE).exists() {
		return Ok(None);
	}
	let mut seen = Vec::new();
	let map = json_map(dir, FILE, &mut seen)?;
	let refused = |reason| Error::file(FILE, reason);
	Keys::check(&[OWN_KEYS, keys::GENERATION], &map, FILE, "").map_err(refused)?;
	let suggests = |(key, nothing): &(&str, f64)| {
		let value = map.get(*key)?;
		(value.as_f64()? != *nothing).then(|| format!("`{key}` {value}"))
	};
	let unheard: Vec<String> = NO_PARAMETER.iter().filter_map(suggests).collect();
	if !unheard.is_empty() {
		warnings.push(format!(
			"{FILE} suggests {}, for which Assay's sampler has no parameter: answers are sampled without",
			unheard.join(", ")
		));
	}
	let Some(stated) = map.get("eos_token_id").filter(|v| !v.is_null()) else {
		return Ok(None);
	};
	let ends = eos_token_ids(stated).map_err(refused)?;
	let own = config.get("eos_token_id").filter(|v| !v.is_null()).map(eos_token_ids);
	let own = own.transpose().map_err(FolderError::Config)?;
	if own.as_ref() == Some(&ends) {
		return Ok(None);
	}
	read.append(&mut seen);
	let dropped: Vec<u32> = own.into_iter().flatten().filter(|id| !ends.contains(id)).collect();
	if !dropped.is_empty() {
		warnings.push(format!(
			"tokens {dropped:?} end an answer by config.json and do not by {FILE}, which takes precedence as in \
			 transformers: they do not end one"
		));
	}
	Ok(Some(ends))
}
