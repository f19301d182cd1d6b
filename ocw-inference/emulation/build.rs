//! Compiles the kernels as plain C++, with floats exactly as written.

fn main() {
	for directory in ["src", "../engine/kernels"] {
		println!("cargo:rerun-if-changed={directory}");
	}
	let mut build = cc::Build::new();
	// An fma is a call of libm otherwise. Tests run where they are built.
	#[cfg(target_arch = "x86_64")]
	if std::env::var("HOST") == std::env::var("TARGET")
		&& is_x86_feature_detected!("avx2")
		&& is_x86_feature_detected!("fma")
	{
		build.flag("-mavx2").flag("-mfma");
	}
	build
		.cpp(true)
		.std("c++17")
		.opt_level(3)
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
