//! A model: what a checked model directory becomes in memory.

pub mod decoder;
pub mod encoder;
pub(crate) mod logits;
pub(crate) mod matrix;
pub(crate) mod prompt;
#[cfg(feature = "test-utils")]
mod random;
mod tensor;
pub mod weights;

use crate::{gpu::Gpu, grammar::Vocabulary, Error, Result};
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
	sync::{Arc, OnceLock},
	time::{Duration, Instant},
};
use weights::WeightsFile;

/// The weights, in the form that computes.
#[derive(Clone)]
enum Network {
	Decoder(Arc<Decoder>),
	Encoder(Arc<Encoder>),
}

/// A model ready to run. Its clones share everything with it.
#[derive(Clone)]
pub struct Model {
	description: Arc<Description>,
	network: Network,
}

/// What is known of a model besides its weights.
struct Description {
	id: ModelId,
	manifest: Manifest,
	known_answer: Option<KnownAnswer>,
	tokenizer: Tokenizer,
	template: Template,
	/// Its tokens as grammars need them, made for the first that needs them.
	vocabulary: OnceLock<Arc<Vocabulary>>,
	/// Where the weights came from.
	origin: Origin,
	load_time: Duration,
}

/// Where weights came from, and can be had again.
enum Origin {
	File(WeightsFile),
	/// They are made of random numbers in this format, the same each time.
	#[cfg(feature = "test-utils")]
	Random(assay_numerics::format::MatrixFormat),
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
		let file = WeightsFile::open(dir.join(files::WEIGHTS), checked)?;
		let network = match manifest.hyperparameters.clone() {
			Hyperparameters::Decoder(config) => {
				let weights = file.read(&manifest, &Decoder::groups(&config))?;
				Network::Decoder(Arc::new(Decoder::new(config, weights, rope)?))
			}
			Hyperparameters::Encoder(config) => {
				let weights = file.read(&manifest, &Encoder::groups(&config))?;
				Network::Encoder(Arc::new(Encoder::new(config, weights)?))
			}
		};
		let description = Description {
			id: model_id,
			manifest,
			known_answer,
			tokenizer,
			template,
			vocabulary: OnceLock::new(),
			origin: Origin::File(file),
			load_time: start.elapsed(),
		};
		Ok(Self {
			description: Arc::new(description),
			network,
		})
	}

	/// Returns its id: the root of its manifest.
	pub fn id(&self) -> ModelId {
		self.description.id
	}

	/// Returns the manifest it was loaded with.
	pub fn manifest(&self) -> &Manifest {
		&self.description.manifest
	}

	/// Returns the known answer recorded at its import.
	pub fn known_answer(&self) -> Option<&KnownAnswer> {
		self.description.known_answer.as_ref()
	}

	/// Returns how long reading and checking it took.
	pub fn load_time(&self) -> Duration {
		self.description.load_time
	}

	/// Computes with another instruction set. The bits are the same.
	pub fn with_isa(mut self, isa: Isa) -> Self {
		match &mut self.network {
			Network::Decoder(decoder) => Arc::make_mut(decoder).set_isa(isa),
			Network::Encoder(encoder) => Arc::make_mut(encoder).isa = isa,
		}
		self
	}

	/// Moves a decoder's weights to a GPU, and computes there. The bits are the same. An encoder stays on the CPU: its vectors are
	/// no answers.
	pub fn on_gpu(mut self, gpu: Arc<dyn Gpu>) -> Result<Self> {
		if let Network::Decoder(decoder) = self.network {
			let decoder = Arc::unwrap_or_clone(decoder).on_gpu(gpu)?;
			self.network = Network::Decoder(Arc::new(decoder));
		}
		Ok(self)
	}

	/// Returns what computes its rows, for people.
	pub(crate) fn computed_by(&self) -> String {
		match &self.network {
			Network::Decoder(decoder) => decoder.isa().map_or("a GPU".into(), |isa| isa.to_string()),
			Network::Encoder(encoder) => encoder.isa.to_string(),
		}
	}

	/// Returns whether the portable instructions compute it, which every machine has and by which the others are judged.
	pub(crate) fn is_portable(&self) -> bool {
		self.decoder().is_ok_and(|decoder| decoder.isa() == Some(Isa::Portable))
	}

	/// Returns the decoder as the portable instructions compute it on the CPU. It shares the weights with a decoder on the CPU.
	/// Where a GPU has them they are read and checked again, which takes as much memory and time as loading the model took.
	pub(crate) fn portable_decoder(&self) -> Result<Decoder> {
		let here = self.decoder()?;
		if let Some(decoder) = here.sharing(Isa::Portable) {
			return Ok(decoder);
		}
		let (config, rope) = (here.config().clone(), self.manifest().hyperparameters.rope_tables());
		let mut decoder = match &self.description.origin {
			Origin::File(file) => {
				let weights = file.read(self.manifest(), &Decoder::groups(&config))?;
				Decoder::new(config, weights, rope)?
			}
			#[cfg(feature = "test-utils")]
			Origin::Random(format) => Decoder::random(config, rope, *format, None)?,
		};
		decoder.set_isa(Isa::Portable);
		Ok(decoder)
	}

	/// Makes a decoder compute wrongly with everything but the portable instructions: for tests of what then leaves the engine.
	#[cfg(feature = "test-utils")]
	pub fn with_a_fault(mut self) -> Self {
		if let Network::Decoder(decoder) = &mut self.network {
			Arc::make_mut(decoder).set_faulty();
		}
		self
	}

	/// Returns the decoder, which a model that generates text has.
	pub fn decoder(&self) -> Result<&Arc<Decoder>> {
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
		let tokens = texts.iter().map(|text| self.tokenizer().encode_marked(text));
		encoder.embed(&tokens.collect::<std::result::Result<Vec<_>, _>>()?)
	}

	/// Returns its tokenizer.
	pub(crate) fn tokenizer(&self) -> &Tokenizer {
		&self.description.tokenizer
	}

	/// Returns its chat template.
	pub(crate) fn template(&self) -> &Template {
		&self.description.template
	}

	/// Returns its tokens as grammars need them.
	pub(crate) fn vocabulary(&self) -> Result<&Arc<Vocabulary>> {
		let vocabulary = &self.description.vocabulary;
		if let Some(vocabulary) = vocabulary.get() {
			return Ok(vocabulary);
		}
		let made = Vocabulary::new(self.tokenizer(), self.decoder()?.vocabulary(), self.eos_token_ids())?;
		Ok(vocabulary.get_or_init(|| Arc::new(made)))
	}

	/// Returns the tokens that end an answer.
	pub(crate) fn eos_token_ids(&self) -> &[u32] {
		self.manifest().hyperparameters.eos_token_ids()
	}

	/// Returns how many layers' rows the trace of a run has: a decoder's; an encoder runs nothing.
	pub(crate) fn layers(&self) -> usize {
		self.decoder().map_or(0, |decoder| decoder.layers())
	}

	/// Returns whether a special token is written like this. It is part of no answer's text.
	pub fn is_special(&self, written: &str) -> bool {
		let tokenizer = self.tokenizer();
		tokenizer.id(written).is_some_and(|id| tokenizer.is_special(id))
	}
}
