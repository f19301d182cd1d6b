//! Builds the runtime a second time, for Wasm, with its metadata hash baked in.

fn main() {
	// The presets contain it, and the builder of the Wasm watches sources alone.
	println!("cargo:rerun-if-changed=../demo-model/assay-demo/registration.json");
	#[cfg(feature = "std")]
	substrate_wasm_builder::WasmBuilder::init_with_defaults()
		.enable_metadata_hash("ASY", 12)
		.build();
}
