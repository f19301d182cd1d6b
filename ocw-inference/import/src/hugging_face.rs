//! A Hugging Face directory: config.json, safetensors in one file or in shards, tokenizer.json, a chat template.

use crate::{
	chat_template,
	checkpoint::{self, Checkpoint},
	generation, sentence_transformers,
	source::{assign, read_whole, Source, WeightFile},
	tensors,
	tokenizer_files::TokenizerFiles,
	Error, ImportOptions, Result,
};
use assay_model_folder::{
	config::{Hyperparameters, ModelConfig},
	files,
	manifest::SourceFile,
	tokenizer::Tokenizer,
	Error as FolderError,
};
use serde_json::Value;
use std::{
	collections::BTreeSet,
	fs,
	io::{self, ErrorKind},
	path::Path,
};

const INDEX: &str = "model.safetensors.index.json";
const ADAPTER: &str = "adapter_config.json";
/// Most files that one model's weights may be split into.
const MAX_SHARDS: usize = 1000;

/// Reads everything of a directory but the weights' values.
pub(super) fn open(dir: &Path, options: &ImportOptions) -> Result<Source> {
	let (mut read, mut warnings) = (Vec::new(), Vec::new());
	refuse_adapter(dir)?;
	let json = read_whole(dir, files::CONFIG, files::MAX_JSON_BYTES, &mut read).map_err(|e| missing_config(dir, e))?;
	let mut raw: Value = files::CONFIG_LIMITS.parse(&json).map_err(FolderError::Config)?;
	let checkpoint = checkpoint_of(&mut raw)?;
	let ends = generation::ends(dir, &raw, &mut read, &mut warnings)?;
	// What is packed is read; the rest of the file is that of the floats.
	let of_floats = checkpoint.map(|_| raw.to_string().into_bytes());
	let mut config = ModelConfig::parse_with(of_floats.as_ref().unwrap_or(&json), ends)?;
	if let (Some(_), Hyperparameters::Encoder(_)) = (checkpoint, &config.hyperparameters) {
		return Err(Error::file(
			files::CONFIG,
			"`quantization_config` of an encoder; import the floats that it was made from",
		));
	}
	match &mut config.hyperparameters {
		Hyperparameters::Encoder(encoder) => sentence_transformers::complete(dir, encoder, &mut read)?,
		Hyperparameters::Decoder(_) => refuse_embedding_model(dir)?,
	}
	if let Some(context) = options.context_length {
		config.hyperparameters.shorten(context);
	}
	config.check()?;
	let tokenizer = read_whole(dir, files::TOKENIZER, files::MAX_TOKENIZER_BYTES, &mut read)
		.map_err(|e| missing_tokenizer(dir, e))?;
	let beside = TokenizerFiles::read(dir, config.architecture, &Tokenizer::parse(&tokenizer)?)?;
	let template = match config.hyperparameters {
		Hyperparameters::Encoder(_) => Vec::new(),
		Hyperparameters::Decoder(_) => chat_template::read(dir, options, beside, &mut read, &mut warnings)?,
	};
	let mut weights = weight_files(dir, &mut read)?;
	let found = tensors::find(&weights, &config.hyperparameters)?;
	assign(&config, checkpoint.as_ref(), found, &mut weights)?;
	Ok(Source {
		config,
		checkpoint,
		tokenizer,
		template,
		read,
		files: weights,
		warnings,
	})
}

/// Refuses a directory with an adapter, which transformers would add to the weights.
fn refuse_adapter(dir: &Path) -> Result<()> {
	if !dir.join(ADAPTER).exists() {
		return Ok(());
	}
	Err(Error::file(
		ADAPTER,
		"transformers would add this adapter to the weights. Merge it (`merge_and_unload` of peft, then \
		 `save_pretrained`) and import the result, or remove the file to import the model without it",
	))
}

fn missing_config(dir: &Path, error: FolderError) -> Error {
	let gguf = || {
		let mut entries = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
		entries.find(|path| path.extension().is_some_and(|e| e == "gguf"))
	};
	match (&error, gguf()) {
		(FolderError::Io { .. }, Some(file)) => Error::Import(format!(
			"{} has no config.json; to import its GGUF file, name the file: {}",
			dir.display(),
			file.display()
		)),
		(FolderError::Io { source, .. }, None) if source.kind() == ErrorKind::NotFound => Error::Import(format!(
			"{} has no config.json. Name a directory that has it, with tokenizer.json and model.safetensors as they are \
			 published on Hugging Face, or a GGUF file",
			dir.display()
		)),
		_ => error.into(),
	}
}

