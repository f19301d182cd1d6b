//! A decoder's operations on the CPU.

use super::{layer_shape, moments::Half, no_page, positions, Batch, Device, Layer, Rows};
use crate::{
	kv::{KvPool, KvStorage},
	model::{logits::Logits, matrix::Matrix, tensor::with_elements},
	Error, Result,
};
use assay_model_folder::config::DecoderConfig;
use assay_numerics::{
	activation::SiluMul,
	attention::{Attention, Mask},
	flag_non_finite,
	kv::{PageId, PageShape, Pool, Segment},
	norm::{HeadNorm, RmsNorm},
	packed::Gather,
	recompute::LayerShape,
	rope::{Rope, Tables},
	Isa,
};
use candle_core::Tensor;
use std::sync::Arc;

/// The CPU, with what it knows of the model besides its weights.
#[derive(Clone)]
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
	/// Keys and values of each layer, as attention reads them.
	kv: Vec<u16>,
	attended: Vec<f32>,
	gate_up: Vec<f32>,
	intermediate: Vec<f32>,
}

impl CpuDevice {
	pub(super) fn new(config: &DecoderConfig, rope: Tables) -> Self {
		Self {
			isa: Isa::detect(),
			rope: Arc::new(rope),
			shape: layer_shape(config),
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
		let vocabulary = head.rows();
		let mut logits = vec![0f32; norm.dim(0)? * vocabulary];
		with_elements::<f32, _>(norm, |norm| head.apply(self.isa, norm, &mut logits))??;
		Ok(Tensor::from_vec(
			logits,
			(norm.dim(0)?, vocabulary),
			&candle_core::Device::Cpu,
		)?)
	}

	/// Returns what the two linear operations of half a layer have just been applied to.
	pub(super) fn inputs<'s>(half: Half, state: &'s ForwardState<'_>) -> [&'s [f32]; 2] {
		match half {
			Half::Attention => [&state.normed, &state.attended],
			Half::Mlp => [&state.normed, &state.intermediate],
		}
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
		let pages = pool.shape();
		Ok(ForwardState {
			non_finite: vec![false; rows],
			positions,
			segments: batch.segments,
			pool,
			normed: width(self.shape.hidden),
			qkv: width(self.shape.qkv()),
			kv: vec![0; pages.layers * rows * pages.row()],
			attended: width(self.shape.queries()),
			gate_up: width(2 * self.shape.intermediate),
			intermediate: width(self.shape.intermediate),
		})
	}

	fn embed(&self, ids: &[u32], table: &Matrix) -> Result<Vec<f32>> {
		let weight = table.table()?;
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
		layer.qkv.apply(isa, &state.normed, &mut state.qkv)?;
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
		let kv_len = state.non_finite.len() * state.pool.shape().row();
		let kv = state.kv.get_mut(index * kv_len..(index + 1) * kv_len);
		let kv = kv.ok_or_else(|| Error::Compute(format!("the pages have no layer {index}")))?;
		attention.apply_and_keep(state.pool, &state.qkv, width, kv, &mut state.attended)?;
		flag_non_finite(&state.attended, 0..0, &mut state.non_finite)?;
		layer.o.add_to(isa, &state.attended, x)
	}

	fn mlp(&self, layer: &Layer<Self>, x: &mut Vec<f32>, state: &mut ForwardState<'_>) -> Result<()> {
		self.norm(x, &layer.mlp_norm, state)?;
		layer.gate_up.apply(self.isa, &state.normed, &mut state.gate_up)?;
		let gate = SiluMul { isa: self.isa };
		gate.apply(&state.gate_up, 2 * self.shape.intermediate, &mut state.intermediate)?;
		flag_non_finite(&state.intermediate, 0..0, &mut state.non_finite)?;
		layer.down.add_to(self.isa, &state.intermediate, x)?;
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
			kv: state.kv,
			non_finite: state.non_finite,
		})
	}

	fn sampling_logits(&self, norm: &Tensor, head: &Matrix) -> Result<Logits> {
		Ok(Logits::Host(self.logits(norm, head)?))
	}

	fn pool(&self, shape: PageShape, pages: usize) -> Result<KvPool> {
		Ok(Pool::new(shape, pages)?.map(KvStorage::Host))
	}

	fn read_page(&self, pool: &KvPool, page: PageId, layer: usize, to: &mut [u16]) -> Result<()> {
		let (keys, values) = pool.page(page, layer).ok_or_else(no_page)?;
		match to.split_at_mut_checked(keys.len()) {
			Some((to_keys, to_values)) if to_values.len() == values.len() => {
				to_keys.copy_from_slice(keys);
				to_values.copy_from_slice(values);
				Ok(())
			}
			_ => Err(no_page()),
		}
	}

	fn write_page(&self, pool: &mut KvPool, page: PageId, layer: usize, from: &[u16]) -> Result<()> {
		let to = pool.page_mut(page, layer).filter(|to| to.len() == from.len());
		to.ok_or_else(no_page)?.copy_from_slice(from);
		Ok(())
	}
}
