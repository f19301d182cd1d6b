//! One GGUF file: everything of a model in one place, by llama.cpp's names.

mod config;
mod names;
mod read;
mod tokenizer;

use crate::{
	source::{assign, Found, Source, WeightFile},
	Error, ImportOptions, Result,
};
use assay_model_folder::{config::ModelConfig, files, tokenizer::Tokenizer};
use read::{Gguf, Tensor, Value};
use std::{
	collections::BTreeMap,
	fs::File,
	io::{BufReader, Read, Seek, SeekFrom},
	path::Path,
};

/// Reads what the header of a GGUF file says of model and tokenizer, and keeps nothing: what a stranger's file passes through
/// before a weight is read. `file_bytes` is how long the file says it is; `header` is its beginning.
pub fn probe(header: &[u8], file_bytes: u64) -> Result<()> {
	let gguf = Gguf::read(header, file_bytes)?;
	let keys = Keys::new(&gguf)?;
	let config = config::json(&keys, &gguf, None).and_then(|json| Ok(ModelConfig::parse(&json)?));
	let tokenizer = tokenizer::json(&keys).and_then(|json| Ok(Tokenizer::parse(&json)?));
	config?;
	tokenizer.map(|_| ())
}

/// Reads everything of a GGUF file but the weights' values.
pub(super) fn open(path: &Path, options: &ImportOptions) -> Result<Source> {
	let file = File::open(path).map_err(Error::read(path))?;
	let bytes = file.metadata().map_err(Error::read(path))?.len();
	let gguf = Gguf::read(BufReader::new(&file), bytes)?;
	let factors = rope_factors(&file, &gguf).map_err(Error::read(path))?;
	let keys = Keys::new(&gguf)?;
	let mut config = ModelConfig::parse(&config::json(&keys, &gguf, factors.as_deref())?)?;
	if let Some(context) = options.context_length {
		config.hyperparameters.shorten(context);
		config.check()?;
	}
	let head_dim = config.hyperparameters.decoder()?.head_dim;
	let tokenizer = tokenizer::json(&keys)?;
	let template = template(&keys, options)?;
	let mut found = BTreeMap::new();
	for (name, tensor) in &gguf.tensors {
		if name == ROPE_FACTORS {
			continue;
		}
		let Some(theirs) = names::published(name) else {
			return Err(Error::Tensor {
				name: name.clone(),
				reason: "is no tensor that this importer knows".into(),
			});
		};
		let interleaved = keys.arch == "llama" && names::is_interleaved(&theirs);
		found.insert(
			theirs,
			Found {
				file: 0,
				encoding: tensor.encoding,
				shape: tensor.shape.clone(),
				range: tensor.range,
				interleaved: interleaved.then_some(head_dim.into()),
			},
		);
	}
	let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
	let mut weights = [WeightFile {
		name,
		path: path.to_owned(),
		bytes,
		pieces: Vec::new(),
	}];
	assign(&config, found, &mut weights)?;
	Ok(Source {
		config,
		tokenizer,
		template,
		read: Vec::new(),
		files: weights.into(),
	})
}

/// What llama.cpp divides the rotary frequencies by, one number a pair: how Llama 3.1's scaling is written in GGUF.
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

fn template(keys: &Keys<'_>, options: &ImportOptions) -> Result<Vec<u8>> {
	if let Some(file) = &options.chat_template {
		return Ok(files::read(file, files::MAX_TEMPLATE_BYTES)?);
	}
	match keys.text("tokenizer.chat_template")? {
		Some(template) => Ok(template.as_bytes().to_vec()),
		None => Err(Error::Gguf(
			"it has no chat template; give one with --chat-template FILE".into(),
		)),
	}
}

/// The metadata, read with keys in every refusal.
struct Keys<'a> {
	metadata: &'a BTreeMap<String, Value>,
	/// The family, which begins the keys of its numbers.
	arch: &'a str,
}

impl<'a> Keys<'a> {
	fn new(gguf: &'a Gguf) -> Result<Self> {
		let mut keys = Self {
			metadata: &gguf.metadata,
			arch: "",
		};
		keys.arch = keys
			.text("general.architecture")?
			.ok_or_else(|| Error::Gguf("`general.architecture` is missing".into()))?;
		if keys.number("split.count")?.is_some_and(|n| n > 1) {
			return Err(Error::Gguf(
				"it is one part of several; join them with `llama-gguf-split --merge` of llama.cpp".into(),
			));
		}
		Ok(keys)
	}

	/// The key of one of the family's numbers.
	fn of(&self, name: &str) -> String {
		format!("{}.{name}", self.arch)
	}

	fn refused<T>(key: &str, wanted: &str) -> Result<T> {
		Err(Error::Gguf(format!("`{key}` is not {wanted}")))
	}

	fn text(&self, key: &str) -> Result<Option<&'a str>> {
		match self.metadata.get(key) {
			None => Ok(None),
			Some(Value::Text(text)) => Ok(Some(text)),
			Some(_) => Self::refused(key, "a string"),
		}
	}

	fn texts(&self, key: &str) -> Result<Option<&'a [String]>> {
		match self.metadata.get(key) {
			None => Ok(None),
			Some(Value::Texts(texts)) => Ok(Some(texts)),
			Some(_) => Self::refused(key, "a list of strings"),
		}
	}

	/// A number below 2³².
	fn number(&self, key: &str) -> Result<Option<u32>> {
		let number = match self.metadata.get(key) {
			None => return Ok(None),
			Some(Value::Int(n)) => u32::try_from(*n).ok(),
			// One for each layer: read if they are all the same.
			Some(Value::Ints(all)) => match all.split_first() {
				Some((first, rest)) if rest.iter().all(|n| n == first) => u32::try_from(*first).ok(),
				_ => return Self::refused(key, "the same for all layers, as c1-w8 needs it"),
			},
			Some(_) => None,
		};
		match number {
			Some(number) => Ok(Some(number)),
			None => Self::refused(key, "a number below 2³²"),
		}
	}

	fn float(&self, key: &str) -> Result<Option<f64>> {
		match self.metadata.get(key) {
			None => Ok(None),
			Some(Value::Float(v)) if v.is_finite() => Ok(Some(*v)),
			Some(Value::Int(n)) => Ok(Some(*n as f64)),
			Some(_) => Self::refused(key, "a finite number"),
		}
	}

	fn flag(&self, key: &str) -> Result<Option<bool>> {
		match self.metadata.get(key) {
			None => Ok(None),
			Some(Value::Bool(flag)) => Ok(Some(*flag)),
			Some(_) => Self::refused(key, "true or false"),
		}
	}
}
