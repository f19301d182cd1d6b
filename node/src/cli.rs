//! The node's command line.

use crate::inference::{EngineDevice, GpuEngine, InferenceOptions, ResourceLimits, WatchedShare};
use assay_protocol::{process::NICE, ByteSize, SandboxMode};
use clap::{Args, Parser};
use sc_cli::RunCmd;
use sc_service::{ChainType, Configuration};
use std::path::PathBuf;

/// An Assay node.
#[derive(Debug, Parser)]
#[command(
	after_long_help = "A provider that is not a validator runs with `--offchain-worker always`: the worker that answers jobs \
	                   otherwise runs on validators only."
)]
pub struct Cli {
	#[allow(missing_docs)]
	#[command(subcommand)]
	pub subcommand: Option<Subcommand>,

	#[allow(missing_docs)]
	#[clap(flatten)]
	pub run: RunCmd,

	/// Directory for the runtime's compiled code, and for the genesis states of presets. Only the node's own user may be able
	/// to write there: what is in it runs. Default: `runtime-cache` in the base path, for compiled code only.
	#[arg(long, value_name = "DIR", env = "ASSAY_RUNTIME_CACHE")]
	pub runtime_cache: Option<PathBuf>,

	#[allow(missing_docs)]
	#[clap(flatten)]
	pub inference: InferenceParams,
}

impl Cli {
	/// Checks that the base path, if it exists, is a directory. What later fails inside of it would not name it.
	///
	/// # Errors
	///
	/// Names the path that is something else.
	pub fn check_base_path(&self) -> sc_cli::Result<()> {
		match &self.run.shared_params.base_path {
			Some(path) if path.exists() && !path.is_dir() => Err(sc_cli::Error::Input(format!(
				"--base-path `{}` is not a directory",
				path.display()
			))),
			_ => Ok(()),
		}
	}

	/// Returns the directory for the runtime's compiled code.
	pub fn runtime_cache(&self, config: &Configuration) -> PathBuf {
		let chosen = self.runtime_cache.clone();
		let cache = chosen.unwrap_or_else(|| config.base_path.path().join("runtime-cache"));
		// Wasmtime refuses a relative path and goes on without a cache.
		std::path::absolute(&cache).unwrap_or(cache)
	}
}

/// The engine, its models and its limits.
#[derive(Clone, Debug, Args)]
pub struct InferenceParams {
	/// Directory that holds a model directory per model. Default: `models` in the base path.
	#[arg(long, value_name = "DIR")]
	pub models: Option<PathBuf>,

	/// The engine's program. Default: `assay-engine` beside the node's own program.
	#[arg(long, value_name = "PATH", conflicts_with = "no_engine")]
	pub engine: Option<PathBuf>,

	/// What the engine computes on: `cpu`, `cuda` (an NVIDIA GPU; `cuda:1` is the second), or `auto`: a GPU if there is one and
	/// `assay-engine-cuda` is beside the node. All give the same bits. Without a GPU that works, the engine computes on the CPU.
	#[arg(long, value_name = "DEVICE", default_value_t = EngineDevice::Auto, conflicts_with = "no_engine")]
	pub engine_device: EngineDevice,

	/// Run without the engine: follow the chain and make blocks, but answer no jobs.
	#[arg(long)]
	pub no_engine: bool,

	/// Most memory that the engine may allocate, in bytes, or with K, M or G. Past it, it exits and is started again. Default:
	/// three quarters of the machine's; at least 64M.
	#[arg(long, value_name = "BYTES", value_parser = engine_memory)]
	pub engine_memory: Option<ByteSize>,

	/// The engine's niceness, 0 to 19: how far it stands behind the node when both want the CPU.
	#[arg(long, value_name = "N", default_value_t = NICE, value_parser = clap::value_parser!(i32).range(0..=19))]
	pub engine_nice: i32,

	/// Threads that the engine computes on. Default: one less than there are cores, so that the node keeps one; at least one.
	#[arg(long, value_name = "N", value_parser = threads)]
	pub engine_threads: Option<usize>,

	/// Instruction set that the engine computes with: portable, neon, avx2, avx512 or amx. All give the same bits. Default: the
	/// best that works.
	#[arg(long, value_name = "NAME", value_parser = ISAS)]
	pub engine_isa: Option<String>,

	/// Memory for the keys and values of the work that the engine computes side by side, in bytes, or with K, M or G. Default:
	/// the engine's choice.
	#[arg(long, value_name = "BYTES")]
	pub engine_kv_memory: Option<ByteSize>,

