//! A decoder's operations on the CPU.

use super::{positions, Batch, Device, Layer, LayerShape, Matrix, Rows};
use crate::{
	kv::{KvPool, KvStorage},
	model::{logits::Logits, tensor::with_elements},
	Result,
};
use assay_model_folder::config::DecoderConfig;
use assay_numerics::{
	activation::SiluMul,
	attention::{Attention, Mask},
	flag_non_finite,
	kv::{PageShape, Pool, Segment},
	linear::Linear,
	norm::{HeadNorm, RmsNorm},
	packed::Gather,
	rope::{Rope, Tables},
	Isa,
};
use candle_core::Tensor;
use std::sync::Arc;

/// The CPU, with what it knows of the model besides its weights.
pub(crate) struct CpuDevice {
	/// The instruction set that computes.
	pub(super) isa: Isa,
	rope: Arc<Tables>,
	shape: LayerShape,
}

/// A batch on its way through the layers. Each layer overwrites the results of the one before: fresh memory for every
/// operation would cost more time than many of them take.
pub(crate) struct ForwardState<'a> {
	/// Position of each row in its sequence.
	positions: Vec<u32>,
	segments: &'a [Segment<'a>],
	pool: &'a mut KvPool,
	non_finite: Vec<bool>,
	normed: Vec<f32>,
	qkv: Vec<f32>,
	attended: Vec<f32>,
	gate_up: Vec<f32>,
	intermediate: Vec<f32>,
}

impl CpuDevice {
	pub(super) fn new(config: &DecoderConfig, rope: Tables) -> Self {
		Self {
			isa: Isa::detect(),
			rope: Arc::new(rope),
			shape: LayerShape::of(config),
		}
	}

	/// Returns the same device with another instruction set.
	pub(super) fn with_isa(&self, isa: Isa) -> Self {
		Self {
			isa,
			rope: self.rope.clone(),
			shape: self.shape,
		}
	}

	fn linear<'m>(&self, matrix: &'m Matrix) -> Linear<'m> {
		Linear {
			weight: &matrix.weight,
			bias: matrix.bias.as_deref(),
			isa: self.isa,
		}
	}

	/// Writes the normed rows to `state.normed`.
	fn norm(&self, x: &[f32], weight: &[f32], state: &mut ForwardState<'_>) -> Result<()> {
		let norm = RmsNorm {
			weight,
			epsilon: self.shape.epsilon,
			isa: self.isa,
		};
		norm.apply(x, &mut state.normed)?;
		Ok(flag_non_finite(&state.normed, 0..0, &mut state.non_finite)?)
	}

	fn tensor(&self, x: &[f32], rows: usize) -> Result<Tensor> {
		Ok(Tensor::from_slice(
			x,
			(rows, self.shape.hidden),
			&candle_core::Device::Cpu,
		)?)
	}

	/// Computes logits `[rows, vocabulary]` of rows after the final norm.
	pub(super) fn logits(&self, norm: &Tensor, head: &Matrix) -> Result<Tensor> {
		let vocabulary = head.weight.rows();
		let mut logits = vec![0f32; norm.dim(0)? * vocabulary];
		with_elements::<f32, _>(norm, |norm| self.linear(head).apply(norm, &mut logits))??;
		Ok(Tensor::from_vec(
			logits,
			(norm.dim(0)?, vocabulary),
			&candle_core::Device::Cpu,
		)?)
	}

	/// Returns the rotary tables.
	pub(super) fn rope(&self) -> &Tables {
		&self.rope
	}
}

impl Device for CpuDevice {
	type Matrix = Matrix;
	type Vector = Vec<f32>;
	type Hidden = Vec<f32>;
	type ForwardState<'a> = ForwardState<'a>;

