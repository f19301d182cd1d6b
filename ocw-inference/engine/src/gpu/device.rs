//! A decoder's operations on a GPU.
//!
//! Weights, rotary tables, keys and values, and the rows between the first operation and the last stay in the GPU's
//! memory. What comes back of a batch are the rows that the trace hashes, the flags of rows that are not finite, and of
//! those that sample a token their logits in Q16.16.

use super::{
	attention::Slices,
	kernels::{self, Arguments, ROW_BYTES},
	matrix::GpuMatrix,
	operation::Operation,
	upload, FixedPointLogits, Gpu, Memory,
};
use crate::{
	kv::{KvPool, KvStorage},
	model::{
		decoder::{layer_shape, no_page, positions, Batch, Device, Layer, Rows},
		logits::Logits,
		matrix::Matrix,
	},
	Error, Result,
};
use assay_model_folder::config::DecoderConfig;
use assay_numerics::{
	format::BLOCK,
	kv::{PageId, PageShape, Pool, PAGE},
	packed::TILE,
	recompute::LayerShape,
	rope::Tables,
};
use candle_core::Tensor;
use std::sync::{Arc, Mutex, PoisonError};

/// Most rows of a batch: what a launch counts in its second dimension, less what padding adds.
const MOST_ROWS: usize = 65_535 - TILE;
/// Widest row that a norm holds in shared memory.
const WIDEST: usize = 16_384;

/// A GPU, with what it knows of the model besides its weights.
pub(crate) struct GpuDevice {
	gpu: Arc<dyn Gpu>,
	cos: Memory,
	sin: Memory,
	positions: usize,
	shape: LayerShape,
	/// Memory that one operation leaves to the next: quantized rows, scores.
	scratch: [Mutex<Option<Arc<Memory>>>; 2],
}

/// A batch on its way through the layers.
pub(crate) struct ForwardState<'a> {
	pool: &'a mut KvPool,
	rows: usize,
	non_finite: Memory,
	positions: Memory,
	/// The page that each row is written to.
	row_pages: Memory,
	/// Keys and values of each layer and row, for the trace.
	kv: Memory,
	slices: Slices,
}

impl GpuDevice {
	pub(crate) fn new(gpu: Arc<dyn Gpu>, numbers: &DecoderConfig, rope: &Tables) -> Result<Self> {
		let shape = layer_shape(numbers);
		let widest = shape.hidden.max(shape.head_dim);
		if widest > WIDEST {
			return Err(Error::Compute(format!(
				"rows of {widest}: a GPU takes at most {WIDEST}"
			)));
		}
		let half = shape.head_dim / 2;
		Ok(Self {
			cos: upload(&*gpu, bytemuck::cast_slice(&rope.cos))?,
			sin: upload(&*gpu, bytemuck::cast_slice(&rope.sin))?,
			positions: rope.cos.len().checked_div(half).unwrap_or(0),
			shape,
			scratch: Default::default(),
			gpu,
		})
	}

	/// Returns candle's device of its tensors.
	pub(crate) fn device(&self) -> &candle_core::Device {
		self.gpu.device()
	}

	/// Moves a matrix into the GPU's layout.
	pub(crate) fn matrix(&self, matrix: Matrix) -> Result<GpuMatrix> {
		GpuMatrix::new(&*self.gpu, matrix)
	}

	/// Moves a vector.
	pub(crate) fn vector(&self, vector: &[f32]) -> Result<Memory> {
		Ok(upload(&*self.gpu, bytemuck::cast_slice(vector))?)
	}

	/// Returns which rows are not finite.
	pub(super) fn non_finite(&self, state: &ForwardState<'_>) -> Result<Vec<bool>> {
		let mut flags = vec![0u32; state.rows];
		self.gpu
			.read(&state.non_finite, 0, bytemuck::cast_slice_mut(&mut flags))?;
		Ok(flags.into_iter().map(|flag| flag != 0).collect())
	}

	fn run<A: Arguments>(&self, arguments: A) -> candle_core::Result<()> {
		self.gpu.launch(&arguments.launch(), bytemuck::bytes_of(&arguments))
	}

	/// Returns scratch memory of at least so many bytes. The device runs commands in order, so the next operation may
	/// take the same.
	fn scratch(&self, which: usize, bytes: usize) -> candle_core::Result<Arc<Memory>> {
		let mut slot = self.scratch[which].lock().unwrap_or_else(PoisonError::into_inner);
		if let Some(memory) = slot.as_ref().filter(|memory| memory.bytes >= bytes) {
			return Ok(memory.clone());
		}
		*slot = None;
		let memory = Arc::new(self.gpu.allocate(bytes.next_power_of_two())?);
		*slot = Some(memory.clone());
		Ok(memory)
	}

