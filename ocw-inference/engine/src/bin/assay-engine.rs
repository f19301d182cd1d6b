//! The `assay-engine` program: the engine on the CPU.

use assay_engine::program::{self, ServeArgs};
use clap::Parser;
use std::process::ExitCode;

/// Runs models exactly: the same bits on every machine.
#[derive(Parser)]
#[command(name = "assay-engine", version)]
enum Cli {
	/// Serve a directory of models to the node whose socket is this program's standard input.
	Serve(ServeArgs),
}

fn main() -> ExitCode {
	program::log_to_stderr();
	let Cli::Serve(args) = Cli::parse();
	program::main(args, None)
}