	/// Whether the engine is confined to its models and its socket: `auto`, as far as the kernel can, with a warning of what is
	/// missing; `require`, or it is not used; `off`.
	#[arg(long, value_name = "MODE", default_value_t = SandboxMode::Auto, conflicts_with = "no_engine")]
	pub engine_sandbox: SandboxMode,

	/// Share of the published claims of its models that this node checks without having been drawn, in percent: 0 to 100, with
	/// at most one decimal. It objects to a false one, with a bond from the provider's balance.
	#[arg(long, value_name = "PERCENT", default_value_t = WatchedShare::default(), conflicts_with = "no_engine")]
	pub watch_claims: WatchedShare,

	/// Stream no drafts: who asks this node to follow an answer while it is made is refused. Answers are published all the same.
	#[arg(long)]
	pub no_streams: bool,
}

/// The names of instruction sets, as the engine knows them.
const ISAS: [&str; 5] = ["portable", "neon", "avx2", "avx512", "amx"];

/// Least memory of the engine: with less its threads cannot start.
const MIN_MEMORY: ByteSize = ByteSize(64 << 20);

fn engine_memory(text: &str) -> Result<ByteSize, String> {
	let memory: ByteSize = text.parse()?;
	if memory < MIN_MEMORY {
		return Err(format!(
			"the engine needs at least {MIN_MEMORY}, and what its models take"
		));
	}
	Ok(memory)
}

/// Most threads that may be set.
const MAX_THREADS: usize = 1_024;

fn threads(text: &str) -> Result<usize, String> {
	text.parse()
		.ok()
		.filter(|n| (1..=MAX_THREADS).contains(n))
		.ok_or_else(|| format!("a number from 1 to {MAX_THREADS}"))
}

impl InferenceParams {
	/// Fills in the defaults from the node's configuration.
	pub fn options(&self, config: &Configuration) -> InferenceOptions {
		let models = self
			.models
			.clone()
			.unwrap_or_else(|| config.base_path.path().join("models"));
		let engine = (!self.no_engine).then(|| self.engine.clone().unwrap_or_else(InferenceOptions::default_engine));
		let demo_model = engine.is_some()
			&& matches!(
				config.chain_spec.chain_type(),
				ChainType::Development | ChainType::Local
			);
		InferenceOptions {
			engine,
			gpu: GpuEngine::chosen(
				self.engine_device,
				self.engine.is_some(),
				InferenceOptions::cuda_engine(),
			),
			models,
			limits: self.limits(),
			sandbox: self.engine_sandbox,
			journal: config.data_path.join("inference"),
			watched: self.watch_claims,
			streams: !self.no_streams,
			demo_model,
		}
	}

	fn limits(&self) -> ResourceLimits {
		let defaults = ResourceLimits::default();
		ResourceLimits {
			memory: self.engine_memory.or(defaults.memory),
			nice: self.engine_nice,
			threads: self.engine_threads.or(defaults.threads),
			isa: self.engine_isa.clone().or(defaults.isa),
			kv_memory: self.engine_kv_memory.or(defaults.kv_memory),
		}
	}
}

/// Everything a node does besides running.
#[derive(Debug, clap::Subcommand)]
#[allow(clippy::large_enum_variant)] // made once, by clap
pub enum Subcommand {
	/// Make, inspect and insert keys.
	#[command(subcommand)]
	Key(sc_cli::KeySubcommand),

	/// Write a chain specification as JSON.
	ExportChainSpec(sc_cli::ExportChainSpecCmd),

	/// Check blocks.
	CheckBlock(sc_cli::CheckBlockCmd),

	/// Write blocks to a file.
	ExportBlocks(sc_cli::ExportBlocksCmd),

	/// Write the state of a block into a chain specification.
	ExportState(sc_cli::ExportStateCmd),

	/// Read blocks from a file.
	ImportBlocks(sc_cli::ImportBlocksCmd),

	/// Remove the whole chain from disk. The journal of the engine's results stays.
	PurgeChain(sc_cli::PurgeChainCmd),

	/// Go back by some blocks.
	Revert(sc_cli::RevertCmd),

	/// Show what the database holds.
	ChainInfo(sc_cli::ChainInfoCmd),
}

#[cfg(test)]
mod tests {
	use super::*;
	use clap::CommandFactory;

	#[test]
	fn the_command_line_has_no_contradictions() {
		Cli::command().debug_assert();
	}

