//! Compiles the kernels for NVIDIA GPUs: one file with machine code for the GPUs there are, and text that drivers
//! compile for those to come. Does nothing without the feature `cuda`.

use std::{
	env,
	path::{Path, PathBuf},
	process::Command,
};

/// The GPUs to compile for: a line each, for nvcc's `-gencode`.
const GENCODE: &str = include_str!("kernels/gencode.txt");

/// The profile's arithmetic: nothing contracted, nothing approximated, nothing flushed (docs/spec/c2.md).
const EXACT: [&str; 4] = ["--fmad=false", "-ftz=false", "-prec-div=true", "-prec-sqrt=true"];

fn main() {
	println!("cargo:rerun-if-changed=build.rs");
	if env::var_os("CARGO_FEATURE_CUDA").is_none() {
		return;
	}
	println!("cargo:rerun-if-changed=kernels");
	for name in ["NVCC", "CUDA_HOME", "NVCC_CCBIN"] {
		println!("cargo:rerun-if-env-changed={name}");
	}
	let home = env::var_os("CUDA_HOME").map(PathBuf::from);
	let nvcc = match (env::var_os("NVCC"), &home) {
		(Some(nvcc), _) => PathBuf::from(nvcc),
		(None, Some(home)) => home.join("bin/nvcc"),
		(None, None) => PathBuf::from("nvcc"),
	};
	let out = env::var_os("OUT_DIR").map_or_else(|| fail("cargo set no OUT_DIR"), PathBuf::from);
	let targets = GENCODE
		.lines()
		.filter(|line| !line.starts_with('#'))
		.flat_map(|target| ["-gencode", target]);
	compile(&nvcc, "-fatbin", targets, &out.join("kernels.fatbin"));
	// The text alone, to read it.
	let text = out.join("kernels.ptx");
	compile(&nvcc, "-ptx", ["-arch=compute_80"], &text);
	match std::fs::read_to_string(&text) {
		Ok(text) => exact(&text),
		Err(e) => fail(&format!("{}: {e}", text.display())),
	}
	if let Some(home) = home {
		libraries(&home);
	}
}

fn compile<'a>(nvcc: &Path, what: &str, options: impl IntoIterator<Item = &'a str>, out: &Path) {
	let mut command = Command::new(nvcc);
	command.args([what, "-O3", "-std=c++17", "--threads=0", "-o"]);
	command.arg(out).args(EXACT).args(options);
	if let Some(host) = env::var_os("NVCC_CCBIN") {
		command.arg("-ccbin").arg(host);
	}
	match command.arg("kernels/kernels.cu").status() {
		Ok(status) if status.success() => {}
		Ok(status) => fail(&format!(
			"nvcc did not compile kernels/kernels.cu ({status}); see its output above"
		)),
		Err(e) => fail(&format!(
			"CUDA's compiler `{}` could not be run ({e}); `make engine-cuda` fetches it and builds with it",
			nvcc.display()
		)),
	}
}

/// Refuses float operations that do not name their rounding: a driver's compiler may fuse those.
fn exact(text: &str) {
	const FLOAT: [&str; 12] = [
		"add.", "sub.", "mul.", "mad.", "fma.", "div.", "sqrt.", "rcp.", "rsqrt.", "ex2.", "lg2.", "tanh.",
	];
	let float = |word: &&str| FLOAT.iter().any(|name| word.starts_with(name)) && word.contains(".f");
	let loose = |word: &&str| !word.contains(".rn.") || word.contains(".ftz") || word.contains(".approx");
	if let Some(word) = text.split_whitespace().filter(float).find(loose) {
		fail(&format!(
			"nvcc made `{word}` of the kernels, which is not exact; was a flag of its own set (NVCC_APPEND_FLAGS)?"
		));
	}
}

/// Where the program finds CUDA's libraries when it runs: those it was built with, unless the system has others. The
/// driver's library is none of them.
fn libraries(home: &Path) {
	let places = ["lib64", "lib", "targets/x86_64-linux/lib"];
	for place in places
		.map(|place| home.join(place))
		.iter()
		.filter(|place| place.is_dir())
	{
		println!(
			"cargo:rustc-link-arg-bin=assay-engine-cuda=-Wl,-rpath,{}",
			place.display()
		);
	}
}

fn fail(why: &str) -> ! {
	println!("cargo:warning={why}");
	eprintln!("error: {why}");
	std::process::exit(1)
}
