//! Matrices that AutoGPTQ and AutoAWQ quantized and packed themselves: they stand for what these programs make of them.

use crate::{
	checkpoint_writer::{Checkpoint, Method, Tensor},
	dequantize::matrices,
};
use assay_import::{import, ImportOptions};
use assay_test_fixtures::options;
use half::f16;
use serde::Deserialize;
use serde_json::{json, Value};
use std::{collections::BTreeMap, fs};

/// Written by `tests/fixtures/make_packed.py`.
const PACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/packed.json");

#[derive(Deserialize)]
struct Packed {
	tool: String,
	quantization_config: Value,
	matrix: String,
	tensors: BTreeMap<String, Bytes>,
	/// BLAKE3 of what the program makes of the matrix, in f16.
	values: String,
}

#[derive(Deserialize)]
struct Bytes {
	dtype: String,
	shape: Vec<u64>,
	bytes: String,
}

impl Bytes {
	fn tensor(&self) -> Tensor {
		let digits = self.bytes.as_bytes().chunks(2);
		let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
		Tensor {
			dtype: if self.dtype == "I32" { "I32" } else { "F16" },
			shape: self.shape.clone(),
			bytes: digits.map(byte).collect(),
		}
	}
}

#[test]
fn matrices_of_the_programs_themselves_keep_every_value() {
	let packed: Vec<Packed> = serde_json::from_slice(&fs::read(PACKED).unwrap()).unwrap();
	let dir = tempfile::tempdir().unwrap();
	let (source, out) = (dir.path().join("source"), dir.path().join("out"));
	let (mut kept, mut refused) = (0, 0);
	for entry in &packed {
		let config = &entry.quantization_config;
		let method = match config["quant_method"].as_str() {
			Some("awq") => Method::Awq,
			_ => Method::Gptq,
		};
		let group = config["group_size"].as_u64().unwrap() as usize;
		let mut checkpoint = Checkpoint::new(method, group, json!({}));
		checkpoint.config["quantization_config"] = config.clone();
		let name = format!("model.layers.0.{}", entry.matrix);
		for (end, bytes) in &entry.tensors {
			checkpoint.tensors.insert(format!("{name}.{end}"), bytes.tensor());
		}
		checkpoint.write(&source);
		fs::remove_dir_all(&out).ok();
		fs::remove_dir_all(dir.path().join("out.partial")).ok();
		let options = ImportOptions {
			without_answer: true,
			..options()
		};
		let imported = import(&source, &out, &options).map_err(|e| e.to_string());
		// AutoGPTQ reorders unless `static_groups` is true.
		let in_order = config["desc_act"] != true || config["static_groups"] == true;
		match imported {
			Ok(_) => {
				let matrix = &matrices(&out)[&format!("{name}.weight")];
				let values: Vec<u8> = (matrix.values.iter())
					.flat_map(|v| f16::from_f32(*v).to_le_bytes())
					.collect();
				assert!(in_order);
				assert_eq!(
					blake3::hash(&values).to_hex().as_str(),
					entry.values,
					"{} {config}",
					entry.tool
				);
				kept += 1;
			}
			Err(error) => {
				assert!(
					!in_order && error.contains("another order"),
					"{} {config}: {error}",
					entry.tool
				);
				refused += 1;
			}
		}
	}
	assert_eq!((kept, refused), (6, 1));
}
