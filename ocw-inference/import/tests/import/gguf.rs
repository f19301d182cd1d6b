//! Imports of GGUF files: the bits, the rows' order, the tokenizers and the refusals.

use crate::{
	gguf_writer::{self, Gguf},
	hugging_face::{config, read, same_model, source, write_with},
};
use assay_engine::{generate, Engine, Model};
use assay_import::{import, Error};
use assay_model_folder::{
	files,
	header::Header,
	tokenizer::{patterns, Tokenizer},
	Error as FolderError, Manifest,
};
use assay_primitives::SamplingParams;
use assay_test_fixtures::{byte_fallback, options, qwen};
use serde_json::{json, Value};
use std::{
	fs::{self, File},
	path::Path,
};

#[test]
fn a_gguf_file_becomes_the_directory_whose_blocks_it_holds_and_answers_alike() {
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
		write_with(&source, &config(more.clone()));
		let id = import(&source, &plain, &options()).unwrap();
		gguf_writer::from_folder(&plain).write(&file);
		let other = import(&file, &out, &options()).unwrap();
		same_model(&plain, &out);
		same_tokens(&plain, &out);
		assert_ne!(id, other, "where a model comes from is part of its identity");

		let provenance = Manifest::read(&out).unwrap().provenance;
		assert_eq!(provenance.quantizer, "gguf q8_0 blocks, bits kept");
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

/// Checks that the tokenizers of two model directories make the same tokens.
fn same_tokens(a: &Path, b: &Path) {
	let [a, b] = [a, b].map(|dir| Tokenizer::parse(&read(dir, files::TOKENIZER)).unwrap());
	assert_eq!((a.kind(), a.size()), (b.kind(), b.size()));
	for text in SAMPLES {
		let tokens = a.encode(text).unwrap();
		assert_eq!(tokens, b.encode(text).unwrap(), "{text:?}");
		assert!(tokens.iter().all(|t| a.bytes(*t) == b.bytes(*t)));
	}
}

#[test]
fn byte_level_tokenizers_split_text_as_their_families_do() {
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
	let cased = |pattern: &str| {
		let mut json = split(pattern, false);
		json["model"]["ignore_merges"] = false.into();
		json
	};
	let mut digits = assay_test_fixtures::tokenizer();
	smollm(&mut digits);
	for (pre, theirs) in [
		("qwen2", split(patterns::QWEN2, true)),
		("llama-bpe", split(patterns::LLAMA3, false)),
		("tekken", split(patterns::TEKKEN, false)),
		("smollm", digits.clone()),
		("gpt-2", assay_test_fixtures::tokenizer()),
		// Other names of the same splits.
		("deepseek-r1-qwen", split(patterns::QWEN2, true)),
		("megrez", split(patterns::QWEN2, true)),
		("qwen35", split(patterns::QWEN35, true)),
		("falcon3", split(patterns::LLAMA3, false)),
		("kanana2", cased(patterns::O200K)),
		("smaug-bpe", cased(patterns::LLAMA3)),
		("minerva-7b", digits),
		("trillion", assay_test_fixtures::tokenizer()),
	] {
		fs::write(source.join("tokenizer.json"), theirs.to_string()).unwrap();
		let [plain, out] = ["plain", "out"].map(|kind| dir.path().join(format!("{pre}-{kind}")));
		let file = dir.path().join("model.gguf");
		import(&source, &plain, &options()).unwrap();
		let mut gguf = gguf_writer::from_folder(&plain);
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
	write_with(&source, &config(json!({ "vocab_size": 320, "eos_token_id": 2 })));
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
	// As SentencePiece scores BPE: the earlier a piece was learned, the better.
	let scores: Vec<f32> = (0..tokens.len()).map(|id| 258.0 - id.max(258) as f32).collect();
	let mut gguf = gguf_writer::from_folder(&plain);
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

#[test]
fn a_gguf_file_that_cannot_be_imported_gives_an_error_with_a_next_step() {
	let (dir, source) = source();
	let plain = dir.path().join("plain");
	import(&source, &plain, &options()).unwrap();
	let good = gguf_writer::from_folder(&plain);
	type Change<'a> = &'a dyn Fn(&mut Gguf);
	let cases: [(Change<'_>, &str); 15] = [
		(
			&|g| g.tensors[0].2 = 16,
			"is IQ2_XXS; imported are f32, f16, bf16, q4_0",
		),
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
		(
			&|g| g.tensor("blk.0.mystery.weight", &[4], gguf_writer::F32, vec![0; 16]),
			"not a tensor that this importer knows",
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
	assert!(matches!(missing, Err(Error::Folder(FolderError::Io { .. }))));
}
