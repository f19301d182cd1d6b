//! Makes a canonical model directory from a published model: a Hugging Face directory, of floats or packed by AWQ or GPTQ,
//! or a GGUF file.
//!
//! The same source gives the same bytes on every machine: weights are quantized by a rule with one result, and nothing
//! else is written than what is hashed. The weights pass through a few megabytes of memory, whatever their size.
//!
//! The work is done in `<out>.partial`, which becomes `<out>` by one rename when everything is in it. An import that
//! ends early (Ctrl-C, a full disk, a power cut) goes on where it was when it is started again; what it finds there it
//! checks.

#![deny(missing_docs)]

mod blocks;
mod chat_template;
mod checkpoint;
mod convert;
#[cfg(test)]
mod documented;
mod error;
mod generation;
mod ggml;
mod gguf;
mod hugging_face;
mod journal;
mod measure;
mod provenance;
mod quantize;
mod sentence_transformers;
mod source;
mod tensors;
mod tokenizer_files;

pub use error::{Error, Result};
pub use gguf::probe as probe_gguf;

use assay_engine::{known_answer, Model};
use assay_model_folder::{
	config::Hyperparameters,
	files,
	formats::Format,
	layout::{layout, TensorSpec},
	manifest::{Defaults, Manifest, ManifestFile, Provenance, TensorEntry},
	prompt::prompt_overhead,
	template::Template,
	tokenizer::Tokenizer,
};
use assay_primitives::{model::Profile, Hash32, ModelId};
use quantize::Plan;
use source::{Choice, Source};
use std::{
	fs::{self, File},
	io::ErrorKind,
	ops::ControlFlow,
	path::{Path, PathBuf},
};

/// A manifest that is not complete yet.
const NEW_MANIFEST: &str = "manifest.json.new";

/// What the person who imports a model states about it.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
	/// The name that people will use.
	pub name: String,
	/// Who made the weights, and where they are published.
	pub source: String,
	/// Which version of it.
	pub revision: String,
	/// The license of the weights (SPDX).
	pub license: String,
	/// The Assay model it was made from, if any.
	pub parent: Option<ModelId>,
	/// Suggested sampling.
	pub defaults: Defaults,
	/// Format of the layers' matrices that are floats, or blocks that no format of c2 stands for. The embedding, the output
	/// layer and encoders are `w8-32`.
	pub weights: Format,
	/// Longest context to offer; the model's own if none. A shorter one needs a smaller rotary table and less memory.
	pub context_length: Option<u32>,
	/// A chat template to take instead of the source's own.
	pub chat_template: Option<PathBuf>,
	/// Leave the known answer out, which needs memory for the whole model. [`record_known_answer`] adds it on another
	/// machine; no node serves a model without one.
	pub without_answer: bool,
}

/// How far an import is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
	/// The source is imported, but a person should know this of it. Reported before anything is converted.
	Warning(String),
	/// Weights are being converted.
	Converting {
		/// Bytes of the source that were read.
		done: u64,
		/// Bytes of the source.
		total: u64,
	},
	/// A first conversion, to int8, is complete; it runs over a text, to measure which weights matter most.
	Measuring,
	/// The directory is complete; the model runs once for its known answer.
	Answering,
}

/// Is called with the progress several times a second, and may end the import.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Imports a published model into a new or empty directory. Returns the model's id.
pub fn import(source: &Path, out: &Path, options: &ImportOptions) -> Result<ModelId> {
	import_with(source, out, options, &mut |_| ControlFlow::Continue(()))
}

/// [`import`] that reports its progress.
pub fn import_with(source: &Path, out: &Path, options: &ImportOptions, watch: Watch<'_>) -> Result<ModelId> {
	let mut source = if source.is_dir() {
		hugging_face::open(source, options)?
	} else {
		gguf::open(source, options)?
	};
	let choice = Choice::new(source.config.architecture, options.weights);
	let manifest = describe(&source, &choice, options)?;
	// Hyperparameters, name, tokenizer and template are all checked before the first byte is written.
	manifest.check()?;
	let partial = claim(out)?;
	for warning in source.warnings.drain(..) {
		if watch(Progress::Warning(warning)).is_break() {
			return Err(Error::Interrupted { partial });
		}
	}
	let plan = match measure::needed(&source, &choice) {
		Some(equalized) => measure::plan(&source, &choice, &equalized, options, &partial, watch)?,
		None => Plan::default(),
	};
	let mut file = complete(&source, &choice, &plan, manifest, &partial, watch)?;
	if !options.without_answer {
		if watch(Progress::Answering).is_break() {
			return Err(Error::Interrupted { partial });
		}
		answer(&partial, &mut file)?;
	}
	publish(&partial, out)?;
	Ok(file.model_id)
}

