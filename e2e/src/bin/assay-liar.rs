//! An engine that runs other weights than it claims: the fraud that the chain exists to catch.
//!
//! It speaks the engine's protocol and loads the models it is given, but flips a bit of some of their weights first. Only
//! the end-to-end tests build it.

use assay_e2e::{node_socket, ServeArgs};
use assay_engine::{Engine, Model};
use assay_model_folder::Manifest;
use std::{fs, path::Path};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
	let args = ServeArgs::parse();
	let socket = node_socket()?;
	let scratch = tempfile::tempdir()?;
	let mut engine = Engine::new();
	for honest in args.model_directories()? {
		let claimed = Manifest::read(&honest)?.model_id();
		let other = scratch.path().join(honest.file_name().unwrap_or_default());
		other_weights(&honest, &other)?;
		engine.add_as(claimed, Model::load_unchecked(&other)?);
	}
	assay_engine::server::serve(socket, engine).await?;
	Ok(())
}

/// Copies a model directory and flips a high bit of every other byte in the second half of its weights.
fn other_weights(from: &Path, to: &Path) -> anyhow::Result<()> {
	fs::create_dir(to)?;
	for file in fs::read_dir(from)? {
		let file = file?;
		fs::copy(file.path(), to.join(file.file_name()))?;
	}
	let path = to.join("model.safetensors");
	let mut bytes = fs::read(&path)?;
	// Even positions: the low bytes of the scales, so that these stay in range.
	let half = bytes.len() / 4 * 2;
	bytes.iter_mut().skip(half).step_by(2).for_each(|byte| *byte ^= 0x40);
	fs::write(path, bytes)?;
	Ok(())
}
