//! One GGUF file: everything of a model in one file, by llama.cpp's names.

mod config;
mod keys;
mod names;
mod read;
mod special;
mod tokenizer;

use crate::{
	blocks::Encoding,
	source::{assign, FoundTensor, Source, WeightFile},
	Error, ImportOptions, Result,
};
use assay_model_folder::{config::ModelConfig, files, template::with_special_tokens, tokenizer::Tokenizer};
use read::{Gguf, Tensor, Value};
use std::{
	collections::BTreeMap,
	fs::File,
	io::{BufReader, Read, Seek, SeekFrom},
	path::Path,
};
use tokenizer::Tokens;

/// Reads model and tokenizer from the header of a GGUF file, and keeps nothing: all that an untrusted file passes
/// through before a weight is read. `header` is the beginning of a file of `file_bytes` bytes.
pub fn probe(header: &[u8], file_bytes: u64) -> Result<()> {
	let gguf = Gguf::read(header, file_bytes)?;
	let metadata = Metadata::new(&gguf)?;
	let tokens = Tokens::read(&metadata)?;
	let mut warnings = Vec::new();
	let ends = special::ends(&metadata, &tokens, &mut warnings)?;
	let config =
		config::json(&metadata, &gguf, None, &ends, &mut warnings).and_then(|json| Ok(ModelConfig::parse(&json)?));
	let tokenizer = tokenizer::json(&metadata, &tokens).and_then(|json| Ok(Tokenizer::parse(&json)?));
	config?;
	tokenizer.map(|_| ())
}

/// Reads everything of a GGUF file but the weights' values.
pub(super) fn open(path: &Path, options: &ImportOptions) -> Result<Source> {
	let file = File::open(path).map_err(Error::read(path))?;
	let bytes = file.metadata().map_err(Error::read(path))?.len();
	let gguf = Gguf::read(BufReader::new(&file), bytes)?;
	let factors = rope_factors(&file, &gguf).map_err(Error::read(path))?;
	let metadata = Metadata::new(&gguf)?;
	let tokens = Tokens::read(&metadata)?;
	let mut warnings = Vec::new();
	let ends = special::ends(&metadata, &tokens, &mut warnings)?;
	let config = config::json(&metadata, &gguf, factors.as_deref(), &ends, &mut warnings)?;
	let mut config = ModelConfig::parse(&config)?;
	if let Some(context) = options.context_length {
		config.hyperparameters.shorten(context);
		config.check()?;
	}
	let head_dim = config.hyperparameters.decoder()?.head_dim;
	let tokenizer = tokenizer::json(&metadata, &tokens)?;
	let template = template(&metadata, options)?;
	special::check_around(&metadata, &tokens, &template, &mut warnings)?;
	let special = special::for_template(&metadata, &tokens, &template, &ends, &mut warnings)?;
	let template = with_special_tokens(&template, &special)?;
	let found = found(&gguf, metadata.arch, head_dim)?;
	let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
	let mut weights = [WeightFile {
		name,
		path: path.to_owned(),
		bytes,
		tensors: Vec::new(),
	}];
	assign(&config, None, found, &mut weights)?;
	Ok(Source {
		config,
		tokenizer,
		template,
		read: Vec::new(),
		checkpoint: None,
		files: weights.into(),
		warnings,
	})
}

/// Returns the file's tensors by Hugging Face's names.
fn found(gguf: &Gguf, arch: &str, head_dim: u32) -> Result<BTreeMap<String, FoundTensor>> {
	let mut found = BTreeMap::new();
	for (name, tensor) in &gguf.tensors {
		if name == ROPE_FACTORS {
			continue;
		}
		let Some(theirs) = names::published(name) else {
			return Err(Error::Tensor {
				name: name.clone(),
				reason: "is not a tensor that this importer knows, and may change what the model computes. Take another file \
				         of the model, or import its Hugging Face directory"
					.into(),
			});
		};
		if tensor.shape.len() < 2 && matches!(tensor.encoding, Encoding::Blocks(_)) {
			return Err(Error::Tensor {
				name: name.clone(),
				reason: "is a vector in blocks, which no converter writes; take another file of the model".into(),
			});
		}
		let interleaved = arch == "llama" && names::is_interleaved(&theirs);
		found.insert(
			theirs,
			FoundTensor {
				file: 0,
				encoding: tensor.encoding,
				shape: tensor.shape.clone(),
				range: tensor.range,
				interleaved: interleaved.then_some(head_dim.into()),
			},
		);
	}
	Ok(found)
}

/// The divisors of the rotary frequencies, one for each pair: how Llama 3.1's scaling is written in GGUF.
const ROPE_FACTORS: &str = "rope_freqs.weight";

