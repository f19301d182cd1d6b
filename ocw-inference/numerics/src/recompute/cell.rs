//! A cell: the rows of one chunk after one layer, and the keys and values that the layer adds for them.

use super::{pack, pages, rms_norm, WeightRow};
#[cfg(not(feature = "std"))]
use crate::math::Float;
use crate::{
	activation::SiluMul,
	attention::{Attention, Mask},
	error::bail_shape,
	flag_non_finite,
	format::MatrixFormat,
	kv::{PageShape, Segment},
	linear::Linear,
	norm::HeadNorm,
	packed::TILE,
	rope::{Rope, RopeScaling, Tables},
	trace::{kv_leaf, residual_leaf, Hash, CHUNK},
	Isa, Result,
};
use alloc::{vec, vec::Vec};

/// A layer's hyperparameters, as its operations take them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerShape {
	/// Length of a row.
	pub hidden: usize,
	/// Width of gate and of up.
	pub intermediate: usize,
	/// Query heads.
	pub heads: usize,
	/// Key heads.
	pub kv_heads: usize,
	/// Length of a head.
	pub head_dim: usize,
	/// How many keys a row sees at most, its own among them.
	pub window: Option<usize>,
	/// ε of the norms.
	pub epsilon: f32,
	/// What [`Self::scale_of`] returns for the head's length.
	pub scale: f32,
}

impl LayerShape {
	/// Returns `1 / √head_dim`, taken in f64 and rounded.
	pub fn scale_of(head_dim: u32) -> f32 {
		(1.0 / f64::from(head_dim).sqrt()) as f32
	}

	/// Returns the width of the queries of all heads.
	pub fn queries(&self) -> usize {
		self.heads * self.head_dim
	}

	/// Returns the width of the keys, or of the values, of all heads.
	pub fn keys(&self) -> usize {
		self.kv_heads * self.head_dim
	}

	/// Returns the width of q ‖ k ‖ v.
	pub fn qkv(&self) -> usize {
		self.queries() + 2 * self.keys()
	}
}

/// A matrix of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerMatrix {
	/// `q_proj`
	Query,
	/// `k_proj`
	Key,
	/// `v_proj`
	Value,
	/// `o_proj`
	Output,
	/// `gate_proj`
	Gate,
	/// `up_proj`
	Up,
	/// `down_proj`
	Down,
}

/// The weight of a norm of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerVector {
	/// `input_layernorm`
	AttentionNorm,
	/// `q_norm`
	QueryNorm,
	/// `k_norm`
	KeyNorm,
	/// `post_attention_layernorm`
	MlpNorm,
}

/// The weights of a layer as they are in a file.
pub trait LayerWeights {
	/// Returns the format of a matrix.
	fn format(&self, matrix: LayerMatrix) -> MatrixFormat;
	/// Returns a row of a matrix.
	fn row(&self, matrix: LayerMatrix, row: usize) -> Result<WeightRow<'_>>;
	/// Returns the bias of a matrix, if it has one.
	fn bias(&self, matrix: LayerMatrix) -> Option<&[f32]>;
	/// Returns the weight of a norm; the norms of heads are none unless the model has them.
	fn vector(&self, vector: LayerVector) -> Option<&[f32]>;
}

/// What a trace has of a chunk and a layer before the layer: all that its rows depend on besides weights.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
	/// The layer's hyperparameters.
	pub shape: LayerShape,
	/// θ of the rotary positions.
	pub theta: f32,
	/// Their scaling.
	pub scaling: &'a RopeScaling,
	/// The chunk, from 0.
	pub chunk: usize,
	/// Its rows before the layer, f32 `[rows, hidden]`: those after the layer before, or of the embedding.
	pub x: &'a [f32],
	/// Keys and values of this layer of all chunks before, f16 bits `[32 · chunk, 2 · kv_heads · head_dim]`.
	pub kv: &'a [u16],
}

/// What a layer makes of a chunk's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct CellRows {
	/// The rows after the layer.
	pub x: Vec<f32>,
	/// The keys and values that it adds, f16 bits.
	pub kv: Vec<u16>,
	/// The first of the rows that fails in this layer, if one does: no trace has it.
	pub failing: Option<usize>,
}

impl CellRows {
	/// Returns the leaf of the rows.
	pub fn leaf(&self) -> Hash {
		residual_leaf(&self.x)
	}

	/// Returns the leaf of the keys and values.
	pub fn kv_leaf(&self) -> Hash {
		kv_leaf(&self.kv)
	}
}