	/// Quantizes rows and multiplies; each part of the matrix writes its columns.
	fn product(&self, x: u64, rows: usize, matrix: &GpuMatrix, out: u64) -> candle_core::Result<()> {
		let blocks = matrix.width / BLOCK;
		let quantized = self.scratch(0, rows.div_ceil(TILE) * blocks * ROW_BYTES)?;
		// Rows are quantized once for all neighbors whose groups are as long.
		let mut quantized_for = None;
		for part in &matrix.parts {
			let group_log2 = part.group_log2();
			if quantized_for.replace(group_log2) != Some(group_log2) {
				self.run(kernels::Quantize {
					x,
					out: quantized.address,
					rows: rows as u32,
					blocks: blocks as u32,
					group_log2,
					pad: 0,
				})?;
			}
			self.run(kernels::Linear {
				weights: part.weights(),
				x: quantized.address,
				bias: matrix.bias(part),
				out: out + 4 * part.first as u64,
				rows: rows as u32,
				stride: matrix.outputs as u32,
			})?;
		}
		Ok(())
	}

	/// Rotates a row's heads, writes its keys and values, and computes attention.
	fn rope_and_attention(
		&self,
		qkv: u64,
		layer: usize,
		head_norms: Option<&(Memory, Memory)>,
		state: &ForwardState<'_>,
		out: u64,
	) -> candle_core::Result<()> {
		let Some(pool) = state.pool.storage().gpu() else {
			candle_core::bail!("the pages are not in the GPU's memory")
		};
		let pages = state.pool.shape();
		let queries = self.scratch(1, state.rows * self.shape.queries() * 4 + state.slices.scratch_bytes())?;
		let layer_offset = (layer * 2 * pages.part()) as u64;
		let page_stride = (pages.layers * 2 * pages.part()) as u64;
		self.run(kernels::RopeAndWriteKv {
			x: qkv,
			out: queries.address,
			pool: pool.address,
			kv: state.kv.address + (layer * state.rows * pages.row() * 2) as u64,
			q_norm: address(head_norms.map(|(q, _)| q)),
			k_norm: address(head_norms.map(|(_, k)| k)),
			cos: self.cos.address,
			sin: self.sin.address,
			positions: state.positions.address,
			pages: state.row_pages.address,
			non_finite: state.non_finite.address,
			page_stride,
			layer_offset,
			heads: self.shape.heads as u32,
			kv_heads: self.shape.kv_heads as u32,
			head_dim: self.shape.head_dim as u32,
			epsilon: self.shape.epsilon,
			rows: state.rows as u32,
			pad: 0,
		})?;
		let scratch = queries.address + (state.rows * self.shape.queries() * 4) as u64;
		let all = kernels::Attention {
			q: queries.address,
			pool: pool.address,
			out,
			non_finite: state.non_finite.address,
			page_stride,
			layer_offset,
			scale: self.shape.scale,
			..Default::default()
		};
		state.slices.launch(&*self.gpu, all, scratch)
	}

	/// Computes the RMS norm. Flags rows.
	pub(super) fn norm(&self, x: &Tensor, weight: &Memory, state: &mut ForwardState<'_>) -> Result<Tensor> {
		let (rows, width) = x.dims2()?;
		if weight.bytes != width * 4 {
			return Err(Error::Compute(format!(
				"rows of {width}, a norm of {} bytes",
				weight.bytes
			)));
		}
		Ok(x.apply_op1_no_bwd(&Operation {
			name: "c2 rms_norm",
			shape: (rows, width).into(),
			launch: |x: &[u64], out| {
				self.run(kernels::Norm {
					x: x[0],
					w: weight.address,
					out,
					non_finite: state.non_finite.address,
					width: width as u32,
					epsilon: self.shape.epsilon,
					rows: rows as u32,
					pad: 0,
				})
			},
		})?)
	}

	/// Computes logits of rows after the final norm in the host's memory.
	pub(crate) fn logits(&self, norm: &Tensor, head: &GpuMatrix) -> Result<Tensor> {
		self.linear(&norm.to_device(self.device())?, head)
	}

	/// Computes `x · Wᵀ + bias`.
	pub(super) fn linear(&self, x: &Tensor, matrix: &GpuMatrix) -> Result<Tensor> {
		let (rows, width) = x.dims2()?;
		if width != matrix.width || rows > MOST_ROWS {
			return Err(Error::Compute(format!(
				"{rows} rows of {width} for a matrix of width {}",
				matrix.width
			)));
		}
		Ok(x.apply_op1_no_bwd(&Operation {
			name: "c2 linear",
			shape: (rows, matrix.outputs).into(),
			launch: |x: &[u64], out| self.product(x[0], rows, matrix, out),
		})?)
	}

