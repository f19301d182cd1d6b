//! Imports: what is published becomes the same model directory whatever its form, however often it is interrupted, and in
//! little memory.

use assay_engine::{Engine, Model};
use assay_import::{import, import_with, record_known_answer, Error, ImportOptions, Progress};
use assay_model_folder::{
	config::ModelConfig,
	files,
	header::{Dtype, Header},
	layout::source_layout,
	manifest::ManifestFile,
	Manifest,
};
use assay_test_fixtures::{options, write_source, write_source_of, Tiny, TEMPLATE};
use serde_json::{json, Value};
use std::{
	fs::{self, File},
	ops::ControlFlow,
	path::{Path, PathBuf},
	process::Command,
};
use tempfile::TempDir;

/// Writes the Hugging Face directory of a tiny model with this configuration.
pub(crate) fn write_with(dir: &Path, config: &Value) {
	write_source_of(dir, Tiny::default(), config);
}

pub(crate) fn config(more: Value) -> Value {
	let mut config = assay_test_fixtures::config(Tiny::default());
	for (key, value) in more.as_object().unwrap() {
		config[key] = value.clone();
	}
	config
}

/// Returns a new directory, and the source in it.
pub(crate) fn source() -> (TempDir, PathBuf) {
	let dir = tempfile::tempdir().unwrap();
	let source = dir.path().join("source");
	write_source(&source, Tiny::default());
	(dir, source)
}

pub(crate) fn read(dir: &Path, name: &str) -> Vec<u8> {
	fs::read(dir.join(name)).unwrap()
}

/// Checks that the bits of two model directories are the same; only where they come from differs.
pub(crate) fn same_model(a: &Path, b: &Path) {
	for name in [files::WEIGHTS, files::CONFIG, files::TEMPLATE] {
		assert!(read(a, name) == read(b, name), "{name}");
	}
	let [a, b] = [a, b].map(|dir| Manifest::read(dir).unwrap());
	assert_eq!(a.tensors, b.tensors);
	assert_eq!(
		(&a.hyperparameters, a.rope_root, a.prompt_overhead),
		(&b.hyperparameters, b.rope_root, b.prompt_overhead)
	);
}

/// Renames the tensors of a source; what has no new name is left out.
pub(crate) fn rename(dir: &Path, new: impl Fn(&str) -> Option<String>) {
	let bytes = read(dir, files::WEIGHTS);
	let header = Header::read(&mut bytes.as_slice(), bytes.len() as u64).unwrap();
	let kept: Vec<_> = header
		.in_file_order()
		.into_iter()
		.filter_map(|(name, info)| Some((new(name)?, info)))
		.collect();
	let mut file = Header::canonical(
		kept.iter()
			.map(|(name, t)| (name.as_str(), t.dtype, t.shape.as_slice())),
	);
	for (_, info) in kept {
		let [begin, end] = [info.data_offsets.0, info.data_offsets.1].map(|at| (header.data_start + at) as usize);
		file.extend(&bytes[begin..end]);
	}
	fs::write(dir.join(files::WEIGHTS), file).unwrap();
}

