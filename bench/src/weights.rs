//! Random models: a directory as Hugging Face has them, whose f16 weights are exactly int8 blocks times their scales.
//!
//! Each block has one weight of ±127 and a scale of four significant bits, so the importer's rounding finds the same int8
//! and the same scale again, and every engine runs the same weights. Values come from the tensor's name alone.

use crate::shapes::{Shape, EOS};
use anyhow::Result;
use half::f16;
use safetensors::{Dtype, View};
use serde_json::{json, Map, Value};
use std::{
	borrow::Cow,
	cell::{Cell, RefCell},
	fs,
	path::Path,
};

/// Changes when the same shape would get other weights or another tokenizer.
pub const VERSION: u32 = 1;
const BLOCK: usize = 32;
/// A chat template.
pub const TEMPLATE: &str =
	"<|bos|>{%- for message in messages -%}<|user|>{{ message['content'] }}<|end|>{%- endfor -%}<|assistant|>";

/// A tensor of a published Llama, whose f16 bytes are made when they are written.
struct Source<'a> {
	name: String,
	/// Rows (none for a norm) and width.
	shape: Vec<usize>,
	/// Called with the tensor's bytes once these are made.
	written: &'a dyn Fn(usize),
}

impl View for Source<'_> {
	fn dtype(&self) -> Dtype {
		Dtype::F16
	}

	fn shape(&self) -> &[usize] {
		&self.shape
	}

	fn data(&self) -> Cow<'_, [u8]> {
		let bytes = match self.shape[..] {
			[rows, width] => matrix(&self.name, rows, width),
			_ => f16::ONE.to_le_bytes().repeat(self.data_len() / 2),
		};
		(self.written)(bytes.len());
		bytes.into()
	}

	fn data_len(&self) -> usize {
		2 * self.shape.iter().product::<usize>()
	}
}

/// Names and shapes of all tensors.
fn tensors(shape: &Shape) -> Vec<(String, Vec<usize>)> {
	let Shape {
		hidden,
		intermediate,
		vocabulary,
		..
	} = *shape;
	let (q, kv) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
	let mut all = vec![
		("model.embed_tokens.weight".into(), vec![vocabulary, hidden]),
		("model.norm.weight".into(), vec![hidden]),
	];
	if !shape.tied {
		all.push(("lm_head.weight".into(), vec![vocabulary, hidden]));
	}
	for layer in 0..shape.layers {
		for (part, shape) in [
			("self_attn.q_proj", vec![q, hidden]),
			("self_attn.k_proj", vec![kv, hidden]),
			("self_attn.v_proj", vec![kv, hidden]),
			("self_attn.o_proj", vec![hidden, q]),
			("mlp.gate_proj", vec![intermediate, hidden]),
			("mlp.up_proj", vec![intermediate, hidden]),
			("mlp.down_proj", vec![hidden, intermediate]),
			("input_layernorm", vec![hidden]),
			("post_attention_layernorm", vec![hidden]),
		] {
			all.push((format!("model.layers.{layer}.{part}.weight"), shape));
		}
	}
	all
}

/// Writes a model directory as Hugging Face has them; `progress` gets how many of how many bytes are made.
pub fn write_dir(shape: &Shape, dir: &Path, progress: impl FnMut(usize, usize)) -> Result<()> {
	fs::create_dir_all(dir)?;
	fs::write(dir.join("config.json"), format!("{:#}\n", shape.config()))?;
	fs::write(dir.join("tokenizer.json"), tokenizer().to_string())?;
	fs::write(dir.join("chat_template.jinja"), TEMPLATE)?;

	let tensors = tensors(shape);
	let all = tensors
		.iter()
		.map(|(_, shape)| 2 * shape.iter().product::<usize>())
		.sum();
	let (done, progress) = (Cell::new(0), RefCell::new(progress));
	let written = |bytes| {
		done.set(done.get() + bytes);
		(progress.borrow_mut())(done.get(), all);
	};
	let sources = tensors.into_iter().map(|(name, shape)| {
		let source = Source {
			name: name.clone(),
			shape,
			written: &written,
		};
		(name, source)
	});
	Ok(safetensors::serialize_to_file(
		sources,
		None,
		&dir.join("model.safetensors"),
	)?)
}

