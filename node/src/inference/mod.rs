//! Inference on this node: from the runtime's host function to the engine's process.
//!
//! ```text
//! worker (Wasm) ──host function──▶ Backend ──▶ WorkQueue ──▶ connection ──socket──▶ assay-engine
//!       ▲                            │  ▲                        │                       ▲
//!       └────── WorkerTriggers ◀─────┤  └─── ResultJournal ◀─────┤       supervisor ─────┘
//!                           RPC ◀────┴────────── Streams ◀───────┘
//! ```
//!
//! [`Backend`] answers at once from memory and disk. The supervisor keeps the engine's process alive. The journal has a
//! result on disk before a message made from it leaves the node. [`WorkerTriggers`] runs the worker again when an answer
//! has come. [`Streams`] keeps the drafts of answers in the making.

mod backend;
mod demo_model;
mod engine;
mod journal;
mod log_target;
mod metrics;
mod queue;
mod streams;
mod watched_share;
mod worker_triggers;

pub use backend::{Backend, EngineStatus};
#[cfg(test)]
pub use backend::{EngineState, RefusedDirectory};
pub use engine::{EngineDevice, GpuEngine, ResourceLimits};
pub use metrics::Metrics;
pub use streams::{Draft, DraftState, Streams};
pub use watched_share::WatchedShare;
pub use worker_triggers::WorkerTriggers;

use assay_primitives::crypto::INFERENCE_KEY_TYPE;
use assay_protocol::SandboxMode;
use demo_model::Unpacked;
use engine::{supervise, SupervisorOptions};
use journal::ResultJournal;
use log_target::LOG_TARGET;
use prometheus_endpoint::Registry;
use sc_service::{ChainType, SpawnTaskHandle};
use sp_keystore::{Keystore, KeystorePtr};
use std::{fs, path::PathBuf, sync::Arc};

/// The configuration of inference on a node.
#[derive(Clone, Debug)]
pub struct InferenceOptions {
	/// The engine's program; none switches the engine off.
	pub engine: Option<PathBuf>,
	/// Its program for a GPU, which is tried first.
	pub gpu: Option<GpuEngine>,
	/// The directory that holds a model directory per model.
	pub models: PathBuf,
	/// What part of the machine the engine is given.
	pub limits: ResourceLimits,
	/// Whether the engine is to be confined.
	pub sandbox: SandboxMode,
	/// The directory of the result journal.
	pub journal: PathBuf,
	/// The share of claims that the node checks without having been drawn.
	pub watched: WatchedShare,
	/// Whether drafts are kept, for those who follow a job's answer while it is made.
	pub streams: bool,
	/// Whether the demo model is written into `models` if it is not there.
	pub demo_model: bool,
}

impl InferenceOptions {
	/// The engine beside the node's own program.
	pub fn default_engine() -> PathBuf {
		Self::beside("assay-engine")
	}

	/// The engine for GPUs beside the node's own program, where `make engine-cuda` links it.
	pub fn cuda_engine() -> PathBuf {
		Self::beside("assay-engine-cuda")
	}

	fn beside(name: &str) -> PathBuf {
		std::env::current_exe().map_or_else(|_| name.into(), |node| node.with_file_name(name))
	}
}

/// Opens the journal, writes the demo model and starts the engine. Never fails: a node that cannot infer still makes
/// blocks, and its log has the next step.
pub fn start(options: InferenceOptions, registry: Option<&Registry>, spawner: &SpawnTaskHandle) -> Arc<Backend> {
	let journal = ResultJournal::open(&options.journal)
		.inspect(|journal| log::debug!(target: LOG_TARGET, "Result journal: {} answers", journal.len()))
		.inspect_err(|e| log::error!(target: LOG_TARGET, "{e}"))
		.ok();
	let mut backend = Backend::new(journal, options.watched, Metrics::new(registry));
	if !options.streams {
		backend = backend.without_streams();
		log::info!(target: LOG_TARGET, "Streams: off. Answers of this node are read once they are published.");
	}
	let backend = Arc::new(backend);
	prepare_models(&options);
	match options.engine {
		Some(program) => {
			log::info!(
				target: LOG_TARGET,
				"Engine: {}, models: {}", program.display(), options.models.display(),
			);
			if options.watched != WatchedShare::default() {
				log::info!(
					target: LOG_TARGET,
					"Watching {} % of its models' claims: objecting to a false one holds a bond", options.watched,
				);
			}
			let supervised = SupervisorOptions {
				gpu: options.gpu,
				sandbox: options.sandbox,
				..SupervisorOptions::new(program, options.models, options.limits)
			};
			spawner.spawn(
				"engine-supervisor",
				Some("inference"),
				supervise(backend.clone(), supervised),
			);
		}
		None => log::info!(target: LOG_TARGET, "Engine: off. This node answers no jobs."),
	}
	backend
}

