//! Golden vectors: what other computers and other implementations must get (`docs/spec/c2.md`, appendix C).
//!
//! `ASSAY_GOLDEN=write cargo test -p assay-engine --release golden` writes the files again; a change of a bit in one is a new
//! profile. `tests/spec` computes the same files from the text alone.

mod failures;
mod files;
mod hashes;
mod layers;
pub(crate) mod models;
mod operations;
pub(crate) mod recipe;
pub(crate) mod refusals;
mod text;
mod traces;

use crate::common::sorted;
use serde_json::{Map, Value};
use std::{env, fs, path::PathBuf};

/// The cases of one file.
pub(crate) type Cases = Map<String, Value>;

/// Returns the crate's directory: where cargo says it is, or where it was built. A test that runs elsewhere gets it from
/// the environment.
pub(crate) fn home() -> PathBuf {
	env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// Compares with `tests/golden/<key>.json`, or writes it.
pub(crate) fn compare(key: &str, found: &Value) {
	let path = home().join("tests/golden").join(format!("{key}.json"));
	if env::var("ASSAY_GOLDEN").as_deref() == Ok("write") {
		fs::create_dir_all(path.parent().unwrap()).unwrap();
		fs::write(&path, format!("{}\n", written(&sorted(found.clone()), 0))).unwrap();
	}
	let golden: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
	// Case by case, so that a failure names one of them.
	for (name, case) in golden.as_object().unwrap() {
		assert_eq!(found.get(name), Some(case), "{key}: {name}");
	}
	assert_eq!(found, &golden, "{key}");
}

/// JSON with a line for each field, but lists of numbers in one.
fn written(value: &Value, depth: usize) -> String {
	let lines = |open: &str, items: Vec<String>, close: &str| {
		let indent = "  ".repeat(depth + 1);
		format!(
			"{open}\n{indent}{}\n{}{close}",
			items.join(&format!(",\n{indent}")),
			"  ".repeat(depth)
		)
	};
	match value {
		Value::Object(map) if !map.is_empty() => {
			let field = |(key, value): (&String, &Value)| {
				format!("{}: {}", Value::from(key.as_str()), written(value, depth + 1))
			};
			lines("{", map.iter().map(field).collect(), "}")
		}
		Value::Array(items) if items.iter().any(|item| !item.is_number()) => {
			lines("[", items.iter().map(|item| written(item, depth + 1)).collect(), "]")
		}
		other => other.to_string(),
	}
}

/// The bits of floats, little-endian, in hexadecimal.
pub(crate) fn bits(values: &[f32]) -> String {
	hex::encode(values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

/// BLAKE3's stream over the name.
fn stream(name: &str, bytes: usize) -> Vec<u8> {
	let mut out = vec![0u8; bytes];
	blake3::Hasher::new()
		.update(name.as_bytes())
		.finalize_xof()
		.fill(&mut out);
	out
}

/// Floats of widely different size, with the given largest exponent.
fn floats(name: &str, count: usize, exponent: i32) -> Vec<f32> {
	let float = |b: &[u8]| {
		let r = u32::from_le_bytes(b.try_into().unwrap());
		let unit = f64::from(r >> 8) / f64::from(1u32 << 23) - 1.0;
		(unit * 2f64.powi(exponent - (r & 7) as i32)) as f32
	};
	stream(name, 4 * count).chunks_exact(4).map(float).collect()
}
