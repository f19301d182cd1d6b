//! What an import reads, in whatever form it was published.

use crate::{
	blocks::Encoding,
	checkpoint::{self, Checkpoint, Piece},
	ggml::IQ4_NL,
	Error, Result,
};
use assay_model_folder::{
	config::{Architecture, ModelConfig},
	files,
	formats::{Format, Formats},
	layout::{is_inert, source_layout, SourceSpec},
	manifest::SourceFile,
};
use assay_numerics::format::MatrixFormat;
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
	/// How matrices are packed that have four bits already, if some may be.
	pub(super) checkpoint: Option<Checkpoint>,
	/// The files with weights.
	pub(super) files: Vec<WeightFile>,
	/// What a person should know of it, in full sentences.
	pub(super) warnings: Vec<String>,
}

impl Source {
	/// Returns the formats of its matrices.
	pub(super) fn formats(&self, choice: &Choice) -> Formats {
		let mut formats = Formats::default();
		for tensor in self.files.iter().flat_map(|file| &file.tensors) {
			match (&tensor.becomes, self.checkpoint) {
				(Becomes::Whole { spec, .. }, _) if spec.quantized => {
					formats.insert(spec.name.clone(), choice.of(spec, tensor.encoding).into());
				}
				(Becomes::Piece(piece), Some(checkpoint)) => {
					formats.insert(piece.matrix().to_owned(), checkpoint.format());
				}
				_ => {}
			}
		}
		formats
	}
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
	/// Its name.
	pub(super) name: String,
	/// How its elements are written.
	pub(super) encoding: Encoding,
	/// Where its bytes begin in the file.
	pub(super) begin: u64,
	/// And where they end.
	pub(super) end: u64,
	/// What becomes of it.
	pub(super) becomes: Becomes,
}

/// What becomes of a tensor.
pub(super) enum Becomes {
	/// A tensor of the architecture.
	Whole {
		/// Which one.
		spec: SourceSpec,
		/// Rows of one head, if llama.cpp interleaved them.
		interleaved: Option<u64>,
	},
	/// A part of a matrix that AWQ or GPTQ packed.
	Piece(Piece),
}

/// The formats in which floats become matrices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
	/// Of the layers' matrices.
	pub(super) layers: MatrixFormat,
	/// Of the embedding and the output layer.
	pub(super) embeddings: MatrixFormat,
}

impl Choice {
	/// Returns the choice of a family that has floats quantized in this format.
	pub(super) fn new(family: Architecture, weights: Format) -> Self {
		Self {
			layers: match family {
				Architecture::Bert => MatrixFormat::W8_32,
				_ => weights.with_table(IQ4_NL),
			},
			embeddings: MatrixFormat::W8_32,
		}
	}

	/// Returns the format of a matrix that is written in this encoding: its own, if it has one.
	pub(super) fn of(&self, spec: &SourceSpec, encoding: Encoding) -> MatrixFormat {
		encoding.kept_as().unwrap_or(match spec.name.as_str() {
			"model.embed_tokens.weight" | "lm_head.weight" => self.embeddings,
			_ => self.layers,
		})
	}
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
	checkpoint: Option<&Checkpoint>,
	mut found: BTreeMap<String, FoundTensor>,
	files: &mut [WeightFile],
) -> Result<()> {
	let mut put = |name: String, tensor: FoundTensor, becomes: Becomes| {
		if let Some(file) = files.get_mut(tensor.file) {
			file.tensors.push(SourceTensor {
				name,
				encoding: tensor.encoding,
				begin: tensor.range.0,
				end: tensor.range.1,
				becomes,
			});
		}
	};
	let mut packed = Vec::new();
	for spec in source_layout(&config.hyperparameters) {
		let pieces = checkpoint.map_or(Ok(Vec::new()), |checkpoint| checkpoint.take(&spec, &mut found))?;
		if !pieces.is_empty() {
			for (name, tensor, piece) in pieces {
				put(name, tensor, Becomes::Piece(piece));
			}
			packed.push(spec);
			continue;
		}
		let Some(tensor) = found.remove(&spec.name) else {
			return Err(missing(&spec, &found));
		};
		check_whole(&spec, &tensor)?;
		let interleaved = tensor.interleaved;
		put(spec.name.clone(), tensor, Becomes::Whole { spec, interleaved });
	}
	// When all biases of the model are taken.
	for (checkpoint, spec) in packed.iter().filter_map(|spec| Some((checkpoint?, spec))) {
		if let Some((name, tensor, piece)) = checkpoint.take_bias(spec, &mut found)? {
			put(name, tensor, Becomes::Piece(piece));
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

/// Refuses a tensor that is not the one of the architecture.
fn check_whole(spec: &SourceSpec, tensor: &FoundTensor) -> Result<()> {
	let refused = |reason: String| {
		Err(Error::Tensor {
			name: spec.name.clone(),
			reason,
		})
	};
	let shape = spec.shape();
	if tensor.shape != shape {
		return refused(format!(
			"has shape {:?}; the configuration asks for {shape:?}",
			tensor.shape
		));
	}
	if tensor.encoding == Encoding::I32 {
		return refused("is I32; import the floats it was made from".into());
	}
	// A tensor whose size is not that of its rows would be cut or run into the next one.
	let row = tensor.encoding.bytes(spec.width);
	let size = row.and_then(|row| row.checked_mul(spec.rows.unwrap_or(1)));
	if size.is_none() || tensor.range.1.checked_sub(tensor.range.0) != size {
		return refused("its bytes are not those of its shape".into());
	}
	Ok(())
}

/// Returns what it means that the weights lack a tensor.
fn missing(spec: &SourceSpec, found: &BTreeMap<String, FoundTensor>) -> Error {
	let name = spec.name.as_str();
	let packed = || found.keys().any(|found| checkpoint::is_packed(found));
	let reason = if name == "lm_head.weight" {
		"the weights have no output layer, and `tie_word_embeddings` in config.json is not true. If the output layer \
		 is the embedding, set it to true; otherwise fetch the rest of the weights"
	} else if spec.quantized && packed() {
		"the weights lack it, and others are packed, as AWQ and GPTQ do. If this one is packed too, config.json has no \
		 `quantization_config`: fetch it again, or add what stands in quantize_config.json or quant_config.json, with its \
		 `quant_method`"
	} else {
		"the configuration asks for it, the weights lack it: they are of another model, or a part of them is missing; \
		 fetch them again"
	};
	Error::Tensor {
		name: name.into(),
		reason: reason.into(),
	}
}
