//! A model: what a checked folder becomes in memory.

pub mod config;
pub mod decoder;
pub mod encoder;
pub(crate) mod logits;
#[cfg(feature = "test-utils")]
mod random;
mod tensor;
pub mod weights;

use crate::{
	files,
	gpu::Gpu,
	manifest::{KnownAnswer, Manifest, ManifestFile},
	template::Template,
	tokenizer::{Kind, Tokenizer},
	Error, Result,
};
use assay_numerics::Isa;
use assay_primitives::ModelId;
use config::{Config, Numbers};
use decoder::Decoder;
use encoder::Encoder;
use std::{
	path::Path,
	sync::Arc,
	time::{Duration, Instant},
};

/// The weights at work.
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
	/// Loads a canonical folder. Every byte is checked against the manifest's roots while it's read.
	pub fn load(dir: &Path) -> Result<Self> {
		Self::load_with(dir, true)
	}

	/// Loads a folder without comparing roots, so that changed weights run under the manifest's name. Only for tests that play a liar.
	pub fn load_unchecked(dir: &Path) -> Result<Self> {
		Self::load_with(dir, false)
	}

	fn load_with(dir: &Path, checked: bool) -> Result<Self> {
		let begun = Instant::now();
		let ManifestFile {
			model_id,
			manifest,
			known_answer,
		} = ManifestFile::read(dir)?;
		let check = |part: &str, found, expected| match checked {
			true => files::check_root(part, &found, expected),
			false => Ok(()),
		};

		let config = files::read(&dir.join(files::CONFIG), files::MAX_JSON_BYTES)?;
		let numbers = Config::parse(&config)?;
		let expected = manifest.config()?;
		if numbers != expected {
			return Err(Error::Disagree(format!(
				"config.json says {numbers:?}, the manifest {expected:?}"
			)));
		}
		let numbers = numbers.numbers;
		check(files::CONFIG, files::root(&config), &manifest.config_root)?;

		let tokenizer = files::read(&dir.join(files::TOKENIZER), files::MAX_TOKENIZER_BYTES)?;
		check(files::TOKENIZER, files::root(&tokenizer), &manifest.tokenizer_root)?;
		let tokenizer = Tokenizer::parse(&tokenizer)?;
		if tokenizer.size() > numbers.vocab_size() as usize {
			return Err(Error::Disagree(format!(
				"tokenizer.json has token ids up to {}, the weights have {} rows",
				tokenizer.size().saturating_sub(1),
				numbers.vocab_size()
			)));
		}

		let template = match numbers {
			Numbers::Decoder(_) => files::read(&dir.join(files::TEMPLATE), files::MAX_TEMPLATE_BYTES)?,
			// An encoder is asked nothing, so it has none.
			Numbers::Encoder(_) => Vec::new(),
		};
		check(files::TEMPLATE, files::root(&template), &manifest.template_root)?;
		let template = template_for(&template, &tokenizer, &numbers)?;
		let overhead = prompt_overhead(&template, &tokenizer, &numbers)?;
		if overhead != manifest.prompt_overhead {
			let said = manifest.prompt_overhead;
			return Err(Error::Disagree(format!(
				"the manifest says prompt_overhead {said}, the template has {overhead}"
			)));
		}

		let rope = numbers.rope_tables();
		// Not skipped for a liar: a wrong table is a defect of this computer, not a changed model.
		files::check_root("the rotary table computed here", &rope.root(), &manifest.rope_root)?;
		let weights = |groups: &[Vec<String>]| weights::read(&dir.join(files::WEIGHTS), &manifest, groups, checked);
		let network = match numbers {
			Numbers::Decoder(numbers) => {
				let weights = weights(&Decoder::groups(&numbers))?;
				Network::Decoder(Box::new(Decoder::new(numbers, weights, rope)?))
			}
			Numbers::Encoder(numbers) => {
				let weights = weights(&Encoder::groups(&numbers))?;
				Network::Encoder(Box::new(Encoder::new(numbers, weights)?))
			}
		};
		Ok(Self {
			id: model_id,
			manifest,
			known_answer,
			tokenizer,
			template,
			network,
			load_time: begun.elapsed(),
		})
	}

	/// The root of its manifest.
	pub fn id(&self) -> ModelId {
		self.id
	}

	/// What it was loaded by.
	pub fn manifest(&self) -> &Manifest {
		&self.manifest
	}

	/// The answer recorded at its import.
	pub fn known_answer(&self) -> Option<&KnownAnswer> {
		self.known_answer.as_ref()
	}

	/// How long reading and checking it took.
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

	/// Moves a decoder's weights to a graphics card, and computes there. The bits are the same. An encoder stays where it is: nothing
	/// is voted on.
	pub fn on_gpu(mut self, gpu: Arc<dyn Gpu>) -> Result<Self> {
		if let Network::Decoder(decoder) = self.network {
			self.network = Network::Decoder(Box::new(decoder.on_gpu(gpu)?));
		}
		Ok(self)
	}

	/// The decoder, which a model that makes text has.
	pub fn decoder(&self) -> Result<&Decoder> {
		match &self.network {
			Network::Decoder(decoder) => Ok(decoder),
			Network::Encoder(_) => Err(Error::Work("the model is an encoder: it makes vectors, no text".into())),
		}
	}

	/// The encoder, which a model that makes vectors has.
	pub fn encoder(&self) -> Result<&Encoder> {
		match &self.network {
			Network::Encoder(encoder) => Ok(encoder),
			Network::Decoder(_) => Err(Error::Work("the model is a decoder: it makes text, no vectors".into())),
		}
	}

	/// The vector of a text, f32 `[hidden_size]`. A text with more tokens than the encoder takes is an error.
	pub fn embed(&self, text: &str) -> Result<Vec<f32>> {
		let vector = self.embed_all(&[text])?.pop();
		vector.ok_or_else(|| Error::Compute("a text without its vector".into()))
	}

	/// The vectors of some texts. Each has the same bits as by itself.
	pub fn embed_all(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
		let encoder = self.encoder()?;
		let tokens = texts.iter().map(|text| self.tokenizer.encode_marked(text));
		encoder.embed(&tokens.collect::<Result<Vec<_>>>()?)
	}

	/// Tokens that end an answer.
	pub(crate) fn eos_token_ids(&self) -> &[u32] {
		self.manifest.numbers.eos_token_ids()
	}

	/// Token ids of a prompt of one user message, chat template included.
	pub fn prompt(&self, input: &str) -> Result<Vec<u32>> {
		self.decoder()?;
		self.tokenizer.encode(&self.template.render(input)?)
	}

	/// Tokens of a prompt that are paid for: no more than the input has bytes and the template adds, whatever tokenizer and
	/// template make of the input, and no more than the context holds.
	pub(crate) fn input_tokens(&self, input: &str, prompt: usize) -> u32 {
		let bound = input.len().saturating_add(self.manifest.prompt_overhead as usize);
		let tokens = prompt.min(bound).min(self.manifest.context_length() as usize);
		u32::try_from(tokens).unwrap_or(u32::MAX)
	}
}

