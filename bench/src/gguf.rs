//! Writes a canonical model directory as a GGUF file with the very same weights, so that peers run them too.
//!
//! A block of GGUF's Q8_0 is a block of w8-32: an f16 scale and 32 int8. A block of its Q4_0 is a block of w4 with the table -8 to 7, but
//! for the order of its nibbles. Its Llamas rotate neighboring elements where Hugging Face's rotate halves, so rows of q and k change
//! places, as in every published GGUF.

use crate::{shapes::Shape, weights::TABLE};
use anyhow::{ensure, Context, Result};
use candle_core::{
	quantized::{
		gguf_file::{self, Value},
		GgmlDType, QStorage, QTensor,
	},
	Device,
};
use safetensors::{Dtype, SafeTensors};
use std::{
	fs::{self, File},
	io::{BufWriter, Write},
	path::Path,
};

const BLOCK: usize = 32;

/// One tensor of the file to write: its name there, its name here, and the heads among which its rows are interleaved.
struct Plan {
	name: String,
	from: String,
	heads: Option<usize>,
}

/// Writes `out` from the canonical model directory `dir`; `progress` gets how many of how many tensors are made.
pub fn export(dir: &Path, out: &Path, mut progress: impl FnMut(usize, usize)) -> Result<()> {
	let config: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("config.json"))?)?;
	let shape = Shape::of_config("assay", &config).context("config.json lacks a number")?;
	let float = |key: &str| config.get(key).and_then(serde_json::Value::as_f64).map(|v| v as f32);
	let epsilon = float("rms_norm_eps").context("config.json lacks rms_norm_eps")?;
	let theta = float("rope_theta").context("config.json lacks rope_theta")?;
	let bytes = fs::read(dir.join("model.safetensors"))?;
	let source = SafeTensors::deserialize(&bytes)?;

	let plans = plans(&shape);
	let mut tensors = Vec::new();
	for (done, plan) in plans.iter().enumerate() {
		tensors.push((plan.name.as_str(), tensor(&source, plan)?));
		progress(done + 1, plans.len());
	}
	let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
	let four = tensors.iter().any(|(_, tensor)| tensor.dtype() == GgmlDType::Q4_0);
	let metadata = metadata(&shape, epsilon, theta, four);
	let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value)).collect();
	let file = File::create(out).with_context(|| out.display().to_string())?;
	let mut writer = BufWriter::with_capacity(1 << 20, file);
	gguf_file::write(&mut writer, &metadata, &tensors)?;
	Ok(writer.flush()?)
}

fn plans(shape: &Shape) -> Vec<Plan> {
	let plan = |name: &str, from: &str, heads| Plan {
		name: format!("{name}.weight"),
		from: format!("{from}.weight"),
		heads,
	};
	let mut all = vec![
		plan("token_embd", "model.embed_tokens", None),
		plan("output_norm", "model.norm", None),
	];
	if !shape.tied {
		all.push(plan("output", "lm_head", None));
	}
	for layer in 0..shape.layers {
		for (name, from, heads) in [
			("attn_norm", "input_layernorm", None),
			("attn_q", "self_attn.q_proj", Some(shape.heads)),
			("attn_k", "self_attn.k_proj", Some(shape.kv_heads)),
			("attn_v", "self_attn.v_proj", None),
			("attn_output", "self_attn.o_proj", None),
			("ffn_norm", "post_attention_layernorm", None),
			("ffn_gate", "mlp.gate_proj", None),
			("ffn_up", "mlp.up_proj", None),
			("ffn_down", "mlp.down_proj", None),
		] {
			all.push(plan(
				&format!("blk.{layer}.{name}"),
				&format!("model.layers.{layer}.{from}"),
				heads,
			));
		}
	}
	all
}

