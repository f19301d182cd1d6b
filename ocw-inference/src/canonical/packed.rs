//! Weights as the linear kernels read them: repacked once, so that vector lanes are outputs.
//!
//! A tile is 32 outputs. It holds the blocks of 32 columns one after another, and of each block eight steps of four columns:
//! 32 outputs × 4 bytes. Behind the steps come the block's 32 scales. So a tile is one stream of 17 cache lines a block,
//! 1.0625 bytes a weight. Bytes are unsigned (`w + 128`), which is what the processors' dot product of bytes takes.

use candle_core::{bail, Result};
use half::f16;

/// Weights that share a scale.
pub const BLOCK: usize = 32;
/// Outputs of a tile.
pub const TILE: usize = 32;
/// Columns whose products one instruction adds up.
pub(crate) const STEP: usize = 4;
/// Bytes of a tile's block: weights, then scales.
pub(crate) const BLOCK_BYTES: usize = TILE * BLOCK + TILE * 2;
const LINES: usize = BLOCK_BYTES / 64;

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// An int8 matrix `[N, K]` with an f16 scale for each row and block of 32 columns.
pub struct Packed {
	lines: Vec<Line>,
	rows: usize,
	width: usize,
}

impl Packed {
	/// A matrix of zeros with room for `[rows, width]`; `width` is a multiple of 32.
	fn zeros(rows: usize, width: usize) -> Result<Self> {
		let lines = rows
			.checked_next_multiple_of(TILE)
			.and_then(|rows| (rows / TILE).checked_mul(width / BLOCK)?.checked_mul(LINES));
		let (Some(lines), true) = (lines, rows > 0 && width > 0 && width.is_multiple_of(BLOCK)) else {
			bail!("a packed matrix can't be [{rows}, {width}]");
		};
		let mut all = Vec::new();
		if all.try_reserve_exact(lines).is_err() {
			bail!("no memory for a matrix [{rows}, {width}]");
		}
		ask_for_huge_pages(all.as_mut_ptr(), lines);
		// Padding is zeros and never read into a result.
		all.resize(lines, Line([0; 64]));
		Ok(Self {
			lines: all,
			rows,
			width,
		})
	}

	/// Packs matrices of the same width below one another: each int8 `[n_i, width]` in two's complement and its scales
	/// `[n_i, width / 32]`. What stands side by side in one matrix changes no output of another.
	pub fn pack(parts: &[(&[u8], &[f16])], width: usize) -> Result<Self> {
		let fits = |(w, s): &(&[u8], &[f16])| {
			width > 0 && width.is_multiple_of(BLOCK) && w.len().is_multiple_of(width) && s.len() * BLOCK == w.len()
		};
		if !parts.iter().all(fits) {
			bail!("weights and scales of a packed matrix of width {width} don't fit together");
		}
		let rows = parts.iter().map(|(w, _)| w.len() / width).sum();
		let mut packed = Self::zeros(rows, width)?;
		let sources = parts
			.iter()
			.flat_map(|(w, s)| w.chunks_exact(width).zip(s.chunks_exact(width / BLOCK)));
		for (row, (weights, scales)) in sources.enumerate() {
			packed.set(row, weights, scales);
		}
		Ok(packed)
	}

	fn set(&mut self, row: usize, weights: &[u8], scales: &[f16]) {
		let (blocks, lane) = (self.width / BLOCK, row % TILE);
		let tile = &mut self.lines[row / TILE * blocks * LINES..][..blocks * LINES];
		let blocks = tile.chunks_exact_mut(LINES);
		for (block, (weights, scale)) in blocks.zip(weights.chunks_exact(BLOCK).zip(scales)) {
			let block = bytes_mut(block);
			for (step, four) in weights.chunks_exact(STEP).enumerate() {
				for (to, from) in block[(step * TILE + lane) * STEP..][..STEP].iter_mut().zip(four) {
					*to = from ^ 0x80;
				}
			}
			block[TILE * BLOCK + 2 * lane..][..2].copy_from_slice(&scale.to_le_bytes());
		}
	}

	/// N: the length of a result.
	pub fn rows(&self) -> usize {
		self.rows
	}

	/// K: the length of an operand.
	pub fn width(&self) -> usize {
		self.width
	}

	/// Bytes held in memory.
	pub fn bytes(&self) -> usize {
		std::mem::size_of_val(self.lines.as_slice())
	}

