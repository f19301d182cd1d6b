//! Weights as the linear kernels read them: repacked once, so that vector lanes are outputs.
//!
//! A tile is 32 outputs. It holds the blocks of 32 columns one after another, and of each block eight steps of four
//! columns: 32 outputs × 4 bytes. Behind the steps come the block's 32 scales. So a tile is one stream of 17 cache
//! lines a block, 1.0625 bytes a weight. Bytes are unsigned (`w + 128`), which is what the CPUs' dot product of bytes
//! takes.

use crate::{error::bail_shape, Error, QuantizeError, Result};
use alloc::{format, vec, vec::Vec};
use half::f16;

/// Weights of a matrix that share one scale: a block, along the inputs.
pub const BLOCK: usize = 32;
/// Outputs of a tile.
pub const TILE: usize = 32;
/// Columns whose products one instruction adds up.
pub(crate) const STEP: usize = 4;
/// Bytes of a tile's block: weights, then scales.
pub(crate) const BLOCK_BYTES: usize = TILE * BLOCK + TILE * 2;
pub(crate) const LINES: usize = BLOCK_BYTES / 64;

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line([u8; 64]);

/// An int8 matrix `[N, K]` with an f16 scale for each row and block of 32 columns.
pub struct PackedMatrix {
	pub(crate) lines: Vec<Line>,
	rows: usize,
	width: usize,
}

