//! A decoder's operations on the computer's processor.

use super::{positions, Batch, Layer, Matrix, Place, Rows, Shape};
use crate::{
	canonical::{
		activation::SiluMul,
		attention::{Attention, Mask},
		linear::{Gather, Linear},
		mark_bad_rows,
		norm::{HeadNorm, RmsNorm},
		rope::{Rope, Tables},
		Tier,
	},
	kv::{Pool, Segment},
	sampler::Scores,
	Result,
};
use assay_model_folder::config::DecoderConfig;
use candle_core::{Device, Tensor};
use std::cell::RefCell;

/// The processor, with what it knows of the model besides its weights.
pub(crate) struct Processor {
	/// Which instructions compute.
	pub(super) tier: Tier,
	rope: Tables,
	shape: Shape,
}

/// A batch on its way through the layers. Each layer overwrites the results of the one before: fresh memory for every operation would
/// cost more time than many of them take.
pub(crate) struct Pass<'a> {
	/// Position of each row in its sequence.
	positions: Vec<u32>,
	segments: &'a [Segment<'a>],
	pool: &'a mut Pool,
	bad: Vec<bool>,
	normed: Vec<f32>,
	qkv: Vec<f32>,
	attended: Vec<f32>,
	gate_up: Vec<f32>,
	inner: Vec<f32>,
}

impl Processor {
	pub(super) fn new(numbers: &DecoderConfig, rope: Tables) -> Self {
		Self {
			tier: Tier::detect(),
			rope,
			shape: Shape::of(numbers),
		}
	}

	fn linear<'m>(&self, matrix: &'m Matrix) -> Linear<'m> {
		Linear {
			weight: &matrix.weight,
			bias: matrix.bias.as_deref(),
			tier: self.tier,
		}
	}

	/// Leaves the normed rows in `pass.normed`.
	fn norm(&self, x: &[f32], weight: &[f32], pass: &mut Pass<'_>) -> Result<()> {
		let norm = RmsNorm {
			weight,
			epsilon: self.shape.epsilon,
			tier: self.tier,
		};
		norm.apply(x, &mut pass.normed)?;
		Ok(mark_bad_rows(&pass.normed, 0..0, &mut pass.bad)?)
	}

	fn tensor(&self, x: &[f32], rows: usize) -> Result<Tensor> {
		Ok(Tensor::from_slice(x, (rows, self.shape.hidden), &Device::Cpu)?)
	}

	/// Logits of rows after the final norm.
	pub(super) fn logits(&self, norm: &Tensor, head: &Matrix) -> Result<Tensor> {
		Ok(norm.apply_op1_no_bwd(&self.linear(head))?)
	}

	/// The rotary tables.
	pub(super) fn rope(&self) -> &Tables {
		&self.rope
	}
}

impl Place for Processor {
	type Matrix = Matrix;
	type Vector = Vec<f32>;
	type Stream = Vec<f32>;
	type Pass<'a> = Pass<'a>;

	fn begin<'a>(&self, batch: &Batch<'a>, pool: &'a mut Pool) -> Result<Pass<'a>> {
		let positions = positions(batch)?;
		let rows = positions.len();
		let width = |elements: usize| vec![0f32; rows * elements];
		Ok(Pass {
			bad: vec![false; rows],
			positions,
			segments: batch.segments,
			pool,
			normed: width(self.shape.hidden),
			qkv: width(self.shape.qkv()),
			attended: width(self.shape.queries()),
			gate_up: width(2 * self.shape.inner),
			inner: width(self.shape.inner),
		})
	}

	fn embed(&self, ids: &[u32], table: &Matrix) -> Result<Vec<f32>> {
		let weight = &table.weight;
		Ok(Gather { ids, weight }.rows()?)
	}

	fn attend(&self, layer: &Layer<Self>, index: usize, x: &mut Vec<f32>, pass: &mut Pass<'_>) -> Result<()> {
		let Shape {
			heads,
			kv_heads,
			head_dim,
			epsilon,
			..
		} = self.shape;
		let (tier, width) = (self.tier, self.shape.qkv());
		self.norm(x, &layer.attention_norm, pass)?;
		self.linear(&layer.qkv).apply(&pass.normed, &mut pass.qkv)?;
		if let Some((q, k)) = &layer.head_norms {
			let norm = HeadNorm {
				q,
				k,
				heads,
				kv_heads,
				epsilon,
				tier,
			};
			norm.apply(&mut pass.qkv, width)?;
		}
		let rope = Rope {
			cos: &self.rope.cos,
			sin: &self.rope.sin,
			positions: &pass.positions,
			heads: heads + kv_heads,
			head_dim,
			tier,
		};
		rope.apply(&mut pass.qkv, width)?;
		// Keys and values are kept in f16, which has less room.
		mark_bad_rows(&pass.qkv, self.shape.queries()..width, &mut pass.bad)?;
		let attention = Attention {
			pool: RefCell::new(&mut *pass.pool),
			layer: index,
			segments: pass.segments,
			heads,
			scale: self.shape.scale,
			mask: Mask::Causal {
				window: self.shape.window,
			},
			tier,
		};
		attention.apply(&pass.qkv, width, &mut pass.attended)?;
		mark_bad_rows(&pass.attended, 0..0, &mut pass.bad)?;
		Ok(self.linear(&layer.o).add_to(&pass.attended, x)?)
	}

	fn feed(&self, layer: &Layer<Self>, x: &mut Vec<f32>, pass: &mut Pass<'_>) -> Result<()> {
		self.norm(x, &layer.mlp_norm, pass)?;
		self.linear(&layer.gate_up).apply(&pass.normed, &mut pass.gate_up)?;
		let gate = SiluMul { tier: self.tier };
		gate.apply(&pass.gate_up, 2 * self.shape.inner, &mut pass.inner)?;
		mark_bad_rows(&pass.inner, 0..0, &mut pass.bad)?;
		self.linear(&layer.down).add_to(&pass.inner, x)?;
		Ok(mark_bad_rows(x, 0..0, &mut pass.bad)?)
	}

	fn keep(&self, x: &Vec<f32>, pass: &Pass<'_>) -> Result<Tensor> {
		self.tensor(x, pass.bad.len())
	}

	fn finish(&self, norm: &Vec<f32>, x: Vec<f32>, residual: Vec<Tensor>, mut pass: Pass<'_>) -> Result<Rows> {
		self.norm(&x, norm, &mut pass)?;
		Ok(Rows {
			residual,
			norm: self.tensor(&pass.normed, pass.bad.len())?,
			bad: pass.bad,
		})
	}

	fn scores(&self, norm: &Tensor, head: &Matrix) -> Result<Scores> {
		Ok(Scores::Floats(self.logits(norm, head)?))
	}

	fn pool(&self, layers: usize, kv_heads: usize, head_dim: usize, pages: usize) -> Result<Pool> {
		Pool::new(layers, kv_heads, head_dim, pages)
	}
}
