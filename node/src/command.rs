//! Runs the command that the command line names.

use crate::{
	cli::{Cli, Subcommand},
	service,
};
use assay_runtime::opaque::Block;
use sc_cli::SubstrateCli;
use sc_network::config::NetworkBackendType;
use sc_service::{ChainSpec, PartialComponents};

impl SubstrateCli for Cli {
	fn impl_name() -> String {
		"Assay Node".into()
	}

	fn impl_version() -> String {
		env!("CARGO_PKG_VERSION").into()
	}

	fn description() -> String {
		env!("CARGO_PKG_DESCRIPTION").into()
	}

	fn author() -> String {
		"The Assay authors".into()
	}

	fn support_url() -> String {
		"the issue tracker of the repository this program was built from".into()
	}

	fn copyright_start_year() -> i32 {
		2026
	}

	fn load_spec(&self, id: &str) -> Result<Box<dyn ChainSpec>, String> {
		let mut spec = assay_chain_spec::load(id)?;
		let needs_state = match &self.subcommand {
			None => true,
			Some(Subcommand::ExportChainSpec(export)) => export.raw,
			Some(_) => false,
		};
		if let Some(cache) = self.runtime_cache.as_ref().filter(|_| needs_state) {
			spec = assay_chain_spec::with_state(&spec, cache)?;
		}
		Ok(Box::new(spec))
	}
}

/// Parses the command line and runs the command.
pub fn run() -> sc_cli::Result<()> {
	let cli = Cli::from_args();
	match &cli.subcommand {
		None => {
			cli.check_base_path()?;
			let runner = cli.create_runner(&cli.run)?;
			runner.run_node_until_exit(|config| async move {
				let inference = cli.inference.options(&config);
				let runtime_cache = cli.runtime_cache(&config);
				match config.network.network_backend {
					NetworkBackendType::Litep2p => {
						service::new_full::<sc_network::Litep2pNetworkBackend>(config, &runtime_cache, inference)
					}
					NetworkBackendType::Libp2p => {
						service::new_full::<sc_network::NetworkWorker<_, _>>(config, &runtime_cache, inference)
					}
				}
				.map_err(sc_cli::Error::Service)
			})
		}
		Some(Subcommand::Key(cmd)) => cmd.run(&cli),
		Some(Subcommand::ExportChainSpec(cmd)) => cmd.run(cli.load_spec(&cmd.chain)?),
		Some(Subcommand::ChainInfo(cmd)) => cli.create_runner(cmd)?.sync_run(|config| cmd.run::<Block>(&config)),
		Some(Subcommand::PurgeChain(cmd)) => cli.create_runner(cmd)?.sync_run(|config| cmd.run(config.database)),
		Some(Subcommand::CheckBlock(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
			let PartialComponents {
				client,
				task_manager,
				import_queue,
				..
			} = service::new_partial(&config, &cli.runtime_cache(&config))?;
			Ok((cmd.run(client, import_queue), task_manager))
		}),
		Some(Subcommand::ExportBlocks(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
			let PartialComponents {
				client, task_manager, ..
			} = service::new_partial(&config, &cli.runtime_cache(&config))?;
			Ok((cmd.run(client, config.database), task_manager))
		}),
		Some(Subcommand::ExportState(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
			let PartialComponents {
				client, task_manager, ..
			} = service::new_partial(&config, &cli.runtime_cache(&config))?;
			Ok((cmd.run(client, config.chain_spec), task_manager))
		}),
		Some(Subcommand::ImportBlocks(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
			let PartialComponents {
				client,
				task_manager,
				import_queue,
				..
			} = service::new_partial(&config, &cli.runtime_cache(&config))?;
			Ok((cmd.run(client, import_queue), task_manager))
		}),
		Some(Subcommand::Revert(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
			let PartialComponents {
				client,
				task_manager,
				backend,
				..
			} = service::new_partial(&config, &cli.runtime_cache(&config))?;
			let consensus = Box::new(|client: std::sync::Arc<service::FullClient>, backend, blocks| {
				sc_consensus_babe::revert(client.clone(), backend, blocks)?;
				sc_consensus_grandpa::revert(client, blocks)?;
				Ok(())
			});
			Ok((cmd.run(client, backend, Some(consensus)), task_manager))
		}),
	}
}
