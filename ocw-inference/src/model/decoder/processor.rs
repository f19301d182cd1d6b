//! A decoder's operations on the computer's processor.

use super::{attention_scale, positions, Batch, Matrix, Place, Rows};
use crate::{
	canonical::{
		activation::SiluMul,
		attention::{Attention, Mask},
		linear::{Gather, Linear},
		mark_bad_rows,
		norm::{HeadNorm, RmsNorm},
		residual::Add,
		rope::{Rope, Tables},
		Tier,
	},
	kv::{Pool, Segment},
	model::config::DecoderConfig,
	sampler::Scores,
	Result,
};
use candle_core::Tensor;
use std::cell::RefCell;

/// The processor, with what it knows of the model besides its weights.
pub(crate) struct Processor {
	/// Which instructions compute.
	pub(super) tier: Tier,
	rope: Tables,
	heads: usize,
	kv_heads: usize,
	head_dim: usize,
	window: Option<usize>,
	epsilon: f32,
	scale: f32,
}

/// A batch on its way through the layers.
pub(crate) struct Pass<'a> {
	/// Position of each row in its sequence.
	positions: Vec<u32>,
	segments: &'a [Segment<'a>],
	pool: &'a mut Pool,
	bad: Vec<bool>,
}

impl Processor {
	pub(super) fn new(numbers: &DecoderConfig, rope: Tables) -> Self {
		Self {
			tier: Tier::detect(),
			rope,
			heads: numbers.num_attention_heads as usize,
			kv_heads: numbers.num_key_value_heads as usize,
			head_dim: numbers.head_dim as usize,
			window: numbers.sliding_window.map(|window| window as usize),
			epsilon: numbers.rms_norm_eps.0,
			scale: attention_scale(numbers),
		}
	}

	/// The rotary tables.
	pub(super) fn rope(&self) -> &Tables {
		&self.rope
	}
}

impl Place for Processor {
	type Matrix = Matrix;
	type Vector = Vec<f32>;
	type Pass<'a> = Pass<'a>;

	fn begin<'a>(&self, batch: &Batch<'a>, pool: &'a mut Pool) -> Result<Pass<'a>> {
		let positions = positions(batch)?;
		Ok(Pass {
			bad: vec![false; positions.len()],
			positions,
			segments: batch.segments,
			pool,
		})
	}

	fn embed(&self, ids: &[u32], table: &Matrix) -> Result<Tensor> {
		let weight = &table.weight;
		Ok(Gather { ids, weight }.rows()?)
	}

	fn norm(&self, x: &Tensor, weight: &Vec<f32>, pass: &mut Pass<'_>) -> Result<Tensor> {
		let normed = x.apply_op1_no_bwd(&RmsNorm {
			weight,
			epsilon: self.epsilon,
			tier: self.tier,
		})?;
		mark_bad_rows(&normed, 0..0, &mut pass.bad)?;
		Ok(normed)
	}

	fn linear(&self, x: &Tensor, matrix: &Matrix) -> Result<Tensor> {
		Ok(x.apply_op1_no_bwd(&Linear {
			weight: &matrix.weight,
			bias: matrix.bias.as_deref(),
			tier: self.tier,
		})?)
	}

	fn attend(
		&self,
		mut qkv: Tensor,
		layer: usize,
		head_norms: Option<&(Vec<f32>, Vec<f32>)>,
		pass: &mut Pass<'_>,
	) -> Result<Tensor> {
		let Self {
			heads,
			kv_heads,
			head_dim,
			epsilon,
			tier,
			..
		} = *self;
		if let Some((q, k)) = head_norms {
			qkv = qkv.apply_op1_no_bwd(&HeadNorm {
				q,
				k,
				heads,
				kv_heads,
				epsilon,
				tier,
			})?;
		}
		let qkv = qkv.apply_op1_no_bwd(&Rope {
			cos: &self.rope.cos,
			sin: &self.rope.sin,
			positions: &pass.positions,
			heads: heads + kv_heads,
			head_dim,
			tier,
		})?;
		// Keys and values are kept in f16, which has less room.
		mark_bad_rows(&qkv, heads * head_dim..(heads + 2 * kv_heads) * head_dim, &mut pass.bad)?;
		let attended = qkv.apply_op1_no_bwd(&Attention {
			pool: RefCell::new(&mut *pass.pool),
			layer,
			segments: pass.segments,
			heads,
			scale: self.scale,
			mask: Mask::Causal { window: self.window },
			tier,
		})?;
		mark_bad_rows(&attended, 0..0, &mut pass.bad)?;
		Ok(attended)
	}

	fn gate(&self, x: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
		let inner = x.apply_op1_no_bwd(&SiluMul { tier: self.tier })?;
		mark_bad_rows(&inner, 0..0, &mut pass.bad)?;
		Ok(inner)
	}

	fn add(&self, x: &Tensor, y: &Tensor, end: bool, pass: &mut Pass<'_>) -> Result<Tensor> {
		let sum = x.apply_op2_no_bwd(y, &Add)?;
		if end {
			mark_bad_rows(&sum, 0..0, &mut pass.bad)?;
		}
		Ok(sum)
	}

	fn finish(&self, residual: Vec<Tensor>, norm: Tensor, pass: Pass<'_>) -> Result<Rows> {
		Ok(Rows {
			residual,
			norm,
			bad: pass.bad,
		})
	}

	fn scores(&self, norm: &Tensor, head: &Matrix) -> Result<Scores> {
		Ok(Scores::Floats(self.linear(norm, head)?))
	}

	fn pool(&self, layers: usize, kv_heads: usize, head_dim: usize, pages: usize) -> Result<Pool> {
		Pool::new(layers, kv_heads, head_dim, pages)
	}
}
