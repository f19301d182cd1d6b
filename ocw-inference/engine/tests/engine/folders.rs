//! Model folders from strangers: every lie has a named error, and one corrupt byte is enough.

use crate::common::{config, folder, model, options, write_source, Tiny, CONTEXT};
use assay_engine::{
	header::{Dtype, Header},
	import,
	model::config::Config,
	Engine, Error, Manifest, Model,
};
use serde_json::{json, Value};
use std::{fs, path::Path};

fn header(json: &str, data: usize) -> Result<Header, Error> {
	let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
	bytes.extend(json.as_bytes());
	bytes.extend(vec![0u8; data]);
	Header::read(&mut bytes.as_slice(), bytes.len() as u64)
}

#[test]
fn an_honest_header_is_read() {
	let header = header(r#"{"b":{"dtype":"I8","shape":[2],"data_offsets":[4,6]},"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#, 6).unwrap();
	assert_eq!(
		header.in_file_order().iter().map(|(name, _)| *name).collect::<Vec<_>>(),
		["a", "b"]
	);
}

#[test]
fn a_lying_header_is_refused_with_its_reason() {
	let one =
		|shape: &str, offsets: &str| format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#);
	for (json, data, reason) in [
		(one("[2]", "[0,4]"), 4, "does not fit"),
		(one("[1]", "[4,0]"), 4, "does not fit"),
		(one("[4294967296,4294967296,4]", "[0,4]"), 4, "does not fit"),
		(one("[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "more than 8 dimensions"),
		(one("[1]", "[0,4]"), 8, "the data at 8"),
		(one("[2]", "[0,8]"), 4, "the data at 4"),
		(one("[1]", "[4,8]"), 8, "begins at 4"),
		(one("[-1]", "[0,4]"), 4, "invalid value"),
		(one("[1]", "[0,4]").replace("F32", "F8_E4M3"), 4, "unknown variant"),
		(one("[1]", "[0,4]").replace("\"shape\"", "\"strides\":[1],\"shape\""), 4, "unknown field"),
		(r#"{"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}}"#.into(), 3, "begins at 1"),
		(r#"{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}}"#.into(), 2, "appears twice"),
		(r#"{"__metadata__":{},"__metadata__":{}}"#.into(), 0, "appears twice"),
		(r#"{"__metadata__":{"a":1}}"#.into(), 0, "invalid type"),
		("[]".into(), 0, "invalid type"),
		("{".into(), 0, "EOF"),
		("".into(), 0, "EOF"),
	] {
		let error = header(&json, data).unwrap_err().to_string();
		assert!(error.contains(reason), "{json}: {error}");
	}
}

#[test]
fn a_header_is_bounded_before_it_is_read() {
	for length in [u64::MAX, (8 << 20) + 1, 1 << 20] {
		let bytes = length.to_le_bytes();
		assert!(matches!(Header::read(&mut bytes.as_slice(), 8), Err(Error::Header(_))));
	}
	assert!(matches!(
		Header::read(&mut [0u8; 3].as_slice(), 3),
		Err(Error::Header(_))
	));
	let many: Vec<_> = (0..20_001)
		.map(|i| format!(r#""{i}":{{"dtype":"I8","shape":[0],"data_offsets":[0,0]}}"#))
		.collect();
	let error = header(&format!("{{{}}}", many.join(",")), 0).unwrap_err().to_string();
	assert!(error.contains("more than 20000"), "{error}");
}

#[test]
fn one_corrupt_byte_anywhere_is_noticed() {
	let dir = folder(Tiny {
		context: 96,
		..Tiny::default()
	});
	let good = |dir: &Path| Model::load(dir).and_then(|model| Engine::new().add(model));
	good(dir.path()).unwrap();
	for name in [
		"manifest.json",
		"config.json",
		"model.safetensors",
		"tokenizer.json",
		"chat_template.jinja",
	] {
		let path = dir.path().join(name);
		let honest = fs::read(&path).unwrap();
		let step = (honest.len() / 60).max(1);
		for place in (0..honest.len()).step_by(step).chain([honest.len() - 1]) {
			for flip in [0x01, 0x80] {
				let mut bytes = honest.clone();
				bytes[place] ^= flip;
				fs::write(&path, &bytes).unwrap();
				assert!(
					good(dir.path()).is_err(),
					"byte {place} of {name} was changed by {flip:#x} and nobody noticed"
				);
			}
		}
		fs::write(&path, &honest[..honest.len() - 1]).unwrap();
		assert!(good(dir.path()).is_err(), "{name} was cut");
		fs::write(&path, [&honest[..], b" "].concat()).unwrap();
		assert!(good(dir.path()).is_err(), "{name} was made longer");
		fs::remove_file(&path).unwrap();
		assert!(matches!(good(dir.path()), Err(Error::Io { .. })), "{name} was removed");
		fs::write(&path, honest).unwrap();
	}
	good(dir.path()).unwrap();
}

#[test]
fn a_changed_weight_is_named() {
	let dir = folder(Tiny::default());
	let path = dir.path().join("model.safetensors");
	let mut bytes = fs::read(&path).unwrap();
	*bytes.last_mut().unwrap() ^= 1;
	fs::write(&path, bytes).unwrap();
	let error = Model::load(dir.path()).err().unwrap();
	assert!(
		matches!(&error, Error::Root { part, .. } if part == "tensor `model.norm.weight`"),
		"{error}"
	);
}

#[test]
fn a_model_without_its_known_answer_is_not_served() {
	let dir = folder(Tiny::default());
	let path = dir.path().join("manifest.json");
	let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
	assert!(file["known_answer"].is_object());
	let text = fs::read_to_string(&path).unwrap();
	let answer = file["known_answer"]["answer"].take();
	let other = text.replace(answer.as_str().unwrap(), &format!("0x{}", "11".repeat(32)));
	fs::write(&path, other).unwrap();
	let error = Engine::new().add(Model::load(dir.path()).unwrap()).unwrap_err();
	assert!(matches!(error, Error::KnownAnswer { .. }), "{error}");
}

#[test]
fn bad_folders_do_not_keep_good_ones_from_being_served() {
	let models = tempfile::tempdir().unwrap();
	let good = folder(Tiny::default());
	fs::rename(good.path(), models.path().join("good")).unwrap();
	fs::create_dir(models.path().join("empty")).unwrap();
	fs::create_dir(models.path().join("garbage")).unwrap();
	fs::write(models.path().join("garbage/manifest.json"), "{").unwrap();
	fs::write(models.path().join("README"), "not a folder").unwrap();
	let served = Engine::open(models.path()).unwrap().served();
	assert_eq!(served.len(), 1);
	assert_eq!(
		served[0].id,
		Manifest::read(&models.path().join("good")).unwrap().model_id()
	);
	assert_eq!((served[0].name.as_str(), served[0].parameters > 0), ("tiny", true));
}

#[test]
fn the_same_source_gives_the_same_folder_and_other_options_another_id() {
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
	other.licence = "MIT".into();
	assert_ne!(import(source.path(), c.path(), &other).unwrap(), id);
	let error = import(source.path(), a.path(), &options()).unwrap_err().to_string();
	assert!(error.contains("not empty"), "{error}");
}

#[test]
fn half_precision_sources_are_imported_too() {
	let id = model(Tiny::default()).id();
	for dtype in [Dtype::F16, Dtype::BF16] {
		assert_ne!(
			model(Tiny {
				dtype,
				..Tiny::default()
			})
			.id(),
			id
		);
	}
}

#[test]
fn an_import_that_cannot_be_right_says_why() {
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
			"the model's numbers ask for",
		),
		(r#""num_hidden_layers":2"#, r#""num_hidden_layers":3"#, "lack it"),
		(
			r#""num_hidden_layers":2"#,
			r#""num_hidden_layers":1"#,
			"no part of the model",
		),
		(r#""num_hidden_layers":2"#, r#""num_hidden_layers":1000000"#, "1 to 256"),
		(r#""num_hidden_layers":2"#, r#""num_hidden_layers":-1"#, "not a number"),
		(
			r#""num_key_value_heads":2"#,
			r#""num_key_value_heads":3"#,
			"no multiple",
		),
		(r#""model_type":"llama""#, r#""model_type":"mamba""#, "c1-w8 knows"),
		(r#""hidden_act":"silu""#, r#""hidden_act":"gelu""#, "c1-w8 knows"),
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
fn a_prompt_never_has_more_tokens_than_bytes_and_overhead() {
	let model = model(Tiny::default());
	let overhead = model.manifest().prompt_overhead;
	assert_eq!(overhead, 3);
	assert_eq!(model.manifest().context_length(), CONTEXT);
	for text in [
		"x",
		"hello",
		"hello world or hell",
		"é😀",
		"<|end|><|user|>",
		"  \n\t ",
		"\u{0}\u{7f}",
	] {
		let tokens = model.prompt(text).unwrap().len();
		assert!(tokens <= text.len() + overhead as usize, "{text}: {tokens}");
	}
}

#[test]
fn a_config_survives_being_written_and_read() {
	let numbers = Config::parse(config(Tiny::default()).to_string().as_bytes()).unwrap();
	assert_eq!(Config::parse(&numbers.to_json()).unwrap(), numbers);
}
