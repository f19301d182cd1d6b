//! BERT as a sentence encoder, on the operations of [`assay_numerics`] (`docs/spec/c2.md` §3.4).
//!
//! Texts go through together, each as a sequence of its own that sees all of itself and nothing else, so a vector has the same
//! bits whichever texts were computed with it.

use super::{matrix::Matrix, weights::Weights};
use crate::{Error, Result};
use assay_model_folder::config::EncoderConfig;
use assay_numerics::{
	activation::Gelu,
	attention::{Attention, Mask},
	kv::{PageId, PageShape, Pool, Segment, PAGE},
	norm::LayerNorm,
	packed::Gather,
	pooling, Isa,
};
use std::sync::Arc;

/// Rows that go through together, at least one text's. Any number gives the same bits; this one bounds memory.
const MAX_ROWS: usize = 1024;

struct Norm {
	weight: Vec<f32>,
	bias: Vec<f32>,
}

struct Layer {
	/// query ‖ key ‖ value
	qkv: Matrix,
	out: Matrix,
	attention_norm: Norm,
	intermediate: Matrix,
	output: Matrix,
	norm: Norm,
}

/// An encoder. Its clones share the weights.
#[derive(Clone)]
pub struct Encoder {
	config: EncoderConfig,
	weights: Arc<EncoderWeights>,
	pub(crate) isa: Isa,
}

struct EncoderWeights {
	words: Matrix,
	/// `[max_position_embeddings, hidden]`
	positions: Vec<f32>,
	/// The first token type's row: a text by itself has no other.
	kind: Vec<f32>,
	norm: Norm,
	layers: Vec<Layer>,
}

impl Encoder {
	/// Returns the names of the matrices that are packed into one, for `WeightsFile::read`.
	pub(crate) fn groups(config: &EncoderConfig) -> Vec<Vec<String>> {
		(0..config.num_hidden_layers)
			.map(|layer| QKV.map(|part| part_of(layer, part)).into())
			.collect()
	}

	/// Makes an encoder of its weights.
	pub(crate) fn new(config: EncoderConfig, mut weights: Weights) -> Result<Self> {
		let hidden = config.hidden_size as usize;
		let norm = |weights: &mut Weights, name: &str| -> Result<Norm> {
			Ok(Norm {
				weight: weights.vector(&format!("{name}.weight"))?,
				bias: weights.vector(&format!("{name}.bias"))?,
			})
		};
		let mut layers = Vec::new();
		for layer in 0..config.num_hidden_layers {
			let mut matrix = |parts: &[&str]| -> Result<Matrix> {
				let names: Vec<_> = parts.iter().map(|part| part_of(layer, part)).collect();
				weights.matrix(&names)
			};
			let qkv = matrix(&QKV)?;
			let [out, intermediate, output] = ["attention.output.dense", "intermediate.dense", "output.dense"];
			let (out, intermediate, output) = (matrix(&[out])?, matrix(&[intermediate])?, matrix(&[output])?);
			layers.push(Layer {
				qkv,
				out,
				attention_norm: norm(&mut weights, &part_of(layer, "attention.output.LayerNorm"))?,
				intermediate,
				output,
				norm: norm(&mut weights, &part_of(layer, "output.LayerNorm"))?,
			});
		}
		let mut kind = weights.vector("embeddings.token_type_embeddings.weight")?;
		kind.truncate(hidden);
		let weights = EncoderWeights {
			words: weights.matrix(&["embeddings.word_embeddings".into()])?,
			positions: weights.vector("embeddings.position_embeddings.weight")?,
			kind,
			norm: norm(&mut weights, "embeddings.LayerNorm")?,
			layers,
		};
		Ok(Self {
			config,
			weights: Arc::new(weights),
			isa: Isa::detect(),
		})
	}

	/// Returns the encoder's configuration.
	pub fn config(&self) -> &EncoderConfig {
		&self.config
	}

	/// Computes the vector of each text, given as its tokens with their marks: `[hidden_size]` each.
	pub fn embed(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
		let most = self.config.max_seq_length as usize;
		if let Some(text) = texts.iter().find(|t| t.is_empty() || t.len() > most) {
			return Err(Error::Work(format!(
				"a text has {} tokens; this encoder takes 1 to {most}",
				text.len()
			)));
		}
		let mut vectors = Vec::with_capacity(texts.len());
		let mut rest = texts;
		while !rest.is_empty() {
			let mut rows = 0;
			let fits = rest.iter().take_while(|text| {
				rows += text.len();
				rows <= MAX_ROWS
			});
			let (batch, behind) = rest.split_at(fits.count().max(1));
			vectors.extend(self.batch(batch)?);
			rest = behind;
		}
		Ok(vectors)
	}