	/// Row `id` as floats: `f32(scale) · f32(w)`, one product each. False if there is no such row.
	pub fn row(&self, id: usize, out: &mut [f32]) -> bool {
		if id >= self.rows || out.len() != self.width {
			return false;
		}
		let lane = id % TILE;
		for (block, out) in self
			.tile(id / TILE)
			.chunks_exact(BLOCK_BYTES)
			.zip(out.chunks_exact_mut(BLOCK))
		{
			let scale =
				f16::from_le_bytes([block[TILE * BLOCK + 2 * lane], block[TILE * BLOCK + 2 * lane + 1]]).to_f32();
			for (step, out) in out.chunks_exact_mut(STEP).enumerate() {
				let four = &block[(step * TILE + lane) * STEP..][..STEP];
				for (out, w) in out.iter_mut().zip(four) {
					*out = scale * f32::from((w ^ 0x80) as i8);
				}
			}
		}
		true
	}

	/// Tiles of 32 outputs; the last may be padded.
	pub(crate) fn tiles(&self) -> usize {
		self.rows.div_ceil(TILE)
	}

	/// The bytes of one tile; empty if there is none.
	pub(crate) fn tile(&self, tile: usize) -> &[u8] {
		let lines = self.width / BLOCK * LINES;
		bytes(self.lines.get(tile * lines..(tile + 1) * lines).unwrap_or(&[]))
	}
}

/// A matrix is read from end to end for each token: with pages of 2 MiB, fewer translations are looked up on the way. Where the system
/// has none to give, nothing changes.
#[cfg(target_os = "linux")]
fn ask_for_huge_pages(start: *mut Line, lines: usize) {
	const PAGE: usize = 4096;
	let skipped = start.cast::<u8>().align_offset(PAGE);
	if let Some(len) = (lines * 64).checked_sub(skipped).filter(|len| *len >= 2 << 20) {
		// SAFETY: advice about memory of ours; it changes no byte of it.
		unsafe {
			libc::madvise(start.cast::<u8>().add(skipped).cast(), len, libc::MADV_HUGEPAGE);
		}
	}
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_: *mut Line, _: usize) {}

fn bytes(lines: &[Line]) -> &[u8] {
	// SAFETY: a line is 64 bytes without padding, and bytes have no alignment.
	unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), std::mem::size_of_val(lines)) }
}

fn bytes_mut(lines: &mut [Line]) -> &mut [u8] {
	// SAFETY: as above; every bit pattern is a line.
	unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), std::mem::size_of_val(lines)) }
}

/// Rows of a quantised table by index: the embedding.
pub struct Gather<'a> {
	/// Row indices.
	pub ids: &'a [u32],
	/// The table.
	pub weight: &'a Packed,
}

impl Gather<'_> {
	/// The rows, f32 `[ids, width]`.
	pub fn rows(&self) -> Result<Vec<f32>> {
		let width = self.weight.width();
		let mut out = vec![0f32; self.ids.len() * width];
		for (id, out) in self.ids.iter().zip(out.chunks_exact_mut(width)) {
			if !self.weight.row(*id as usize, out) {
				bail!("token {id} is outside the vocabulary of {}", self.weight.rows());
			}
		}
		Ok(out)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn rows_come_back_from_any_tile_and_part() {
		let width = 96;
		let weights: Vec<u8> = (0..70 * width).map(|i| (i * 7 % 256) as u8).collect();
		let scales: Vec<f16> = (0..70 * 3).map(|i| f16::from_f32(i as f32 * 0.01 - 1.0)).collect();
		let cut = 41;
		let packed = Packed::pack(
			&[
				(&weights[..cut * width], &scales[..cut * 3]),
				(&weights[cut * width..], &scales[cut * 3..]),
			],
			width,
		)
		.unwrap();
		assert_eq!(
			(packed.rows(), packed.width(), packed.bytes()),
			(70, 96, 96 * 96 * 17 / 16)
		);
		let mut out = vec![0f32; width];
		for row in 0..70 {
			assert!(packed.row(row, &mut out));
			for (i, v) in out.iter().enumerate() {
				let w = f32::from(weights[row * width + i] as i8);
				assert_eq!(*v, scales[row * 3 + i / 32].to_f32() * w);
			}
		}
		assert!(!packed.row(70, &mut out) && !packed.row(0, &mut out[1..]));
	}

	#[test]
	fn shapes_that_do_not_fit_are_refused() {
		let scale = [f16::ONE; 2];
		assert!(Packed::pack(&[(&[0; 64], &scale)], 32).is_ok());
		assert!(Packed::pack(&[(&[0; 64], &scale[..1])], 32).is_err());
		assert!(Packed::pack(&[(&[0; 60], &scale)], 30).is_err());
		assert!(Packed::pack(&[(&[0; 48], &scale)], 32).is_err());
		assert!(Packed::pack(&[], 32).is_err());
	}
}
