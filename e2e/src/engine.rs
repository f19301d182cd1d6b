//! What the engines that stand in for the real one share: their command line, and the socket that a node gives its engine.

use assay_engine::process::ProcessLimits;
use clap::{Args, Parser};
use std::{io, path::PathBuf};
use tokio::net::UnixStream;

#[derive(Parser)]
enum EngineCommand {
	/// Serves like `assay-engine serve`.
	Serve(ServeArgs),
}

/// Arguments of `serve`, as a node passes them.
#[derive(Args)]
pub struct ServeArgs {
	/// Directory that holds model directories.
	#[arg(long)]
	pub models: PathBuf,
	/// Limits on the process.
	#[command(flatten)]
	pub limits: ProcessLimits,
	/// Arguments that only the real engine needs.
	#[arg(trailing_var_arg = true, allow_hyphen_values = true)]
	pub ignored: Vec<String>,
}

impl ServeArgs {
	/// Parses the command line of this process, and exits if it is not valid.
	pub fn parse() -> Self {
		let EngineCommand::Serve(args) = EngineCommand::parse();
		args
	}

	/// Returns the model directories that have a manifest.
	pub fn model_directories(&self) -> io::Result<Vec<PathBuf>> {
		let mut directories = Vec::new();
		for entry in std::fs::read_dir(&self.models)? {
			let path = entry?.path();
			if path.join("manifest.json").is_file() {
				directories.push(path);
			}
		}
		Ok(directories)
	}
}

/// Returns the connection to the node, which is this process's standard input.
pub fn node_socket() -> io::Result<UnixStream> {
	let socket = assay_protocol::process::stdin_socket()?;
	socket.set_nonblocking(true)?;
	UnixStream::from_std(socket)
}