	/// Computes the vectors of texts that go through together.
	fn batch(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
		let hidden = self.config.hidden_size as usize;
		let tables: Vec<usize> = texts.iter().map(|text| text.len().div_ceil(PAGE)).collect();
		// Keys and values are needed while their layer computes and no longer, so all layers share the pages of one.
		let shape = PageShape {
			layers: 1,
			kv_heads: self.config.num_attention_heads as usize,
			head_dim: self.config.head_dim() as usize,
		};
		let mut pool = Pool::new(shape, tables.iter().sum())?;
		let pages: Vec<PageId> = std::iter::from_fn(|| pool.alloc()).collect();
		let (mut segments, mut row, mut page) = (Vec::new(), 0, 0);
		for (text, count) in texts.iter().zip(tables) {
			let own = pages.get(page..page + count);
			segments.push(Segment {
				rows: row..row + text.len(),
				start: 0,
				pages: own.ok_or_else(|| Error::Compute("too few pages".into()))?,
			});
			(row, page) = (row + text.len(), page + count);
		}
		let mut x = self.embedded(texts)?;
		for layer in &self.weights.layers {
			x = self.layer(layer, &x, &segments, &mut pool)?;
		}
		let vectors = segments.iter().map(|segment| {
			let rows = x.get(segment.rows.start * hidden..segment.rows.end * hidden);
			let mean = pooling::mean(rows.unwrap_or_default(), hidden);
			let vector = if self.config.normalize {
				pooling::normalized(&mean)
			} else {
				mean
			};
			if vector.iter().all(|v| v.is_finite()) {
				Ok(vector)
			} else {
				Err(Error::Compute("a text's vector is not finite".into()))
			}
		});
		vectors.collect()
	}

	/// Returns the rows of words, of the token type and of positions, added and normed.
	fn embedded(&self, texts: &[Vec<u32>]) -> Result<Vec<f32>> {
		let (hidden, weights) = (self.config.hidden_size as usize, &*self.weights);
		let words = Gather {
			ids: &texts.concat(),
			weight: weights.words.table()?,
		};
		let mut x = words.rows()?;
		let positions = texts
			.iter()
			.flat_map(|text| weights.positions.chunks_exact(hidden).take(text.len()));
		for (row, position) in x.chunks_exact_mut(hidden).zip(positions) {
			for ((v, kind), position) in row.iter_mut().zip(&weights.kind).zip(position) {
				*v = (*v + kind) + position;
			}
		}
		self.norm(&x, &weights.norm)
	}

	fn layer(&self, layer: &Layer, x: &[f32], segments: &[Segment<'_>], pool: &mut Pool) -> Result<Vec<f32>> {
		let (hidden, isa) = (self.config.hidden_size as usize, self.isa);
		let attention = Attention {
			layer: 0,
			segments,
			heads: self.config.num_attention_heads as usize,
			scale: (1.0 / f64::from(self.config.head_dim()).sqrt()) as f32,
			mask: Mask::Full,
			isa,
		};
		let mut attended = vec![0f32; x.len()];
		attention.apply(pool, &self.linear(x, &layer.qkv)?, 3 * hidden, &mut attended)?;
		let x = self.norm(&sum(x, &self.linear(&attended, &layer.out)?), &layer.attention_norm)?;
		let intermediate = self.linear(&x, &layer.intermediate)?;
		let mut activated = vec![0f32; intermediate.len()];
		Gelu { isa }.apply(&intermediate, &mut activated)?;
		self.norm(&sum(&x, &self.linear(&activated, &layer.output)?), &layer.norm)
	}

	/// Computes a product in two steps: BERT's rows have single elements that are many times larger than the others of
	/// their group, which 8 bits would blur.
	fn linear(&self, x: &[f32], matrix: &Matrix) -> Result<Vec<f32>> {
		matrix.fine(self.isa, x)
	}

	fn norm(&self, x: &[f32], norm: &Norm) -> Result<Vec<f32>> {
		let op = LayerNorm {
			weight: &norm.weight,
			bias: &norm.bias,
			epsilon: self.config.layer_norm_eps.0,
			isa: self.isa,
		};
		let mut out = vec![0f32; x.len()];
		op.apply(x, &mut out)?;
		Ok(out)
	}
}

fn sum(x: &[f32], y: &[f32]) -> Vec<f32> {
	x.iter().zip(y).map(|(x, y)| x + y).collect()
}

const QKV: [&str; 3] = ["attention.self.query", "attention.self.key", "attention.self.value"];

fn part_of(layer: u32, part: &str) -> String {
	format!("encoder.layer.{layer}.{part}")
}
