//! The chains that can be started: the runtime's presets, or a spec in a JSON file.
//!
//! No genesis data is here. A spec names a preset, and the runtime itself builds the state from it.

#![deny(missing_docs)]

mod cache;

pub use cache::with_state;

use assay_runtime::{
	constants::currency::{DECIMALS, SYMBOL},
	genesis_config_presets::STAGING_RUNTIME_PRESET,
	WASM_BINARY,
};
use sc_chain_spec::{ChainSpecExtension, ChainType, GenericChainSpec, Properties};
use sc_sync_state_rpc::LightSyncStateExtension;
use serde::{Deserialize, Serialize};
use sp_genesis_builder::{DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};
use std::path::Path;

/// What a specification of this chain has besides Substrate's own fields.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ChainSpecExtension)]
#[serde(rename_all = "camelCase")]
pub struct Extensions {
	/// A finalized block and the authorities of then, from which light clients start. A node adds it
	/// (`sync_state_genSyncSpec`).
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub light_sync_state: LightSyncStateExtension,
}

/// A chain to start.
pub type ChainSpec = GenericChainSpec<Extensions>;

/// Prefix of this chain's addresses.
const SS58_FORMAT: u16 = 42;
/// The largest spec file that is read. A raw spec with its runtime has a few megabytes.
const MAX_SPEC_BYTES: u64 = 64 * 1024 * 1024;
/// The longest id of a chain, as a name of a directory.
const MAX_ID_BYTES: usize = 64;

/// Returns a chain of one node, which makes blocks alone and votes for four providers. Its keys are public knowledge.
pub fn development() -> Result<ChainSpec, String> {
	named(
		"Assay Development",
		"assay_dev",
		ChainType::Development,
		DEV_RUNTIME_PRESET,
	)
}

/// Returns a chain of four validators on one machine. Their keys are public knowledge.
pub fn local_testnet() -> Result<ChainSpec, String> {
	named(
		"Assay Local Testnet",
		"assay_local",
		ChainType::Local,
		LOCAL_TESTNET_RUNTIME_PRESET,
	)
}

/// Returns the template of a public chain. Nobody has its keys: export it and put in real ones before you start it.
pub fn staging() -> Result<ChainSpec, String> {
	named(
		"Assay Staging",
		"assay_staging",
		ChainType::Live,
		STAGING_RUNTIME_PRESET,
	)
}

/// Returns the chain that `--chain` names: `dev` (also the empty name), `local`, `staging`, or the path of a JSON spec.
///
/// # Errors
///
/// Explains why the path is not a spec, or that this program was built without the Wasm runtime.
pub fn load(id: &str) -> Result<ChainSpec, String> {
	match id {
		"" | "dev" | "development" | "assay_dev" => development(),
		"local" | "local_testnet" | "assay_local" => local_testnet(),
		"staging" | "assay_staging" => staging(),
		path => read(Path::new(path)),
	}
}

fn named(name: &str, id: &str, chain_type: ChainType, preset: &str) -> Result<ChainSpec, String> {
	let wasm = WASM_BINARY.ok_or(
		"this program was built without the Wasm runtime (SKIP_WASM_BUILD): build it again without that variable, or \
		 start it with --chain FILE, a spec that brings its own runtime",
	)?;
	let mut properties = Properties::new();
	properties.insert("tokenSymbol".into(), SYMBOL.into());
	properties.insert("tokenDecimals".into(), DECIMALS.into());
	properties.insert("ss58Format".into(), SS58_FORMAT.into());
	Ok(ChainSpec::builder(wasm, Extensions::default())
		.with_name(name)
		.with_id(id)
		.with_protocol_id("assay")
		.with_chain_type(chain_type)
		.with_properties(properties)
		.with_genesis_config_preset_name(preset)
		.build())
}

