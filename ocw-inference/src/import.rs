//! Makes a canonical model folder from a Hugging Face one.
//!
//! The same source gives the same bytes on every computer: weights are quantised by a rule with one result, tensor by tensor,
//! and nothing else is written than what is hashed.

use crate::{
	canonical::linear::BLOCK,
	engine, files, generate,
	header::{byte_size, Dtype, Header, TensorInfo},
	layout::{is_inert, layout, source_layout, SourceSpec, SCALE_SUFFIX},
	manifest::{Defaults, Manifest, ManifestFile, Provenance, SourceFile, TensorEntry},
	model::{
		config::{Config, Numbers},
		prompt_overhead, template_for,
		weights::to_f32,
		Model,
	},
	tokenizer::Tokenizer,
	Error, Result,
};
use assay_primitives::{model::Profile, Hash32, ModelId};
use half::f16;
use std::{
	collections::HashMap,
	fs::{self, File},
	io::{BufWriter, Read, Seek, SeekFrom, Write},
	path::Path,
};

/// Names the rule below; a change of one bit of its result changes this name.
const QUANTISER: &str = "assay w8 blocks of 32, version 1";
const KNOWN_PROMPT: &str = "What is this model good for?";
const KNOWN_TOKENS: u32 = 24;

/// What a person says about the model to import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
	/// What people will call it.
	pub name: String,
	/// Who made the weights, and where they are published.
	pub source: String,
	/// Which version of it.
	pub revision: String,
	/// The licence of the weights (SPDX).
	pub licence: String,
	/// The Assay model it was made from, if any.
	pub parent: Option<ModelId>,
	/// Suggested sampling.
	pub defaults: Defaults,
	/// Longest context to offer; the model's own if none. A shorter one needs a smaller rotary table and less memory.
	pub context_length: Option<u32>,
}

/// Imports a Hugging Face folder into a new or empty folder. Returns the model's id.
pub fn import(source: &Path, out: &Path, options: &ImportOptions) -> Result<ModelId> {
	prepare(out)?;
	let config_json = files::read(&source.join(files::CONFIG), files::MAX_JSON_BYTES)?;
	let mut config = Config::parse(&config_json)?;
	if let Some(context) = options.context_length {
		config.numbers.shorten(context);
		config.check()?;
	}
	let numbers = &config.numbers;
	let tokenizer_json = files::read(&source.join(files::TOKENIZER), files::MAX_TOKENIZER_BYTES)?;
	let tokenizer = Tokenizer::parse(&tokenizer_json)?;
	let template_source = read_template(source)?;
	let template = template_for(&template_source, &tokenizer, numbers)?;
	let canonical_config = config.to_json();

	let weights = source.join(files::WEIGHTS);
	if !weights.exists() && source.join("model.safetensors.index.json").exists() {
		return Err(Error::Import(
			"the weights are sharded; join them into one model.safetensors first".into(),
		));
	}
	let upstream = vec![
		SourceFile {
			name: files::CONFIG.into(),
			root: files::root(&config_json),
		},
		SourceFile {
			name: files::WEIGHTS.into(),
			root: file_root(&weights)?,
		},
		SourceFile {
			name: files::TOKENIZER.into(),
			root: files::root(&tokenizer_json),
		},
	];
	let tensors = quantise_file(&weights, &out.join(files::WEIGHTS), numbers)?;
	files::write(&out.join(files::CONFIG), &canonical_config)?;
	files::write(&out.join(files::TOKENIZER), &tokenizer_json)?;
	files::write(&out.join(files::TEMPLATE), &template_source)?;

	let manifest = Manifest {
		schema: 1,
		name: options.name.clone(),
		profile: Profile::C1W8,
		architecture: config.architecture.name().into(),
		rope_root: numbers.rope_tables().root(),
		prompt_overhead: prompt_overhead(&template, &tokenizer)?,
		defaults: options.defaults,
		config_root: files::root(&canonical_config),
		tokenizer_root: files::root(&tokenizer_json),
		template_root: files::root(&template_source),
		tensors,
		provenance: Provenance {
			source: options.source.clone(),
			revision: options.revision.clone(),
			upstream,
			quantiser: QUANTISER.into(),
			parent: options.parent,
			licence: options.licence.clone(),
		},
		numbers: config.numbers,
	};
	manifest.check()?;
	ManifestFile::new(manifest.clone(), None).write(out)?;

	// The folder is complete; run it once, so that others can tell whether they compute the same.
	let model = Model::load(out)?;
	let mut known = engine::known_question(KNOWN_PROMPT, KNOWN_TOKENS, files::root(KNOWN_PROMPT.as_bytes()));
	let (params, seed) = engine::question_of(&known);
	known.answer = generate::execute(&model, &known.prompt, &params, seed)?.hash();
	let file = ManifestFile::new(manifest, Some(known));
	file.write(out)?;
	Ok(file.model_id)
}

fn prepare(out: &Path) -> Result<()> {
	fs::create_dir_all(out).map_err(Error::io(out))?;
	match fs::read_dir(out).map_err(Error::io(out))?.next() {
		Some(_) => Err(Error::Import(format!(
			"{} is not empty; name a new folder",
			out.display()
		))),
		None => Ok(()),
	}
}