impl Cell<'_> {
	/// Computes the rows (§3.1).
	pub fn compute(&self, weights: &impl LayerWeights) -> Result<CellRows> {
		let LayerShape { hidden, epsilon, .. } = self.shape;
		let rows = self.x.len().checked_div(hidden).unwrap_or(0);
		let kv_width = 2 * self.shape.keys();
		if rows * hidden != self.x.len()
			|| !(1..=CHUNK).contains(&rows)
			|| self.kv.len() != self.chunk * CHUNK * kv_width
		{
			bail_shape!(
				"a cell of {} values in rows of {hidden}, behind {} of keys and values",
				self.x.len(),
				self.kv.len()
			);
		}
		let mut x = self.x.to_vec();
		let mut flags = vec![false; rows];
		let h = rms_norm(&x, vector(weights, LayerVector::AttentionNorm)?, epsilon)?;
		flag_non_finite(&h, 0..0, &mut flags)?;
		let (attended, kv) = self.attention(weights, &h, rows, &mut flags)?;
		add(&mut x, &self.product(weights, &[LayerMatrix::Output], &attended)?);
		let h = rms_norm(&x, vector(weights, LayerVector::MlpNorm)?, epsilon)?;
		flag_non_finite(&h, 0..0, &mut flags)?;
		let gate_up = self.product(weights, &[LayerMatrix::Gate, LayerMatrix::Up], &h)?;
		let mut gated = vec![0.0; gate_up.len() / 2];
		SiluMul { isa: Isa::Portable }.apply(&gate_up, 2 * self.shape.intermediate, &mut gated)?;
		flag_non_finite(&gated, 0..0, &mut flags)?;
		add(&mut x, &self.product(weights, &[LayerMatrix::Down], &gated)?);
		flag_non_finite(&x, 0..0, &mut flags)?;
		Ok(CellRows {
			x,
			kv,
			failing: flags.iter().position(|fails| *fails),
		})
	}

	/// Computes attention of normed rows, and the keys and values that it adds.
	fn attention(
		&self,
		weights: &impl LayerWeights,
		h: &[f32],
		rows: usize,
		flags: &mut [bool],
	) -> Result<(Vec<f32>, Vec<u16>)> {
		let LayerShape {
			heads,
			kv_heads,
			head_dim,
			epsilon,
			..
		} = self.shape;
		let (isa, width, first) = (Isa::Portable, self.shape.qkv(), self.chunk * CHUNK);
		let mut qkv = self.product(weights, &[LayerMatrix::Query, LayerMatrix::Key, LayerMatrix::Value], h)?;
		let norms = weights
			.vector(LayerVector::QueryNorm)
			.zip(weights.vector(LayerVector::KeyNorm));
		if let Some((q, k)) = norms {
			let norm = HeadNorm {
				q,
				k,
				heads,
				kv_heads,
				epsilon,
				isa,
			};
			norm.apply(&mut qkv, width)?;
		}
		let Tables { cos, sin } = Tables::of(self.theta, self.scaling, head_dim, first..first + rows);
		let positions: Vec<u32> = (0..rows as u32).collect();
		let rope = Rope {
			cos: &cos,
			sin: &sin,
			positions: &positions,
			heads: heads + kv_heads,
			head_dim,
			isa,
		};
		rope.apply(&mut qkv, width)?;
		flag_non_finite(&qkv, self.shape.queries()..width, flags)?;
		let shape = PageShape {
			layers: 1,
			kv_heads,
			head_dim,
		};
		let (mut pool, pages) = pages(shape, self.kv, first + rows)?;
		let attention = Attention {
			layer: 0,
			segments: &[Segment {
				rows: 0..rows,
				start: first,
				pages: &pages,
			}],
			heads,
			scale: self.shape.scale,
			mask: Mask::Causal {
				window: self.shape.window,
			},
			isa,
		};
		let (mut out, mut kv) = (vec![0.0; rows * self.shape.queries()], vec![0; rows * shape.row()]);
		attention.apply_and_keep(&mut pool, &qkv, width, &mut kv, &mut out)?;
		flag_non_finite(&out, 0..0, flags)?;
		Ok((out, kv))
	}

	/// Multiplies rows with matrices below one another, some rows of them at a time.
	fn product(&self, weights: &impl LayerWeights, matrices: &[LayerMatrix], x: &[f32]) -> Result<Vec<f32>> {
		let width = matrices.iter().map(|matrix| self.sizes(*matrix).0).sum::<usize>();
		let (mut out, mut column) = (Vec::new(), 0);
		for matrix in matrices {
			let ((outputs, inputs), format) = (self.sizes(*matrix), weights.format(*matrix));
			out.resize(x.len().checked_div(inputs).unwrap_or(0) * width, 0.0);
			let bias = weights.bias(*matrix);
			if bias.is_some_and(|bias| bias.len() != outputs) {
				bail_shape!("a bias of {matrix:?} that is not {outputs} long");
			}
			for first in (0..outputs).step_by(TILE) {
				let part = first..outputs.min(first + TILE);
				let weight = &pack(format, inputs, part.clone().map(|row| weights.row(*matrix, row)))?;
				let linear = Linear {
					weight,
					bias: bias.and_then(|bias| bias.get(part)),
					isa: Isa::Portable,
				};
				linear.apply_at(x, &mut out, width, column + first)?;
			}
			column += outputs;
		}
		Ok(out)
	}

	/// Returns how many outputs and inputs a matrix has.
	fn sizes(&self, matrix: LayerMatrix) -> (usize, usize) {
		let LayerShape {
			hidden, intermediate, ..
		} = self.shape;
		match matrix {
			LayerMatrix::Query => (self.shape.queries(), hidden),
			LayerMatrix::Key | LayerMatrix::Value => (self.shape.keys(), hidden),
			LayerMatrix::Output => (hidden, self.shape.queries()),
			LayerMatrix::Gate | LayerMatrix::Up => (intermediate, hidden),
			LayerMatrix::Down => (hidden, intermediate),
		}
	}
}

/// Returns the weight of a norm that every layer has.
fn vector(weights: &impl LayerWeights, vector: LayerVector) -> Result<&[f32]> {
	match weights.vector(vector) {
		Some(weight) => Ok(weight),
		None => bail_shape!("a layer without {vector:?}"),
	}
}

/// Adds `y` to the residual stream.
fn add(x: &mut [f32], y: &[f32]) {
	x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}
