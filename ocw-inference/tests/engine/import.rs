//! Imports: what is published becomes the same canonical folder whatever its form, however often it is interrupted, and in
//! little memory.

use crate::{
	common::{options, values, write_source, Tiny, TEMPLATE},
	gguf::{self, Gguf},
	tokenizers::{byte_fallback, qwen},
};
use assay_primitives::SamplingParams;
use ocw_inference::{
	files, generate,
	header::{Dtype, Header},
	import,
	import::{import_with, record_known_answer, Progress},
	layout::source_layout,
	manifest::ManifestFile,
	model::config::Config,
	tokenizer::{patterns, Tokenizer},
	Engine, Error, ImportOptions, Manifest, Model,
};
use serde_json::{json, Value};
use std::{
	fs::{self, File},
	ops::ControlFlow,
	path::{Path, PathBuf},
	process::Command,
};
use tempfile::TempDir;

/// Writes the Hugging Face folder of a tiny model with these numbers.
fn write_with(dir: &Path, config: &Value, dtype: Dtype) {
	write_source(dir, Tiny::default());
	let numbers = Config::parse(config.to_string().as_bytes()).unwrap().numbers;
	let layout = source_layout(&numbers);
	let shapes: Vec<_> = layout.iter().map(|t| (t.name.as_str(), dtype, t.shape())).collect();
	let mut bytes = Header::canonical(
		shapes
			.iter()
			.map(|(name, dtype, shape)| (*name, *dtype, shape.as_slice())),
	);
	for tensor in &layout {
		for v in values(Tiny::default(), tensor) {
			match dtype {
				Dtype::BF16 => bytes.extend(half::bf16::from_f32(v).to_le_bytes()),
				_ => bytes.extend(v.to_le_bytes()),
			}
		}
	}
	fs::write(dir.join("model.safetensors"), bytes).unwrap();
	fs::write(dir.join("config.json"), config.to_string()).unwrap();
}

fn config(more: Value) -> Value {
	let mut config = crate::common::config(Tiny::default());
	for (key, value) in more.as_object().unwrap() {
		config[key] = value.clone();
	}
	config
}

/// A folder of its own, and the source in it.
fn source() -> (TempDir, PathBuf) {
	let dir = tempfile::tempdir().unwrap();
	let source = dir.path().join("source");
	write_source(&source, Tiny::default());
	(dir, source)
}

fn read(dir: &Path, name: &str) -> Vec<u8> {
	fs::read(dir.join(name)).unwrap()
}

/// The bits of two folders are the same; only where they come from differs.
fn same_model(a: &Path, b: &Path) {
	for name in [files::WEIGHTS, files::CONFIG, files::TEMPLATE] {
		assert!(read(a, name) == read(b, name), "{name}");
	}
	let [a, b] = [a, b].map(|dir| Manifest::read(dir).unwrap());
	assert_eq!(a.tensors, b.tensors);
	assert_eq!(
		(&a.numbers, a.rope_root, a.prompt_overhead),
		(&b.numbers, b.rope_root, b.prompt_overhead)
	);
}

