//! The `assay-engine` program: the engine on the processor.

use assay_engine::program;
use clap::Parser;
use std::process::ExitCode;

/// Runs models exactly: the same bits on every computer.
#[derive(Parser)]
#[command(name = "assay-engine", version)]
struct Cli {
	#[command(subcommand)]
	command: program::Command,
}

fn main() -> ExitCode {
	program::log_to_stderr();
	let Cli { command } = Cli::parse();
	program::main(command, None)
}