fn prepare_models(options: &InferenceOptions) {
	let models = options.models.display();
	if let Err(e) = fs::create_dir_all(&options.models) {
		log::warn!(target: LOG_TARGET, "Cannot make the directory of models {models}: {e}; name another with --models");
		return;
	}
	if !options.demo_model {
		return;
	}
	match demo_model::unpack(&options.models) {
		Ok(Unpacked::Written) => {
			log::info!(target: LOG_TARGET, "Wrote the demo model to {models}/{}", demo_model::NAME)
		}
		Ok(Unpacked::Present) => {}
		Ok(Unpacked::Other) => log::warn!(
			target: LOG_TARGET,
			"{models}/{} is not the demo model of this node; to get that, move the directory away and restart",
			demo_model::NAME,
		),
		Err(e) => log::warn!(target: LOG_TARGET, "Cannot write the demo model to {models}: {e}"),
	}
}

/// The well-known inference keys that a development or local node holds.
///
/// The first node of a development chain plays all four providers, so that verifiers are really drawn and vote. Any other
/// node plays only its own account: two nodes with one key would vote against each other.
fn dev_seeds(chain: &ChainType, seed: Option<&str>) -> Vec<String> {
	match (chain, seed) {
		(ChainType::Development, Some("//Alice")) => {
			["//Alice", "//Bob", "//Charlie", "//Dave"].map(str::to_owned).to_vec()
		}
		(ChainType::Development | ChainType::Local, Some(seed)) => vec![seed.to_owned()],
		_ => Vec::new(),
	}
}

/// Puts the well-known inference keys of a development or local node into its keystore, in memory only.
pub fn insert_dev_keys(keystore: &KeystorePtr, chain: &ChainType, seed: Option<&str>) {
	for seed in dev_seeds(chain, seed) {
		if let Err(e) = keystore.sr25519_generate_new(INFERENCE_KEY_TYPE, Some(&seed)) {
			log::warn!(target: LOG_TARGET, "Cannot insert the inference key {seed}: {e}");
		}
	}
}

#[cfg(test)]
pub(crate) mod tests {
	use super::*;
	use assay_primitives::{
		limits::MAX_OUTPUT_TOKENS, stream::StreamToken, FinishReason, Input, ModelId, Output, SamplingParams, Work,
		WorkId,
	};

	/// The work of a job's executor, or of everybody who checks its claim.
	pub(super) fn work(job: u8, claim: bool) -> Work {
		Work {
			model: ModelId([7; 32]),
			input: Input::Text(b"What is a receipt?".to_vec().try_into().unwrap()),
			params: SamplingParams::greedy(4),
			seed: [job; 32],
			claim: claim.then(output),
		}
	}

	/// A backend as a node without an engine has it.
	pub(crate) fn idle_backend() -> Backend {
		Backend::new(None, WatchedShare::default(), Metrics::new(None))
	}

	/// A node's drafts, and what an engine does with them.
	pub(crate) struct Engine(pub(crate) Arc<Streams>);

	impl Engine {
		/// Begins a draft, or begins it anew.
		pub(crate) fn begin(&self, work: &WorkId) {
			self.0.begin(work, &SamplingParams::greedy(MAX_OUTPUT_TOKENS));
		}

		/// Reports tokens after the first `first`.
		pub(crate) fn report(&self, work: &WorkId, first: usize, tokens: &[StreamToken]) {
			self.0.progress(work, first as u32, tokens.to_vec());
		}

		/// Makes these tokens the answer.
		pub(crate) fn complete(&self, work: &WorkId, tokens: &[StreamToken]) {
			let ids: Vec<_> = tokens.iter().map(|token| token.id).collect();
			let text: String = tokens.iter().map(|token| token.text.as_str()).collect();
			let output = Output {
				tokens: ids.try_into().unwrap(),
				text: text.into_bytes().try_into().unwrap(),
				..output()
			};
			self.0.complete(work, &output);
		}

		/// Makes no answer.
		pub(crate) fn give_up(&self, work: &WorkId) {
			self.0.give_up(work);
		}
	}

	/// Some output.
	pub(crate) fn output() -> Output {
		Output {
			input_tokens: 9,
			tokens: vec![1, 2, 3].try_into().unwrap(),
			text: b"A receipt".to_vec().try_into().unwrap(),
			finish: FinishReason::Length,
		}
	}

	#[test]
	fn only_the_first_development_node_plays_all_four_providers() {
		assert_eq!(dev_seeds(&ChainType::Development, Some("//Alice")).len(), 4);
		assert_eq!(dev_seeds(&ChainType::Development, Some("//Bob")), ["//Bob"]);
		assert_eq!(dev_seeds(&ChainType::Local, Some("//Alice")), ["//Alice"]);
		assert!(dev_seeds(&ChainType::Local, None).is_empty());
		assert!(dev_seeds(&ChainType::Live, Some("//Alice")).is_empty());
	}

	#[test]
	fn dev_keys_can_sign_votes() {
		let keystore: KeystorePtr = Arc::new(sc_keystore::LocalKeystore::in_memory());
		insert_dev_keys(&keystore, &ChainType::Development, Some("//Alice"));
		let keys = keystore.sr25519_public_keys(INFERENCE_KEY_TYPE);
		assert_eq!(keys.len(), 4);
		assert!(keystore
			.sr25519_sign(INFERENCE_KEY_TYPE, &keys[0], b"vote")
			.unwrap()
			.is_some());
	}
}
