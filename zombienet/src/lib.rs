//! Networks of several nodes under zombienet's native provider: processes on this machine, no containers.
//!
//! `networks/*.toml` define them. [`spawn`] starts one for a test, the program `assay-zombienet` for a person. The paths of
//! the programs and of the chain specification come from environment variables that `scripts/zombienet.sh` sets.

use anyhow::{bail, Context, Result};
use std::path::{Path, PathBuf};
use zombienet_sdk::{LocalFileSystem, Network, NetworkConfig, NetworkConfigExt};

/// Returns the path of a network's definition.
pub fn network_file(name: &str) -> PathBuf {
	Path::new(env!("CARGO_MANIFEST_DIR"))
		.join("networks")
		.join(format!("{name}.toml"))
}

/// Returns the path of an existing file from an environment variable that `scripts/zombienet.sh` sets.
pub fn path_from_env(name: &str) -> Result<PathBuf> {
	let path =
		PathBuf::from(std::env::var_os(name).with_context(|| format!("{name} is not set: run `make zombienet`"))?);
	if !path.is_file() {
		bail!(
			"{name} names {}, which does not exist: run `make build`",
			path.display()
		);
	}
	Ok(path)
}

/// Starts a network and waits until all its nodes answer.
pub async fn spawn(file: &Path) -> Result<Network<LocalFileSystem>> {
	path_from_env("ASSAY_NODE")?;
	path_from_env("ASSAY_CHAIN_SPEC")?;
	let file = file.to_str().context("the network's path is not UTF-8")?;
	let config = NetworkConfig::load_from_toml(file).with_context(|| format!("{file} is not a network"))?;
	let network = config.spawn_native().await.context("the network does not start")?;
	network.wait_until_is_up(120).await.context("not every node answers")?;
	Ok(network)
}