/// Moves the tensors of a source into so many files with an index.
fn shard(dir: &Path, count: usize) {
	let bytes = read(dir, "model.safetensors");
	let header = Header::read(&mut bytes.as_slice(), bytes.len() as u64).unwrap();
	let data = &bytes[header.data_start as usize..];
	let mut map = serde_json::Map::new();
	for part in 0..count {
		let name = format!("model-{:05}-of-{count:05}.safetensors", part + 1);
		let mine: Vec<_> = header.tensors.iter().skip(part).step_by(count).collect();
		let mut shard = Header::canonical(
			mine.iter()
				.map(|(name, t)| (name.as_str(), t.dtype, t.shape.as_slice())),
		);
		for (tensor, info) in mine {
			shard.extend(&data[info.data_offsets.0 as usize..info.data_offsets.1 as usize]);
			map.insert(tensor.clone(), json!(name));
		}
		fs::write(dir.join(name), shard).unwrap();
	}
	fs::remove_file(dir.join("model.safetensors")).unwrap();
	let index = json!({ "metadata": { "total_size": data.len() }, "weight_map": map });
	fs::write(dir.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

#[test]
fn shards_give_the_bits_of_one_file() {
	let (dir, source) = source();
	let whole = dir.path().join("whole");
	import(&source, &whole, &options()).unwrap();
	for count in [1, 2, 7] {
		write_source(&source, Tiny::default());
		shard(&source, count);
		let out = dir.path().join(format!("out-{count}"));
		import(&source, &out, &options()).unwrap();
		same_model(&whole, &out);
		let mut manifests = [&whole, &out].map(|dir| Manifest::read(dir).unwrap());
		let upstream = &manifests[1].provenance.upstream;
		assert_eq!(upstream.len(), count + 3);
		for file in upstream {
			assert_eq!(file.root, files::root(&read(&source, &file.name)), "{}", file.name);
		}
		manifests.iter_mut().for_each(|m| m.provenance.upstream.clear());
		assert_eq!(manifests[0], manifests[1]);
		fs::remove_dir_all(&source).unwrap();
	}
}

/// Ends an import after this many progress reports. Returns the directory of the unfinished work.
fn interrupted(source: &Path, out: &Path, steps: u64) -> PathBuf {
	let mut left = steps;
	let result = import_with(source, out, &options(), &mut |_| {
		left = left.saturating_sub(1);
		match left {
			0 => ControlFlow::Break(()),
			_ => ControlFlow::Continue(()),
		}
	});
	match result {
		Err(Error::Interrupted { partial }) => partial,
		other => panic!("{other:?}"),
	}
}

#[test]
fn an_interrupted_import_goes_on_and_ends_with_the_same_directory() {
	let (dir, source) = source();
	let whole = dir.path().join("whole");
	let mut steps = 0;
	let mut last = Progress::Converting { done: 0, total: 0 };
	let id = import_with(&source, &whole, &options(), &mut |progress| {
		steps += 1;
		last = progress;
		ControlFlow::Continue(())
	})
	.unwrap();
	assert_eq!(last, Progress::Answering);
	assert!(!dir.path().join("whole.partial").exists());
	for stop in [1, 2, 5, 12, steps] {
		let out = dir.path().join(format!("out-{stop}"));
		let partial = interrupted(&source, &out, stop);
		assert!(!out.exists() && partial.join("import.journal").exists());
		// What is done is read again and not written again: its place in the file stays as it is.
		let first = fs::metadata(partial.join("model.safetensors")).unwrap().len();
		assert_eq!(import(&source, &out, &options()).unwrap(), id);
		assert_eq!(fs::metadata(out.join("model.safetensors")).unwrap().len(), first);
		for name in [
			files::WEIGHTS,
			files::CONFIG,
			files::TOKENIZER,
			files::TEMPLATE,
			files::MANIFEST,
		] {
			assert!(read(&whole, name) == read(&out, name), "{stop} {name}");
		}
		assert_eq!(fs::read_dir(&out).unwrap().count(), 5);
		assert!(!partial.exists());
	}
}

#[test]
fn what_an_interrupted_import_left_is_checked_and_not_believed() {
	let (dir, source) = source();
	let [whole, out] = ["whole", "out"].map(|name| dir.path().join(name));
	let id = import(&source, &whole, &options()).unwrap();
	let honest = |path: &Path| {
		assert_eq!(import(&source, &out, &options()).unwrap(), id);
		assert!(!path.exists());
		fs::remove_dir_all(&out).unwrap();
	};
	// A byte of a finished tensor changed on the disk.
	let partial = interrupted(&source, &out, 14);
	let weights = partial.join("model.safetensors");
	let mut bytes = fs::read(&weights).unwrap();
	let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
	bytes[start..].iter_mut().for_each(|b| *b ^= 1);
	fs::write(&weights, bytes).unwrap();
	honest(&partial);
	// The file was cut.
	let partial = interrupted(&source, &out, 14);
	fs::write(partial.join("model.safetensors"), b"").unwrap();
	honest(&partial);
	// The journal names other roots.
	let partial = interrupted(&source, &out, 14);
	let journal = partial.join("import.journal");
	let text = fs::read_to_string(&journal).unwrap();
	assert!(text.lines().count() > 3, "{text}");
	fs::write(
		&journal,
		text.replace("\"root\":\"0x", "\"root\":\"0x0").replace("0x00", "0x0"),
	)
	.unwrap();
	honest(&partial);
	// The journal is gone.
	let partial = interrupted(&source, &out, 14);
	fs::remove_file(partial.join("import.journal")).unwrap();
	honest(&partial);
	// The source changed: its own result comes out.
	interrupted(&source, &out, 14);
	write_source(
		&source,
		Tiny {
			seed: 2,
			..Tiny::default()
		},
	);
	let changed = import(&source, &dir.path().join("changed"), &options()).unwrap();
	assert_eq!(import(&source, &out, &options()).unwrap(), changed);
	assert_ne!(changed, id);
}

#[test]
fn files_in_the_way_are_left_alone() {
	let (dir, source) = source();
	let refused = |out: &str| import(&source, &dir.path().join(out), &options()).unwrap_err();
	fs::create_dir(dir.path().join("a.partial")).unwrap();
	fs::write(dir.path().join("a.partial/holiday.jpg"), "x").unwrap();
	let error = refused("a").to_string();
	assert!(error.contains("holiday.jpg is not part of an import"), "{error}");
	fs::create_dir(dir.path().join("b")).unwrap();
	fs::write(dir.path().join("b/file"), "x").unwrap();
	assert!(refused("b").to_string().contains("not empty"));
	let error = refused("b/file/out");
	assert!(
		matches!(error, Error::Unwritable { .. }) && error.to_string().contains("directory of your own"),
		"{error}"
	);
	let error = import(&source, Path::new("/"), &options()).unwrap_err().to_string();
	assert!(error.contains("not empty"), "{error}");

	// An import of another model has begun there.
	let out = dir.path().join("c");
	interrupted(&source, &out, 5);
	write_with(&source, &config(json!({ "num_hidden_layers": 1 })));
	let error = refused("c").to_string();
	assert!(error.contains("another model's import"), "{error}");
	// Two at once.
	let (out, mut inner) = (dir.path().join("d"), None);
	import_with(&source, &out, &options(), &mut |_| {
		inner.get_or_insert_with(|| import(&source, &out, &options()).unwrap_err().to_string());
		ControlFlow::Continue(())
	})
	.unwrap();
	assert!(inner.unwrap().contains("is running"));
}

#[test]
fn a_source_that_cannot_be_imported_gives_an_error_with_a_next_step() {
	type Change<'a> = &'a dyn Fn(&Path);
	let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
	let cases: [(Change<'_>, &str); 15] = [
		(
			&|dir| fs::write(dir.join("model.safetensors"), pointer).unwrap(),
			"git lfs pull",
		),
		(
			&|dir| fs::write(dir.join("tokenizer.json"), pointer).unwrap(),
			"git lfs pull",
		),
		(
			&|dir| fs::write(dir.join("config.json"), "<!DOCTYPE html>").unwrap(),
			"a web page",
		),
		(
			&|dir| fs::remove_file(dir.join("config.json")).unwrap(),
			"Name a directory",
		),
		(
			&|dir| fs::remove_file(dir.join("tokenizer.json")).unwrap(),
			"has no tokenizer.json",
		),
		(
			&|dir| index(dir, json!({ "weight_map": { "a": "rest.safetensors" } })),
			"fetch the rest",
		),
		(
			&|dir| {
				fs::remove_file(dir.join("model.safetensors")).unwrap();
				fs::write(dir.join("pytorch_model.bin"), "x").unwrap();
			},
			"Assay never opens one",
		),
		(
			&|dir| fs::remove_file(dir.join("model.safetensors")).unwrap(),
			"no weights",
		),
		(
			&|dir| {
				fs::remove_file(dir.join("tokenizer.json")).unwrap();
				fs::write(dir.join("tokenizer.model"), "x").unwrap();
			},
			"save_pretrained",
		),
		(
			&|dir| fs::remove_file(dir.join("chat_template.jinja")).unwrap(),
			"--chat-template",
		),
		(
			&|dir| {
				fs::remove_file(dir.join("config.json")).unwrap();
				fs::write(dir.join("m.gguf"), "x").unwrap();
			},
			"m.gguf",
		),
		(
			&|dir| {
				let quantized = config(json!({ "quantization_config": { "quant_method": "fp8" } }));
				fs::write(dir.join("config.json"), quantized.to_string()).unwrap();
			},
			"`quant_method` fp8",
		),
		(
			&|dir| index(dir, json!({ "weight_map": { "a": "../a.safetensors" } })),
			"not the name of a safetensors file",
		),
		(
			&|dir| index(dir, json!({ "weight_map": { "a": "/etc/passwd" } })),
			"not the name of a safetensors file",
		),
		(&|dir| index(dir, json!({ "weight_map": {} })), "names no file"),
	];
	for (change, reason) in cases {
		let (dir, source) = source();
		change(&source);
		let out = dir.path().join("out");
		let error = import(&source, &out, &options()).unwrap_err().to_string();
		assert!(error.contains(reason), "{reason}: {error}");
		assert!(
			!out.exists() && !dir.path().join("out.partial").exists(),
			"{reason}: nothing is written"
		);
	}
}

fn index(dir: &Path, index: Value) {
	fs::remove_file(dir.join("model.safetensors")).unwrap();
	fs::write(dir.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

#[test]
fn a_shard_that_repeats_or_lacks_a_tensor_is_refused() {
	let (dir, source) = source();
	shard(&source, 2);
	let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
	let second = read(&source, names[1]);
	fs::copy(source.join(names[0]), source.join(names[1])).unwrap();
	let error = import(&source, &dir.path().join("out"), &options())
		.unwrap_err()
		.to_string();
	assert!(error.contains("in two of the shards"), "{error}");
	fs::write(source.join(names[1]), &second[..second.len() - 4]).unwrap();
	let error = import(&source, &dir.path().join("out"), &options())
		.unwrap_err()
		.to_string();
	assert!(error.contains(names[1]), "{error}");
	fs::remove_file(source.join(names[1])).unwrap();
	let error = import(&source, &dir.path().join("out"), &options())
		.unwrap_err()
		.to_string();
	assert!(error.contains(names[1]), "{error}");
}

#[test]
fn a_chat_template_and_the_tokens_that_end_a_turn_can_come_from_beside() {
	let (dir, source) = source();
	let (file, out) = (dir.path().join("my.jinja"), dir.path().join("out"));
	fs::remove_file(source.join("chat_template.jinja")).unwrap();
	fs::write(&file, format!("{TEMPLATE} ")).unwrap();
	fs::write(source.join("generation_config.json"), r#"{"eos_token_id": [264, 263]}"#).unwrap();
	let with = ImportOptions {
		chat_template: Some(file),
		..options()
	};
	import(&source, &out, &with).unwrap();
	assert_eq!(read(&out, files::TEMPLATE), format!("{TEMPLATE} ").into_bytes());
	let manifest = Manifest::read(&out).unwrap();
	assert_eq!(manifest.hyperparameters.eos_token_ids(), [263, 264]);
	let names: Vec<_> = manifest.provenance.upstream.iter().map(|f| f.name.as_str()).collect();
	assert_eq!(
		names,
		[
			"config.json",
			"generation_config.json",
			"model.safetensors",
			"tokenizer.json"
		]
	);
}

#[test]
fn the_known_answer_can_be_recorded_on_another_machine() {
	let (dir, source) = source();
	let [whole, out] = ["whole", "out"].map(|name| dir.path().join(name));
	import(&source, &whole, &options()).unwrap();
	let without = ImportOptions {
		without_answer: true,
		..options()
	};
	let id = import(&source, &out, &without).unwrap();
	assert!(ManifestFile::read(&out).unwrap().known_answer.is_none());
	assert!(Engine::new().add(Model::load(&out).unwrap()).is_err());
	assert_eq!(record_known_answer(&out).unwrap(), id);
	assert_eq!(read(&whole, files::MANIFEST), read(&out, files::MANIFEST));
	assert!(record_known_answer(&out).is_err());
}

/// Where the child of the test below finds its work.
const CHILD: &str = "ASSAY_TEST_IMPORT";

#[test]
fn an_import_holds_less_than_its_largest_tensor_in_memory() {
	if let Ok(dir) = std::env::var(CHILD) {
		let dir = Path::new(&dir);
		let without = ImportOptions {
			without_answer: true,
			..options()
		};
		import(&dir.join("source"), &dir.join("out"), &without).unwrap();
		let status = fs::read_to_string("/proc/self/status").unwrap();
		let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
		fs::write(dir.join("peak"), line.split_whitespace().nth(1).unwrap()).unwrap();
		return;
	}
	// 128 MiB of embedding; the file has holes instead of zeros.
	let dir = tempfile::tempdir().unwrap();
	let source = dir.path().join("source");
	let large = config(json!({ "vocab_size": 1 << 18, "hidden_size": 128, "intermediate_size": 128 }));
	write_source(&source, Tiny::default());
	let numbers = ModelConfig::parse(large.to_string().as_bytes())
		.unwrap()
		.hyperparameters;
	let layout = source_layout(&numbers);
	let shapes: Vec<_> = layout.iter().map(|t| (t.name.as_str(), t.shape())).collect();
	let header = Header::canonical(shapes.iter().map(|(name, shape)| (*name, Dtype::F32, shape.as_slice())));
	let elements: u64 = shapes.iter().map(|(_, shape)| shape.iter().product::<u64>()).sum();
	fs::write(source.join("config.json"), large.to_string()).unwrap();
	fs::write(source.join("model.safetensors"), &header).unwrap();
	let file = File::options()
		.write(true)
		.open(source.join("model.safetensors"))
		.unwrap();
	file.set_len(header.len() as u64 + elements * 4).unwrap();

	let name = "hugging_face::an_import_holds_less_than_its_largest_tensor_in_memory";
	let child = Command::new(std::env::current_exe().unwrap())
		.args(["--exact", name])
		.env(CHILD, dir.path())
		.output()
		.unwrap();
	assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
	let peak: u64 = fs::read_to_string(dir.path().join("peak")).unwrap().parse().unwrap();
	let largest = (1u64 << 18) * 128 * 4;
	println!("peak {peak} KiB");
	assert!(
		peak << 10 < largest,
		"{peak} KiB; the largest tensor has {} KiB",
		largest >> 10
	);
}
