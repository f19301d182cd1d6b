//! The Assay node: makes blocks, votes on jobs and supervises the engine.

// A program exports nothing: `pub` here means for the other modules.
#![allow(unreachable_pub)]

mod cli;
mod command;
mod inference;
mod rpc;
mod service;

use std::process::ExitCode;

fn main() -> ExitCode {
	match command::run() {
		Ok(()) => ExitCode::SUCCESS,
		// As text: a `Result` of `main` would be printed as Rust's debug output, without the advice in it.
		Err(error) => {
			eprintln!("Error: {error}");
			ExitCode::FAILURE
		}
	}
}
