//! Writes a canonical folder as a GGUF file with the very same int8 blocks, so that peers run the same weights.
//!
//! GGUF's Q8_0 block is our block: an f16 scale and 32 int8. Its Llamas rotate neighbouring elements where Hugging Face's rotate
//! halves, so rows of q and k change places, as in every published GGUF.

use crate::shapes::Shape;
use anyhow::{bail, Context, Result};
use serde_json::Value;
use std::{
	collections::BTreeMap,
	fs::{self, File},
	io::{BufWriter, Write},
	os::unix::fs::FileExt,
	path::Path,
};

const ALIGNMENT: u64 = 32;
const BLOCK: usize = 32;

struct Place {
	shape: Vec<usize>,
	begin: u64,
}

struct Folder {
	file: File,
	tensors: BTreeMap<String, Place>,
	shape: Shape,
	epsilon: f32,
	theta: f32,
}

/// One tensor of the file to write: its name there, its name here, and the heads among which its rows are interleaved.
struct Plan {
	name: String,
	from: String,
	heads: Option<usize>,
}

/// Writes `out` from the canonical folder `dir`, told how many of how many tensors are written.
pub fn export(dir: &Path, out: &Path, told: &mut dyn FnMut(u64, u64)) -> Result<()> {
	let folder = Folder::open(dir)?;
	let plans = plans(&folder.shape);
	let mut head = Vec::new();
	head.extend(b"GGUF");
	head.extend(3u32.to_le_bytes());
	head.extend((plans.len() as u64).to_le_bytes());
	let (count, metadata) = metadata(&folder);
	head.extend(count.to_le_bytes());
	head.extend(metadata);
	let mut offset = 0u64;
	for plan in &plans {
		let place = folder.place(&plan.from)?;
		string(&mut head, &plan.name);
		head.extend((place.shape.len() as u32).to_le_bytes());
		for dim in place.shape.iter().rev() {
			head.extend((*dim as u64).to_le_bytes());
		}
		let matrix = place.shape.len() == 2;
		head.extend((if matrix { 8u32 } else { 0 }).to_le_bytes());
		head.extend(offset.to_le_bytes());
		offset += size(place).next_multiple_of(ALIGNMENT);
	}
	head.resize(head.len().next_multiple_of(ALIGNMENT as usize), 0);

	let mut writer = BufWriter::with_capacity(1 << 20, File::create(out).with_context(|| out.display().to_string())?);
	writer.write_all(&head)?;
	for (done, plan) in plans.iter().enumerate() {
		folder.copy(plan, &mut writer)?;
		let size = size(folder.place(&plan.from)?);
		let padding = size.next_multiple_of(ALIGNMENT) - size;
		writer.write_all(&vec![0; padding as usize])?;
		told(done as u64 + 1, plans.len() as u64);
	}
	Ok(writer.flush()?)
}

