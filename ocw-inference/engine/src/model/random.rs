//! A model that means nothing, for measuring: random weights of a given shape.

use super::{config::Config, decoder::Decoder, prompt_overhead, template_for, Model, Network};
use crate::{
	files,
	gpu::Gpu,
	manifest::{Defaults, Manifest, Provenance},
	tokenizer::Tokenizer,
	Result,
};
use assay_primitives::{model::Profile, ModelId};
use std::{sync::Arc, time::Instant};

impl Model {
	/// Random weights in the shape that a `config.json` says, with a tokenizer and a chat template, on a graphics card or on the
	/// processor; the same numbers on both. It has no folder, no known answer and an id of zeros, so no node serves it: it's there to
	/// measure what a model of this shape would take.
	pub fn random(config: &[u8], tokenizer: &[u8], template: &[u8], gpu: Option<Arc<dyn Gpu>>) -> Result<Self> {
		let begun = Instant::now();
		let Config { architecture, numbers } = Config::parse(config)?;
		let rope = numbers.rope_tables();
		let (tokenizer_root, template_root) = (files::root(tokenizer), files::root(template));
		let tokenizer = Tokenizer::parse(tokenizer)?;
		let template = template_for(template, &tokenizer, &numbers)?;
		let manifest = Manifest {
			schema: 1,
			name: "random weights".into(),
			profile: Profile::C1W8,
			architecture: architecture.name().into(),
			rope_root: rope.root(),
			prompt_overhead: prompt_overhead(&template, &tokenizer, &numbers)?,
			defaults: Defaults::default(),
			config_root: files::root(config),
			tokenizer_root,
			template_root,
			tensors: Vec::new(),
			provenance: Provenance::default(),
			numbers,
		};
		let decoder = Decoder::random(manifest.numbers.decoder()?.clone(), rope, gpu)?;
		Ok(Self {
			id: ModelId([0; 32]),
			manifest,
			known_answer: None,
			tokenizer,
			template,
			network: Network::Decoder(Box::new(decoder)),
			load_time: begun.elapsed(),
		})
	}
}
