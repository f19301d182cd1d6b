//! The `assay` program: asks models, reads and verifies receipts, runs a provider.
//!
//! `args` is the command line and `commands` carries it out; only `chain` talks to a node, and only `output` and `render`
//! print. Exit codes: 0 done; 1 the chain refused, or an answer is not worth what was asked for; 2 the command line is not
//! valid; 3 a transaction was sent or a job requested, and what became of it is not known; 4 a receipt is not final; 5 a
//! receipt is unverifiable; 130 interrupted before anything was sent.

mod amount;
mod anchors;
mod args;
mod chain;
mod commands;
mod error;
mod gateway;
mod interrupt;
mod keys;
mod keystore;
mod output;
mod paths;
mod render;
mod stream;

use std::process::ExitCode;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
	let code = match args::Cli::read() {
		Ok(cli) => commands::run(cli).await,
		// A program that reads JSON gets JSON for a wrong command line too; help and version are for people.
		Err(e) if e.use_stderr() && std::env::args().any(|a| a == "--json") => {
			let text = e.to_string();
			let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
			output::Reporter::new(true).finish(&Err(error::CliError::Usage(line.to_owned())))
		}
		Err(e) => e.exit(),
	};
	ExitCode::from(code)
}
