//! The Assay node: blocks, votes, and the keeper of the engine.

mod cli;
mod command;
mod inference;
mod rpc;
mod service;

fn main() -> sc_cli::Result<()> {
	command::run()
}
