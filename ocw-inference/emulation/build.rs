//! Compiles the kernels as plain C++, with floats exactly as written.

fn main() {
	for directory in ["src", "../engine/kernels"] {
		println!("cargo:rerun-if-changed={directory}");
	}
	cc::Build::new()
		.cpp(true)
		.std("c++17")
		.opt_level(2)
		.define("ASSAY_EMULATED", None)
		.include("../engine/kernels")
		.include("src")
		// Nothing is contracted or reordered; contexts are switched with longjmp, which a fortified libc refuses.
		.flag("-ffp-contract=off")
		.flag("-fno-fast-math")
		.flag("-U_FORTIFY_SOURCE")
		.flag_if_supported("-Wno-unknown-pragmas")
		.file("src/emulation.cpp")
		.compile("cuda_emulation");
}
