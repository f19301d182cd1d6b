//! Random models: a Hugging Face folder whose f16 weights are exactly int8 blocks times their scales.
//!
//! Each block has one weight of ±127 and a scale of four significant bits, so the importer's rounding finds the same int8
//! and the same scale again, and every engine runs the same weights. Values come from the tensor's name alone.

use crate::shapes::{Shape, EOS};
use anyhow::{Context, Result};
use half::f16;
use serde_json::{json, Map, Value};
use std::{
	fs::{self, File},
	io::{BufWriter, Write},
	path::Path,
};

/// Changes when the same shape would get other weights or another tokenizer.
pub const VERSION: u32 = 1;
const BLOCK: usize = 32;
/// A chat template.
pub const TEMPLATE: &str =
	"<|bos|>{%- for message in messages -%}<|user|>{{ message['content'] }}<|end|>{%- endfor -%}<|assistant|>";

/// A tensor of a published Llama: rows (none for a norm) and width.
struct Source {
	name: String,
	rows: Option<usize>,
	width: usize,
}

fn sources(shape: &Shape) -> Vec<Source> {
	let mut all = Vec::new();
	let mut matrix = |name: String, rows: usize, width: usize| {
		all.push(Source {
			name,
			rows: Some(rows),
			width,
		});
	};
	let Shape {
		hidden,
		intermediate,
		vocabulary,
		..
	} = *shape;
	let (q, kv) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
	matrix("model.embed_tokens.weight".into(), vocabulary, hidden);
	if !shape.tied {
		matrix("lm_head.weight".into(), vocabulary, hidden);
	}
	for layer in 0..shape.layers {
		for (part, rows, width) in [
			("self_attn.q_proj", q, hidden),
			("self_attn.k_proj", kv, hidden),
			("self_attn.v_proj", kv, hidden),
			("self_attn.o_proj", hidden, q),
			("mlp.gate_proj", intermediate, hidden),
			("mlp.up_proj", intermediate, hidden),
			("mlp.down_proj", hidden, intermediate),
		] {
			matrix(format!("model.layers.{layer}.{part}.weight"), rows, width);
		}
	}
	let mut norm = |name: String| {
		all.push(Source {
			name,
			rows: None,
			width: hidden,
		});
	};
	for layer in 0..shape.layers {
		norm(format!("model.layers.{layer}.input_layernorm.weight"));
		norm(format!("model.layers.{layer}.post_attention_layernorm.weight"));
	}
	norm("model.norm.weight".into());
	all
}

/// Writes a folder as Hugging Face has them, told how many of how many bytes are written.
pub fn write_folder(shape: &Shape, dir: &Path, told: &mut dyn FnMut(u64, u64)) -> Result<()> {
	fs::create_dir_all(dir)?;
	fs::write(dir.join("config.json"), format!("{:#}\n", shape.config()))?;
	fs::write(dir.join("tokenizer.json"), tokenizer().to_string())?;
	fs::write(dir.join("chat_template.jinja"), TEMPLATE)?;

	let sources = sources(shape);
	let mut header = Map::new();
	let mut end = 0u64;
	for source in &sources {
		let begin = end;
		end += 2 * (source.rows.unwrap_or(1) * source.width) as u64;
		let dims: Vec<usize> = source.rows.into_iter().chain([source.width]).collect();
		header.insert(
			source.name.clone(),
			json!({ "dtype": "F16", "shape": dims, "data_offsets": [begin, end] }),
		);
	}
	let header = Value::Object(header).to_string();
	let path = dir.join("model.safetensors");
	let file = File::create(&path).with_context(|| path.display().to_string())?;
	let mut out = BufWriter::with_capacity(1 << 20, file);
	out.write_all(&(header.len() as u64).to_le_bytes())?;
	out.write_all(header.as_bytes())?;
	let mut written = 0;
	for source in &sources {
		match source.rows {
			None => {
				for _ in 0..source.width {
					out.write_all(&f16::ONE.to_le_bytes())?;
				}
			}
			Some(rows) => matrix(&source.name, rows, source.width, &mut out)?,
		}
		written += 2 * (source.rows.unwrap_or(1) * source.width) as u64;
		told(written, end);
	}
	Ok(out.flush()?)
}

/// Rows of random blocks. Weights are spread like those of a trained model of this width; the row of the token that ends
/// an answer is zero in the output layer, so that greedy answers don't end early.
fn matrix(name: &str, rows: usize, width: usize, out: &mut impl Write) -> Result<()> {
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
	let mut line = Vec::with_capacity(2 * width);
	for row in 0..rows {
		line.clear();
		if heads && row == EOS as usize {
			line.resize(2 * width, 0);
		} else {
			for _ in 0..width / BLOCK {
				let bits = random.next();
				let table = &values[(bits & 7) as usize];
				let extreme = if bits & 8 == 0 { 255 } else { 1 };
				line.extend(table[extreme]);
				for byte in 1..BLOCK {
					// Eight weights a draw; the first place of the block is taken.
					if byte % 8 == 1 {
						random.refill();
					}
					line.extend(table[random.byte() as usize]);
				}
			}
		}
		out.write_all(&line)?;
	}
	Ok(())
}

/// SplitMix64: statistics don't matter here, reproducibility does.
struct Random {
	state: u64,
	held: u64,
}

impl Random {
	fn named(name: &str) -> Self {
		let hash = blake3::hash(format!("assay bench {VERSION} {name}").as_bytes());
		let seed = hash.as_bytes().first_chunk::<8>().copied().unwrap_or_default();
		Self {
			state: u64::from_le_bytes(seed),
			held: 0,
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
		self.held = self.next();
	}

	fn byte(&mut self) -> u8 {
		let byte = self.held as u8;
		self.held >>= 8;
		byte
	}
}

/// A tokenizer of the 256 bytes and four marks: a prompt has as many tokens as bytes, and four.
pub fn tokenizer() -> Value {
	let marks = ["<|bos|>", "<|user|>", "<|assistant|>", "<|end|>"];
	let added: Vec<Value> = marks
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
	for (id, mark) in marks.iter().enumerate() {
		vocabulary.insert((*mark).into(), id.into());
	}
	for byte in 0..=255u8 {
		vocabulary.insert(byte_letter(byte).to_string(), (marks.len() + usize::from(byte)).into());
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