impl PackedMatrix {
	/// Makes a matrix of zeros `[rows, width]`, to be filled; `width` is a multiple of 32.
	pub fn zeros(rows: usize, width: usize) -> Result<Self> {
		let lines = rows
			.checked_next_multiple_of(TILE)
			.and_then(|rows| (rows / TILE).checked_mul(width / BLOCK)?.checked_mul(LINES));
		let (Some(lines), true) = (lines, rows > 0 && width > 0 && width.is_multiple_of(BLOCK)) else {
			bail_shape!("a packed matrix cannot be [{rows}, {width}]");
		};
		let mut all = Vec::new();
		if all.try_reserve_exact(lines).is_err() {
			return Err(Error::Memory(format!("no memory for a matrix [{rows}, {width}]")));
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

	/// Quantizes a matrix of floats `[rows, width]`, row by row; `width` is a multiple of 32.
	pub fn quantize(weights: &[f32], width: usize) -> Result<Self> {
		let (blocks, rest) = weights.as_chunks::<BLOCK>();
		if !rest.is_empty() {
			bail_shape!(
				"{} weights of a matrix of width {width} are not whole blocks",
				weights.len()
			);
		}
		let (mut quantized, mut scales) = (Vec::with_capacity(weights.len()), Vec::with_capacity(blocks.len()));
		for block in blocks {
			let (w, scale) = quantize_block(block)?;
			quantized.extend(w.map(|w| w as u8));
			scales.push(scale);
		}
		Self::pack(&[(&quantized, &scales)], width)
	}

	/// Packs matrices of the same width below one another: each int8 `[n_i, width]` in two's complement and its scales
	/// `[n_i, width / 32]`. What stands side by side in one matrix changes no output of another.
	pub fn pack(parts: &[(&[u8], &[f16])], width: usize) -> Result<Self> {
		let fits = |(w, s): &(&[u8], &[f16])| {
			width > 0 && width.is_multiple_of(BLOCK) && w.len().is_multiple_of(width) && s.len() * BLOCK == w.len()
		};
		if !parts.iter().all(fits) {
			bail_shape!("weights and scales of a packed matrix of width {width} do not fit together");
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

	/// Puts rows of int8 in two's complement at row `first` and below.
	pub fn put_weights(&mut self, first: usize, rows: &[u8]) -> Result<()> {
		self.put(first, rows, |block, lane, weights: &[u8; BLOCK]| {
			let steps = block.as_chunks_mut::<{ TILE * STEP }>().0;
			for (step, four) in steps.iter_mut().zip(weights.as_chunks::<STEP>().0) {
				step.as_chunks_mut::<STEP>().0[lane] = four.map(|w| w ^ 0x80);
			}
		})
	}

	/// Puts rows of scales, f16 little-endian, at row `first` and below.
	pub fn put_scales(&mut self, first: usize, rows: &[u8]) -> Result<()> {
		self.put(first, rows, |block, lane, scale: &[u8; 2]| {
			block[TILE * BLOCK..].as_chunks_mut::<2>().0[lane] = *scale;
		})
	}

	/// Hands each block of a tile to `put`, with each lane's N bytes of it: tile by tile, so that a line stays in the
	/// cache until it is full.
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
			bail_shape!(
				"{} bytes from row {first} on do not fit a matrix [{}, {}]",
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

	/// Returns N: the length of a result.
	pub fn rows(&self) -> usize {
		self.rows
	}

	/// Returns K: the length of an operand.
	pub fn width(&self) -> usize {
		self.width
	}

	/// Returns the bytes held in memory.
	pub fn bytes(&self) -> usize {
		core::mem::size_of_val(self.lines.as_slice())
	}

	/// Writes row `id` as floats: `f32(scale) · f32(w)`, one product each. Returns false if there is no such row.
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

	/// Returns the number of tiles of 32 outputs; the last may be padded.
	pub fn tiles(&self) -> usize {
		self.rows.div_ceil(TILE)
	}

	/// Returns the bytes of one tile, in the layout above; none if there is no such tile.
	pub fn tile(&self, tile: usize) -> &[u8] {
		let lines = self.width / BLOCK * LINES;
		bytes(self.lines.get(tile * lines..(tile + 1) * lines).unwrap_or(&[]))
	}
}

/// A matrix is read from end to end for each token: with pages of 2 MiB, fewer translations are looked up on the way.
/// Where the system has none to give, nothing changes.
#[cfg(all(target_os = "linux", feature = "std"))]
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

#[cfg(not(all(target_os = "linux", feature = "std")))]
fn ask_for_huge_pages(_: *mut Line, _: usize) {}

fn bytes(lines: &[Line]) -> &[u8] {
	// SAFETY: a line is 64 bytes without padding, and bytes have no alignment.
	unsafe { core::slice::from_raw_parts(lines.as_ptr().cast(), core::mem::size_of_val(lines)) }
}

pub(crate) fn bytes_mut(lines: &mut [Line]) -> &mut [u8] {
	// SAFETY: as above; every bit pattern is a line.
	unsafe { core::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), core::mem::size_of_val(lines)) }
}

/// Quantizes one block (`docs/spec/c1-w8.md`, "Quantizer"): the scale is `max|w| / 127` rounded to f16, a weight is
/// `w / scale` rounded to the nearest int8, ties to even.
#[inline]
pub fn quantize_block(values: &[f32; BLOCK]) -> core::result::Result<([i8; BLOCK], f16), QuantizeError> {
	// Added and taken away again it rounds to an integer, ties to even: 1.5 · 2²³. Exact below 2²².
	const ROUND: f32 = 12_582_912.0;
	if !values.iter().fold(true, |ok, v| ok & v.is_finite()) {
		return Err(QuantizeError::NonFinite);
	}
	let amax = values.iter().fold(0f32, |a, v| a.max(v.abs()));
	let scale = f16::from_f32(amax / 127.0);
	if !scale.is_finite() {
		return Err(QuantizeError::TooLarge);
	}
	let d = scale.to_f32();
	let mut weights = [0i8; BLOCK];
	if d != 0.0 {
		for (w, v) in weights.iter_mut().zip(values) {
			*w = (((v / d).clamp(-127.0, 127.0) + ROUND) - ROUND) as i8;
		}
	}
	Ok((weights, scale))
}

/// Rows of a quantized table by index: the embedding (§2.3).
pub struct Gather<'a> {
	/// Row indices.
	pub ids: &'a [u32],
	/// The table.
	pub weight: &'a PackedMatrix,
}

impl Gather<'_> {
	/// Returns the rows, f32 `[ids, width]`.
	pub fn rows(&self) -> Result<Vec<f32>> {
		let width = self.weight.width();
		let mut out = vec![0f32; self.ids.len() * width];
		for (id, out) in self.ids.iter().zip(out.chunks_exact_mut(width)) {
			if !self.weight.row(*id as usize, out) {
				bail_shape!("token {id} is outside the vocabulary of {}", self.weight.rows());
			}
		}
		Ok(out)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	proptest! {
		#[test]
		fn a_block_is_quantized_as_the_specification_says(bits in prop::array::uniform32(any::<u32>()), small in any::<bool>()) {
			let values = bits.map(|b| if small { (b as i32 as f32) / 3e9 } else { f32::from_bits(b) });
			let amax = values.iter().fold(0f32, |a, v| a.max(v.abs()));
			let scale = f16::from_f32(amax / 127.0);
			match quantize_block(&values) {
				Err(_) => prop_assert!(values.iter().any(|v| !v.is_finite()) || !scale.is_finite()),
				Ok((weights, s)) => {
					prop_assert_eq!(s, scale);
					for (w, v) in weights.iter().zip(values) {
						let d = scale.to_f32();
						let q = if d == 0.0 { 0.0 } else { (v / d).round_ties_even().clamp(-127.0, 127.0) };
						prop_assert_eq!(f32::from(*w), q);
					}
				}
			}
		}
	}

	#[test]
	fn rows_come_back_from_any_tile_and_part() {
		let width = 96;
		let weights: Vec<u8> = (0..70 * width).map(|i| (i * 7 % 256) as u8).collect();
		let scales: Vec<f16> = (0..70 * 3).map(|i| f16::from_f32(i as f32 * 0.01 - 1.0)).collect();
		let cut = 41;
		let packed = PackedMatrix::pack(
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
	fn rows_that_come_in_pieces_are_packed_as_all_at_once() {
		let (rows, width) = (70, 64);
		let weights: Vec<u8> = (0..rows * width).map(|i| (i * 5 % 256) as u8).collect();
		let scales: Vec<u8> = (0..rows * 4).map(|i| (i * 3 % 64) as u8).collect();
		let halves: Vec<f16> = scales.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b)).collect();
		let whole = PackedMatrix::pack(&[(&weights, &halves)], width).unwrap();
		let mut packed = PackedMatrix::zeros(rows, width).unwrap();
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
		assert!(PackedMatrix::pack(&[(&[0; 64], &scale)], 32).is_ok());
		assert!(PackedMatrix::pack(&[(&[0; 64], &scale[..1])], 32).is_err());
		assert!(PackedMatrix::pack(&[(&[0; 60], &scale)], 30).is_err());
		assert!(PackedMatrix::pack(&[(&[0; 48], &scale)], 32).is_err());
		assert!(PackedMatrix::pack(&[], 32).is_err());
	}
}