fn size(place: &Place) -> u64 {
	match place.shape[..] {
		[rows, width] => (rows * width / BLOCK * (BLOCK + 2)) as u64,
		_ => place.shape.iter().product::<usize>() as u64 * 4,
	}
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

/// How many entries, and their bytes.
fn metadata(folder: &Folder) -> (u64, Vec<u8>) {
	let Shape {
		name,
		layers,
		hidden,
		intermediate,
		heads,
		kv_heads,
		head_dim,
		vocabulary,
		context,
		..
	} = folder.shape;
	let mut bytes = Vec::new();
	let texts = [
		("general.architecture", "llama"),
		("general.name", name),
		// Tokens go in and out as numbers.
		("tokenizer.ggml.model", "no_vocab"),
	];
	for (key, value) in texts {
		string(&mut bytes, key);
		bytes.extend(8u32.to_le_bytes());
		string(&mut bytes, value);
	}
	let numbers = [
		("general.file_type", 7),
		("general.alignment", ALIGNMENT as usize),
		("llama.vocab_size", vocabulary),
		("llama.context_length", context),
		("llama.embedding_length", hidden),
		("llama.block_count", layers),
		("llama.feed_forward_length", intermediate),
		("llama.attention.head_count", heads),
		("llama.attention.head_count_kv", kv_heads),
		("llama.attention.key_length", head_dim),
		("llama.attention.value_length", head_dim),
		("llama.rope.dimension_count", head_dim),
	];
	for (key, value) in numbers {
		string(&mut bytes, key);
		bytes.extend(4u32.to_le_bytes());
		bytes.extend((value as u32).to_le_bytes());
	}
	let floats = [
		("llama.attention.layer_norm_rms_epsilon", folder.epsilon),
		("llama.rope.freq_base", folder.theta),
	];
	for (key, value) in floats {
		string(&mut bytes, key);
		bytes.extend(6u32.to_le_bytes());
		bytes.extend(value.to_le_bytes());
	}
	((texts.len() + numbers.len() + floats.len()) as u64, bytes)
}

fn string(out: &mut Vec<u8>, text: &str) {
	out.extend((text.len() as u64).to_le_bytes());
	out.extend(text.as_bytes());
}

impl Folder {
	fn open(dir: &Path) -> Result<Self> {
		let config: Value = serde_json::from_slice(&fs::read(dir.join("config.json"))?)?;
		let shape = Shape::of_config("assay", &config).context("config.json lacks a number")?;
		let float = |key: &str| config.get(key).and_then(Value::as_f64).map(|v| v as f32);
		let file = File::open(dir.join("model.safetensors"))?;
		let mut length = [0; 8];
		file.read_exact_at(&mut length, 0)?;
		let length = u64::from_le_bytes(length);
		let mut header = vec![0; usize::try_from(length)?];
		file.read_exact_at(&mut header, 8)?;
		let header: BTreeMap<String, Value> = serde_json::from_slice(&header)?;
		let mut tensors = BTreeMap::new();
		for (name, info) in header {
			let list =
				|key: &str| -> Option<Vec<u64>> { info.get(key)?.as_array()?.iter().map(Value::as_u64).collect() };
			let (Some(shape), Some(offsets)) = (list("shape"), list("data_offsets")) else {
				bail!("tensor `{name}` has no shape or no place");
			};
			let begin = offsets.first().context("a tensor without a place")? + 8 + length;
			let shape = shape.into_iter().map(|d| d as usize).collect();
			tensors.insert(name, Place { shape, begin });
		}
		Ok(Self {
			epsilon: float("rms_norm_eps").context("config.json lacks rms_norm_eps")?,
			theta: float("rope_theta").context("config.json lacks rope_theta")?,
			file,
			tensors,
			shape,
		})
	}

	fn place(&self, name: &str) -> Result<&Place> {
		self.tensors
			.get(name)
			.with_context(|| format!("model.safetensors lacks `{name}`"))
	}

	fn copy(&self, plan: &Plan, out: &mut impl Write) -> Result<()> {
		let weight = self.place(&plan.from)?;
		let &[rows, width] = &weight.shape[..] else {
			let mut norm = vec![0; size(weight) as usize];
			self.file.read_exact_at(&mut norm, weight.begin)?;
			return Ok(out.write_all(&norm)?);
		};
		let scale = self.place(&format!("{}_scale", plan.from))?;
		let mut w = vec![0u8; width];
		let mut s = vec![0u8; width / BLOCK * 2];
		let mut line = Vec::with_capacity(w.len() + s.len());
		for row in 0..rows {
			let from = plan.heads.map_or(row, |heads| interleaved(row, rows / heads)) as u64;
			self.file.read_exact_at(&mut w, weight.begin + from * width as u64)?;
			self.file
				.read_exact_at(&mut s, scale.begin + from * (width / BLOCK * 2) as u64)?;
			line.clear();
			for (scale, block) in s.chunks_exact(2).zip(w.chunks_exact(BLOCK)) {
				line.extend_from_slice(scale);
				line.extend_from_slice(block);
			}
			out.write_all(&line)?;
		}
		Ok(())
	}
}

/// Which of our rows is row `row` of a file whose heads of `length` rows hold pairs side by side.
fn interleaved(row: usize, length: usize) -> usize {
	let (head, within) = (row / length, row % length);
	head * length + within % 2 * (length / 2) + within / 2
}

#[cfg(test)]
mod tests {
	use super::interleaved;

	#[test]
	fn halves_become_pairs() {
		let order: Vec<_> = (0..16).map(|row| interleaved(row, 8)).collect();
		assert_eq!(order, [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]);
	}
}
