//! A model: what a checked model directory becomes in memory.

pub mod decoder;
pub mod encoder;
pub(crate) mod logits;
#[cfg(feature = "test-utils")]
mod random;
mod tensor;
pub mod weights;

use crate::{gpu::Gpu, Error, Result};
use assay_model_folder::{
	config::Hyperparameters,
	files,
	manifest::{KnownAnswer, Manifest, ManifestFile},
	template::Template,
	tokenizer::Tokenizer,
	ModelFolder,
};
use assay_numerics::Isa;
use assay_primitives::ModelId;
use decoder::Decoder;
use encoder::Encoder;
use std::{
	path::Path,
	sync::Arc,
	time::{Duration, Instant},
};

/// The weights, in the form that computes.
enum Network {
	Decoder(Box<Decoder>),
	Encoder(Box<Encoder>),
}

/// A model ready to run.
pub struct Model {
	id: ModelId,
	manifest: Manifest,
	known_answer: Option<KnownAnswer>,
	pub(crate) tokenizer: Tokenizer,
	pub(crate) template: Template,
	network: Network,
	load_time: Duration,
}

impl Model {
	/// Loads a canonical model directory. Every byte is checked against the manifest's roots while it is read.
	pub fn load(dir: &Path) -> Result<Self> {
		Self::load_with(dir, true)
	}

	/// Loads a model directory without checking its weights, so that changed weights run under the manifest's name: for tests with a
	/// lying provider.
	#[cfg(feature = "test-utils")]
	pub fn load_unchecked(dir: &Path) -> Result<Self> {
		Self::load_with(dir, false)
	}

	fn load_with(dir: &Path, checked: bool) -> Result<Self> {
		let start = Instant::now();
		let ModelFolder {
			manifest: ManifestFile {
				model_id,
				manifest,
				known_answer,
			},
			tokenizer,
			template,
		} = ModelFolder::read(dir)?;
		let rope = manifest.hyperparameters.rope_tables();
		files::check_root("the rotary table computed here", &rope.root(), &manifest.rope_root)?;
		let weights = |groups: &[Vec<String>]| weights::read(&dir.join(files::WEIGHTS), &manifest, groups, checked);
		let network = match manifest.hyperparameters.clone() {
			Hyperparameters::Decoder(config) => {
				let weights = weights(&Decoder::groups(&config))?;
				Network::Decoder(Box::new(Decoder::new(config, weights, rope)?))
			}
			Hyperparameters::Encoder(config) => {
				let weights = weights(&Encoder::groups(&config))?;
				Network::Encoder(Box::new(Encoder::new(config, weights)?))
			}
		};
		Ok(Self {
			id: model_id,
			manifest,
			known_answer,
			tokenizer,
			template,
			network,
			load_time: start.elapsed(),
		})
	}

	/// Returns its id: the root of its manifest.
	pub fn id(&self) -> ModelId {
		self.id
	}

	/// Returns the manifest it was loaded with.
	pub fn manifest(&self) -> &Manifest {
		&self.manifest
	}

	/// Returns the known answer recorded at its import.
	pub fn known_answer(&self) -> Option<&KnownAnswer> {
		self.known_answer.as_ref()
	}

	/// Returns how long reading and checking it took.
	pub fn load_time(&self) -> Duration {
		self.load_time
	}

	/// Computes with another instruction set. The bits are the same.
	pub fn with_isa(mut self, isa: Isa) -> Self {
		match &mut self.network {
			Network::Decoder(decoder) => decoder.set_isa(isa),
			Network::Encoder(encoder) => encoder.isa = isa,
		}
		self
	}

	/// Moves a decoder's weights to a GPU, and computes there. The bits are the same. An encoder stays on the CPU: its vectors are not
	/// voted on.
	pub fn on_gpu(mut self, gpu: Arc<dyn Gpu>) -> Result<Self> {
		if let Network::Decoder(decoder) = self.network {
			self.network = Network::Decoder(Box::new(decoder.on_gpu(gpu)?));
		}
		Ok(self)
	}

	/// Returns the decoder, which a model that generates text has.
	pub fn decoder(&self) -> Result<&Decoder> {
		match &self.network {
			Network::Decoder(decoder) => Ok(decoder),
			Network::Encoder(_) => Err(Error::Work(
				"the model is an encoder: it computes vectors, not text".into(),
			)),
		}
	}

	/// Returns the encoder, which a model that computes vectors has.
	pub fn encoder(&self) -> Result<&Encoder> {
		match &self.network {
			Network::Encoder(encoder) => Ok(encoder),
			Network::Decoder(_) => Err(Error::Work(
				"the model is a decoder: it generates text, not vectors".into(),
			)),
		}
	}

	/// Returns the vector of a text, f32 `[hidden_size]`. A text with more tokens than the encoder takes is an error.
	pub fn embed(&self, text: &str) -> Result<Vec<f32>> {
		let vector = self.embed_all(&[text])?.pop();
		vector.ok_or_else(|| Error::Compute("a text without its vector".into()))
	}

	/// Returns the vectors of some texts. Each has the same bits as alone.
	pub fn embed_all(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
		let encoder = self.encoder()?;
		let tokens = texts.iter().map(|text| self.tokenizer.encode_marked(text));
		encoder.embed(&tokens.collect::<std::result::Result<Vec<_>, _>>()?)
	}

	/// Returns the tokens that end an answer.
	pub(crate) fn eos_token_ids(&self) -> &[u32] {
		self.manifest.hyperparameters.eos_token_ids()
	}

	/// Returns the token ids of a prompt of one user message, chat template included.
	pub fn prompt(&self, input: &str) -> Result<Vec<u32>> {
		self.decoder()?;
		Ok(self.tokenizer.encode(&self.template.render(input)?)?)
	}

	/// Returns how many tokens of a prompt are paid for: no more than the input has bytes and the template adds, whatever tokenizer and
	/// template make of the input, and no more than the context holds.
	pub(crate) fn input_tokens(&self, input: &str, prompt: usize) -> u32 {
		let bound = input.len().saturating_add(self.manifest.prompt_overhead as usize);
		let tokens = prompt.min(bound).min(self.manifest.context_length() as usize);
		u32::try_from(tokens).unwrap_or(u32::MAX)
	}
}
