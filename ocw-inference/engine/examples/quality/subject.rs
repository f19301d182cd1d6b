//! The models that are measured, and the texts that they are measured on.

use crate::float;
use assay_engine::Model;
use assay_import::{import, ImportOptions};
use assay_model_folder::{formats::Format, tokenizer::Tokenizer};
use candle_core::{
	quantized::gguf_file::Content,
	safetensors::{load, save},
	DType, Device, Tensor,
};
use demo_model::{corpus, judge, llama::Llama};
use half::f16;
use std::{
	collections::HashMap,
	fs,
	path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Tokens of a window: each is predicted from those before it in its window.
const WINDOW: usize = 512;

/// A text, and from which token on its predictions count.
pub(crate) struct Text {
	pub(crate) tokens: Vec<u32>,
	pub(crate) first: usize,
}

/// A model with its floats.
pub(crate) struct Subject {
	pub(crate) name: String,
	/// What it is measured on, in words.
	pub(crate) measured_on: String,
	/// A Hugging Face directory.
	source: PathBuf,
	pub(crate) floats: Llama,
	pub(crate) texts: Vec<Text>,
	/// What has to exist for as long as it does.
	work: TempDir,
}

impl Subject {
	/// Returns the demo model and the right answers to questions that it never learned.
	pub(crate) fn demo() -> Self {
		let (work, source) = (tempfile::tempdir().unwrap(), float::demo("original"));
		let tokenizer = tokenizer(&source);
		let model = imported(&source, &work.path().join("plain"), Format::default());
		let topics = corpus::load().unwrap();
		let held_out = judge::held_out(&topics).step_by(4).map(|(topic, question)| {
			let mut tokens = model.prompt(&question).unwrap();
			let first = tokens.len();
			tokens.extend(tokenizer.encode(&format!("{}<|end|>", topic.answer)).unwrap());
			Text { tokens, first }
		});
		let texts: Vec<Text> = held_out.collect();
		Self {
			name: "the demo model".into(),
			measured_on: format!("the right answers to {} questions that it never learned", texts.len()),
			floats: float::load(&source, None),
			source,
			texts,
			work,
		}
	}

	/// Returns SmolLM2-135M-Instruct of a GGUF file in Q4_1, and the first tokens of the evaluation text. Each weight of its
	/// layers is moved by up to half a step of Q4_1, so that it lies on no format's grid.
	pub(crate) fn smollm2(gguf: &Path, tokens: usize) -> Self {
		let work = tempfile::tempdir().unwrap();
		let (plain, source) = (work.path().join("plain"), work.path().join("source"));
		drop(imported(gguf, &plain, Format::default()));
		fs::create_dir(&source).unwrap();
		for name in ["config.json", "tokenizer.json", "chat_template.jinja"] {
			fs::copy(plain.join(name), source.join(name)).unwrap();
		}
		save(&floats_of(gguf), source.join("model.safetensors")).unwrap();
		let all = tokenizer(&source).encode(&evaluation()).unwrap();
		let windows = all[..tokens.min(all.len())].chunks(WINDOW);
		let texts: Vec<Text> = windows
			.map(|window| Text {
				tokens: window.to_vec(),
				first: 1,
			})
			.collect();
		Self {
			name: "SmolLM2-135M-Instruct".into(),
			measured_on: format!(
				"{} windows of {WINDOW} tokens: prose, news, code, and decisions of docs/adr",
				texts.len()
			),
			floats: float::load(&source, Some(WINDOW)),
			source,
			texts,
			work,
		}
	}

	/// Returns the model in a format.
	pub(crate) fn in_format(&self, format: Format) -> Model {
		imported(&self.source, &self.work.path().join(format.to_string()), format)
	}

	/// Returns the model with the layers' weights that llama.cpp's Q4_0 has of them. `w4z-32` holds these without loss.
	pub(crate) fn in_q4_0(&self) -> Model {
		let source = self.work.path().join("q4_0-source");
		fs::create_dir(&source).unwrap();
		for entry in fs::read_dir(&self.source).unwrap() {
			let path = entry.unwrap().path();
			fs::copy(&path, source.join(path.file_name().unwrap())).unwrap();
		}
		let weights = load(self.source.join("model.safetensors"), &Device::Cpu).unwrap();
		let weights = weights.into_iter().map(|(name, tensor)| {
			let rounded = if is_of_a_layer(&name, &tensor) {
				mapped(&tensor, q4_0)
			} else {
				tensor
			};
			(name, rounded)
		});
		let weights: HashMap<_, _> = weights.collect();
		save(&weights, source.join("model.safetensors")).unwrap();
		imported(&source, &self.work.path().join("q4_0"), "w4z-32".parse().unwrap())
	}
}

fn tokenizer(dir: &Path) -> Tokenizer {
	Tokenizer::parse(&fs::read(dir.join("tokenizer.json")).unwrap()).unwrap()
}

fn imported(source: &Path, out: &Path, weights: Format) -> Model {
	let options = ImportOptions {
		name: "measured".into(),
		weights,
		without_answer: true,
		..ImportOptions::default()
	};
	import(source, out, &options).unwrap();
	Model::load(out).unwrap()
}

/// Returns the text of the evaluation: nothing of it is in the importer's calibration text.
fn evaluation() -> String {
	let decisions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/adr");
	let mut files: Vec<_> = fs::read_dir(decisions)
		.unwrap()
		.map(|entry| entry.unwrap().path())
		.collect();
	files.sort();
	let decisions = files.iter().map(|path| fs::read_to_string(path).unwrap());
	let own = include_str!("evaluation.txt").replace("====\n", "\n");
	std::iter::once(own).chain(decisions).collect::<Vec<_>>().join("\n")
}

/// Returns the floats that a GGUF file of the family `llama` stands for, moved as above, by Hugging Face's names.
fn floats_of(gguf: &Path) -> HashMap<String, Tensor> {
	let mut file = fs::File::open(gguf).unwrap();
	let content = Content::read(&mut file).unwrap();
	let heads = |key: &str| content.metadata[key].to_u32().unwrap() as usize;
	let (q, k) = (
		heads("llama.attention.head_count"),
		heads("llama.attention.head_count_kv"),
	);
	let names: Vec<_> = content.tensor_infos.keys().cloned().collect();
	let mut seed = 1;
	let mut sorted = names;
	sorted.sort();
	let each = sorted.into_iter().map(|theirs| {
		let tensor = content.tensor(&mut file, &theirs, &Device::Cpu).unwrap();
		let tensor = tensor.dequantize(&Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
		let tensor = match theirs.rsplit('.').nth(1) {
			Some("attn_q") => in_order(&tensor, q),
			Some("attn_k") => in_order(&tensor, k),
			_ => tensor,
		};
		let name = renamed(&theirs);
		let moved = if is_of_a_layer(&name, &tensor) {
			mapped(&tensor, |block| off_the_grid(block, &mut seed))
		} else {
			tensor
		};
		(name, moved)
	});
	each.collect()
}

/// Returns Hugging Face's name of llama.cpp's tensor.
fn renamed(name: &str) -> String {
	let parts: Vec<&str> = name.split('.').collect();
	match parts[..] {
		["token_embd", ..] => "model.embed_tokens.weight".into(),
		["output_norm", ..] => "model.norm.weight".into(),
		["blk", layer, part, end] => {
			let part = match part {
				"attn_norm" => "input_layernorm",
				"attn_q" => "self_attn.q_proj",
				"attn_k" => "self_attn.k_proj",
				"attn_v" => "self_attn.v_proj",
				"attn_output" => "self_attn.o_proj",
				"ffn_norm" => "post_attention_layernorm",
				"ffn_gate" => "mlp.gate_proj",
				"ffn_up" => "mlp.up_proj",
				"ffn_down" => "mlp.down_proj",
				other => panic!("{other} in {name}"),
			};
			format!("model.layers.{layer}.{part}.{end}")
		}
		_ => panic!("tensor {name}"),
	}
}

/// Returns the rows of queries or keys in Hugging Face's order: llama.cpp has those of each head in pairs.
fn in_order(tensor: &Tensor, heads: usize) -> Tensor {
	let (rows, width) = tensor.dims2().unwrap();
	let pairs = tensor.reshape((heads, rows / heads / 2, 2, width)).unwrap();
	pairs
		.transpose(1, 2)
		.unwrap()
		.contiguous()
		.unwrap()
		.reshape((rows, width))
		.unwrap()
}

fn is_of_a_layer(name: &str, tensor: &Tensor) -> bool {
	name.contains(".layers.") && tensor.dims().len() == 2
}

/// Applies a function to each block of 32 of a matrix.
fn mapped(tensor: &Tensor, mut each: impl FnMut(&mut [f32])) -> Tensor {
	let mut values = tensor
		.to_dtype(DType::F32)
		.unwrap()
		.flatten_all()
		.unwrap()
		.to_vec1::<f32>()
		.unwrap();
	values.chunks_mut(32).for_each(&mut each);
	Tensor::from_vec(values, tensor.shape(), &Device::Cpu).unwrap()
}

/// Moves each weight by up to half a step of a grid of sixteen that spans the block.
fn off_the_grid(block: &mut [f32], seed: &mut u64) {
	let (low, high) = block
		.iter()
		.fold((f32::MAX, f32::MIN), |(l, h), w| (l.min(*w), h.max(*w)));
	let step = (high - low) / 15.0;
	for w in block {
		*seed = seed
			.wrapping_mul(6_364_136_223_846_793_005)
			.wrapping_add(1_442_695_040_888_963_407);
		*w += step * ((*seed >> 40) as f32 / (1 << 24) as f32 - 0.5);
	}
}

/// Rounds a block as llama.cpp's reference does for Q4_0.
fn q4_0(block: &mut [f32]) {
	let peak = block
		.iter()
		.fold(0f32, |peak, w| if w.abs() > peak.abs() { *w } else { peak });
	let scale = peak / -8.0;
	let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
	let stored = f16::from_f32(scale).to_f32();
	for w in block {
		let code = ((*w * inverse + 8.5) as i32).clamp(0, 15);
		*w = stored * (code - 8) as f32;
	}
}