/// Converts the weights into a directory and writes the other files beside them, the manifest last.
fn complete(
	source: &Source,
	choice: &Choice,
	plan: &Plan,
	manifest: Manifest,
	dir: &Path,
	watch: Watch<'_>,
) -> Result<ManifestFile> {
	let (tensors, weights) = convert::convert(source, choice, plan, dir, watch)?;
	let mut upstream = source.read.clone();
	upstream.extend(weights);
	upstream.sort_by(|a, b| a.name.cmp(&b.name));
	let manifest = Manifest {
		tensors,
		provenance: Provenance {
			upstream,
			..manifest.provenance
		},
		..manifest
	};
	write(&dir.join(files::CONFIG), &source.config.to_json())?;
	write(&dir.join(files::TOKENIZER), &source.tokenizer)?;
	if let Hyperparameters::Decoder(_) = source.config.hyperparameters {
		write(&dir.join(files::TEMPLATE), &source.template)?;
	}
	let file = ManifestFile::new(manifest, None);
	write_manifest(dir, &file)?;
	Ok(file)
}

/// Runs a model of which the import left the known answer out, and writes the answer to its manifest. Returns the
/// model's id.
pub fn record_known_answer(dir: &Path) -> Result<ModelId> {
	let mut file = ManifestFile::read(dir)?;
	if file.known_answer.is_some() {
		return Err(Error::Import(format!("{} has its known answer already", dir.display())));
	}
	answer(dir, &mut file)?;
	Ok(file.model_id)
}

/// Returns the manifest, with the roots of the weights still zero.
fn describe(source: &Source, choice: &Choice, options: &ImportOptions) -> Result<Manifest> {
	let hyperparameters = &source.config.hyperparameters;
	let tokenizer = Tokenizer::parse(&source.tokenizer)?;
	if tokenizer.size() > hyperparameters.vocab_size() as usize {
		return Err(Error::Import(format!(
			"the tokenizer has token ids up to {}, the weights have {} rows",
			tokenizer.size().saturating_sub(1),
			hyperparameters.vocab_size()
		)));
	}
	// This checks, too, whether tokenizer and template fit the hyperparameters.
	let template = Template::parse(&source.template)?;
	let prompt_overhead = prompt_overhead(&template, &tokenizer, hyperparameters)?;
	let question = match hyperparameters {
		Hyperparameters::Decoder(_) => tokenizer.encode(&template.render(known_answer::PROMPT)?)?.len(),
		Hyperparameters::Encoder(_) => tokenizer.encode_marked(known_answer::PROMPT)?.len(),
	};
	check_context(question, hyperparameters, options)?;
	let blank = |spec: TensorSpec| TensorEntry {
		name: spec.name,
		dtype: spec.dtype,
		shape: spec.shape,
		root: Hash32::default(),
	};
	Ok(Manifest {
		schema: 1,
		name: options.name.clone(),
		profile: Profile::C2,
		architecture: source.config.architecture.name().into(),
		rope_root: hyperparameters.rope_tables().root(),
		prompt_overhead,
		defaults: options.defaults,
		config_root: files::root(&source.config.to_json()),
		tokenizer_root: files::root(&source.tokenizer),
		template_root: files::root(&source.template),
		tensors: layout(hyperparameters, &source.formats(choice))
			.into_iter()
			.map(blank)
			.collect(),
		provenance: Provenance {
			source: options.source.clone(),
			revision: options.revision.clone(),
			upstream: Vec::new(),
			quantizer: provenance::quantizer(source, choice),
			parent: options.parent,
			license: options.license.clone(),
		},
		hyperparameters: hyperparameters.clone(),
	})
}