#[test]
fn a_gguf_file_becomes_the_folder_whose_blocks_it_holds_and_answers_alike() {
	let llama3 = json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
		"original_max_position_embeddings": 8192 });
	let yarn = json!({ "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 160 });
	for more in [
		json!({}),
		json!({ "tie_word_embeddings": false, "eos_token_id": [262, 263, 264] }),
		json!({ "rope_theta": 500000.0, "rope_scaling": llama3 }),
		json!({ "rope_scaling": { "rope_type": "linear", "factor": 2.0 } }),
		json!({ "model_type": "qwen2", "rope_scaling": yarn }),
		json!({ "model_type": "qwen3", "head_dim": 32 }),
	] {
		let dir = tempfile::tempdir().unwrap();
		let [source, plain, file, out] = ["source", "plain", "model.gguf", "out"].map(|name| dir.path().join(name));
		write_with(&source, &config(more.clone()), Dtype::F32);
		let id = import(&source, &plain, &options()).unwrap();
		gguf::from_folder(&plain).write(&file);
		let other = import(&file, &out, &options()).unwrap();
		same_model(&plain, &out);
		same_tokens(&plain, &out);
		assert_ne!(id, other, "where a model comes from is part of its identity");

		let provenance = Manifest::read(&out).unwrap().provenance;
		assert_eq!(provenance.quantiser, "gguf q8_0 blocks, bits kept");
		assert_eq!(provenance.upstream.len(), 1);
		assert_eq!(provenance.upstream[0].root, files::root(&fs::read(&file).unwrap()));

		let [a, b] = [&plain, &out].map(|dir| Model::load(dir).unwrap());
		for prompt in ["hello world", "é😀 <|end|> or 123", "  \n x"] {
			assert_eq!(a.prompt(prompt).unwrap(), b.prompt(prompt).unwrap());
			let params = SamplingParams {
				temperature: 1 << 16,
				..SamplingParams::greedy(12)
			};
			let answers = [&a, &b].map(|m| generate::execute(m, prompt, &params, [3; 32]).unwrap());
			assert_eq!(answers[0], answers[1], "{more} {prompt}");
		}
		Engine::new().add(b).unwrap();
	}
}

const SAMPLES: [&str; 7] = [
	"hello world",
	"A  b\n\n12345",
	"e\u{301}é 😀",
	"don't",
	"<|end|> x",
	"\t",
	"日本語",
];

/// The tokenizers of two folders make the same tokens.
fn same_tokens(a: &Path, b: &Path) {
	let [a, b] = [a, b].map(|dir| Tokenizer::read(dir).unwrap());
	assert_eq!((a.kind(), a.size()), (b.kind(), b.size()));
	for text in SAMPLES {
		let tokens = a.encode(text).unwrap();
		assert_eq!(tokens, b.encode(text).unwrap(), "{text:?}");
		assert!(tokens.iter().all(|t| a.bytes(*t) == b.bytes(*t)));
	}
}

#[test]
fn byte_level_tokenizers_cut_text_as_their_families_do() {
	let (dir, source) = source();
	let smollm = |json: &mut Value| {
		json["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": [
			{ "type": "Digits", "individual_digits": true }, json["pre_tokenizer"] ] });
	};
	let split = |pattern: &str, nfc: bool| {
		let mut json = qwen(pattern);
		json["normalizer"] = if nfc { json!({ "type": "NFC" }) } else { Value::Null };
		json["model"]["ignore_merges"] = (!nfc).into();
		json
	};
	let mut digits = crate::common::tokenizer();
	smollm(&mut digits);
	for (pre, theirs) in [
		("qwen2", split(patterns::QWEN2, true)),
		("llama-bpe", split(patterns::LLAMA3, false)),
		("tekken", split(patterns::TEKKEN, false)),
		("smollm", digits),
		("gpt-2", crate::common::tokenizer()),
	] {
		fs::write(source.join("tokenizer.json"), theirs.to_string()).unwrap();
		let [plain, out] = ["plain", "out"].map(|kind| dir.path().join(format!("{pre}-{kind}")));
		let file = dir.path().join("model.gguf");
		import(&source, &plain, &options()).unwrap();
		let mut gguf = gguf::from_folder(&plain);
		gguf.text("tokenizer.ggml.pre", pre);
		gguf.write(&file);
		import(&file, &out, &options()).unwrap();
		same_tokens(&plain, &out);
		let parts = |dir: &Path| {
			let mut json: Value = serde_json::from_slice(&read(dir, files::TOKENIZER)).unwrap();
			["normalizer", "pre_tokenizer"].map(|key| json[key].take())
		};
		let ([a, b], [c, d]) = (parts(&plain), parts(&out));
		assert_eq!(
			(a, b["pretokenizers"][0].clone()),
			(c, d["pretokenizers"][0].clone()),
			"{pre}"
		);
	}
}

