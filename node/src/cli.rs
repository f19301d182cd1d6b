//! What can be said on the node's command line.

use crate::inference::Options;
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

	#[allow(missing_docs)]
	#[clap(flatten)]
	pub inference: InferenceParams,
}

/// Where the engine and its models are.
#[derive(Clone, Debug, Args)]
pub struct InferenceParams {
	/// Folder that holds one folder per model. Default: `models` in the base path.
	#[arg(long, value_name = "DIR")]
	pub models: Option<PathBuf>,

	/// The engine's program. Default: `assay-engine` beside the node's own program.
	#[arg(long, value_name = "PATH", conflicts_with = "no_engine")]
	pub engine: Option<PathBuf>,

	/// Run without the engine: follow the chain and make blocks, but answer no jobs.
	#[arg(long)]
	pub no_engine: bool,
}

impl InferenceParams {
	/// Fills the defaults in from the node's configuration.
	pub fn options(&self, config: &Configuration) -> Options {
		let models = self
			.models
			.clone()
			.unwrap_or_else(|| config.base_path.path().join("models"));
		let engine = (!self.no_engine).then(|| self.engine.clone().unwrap_or_else(Options::default_engine));
		let demo_model = engine.is_some()
			&& matches!(
				config.chain_spec.chain_type(),
				ChainType::Development | ChainType::Local
			);
		Options {
			engine,
			models,
			journal: config.data_path.join("inference"),
			demo_model,
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

	/// Remove the whole chain from disk. The votes this node has given stay.
	PurgeChain(sc_cli::PurgeChainCmd),

	/// Go back by some blocks.
	Revert(sc_cli::RevertCmd),

	/// Say what the database holds.
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
	fn an_engine_cannot_be_named_and_switched_off() {
		assert!(Cli::try_parse_from(["assay-node", "--no-engine", "--engine", "/bin/true"]).is_err());
		let cli = Cli::try_parse_from(["assay-node", "--dev", "--models", "/m"]).unwrap();
		assert_eq!(cli.inference.models, Some(PathBuf::from("/m")));
		assert!(!cli.inference.no_engine);
	}
}
