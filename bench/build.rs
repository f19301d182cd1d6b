//! Compiles the kernels that measure a GPU's limits. Does nothing without the feature `cuda`.

use std::{env, path::Path, process::Command};

/// For which architectures: as the engine's kernels.
const ARCHITECTURES: &str = include_str!("../ocw-inference/engine/kernels/gencode.txt");

fn main() {
	println!("cargo:rerun-if-changed=build.rs");
	println!("cargo:rerun-if-changed=kernels");
	if env::var_os("CARGO_FEATURE_CUDA").is_none() {
		return;
	}
	for name in ["NVCC", "NVCC_CCBIN"] {
		println!("cargo:rerun-if-env-changed={name}");
	}
	let nvcc = env::var_os("NVCC").unwrap_or_else(|| "nvcc".into());
	let out = env::var_os("OUT_DIR").unwrap_or_default();
	let mut command = Command::new(&nvcc);
	command.args(["-fatbin", "-O3", "-std=c++17", "-o"]);
	command.arg(Path::new(&out).join("limits.fatbin"));
	for architecture in ARCHITECTURES.lines().filter(|line| !line.starts_with('#')) {
		command.args(["-gencode", architecture]);
	}
	if let Some(host) = env::var_os("NVCC_CCBIN") {
		command.arg("-ccbin").arg(host);
	}
	match command.arg("kernels/limits.cu").status() {
		Ok(status) if status.success() => {}
		other => {
			eprintln!("error: {nvcc:?} did not compile kernels/limits.cu ({other:?}); `make engine-cuda` builds with a compiler that does");
			std::process::exit(1)
		}
	}
}