fn read(path: &Path) -> Result<ChainSpec, String> {
	let shown = path.display();
	let facts = std::fs::metadata(path).map_err(|e| {
		format!("`{shown}` is neither a chain of this program (dev, local, staging) nor a readable file: {e}")
	})?;
	if !facts.is_file() {
		return Err(format!(
			"`{shown}` is not a file: --chain takes dev, local, staging or the path of a JSON spec"
		));
	}
	if facts.len() > MAX_SPEC_BYTES {
		return Err(format!(
			"`{shown}` has {} bytes; a chain spec may have {MAX_SPEC_BYTES}",
			facts.len()
		));
	}
	let spec = ChainSpec::from_json_file(path.into()).map_err(|e| format!("`{shown}` is not a chain spec: {e}"))?;
	if !names_a_directory(spec.id()) {
		return Err(format!(
			"`{shown}` has the id {:?}, which cannot name a directory: use letters, digits, `_`, `-` and `.`, with a letter or \
			 digit first",
			spec.id()
		));
	}
	Ok(spec)
}

/// Returns whether `id` is one safe component of a path: a chain's data are in the directory `chains/<id>` of the base path.
fn names_a_directory(id: &str) -> bool {
	id.len() <= MAX_ID_BYTES
		&& id.starts_with(|c: char| c.is_ascii_alphanumeric())
		&& id.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::fs;

	fn refusal(result: Result<ChainSpec, String>) -> String {
		result.err().expect("must be refused")
	}

	fn file(name: &str, bytes: &[u8]) -> std::path::PathBuf {
		let path = std::env::temp_dir().join(format!("assay-chain-spec-{}-{name}", std::process::id()));
		fs::write(&path, bytes).expect("the temporary directory is writable");
		path
	}

	#[test]
	fn an_unknown_chain_is_refused_with_the_known_ones() {
		let error = refusal(load("mainnet"));
		assert!(
			error.contains("`mainnet`") && error.contains("dev, local, staging"),
			"{error}"
		);
	}

	#[test]
	fn a_directory_is_refused() {
		assert!(refusal(load("/")).contains("not a file"));
	}

	#[test]
	fn broken_json_is_refused_with_its_place() {
		let path = file("broken.json", b"{\"name\": ");
		let error = refusal(read(&path));
		fs::remove_file(&path).expect("was written");
		assert!(
			error.contains("not a chain spec") && error.contains("line 1"),
			"{error}"
		);
	}

	#[test]
	fn an_id_that_leads_out_of_the_base_path_is_refused() {
		let long = "a".repeat(MAX_ID_BYTES + 1);
		for id in [
			"../../etc",
			"/etc",
			"a/b",
			"..",
			"",
			".hidden",
			"a b",
			"a\\u0000b",
			long.as_str(),
		] {
			let text = format!(
				r#"{{"name":"x","id":"{id}","bootNodes":[],"genesis":{{"raw":{{"top":{{}},"childrenDefault":{{}}}}}}}}"#
			);
			let path = file("id.json", text.as_bytes());
			let error = refusal(read(&path));
			fs::remove_file(&path).expect("was written");
			assert!(error.contains("cannot name a directory"), "{id}: {error}");
		}
		for id in ["assay_dev", "my-chain.2", "7"] {
			assert!(names_a_directory(id), "{id}");
		}
	}

	#[test]
	fn a_file_over_the_limit_is_refused_unread() {
		let path = file("large.json", b"");
		fs::OpenOptions::new()
			.write(true)
			.open(&path)
			.and_then(|f| f.set_len(MAX_SPEC_BYTES + 1))
			.expect("a sparse file");
		let error = refusal(read(&path));
		fs::remove_file(&path).expect("was written");
		assert!(error.contains("may have"), "{error}");
	}

	#[test]
	fn every_named_chain_builds_its_genesis_or_explains_how_to_get_a_runtime() {
		for (id, name) in [
			("dev", "assay_dev"),
			("local", "assay_local"),
			("staging", "assay_staging"),
		] {
			match load(id) {
				Ok(spec) => {
					assert_eq!(spec.id(), name);
					let raw = spec.as_json(true).expect("the preset builds");
					let copy = ChainSpec::from_json_bytes(raw.into_bytes()).expect("an exported spec is read back");
					assert_eq!(copy.id(), name);
				}
				Err(error) => {
					assert!(WASM_BINARY.is_none());
					assert!(error.contains("SKIP_WASM_BUILD"), "{error}");
				}
			}
		}
	}
}
