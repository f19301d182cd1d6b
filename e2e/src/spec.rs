//! Chain specifications: the local testnet's, changed.

use crate::program;
use anyhow::{ensure, Context, Result};
use serde_json::Value;
use std::{
	ffi::OsStr,
	fs,
	path::{Path, PathBuf},
	process::Command,
};
use tempfile::TempDir;

/// One token, in base units.
const UNIT: u64 = 1_000_000_000_000;

/// The key of the chain's `EpochDuration`: twox128 of `:EpochDuration:`.
const EPOCH_DURATION: &str = "0x695ec709ce0439fb6d6db345d9653648";

/// Has the node export a chain specification.
fn export(args: &[&OsStr], to: &Path) -> Result<()> {
	let mut command = Command::new(program("assay-node")?);
	command.arg("export-chain-spec").args(args).arg("--output").arg(to);
	let output = command.output()?;
	ensure!(
		output.status.success(),
		"the node exports no chain specification: {}",
		String::from_utf8_lossy(&output.stderr)
	);
	Ok(())
}

/// A chain specification in a file. Dropping it deletes the file.
pub struct ChainSpec {
	directory: TempDir,
}

impl ChainSpec {
	/// Writes the specification of the local testnet, in which these providers, in this order, have these bonds, in ASY, and
	/// these capacities.
	pub fn with_providers(providers: &[(u64, u32)]) -> Result<Self> {
		let spec = Self::local()?;
		let mut json = spec.read()?;
		let founders = json
			.pointer_mut("/genesis/runtimeGenesis/patch/providers/providers")
			.and_then(Value::as_array_mut)
			.context("the specification lists its providers")?;
		ensure!(founders.len() == providers.len(), "one entry for each provider");
		for (founder, (bond, capacity)) in founders.iter_mut().zip(providers) {
			founder["bond"] = (bond * UNIT).into();
			founder["capacity"] = (*capacity).into();
		}
		spec.write(&json)?;
		Ok(spec)
	}

	/// Writes the specification of the local testnet, in which the first so many providers are the validators, in sessions
	/// of so many slots.
	pub fn with_sessions_of(slots: u64, validators: usize) -> Result<Self> {
		let spec = Self::local()?;
		let mut json = spec.read()?;
		let keys = json
			.pointer_mut("/genesis/runtimeGenesis/patch/session/keys")
			.and_then(Value::as_array_mut)
			.context("the specification lists its session keys")?;
		keys.truncate(validators);
		spec.write(&json)?;
		// Only a raw genesis can set what no pallet's genesis has.
		let plain = spec.directory.path().join("plain.json");
		fs::rename(spec.path(), &plain)?;
		export(
			&[OsStr::new("--raw"), OsStr::new("--chain"), plain.as_os_str()],
			&spec.path(),
		)?;
		let mut json = spec.read()?;
		let top = json.pointer_mut("/genesis/raw/top").context("the genesis is raw")?;
		let value: String = slots.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
		top[EPOCH_DURATION] = format!("0x{value}").into();
		spec.write(&json)?;
		Ok(spec)
	}

	/// Writes the specification of the local testnet.
	fn local() -> Result<Self> {
		let spec = Self {
			directory: tempfile::Builder::new().prefix("assay-spec-").tempdir()?,
		};
		export(&["--chain", "local"].map(OsStr::new), &spec.path())?;
		Ok(spec)
	}

	fn read(&self) -> Result<Value> {
		Ok(serde_json::from_slice(&fs::read(self.path())?)?)
	}

	fn write(&self, json: &Value) -> Result<()> {
		Ok(fs::write(self.path(), serde_json::to_vec(json)?)?)
	}

	/// Returns the file's path.
	pub fn path(&self) -> PathBuf {
		self.directory.path().join("chain.json")
	}
}