	fn begin<'a>(&self, batch: &Batch<'a>, pool: &'a mut KvPool) -> Result<ForwardState<'a>> {
		let positions = positions(batch)?;
		let rows = positions.len();
		let width = |elements: usize| vec![0f32; rows * elements];
		Ok(ForwardState {
			non_finite: vec![false; rows],
			positions,
			segments: batch.segments,
			pool,
			normed: width(self.shape.hidden),
			qkv: width(self.shape.qkv()),
			attended: width(self.shape.queries()),
			gate_up: width(2 * self.shape.intermediate),
			intermediate: width(self.shape.intermediate),
		})
	}

	fn embed(&self, ids: &[u32], table: &Matrix) -> Result<Vec<f32>> {
		let weight = &table.weight;
		Ok(Gather { ids, weight }.rows()?)
	}

	fn attention(
		&self,
		layer: &Layer<Self>,
		index: usize,
		x: &mut Vec<f32>,
		state: &mut ForwardState<'_>,
	) -> Result<()> {
		let LayerShape {
			heads,
			kv_heads,
			head_dim,
			epsilon,
			..
		} = self.shape;
		let (isa, width) = (self.isa, self.shape.qkv());
		self.norm(x, &layer.attention_norm, state)?;
		self.linear(&layer.qkv).apply(&state.normed, &mut state.qkv)?;
		if let Some((q, k)) = &layer.head_norms {
			let norm = HeadNorm {
				q,
				k,
				heads,
				kv_heads,
				epsilon,
				isa,
			};
			norm.apply(&mut state.qkv, width)?;
		}
		let rope = Rope {
			cos: &self.rope.cos,
			sin: &self.rope.sin,
			positions: &state.positions,
			heads: heads + kv_heads,
			head_dim,
			isa,
		};
		rope.apply(&mut state.qkv, width)?;
		// Keys and values are stored in f16, which has a smaller range.
		flag_non_finite(&state.qkv, self.shape.queries()..width, &mut state.non_finite)?;
		let attention = Attention {
			layer: index,
			segments: state.segments,
			heads,
			scale: self.shape.scale,
			mask: Mask::Causal {
				window: self.shape.window,
			},
			isa,
		};
		attention.apply(state.pool, &state.qkv, width, &mut state.attended)?;
		flag_non_finite(&state.attended, 0..0, &mut state.non_finite)?;
		Ok(self.linear(&layer.o).add_to(&state.attended, x)?)
	}

	fn mlp(&self, layer: &Layer<Self>, x: &mut Vec<f32>, state: &mut ForwardState<'_>) -> Result<()> {
		self.norm(x, &layer.mlp_norm, state)?;
		self.linear(&layer.gate_up).apply(&state.normed, &mut state.gate_up)?;
		let gate = SiluMul { isa: self.isa };
		gate.apply(&state.gate_up, 2 * self.shape.intermediate, &mut state.intermediate)?;
		flag_non_finite(&state.intermediate, 0..0, &mut state.non_finite)?;
		self.linear(&layer.down).add_to(&state.intermediate, x)?;
		Ok(flag_non_finite(x, 0..0, &mut state.non_finite)?)
	}

	fn snapshot(&self, x: &Vec<f32>, state: &ForwardState<'_>) -> Result<Tensor> {
		self.tensor(x, state.non_finite.len())
	}

	fn finish(&self, norm: &Vec<f32>, x: Vec<f32>, residual: Vec<Tensor>, mut state: ForwardState<'_>) -> Result<Rows> {
		self.norm(&x, norm, &mut state)?;
		Ok(Rows {
			residual,
			norm: self.tensor(&state.normed, state.non_finite.len())?,
			non_finite: state.non_finite,
		})
	}

	fn sampling_logits(&self, norm: &Tensor, head: &Matrix) -> Result<Logits> {
		Ok(Logits::Host(self.logits(norm, head)?))
	}

	fn pool(&self, shape: PageShape, pages: usize) -> Result<KvPool> {
		Ok(Pool::new(shape, pages)?.map(KvStorage::Host))
	}
}
