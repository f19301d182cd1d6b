//! The Assay node: blocks, votes, and the keeper of the engine.

// A program has no outside: `pub` here means for the other rooms.
#![allow(unreachable_pub)]

mod cli;
mod command;
mod inference;
mod rpc;
mod service;

fn main() -> sc_cli::Result<()> {
	command::run()
}
