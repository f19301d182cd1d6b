//! How an engine's program is started: with little of what the node has.

use std::{ffi::OsStr, path::Path};
use tokio::process::Command;

/// Variables of the node's environment that a program of the engine receives: where libraries are, and how the allocator and
/// CUDA behave. Others may hold secrets, and nothing in it reads them.
const KEPT: [&str; 2] = ["LD_LIBRARY_PATH", "GLIBC_TUNABLES"];
const KEPT_PREFIXES: [&str; 2] = ["MALLOC_", "CUDA_"];

/// Returns a command that starts `program` with an environment of its own. It ends with its handle.
///
/// No file or socket of the node stays open in it, because the standard library opens all of them to be closed on exec. Its
/// process group is its own, so that a signal to one group, as from a terminal, reaches one of the two.
pub(super) fn command(program: &Path) -> Command {
	let mut command = Command::new(program);
	command
		.env_clear()
		.envs(std::env::vars_os().filter(|(name, _)| is_kept(name)))
		// A backtrace takes memory and a lock. Where memory is out, making one fails while the lock is held, and the engine
		// hangs.
		.env("RUST_BACKTRACE", "0")
		.env("RUST_LIB_BACKTRACE", "0")
		// It would be a directory that the engine writes to.
		.env("CUDA_CACHE_DISABLE", "1")
		.process_group(0)
		.kill_on_drop(true);
	command
}

fn is_kept(variable: &OsStr) -> bool {
	let Some(name) = variable.to_str() else { return false };
	KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[tokio::test]
	async fn a_program_receives_little_of_the_node_s_environment() {
		// Cargo sets these for this test.
		assert!(std::env::var_os("CARGO_PKG_NAME").is_some() && std::env::var_os("PATH").is_some());
		let output = command(Path::new("/usr/bin/env")).output().await.expect("it starts");
		let text = String::from_utf8_lossy(&output.stdout);
		assert!(text.contains("CUDA_CACHE_DISABLE=1"), "{text}");
		for line in text.lines() {
			let name = line.split('=').next().unwrap_or_default();
			let expected = is_kept(OsStr::new(name)) || name.starts_with("RUST_");
			assert!(expected, "{line}");
		}
	}

	#[test]
	fn only_variables_of_libraries_allocator_and_cuda_are_kept() {
		for kept in ["LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "MALLOC_ARENA_MAX"] {
			assert!(is_kept(OsStr::new(kept)), "{kept}");
		}
		for other in [
			"PATH",
			"HOME",
			"LD_PRELOAD",
			"ASSAY_SURI",
			"AWS_SECRET_ACCESS_KEY",
			"XCUDA_",
			"",
		] {
			assert!(!is_kept(OsStr::new(other)), "{other}");
		}
	}
}
