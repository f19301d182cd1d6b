//! Writes GGUF files: the metadata, table and blocks that llama.cpp's converter makes of a model. Test-only, so it
//! trusts its callers.

use assay_model_folder::{
	config::{ModelConfig, RopeScaling},
	files,
	header::{Dtype, Header},
	layout::SCALE_SUFFIX,
};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// Types of ggml.
pub(crate) const F32: u32 = 0;
pub(crate) const Q4_0: u32 = 2;
pub(crate) const Q4_1: u32 = 3;
pub(crate) const Q5_0: u32 = 6;
pub(crate) const Q8_0: u32 = 8;
pub(crate) const IQ4_NL: u32 = 20;
pub(crate) const MXFP4: u32 = 39;

/// A file in the making.
#[derive(Default, Clone)]
pub(crate) struct Gguf {
	entries: Vec<(String, Vec<u8>)>,
	pub(crate) tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
}

fn text(text: &str) -> Vec<u8> {
	[(text.len() as u64).to_le_bytes().to_vec(), text.as_bytes().to_vec()].concat()
}

impl Gguf {
	fn entry(&mut self, key: &str, kind: u32, value: Vec<u8>) {
		self.entries.retain(|(k, _)| k != key);
		self.entries
			.push((key.into(), [kind.to_le_bytes().to_vec(), value].concat()));
	}

	pub(crate) fn number(&mut self, key: &str, value: u32) {
		self.entry(key, 4, value.to_le_bytes().to_vec());
	}

	pub(crate) fn float(&mut self, key: &str, value: f32) {
		self.entry(key, 6, value.to_le_bytes().to_vec());
	}

	pub(crate) fn flag(&mut self, key: &str, value: bool) {
		self.entry(key, 7, vec![value.into()]);
	}

	pub(crate) fn text(&mut self, key: &str, value: &str) {
		self.entry(key, 8, text(value));
	}

	fn array(&mut self, key: &str, kind: u32, values: Vec<Vec<u8>>) {
		let head = [
			kind.to_le_bytes().to_vec(),
			(values.len() as u64).to_le_bytes().to_vec(),
		]
		.concat();
		self.entry(key, 9, [head, values.concat()].concat());
	}

	pub(crate) fn texts<'a>(&mut self, key: &str, values: impl Iterator<Item = &'a str>) {
		self.array(key, 8, values.map(text).collect());
	}

	pub(crate) fn ints(&mut self, key: &str, values: &[i32]) {
		self.array(key, 5, values.iter().map(|v| v.to_le_bytes().to_vec()).collect());
	}

	pub(crate) fn floats(&mut self, key: &str, values: &[f32]) {
		self.array(key, 6, values.iter().map(|v| v.to_le_bytes().to_vec()).collect());
	}

	/// Tokens by id, and their types.
	pub(crate) fn vocabulary(&mut self, (texts, kinds): &(Vec<String>, Vec<i32>)) {
		self.texts("tokenizer.ggml.tokens", texts.iter().map(String::as_str));
		self.ints("tokenizer.ggml.token_type", kinds);
	}

	pub(crate) fn remove(&mut self, key: &str) {
		self.entries.retain(|(k, _)| k != key);
	}

	/// A tensor; its shape outermost first.
	pub(crate) fn tensor(&mut self, name: &str, shape: &[u64], kind: u32, data: Vec<u8>) {
		self.tensors.push((name.into(), shape.to_vec(), kind, data));
	}

	/// The file.
	pub(crate) fn bytes(&self) -> Vec<u8> {
		let mut out = b"GGUF\x03\0\0\0".to_vec();
		out.extend((self.tensors.len() as u64).to_le_bytes());
		out.extend((self.entries.len() as u64).to_le_bytes());
		for (key, value) in &self.entries {
			out.extend(text(key));
			out.extend(value);
		}
		let mut offset = 0u64;
		for (name, shape, kind, data) in &self.tensors {
			out.extend(text(name));
			out.extend((shape.len() as u32).to_le_bytes());
			shape.iter().rev().for_each(|dim| out.extend(dim.to_le_bytes()));
			out.extend(kind.to_le_bytes());
			out.extend(offset.to_le_bytes());
			offset = (offset + data.len() as u64).next_multiple_of(32);
		}
		for (.., data) in &self.tensors {
			out.resize(out.len().next_multiple_of(32), 0);
			out.extend(data);
		}
		out
	}

	pub(crate) fn write(&self, path: &Path) {
		fs::write(path, self.bytes()).unwrap();
	}
}