/// Compiles a template with the special tokens it may name.
pub(crate) fn template_for(source: &[u8], tokenizer: &Tokenizer, numbers: &Numbers) -> Result<Template> {
	let eos = numbers
		.eos_token_ids()
		.iter()
		.find_map(|id| tokenizer.special(*id))
		.unwrap_or_default();
	// The beginning-of-text token is by all conventions one of these; templates that need another write it out.
	let bos = ["<|begin_of_text|>", "<|bos|>", "<s>", "<bos>", "<|startoftext|>"];
	let bos = bos
		.into_iter()
		.find(|name| tokenizer.has_special(name))
		.unwrap_or_default();
	Template::parse(source, bos, eos)
}

/// Most tokens that the template adds to one message: a special token counts one, other text one a byte, because that's the
/// only bound that holds whatever the message's end and the template's text merge to. An encoder's two marks are two.
pub(crate) fn prompt_overhead(template: &Template, tokenizer: &Tokenizer, numbers: &Numbers) -> Result<u32> {
	match (numbers, tokenizer.kind()) {
		(Numbers::Encoder(_), Kind::WordPiece { .. }) => return Ok(2),
		(Numbers::Decoder(_), Kind::ByteLevel | Kind::ByteFallback { .. }) => {}
		(Numbers::Encoder(_), kind) => {
			return Err(Error::Disagree(format!("an encoder needs WordPiece, not {kind:?}")))
		}
		(Numbers::Decoder(_), kind) => return Err(Error::Disagree(format!("text doesn't come back from {kind:?}"))),
	}
	const PROBE: &str = "Xq7Zk9Wv";
	let rendered = template.render(PROBE)?;
	let Some((before, after)) = rendered.split_once(PROBE) else {
		return Err(Error::Template("it does not write the message, or changes it".into()));
	};
	if after.contains(PROBE) {
		return Err(Error::Template(
			"it writes the message twice; a prompt could have more tokens than bytes".into(),
		));
	}
	let mut overhead = 0usize;
	for part in [before, after] {
		let ids = tokenizer.encode(part)?;
		overhead += ids
			.iter()
			.map(|id| {
				if tokenizer.is_special(*id) {
					1
				} else {
					tokenizer.bytes(*id).len()
				}
			})
			.sum::<usize>();
	}
	u32::try_from(overhead).map_err(|_| Error::Template("it adds too much".into()))
}
