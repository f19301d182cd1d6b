//! What a known answer certifies: a model that answers nothing is not imported, not checked and not served.

use crate::hugging_face::{config, source, write_with};
use assay_engine::{execute, known_answer, Engine, Error as EngineError, Model};
use assay_import::{import, record_known_answer, ImportOptions};
use assay_model_folder::{
	config::ModelConfig,
	files,
	header::{Dtype, Header},
	layout::source_layout,
	manifest::{KnownAnswer, ManifestFile},
};
use assay_primitives::SamplingParams;
use assay_test_fixtures::{folder, options, write_safetensors, Tiny, EOS};
use serde_json::json;
use std::{fs, path::Path};
use tempfile::TempDir;

fn refused(source: &Path) -> String {
	let out = tempfile::tempdir().unwrap();
	import(source, out.path(), &options()).unwrap_err().to_string()
}

#[test]
fn a_context_in_which_nothing_can_be_answered_is_refused() {
	// The template's three tokens and the question's 27 leave less than the two of an answer.
	for context in [1, 24, 30, 31] {
		let (_dir, source) = source();
		write_with(&source, &config(json!({ "max_position_embeddings": context })));
		let error = refused(&source);
		assert!(
			error.contains("too short") && error.contains("`max_position_embeddings`"),
			"{context}: {error}"
		);
	}
	let (dir, source) = source();
	for (context, imported) in [(31, false), (32, true)] {
		let options = ImportOptions {
			context_length: Some(context),
			..options()
		};
		let out = dir.path().join(context.to_string());
		match import(&source, &out, &options) {
			Ok(_) => assert!(imported, "{context}"),
			Err(error) => assert!(
				!imported && error.to_string().contains("--context-length"),
				"{context}: {error}"
			),
		}
	}
}

/// Changes the last elements of one tensor; of an embedding these are the row of a token that no prompt has.
fn set(source: &Path, tensor: &str, count: usize, value: f32) {
	let path = source.join(files::WEIGHTS);
	let mut bytes = fs::read(&path).unwrap();
	let header = Header::read(&mut bytes.as_slice(), bytes.len() as u64).unwrap();
	let info = &header.tensors[tensor];
	assert_eq!(info.dtype, Dtype::F32);
	let end = (header.data_start + info.data_offsets.1) as usize;
	bytes[end - 4 * count..end].copy_from_slice(&value.to_le_bytes().repeat(count));
	fs::write(&path, bytes).unwrap();
}

#[test]
fn a_weight_that_is_not_finite_is_refused_by_its_tensor() {
	for (tensor, value) in [
		("model.embed_tokens.weight", f32::NAN),
		("model.embed_tokens.weight", f32::NEG_INFINITY),
		// Finite, and the scale of its block is not: f16 ends at 65 504.
		("model.embed_tokens.weight", 1e9),
		("model.layers.1.mlp.down_proj.weight", f32::NAN),
		("model.layers.0.input_layernorm.weight", f32::INFINITY),
		("model.norm.weight", f32::NAN),
		("model.layers.0.self_attn.q_proj.bias", f32::NAN),
	] {
		let (_dir, source) = source();
		write_with(&source, &config(json!({ "attention_bias": true })));
		set(&source, tensor, 1, value);
		let error = refused(&source);
		assert!(error.contains(tensor), "{tensor} {value}: {error}");
	}
}

#[test]
fn a_model_whose_rows_overflow_has_no_known_answer() {
	let (dir, source) = source();
	// Finite weights whose rows are not.
	write_with(&source, &config(json!({})));
	set(&source, "model.norm.weight", 64, 3e38);
	let error = refused(&source);
	assert!(
		error.contains("no known answer") && error.contains("NaN or an infinity"),
		"{error}"
	);
	// Nor can it be recorded afterwards.
	let out = dir.path().join("out");
	let without = ImportOptions {
		without_answer: true,
		..options()
	};
	import(&source, &out, &without).unwrap();
	assert!(record_known_answer(&out)
		.unwrap_err()
		.to_string()
		.contains("no known answer"));
	assert!(ManifestFile::read(&out).unwrap().known_answer.is_none());
}