/// llama.cpp's name of a tensor.
fn name_of(published: &str) -> String {
	[
		("model.embed_tokens", "token_embd"),
		("model.norm", "output_norm"),
		("lm_head", "output"),
		("model.layers", "blk"),
		("input_layernorm", "attn_norm"),
		("post_attention_layernorm", "ffn_norm"),
		("self_attn.q_proj", "attn_q"),
		("self_attn.k_proj", "attn_k"),
		("self_attn.v_proj", "attn_v"),
		("self_attn.o_proj", "attn_output"),
		("self_attn.q_norm", "attn_q_norm"),
		("self_attn.k_norm", "attn_k_norm"),
		("mlp.gate_proj", "ffn_gate"),
		("mlp.up_proj", "ffn_up"),
		("mlp.down_proj", "ffn_down"),
	]
	.iter()
	.fold(published.to_owned(), |name, (theirs, ours)| name.replace(theirs, ours))
}

/// `w.reshape(heads, 2, head_dim / 2, …).swapaxes(1, 2)`: what the converter does to a Llama's queries and keys.
fn interleave(rows: &[Vec<u8>], head_dim: usize) -> Vec<Vec<u8>> {
	let mut out = Vec::new();
	for head in rows.chunks(head_dim) {
		for i in 0..head_dim / 2 {
			out.push(head[i].clone());
			out.push(head[head_dim / 2 + i].clone());
		}
	}
	out
}

/// Returns the GGUF file that holds the bits of a decoder's model directory.
pub(crate) fn from_folder(dir: &Path) -> Gguf {
	let config = ModelConfig::parse(&fs::read(dir.join(files::CONFIG)).unwrap()).unwrap();
	let mut gguf = metadata(&config);
	tokenizer(&mut gguf, dir);
	let arch = config.architecture.name();
	let head_dim = config.hyperparameters.decoder().unwrap().head_dim as usize;
	let bytes = fs::read(dir.join(files::WEIGHTS)).unwrap();
	let header = Header::read(&mut bytes.as_slice(), bytes.len() as u64).unwrap();
	let data = |name: &str| {
		let (begin, end) = header.tensors[name].data_offsets;
		&bytes[(header.data_start + begin) as usize..(header.data_start + end) as usize]
	};
	for (name, info) in &header.tensors {
		if name.ends_with(SCALE_SUFFIX) {
			continue;
		}
		let rows = match info.dtype {
			Dtype::I8 => {
				let width = info.shape[1] as usize;
				let scales = data(&format!("{name}{SCALE_SUFFIX}"));
				let rows = data(name).chunks(width).zip(scales.chunks(width / 16));
				let block = |(w, s): (&[u8], &[u8])| [s, w].concat();
				rows.map(|(w, s)| w.chunks(32).zip(s.chunks(2)).flat_map(block).collect())
					.collect()
			}
			_ => data(name).chunks(4).map(<[u8]>::to_vec).collect::<Vec<_>>(),
		};
		let rotated = ["q_proj.", "k_proj."].iter().any(|part| name.contains(part));
		let rows = if arch == "llama" && rotated {
			interleave(&rows, head_dim)
		} else {
			rows
		};
		let kind = if info.dtype == Dtype::I8 { Q8_0 } else { F32 };
		gguf.tensor(&name_of(name), &info.shape, kind, rows.concat());
	}
	if let RopeScaling::Llama3 { .. } = config.hyperparameters.decoder().unwrap().rope_scaling {
		let n = config.hyperparameters.decoder().unwrap();
		let plain = RopeScaling::None.frequencies(n.rope_theta.0, head_dim);
		let scaled = n.rope_scaling.frequencies(n.rope_theta.0, head_dim);
		let factors = plain
			.iter()
			.zip(scaled)
			.flat_map(|(a, b)| ((a / b) as f32).to_le_bytes());
		gguf.tensor("rope_freqs.weight", &[head_dim as u64 / 2], F32, factors.collect());
	}
	gguf
}

