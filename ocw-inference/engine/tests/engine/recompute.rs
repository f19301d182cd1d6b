//! The engine's rows against the operations that a referee recomputes from a model's file and its trace.

use crate::{
	common::{config, load, options, write_source_of, Tiny},
	rows::{forward, Sequence},
};
use assay_engine::Model;
use assay_import::{import, ImportOptions};
use assay_model_folder::{
	config::{DecoderConfig, Hyperparameters},
	formats::{Format, Formats},
	header::Header,
};
use assay_numerics::{
	format::{Group, MatrixFormat},
	kv::PageShape,
	recompute::{
		choose, embedding_row, linear_element, rms_norm, Cell, LayerMatrix, LayerShape, LayerVector, LayerWeights,
		WeightRow,
	},
	sampler::Sampler,
	trace::{kv_leaf, residual_leaf, Trace, CHUNK},
	Result,
};
use candle_core::Tensor;
use serde_json::{json, Value};
use std::{collections::HashMap, fs};

/// A model's file.
struct File {
	bytes: Vec<u8>,
	header: Header,
	formats: Formats,
	/// The f32 tensors.
	vectors: HashMap<String, Vec<f32>>,
}

impl File {
	fn tensor(&self, name: &str) -> Option<&[u8]> {
		let (begin, end) = self.header.tensors.get(name)?.data_offsets;
		self.bytes
			.get((self.header.data_start + begin) as usize..(self.header.data_start + end) as usize)
	}

	fn format(&self, matrix: &str) -> MatrixFormat {
		let table = self.tensor(&format!("{matrix}_table"));
		let table = table.map_or([0; 16], |table| std::array::from_fn(|i| table[i] as i8));
		self.formats.of(matrix).with_table(table)
	}

	fn row(&self, matrix: &str, width: usize, row: usize) -> WeightRow<'_> {
		let format = self.format(matrix);
		let cut = |end: &str, bytes: usize| {
			let tensor = self.tensor(&format!("{matrix}{end}")).unwrap_or_default();
			&tensor[row * bytes..(row + 1) * bytes]
		};
		WeightRow {
			weights: cut("", format.weight_bytes(width)),
			scales: cut("_scale", format.scale_bytes(width)),
			zeros: cut("_zero", format.zero_bytes(width)),
		}
	}
}

/// One layer of it.
struct Layer<'a> {
	file: &'a File,
	layer: usize,
	shape: LayerShape,
}

impl Layer<'_> {
	fn matrix(&self, matrix: LayerMatrix) -> (String, usize) {
		let LayerShape {
			hidden, intermediate, ..
		} = self.shape;
		let (name, width) = match matrix {
			LayerMatrix::Query => ("self_attn.q_proj", hidden),
			LayerMatrix::Key => ("self_attn.k_proj", hidden),
			LayerMatrix::Value => ("self_attn.v_proj", hidden),
			LayerMatrix::Output => ("self_attn.o_proj", self.shape.queries()),
			LayerMatrix::Gate => ("mlp.gate_proj", hidden),
			LayerMatrix::Up => ("mlp.up_proj", hidden),
			LayerMatrix::Down => ("mlp.down_proj", intermediate),
		};
		(format!("model.layers.{}.{name}", self.layer), width)
	}
}

impl LayerWeights for Layer<'_> {
	fn format(&self, matrix: LayerMatrix) -> MatrixFormat {
		self.file.format(&format!("{}.weight", self.matrix(matrix).0))
	}

	fn row(&self, matrix: LayerMatrix, row: usize) -> Result<WeightRow<'_>> {
		let (name, width) = self.matrix(matrix);
		Ok(self.file.row(&format!("{name}.weight"), width, row))
	}

	fn bias(&self, matrix: LayerMatrix) -> Option<&[f32]> {
		let bias = self.file.vectors.get(&format!("{}.bias", self.matrix(matrix).0));
		bias.map(Vec::as_slice)
	}

	fn vector(&self, vector: LayerVector) -> Option<&[f32]> {
		let name = match vector {
			LayerVector::AttentionNorm => "input_layernorm",
			LayerVector::QueryNorm => "self_attn.q_norm",
			LayerVector::KeyNorm => "self_attn.k_norm",
			LayerVector::MlpNorm => "post_attention_layernorm",
		};
		let weight = self
			.file
			.vectors
			.get(&format!("model.layers.{}.{name}.weight", self.layer));
		weight.map(Vec::as_slice)
	}
}

/// A tiny model with another configuration and format, and its file.
fn imported(change: Value, weights: Format) -> (Model, File) {
	let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
	let mut config = config(Tiny::default());
	config
		.as_object_mut()
		.unwrap()
		.extend(change.as_object().unwrap().clone());
	write_source_of(source.path(), Tiny::default(), &config);
	let options = ImportOptions { weights, ..options() };
	import(source.path(), out.path(), &options).unwrap();
	let model = load(out.path());
	let bytes = fs::read(out.path().join("model.safetensors")).unwrap();
	let header = Header::read(&mut &bytes[..], bytes.len() as u64).unwrap();
	let manifest = model.manifest();
	let mut file = File {
		formats: Formats::read(&manifest.hyperparameters, &manifest.tensors).unwrap(),
		vectors: HashMap::new(),
		bytes,
		header,
	};
	let floats = |bytes: &[u8]| {
		bytes
			.chunks(4)
			.map(|b| f32::from_le_bytes(b.try_into().unwrap()))
			.collect()
	};
	let names: Vec<String> = file.header.tensors.keys().cloned().collect();
	let is_vector = |name: &String| name.ends_with("norm.weight") || name.ends_with(".bias");
	for name in names.into_iter().filter(is_vector) {
		let values = floats(file.tensor(&name).unwrap());
		file.vectors.insert(name, values);
	}
	(model, file)
}

