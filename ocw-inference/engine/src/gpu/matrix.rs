//! Matrices in a GPU's memory, in the layout of `kernels/weights.cuh`.

use super::{
	kernels::{Stored, Weights},
	upload, Gpu, Memory,
};
use crate::{model::matrix::Matrix, Error, Result};
use assay_numerics::{
	format::{MatrixFormat, BLOCK},
	packed::{PackedMatrix, TileGroup, TILE},
};

/// Columns whose weights are side by side in the CPU's layout.
const STEP: usize = 4;

/// Matrices with the same input, one below another.
pub(crate) struct GpuMatrix {
	pub(super) parts: Vec<GpuPart>,
	pub(super) width: usize,
	pub(super) outputs: usize,
	bias: Option<Memory>,
}

/// A matrix of one format.
pub(super) struct GpuPart {
	tiles: Memory,
	format: MatrixFormat,
	/// Which output of all it begins with.
	pub(super) first: usize,
	outputs: usize,
	blocks: usize,
}

impl GpuMatrix {
	/// Moves a matrix, tile by tile, into the GPU's layout.
	pub(super) fn new(gpu: &dyn Gpu, matrix: Matrix) -> Result<Self> {
		let bias = matrix.bias().map(|bias| upload(gpu, bytemuck::cast_slice(bias)));
		let (width, mut outputs, mut parts) = (matrix.width(), 0, Vec::new());
		for (part, _) in matrix.each() {
			parts.push(GpuPart::new(gpu, part, outputs)?);
			outputs += part.rows();
		}
		Ok(Self {
			parts,
			width,
			outputs,
			bias: bias.transpose()?,
		})
	}

	/// Returns the only part: an embedding has no other.
	pub(super) fn table(&self) -> Result<&GpuPart> {
		match &self.parts[..] {
			[table] => Ok(table),
			parts => Err(Error::Compute(format!("a table in {} parts", parts.len()))),
		}
	}

	/// Returns the address of a part's biases, 0 if there are none.
	pub(super) fn bias(&self, part: &GpuPart) -> u64 {
		self.bias
			.as_ref()
			.map_or(0, |bias| bias.address + 4 * part.first as u64)
	}
}

impl GpuPart {
	fn new(gpu: &dyn Gpu, weight: &PackedMatrix, first: usize) -> Result<Self> {
		let (format, blocks) = (weight.format(), weight.width() / BLOCK);
		let stored = Stored::of(&format);
		let groups = format.groups(weight.width());
		let scales_at = blocks * stored.weight_bytes();
		let mut staged = vec![0u8; scales_at + groups * stored.group_bytes()];
		let tiles = gpu.allocate(weight.tiles() * staged.len())?;
		for tile in 0..weight.tiles() {
			staged.fill(0);
			let (weights, beside) = staged.split_at_mut(scales_at);
			let weights = weights.chunks_mut(format.group() / BLOCK * stored.weight_bytes());
			let beside = beside.chunks_exact_mut(stored.group_bytes());
			for (index, (weights, beside)) in weights.zip(beside).enumerate() {
				let Some(group) = weight.tile_group(tile, index) else {
					return Err(Error::Compute(format!("a matrix in {format} lacks group {index}")));
				};
				match stored {
					Stored::W8 => put_bytes(group.weights, weights),
					Stored::W4 | Stored::W4z => put_nibbles(group.weights, weights),
				}
				put_beside(&group, beside);
			}
			gpu.write(&tiles, tile * staged.len(), &staged)?;
		}
		Ok(Self {
			tiles,
			format,
			first,
			outputs: weight.rows(),
			blocks,
		})
	}

	/// Returns the binary logarithm of a group's blocks.
	pub(super) fn group_log2(&self) -> u32 {
		(self.format.group() / BLOCK).trailing_zeros()
	}

	/// Returns what the kernels are told of it.
	pub(super) fn weights(&self) -> Weights {
		let mut values = [0; 4];
		if let MatrixFormat::W4 { table } = self.format {
			for (value, four) in values.iter_mut().zip(table.as_chunks::<4>().0) {
				*value = u32::from_le_bytes(four.map(|v| v as u8));
			}
		}
		Weights {
			tiles: self.tiles.address,
			values,
			outputs: self.outputs as u32,
			blocks: self.blocks as u32,
			group_log2: self.group_log2(),
			format: Stored::of(&self.format) as u32,
		}
	}
}

/// Converts a group's weights of 8 bits from the CPU's layout (steps of four columns, bytes plus 128) to the GPU's
/// (blocks of two halves of sixteen columns, signed).
fn put_bytes(from: &[u8], to: &mut [u8]) {
	let blocks = from.chunks_exact(TILE * BLOCK).zip(to.chunks_exact_mut(TILE * BLOCK));
	for (from, to) in blocks {
		for (step, lanes) in from.chunks_exact(TILE * STEP).enumerate() {
			for (lane, four) in lanes.chunks_exact(STEP).enumerate() {
				let at = step / 4 * TILE * 16 + lane * 16 + step % 4 * STEP;
				for (to, from) in to[at..at + STEP].iter_mut().zip(four) {
					*to = from ^ 0x80;
				}
			}
		}
	}
}

/// Converts a group's weights of 4 bits from the CPU's layout (steps of four columns, high nibbles those of the outputs
/// from 16 on) to the GPU's (blocks, high nibbles those of the columns from 16 on), whose bytes are zeros before.
fn put_nibbles(from: &[u8], to: &mut [u8]) {
	let blocks = from
		.chunks_exact(TILE * BLOCK / 2)
		.zip(to.chunks_exact_mut(TILE * BLOCK / 2));
	for (from, to) in blocks {
		for (step, lanes) in from.chunks_exact(TILE * STEP / 2).enumerate() {
			let shift = step / 4 * 4;
			for (i, two) in lanes.iter().enumerate() {
				let at = i / STEP * 16 + step % 4 * STEP + i % STEP;
				to[at] |= (two & 15) << shift;
				to[at + 16 * 16] |= (two >> 4) << shift;
			}
		}
	}
}

/// Puts a group's scales, and behind them a byte for each zero point.
fn put_beside(group: &TileGroup<'_>, to: &mut [u8]) {
	let (scales, zeros) = to.split_at_mut(TILE * 2);
	scales.copy_from_slice(group.scales);
	// Where the format has none, both are empty.
	let (low, high) = zeros.split_at_mut(zeros.len() / 2);
	for ((low, high), two) in low.iter_mut().zip(high).zip(group.zeros) {
		(*low, *high) = (two & 15, two >> 4);
	}
}
