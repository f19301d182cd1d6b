//! The Assay node: makes blocks, votes on jobs and supervises the engine.

// A program exports nothing: `pub` here means for the other modules.
#![allow(unreachable_pub)]

mod cli;
mod command;
mod inference;
mod rpc;
mod service;

fn main() -> sc_cli::Result<()> {
	command::run()
}
