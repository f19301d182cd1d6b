//! What an import reads, in whatever form it was published.

use super::blocks::Encoding;
use crate::{Error, Result};
use assay_model_folder::{
	config::ModelConfig,
	files,
	layout::{is_inert, source_layout, SourceSpec},
	manifest::SourceFile,
};
use serde_json::{Map, Value};
use std::{
	collections::BTreeMap,
	path::{Path, PathBuf},
};

/// A published model, checked in everything but the values of its weights.
pub(super) struct Source {
	/// Family and hyperparameters.
	pub(super) config: ModelConfig,
	/// `tokenizer.json`.
	pub(super) tokenizer: Vec<u8>,
	/// The chat template; empty for an encoder.
	pub(super) template: Vec<u8>,
	/// The small files that were read whole.
	pub(super) read: Vec<SourceFile>,
	/// The files with weights.
	pub(super) files: Vec<WeightFile>,
	/// What a person should know of it, in full sentences.
	pub(super) warnings: Vec<String>,
}

/// A file with weights.
pub(super) struct WeightFile {
	/// Its name in the provenance.
	pub(super) name: String,
	/// Where it is.
	pub(super) path: PathBuf,
	/// Its size.
	pub(super) bytes: u64,
	/// The tensors to convert, in the order of their bytes.
	pub(super) tensors: Vec<SourceTensor>,
}

/// A tensor to convert.
pub(super) struct SourceTensor {
	/// What it must be.
	pub(super) spec: SourceSpec,
	/// How its elements are written.
	pub(super) encoding: Encoding,
	/// Where its bytes begin in the file.
	pub(super) begin: u64,
	/// And where they end.
	pub(super) end: u64,
	/// Rows of one head, if llama.cpp interleaved them.
	pub(super) interleaved: Option<u64>,
}

/// A tensor as a file's header describes it.
pub(super) struct FoundTensor {
	/// Index of its file.
	pub(super) file: usize,
	/// How its elements are written.
	pub(super) encoding: Encoding,
	/// Dimensions, outermost first.
	pub(super) shape: Vec<u64>,
	/// Where its bytes are in the file.
	pub(super) range: (u64, u64),
	/// Rows of one head, if llama.cpp interleaved them.
	pub(super) interleaved: Option<u64>,
}

/// Reads a whole small file and remembers its hash.
pub(super) fn read_whole(
	dir: &Path,
	name: &str,
	limit: u64,
	read: &mut Vec<SourceFile>,
) -> assay_model_folder::Result<Vec<u8>> {
	let content = files::read(&dir.join(name), limit)?;
	read.push(SourceFile {
		name: name.into(),
		root: files::root(&content),
	});
	Ok(content)
}

/// An object of a JSON file.
pub(super) type JsonMap = Map<String, Value>;

/// Reads a whole JSON file and remembers its hash.
pub(super) fn json_value(dir: &Path, name: &str, read: &mut Vec<SourceFile>) -> Result<Value> {
	let content = read_whole(dir, name, files::MAX_JSON_BYTES, read)?;
	files::CONFIG_LIMITS
		.parse(&content)
		.map_err(|reason| Error::file(name, reason))
}

/// Reads a whole JSON file that is an object, and remembers its hash.
pub(super) fn json_map(dir: &Path, name: &str, read: &mut Vec<SourceFile>) -> Result<JsonMap> {
	match json_value(dir, name, read)? {
		Value::Object(map) => Ok(map),
		_ => Err(Error::file(name, "it is not a JSON object; fetch it again")),
	}
}

/// Compares the tensors of the files with those of the hyperparameters, and assigns each to its file.
pub(super) fn assign(
	config: &ModelConfig,
	mut found: BTreeMap<String, FoundTensor>,
	files: &mut [WeightFile],
) -> Result<()> {
	for spec in source_layout(&config.hyperparameters) {
		let refused = |reason: String| Error::Tensor {
			name: spec.name.clone(),
			reason,
		};
		let Some(tensor) = found.remove(&spec.name) else {
			return Err(refused(missing(&spec.name).into()));
		};
		let shape = spec.shape();
		if tensor.shape != shape {
			return Err(refused(format!(
				"has shape {:?}; the configuration asks for {shape:?}",
				tensor.shape
			)));
		}
		let (begin, end) = tensor.range;
		// A tensor whose size is not that of its rows would be cut or run into the next one.
		let row = tensor.encoding.bytes(spec.width);
		let size = row.and_then(|row| row.checked_mul(spec.rows.unwrap_or(1)));
		if size.is_none() || end.checked_sub(begin) != size {
			return Err(refused("its bytes are not those of its shape".into()));
		}
		if let Some(file) = files.get_mut(tensor.file) {
			file.tensors.push(SourceTensor {
				spec,
				encoding: tensor.encoding,
				begin,
				end,
				interleaved: tensor.interleaved,
			});
		}
	}
	for file in files {
		file.tensors.sort_by_key(|tensor| (tensor.begin, tensor.end));
	}
	match found.into_keys().find(|name| !is_inert(&config.hyperparameters, name)) {
		Some(name) => Err(Error::Tensor {
			name,
			reason:
				"is not part of the model that its configuration describes. If the model needs it, the configuration \
			         lacks a key or is another model's; if it does not, remove the tensor and import again"
					.into(),
		}),
		None => Ok(()),
	}
}

/// Returns what it means that the weights lack a tensor.
fn missing(name: &str) -> &'static str {
	match name {
		"lm_head.weight" => {
			"the weights have no output layer, and `tie_word_embeddings` in config.json is not true. If the output layer \
			 is the embedding, set it to true; otherwise fetch the rest of the weights"
		}
		_ => {
			"the configuration asks for it, the weights lack it: they are of another model, or a part of them is missing; \
			 fetch them again"
		}
	}
}
