//! The metadata that the CLI is compiled against is this runtime's, as it runs on the chain.

use codec::{Decode, Encode};
use frame_metadata::{RuntimeMetadata, RuntimeMetadataPrefixed};
use sc_executor::WasmExecutor;
use sc_executor_common::runtime_blob::RuntimeBlob;
use sp_core::OpaqueMetadata;
use sp_state_machine::BasicExternalities;
use std::{fs, path::PathBuf};

/// Newest version, and the one that describes runtime APIs and view functions.
const VERSION: u32 = 16;

/// Returns the metadata of the Wasm runtime. That of the native one may have more: documentation of types, if another
/// crate of the build enables it.
fn metadata() -> Vec<u8> {
	let code = assay_runtime::WASM_BINARY.expect("these tests need the Wasm runtime: build without SKIP_WASM_BUILD");
	let blob = RuntimeBlob::uncompress_if_needed(code).expect("a runtime");
	let executor: WasmExecutor = WasmExecutor::builder().with_allow_missing_host_functions(true).build();
	let returned = executor
		.uncached_call(
			blob,
			&mut BasicExternalities::default(),
			true,
			"Metadata_metadata_at_version",
			&VERSION.encode(),
		)
		.expect("the runtime answers");
	let metadata = Option::<OpaqueMetadata>::decode(&mut &returned[..]).expect("decodes");
	metadata.expect("the runtime serves this version").to_vec()
}

#[test]
fn the_checked_in_metadata_is_this_runtimes() {
	let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../cli/metadata.scale");
	if std::env::var_os("ASSAY_BLESS").is_some() {
		fs::write(&path, metadata()).expect("the file is writable");
	}
	let checked_in = fs::read(&path).unwrap_or_default();
	assert!(
		checked_in == metadata(),
		"cli/metadata.scale is not this runtime's metadata: if the change is meant, run \
		 `ASSAY_BLESS=1 cargo test -p assay-runtime --test metadata` and commit the file"
	);
}

#[test]
fn metadata_describes_the_four_pallets_and_the_runtime_api() {
	let RuntimeMetadata::V16(v16) = RuntimeMetadataPrefixed::decode(&mut &metadata()[..])
		.expect("decodes")
		.1
	else {
		panic!("asked for version 16");
	};
	for name in ["Models", "Providers", "Payments", "Jobs"] {
		assert!(v16.pallets.iter().any(|pallet| pallet.name == name), "{name}");
	}
	let api = v16
		.apis
		.iter()
		.find(|api| api.name == "AssayApi")
		.expect("dApps need no hand-made types");
	let methods: Vec<_> = api.methods.iter().map(|method| method.name.as_str()).collect();
	assert_eq!(
		methods,
		[
			"models",
			"model",
			"listing",
			"providers_of",
			"quote",
			"job",
			"jobs",
			"execution",
			"receipt",
			"receipt_leaf",
			"receipt_accumulator"
		]
	);
}

#[test]
fn authorize_call_comes_first_and_the_fee_before_the_metadata_hash() {
	let RuntimeMetadata::V16(v16) = RuntimeMetadataPrefixed::decode(&mut &metadata()[..])
		.expect("decodes")
		.1
	else {
		panic!("asked for version 16");
	};
	let names: Vec<_> = v16
		.extrinsic
		.transaction_extensions
		.iter()
		.map(|e| e.identifier.as_str())
		.collect();
	assert_eq!(
		names,
		[
			"AuthorizeCall",
			"CheckNonZeroSender",
			"CheckSpecVersion",
			"CheckTxVersion",
			"CheckGenesis",
			"CheckMortality",
			"CheckNonce",
			"CheckWeight",
			"ChargeTransactionPayment",
			"CheckMetadataHash",
			"WeightReclaim"
		]
	);
}
