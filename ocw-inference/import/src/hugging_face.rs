//! A Hugging Face directory: config.json, safetensors in one file or in shards, tokenizer.json, a chat template.

use crate::{
	blocks::Encoding,
	sentence_transformers,
	source::{assign, read_whole, FoundTensor, Source, WeightFile},
	Error, ImportOptions, Result,
};
use assay_model_folder::{
	config::{Hyperparameters, ModelConfig},
	files::{self, JsonLimits},
	header::{Dtype, Header, MAX_TENSORS},
	layout::is_inert,
	manifest::SourceFile,
	Error as FolderError,
};
use serde_json::Value;
use std::{
	collections::{BTreeMap, BTreeSet},
	fs::{self, File},
	path::Path,
};

const INDEX: &str = "model.safetensors.index.json";
const GENERATION: &str = "generation_config.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Most files that one model's weights may be split into.
const MAX_SHARDS: usize = 1000;

/// Reads everything of a directory but the weights' values.
pub(super) fn open(dir: &Path, options: &ImportOptions) -> Result<Source> {
	let mut read = Vec::new();
	let json = read_whole(dir, files::CONFIG, files::MAX_JSON_BYTES, &mut read).map_err(|e| missing_config(dir, e))?;
	refuse_quantized(&json)?;
	let mut config = ModelConfig::parse(&json)?;
	if let Hyperparameters::Encoder(encoder) = &mut config.hyperparameters {
		sentence_transformers::complete(dir, encoder, &mut read)?;
	}
	if let Some(context) = options.context_length {
		config.hyperparameters.shorten(context);
	}
	stop_tokens(dir, &mut config.hyperparameters, &mut read)?;
	config.check()?;
	let tokenizer = read_whole(dir, files::TOKENIZER, files::MAX_TOKENIZER_BYTES, &mut read).map_err(|e| match e {
		FolderError::Io { .. } if dir.join("tokenizer.model").exists() => Error::Import(
			"the directory has a tokenizer.model but no tokenizer.json; make one with \
			 `AutoTokenizer.from_pretrained(dir).save_pretrained(dir)` of transformers"
				.into(),
		),
		e => e.into(),
	})?;
	let template = match config.hyperparameters {
		Hyperparameters::Encoder(_) => Vec::new(),
		Hyperparameters::Decoder(_) => template(dir, options, &mut read)?,
	};
	let mut weights = weight_files(dir, &mut read)?;
	let found = tensors(&weights, &config.hyperparameters)?;
	assign(&config, found, &mut weights)?;
	Ok(Source {
		config,
		tokenizer,
		template,
		read,
		files: weights,
	})
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
		_ => error.into(),
	}
}

fn refuse_quantized(config: &[u8]) -> Result<()> {
	let config: Value = JsonLimits::CONFIG.parse(config).map_err(FolderError::Config)?;
	match config.get("quantization_config").filter(|v| !v.is_null()) {
		Some(how) => Err(Error::Import(format!(
			"the weights are quantized already ({}); import the floats that they were made from",
			how.get("quant_method")
				.and_then(Value::as_str)
				.unwrap_or("unknown method")
		))),
		None => Ok(()),
	}
}

/// Instruction-tuned models often name the tokens that end a turn only in `generation_config.json`.
fn stop_tokens(dir: &Path, hyperparameters: &mut Hyperparameters, read: &mut Vec<SourceFile>) -> Result<()> {
	let Hyperparameters::Decoder(decoder) = hyperparameters else {
		return Ok(());
	};
	if !dir.join(GENERATION).exists() {
		return Ok(());
	}
	let mut seen = Vec::new();
	let json = read_whole(dir, GENERATION, files::MAX_JSON_BYTES, &mut seen)?;
	let json: Value = JsonLimits::CONFIG
		.parse(&json)
		.map_err(|e| Error::Import(format!("{GENERATION}: {e}")))?;
	let more: Vec<u32> = match json.get("eos_token_id") {
		Some(Value::Array(ids)) => ids.iter().filter_map(Value::as_u64).collect(),
		Some(id) => id.as_u64().into_iter().collect(),
		None => Vec::new(),
	}
	.into_iter()
	.filter_map(|id: u64| u32::try_from(id).ok())
	.filter(|id| !decoder.eos_token_ids.contains(id))
	.collect();
	if !more.is_empty() {
		decoder.eos_token_ids.extend(more);
		decoder.eos_token_ids.sort_unstable();
		decoder.eos_token_ids.dedup();
		read.append(&mut seen);
	}
	Ok(())
}