/// Rows of random blocks. Weights are spread like those of a trained model of this width; the row of the token that ends
/// an answer is zero in the output layer, so that greedy answers don't end early.
fn matrix(name: &str, rows: usize, width: usize) -> Vec<u8> {
	let mut random = Random::named(name);
	// A uniform int8 deviates by 73; the layer's outputs should deviate by about 1.
	let scale = 2f32.powi((1.0 / (73.0 * (width as f32).sqrt())).log2().round() as i32);
	let values: Vec<[[u8; 2]; 256]> = (8..16)
		.map(|mantissa| {
			std::array::from_fn(|q| {
				let q = (q as i32 - 128).max(-127) as f32;
				f16::from_f32(q * scale * (mantissa as f32 / 16.0)).to_le_bytes()
			})
		})
		.collect();
	let heads = name == "lm_head.weight" || name == "model.embed_tokens.weight";
	let mut bytes = Vec::with_capacity(2 * rows * width);
	for row in 0..rows {
		if heads && row == EOS as usize {
			bytes.resize(bytes.len() + 2 * width, 0);
			continue;
		}
		for _ in 0..width / BLOCK {
			let bits = random.next();
			let table = &values[(bits & 7) as usize];
			let extreme = if bits & 8 == 0 { 255 } else { 1 };
			bytes.extend(table[extreme]);
			for byte in 1..BLOCK {
				// Eight weights a draw; the first place of the block is taken.
				if byte % 8 == 1 {
					random.refill();
				}
				bytes.extend(table[random.byte() as usize]);
			}
		}
	}
	bytes
}

/// SplitMix64: statistics don't matter here, reproducibility does.
struct Random {
	state: u64,
	drawn: u64,
}

impl Random {
	fn named(name: &str) -> Self {
		let hash = blake3::hash(format!("assay bench {VERSION} {name}").as_bytes());
		let seed = hash.as_bytes().first_chunk::<8>().copied().unwrap_or_default();
		Self {
			state: u64::from_le_bytes(seed),
			drawn: 0,
		}
	}

	fn next(&mut self) -> u64 {
		self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
		let mut z = self.state;
		z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
		z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
		z ^ (z >> 31)
	}

	fn refill(&mut self) {
		self.drawn = self.next();
	}

	fn byte(&mut self) -> u8 {
		let byte = self.drawn as u8;
		self.drawn >>= 8;
		byte
	}
}

/// A tokenizer of the 256 bytes and four special tokens: a prompt has as many tokens as bytes, and four.
pub fn tokenizer() -> Value {
	let special = ["<|bos|>", "<|user|>", "<|assistant|>", "<|end|>"];
	let added: Vec<Value> = special
		.iter()
		.enumerate()
		.map(|(id, content)| {
			json!({
				"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
				"normalized": false, "special": true,
			})
		})
		.collect();
	let mut vocabulary: Map<String, Value> = Map::new();
	for (id, token) in special.iter().enumerate() {
		vocabulary.insert((*token).into(), id.into());
	}
	for byte in 0..=255u8 {
		vocabulary.insert(
			byte_letter(byte).to_string(),
			(special.len() + usize::from(byte)).into(),
		);
	}
	let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
	json!({
		"version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
		"pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
		"model": {
			"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
			"end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
			"vocab": vocabulary, "merges": [],
		},
	})
}

/// The printable letter that byte-level BPE writes a byte as.
fn byte_letter(byte: u8) -> char {
	let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
	if printable(byte) {
		return char::from(byte);
	}
	let before = (0..byte).filter(|b| !printable(*b)).count() as u32;
	char::from_u32(256 + before).unwrap_or_default()
}
