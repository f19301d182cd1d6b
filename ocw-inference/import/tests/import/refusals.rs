//! What cannot be imported is refused with a next step, and the same source gives the same directory.

use assay_import::{import, ImportOptions};
use assay_model_folder::{files, header::Dtype, Manifest};
use assay_test_fixtures::{folder, options, write_source, Tiny};
use serde_json::json;
use std::{fs, path::Path};

#[test]
fn the_same_source_gives_the_same_directory_and_other_options_another_id() {
	let source = tempfile::tempdir().unwrap();
	write_source(source.path(), Tiny::default());
	let [a, b, c] = [(); 3].map(|()| tempfile::tempdir().unwrap());
	let id = import(source.path(), a.path(), &options()).unwrap();
	assert_eq!(import(source.path(), b.path(), &options()).unwrap(), id);
	for entry in fs::read_dir(a.path()).unwrap() {
		let name = entry.unwrap().file_name();
		assert_eq!(
			fs::read(a.path().join(&name)).unwrap(),
			fs::read(b.path().join(&name)).unwrap(),
			"{name:?}"
		);
	}
	let mut other = options();
	other.license = "MIT".into();
	assert_ne!(import(source.path(), c.path(), &other).unwrap(), id);
	let error = import(source.path(), a.path(), &options()).unwrap_err().to_string();
	assert!(error.contains("not empty"), "{error}");
}

#[test]
fn half_precision_sources_are_imported_too() {
	let id = |dtype| {
		let dir = folder(Tiny {
			dtype,
			..Tiny::default()
		});
		Manifest::read(dir.path()).unwrap().model_id()
	};
	for dtype in [Dtype::F16, Dtype::BF16] {
		assert_ne!(id(dtype), id(Dtype::F32));
	}
}

#[test]
fn an_import_that_cannot_be_right_gives_the_reason() {
	let try_with = |change: &dyn Fn(&Path)| {
		let source = tempfile::tempdir().unwrap();
		write_source(source.path(), Tiny::default());
		change(source.path());
		let out = tempfile::tempdir().unwrap();
		import(source.path(), out.path(), &options()).unwrap_err().to_string()
	};
	let edit = |name: &'static str, from: &'static str, to: &'static str| {
		try_with(&move |dir| {
			let path = dir.join(name);
			let text = fs::read_to_string(&path).unwrap();
			assert!(text.contains(from), "{from}");
			fs::write(&path, text.replace(from, to)).unwrap();
		})
	};
	for (from, to, reason) in [
		(
			r#""hidden_size":64"#,
			r#""hidden_size":48,"head_dim":16"#,
			"multiple of 32",
		),
		(
			r#""hidden_size":64"#,
			r#""hidden_size":128,"head_dim":16"#,
			"the configuration asks for",
		),
		(r#""num_hidden_layers":2"#, r#""num_hidden_layers":3"#, "lack it"),
		(
			r#""num_hidden_layers":2"#,
			r#""num_hidden_layers":1"#,
			"not part of the model",
		),
		(r#""num_hidden_layers":2"#, r#""num_hidden_layers":1000000"#, "1 to 256"),
		(r#""num_hidden_layers":2"#, r#""num_hidden_layers":-1"#, "not a number"),
		(
			r#""num_key_value_heads":2"#,
			r#""num_key_value_heads":3"#,
			"not a multiple",
		),
		(r#""model_type":"llama""#, r#""model_type":"mamba""#, "c2 knows"),
		(r#""hidden_act":"silu""#, r#""hidden_act":"gelu""#, "c2 knows"),
		(r#""rms_norm_eps":0.00001"#, r#""rms_norm_eps":0"#, "positive"),
		(
			r#""eos_token_id":263"#,
			r#""eos_token_id":9999"#,
			"outside the vocabulary",
		),
		(
			r#""rope_theta":10000.0"#,
			r#""rope_theta":1e4,"rope_scaling":{"rope_type":"dynamic"}"#,
			"scaled by \"dynamic\"",
		),
	] {
		let error = edit("config.json", from, to);
		assert!(error.contains(reason), "{to}: {error}");
	}
	let no_template = try_with(&|dir| fs::remove_file(dir.join("chat_template.jinja")).unwrap());
	assert!(no_template.contains("tokenizer_config.json"), "{no_template}");
	let silent = edit("chat_template.jinja", "{{ m.content }}", "hello");
	assert!(silent.contains("does not write the message"), "{silent}");
	let twice = edit(
		"chat_template.jinja",
		"{{ m.content }}",
		"{{ m.content }}{{ m.content }}",
	);
	assert!(twice.contains("twice"), "{twice}");
	let not_a_number = try_with(&|dir| {
		let path = dir.join("model.safetensors");
		let mut bytes = fs::read(&path).unwrap();
		let end = bytes.len();
		bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
		fs::write(&path, bytes).unwrap();
	});
	assert!(not_a_number.contains("NaN"), "{not_a_number}");
}

#[test]
fn a_template_inside_the_tokenizer_config_is_found() {
	let source = tempfile::tempdir().unwrap();
	write_source(source.path(), Tiny::default());
	let template = fs::read_to_string(source.path().join("chat_template.jinja")).unwrap();
	fs::remove_file(source.path().join("chat_template.jinja")).unwrap();
	fs::write(
		source.path().join("tokenizer_config.json"),
		json!({ "chat_template": template }).to_string(),
	)
	.unwrap();
	let out = tempfile::tempdir().unwrap();
	import(source.path(), out.path(), &options()).unwrap();
	assert_eq!(
		fs::read_to_string(out.path().join("chat_template.jinja")).unwrap(),
		template
	);
	let upstream = Manifest::read(out.path()).unwrap().provenance.upstream;
	assert!(upstream.iter().any(|file| file.name == "tokenizer_config.json"));
}

#[test]
fn pickled_weights_are_refused_with_the_way_out() {
	for name in ["pytorch_model.bin", "model.pt", "consolidated.00.pth"] {
		let source = tempfile::tempdir().unwrap();
		write_source(source.path(), Tiny::default());
		fs::rename(source.path().join("model.safetensors"), source.path().join(name)).unwrap();
		let out = tempfile::tempdir().unwrap();
		let options = ImportOptions {
			name: "x".into(),
			..options()
		};
		let error = import(source.path(), out.path(), &options).unwrap_err().to_string();
		assert!(error.contains("safetensors"), "{name}: {error}");
	}
}

#[test]
fn weights_of_another_name_are_refused_with_it() {
	let source = tempfile::tempdir().unwrap();
	write_source(source.path(), Tiny::default());
	let weights = |name: &str| source.path().join(name);
	fs::rename(weights(files::WEIGHTS), weights("gptq_model-4bit-32g.safetensors")).unwrap();
	let refused = || {
		let out = tempfile::tempdir().unwrap();
		import(source.path(), out.path(), &options()).unwrap_err().to_string()
	};
	let one = refused();
	assert!(
		one.contains("rename it to model.safetensors") && one.contains("There is gptq_model-4bit-32g.safetensors"),
		"{one}"
	);
	// Of two, none is the model for sure.
	fs::write(weights("another.safetensors"), "").unwrap();
	let two = refused();
	assert!(
		two.contains("neither model.safetensors") && !two.contains("rename"),
		"{two}"
	);
}