/// Returns the chat template: the one of the options, a file of its own, or a field of `tokenizer_config.json`.
fn template(dir: &Path, options: &ImportOptions, read: &mut Vec<SourceFile>) -> Result<Vec<u8>> {
	if let Some(file) = &options.chat_template {
		return Ok(files::read(file, files::MAX_TEMPLATE_BYTES)?);
	}
	let file = dir.join(files::TEMPLATE);
	if file.exists() {
		return Ok(files::read(&file, files::MAX_TEMPLATE_BYTES)?);
	}
	let none = || {
		Error::Import(
			"no chat template, neither chat_template.jinja nor in tokenizer_config.json; \
			 give one with --chat-template FILE"
				.into(),
		)
	};
	if !dir.join(TOKENIZER_CONFIG).exists() {
		return Err(none());
	}
	let config = read_whole(dir, TOKENIZER_CONFIG, files::MAX_JSON_BYTES, read)?;
	let config: Value = JsonLimits::CONFIG
		.parse(&config)
		.map_err(|e| Error::Import(format!("{TOKENIZER_CONFIG}: {e}")))?;
	let template = match config.get("chat_template") {
		// Several by name: the one for plain chat is called `default`.
		Some(Value::Array(all)) => all
			.iter()
			.find(|t| t.get("name").and_then(Value::as_str) == Some("default"))
			.and_then(|t| t.get("template")),
		one => one,
	};
	match template.and_then(Value::as_str) {
		Some(template) => Ok(template.as_bytes().to_vec()),
		None => Err(none()),
	}
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
		let bytes = fs::metadata(&path).map_err(Error::read(&path))?.len();
		Ok(WeightFile {
			name,
			path,
			bytes,
			tensors: Vec::new(),
		})
	};
	names.into_iter().map(open).collect()
}

fn no_weights(dir: &Path) -> Error {
	let pickled = dir.join("pytorch_model.bin").exists() || dir.join("pytorch_model.bin.index.json").exists();
	Error::Import(if pickled {
		"the weights are pickled (pytorch_model.bin), and a pickle is a program: Assay never opens one. Take the model's \
		 safetensors, or save it as such with `save_pretrained` of transformers"
			.into()
	} else {
		format!("no weights in {}: neither model.safetensors nor {INDEX}", dir.display())
	})
}

/// Returns the distinct files of an index, which may not lead outside the directory.
fn shard_names(index: &[u8]) -> Result<BTreeSet<String>> {
	let refused = |reason: String| Error::Import(format!("{INDEX}: {reason}"));
	let index: Value = JsonLimits::MANIFEST.parse(index).map_err(refused)?;
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

/// Returns the tensors of all files by name.
fn tensors(weights: &[WeightFile], hyperparameters: &Hyperparameters) -> Result<BTreeMap<String, FoundTensor>> {
	let mut found = BTreeMap::new();
	for (at, file) in weights.iter().enumerate() {
		let mut reader = File::open(&file.path).map_err(Error::read(&file.path))?;
		let header = Header::read(&mut reader, file.bytes).map_err(|e| match e {
			FolderError::Header(reason) => FolderError::Header(format!("{}: {reason}", file.name)),
			e => e,
		})?;
		for (name, info) in header.tensors {
			if is_inert(hyperparameters, &name) {
				continue;
			}
			let (begin, end) = info.data_offsets;
			let encoding = match info.dtype {
				Dtype::F32 => Encoding::F32,
				Dtype::F16 => Encoding::F16,
				Dtype::BF16 => Encoding::Bf16,
				Dtype::I8 | Dtype::I64 => {
					return Err(Error::Tensor {
						name,
						reason: format!("is {:?}; import the floats it was made from", info.dtype),
					})
				}
			};
			let tensor = FoundTensor {
				file: at,
				encoding,
				shape: info.shape,
				range: (header.data_start + begin, header.data_start + end),
				interleaved: None,
			};
			if found.insert(name.clone(), tensor).is_some() {
				return Err(Error::Tensor {
					name,
					reason: "is in two of the shards".into(),
				});
			}
			if found.len() > MAX_TENSORS {
				return Err(FolderError::Header(format!("more than {MAX_TENSORS} tensors in all shards")).into());
			}
		}
	}
	Ok(found)
}
