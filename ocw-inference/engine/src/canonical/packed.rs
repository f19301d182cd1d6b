//! Weights as the linear kernels read them: repacked once, so that vector lanes are outputs.
//!
//! A tile is 32 outputs. It holds the blocks of 32 columns one after another, and of each block eight steps of four columns:
//! 32 outputs × 4 bytes. Behind the steps come the block's 32 scales. So a tile is one stream of 17 cache lines a block,
//! 1.0625 bytes a weight. Bytes are unsigned (`w + 128`), which is what the processors' dot product of bytes takes.

pub use assay_numerics::BLOCK;
use candle_core::{bail, Result};
use half::f16;
use rayon::prelude::*;

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
	/// A matrix of zeros `[rows, width]`, to be filled; `width` is a multiple of 32.
	pub(crate) fn zeros(rows: usize, width: usize) -> Result<Self> {
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
		let mut first = 0;
		for (weights, scales) in parts {
			let scales: Vec<u8> = scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
			packed.put_weights(first, weights)?;
			packed.put_scales(first, &scales)?;
			first += weights.len() / width;
		}
		Ok(packed)
	}

	/// Noise, the same for the same seed: int8 all alike probable, and scales with which a result deviates by about as much as the
	/// operand's elements. Rows that are named in `silent` are zeros. For measuring.
	#[cfg(any(test, feature = "test-utils"))]
	pub(crate) fn random(rows: usize, width: usize, seed: u64, silent: &[u32]) -> Result<Self> {
		let mut packed = Self::zeros(rows, width)?;
		// An int8 deviates by 74.
		let unit = 2f32.powi((1.0 / (74.0 * (width as f32).sqrt())).log2().round() as i32);
		let scales: [[u8; 2]; 8] = std::array::from_fn(|i| f16::from_f32(unit * (8 + i) as f32 / 16.0).to_le_bytes());
		let blocks = width / BLOCK;
		packed.lines.par_chunks_mut(LINES).enumerate().for_each(|(i, block)| {
			// SplitMix64, from a state of each block's own.
			let mut state = (seed << 40 | i as u64).wrapping_mul(0xd134_2543_de82_ef95);
			let mut next = || {
				state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
				let mut z = state;
				z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
				z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
				z ^ (z >> 31)
			};
			let (weights, of_rows) = bytes_mut(block).split_at_mut(TILE * BLOCK);
			for eight in weights.chunks_exact_mut(8) {
				eight.copy_from_slice(&next().to_le_bytes());
			}
			for (lane, scale) in of_rows.chunks_exact_mut(2).enumerate() {
				let row = i / blocks * TILE + lane;
				let chosen = scales[(next() >> 61) as usize];
				scale.copy_from_slice(match silent.iter().any(|silent| *silent as usize == row) {
					true => &[0; 2],
					false => &chosen,
				});
			}
		});
		Ok(packed)
	}

	/// Puts rows of int8 in two's complement at row `first` and below.
	pub(crate) fn put_weights(&mut self, first: usize, rows: &[u8]) -> Result<()> {
		self.put(first, rows, |block, lane, weights: &[u8; BLOCK]| {
			let steps = block.as_chunks_mut::<{ TILE * STEP }>().0;
			for (step, four) in steps.iter_mut().zip(weights.as_chunks::<STEP>().0) {
				step.as_chunks_mut::<STEP>().0[lane] = four.map(|w| w ^ 0x80);
			}
		})
	}

	/// Puts rows of scales, f16 little-endian, at row `first` and below.
	pub(crate) fn put_scales(&mut self, first: usize, rows: &[u8]) -> Result<()> {
		self.put(first, rows, |block, lane, scale: &[u8; 2]| {
			block[TILE * BLOCK..].as_chunks_mut::<2>().0[lane] = *scale;
		})
	}

	/// Hands each block of a tile to `put`, with each lane's N bytes of it: tile by tile, so that a line stays in the cache until it's full.
	#[inline(always)]
	fn put<const N: usize>(
		&mut self,
		first: usize,
		rows: &[u8],
		put: impl Fn(&mut [u8; BLOCK_BYTES], usize, &[u8; N]),
	) -> Result<()> {
		let blocks = self.width / BLOCK;
		let row_bytes = blocks * N;
		let count = rows.len() / row_bytes;
		if count * row_bytes != rows.len() || first > self.rows || count > self.rows - first {
			bail!(
				"{} bytes from row {first} on don't fit a matrix [{}, {}]",
				rows.len(),
				self.rows,
				self.width
			);
		}
		let (mut row, mut rest) = (first, rows);
		while !rest.is_empty() {
			let lanes = row % TILE..TILE.min(row % TILE + rest.len() / row_bytes);
			let (now, behind) = rest.split_at(lanes.len() * row_bytes);
			let tile = &mut self.lines[row / TILE * blocks * LINES..][..blocks * LINES];
			for (i, block) in bytes_mut(tile).as_chunks_mut().0.iter_mut().enumerate() {
				for (lane, row) in lanes.clone().zip(now.chunks_exact(row_bytes)) {
					put(block, lane, &row.as_chunks().0[i]);
				}
			}
			(row, rest) = (row + lanes.len(), behind);
		}
		Ok(())
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
	fn noise_is_of_its_seed_and_as_loud_as_its_operand() {
		let (rows, width) = (70, 512);
		let read = |seed| {
			let packed = Packed::random(rows, width, seed, &[33]).unwrap();
			let mut out = vec![0f32; width];
			let row = |row| {
				assert!(packed.row(row, &mut out));
				out.clone()
			};
			(0..rows).map(row).collect::<Vec<_>>()
		};
		let noise = read(5);
		assert!(noise == read(5) && noise != read(6));
		assert!(noise[33].iter().all(|v| *v == 0.0));
		let power: f32 = noise.iter().flatten().map(|v| v * v).sum::<f32>() / (rows - 1) as f32;
		assert!((0.2..2.0).contains(&power), "{power}");
	}

	#[test]
	fn rows_that_come_in_pieces_are_packed_as_all_at_once() {
		let (rows, width) = (70, 64);
		let weights: Vec<u8> = (0..rows * width).map(|i| (i * 5 % 256) as u8).collect();
		let scales: Vec<u8> = (0..rows * 4).map(|i| (i * 3 % 64) as u8).collect();
		let halves: Vec<f16> = scales.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b)).collect();
		let whole = Packed::pack(&[(&weights, &halves)], width).unwrap();
		let mut packed = Packed::zeros(rows, width).unwrap();
		for (from, to) in [(3, 40), (0, 3), (40, 70)] {
			packed.put_scales(from, &scales[from * 4..to * 4]).unwrap();
			packed.put_weights(from, &weights[from * width..to * width]).unwrap();
		}
		assert!((0..packed.tiles()).all(|tile| packed.tile(tile) == whole.tile(tile)));
		assert!(packed.put_weights(69, &weights[..2 * width]).is_err());
		assert!(packed.put_weights(0, &weights[..1]).is_err());
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