fn metadata(shape: &Shape, epsilon: f32, theta: f32, four: bool) -> Vec<(&'static str, Value)> {
	let text = |text: &str| Value::String(text.into());
	let number = |number: usize| Value::U32(number as u32);
	vec![
		("general.architecture", text("llama")),
		("general.name", text(shape.name)),
		// Tokens go in and out as numbers.
		("tokenizer.ggml.model", text("no_vocab")),
		// Mostly Q4_0 or Q8_0.
		("general.file_type", number(if four { 2 } else { 7 })),
		("general.alignment", number(32)),
		("llama.vocab_size", number(shape.vocabulary)),
		("llama.context_length", number(shape.context)),
		("llama.embedding_length", number(shape.hidden)),
		("llama.block_count", number(shape.layers)),
		("llama.feed_forward_length", number(shape.intermediate)),
		("llama.attention.head_count", number(shape.heads)),
		("llama.attention.head_count_kv", number(shape.kv_heads)),
		("llama.attention.key_length", number(shape.head_dim)),
		("llama.attention.value_length", number(shape.head_dim)),
		("llama.rope.dimension_count", number(shape.head_dim)),
		("llama.attention.layer_norm_rms_epsilon", Value::F32(epsilon)),
		("llama.rope.freq_base", Value::F32(theta)),
	]
}

/// A matrix with its scales in blocks, or a norm as it is.
fn tensor(source: &SafeTensors, plan: &Plan) -> Result<QTensor> {
	let weight = source.tensor(&plan.from)?;
	let storage = |bytes: &[u8], dtype| QStorage::from_data(bytes.into(), &Device::Cpu, dtype);
	let &[rows, columns] = weight.shape() else {
		let aligned = weight.data().to_vec();
		return Ok(QTensor::new(storage(&aligned, GgmlDType::F32)?, weight.shape())?);
	};
	let (dtype, bytes) = match weight.dtype() {
		Dtype::I8 => (GgmlDType::Q8_0, BLOCK),
		_ => (GgmlDType::Q4_0, BLOCK / 2),
	};
	let width = columns / bytes * BLOCK;
	let scale = source.tensor(&format!("{}_scale", plan.from))?;
	ensure!(
		scale.shape() == [rows, width / BLOCK],
		"{} has no blocks of {BLOCK}",
		plan.from
	);
	if dtype == GgmlDType::Q4_0 {
		let table = source.tensor(&format!("{}_table", plan.from))?;
		ensure!(
			table.data() == TABLE.map(|v| v as u8),
			"{} has not Q4_0's table",
			plan.from
		);
	}
	let mut blocks = Vec::with_capacity(rows * width / BLOCK * (bytes + 2));
	for row in 0..rows {
		let from = plan.heads.map_or(row, |heads| interleaved(row, rows / heads));
		let weights = weight.data().chunks_exact(columns).nth(from);
		let scales = scale.data().chunks_exact(width / BLOCK * 2).nth(from);
		let (weights, scales) = weights.zip(scales).context("a tensor is too short")?;
		for (scale, block) in scales.chunks_exact(2).zip(weights.chunks_exact(bytes)) {
			blocks.extend_from_slice(scale);
			match block.try_into() {
				Ok(block) if dtype == GgmlDType::Q4_0 => blocks.extend(q4_0(block)),
				_ => blocks.extend_from_slice(block),
			}
		}
	}
	Ok(QTensor::new(storage(&blocks, dtype)?, (rows, width))?)
}

/// The weights of a block as Q4_0 has them: the first half in the low nibbles, the second in the high ones. Ours are pairs of neighbors.
fn q4_0(block: &[u8; BLOCK / 2]) -> [u8; BLOCK / 2] {
	let nibble = |i: usize| block[i / 2] >> (4 * (i % 2)) & 0x0f;
	std::array::from_fn(|i| nibble(i) | nibble(i + BLOCK / 2) << 4)
}

/// Which of our rows is row `row` of a file whose heads of `length` rows hold pairs side by side.
fn interleaved(row: usize, length: usize) -> usize {
	let (head, within) = (row / length, row % length);
	head * length + within % 2 * (length / 2) + within / 2
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn halves_become_pairs() {
		let order: Vec<_> = (0..16).map(|row| interleaved(row, 8)).collect();
		assert_eq!(order, [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]);
	}

	#[test]
	fn neighbors_become_halves() {
		// Weight i is i / 2.
		let ours = std::array::from_fn(|i| i as u8 * 17);
		assert_eq!(
			q4_0(&ours),
			std::array::from_fn(|i| ((i / 2) | ((8 + i / 2) << 4)) as u8)
		);
	}
}
