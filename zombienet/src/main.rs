//! Runs a network until Ctrl-C: `assay-zombienet [NAME]`, where NAME is a file in `networks/` without `.toml`.

use anyhow::{bail, Result};
use assay_zombienet::{network_file, spawn};

#[tokio::main]
async fn main() -> Result<()> {
	let name = std::env::args().nth(1).unwrap_or_else(|| "local".into());
	let file = network_file(&name);
	if !file.is_file() {
		bail!("there is no network {name}: {} does not exist", file.display());
	}
	let network = spawn(&file).await?;
	println!(
		"{name} is up; its files are in {}. Ctrl-C ends it.",
		network.base_dir().unwrap_or("a temporary directory")
	);
	for node in network.nodes() {
		println!("  {:10} {}", node.name(), node.ws_uri());
	}
	tokio::signal::ctrl_c().await?;
	network.destroy().await?;
	Ok(())
}
