//! A decoder's operations on a graphics card.
//!
//! Weights, rotary tables, keys and values, and the rows between the first operation and the last stay in the card's memory. What
//! comes back of a batch are the rows that the trace hashes, the marks of bad rows, and of those that choose a token their logits in Q16.16.

use super::{
	attention::Slices,
	kernels::{self, Arguments, ROW_BYTES, WEIGHT_BYTES},
	operation::Operation,
	Fixed, Gpu, Memory,
};
use crate::{
	canonical::{packed::TILE, rope::Tables},
	kv::Pool,
	model::decoder::{positions, Batch, Layer, Matrix, Place, Rows, Shape},
	sampler::Scores,
	Error, Result,
};
use assay_model_folder::config::DecoderConfig;
use candle_core::{Device, Tensor};
use std::sync::{Arc, Mutex, PoisonError};

/// Most rows of a batch: what a launch counts in its second dimension, less what padding adds.
const MOST_ROWS: usize = 65_535 - TILE;
/// Widest row that a norm holds in shared memory.
const WIDEST: usize = 16_384;

/// The card, with what it knows of the model besides its weights.
pub(crate) struct Card {
	gpu: Arc<dyn Gpu>,
	cos: Memory,
	sin: Memory,
	positions: usize,
	shape: Shape,
	/// Memory that one operation leaves to the next: quantised rows, scores.
	scratch: [Mutex<Option<Arc<Memory>>>; 2],
}

/// A matrix in the card's layout: tiles of 32 outputs.
pub(crate) struct CardMatrix {
	tiles: Memory,
	bias: Option<Memory>,
	outputs: usize,
	blocks: usize,
}

/// A batch on its way through the layers.
pub(crate) struct Pass<'a> {
	pool: &'a mut Pool,
	rows: usize,
	bad: Memory,
	positions: Memory,
	/// The page that each row is written to.
	row_pages: Memory,
	slices: Slices,
}