#[test]
fn a_model_that_ends_every_answer_at_once_has_no_known_answer() {
	for (token, refused_for) in [(EOS, Some("before they begin")), (b'x'.into(), None)] {
		let (dir, source) = source();
		let json = config(json!({ "tie_word_embeddings": false }));
		write_with(&source, &json);
		let numbers = ModelConfig::parse(json.to_string().as_bytes()).unwrap().hyperparameters;
		let shapes = source_layout(&numbers)
			.into_iter()
			.map(|spec| (spec.name.clone(), spec.shape()));
		// Every row is the same, and the output layer knows one token.
		write_safetensors(&source.join(files::WEIGHTS), Dtype::F32, shapes, |name, count| {
			let mut values = vec![0.0; count];
			match name {
				"model.embed_tokens.weight" => values.iter_mut().step_by(64).for_each(|v| *v = 1.0),
				"lm_head.weight" => values[token as usize * 64] = 50.0,
				_ if name.contains("norm") => values.fill(1.0),
				_ => {}
			}
			values
		});
		let result = import(&source, &dir.path().join("out"), &options());
		match refused_for {
			Some(reason) => assert!(result.unwrap_err().to_string().contains(reason)),
			None => drop(result.unwrap()),
		}
	}
}

/// Records a known answer by hand, as a careless tool would.
fn record(dir: &Path, known: KnownAnswer) {
	let file = ManifestFile::read(dir).unwrap();
	let file = ManifestFile::new(file.manifest, Some(known));
	fs::write(dir.join(files::MANIFEST), file.to_json().unwrap()).unwrap();
}

#[test]
fn a_recorded_failure_or_nothing_is_not_served() {
	let dir = folder(Tiny::default());
	let known = ManifestFile::read(dir.path()).unwrap().known_answer.unwrap();
	let answer_of = |prompt: &str, max_tokens| {
		let model = Model::load(dir.path()).unwrap();
		let params = SamplingParams {
			temperature: known.temperature,
			..SamplingParams::greedy(max_tokens)
		};
		let executed = execute(&model, prompt, &params, known.seed).unwrap();
		KnownAnswer {
			prompt: prompt.into(),
			max_tokens,
			answer: executed.hash(),
			..known.clone()
		}
	};
	let long = "x".repeat(2000);
	for (prompt, max_tokens, why) in [
		(long.as_str(), 24, "context is too short"),
		("hello", 1, "before they begin"),
	] {
		record(dir.path(), answer_of(prompt, max_tokens));
		let model = Model::load(dir.path()).unwrap();
		let error = known_answer::test(&model).unwrap_err();
		assert!(
			matches!(&error, EngineError::NoAnswer { reason, .. } if reason.contains(why)),
			"{error}"
		);
		assert!(Engine::new().add(model).is_err());
	}
	record(dir.path(), known.clone());
	Engine::new().add(Model::load(dir.path()).unwrap()).unwrap();
}

/// Overwrites the last bytes of a tensor of a canonical directory, and makes the manifest agree.
fn forge(dir: &Path, tensor: &str, bytes: &[u8]) {
	let path = dir.join(files::WEIGHTS);
	let mut weights = fs::read(&path).unwrap();
	let header = Header::read(&mut weights.as_slice(), weights.len() as u64).unwrap();
	let (begin, end) = header.tensors[tensor].data_offsets;
	let [begin, end] = [begin, end].map(|at| (header.data_start + at) as usize);
	weights[end - bytes.len()..end].copy_from_slice(bytes);
	let mut file = ManifestFile::read(dir).unwrap();
	let mut tensors = file.manifest.tensors.iter_mut();
	tensors.find(|entry| entry.name == tensor).unwrap().root = files::root(&weights[begin..end]);
	file = ManifestFile::new(file.manifest, file.known_answer);
	fs::write(dir.join(files::MANIFEST), file.to_json().unwrap()).unwrap();
	fs::write(&path, weights).unwrap();
}

