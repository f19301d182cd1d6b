//! The tensors of safetensors files, by the names that transformers gives them.

use crate::{
	blocks::Encoding,
	checkpoint::is_packed,
	source::{FoundTensor, WeightFile},
	Error, Result,
};
use assay_model_folder::{
	config::Hyperparameters,
	files::stand_in,
	header::{Dtype, Header, MAX_TENSORS},
	layout::is_inert,
	Error as FolderError,
};
use std::{
	collections::BTreeMap,
	fs::File,
	io::{self, Read, Seek, SeekFrom},
	path::Path,
};

const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";
const WORDS: &str = "embeddings.word_embeddings.weight";

/// Returns the tensors of all files by name.
pub(super) fn find(weights: &[WeightFile], hyperparameters: &Hyperparameters) -> Result<BTreeMap<String, FoundTensor>> {
	let (mut found, mut head) = (BTreeMap::new(), None);
	for (at, file) in weights.iter().enumerate() {
		let mut reader = File::open(&file.path).map_err(Error::read(&file.path))?;
		refuse_stand_in(&mut reader, &file.path)?;
		let header = Header::read(&mut reader, file.bytes).map_err(|e| match e {
			FolderError::Header(reason) => FolderError::Header(format!("{}: {reason}", file.name)),
			e => e,
		})?;
		for (name, info) in header.tensors {
			let name = canonical(hyperparameters, name);
			let is_tied_head = name == HEAD && is_inert(hyperparameters, &name);
			if is_inert(hyperparameters, &name) && !is_tied_head {
				continue;
			}
			let (begin, end) = info.data_offsets;
			let encoding = match info.dtype {
				Dtype::F32 => Encoding::F32,
				Dtype::F16 => Encoding::F16,
				Dtype::BF16 => Encoding::Bf16,
				Dtype::I32 if is_packed(&name) => Encoding::I32,
				Dtype::I8 | Dtype::U8 | Dtype::I32 | Dtype::I64 => {
					return Err(Error::Tensor {
						name,
						reason: format!("is {:?}; import the floats it was made from", info.dtype),
					});
				}
			};
			let tensor = FoundTensor {
				file: at,
				encoding,
				shape: info.shape,
				range: (header.data_start + begin, header.data_start + end),
				interleaved: None,
			};
			let twice = if is_tied_head {
				head.replace(tensor).is_some()
			} else {
				found.insert(name.clone(), tensor).is_some()
			};
			if twice {
				return Err(Error::Tensor {
					name,
					reason: "is in two of the shards, or in one under two names; fetch the weights again".into(),
				});
			}
			if found.len() > MAX_TENSORS {
				return Err(FolderError::Header(format!("more than {MAX_TENSORS} tensors in all shards")).into());
			}
		}
	}
	check_names(&found, hyperparameters)?;
	if let (Some(head), Some(embedding)) = (head, found.get(EMBEDDING)) {
		check_tied(&head, embedding, weights)?;
	}
	Ok(found)
}

/// Refuses a file that is something else than weights by its beginning.
fn refuse_stand_in(reader: &mut File, path: &Path) -> Result<()> {
	let mut begin = Vec::new();
	reader
		.by_ref()
		.take(64)
		.read_to_end(&mut begin)
		.map_err(Error::read(path))?;
	reader.rewind().map_err(Error::read(path))?;
	match stand_in(&begin) {
		Some(reason) => Err(FolderError::StandIn {
			path: path.to_owned(),
			reason,
		}
		.into()),
		None => Ok(()),
	}
}

/// Returns a tensor's name as today's transformers writes it. A BERT that was saved with a head has `bert.` before each
/// name, and the first ones, made with TensorFlow, call a norm's weight gamma and its bias beta.
fn canonical(hyperparameters: &Hyperparameters, name: String) -> String {
	let Hyperparameters::Encoder(_) = hyperparameters else {
		return name;
	};
	let name = name.strip_prefix("bert.").unwrap_or(&name);
	for (old, new) in [
		("LayerNorm.gamma", "LayerNorm.weight"),
		("LayerNorm.beta", "LayerNorm.bias"),
	] {
		if let Some(start) = name.strip_suffix(old) {
			return format!("{start}{new}");
		}
	}
	name.into()
}

/// Refuses weights whose names are another class's, and reports which: the values may be another model's as well.
fn check_names(found: &BTreeMap<String, FoundTensor>, hyperparameters: &Hyperparameters) -> Result<()> {
	let (anchor, end) = match hyperparameters {
		Hyperparameters::Decoder(_) => (EMBEDDING, "embed_tokens.weight"),
		Hyperparameters::Encoder(_) => (WORDS, "word_embeddings.weight"),
	};
	if found.contains_key(anchor) {
		return Ok(());
	}
	let Some(theirs) = found.keys().find(|name| name.ends_with(end)) else {
		return Ok(());
	};
	let bare = theirs == end && anchor == EMBEDDING;
	Err(Error::Tensor {
		name: anchor.into(),
		reason: if bare {
			format!(
				"the weights have it as {theirs}. Without `model.` transformers saves a base model without its output \
				 layer (`AutoModel`), as embedding models such as Qwen3-Embedding are published: they make vectors, which \
				 c2 makes with BERT alone. If this model writes text, save it whole, with \
				 `AutoModelForCausalLM.from_pretrained(dir).save_pretrained(new)` of transformers, and import that"
			)
		} else {
			format!(
				"the weights have it as {theirs}. So it is named in a part of a larger model (one that also sees or hears), \
				 or by a program that trained it. Save the text model alone with `save_pretrained` of transformers, and \
				 import that"
			)
		},
	})
}

/// Refuses an output layer that differs from the embedding of a model that calls them one: transformers takes the one or
/// the other, by its version.
fn check_tied(head: &FoundTensor, embedding: &FoundTensor, weights: &[WeightFile]) -> Result<()> {
	let bytes = |tensor: &FoundTensor| -> Result<_> {
		let path = match weights.get(tensor.file) {
			Some(file) => &file.path,
			None => {
				return Err(Error::Import(
					"a tensor without its file: a defect of the importer".into(),
				));
			}
		};
		let open = || {
			let mut file = File::open(path)?;
			file.seek(SeekFrom::Start(tensor.range.0))?;
			let mut hasher = blake3::Hasher::new();
			io::copy(&mut file.take(tensor.range.1 - tensor.range.0), &mut hasher)?;
			Ok(hasher.finalize())
		};
		open().map_err(Error::read(path))
	};
	let form = |tensor: &FoundTensor| (tensor.encoding, tensor.shape.clone());
	if form(head) == form(embedding) && bytes(head)? == bytes(embedding)? {
		return Ok(());
	}
	Err(Error::Tensor {
		name: HEAD.into(),
		reason: format!(
			"differs from {EMBEDDING}, though `tie_word_embeddings` in config.json is true. Set it to false if the model \
			 was trained with an output layer of its own, or remove the tensor if not"
		),
	})
}