/// Refuses a context in which no question can be answered, before hours are spent on the weights.
fn check_context(question: usize, hyperparameters: &Hyperparameters, options: &ImportOptions) -> Result<()> {
	let (length, key, answer) = match hyperparameters {
		Hyperparameters::Decoder(n) => (
			n.max_position_embeddings,
			"max_position_embeddings",
			known_answer::LEAST_TOKENS,
		),
		Hyperparameters::Encoder(n) => (n.max_seq_length, "max_seq_length", 0),
	};
	if question + answer <= length as usize {
		return Ok(());
	}
	let next = match options.context_length {
		Some(_) => "give a longer --context-length".into(),
		None => format!("take a model with a longer one (`{key}`), or a shorter --chat-template"),
	};
	Err(Error::Import(format!(
		"a context of {length} tokens is too short for this model to answer anything: the question \"{}\" takes \
		 {question} of them with the chat template, and its answer at least {answer}; {next}",
		known_answer::PROMPT
	)))
}

/// Runs the finished model once, so that others can tell whether they compute the same.
fn answer(dir: &Path, file: &mut ManifestFile) -> Result<()> {
	let model = Model::load(dir)?;
	file.known_answer = Some(known_answer::choose(&model)?);
	write_manifest(dir, file)
}

/// Returns where the work on `out` is done.
fn partial_of(out: &Path) -> Result<PathBuf> {
	match out.file_name() {
		Some(name) => {
			let mut name = name.to_owned();
			name.push(".partial");
			Ok(out.with_file_name(name))
		}
		None => Err(Error::Import(format!(
			"{} is not a name for a new directory",
			out.display()
		))),
	}
}

/// Makes or finds the directory to work in, and makes sure that no other files are in the way.
fn claim(out: &Path) -> Result<PathBuf> {
	let empty = match fs::read_dir(out) {
		Ok(mut entries) => entries.next().is_none(),
		Err(e) if e.kind() == ErrorKind::NotFound => true,
		Err(e) => return Err(Error::write(out)(e)),
	};
	if !empty {
		return Err(Error::Import(format!(
			"{} is not empty; name a new directory",
			out.display()
		)));
	}
	let partial = partial_of(out)?;
	fs::create_dir_all(&partial).map_err(Error::write(&partial))?;
	check_ours(&partial)?;
	Ok(partial)
}

/// Makes sure that a directory has nothing but files of an import, and of its first pass.
fn check_ours(dir: &Path) -> Result<()> {
	let ours = [
		files::WEIGHTS,
		files::CONFIG,
		files::TOKENIZER,
		files::TEMPLATE,
		files::MANIFEST,
		NEW_MANIFEST,
		journal::JOURNAL,
	];
	for entry in fs::read_dir(dir).map_err(Error::read(dir))? {
		let entry = entry.map_err(Error::read(dir))?;
		let kind = entry.file_type().map_err(Error::read(dir))?;
		let name = entry.file_name();
		if kind.is_dir() && name == measure::FIRST_PASS && !dir.ends_with(measure::FIRST_PASS) {
			check_ours(&entry.path())?;
		} else if !kind.is_file() || !ours.iter().any(|ours| name == *ours) {
			return Err(Error::Import(format!(
				"{} is not part of an import; remove it, or name another directory",
				entry.path().display()
			)));
		}
	}
	Ok(())
}

/// Makes the directory appear under its name, complete, at once.
fn publish(partial: &Path, out: &Path) -> Result<()> {
	measure::remove(partial)?;
	let journal = partial.join(journal::JOURNAL);
	fs::remove_file(&journal).map_err(Error::write(&journal))?;
	let sync = |dir: &Path| File::open(dir).and_then(|d| d.sync_all()).map_err(Error::write(dir));
	sync(partial)?;
	fs::rename(partial, out).map_err(Error::write(out))?;
	let parent = out.parent().filter(|p| !p.as_os_str().is_empty());
	sync(parent.unwrap_or(Path::new(".")))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
	let put = || {
		fs::write(path, content)?;
		File::open(path)?.sync_all()
	};
	put().map_err(Error::write(path))
}

/// Replaces `manifest.json` atomically, so that nobody reads half of it.
fn write_manifest(dir: &Path, file: &ManifestFile) -> Result<()> {
	let (path, new) = (dir.join(files::MANIFEST), dir.join(NEW_MANIFEST));
	write(&new, &file.to_json()?)?;
	fs::rename(&new, &path).map_err(Error::write(&path))
}