fn shape(n: &DecoderConfig) -> LayerShape {
	LayerShape {
		hidden: n.hidden_size as usize,
		intermediate: n.intermediate_size as usize,
		heads: n.num_attention_heads as usize,
		kv_heads: n.num_key_value_heads as usize,
		head_dim: n.head_dim as usize,
		window: n.sliding_window.map(|window| window as usize),
		epsilon: n.rms_norm_eps.0,
		scale: LayerShape::scale_of(n.head_dim),
	}
}

fn flat(tensor: &Tensor) -> Vec<f32> {
	tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
	values.iter().map(|v| v.to_bits()).collect()
}

/// Recomputes everything that the engine computes of 70 tokens.
fn recomputed(change: Value, weights: Format) {
	const ROWS: usize = 70;
	let (model, file) = imported(change, weights);
	let Hyperparameters::Decoder(n) = model.manifest().hyperparameters.clone() else {
		panic!("a decoder")
	};
	let (decoder, shape) = (model.decoder().unwrap(), shape(&n));
	let tokens: Vec<u32> = (0..ROWS as u32).map(|i| (i * 97 + 13) % 256).collect();
	let mut pool = decoder.pool(3).unwrap();
	let mut sequence = Sequence::new(tokens.clone(), &mut pool);
	let rows = forward(&model, &mut pool, &mut [&mut sequence], &[ROWS]);
	let mut trace = Trace::new(decoder.layers());
	rows.with_trace_rows(|rows| trace.push(rows, 0..ROWS)).unwrap();
	let pages = PageShape {
		layers: 1,
		kv_heads: shape.kv_heads,
		head_dim: shape.head_dim,
	};
	let embedding = "model.embed_tokens.weight";
	let embed = |t: &u32| {
		embedding_row(
			shape.hidden,
			file.format(embedding),
			&file.row(embedding, shape.hidden, *t as usize),
		)
	};
	let mut x: Vec<f32> = tokens.iter().flat_map(|t| embed(t).unwrap()).collect();
	for (layer, residual) in rows.residual.iter().enumerate() {
		let (mut after, mut kv) = (Vec::new(), Vec::new());
		for (chunk, x) in x.chunks(CHUNK * shape.hidden).enumerate() {
			let cell = Cell {
				shape,
				theta: n.rope_theta.0,
				scaling: &n.rope_scaling,
				chunk,
				x,
				kv: &kv,
			};
			let weights = Layer {
				file: &file,
				layer,
				shape,
			};
			let found = cell.compute(&weights).unwrap();
			let leaves = trace.chunk_so_far(chunk).unwrap();
			assert_eq!(
				(found.leaf(), found.kv_leaf()),
				(leaves[2 * layer], leaves[2 * layer + 1]),
				"layer {layer}, chunk {chunk}"
			);
			assert_eq!(found.kv_leaf(), kv_leaf(&found.kv));
			after.extend(found.x);
			kv.extend(found.kv);
		}
		assert_eq!(bits(&after), bits(&flat(residual)));
		let engines = &rows.kv[layer * ROWS * pages.row()..(layer + 1) * ROWS * pages.row()];
		assert_eq!(kv, engines);
		x = after;
	}
	let norm = &file.vectors["model.norm.weight"];
	let normed: Vec<f32> = x
		.chunks(shape.hidden)
		.flat_map(|x| rms_norm(x, norm, shape.epsilon).unwrap())
		.collect();
	assert_eq!(bits(&normed), bits(&flat(&rows.norm)));
	assert_eq!(
		residual_leaf(&normed[2 * CHUNK * shape.hidden..]),
		*trace.chunk_so_far(2).unwrap().last().unwrap()
	);
	let head = if n.tie_word_embeddings {
		embedding
	} else {
		"lm_head.weight"
	};
	let logits: Vec<f32> = decoder
		.logits(&rows.norm_of(&[69]).unwrap())
		.map(|logits| flat(&logits))
		.unwrap();
	let last = &normed[69 * shape.hidden..];
	let element = |id: usize| linear_element(last, file.format(head), &file.row(head, shape.hidden, id), None).unwrap();
	let recomputed: Vec<f32> = (0..n.vocab_size as usize).map(element).collect();
	assert_eq!(bits(&recomputed), bits(&logits));
	let sampler = Sampler::new(1 << 16, 0, 0, [3; 32]);
	assert_eq!(choose(&sampler, &recomputed, 5, None), sampler.sample(&logits, 5));
}

#[test]
fn a_referee_finds_the_engine_s_rows_in_every_family() {
	let w8 = Format::W8(Group::G32);
	recomputed(json!({}), w8);
	recomputed(
		json!({ "model_type": "mistral", "sliding_window": 20, "tie_word_embeddings": false }),
		w8,
	);
	recomputed(json!({ "model_type": "qwen2" }), w8);
	recomputed(json!({ "model_type": "qwen3", "head_dim": 32 }), w8);
}

#[test]
fn a_referee_finds_the_engine_s_rows_in_every_format() {
	for format in Format::ALL {
		recomputed(json!({}), format);
	}
}
