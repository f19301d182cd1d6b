//! Floats become matrices of the format that the import is asked for, and the chain counts what was written.

use crate::{
	dequantize::matrices,
	hugging_face::{config, read, same_model, source, write_with},
};
use assay_engine::{Engine, Model};
use assay_import::{import, import_with, Error, ImportOptions};
use assay_model_folder::{files, formats::Format, layout::source_layout, Manifest};
use assay_primitives::manifest;
use assay_test_fixtures::options;
use codec::Encode;
use proptest::prelude::*;
use serde_json::json;
use std::{fs, ops::ControlFlow, path::Path};

fn in_format(weights: Format) -> ImportOptions {
	ImportOptions { weights, ..options() }
}

/// Compares what the chain reads of a directory's manifest with what is in it.
fn check_counts(dir: &Path) {
	let ours = Manifest::read(dir).unwrap();
	let (id, facts) = manifest::read(&ours.encode()).unwrap();
	assert_eq!(id, ours.model_id());
	let weights = source_layout(&ours.hyperparameters)
		.iter()
		.map(|spec| spec.shape().iter().product::<u64>())
		.sum();
	assert_eq!((facts.parameters, ours.parameters()), (weights, weights));
	let header = assay_model_folder::header::Header::canonical(
		ours.tensors
			.iter()
			.map(|t| (t.name.as_str(), t.dtype, t.shape.as_slice())),
	);
	let bytes = fs::metadata(dir.join(files::WEIGHTS)).unwrap().len() - header.len() as u64;
	assert_eq!((facts.weight_bytes, ours.weight_bytes()), (bytes, bytes));
}

#[test]
fn floats_become_the_format_that_is_asked_for() {
	let (dir, source) = source();
	write_with(
		&source,
		&config(json!({ "tie_word_embeddings": false, "intermediate_size": 160 })),
	);
	let plain = dir.path().join("plain");
	import(&source, &plain, &options()).unwrap();
	let floats = matrices(&plain);
	for format in Format::ALL {
		let out = dir.path().join(format.to_string());
		import(&source, &out, &in_format(format)).unwrap();
		check_counts(&out);
		for (name, matrix) in matrices(&out) {
			let embedding = ["model.embed_tokens.weight", "lm_head.weight"].contains(&name.as_str());
			let width = (matrix.values.len() / matrix.rows) as u64;
			let expected = if embedding { Format::default() } else { format };
			let specs = [expected, matrix.format.parse().unwrap()].map(|f: Format| f.tensors("", 1, width));
			assert_eq!(specs[0], specs[1], "{format} {name}");
			// Channels are evened out, but for those of attention's output.
			if format.to_string() == "w8-128" && !embedding && !name.contains("o_proj") {
				continue;
			}
			// Int8 in groups of 32 is near the floats; the others are near enough to it.
			let (mut off, mut power) = (0f64, 0f64);
			for (a, b) in matrix.values.iter().zip(&floats[&name].values) {
				off += f64::from(a - b).powi(2);
				power += f64::from(*b).powi(2);
			}
			let limit = if format.to_string().starts_with("w8") || embedding {
				0.01
			} else {
				0.13
			};
			let distance = (off / power).sqrt();
			assert!(distance < limit, "{format} {name}: {distance}");
		}
		let quantizer = Manifest::read(&out).unwrap().provenance.quantizer;
		let int8 = "assay w8 blocks of 32, version 1";
		match format.to_string().as_str() {
			"w8-32" => assert_eq!(quantizer, int8),
			name => {
				let kind = name.split('-').next().unwrap();
				assert!(quantizer.starts_with(&format!("assay {kind} ")), "{quantizer}");
				assert!(quantizer.ends_with(&format!("; embeddings: {int8}")), "{quantizer}");
			}
		}
		Engine::new().add(Model::load(&out).unwrap()).unwrap();
	}
}

#[test]
fn the_same_floats_give_the_same_bytes_after_an_interruption() {
	let (dir, source) = source();
	for format in Format::ALL {
		let options = ImportOptions {
			without_answer: true,
			..in_format(format)
		};
		let (whole, out) = (
			dir.path().join(format!("{format}-whole")),
			dir.path().join(format.to_string()),
		);
		import(&source, &whole, &options).unwrap();
		let mut left = 9;
		let stopped = import_with(&source, &out, &options, &mut |_| {
			left -= 1;
			if left == 0 {
				ControlFlow::Break(())
			} else {
				ControlFlow::Continue(())
			}
		});
		assert!(matches!(stopped, Err(Error::Interrupted { .. })));
		// Another format is another import.
		let other = Format::ALL.into_iter().find(|other| *other != format).unwrap();
		let refused = import(&source, &out, &in_format(other)).unwrap_err().to_string();
		assert!(refused.contains("another model's import"), "{refused}");
		import(&source, &out, &options).unwrap();
		same_model(&whole, &out);
		assert!(read(&whole, files::MANIFEST) == read(&out, files::MANIFEST));
	}
}

#[test]
fn an_encoder_stays_int8() {
	let (dir, source) = crate::encoders::source();
	let out = dir.path().join("out");
	import(&source, &out, &in_format("w4".parse().unwrap())).unwrap();
	assert!(matrices(&out).values().all(|matrix| matrix.format == "w8-32"));
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(12))]
	#[test]
	fn the_chain_reads_of_every_import_what_was_written(
		format in 0..Format::ALL.len(), layers in 1u32..3, hidden in 1u32..4, middle in 1u32..8, tied in any::<bool>(), family in 0..3usize,
	) {
		let dir = tempfile::tempdir().unwrap();
		let (source, out) = (dir.path().join("source"), dir.path().join("out"));
		let family = ["llama", "qwen2", "qwen3"][family];
		write_with(&source, &config(json!({
			"model_type": family, "num_hidden_layers": layers, "hidden_size": 64 * hidden, "intermediate_size": 32 * middle,
			"head_dim": 16 * hidden, "tie_word_embeddings": tied,
		})));
		let options = ImportOptions { without_answer: true, ..in_format(Format::ALL[format]) };
		import(&source, &out, &options).unwrap();
		check_counts(&out);
	}
}