	/// Computes the norms of the heads of q and k, if there are; rotation; attention. Flags rows.
	pub(super) fn attended(
		&self,
		qkv: Tensor,
		layer: usize,
		head_norms: Option<&(Memory, Memory)>,
		state: &mut ForwardState<'_>,
	) -> Result<Tensor> {
		let (rows, width) = qkv.dims2()?;
		if width != self.shape.qkv() || layer >= state.pool.shape().layers {
			return Err(Error::Compute(format!(
				"rows of {width} for {} heads",
				self.shape.heads
			)));
		}
		Ok(qkv.apply_op1_no_bwd(&Operation {
			name: "c2 attention",
			shape: (rows, self.shape.queries()).into(),
			launch: |x: &[u64], out| self.rope_and_attention(x[0], layer, head_norms, state, out),
		})?)
	}

	/// Computes `silu(g) · u` of rows g ‖ u. Flags rows.
	pub(super) fn gate(&self, x: &Tensor, state: &mut ForwardState<'_>) -> Result<Tensor> {
		let (rows, width) = x.dims2()?;
		Ok(x.apply_op1_no_bwd(&Operation {
			name: "c2 silu_mul",
			shape: (rows, width / 2).into(),
			launch: |x: &[u64], out| {
				self.run(kernels::Gate {
					x: x[0],
					out,
					non_finite: state.non_finite.address,
					intermediate: (width / 2) as u32,
					rows: rows as u32,
				})
			},
		})?)
	}

	/// Computes `x + y`. Flags rows at the end of a layer.
	pub(super) fn add(&self, x: &Tensor, y: &Tensor, end: bool, state: &mut ForwardState<'_>) -> Result<Tensor> {
		let (rows, width) = x.dims2()?;
		if y.dims2()? != (rows, width) {
			return Err(Error::Compute(format!(
				"the sum of [{rows}, {width}] and {:?}",
				y.dims()
			)));
		}
		Ok(x.apply_op2_no_bwd(
			y,
			&Operation {
				name: "c2 add",
				shape: (rows, width).into(),
				launch: |x: &[u64], out| {
					self.run(kernels::Residual {
						x: x[0],
						y: x[1],
						out,
						non_finite: address(end.then_some(&state.non_finite)),
						width: width as u32,
						rows: rows as u32,
					})
				},
			},
		)?)
	}
}

impl Device for GpuDevice {
	type Matrix = GpuMatrix;
	type Vector = Memory;
	type Hidden = Tensor;
	type ForwardState<'a> = ForwardState<'a>;

	fn begin<'a>(&self, batch: &Batch<'a>, pool: &'a mut KvPool) -> Result<ForwardState<'a>> {
		let rows = batch.tokens.len();
		let positions = positions(batch)?;
		pool.check(batch.segments, rows)?;
		if rows > MOST_ROWS || positions.iter().any(|p| *p as usize >= self.positions) {
			return Err(Error::Compute(format!(
				"{rows} rows, the last position {:?}, for a GPU that takes {MOST_ROWS} and {}",
				positions.last(),
				self.positions
			)));
		}
		let row_pages: Vec<u32> = (batch.segments.iter())
			.flat_map(|s| (s.start..s.start + s.rows.len()).map(|p| s.pages.get(p / PAGE)))
			.map(|page| page.map_or(0, |page| page.index() as u32))
			.collect();
		let shape = (self.shape.heads, self.shape.kv_heads, self.shape.head_dim);
		let gpu = &*self.gpu;
		let pages = pool.shape();
		Ok(ForwardState {
			rows,
			kv: gpu.allocate((pages.layers * rows * pages.row() * 2).max(1))?,
			non_finite: gpu.allocate(rows * 4)?,
			positions: upload(gpu, bytemuck::cast_slice(&positions))?,
			row_pages: upload(gpu, bytemuck::cast_slice(&row_pages))?,
			slices: Slices::new(gpu, batch.segments, self.shape.window, shape)?,
			pool,
		})
	}

	fn embed(&self, ids: &[u32], table: &GpuMatrix) -> Result<Tensor> {
		if let Some(id) = ids.iter().find(|id| **id as usize >= table.outputs) {
			return Err(Error::Compute(format!(
				"token {id} is outside the vocabulary of {}",
				table.outputs
			)));
		}
		let (rows, width, table) = (ids.len(), table.width, table.table()?.weights());
		let ids = Tensor::from_slice(ids, rows, self.device())?;
		Ok(ids.apply_op1_no_bwd(&Operation {
			name: "c2 embed",
			shape: (rows, width).into(),
			launch: |x: &[u64], out| {
				self.run(kernels::Embed {
					table,
					ids: x[0],
					out,
					rows: rows as u32,
					pad: 0,
				})
			},
		})?)
	}