#[test]
fn sentence_piece_becomes_the_merges_that_its_scores_stand_for() {
	let dir = tempfile::tempdir().unwrap();
	let [source, plain, file, out] = ["source", "plain", "model.gguf", "out"].map(|name| dir.path().join(name));
	write_with(
		&source,
		&config(json!({ "vocab_size": 320, "eos_token_id": 2 })),
		Dtype::F32,
	);
	let theirs = byte_fallback();
	fs::write(source.join("tokenizer.json"), theirs.to_string()).unwrap();
	import(&source, &plain, &options()).unwrap();

	let mut tokens: Vec<(u64, &str)> = Vec::new();
	for (token, id) in theirs["model"]["vocab"].as_object().unwrap() {
		tokens.push((id.as_u64().unwrap(), token));
	}
	tokens.sort_unstable();
	let kinds: Vec<i32> = (0..tokens.len())
		.map(|id| match id {
			0 => 2,
			1 | 2 => 3,
			3..259 => 6,
			_ => 1,
		})
		.collect();
	// As SentencePiece scores BPE: the earlier a piece was learnt, the better.
	let scores: Vec<f32> = (0..tokens.len()).map(|id| 258.0 - id.max(258) as f32).collect();
	let mut gguf = gguf::from_folder(&plain);
	gguf.text("tokenizer.ggml.model", "llama");
	gguf.texts("tokenizer.ggml.tokens", tokens.iter().map(|(_, token)| *token));
	gguf.ints("tokenizer.ggml.token_type", &kinds);
	gguf.floats("tokenizer.ggml.scores", &scores);
	gguf.write(&file);
	import(&file, &out, &options()).unwrap();
	same_model(&plain, &out);
	same_tokens(&plain, &out);
	let json: Value = serde_json::from_slice(&read(&out, files::TOKENIZER)).unwrap();
	let merges: Vec<String> = json["model"]["merges"]
		.as_array()
		.unwrap()
		.iter()
		.map(|pair| format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
		.collect();
	assert_eq!(json!(merges), theirs["model"]["merges"]);
	let [a, b] = [&plain, &out].map(|dir| Model::load(dir).unwrap());
	let params = SamplingParams::greedy(12);
	let answers = [&a, &b].map(|m| generate::execute(m, "hello é", &params, [3; 32]).unwrap());
	assert_eq!(answers[0], answers[1]);
}

#[test]
fn a_file_of_the_python_package_keeps_its_blocks_bit_by_bit() {
	use candle_core::{quantized::gguf_file::Content, Device};
	let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-llama-q8_0.gguf");
	let dir = tempfile::tempdir().unwrap();
	let out = dir.path().join("out");
	import(&path, &out, &options()).unwrap();
	let model = Model::load(&out).unwrap();
	let mark = |i: u32| 257 + i;
	let letter = |c: u8| u32::from(c);
	assert_eq!(
		model.prompt("hello").unwrap(),
		[mark(0), 256, letter(b'l'), letter(b'l'), letter(b'o'), mark(1), mark(2)]
	);

	// Candle's reader is somebody else's.
	let mut file = File::open(&path).unwrap();
	let theirs = Content::read(&mut file).unwrap();
	let bytes = read(&out, files::WEIGHTS);
	let header = Header::read(&mut bytes.as_slice(), bytes.len() as u64).unwrap();
	let ours = |name: &str| {
		let (begin, end) = header.tensors[name].data_offsets;
		&bytes[(header.data_start + begin) as usize..(header.data_start + end) as usize]
	};
	for (published, gguf, head) in [
		("model.embed_tokens.weight", "token_embd.weight", None),
		("model.layers.0.self_attn.q_proj.weight", "blk.0.attn_q.weight", Some(8)),
		("model.layers.0.self_attn.k_proj.weight", "blk.0.attn_k.weight", Some(8)),
		("model.layers.0.self_attn.v_proj.weight", "blk.0.attn_v.weight", None),
		("model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight", None),
	] {
		let tensor = theirs.tensor(&mut file, gguf, &Device::Cpu).unwrap();
		let width = tensor.shape().dims()[1];
		let blocks = tensor.data().unwrap();
		let rows: Vec<&[u8]> = blocks.chunks(width / 32 * 34).collect();
		let (weights, scales) = (ours(published), ours(&format!("{published}_scale")));
		for row in 0..rows.len() {
			// Row s · d / 2 + i of a head was put at 2i + s.
			let from = match head {
				Some(d) => row / d * d + row % d % (d / 2) * 2 + row % d / (d / 2),
				None => row,
			};
			for (b, block) in rows[from].chunks(34).enumerate() {
				let at = row * width / 32 + b;
				assert_eq!(&block[..2], &scales[at * 2..][..2], "{published} {row} {b}");
				assert_eq!(&block[2..], &weights[at * 32..][..32], "{published} {row} {b}");
			}
		}
	}
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

/// Ends an import after so many signs of life; the folder of the unfinished work.
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
fn an_interrupted_import_goes_on_and_ends_with_the_same_folder() {
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
	assert!(error.contains("holiday.jpg is no part of an import"), "{error}");
	fs::create_dir(dir.path().join("b")).unwrap();
	fs::write(dir.path().join("b/file"), "x").unwrap();
	assert!(refused("b").to_string().contains("not empty"));
	let error = refused("b/file/out");
	assert!(
		matches!(error, Error::Unwritable { .. }) && error.to_string().contains("folder of yours"),
		"{error}"
	);
	let error = import(&source, Path::new("/"), &options()).unwrap_err().to_string();
	assert!(error.contains("not empty"), "{error}");

	// An import of another model has begun there.
	let out = dir.path().join("c");
	interrupted(&source, &out, 5);
	write_with(&source, &config(json!({ "num_hidden_layers": 1 })), Dtype::F32);
	let error = refused("c").to_string();
	assert!(error.contains("another model's import"), "{error}");
	// Two at once.
	let (out, mut inner) = (dir.path().join("d"), None);
	import_with(&source, &out, &options(), &mut |_| {
		inner.get_or_insert_with(|| import(&source, &out, &options()).unwrap_err().to_string());
		ControlFlow::Continue(())
	})
	.unwrap();
	assert!(inner.unwrap().contains("at work"));
}

#[test]
fn a_folder_that_cannot_be_imported_says_what_to_do() {
	type Change<'a> = &'a dyn Fn(&Path);
	let cases: [(Change<'_>, &str); 9] = [
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
				let quantised = config(json!({ "quantization_config": { "quant_method": "awq" } }));
				fs::write(dir.join("config.json"), quantised.to_string()).unwrap();
			},
			"quantised already (awq)",
		),
		(
			&|dir| index(dir, json!({ "weight_map": { "a": "../a.safetensors" } })),
			"no name of a safetensors file",
		),
		(
			&|dir| index(dir, json!({ "weight_map": { "a": "/etc/passwd" } })),
			"no name of a safetensors file",
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
fn a_gguf_file_that_cannot_be_imported_says_what_to_do() {
	let (dir, source) = source();
	let plain = dir.path().join("plain");
	import(&source, &plain, &options()).unwrap();
	let good = gguf::from_folder(&plain);
	type Change<'a> = &'a dyn Fn(&mut Gguf);
	let cases: [(Change<'_>, &str); 16] = [
		(&|g| g.tensors[0].2 = 12, "is Q4_K; c1-w8 takes Q8_0"),
		(&|g| g.text("general.architecture", "gemma"), "architecture is gemma"),
		(&|g| g.number("split.count", 3), "--merge"),
		(&|g| g.number("llama.expert_count", 8), "llama.expert_count"),
		(&|g| g.remove("llama.block_count"), "`llama.block_count` is missing"),
		(&|g| g.number("llama.block_count", 3), "the weights lack it"),
		(&|g| g.number("llama.rope.dimension_count", 8), "not the head's length"),
		(
			&|g| g.ints("llama.attention.head_count_kv", &[2, 1]),
			"the same for all layers",
		),
		(&|g| g.text("llama.rope.scaling.type", "longrope"), "longrope"),
		(&|g| g.float("llama.rope.scaling.yarn_beta_fast", 2.0), "yarn_beta_fast"),
		(&|g| g.text("tokenizer.ggml.model", "t5"), "tokenizer is t5"),
		(
			&|g| g.text("tokenizer.ggml.pre", "deepseek-llm"),
			"`tokenizer.ggml.pre` is deepseek-llm",
		),
		(&|g| g.remove("tokenizer.chat_template"), "--chat-template"),
		(&|g| g.remove("tokenizer.ggml.eos_token_id"), "no token would end"),
		(
			&|g| g.tensor("blk.0.mystery.weight", &[4], gguf::F32, vec![0; 16]),
			"no tensor that this importer knows",
		),
		(
			&|g| {
				let scale = &mut g.tensors[0].3;
				scale[..2].copy_from_slice(&half::f16::INFINITY.to_le_bytes());
			},
			"a NaN or an infinity",
		),
	];
	for (change, reason) in cases {
		let mut bad = good.clone();
		change(&mut bad);
		let (file, out) = (dir.path().join("bad.gguf"), dir.path().join("out"));
		bad.write(&file);
		let error = import(&file, &out, &options()).unwrap_err().to_string();
		assert!(error.contains(reason), "{reason}: {error}");
		assert!(!out.exists());
		fs::remove_dir_all(dir.path().join("out.partial")).ok();
	}
	let missing = import(&dir.path().join("none.gguf"), &dir.path().join("out"), &options());
	assert!(matches!(missing, Err(Error::Io { .. })));
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
	assert_eq!(manifest.numbers.eos_token_ids(), [263, 264]);
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
fn the_known_answer_can_be_recorded_on_another_computer() {
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
	let numbers = Config::parse(large.to_string().as_bytes()).unwrap().numbers;
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

	let name = "import::an_import_holds_less_than_its_largest_tensor_in_memory";
	let child = Command::new(std::env::current_exe().unwrap())
		.args(["--exact", name])
		.env(CHILD, dir.path())
		.output()
		.unwrap();
	assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
	let peak: u64 = fs::read_to_string(dir.path().join("peak")).unwrap().parse().unwrap();
	let largest = (1u64 << 18) * 128 * 4;
	assert!(
		peak << 10 < largest,
		"{peak} KiB; the largest tensor has {} KiB",
		largest >> 10
	);
}