fn metadata(config: &ModelConfig) -> Gguf {
	let n = config.hyperparameters.decoder().unwrap();
	let arch = config.architecture.name();
	let mut gguf = Gguf::default();
	gguf.text("general.architecture", arch);
	let of = |name: &str| format!("{arch}.{name}");
	for (name, value) in [
		("embedding_length", n.hidden_size),
		("feed_forward_length", n.intermediate_size),
		("block_count", n.num_hidden_layers),
		("context_length", n.max_position_embeddings),
		("attention.head_count", n.num_attention_heads),
		("attention.head_count_kv", n.num_key_value_heads),
		("attention.key_length", n.head_dim),
	] {
		gguf.number(&of(name), value);
	}
	gguf.float(&of("attention.layer_norm_rms_epsilon"), n.rms_norm_eps.0);
	gguf.float(&of("rope.freq_base"), n.rope_theta.0);
	match n.rope_scaling {
		RopeScaling::Linear { factor } => {
			gguf.text(&of("rope.scaling.type"), "linear");
			gguf.float(&of("rope.scaling.factor"), factor.0);
		}
		RopeScaling::Yarn {
			factor,
			original_max_position_embeddings,
			..
		} => {
			gguf.text(&of("rope.scaling.type"), "yarn");
			gguf.float(&of("rope.scaling.factor"), factor.0);
			gguf.number(
				&of("rope.scaling.original_context_length"),
				original_max_position_embeddings,
			);
		}
		_ => {}
	}
	for (kind, id) in ["eos", "eot", "eom"].iter().zip(&n.eos_token_ids) {
		gguf.number(&format!("tokenizer.ggml.{kind}_token_id"), *id);
	}
	gguf
}

/// Returns the tokens of a model directory by id, and their types. The last three ids have no token.
pub(crate) fn vocabulary(dir: &Path) -> (Vec<String>, Vec<i32>) {
	let json: Value = serde_json::from_slice(&fs::read(dir.join(files::TOKENIZER)).unwrap()).unwrap();
	let mut tokens = BTreeMap::new();
	for (token, id) in json["model"]["vocab"].as_object().unwrap() {
		tokens.insert(id.as_u64().unwrap(), (token.clone(), 1));
	}
	for added in json["added_tokens"].as_array().unwrap() {
		let kind = if added["special"] == true { 3 } else { 4 };
		tokens.insert(
			added["id"].as_u64().unwrap(),
			(added["content"].as_str().unwrap().into(), kind),
		);
	}
	let last = *tokens.keys().last().unwrap() + 3;
	let token = |id: u64| tokens.get(&id).cloned().unwrap_or((format!("[PAD{id}]"), 5));
	(0..last).map(token).unzip()
}

fn tokenizer(gguf: &mut Gguf, dir: &Path) {
	let json: Value = serde_json::from_slice(&fs::read(dir.join(files::TOKENIZER)).unwrap()).unwrap();
	let merges = json["model"]["merges"].as_array().unwrap();
	gguf.text("tokenizer.ggml.model", "gpt2");
	gguf.text("tokenizer.ggml.pre", "gpt-2");
	gguf.vocabulary(&vocabulary(dir));
	gguf.texts("tokenizer.ggml.merges", merges.iter().map(|m| m.as_str().unwrap()));
	let template = fs::read_to_string(dir.join(files::TEMPLATE)).unwrap();
	gguf.text("tokenizer.chat_template", &template);
}