	fn attention(&self, layer: &Layer<Self>, index: usize, x: &mut Tensor, state: &mut ForwardState<'_>) -> Result<()> {
		let h = self.norm(x, &layer.attention_norm, state)?;
		let attended = self.attended(self.linear(&h, &layer.qkv)?, index, layer.head_norms.as_ref(), state)?;
		*x = self.add(x, &self.linear(&attended, &layer.o)?, false, state)?;
		Ok(())
	}

	fn mlp(&self, layer: &Layer<Self>, x: &mut Tensor, state: &mut ForwardState<'_>) -> Result<()> {
		let h = self.norm(x, &layer.mlp_norm, state)?;
		let gated = self.gate(&self.linear(&h, &layer.gate_up)?, state)?;
		*x = self.add(x, &self.linear(&gated, &layer.down)?, true, state)?;
		Ok(())
	}

	fn snapshot(&self, x: &Tensor, _: &ForwardState<'_>) -> Result<Tensor> {
		Ok(x.clone())
	}

	fn finish(&self, norm: &Memory, x: Tensor, mut residual: Vec<Tensor>, mut state: ForwardState<'_>) -> Result<Rows> {
		residual.push(self.norm(&x, norm, &mut state)?);
		// One copy instead of one a layer.
		let all = Tensor::cat(&residual, 0)?.to_device(&candle_core::Device::Cpu)?;
		let layer = |i: usize| all.narrow(0, i * state.rows, state.rows);
		let layers = residual.len() - 1;
		let mut kv = vec![0u16; layers * state.rows * state.pool.shape().row()];
		self.gpu.read(&state.kv, 0, bytemuck::cast_slice_mut(&mut kv))?;
		let residual = (0..layers).map(layer).collect::<candle_core::Result<_>>()?;
		Ok(Rows {
			residual,
			kv,
			norm: layer(layers)?,
			non_finite: self.non_finite(&state)?,
		})
	}

	fn sampling_logits(&self, norm: &Tensor, head: &GpuMatrix) -> Result<Logits> {
		let logits = self.logits(norm, head)?;
		let (rows, vocabulary) = logits.dims2()?;
		let memory = self.gpu.allocate(rows * vocabulary * 4)?;
		let summary = self.gpu.allocate(rows * 3 * 4)?;
		logits.apply_op1_no_bwd(&Operation {
			name: "c2 quantize_logits",
			shape: (1, 1).into(),
			launch: |x: &[u64], _| {
				self.run(kernels::QuantizeLogits {
					logits: x[0],
					fixed: memory.address,
					summary: summary.address,
					vocabulary: vocabulary as u32,
					rows: rows as u32,
				})
			},
		})?;
		Ok(Logits::Gpu(FixedPointLogits::read(
			self.gpu.clone(),
			memory,
			&summary,
			vocabulary,
		)?))
	}

	fn pool(&self, shape: PageShape, pages: usize) -> Result<KvPool> {
		Pool::with_storage(shape, pages, |elements| {
			Ok(KvStorage::Gpu(self.gpu.allocate((2 * elements).max(1))?))
		})
	}

	fn read_page(&self, pool: &KvPool, page: PageId, layer: usize, to: &mut [u16]) -> Result<()> {
		let (memory, at) = page_at(pool, page, layer, to.len())?;
		Ok(self.gpu.read(memory, at, bytemuck::cast_slice_mut(to))?)
	}

	fn write_page(&self, pool: &mut KvPool, page: PageId, layer: usize, from: &[u16]) -> Result<()> {
		let (memory, at) = page_at(pool, page, layer, from.len())?;
		Ok(self.gpu.write(memory, at, bytemuck::cast_slice(from))?)
	}
}

/// Returns the memory of a pool, and the byte in it where a page's keys and values of a layer begin, `len` elements.
fn page_at(pool: &KvPool, page: PageId, layer: usize, len: usize) -> Result<(&Memory, usize)> {
	let shape = pool.shape();
	let known = page.index() < pool.capacity() && layer < shape.layers && len == 2 * shape.part();
	let memory = pool.storage().gpu().filter(|_| known).ok_or_else(no_page)?;
	Ok((memory, 2 * shape.offset(page, layer)))
}

fn address(memory: Option<&Memory>) -> u64 {
	memory.map_or(0, |memory| memory.address)
}
