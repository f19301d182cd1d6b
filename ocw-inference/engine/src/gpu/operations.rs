//! Single operations of a device on slices: for tests that compare them with the CPU's, and for measuring.

use super::{
	device::{ForwardState, GpuDevice},
	matrix::GpuMatrix,
	Gpu,
};
use crate::{
	kv::KvPool,
	model::{
		decoder::{Batch, Device},
		matrix::Matrix,
	},
	Result,
};
use assay_model_folder::config::DecoderConfig;
use assay_numerics::{
	kv::{PageShape, Segment, PAGE},
	packed::PackedMatrix,
	rope::Tables,
};
use candle_core::Tensor;
use std::sync::Arc;

/// A device, and the configuration of a decoder whose operations run on it.
pub struct Operations {
	device: GpuDevice,
	numbers: DecoderConfig,
}

/// The result of an operation: its rows, one after another, and which of them are not finite.
pub type Flagged = (Vec<f32>, Vec<bool>);

impl Operations {
	/// With the head shapes, window and ε of `numbers`, and rotary tables for its positions.
	pub fn new(gpu: Arc<dyn Gpu>, numbers: DecoderConfig, rope: &Tables) -> Result<Self> {
		let device = GpuDevice::new(gpu, &numbers, rope)?;
		Ok(Self { device, numbers })
	}

	/// Makes a pool in the device's memory, of so many pages and layers.
	pub fn pool(&self, layers: usize, pages: usize) -> Result<KvPool> {
		let n = &self.numbers;
		let shape = PageShape {
			layers,
			kv_heads: n.num_key_value_heads as usize,
			head_dim: n.head_dim as usize,
		};
		self.device.pool(shape, pages)
	}

	/// Moves a matrix to the device's memory.
	pub fn matrix(&self, weight: PackedMatrix, bias: Option<Vec<f32>>) -> Result<MatrixOnGpu> {
		self.parts(vec![weight], bias)
	}

	/// Moves matrices of different formats, one below another, to the device's memory.
	pub fn parts(&self, parts: Vec<PackedMatrix>, bias: Option<Vec<f32>>) -> Result<MatrixOnGpu> {
		let matrix = Matrix::new(parts, bias.unwrap_or_default())?;
		Ok(MatrixOnGpu(self.device.matrix(matrix)?))
	}

	/// Returns rows of an embedding.
	pub fn embed(&self, ids: &[u32], table: &MatrixOnGpu) -> Result<Vec<f32>> {
		flat(&self.device.embed(ids, &table.0)?)
	}

	/// Multiplies x `[rows, width]` with a matrix.
	pub fn linear(&self, x: &[f32], matrix: &MatrixOnGpu, width: usize) -> Result<Vec<f32>> {
		flat(&self.device.linear(&self.tensor(x, width)?, &matrix.0)?)
	}

	/// Computes the RMS norm of rows as wide as its weight.
	pub fn norm(&self, x: &[f32], weight: &[f32]) -> Result<Flagged> {
		let weight_there = self.device.vector(weight)?;
		self.with_state(x, weight.len(), |x, state| self.device.norm(x, &weight_there, state))
	}

	/// Computes the gate of rows g ‖ u.
	pub fn gate(&self, x: &[f32], width: usize) -> Result<Flagged> {
		self.with_state(x, width, |x, state| self.device.gate(x, state))
	}

	/// Computes x + y, flagging rows.
	pub fn add(&self, x: &[f32], y: &[f32], width: usize) -> Result<Flagged> {
		let y = self.tensor(y, width)?;
		self.with_state(x, width, |x, state| self.device.add(x, &y, true, state))
	}

	/// Computes head norms, rotation and attention of fused rows, which belong to segments of a pool of [`Self::pool`].
	pub fn attention(
		&self,
		x: &[f32],
		layer: usize,
		head_norms: Option<(&[f32], &[f32])>,
		segments: &[Segment<'_>],
		pool: &mut KvPool,
	) -> Result<Flagged> {
		let n = &self.numbers;
		let width = (n.num_attention_heads + 2 * n.num_key_value_heads) as usize * n.head_dim as usize;
		let head_norms = match head_norms {
			Some((q, k)) => Some((self.device.vector(q)?, self.device.vector(k)?)),
			None => None,
		};
		let tokens = vec![0; x.len().checked_div(width).unwrap_or(0)];
		let batch = Batch {
			tokens: &tokens,
			segments,
		};
		let mut state = self.device.begin(&batch, pool)?;
		let out = self
			.device
			.attended(self.tensor(x, width)?, layer, head_norms.as_ref(), &mut state)?;
		Ok((flat(&out)?, self.device.non_finite(&state)?))
	}

	/// Waits until everything is done.
	pub fn finish(&self) -> Result<()> {
		Ok(self.device.device().synchronize()?)
	}

	fn tensor(&self, x: &[f32], width: usize) -> Result<Tensor> {
		let rows = x.len().checked_div(width).unwrap_or(0);
		Ok(Tensor::from_slice(x, (rows, width), self.device.device())?)
	}

	/// Runs an operation that flags rows.
	fn with_state(
		&self,
		x: &[f32],
		width: usize,
		run: impl FnOnce(&Tensor, &mut ForwardState<'_>) -> Result<Tensor>,
	) -> Result<Flagged> {
		let x = self.tensor(x, width)?;
		let mut pool = self.pool(1, x.dim(0)?.div_ceil(PAGE))?;
		let pages: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
		let tokens = vec![0; x.dim(0)?];
		let segments = [Segment {
			rows: 0..tokens.len(),
			start: 0,
			pages: &pages,
		}];
		let batch = Batch {
			tokens: &tokens,
			segments: &segments,
		};
		let mut state = self.device.begin(&batch, &mut pool)?;
		let out = run(&x, &mut state)?;
		Ok((flat(&out)?, self.device.non_finite(&state)?))
	}
}

/// A matrix in the device's memory.
pub struct MatrixOnGpu(GpuMatrix);

fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
	Ok(tensor.to_device(&candle_core::Device::Cpu)?.flatten_all()?.to_vec1()?)
}