fn rope_factors(mut file: &File, gguf: &Gguf) -> std::io::Result<Option<Vec<f32>>> {
	// No head is longer than 1024.
	const MOST: u64 = 512 * 4;
	let Some(Tensor { encoding, range, .. }) = gguf.tensors.get(ROPE_FACTORS) else {
		return Ok(None);
	};
	file.seek(SeekFrom::Start(range.0))?;
	let mut data = Vec::new();
	file.take((range.1 - range.0).min(MOST)).read_to_end(&mut data)?;
	let mut factors = Vec::new();
	encoding.floats(&data, |v| factors.push(v));
	Ok(Some(factors))
}

fn template(metadata: &Metadata<'_>, options: &ImportOptions) -> Result<Vec<u8>> {
	if let Some(file) = &options.chat_template {
		return Ok(files::read(file, files::MAX_TEMPLATE_BYTES)?);
	}
	match metadata.text("tokenizer.chat_template")? {
		Some(template) => Ok(template.as_bytes().to_vec()),
		None => Err(Error::Gguf(
			"it has no chat template; give one with --chat-template FILE".into(),
		)),
	}
}

/// The metadata that is read; every error names its key.
struct Metadata<'a> {
	entries: BTreeMap<&'a str, &'a Value>,
	/// The family, which begins the keys of its hyperparameters.
	arch: &'a str,
}

impl<'a> Metadata<'a> {
	/// Takes the entries that are read, and refuses those that are not known to change nothing.
	fn new(gguf: &'a Gguf) -> Result<Self> {
		let arch = match gguf.metadata.get("general.architecture") {
			Some(Value::Text(arch)) => arch,
			_ => return Err(Error::Gguf("`general.architecture` is missing or not a string".into())),
		};
		config::check_family(arch)?;
		let mut entries = BTreeMap::new();
		for (key, value) in &gguf.metadata {
			if keys::check(arch, key, value)? {
				entries.insert(key.as_str(), value);
			}
		}
		let metadata = Self { entries, arch };
		if metadata.number("split.count")?.is_some_and(|n| n > 1) {
			return Err(Error::Gguf(
				"it is one part of several; join them with `llama-gguf-split --merge` of llama.cpp".into(),
			));
		}
		Ok(metadata)
	}

	/// Returns the key of one of the family's hyperparameters.
	fn of(&self, name: &str) -> String {
		format!("{}.{name}", self.arch)
	}

	fn refused<T>(key: &str, wanted: &str) -> Result<T> {
		Err(Error::Gguf(format!("`{key}` is not {wanted}")))
	}

	fn text(&self, key: &str) -> Result<Option<&'a str>> {
		match self.entries.get(key) {
			None => Ok(None),
			Some(Value::Text(text)) => Ok(Some(text)),
			Some(_) => Self::refused(key, "a string"),
		}
	}

	fn texts(&self, key: &str) -> Result<Option<&'a [String]>> {
		match self.entries.get(key) {
			None => Ok(None),
			Some(Value::Texts(texts)) => Ok(Some(texts)),
			Some(_) => Self::refused(key, "a list of strings"),
		}
	}

	/// A number below 2³². One for each layer is read if they are all the same.
	fn number(&self, key: &str) -> Result<Option<u32>> {
		let numbers = self.numbers(key)?;
		match numbers.split_first() {
			Some((first, rest)) if rest.iter().all(|n| n == first) => Ok(Some(*first)),
			None if !self.entries.contains_key(key) => Ok(None),
			_ => Self::refused(key, "the same for all layers, as c2 needs it"),
		}
	}

	/// Numbers below 2³²: a list, or one. None if the key is missing.
	fn numbers(&self, key: &str) -> Result<Vec<u32>> {
		let numbers: Option<Vec<u32>> = match self.entries.get(key) {
			None => Some(Vec::new()),
			Some(Value::Int(n)) => u32::try_from(*n).ok().map(|n| vec![n]),
			Some(Value::Ints(all)) => all.iter().map(|n| u32::try_from(*n).ok()).collect(),
			Some(_) => None,
		};
		match numbers {
			Some(numbers) => Ok(numbers),
			None => Self::refused(key, "a number below 2³²"),
		}
	}

	fn float(&self, key: &str) -> Result<Option<f64>> {
		match self.entries.get(key) {
			None => Ok(None),
			Some(Value::Float(v)) if v.is_finite() => Ok(Some(*v)),
			Some(Value::Int(n)) => Ok(Some(*n as f64)),
			Some(_) => Self::refused(key, "a finite number"),
		}
	}

	fn flag(&self, key: &str) -> Result<Option<bool>> {
		match self.entries.get(key) {
			None => Ok(None),
			Some(Value::Bool(flag)) => Ok(Some(*flag)),
			Some(_) => Self::refused(key, "true or false"),
		}
	}
}
