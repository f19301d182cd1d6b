//! A model of random weights in a given shape, for measuring.

use super::{decoder::Decoder, Description, Model, Network, Origin};
use crate::{gpu::Gpu, Result};
use assay_model_folder::{
	config::ModelConfig,
	files,
	manifest::{Defaults, Manifest, Provenance},
	prompt::prompt_overhead,
	template::Template,
	tokenizer::Tokenizer,
};
use assay_numerics::format::MatrixFormat;
use assay_primitives::{model::Profile, ModelId};
use std::{sync::Arc, time::Instant};

impl Model {
	/// Makes a model of random weights in the shape of a `config.json`, whose layers' matrices have this format, with a tokenizer and
	/// a chat template, on a GPU or on the CPU; the same numbers on both. It has no model directory, no known answer and an id of zeros, so no node serves it: it's there to
	/// measure what a model of this shape would take.
	pub fn random(
		config: &[u8],
		tokenizer: &[u8],
		template: &[u8],
		format: MatrixFormat,
		gpu: Option<Arc<dyn Gpu>>,
	) -> Result<Self> {
		let start = Instant::now();
		let ModelConfig {
			architecture,
			hyperparameters,
		} = ModelConfig::parse(config)?;
		let rope = hyperparameters.rope_tables();
		let (tokenizer_root, template_root) = (files::root(tokenizer), files::root(template));
		let tokenizer = Tokenizer::parse(tokenizer)?;
		let template = Template::parse(template)?;
		let manifest = Manifest {
			schema: 1,
			name: "random weights".into(),
			profile: Profile::C2,
			architecture: architecture.name().into(),
			rope_root: rope.root(),
			prompt_overhead: prompt_overhead(&template, &tokenizer, &hyperparameters)?,
			defaults: Defaults::default(),
			config_root: files::root(config),
			tokenizer_root,
			template_root,
			tensors: Vec::new(),
			provenance: Provenance::default(),
			hyperparameters,
		};
		let decoder = Decoder::random(manifest.hyperparameters.decoder()?.clone(), rope, format, gpu)?;
		let description = Description {
			id: ModelId([0; 32]),
			manifest,
			known_answer: None,
			tokenizer,
			template,
			vocabulary: Default::default(),
			origin: Origin::Random(format),
			load_time: start.elapsed(),
		};
		Ok(Self {
			description: Arc::new(description),
			network: Network::Decoder(Arc::new(decoder)),
		})
	}
}