impl Card {
	pub(crate) fn new(gpu: Arc<dyn Gpu>, numbers: &DecoderConfig, rope: &Tables) -> Result<Self> {
		let shape = Shape::of(numbers);
		let widest = shape.hidden.max(shape.head_dim);
		if widest > WIDEST {
			return Err(Error::Compute(format!(
				"rows of {widest}: a graphics card takes at most {WIDEST}"
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

	/// Where its tensors live.
	pub(crate) fn device(&self) -> &Device {
		self.gpu.device()
	}

	/// Moves a matrix, tile by tile, into the card's layout.
	pub(crate) fn matrix(&self, Matrix { weight, bias }: Matrix) -> Result<CardMatrix> {
		let blocks = weight.width() / 32;
		let tiles = self.gpu.allocate(weight.tiles() * blocks * WEIGHT_BYTES)?;
		let mut staged = vec![0u8; blocks * WEIGHT_BYTES];
		for tile in 0..weight.tiles() {
			turn_tile(weight.tile(tile), &mut staged);
			self.gpu.write(&tiles, tile * staged.len(), &staged)?;
		}
		Ok(CardMatrix {
			tiles,
			bias: match bias {
				Some(bias) => Some(self.vector(&bias)?),
				None => None,
			},
			outputs: weight.rows(),
			blocks,
		})
	}

	/// Moves numbers.
	pub(crate) fn vector(&self, vector: &[f32]) -> Result<Memory> {
		Ok(upload(&*self.gpu, bytemuck::cast_slice(vector))?)
	}

	/// The marks of bad rows.
	pub(super) fn bad(&self, pass: &Pass<'_>) -> Result<Vec<bool>> {
		let mut bad = vec![0u32; pass.rows];
		self.gpu.read(&pass.bad, 0, bytemuck::cast_slice_mut(&mut bad))?;
		Ok(bad.into_iter().map(|bad| bad != 0).collect())
	}

	fn run<A: Arguments>(&self, arguments: A) -> candle_core::Result<()> {
		self.gpu.launch(&arguments.launch(), bytemuck::bytes_of(&arguments))
	}

	/// Scratch memory of at least so many bytes. The device does what it's told in order, so the next operation may take the same.
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

	/// Quantises rows and multiplies.
	fn product(&self, x: u64, rows: usize, matrix: &CardMatrix, out: u64) -> candle_core::Result<()> {
		let quantised = self.scratch(0, rows.div_ceil(TILE) * matrix.blocks * ROW_BYTES)?;
		let (rows, blocks) = (rows as u32, matrix.blocks as u32);
		self.run(kernels::Quantise {
			x,
			out: quantised.address,
			rows,
			blocks,
		})?;
		self.run(kernels::Linear {
			weights: matrix.tiles.address,
			x: quantised.address,
			bias: address(matrix.bias.as_ref()),
			out,
			outputs: matrix.outputs as u32,
			rows,
			blocks,
			pad: 0,
		})
	}

	/// Turns a row's heads, writes its keys and values, and attends.
	fn attention(
		&self,
		qkv: u64,
		layer: usize,
		head_norms: Option<&(Memory, Memory)>,
		pass: &Pass<'_>,
		out: u64,
	) -> candle_core::Result<()> {
		let Some(pool) = pass.pool.card() else {
			candle_core::bail!("the pages are not on the graphics card")
		};
		let queries = self.scratch(1, pass.rows * self.shape.queries() * 4 + pass.slices.scratch_bytes())?;
		let layer_offset = (layer * 2 * pass.pool.part()) as u64;
		let page_stride = (pass.pool.layers() * 2 * pass.pool.part()) as u64;
		self.run(kernels::Turn {
			x: qkv,
			out: queries.address,
			pool: pool.address,
			q_norm: address(head_norms.map(|(q, _)| q)),
			k_norm: address(head_norms.map(|(_, k)| k)),
			cos: self.cos.address,
			sin: self.sin.address,
			positions: pass.positions.address,
			pages: pass.row_pages.address,
			bad: pass.bad.address,
			page_stride,
			layer_offset,
			heads: self.shape.heads as u32,
			kv_heads: self.shape.kv_heads as u32,
			head_dim: self.shape.head_dim as u32,
			epsilon: self.shape.epsilon,
			rows: pass.rows as u32,
			pad: 0,
		})?;
		let scratch = queries.address + (pass.rows * self.shape.queries() * 4) as u64;
		let all = kernels::Attend {
			q: queries.address,
			pool: pool.address,
			out,
			bad: pass.bad.address,
			page_stride,
			layer_offset,
			scale: self.shape.scale,
			..Default::default()
		};
		pass.slices.launch(&*self.gpu, all, scratch)
	}

	/// RMS norm. Marks rows.
	pub(super) fn norm(&self, x: &Tensor, weight: &Memory, pass: &mut Pass<'_>) -> Result<Tensor> {
		let (rows, width) = x.dims2()?;
		if weight.bytes != width * 4 {
			return Err(Error::Compute(format!(
				"rows of {width}, a norm of {} bytes",
				weight.bytes
			)));
		}
		Ok(x.apply_op1_no_bwd(&Operation {
			name: "c1-w8 rms_norm",
			shape: (rows, width).into(),
			launch: |x: &[u64], out| {
				self.run(kernels::Norm {
					x: x[0],
					w: weight.address,
					out,
					bad: pass.bad.address,
					width: width as u32,
					epsilon: self.shape.epsilon,
					rows: rows as u32,
					pad: 0,
				})
			},
		})?)
	}

	/// Logits of rows after the final norm in the computer's memory.
	pub(crate) fn logits(&self, norm: &Tensor, head: &CardMatrix) -> Result<Tensor> {
		self.linear(&norm.to_device(self.device())?, head)
	}

	/// `x · Wᵀ + bias`.
	pub(super) fn linear(&self, x: &Tensor, matrix: &CardMatrix) -> Result<Tensor> {
		let (rows, width) = x.dims2()?;
		if width != matrix.blocks * 32 || rows > MOST_ROWS {
			return Err(Error::Compute(format!(
				"{rows} rows of {width} for a matrix of width {}",
				matrix.blocks * 32
			)));
		}
		Ok(x.apply_op1_no_bwd(&Operation {
			name: "c1-w8 linear",
			shape: (rows, matrix.outputs).into(),
			launch: |x: &[u64], out| self.product(x[0], rows, matrix, out),
		})?)
	}

	/// Norms of the heads of q and k, if there are; rotation; attention. Marks rows.
	pub(super) fn attended(
		&self,
		qkv: Tensor,
		layer: usize,
		head_norms: Option<&(Memory, Memory)>,
		pass: &mut Pass<'_>,
	) -> Result<Tensor> {
		let (rows, width) = qkv.dims2()?;
		if width != self.shape.qkv() || layer >= pass.pool.layers() {
			return Err(Error::Compute(format!(
				"rows of {width} for {} heads",
				self.shape.heads
			)));
		}
		Ok(qkv.apply_op1_no_bwd(&Operation {
			name: "c1-w8 attention",
			shape: (rows, self.shape.queries()).into(),
			launch: |x: &[u64], out| self.attention(x[0], layer, head_norms, pass, out),
		})?)
	}

	/// `silu(g) · u` of rows g ‖ u. Marks rows.
	pub(super) fn gate(&self, x: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
		let (rows, width) = x.dims2()?;
		Ok(x.apply_op1_no_bwd(&Operation {
			name: "c1-w8 silu_mul",
			shape: (rows, width / 2).into(),
			launch: |x: &[u64], out| {
				self.run(kernels::Gate {
					x: x[0],
					out,
					bad: pass.bad.address,
					inner: (width / 2) as u32,
					rows: rows as u32,
				})
			},
		})?)
	}

	/// `x + y`. Marks rows if it's the end of a layer.
	pub(super) fn add(&self, x: &Tensor, y: &Tensor, end: bool, pass: &mut Pass<'_>) -> Result<Tensor> {
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
				name: "c1-w8 add",
				shape: (rows, width).into(),
				launch: |x: &[u64], out| {
					self.run(kernels::Residual {
						x: x[0],
						y: x[1],
						out,
						bad: address(end.then_some(&pass.bad)),
						width: width as u32,
						rows: rows as u32,
					})
				},
			},
		)?)
	}
}

impl Place for Card {
	type Matrix = CardMatrix;
	type Vector = Memory;
	type Stream = Tensor;
	type Pass<'a> = Pass<'a>;

	fn begin<'a>(&self, batch: &Batch<'a>, pool: &'a mut Pool) -> Result<Pass<'a>> {
		let rows = batch.tokens.len();
		let positions = positions(batch)?;
		pool.check(batch.segments, rows)?;
		if rows > MOST_ROWS || positions.iter().any(|p| *p as usize >= self.positions) {
			return Err(Error::Compute(format!(
				"{rows} rows, the last position {:?}, for a card that takes {MOST_ROWS} and {}",
				positions.last(),
				self.positions
			)));
		}
		let row_pages: Vec<u32> = (batch.segments.iter())
			.flat_map(|s| (s.start..s.start + s.rows.len()).map(|p| s.pages.get(p / crate::kv::PAGE)))
			.map(|page| page.map_or(0, |page| page.index() as u32))
			.collect();
		let shape = (self.shape.heads, self.shape.kv_heads, self.shape.head_dim);
		let gpu = &*self.gpu;
		Ok(Pass {
			rows,
			bad: gpu.allocate(rows * 4)?,
			positions: upload(gpu, bytemuck::cast_slice(&positions))?,
			row_pages: upload(gpu, bytemuck::cast_slice(&row_pages))?,
			slices: Slices::new(gpu, batch.segments, self.shape.window, shape)?,
			pool,
		})
	}

	fn embed(&self, ids: &[u32], table: &CardMatrix) -> Result<Tensor> {
		if let Some(id) = ids.iter().find(|id| **id as usize >= table.outputs) {
			return Err(Error::Compute(format!(
				"token {id} is outside the vocabulary of {}",
				table.outputs
			)));
		}
		let (rows, blocks) = (ids.len(), table.blocks);
		let ids = Tensor::from_slice(ids, rows, self.device())?;
		Ok(ids.apply_op1_no_bwd(&Operation {
			name: "c1-w8 embed",
			shape: (rows, blocks * 32).into(),
			launch: |x: &[u64], out| {
				self.run(kernels::Embed {
					ids: x[0],
					table: table.tiles.address,
					out,
					blocks: blocks as u32,
					rows: rows as u32,
				})
			},
		})?)
	}

	fn attend(&self, layer: &Layer<Self>, index: usize, x: &mut Tensor, pass: &mut Pass<'_>) -> Result<()> {
		let h = self.norm(x, &layer.attention_norm, pass)?;
		let attended = self.attended(self.linear(&h, &layer.qkv)?, index, layer.head_norms.as_ref(), pass)?;
		*x = self.add(x, &self.linear(&attended, &layer.o)?, false, pass)?;
		Ok(())
	}

	fn feed(&self, layer: &Layer<Self>, x: &mut Tensor, pass: &mut Pass<'_>) -> Result<()> {
		let h = self.norm(x, &layer.mlp_norm, pass)?;
		let inner = self.gate(&self.linear(&h, &layer.gate_up)?, pass)?;
		*x = self.add(x, &self.linear(&inner, &layer.down)?, true, pass)?;
		Ok(())
	}

	fn keep(&self, x: &Tensor, _: &Pass<'_>) -> Result<Tensor> {
		Ok(x.clone())
	}

	fn finish(&self, norm: &Memory, x: Tensor, mut kept: Vec<Tensor>, mut pass: Pass<'_>) -> Result<Rows> {
		kept.push(self.norm(&x, norm, &mut pass)?);
		// One copy instead of one a layer.
		let all = Tensor::cat(&kept, 0)?.to_device(&Device::Cpu)?;
		let stream = |i: usize| all.narrow(0, i * pass.rows, pass.rows);
		let layers = kept.len() - 1;
		let residual = (0..layers).map(stream).collect::<candle_core::Result<_>>()?;
		Ok(Rows {
			residual,
			norm: stream(layers)?,
			bad: self.bad(&pass)?,
		})
	}

	fn scores(&self, norm: &Tensor, head: &CardMatrix) -> Result<Scores> {
		let logits = self.logits(norm, head)?;
		let (rows, vocabulary) = logits.dims2()?;
		let memory = self.gpu.allocate(rows * vocabulary * 4)?;
		let summary = self.gpu.allocate(rows * 3 * 4)?;
		logits.apply_op1_no_bwd(&Operation {
			name: "c1-w8 fix",
			shape: (1, 1).into(),
			launch: |x: &[u64], _| {
				self.run(kernels::Fix {
					logits: x[0],
					fixed: memory.address,
					summary: summary.address,
					vocabulary: vocabulary as u32,
					rows: rows as u32,
				})
			},
		})?;
		Ok(Scores::Fixed(Fixed::read(
			self.gpu.clone(),
			memory,
			&summary,
			vocabulary,
		)?))
	}

	fn pool(&self, layers: usize, kv_heads: usize, head_dim: usize, pages: usize) -> Result<Pool> {
		Pool::on_card((layers, kv_heads, head_dim), pages, |bytes| {
			self.gpu.allocate(bytes.max(1))
		})
	}
}

/// Memory with these bytes.
pub(super) fn upload(gpu: &dyn Gpu, bytes: &[u8]) -> candle_core::Result<Memory> {
	let memory = gpu.allocate(bytes.len().max(1))?;
	gpu.write(&memory, 0, bytes)?;
	Ok(memory)
}

fn address(memory: Option<&Memory>) -> u64 {
	memory.map_or(0, |memory| memory.address)
}

/// A tile from the processor's layout (eight steps of four columns, bytes plus 128) to the card's (two halves of sixteen, signed).
fn turn_tile(from: &[u8], to: &mut [u8]) {
	for (from, to) in from.chunks_exact(WEIGHT_BYTES).zip(to.chunks_exact_mut(WEIGHT_BYTES)) {
		for (step, lanes) in from[..TILE * 32].chunks_exact(TILE * 4).enumerate() {
			for (lane, four) in lanes.chunks_exact(4).enumerate() {
				let at = step / 4 * TILE * 16 + lane * 16 + step % 4 * 4;
				for (to, from) in to[at..at + 4].iter_mut().zip(four) {
					*to = from ^ 0x80;
				}
			}
		}
		to[TILE * 32..].copy_from_slice(&from[TILE * 32..]);
	}
}