fn missing_tokenizer(dir: &Path, error: FolderError) -> Error {
	match &error {
		FolderError::Io { source, .. } if source.kind() == ErrorKind::NotFound => Error::Import(format!(
			"{} has no tokenizer.json; fetch it from where the model is published, or make one of its other files with \
			 `AutoTokenizer.from_pretrained(dir).save_pretrained(dir)` of transformers",
			dir.display()
		)),
		_ => error.into(),
	}
}

/// Takes what a `config.json` says of packed matrices out of it.
fn checkpoint_of(config: &mut Value) -> Result<Option<Checkpoint>> {
	let packed = config.as_object_mut().and_then(|map| map.remove(checkpoint::KEY));
	let packed = packed.filter(|v| !v.is_null() && *v != Value::Bool(false));
	packed.map(|packed| Checkpoint::read(&packed)).transpose()
}

/// Refuses a model that is made for vectors: the same weights, and no text that anybody vouches for.
fn refuse_embedding_model(dir: &Path) -> Result<()> {
	if !dir.join(sentence_transformers::MODULES).exists() {
		return Ok(());
	}
	Err(Error::file(
		sentence_transformers::MODULES,
		"this is an embedding model of sentence-transformers made of a decoder, and c2 makes vectors with BERT alone. \
		 Take the chat model that it was made from; if this one writes text too, remove the file and import again",
	))
}

/// Returns the files with weights: one, or those that the index names.
fn weight_files(dir: &Path, read: &mut Vec<SourceFile>) -> Result<Vec<WeightFile>> {
	let mut names = BTreeSet::from([files::WEIGHTS.to_owned()]);
	if !dir.join(files::WEIGHTS).exists() {
		if !dir.join(INDEX).exists() {
			return Err(no_weights(dir));
		}
		let index = read_whole(dir, INDEX, files::MAX_JSON_BYTES, read)?;
		names = shard_names(&index)?;
	}
	let open = |name: String| {
		let path = dir.join(&name);
		let bytes = fs::metadata(&path).map_err(|e| missing_shard(&path, e))?.len();
		Ok(WeightFile {
			name,
			path,
			bytes,
			tensors: Vec::new(),
		})
	};
	names.into_iter().map(open).collect()
}

fn missing_shard(path: &Path, error: io::Error) -> Error {
	if error.kind() != ErrorKind::NotFound {
		return Error::read(path)(error);
	}
	Error::file(
		INDEX,
		format!(
			"it names {}, which is not there; fetch the rest of the weights",
			path.display()
		),
	)
}

fn no_weights(dir: &Path) -> Error {
	let pickled = dir.join("pytorch_model.bin").exists() || dir.join("pytorch_model.bin.index.json").exists();
	Error::Import(if pickled {
		"the weights are pickled (pytorch_model.bin), and a pickle is a program: Assay never opens one. Take the model's \
		 safetensors, or save it as such with `save_pretrained` of transformers"
			.into()
	} else {
		let another = another_name(dir).map_or(String::new(), |name| {
			format!(". There is {name}: if it has all weights, as AutoGPTQ names them, rename it to model.safetensors")
		});
		format!(
			"no weights in {}: neither model.safetensors nor {INDEX}{another}",
			dir.display()
		)
	})
}

/// Returns the only safetensors file of a directory.
fn another_name(dir: &Path) -> Option<String> {
	let names = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.file_name());
	let mut names = names.filter_map(|name| name.into_string().ok().filter(|name| name.ends_with(".safetensors")));
	let first = names.next()?;
	names.next().is_none().then_some(first)
}

/// Returns the distinct files of an index, which may not lead outside the directory.
fn shard_names(index: &[u8]) -> Result<BTreeSet<String>> {
	let refused = |reason: String| Error::Import(format!("{INDEX}: {reason}"));
	let index: Value = files::MANIFEST_LIMITS.parse(index).map_err(refused)?;
	let Some(map) = index.get("weight_map").and_then(Value::as_object) else {
		return Err(refused("`weight_map` is missing".into()));
	};
	let mut names = BTreeSet::new();
	for file in map.values() {
		let plain =
			|name: &&str| name.ends_with(".safetensors") && !name.contains(['/', '\\', '\0']) && name.len() <= 255;
		let Some(name) = file.as_str().filter(plain) else {
			return Err(refused(format!(
				"{file} is not the name of a safetensors file in this directory"
			)));
		};
		names.insert(name.to_owned());
		if names.len() > MAX_SHARDS {
			return Err(refused(format!("more than {MAX_SHARDS} files")));
		}
	}
	if names.is_empty() {
		return Err(refused("it names no file".into()));
	}
	Ok(names)
}
