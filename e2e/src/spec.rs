//! Chain specifications: the local testnet's, changed.

use crate::program;
use anyhow::{ensure, Context, Result};
use serde_json::Value;
use std::{fs, path::PathBuf, process::Command};
use tempfile::TempDir;

/// One token, in base units.
const UNIT: u64 = 1_000_000_000_000;

/// A chain specification in a file. Dropping it deletes the file.
pub struct ChainSpec {
	directory: TempDir,
}

impl ChainSpec {
	/// Writes the specification of the local testnet, in which these providers, in this order, have these bonds, in ASY, and
	/// these capacities.
	pub fn with_providers(providers: &[(u64, u32)]) -> Result<Self> {
		let spec = Self {
			directory: tempfile::Builder::new().prefix("assay-spec-").tempdir()?,
		};
		let mut command = Command::new(program("assay-node")?);
		command
			.args(["export-chain-spec", "--chain", "local", "--output"])
			.arg(spec.path());
		let output = command.output()?;
		ensure!(
			output.status.success(),
			"the node exports no chain specification: {}",
			String::from_utf8_lossy(&output.stderr)
		);
		let mut json: Value = serde_json::from_slice(&fs::read(spec.path())?)?;
		let founders = json
			.pointer_mut("/genesis/runtimeGenesis/patch/providers/providers")
			.and_then(Value::as_array_mut)
			.context("the specification lists its providers")?;
		ensure!(founders.len() == providers.len(), "one entry for each provider");
		for (founder, (bond, capacity)) in founders.iter_mut().zip(providers) {
			founder["bond"] = (bond * UNIT).into();
			founder["capacity"] = (*capacity).into();
		}
		fs::write(spec.path(), serde_json::to_vec(&json)?)?;
		Ok(spec)
	}

	/// Returns the file's path.
	pub fn path(&self) -> PathBuf {
		self.directory.path().join("chain.json")
	}
}