	#[test]
	fn a_base_path_is_a_directory_or_is_not_there_yet() {
		let check = |path: &str| Cli::parse_from(["assay-node", "--base-path", path]).check_base_path();
		assert!(check("/tmp").is_ok());
		assert!(check("/tmp/nothing/is/here").is_ok());
		let error = check("/dev/null").unwrap_err().to_string();
		assert!(error.contains("`/dev/null` is not a directory"), "{error}");
	}

	#[test]
	fn an_engine_cannot_be_named_and_switched_off() {
		assert!(Cli::try_parse_from(["assay-node", "--no-engine", "--engine", "/bin/true"]).is_err());
		let cli = Cli::try_parse_from(["assay-node", "--dev", "--models", "/m"]).unwrap();
		assert_eq!(cli.inference.models, Some(PathBuf::from("/m")));
		assert!(!cli.inference.no_engine);
	}

	#[test]
	fn a_gpu_is_named_or_found() {
		let device = |args: &[&str]| {
			let args = ["assay-node"].iter().chain(args);
			Cli::try_parse_from(args).map(|cli| cli.inference.engine_device)
		};
		assert_eq!(device(&[]).unwrap(), EngineDevice::Auto);
		assert_eq!(device(&["--engine-device", "cuda:1"]).unwrap(), EngineDevice::Cuda(1));
		assert!(device(&["--engine-device", "tpu"]).is_err());
		assert!(device(&["--no-engine", "--engine-device", "cuda"]).is_err());
		assert!(device(&["--no-engine"]).is_ok());
	}

	#[test]
	fn the_engine_s_sandbox_is_chosen_or_as_the_kernel_can() {
		let mode = |args: &[&str]| {
			let args = ["assay-node"].iter().chain(args);
			Cli::try_parse_from(args).map(|cli| cli.inference.engine_sandbox)
		};
		assert_eq!(mode(&[]).unwrap(), SandboxMode::Auto);
		assert_eq!(mode(&["--engine-sandbox", "require"]).unwrap(), SandboxMode::Require);
		assert!(mode(&["--engine-sandbox", "on"]).is_err());
		assert!(mode(&["--no-engine", "--engine-sandbox", "off"]).is_err());
	}

	#[test]
	fn drafts_are_streamed_unless_that_is_switched_off() {
		let off = |args: &[&str]| {
			let args = ["assay-node"].iter().chain(args);
			Cli::try_parse_from(args).map(|cli| cli.inference.no_streams)
		};
		assert!(!off(&[]).unwrap());
		assert!(off(&["--no-streams"]).unwrap());
		assert!(off(&["--no-streams", "--no-engine"]).unwrap());
	}

	#[test]
	fn no_claim_is_watched_unless_a_share_is_set() {
		let watched = |args: &[&str]| {
			let args = ["assay-node"].iter().chain(args);
			Cli::try_parse_from(args).map(|cli| cli.inference.watch_claims.permille())
		};
		assert_eq!(watched(&[]).unwrap(), 0);
		assert_eq!(watched(&["--watch-claims", "2.5"]).unwrap(), 25);
		for wrong in ["100.1", "0.05", "-1", "all"] {
			assert!(watched(&["--watch-claims", wrong]).is_err(), "{wrong}");
		}
		assert!(watched(&["--no-engine", "--watch-claims", "5"]).is_err());
	}

	#[test]
	fn the_engine_s_limits_are_what_was_set_and_else_the_defaults() {
		let limits_of = |args: &[&str]| {
			let args = ["assay-node"].iter().chain(args);
			Cli::try_parse_from(args).map(|cli| cli.inference.limits())
		};
		assert_eq!(limits_of(&[]).unwrap(), ResourceLimits::default());
		let limits = limits_of(&["--engine-memory", "2G", "--engine-nice", "0", "--engine-threads", "7"]).unwrap();
		assert_eq!(
			(limits.memory, limits.nice, limits.threads),
			(Some(ByteSize(2 << 30)), 0, Some(7))
		);
		let limits = limits_of(&["--engine-isa", "avx2", "--engine-kv-memory", "64M"]).unwrap();
		assert_eq!(
			(limits.isa.as_deref(), limits.kv_memory),
			(Some("avx2"), Some(ByteSize(64 << 20)))
		);
		for wrong in [
			["--engine-memory", "much"],
			["--engine-memory", "0"],
			["--engine-memory", "63M"],
			["--engine-isa", "foo"],
			["--engine-nice", "20"],
			["--engine-nice", "-5"],
			["--engine-threads", "0"],
		] {
			assert!(limits_of(&wrong).is_err(), "{wrong:?}");
		}
	}
}
