//! A model directory as a whole, but for its weights.

use crate::{
	config::{Hyperparameters, ModelConfig},
	files,
	manifest::ManifestFile,
	prompt::prompt_overhead,
	template::Template,
	tokenizer::Tokenizer,
	Error, Result,
};
use std::path::Path;

/// The files of a model directory but its weights, each checked against the manifest, and all against one another.
pub struct ModelFolder {
	/// The manifest with its id and the known answer.
	pub manifest: ManifestFile,
	/// The tokenizer.
	pub tokenizer: Tokenizer,
	/// The chat template; of an encoder, an empty one.
	pub template: Template,
}

impl ModelFolder {
	/// Reads a canonical directory. Every byte is checked against the manifest's roots.
	pub fn read(dir: &Path) -> Result<Self> {
		let file = ManifestFile::read(dir)?;
		let manifest = &file.manifest;

		let json = files::read(&dir.join(files::CONFIG), files::MAX_JSON_BYTES)?;
		let config = ModelConfig::parse(&json)?;
		let expected = manifest.config()?;
		if config != expected {
			return Err(Error::Inconsistent(format!(
				"config.json has {config:?}, the manifest {expected:?}"
			)));
		}
		let hyperparameters = config.hyperparameters;
		files::check_root(files::CONFIG, &files::root(&json), &manifest.config_root)?;

		let json = files::read(&dir.join(files::TOKENIZER), files::MAX_TOKENIZER_BYTES)?;
		files::check_root(files::TOKENIZER, &files::root(&json), &manifest.tokenizer_root)?;
		let tokenizer = Tokenizer::parse(&json)?;
		if tokenizer.size() > hyperparameters.vocab_size() as usize {
			return Err(Error::Inconsistent(format!(
				"tokenizer.json has token ids up to {}, the weights have {} rows",
				tokenizer.size().saturating_sub(1),
				hyperparameters.vocab_size()
			)));
		}

		let source = match hyperparameters {
			Hyperparameters::Decoder(_) => files::read(&dir.join(files::TEMPLATE), files::MAX_TEMPLATE_BYTES)?,
			// Its input is a text and no message, so an encoder has none.
			Hyperparameters::Encoder(_) => Vec::new(),
		};
		files::check_root(files::TEMPLATE, &files::root(&source), &manifest.template_root)?;
		let template = Template::parse(&source)?;
		let overhead = prompt_overhead(&template, &tokenizer, &hyperparameters)?;
		if overhead != manifest.prompt_overhead {
			return Err(Error::Inconsistent(format!(
				"the manifest has prompt_overhead {}, the template {overhead}",
				manifest.prompt_overhead
			)));
		}
		Ok(Self {
			manifest: file,
			tokenizer,
			template,
		})
	}
}