/// The chat template: a file of its own, or inside `tokenizer_config.json`.
fn read_template(source: &Path) -> Result<Vec<u8>> {
	let file = source.join(files::TEMPLATE);
	if file.exists() {
		return files::read(&file, files::MAX_TEMPLATE_BYTES);
	}
	let config = files::read(&source.join("tokenizer_config.json"), files::MAX_JSON_BYTES)?;
	let config: serde_json::Value =
		serde_json::from_slice(&config).map_err(|e| Error::Import(format!("tokenizer_config.json: {e}")))?;
	match config.get("chat_template").and_then(serde_json::Value::as_str) {
		Some(template) => Ok(template.as_bytes().to_vec()),
		None => Err(Error::Import(
			"no chat template: neither chat_template.jinja nor in tokenizer_config.json".into(),
		)),
	}
}

fn file_root(path: &Path) -> Result<Hash32> {
	let mut hasher = blake3::Hasher::new();
	let file = File::open(path).map_err(Error::io(path))?;
	hasher.update_reader(file).map_err(Error::io(path))?;
	Ok(*hasher.finalize().as_bytes())
}

/// Quantises a file of published weights into a canonical one, one tensor at a time.
fn quantise_file(source: &Path, out: &Path, numbers: &Numbers) -> Result<Vec<TensorEntry>> {
	let mut file = File::open(source).map_err(Error::io(source))?;
	let bytes = file.metadata().map_err(Error::io(source))?.len();
	let header = Header::read(&mut file, bytes)?;
	let specs = source_layout(numbers);
	check_names(&header, &specs, numbers)?;

	let canonical = layout(numbers);
	let out_header = Header::canonical(canonical.iter().map(|t| (t.name.as_str(), t.dtype, t.shape.as_slice())));
	let mut writer = BufWriter::new(File::create(out).map_err(Error::io(out))?);
	writer.write_all(&out_header).map_err(Error::io(out))?;

	// A matrix is followed by its scales in the order of names, so they are made together and the scales wait one turn.
	let specs: HashMap<&str, &SourceSpec> = specs.iter().map(|s| (s.name.as_str(), s)).collect();
	let mut scales = None;
	let mut entries = Vec::new();
	for tensor in canonical {
		let data = if tensor.name.ends_with(SCALE_SUFFIX) {
			scales.take().unwrap_or_default()
		} else {
			let (Some(spec), Some(info)) = (specs.get(tensor.name.as_str()), header.tensors.get(&tensor.name)) else {
				return Err(Error::Tensor {
					name: tensor.name,
					reason: "missing".into(),
				});
			};
			let values = read_tensor(&mut file, header.data_start, info).map_err(Error::io(source))?;
			let refused = |reason: &str| Error::Tensor {
				name: tensor.name.clone(),
				reason: reason.into(),
			};
			if values.iter().any(|v| !v.is_finite()) {
				return Err(refused("has a NaN or an infinity"));
			}
			match spec.quantised {
				true => {
					let (weights, s) = quantise(&values).ok_or_else(|| refused("is too large for f16 scales"))?;
					scales = Some(s);
					weights
				}
				false => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
			}
		};
		writer.write_all(&data).map_err(Error::io(out))?;
		let root = files::root(&data);
		entries.push(TensorEntry {
			name: tensor.name,
			dtype: tensor.dtype,
			shape: tensor.shape,
			root,
		});
	}
	writer.flush().map_err(Error::io(out))?;
	Ok(entries)
}

fn check_names(header: &Header, specs: &[SourceSpec], numbers: &Numbers) -> Result<()> {
	for spec in specs {
		let refused = |reason: String| {
			Err(Error::Tensor {
				name: spec.name.clone(),
				reason,
			})
		};
		let Some(info) = header.tensors.get(&spec.name) else {
			return refused("config.json asks for it, the weights lack it".into());
		};
		let shape = spec.shape();
		if info.shape != shape {
			return refused(format!("has shape {:?}; config.json asks for {shape:?}", info.shape));
		}
		if info.dtype == Dtype::I8 {
			return refused("is int8; import the floats it was made from".into());
		}
	}
	let known = |name: &str| is_inert(numbers, name) || specs.iter().any(|s| s.name == name);
	match header.tensors.keys().find(|name| !known(name)) {
		Some(name) => Err(Error::Tensor {
			name: name.clone(),
			reason: "is no part of the model that config.json describes".into(),
		}),
		None => Ok(()),
	}
}

fn read_tensor(file: &mut File, data_start: u64, info: &TensorInfo) -> std::io::Result<Vec<f32>> {
	file.seek(SeekFrom::Start(data_start + info.data_offsets.0))?;
	let mut data = Vec::new();
	file.take(byte_size(info.dtype, &info.shape).unwrap_or(0))
		.read_to_end(&mut data)?;
	Ok(to_f32(info.dtype, &data))
}

/// Per block of 32: the scale is `max|w| / 127` rounded to f16, a weight is `w / scale` rounded to the nearest int8, ties to
/// even. None if a scale overflows.
fn quantise(values: &[f32]) -> Option<(Vec<u8>, Vec<u8>)> {
	let mut weights = Vec::with_capacity(values.len());
	let mut scales = Vec::with_capacity(values.len() / BLOCK * 2);
	for block in values.chunks(BLOCK) {
		let amax = block.iter().fold(0f32, |a, v| a.max(v.abs()));
		let scale = f16::from_f32(amax / 127.0);
		if !scale.is_finite() {
			return None;
		}
		scales.extend(scale.to_le_bytes());
		let d = scale.to_f32();
		weights.extend(block.iter().map(|v| {
			let q = if d == 0.0 {
				0.0
			} else {
				(v / d).round_ties_even().clamp(-127.0, 127.0)
			};
			(q as i8) as u8
		}));
	}
	Some((weights, scales))
}