#[test]
fn a_directory_whose_weights_are_not_finite_is_not_loaded() {
	for (tensor, bytes) in [
		("model.norm.weight", f32::NAN.to_le_bytes().to_vec()),
		(
			"model.layers.0.input_layernorm.weight",
			f32::INFINITY.to_le_bytes().to_vec(),
		),
		// The scale of a row that no prompt reaches: f16's infinity and one of its NaNs.
		("model.embed_tokens.weight_scale", vec![0x00, 0x7C]),
		("model.layers.1.mlp.down_proj.weight_scale", vec![0x01, 0xFE]),
	] {
		let dir = folder(Tiny::default());
		forge(dir.path(), tensor, &bytes);
		let error = Model::load(dir.path()).err().unwrap().to_string();
		assert!(
			error.contains(tensor) && error.contains("NaN or an infinity") && error.contains("import the model again"),
			"{error}"
		);
	}
	let dir = folder(Tiny::default());
	forge(dir.path(), "model.norm.weight", &1f32.to_le_bytes());
	Model::load(dir.path()).unwrap();
}

/// Imports the tiny model with matrices in a format. Its rows have 64 or 96 inputs: two groups of 32, or three.
fn in_format(weights: &str) -> TempDir {
	let (dir, source) = source();
	let out = dir.path().join("out");
	let options = ImportOptions {
		weights: weights.parse().unwrap(),
		..options()
	};
	import(&source, &out, &options).unwrap();
	dir
}

#[test]
fn what_a_format_has_no_use_for_is_not_loaded() {
	const DOWN: &str = "model.layers.1.mlp.down_proj.weight";
	for (format, end, bytes, refused_for) in [
		// The third group's zero point is alone in its byte.
		("w4z-32", "_zero", [0x10], Some("bits behind the last zero point")),
		("w4z-32", "_zero", [0x80], Some("bits behind the last zero point")),
		("w4z-32", "_zero", [0x0F], None),
		// One group of 128, and one zero point.
		("w4z-128", "_zero", [0xF0], Some("bits behind the last zero point")),
		// Two groups of 64, and two of them.
		("w4z-64", "_zero", [0xFF], None),
		("w4z-64", "_scale", [0x7E], Some("a NaN or an infinity")),
		("w4", "_scale", [0xFC], Some("a NaN or an infinity")),
		("w4", "", [0xFF], None),
		// Any sixteen integers are a table.
		("w4", "_table", [0x80], None),
		("w8-128", "_scale", [0x7C], Some("a NaN or an infinity")),
		("w8-128", "", [0x80], None),
	] {
		let dir = in_format(format);
		let out = dir.path().join("out");
		let tensor = format!("{DOWN}{end}");
		forge(&out, &tensor, &bytes);
		match (Model::load(&out), refused_for) {
			(Ok(_), None) => {}
			(Ok(_), Some(reason)) => panic!("{format} {end}: not refused for {reason}"),
			(Err(error), reason) => {
				let error = error.to_string();
				let expected = reason.is_some_and(|reason| error.contains(reason) && error.contains(&tensor));
				assert!(expected, "{format} {end}: {error}");
			}
		}
	}
}

#[test]
fn a_changed_byte_of_any_tensor_is_found() {
	for (format, end) in [
		("w4", ""),
		("w4", "_scale"),
		("w4", "_table"),
		("w4z-32", ""),
		("w4z-32", "_zero"),
		("w8-128", "_scale"),
	] {
		let dir = in_format(format);
		let path = dir.path().join("out").join(files::WEIGHTS);
		let mut weights = fs::read(&path).unwrap();
		let header = Header::read(&mut weights.as_slice(), weights.len() as u64).unwrap();
		let tensor = format!("model.layers.0.self_attn.k_proj.weight{end}");
		weights[(header.data_start + header.tensors[&tensor].data_offsets.0) as usize] ^= 1;
		fs::write(&path, weights).unwrap();
		let error = Model::load(&dir.path().join("out")).err().unwrap().to_string();
		assert!(
			error.contains(&tensor) && error.contains("not the one the manifest names"),
			"{error}"
		);
	}
}
