//! An engine that runs other weights than it claims: the cheat that the chain exists to catch.
//!
//! It speaks the engine's protocol and loads the models it is told to, but first turns over the sign of some weights. Only the
//! end-to-end tests build it.

use clap::Parser;
use std::path::PathBuf;

#[derive(Parser)]
enum Command {
	/// Serves like `assay-engine serve`.
	Serve {
		#[arg(long)]
		socket: PathBuf,
		#[arg(long)]
		models: PathBuf,
		/// What else an engine is told.
		#[arg(trailing_var_arg = true, allow_hyphen_values = true)]
		ignored: Vec<String>,
	},
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
	let Command::Serve {
		socket,
		models,
		ignored: _,
	} = Command::parse();
	let scratch = tempfile::tempdir()?;
	let mut engine = assay_engine::Engine::new();
	for entry in std::fs::read_dir(&models)? {
		let honest = entry?.path();
		if !honest.join("manifest.json").is_file() {
			continue;
		}
		let claimed = assay_model_folder::Manifest::read(&honest)?.model_id();
		let other = scratch.path().join(honest.file_name().unwrap_or_default());
		other_weights(&honest, &other)?;
		engine.add_as(claimed, assay_engine::Model::load_unchecked(&other)?);
	}
	assay_engine::server::serve(&socket, engine).await?;
	Ok(())
}

/// Copies a model folder and turns over a high bit of every other byte in the second half of its weights: other words.
fn other_weights(from: &std::path::Path, to: &std::path::Path) -> anyhow::Result<()> {
	std::fs::create_dir(to)?;
	for file in std::fs::read_dir(from)? {
		let file = file?;
		std::fs::copy(file.path(), to.join(file.file_name()))?;
	}
	let path = to.join("model.safetensors");
	let mut bytes = std::fs::read(&path)?;
	// Even places: the low bytes of the scales, so that these stay in range.
	let half = bytes.len() / 4 * 2;
	bytes.iter_mut().skip(half).step_by(2).for_each(|byte| *byte ^= 0x40);
	std::fs::write(path, bytes)?;
	Ok(())
}
