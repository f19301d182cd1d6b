//! Weights as the linear kernels read them: repacked once, so that vector lanes are outputs.
//!
//! A **tile** is 32 outputs, one stream of whole cache lines. It holds groups of columns one after another (the last may
//! be shorter), and of each group
//!
//! * its steps of four columns: 32 outputs × 4 weights, in a line for 4 bits a weight, in two for 8;
//! * a line of scales, 32 × f16.
//!
//! With 8 bits, byte `4 · o + c` of a step is column c of output o, as `w + 128`: unsigned bytes are what the CPUs' dot
//! product of bytes takes, and a step is a row of two B tiles of AMX. With 4 bits, the low nibble of byte `4 · o + c` is
//! column c of output o, and the high nibble that of output o + 16: an index into the table (`w4`) or a number from
//! which the zero point is subtracted (`w4z`).
//!
//! In front of its groups a tile of `w4z` holds the zero points, 16 bytes a group, padded to whole lines: the low nibble
//! of byte o belongs to output o, the high one to output o + 16.
//!
//! | format | bytes of a group of G columns | bytes a weight |
//! |---|---|---|
//! | `w8` | 32 · G + 64 | 1.0625 (G = 32), 1.016 (128) |
//! | `w4` | 16 · G + 64 | 0.5625 |
//! | `w4z` | 16 · G + 64, and 16 in front | 0.578 (G = 32), 0.539 (64), 0.520 (128) |

mod fill;
mod gather;
pub(crate) mod layout;
pub(crate) mod memory;
mod quantize;

use crate::{error::bail_shape, format::MatrixFormat, Result};
use alloc::{format, vec::Vec};
use half::f16;
use layout::Layout;
use memory::Line;

pub use crate::format::BLOCK;
pub use gather::Gather;
pub use quantize::{quantize_block, quantize_group};

/// Outputs of a tile.
pub const TILE: usize = 32;
/// Columns whose products one instruction adds up.
pub(crate) const STEP: usize = 4;

/// A quantized matrix `[N, K]`.
pub struct PackedMatrix {
	pub(crate) lines: Vec<Line>,
	rows: usize,
	layout: Layout,
}

/// A group of a tile's columns.
#[derive(Clone, Copy, Debug)]
pub struct TileGroup<'a> {
	/// Its steps, as this module lays them out.
	pub weights: &'a [u8],
	/// An f16 for each of 32 outputs.
	pub scales: &'a [u8],
	/// Zero points, 4 bits for each output as this module lays them out; empty where the format has none.
	pub zeros: &'a [u8],
}

impl PackedMatrix {
	/// Makes a matrix `[rows, width]` whose weights, scales and zero points are to be put; `width` is a multiple of 32.
	/// Scales that nobody puts are zeros.
	pub fn zeros(rows: usize, width: usize, format: MatrixFormat) -> Result<Self> {
		if rows == 0 || width == 0 || !width.is_multiple_of(BLOCK) || !format.is_allowed() {
			bail_shape!("a packed matrix cannot be [{rows}, {width}] in {format}");
		}
		// No tile takes more than two bytes a weight.
		let most = rows
			.checked_next_multiple_of(TILE)
			.and_then(|rows| rows.checked_mul(width)?.checked_mul(2));
		if most.is_none_or(|most| most > isize::MAX as usize) {
			bail_shape!("a packed matrix cannot be [{rows}, {width}] in {format}");
		}
		let layout = Layout::new(format, width);
		Ok(Self {
			// Padding is zeros and never read into a result.
			lines: memory::zeroed(rows.div_ceil(TILE) * layout.lines(), || {
				format!("no memory for a matrix [{rows}, {width}] in {format}")
			})?,
			rows,
			layout,
		})
	}

	/// Packs matrices in `w8-32` of the same width below one another: each int8 `[n_i, width]` in two's complement and its scales
	/// `[n_i, width / 32]`. What stands side by side in one matrix changes no output of another.
	pub fn pack(parts: &[(&[u8], &[f16])], width: usize) -> Result<Self> {
		let fits = |(w, s): &(&[u8], &[f16])| {
			width > 0 && width.is_multiple_of(BLOCK) && w.len().is_multiple_of(width) && s.len() * BLOCK == w.len()
		};
		if !parts.iter().all(fits) {
			bail_shape!("weights and scales of a packed matrix of width {width} do not fit together");
		}
		let rows = parts.iter().map(|(w, _)| w.len() / width).sum();
		let mut packed = Self::zeros(rows, width, MatrixFormat::W8_32)?;
		let mut first = 0;
		for (weights, scales) in parts {
			let scales: Vec<u8> = scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
			packed.put_weights(first, weights)?;
			packed.put_scales(first, &scales)?;
			first += weights.len() / width;
		}
		Ok(packed)
	}

	/// Returns N: the length of a result.
	pub fn rows(&self) -> usize {
		self.rows
	}

	/// Returns K: the length of an operand.
	pub fn width(&self) -> usize {
		self.layout.width
	}

	/// Returns how the weights are stored.
	pub fn format(&self) -> MatrixFormat {
		self.layout.format
	}

	/// Returns the bytes held in memory.
	pub fn bytes(&self) -> usize {
		core::mem::size_of_val(self.lines.as_slice())
	}

	/// Returns the number of tiles of 32 outputs; the last may be padded.
	pub fn tiles(&self) -> usize {
		self.rows.div_ceil(TILE)
	}

	/// Returns the bytes of one tile, in the layout above; none if there is no such tile.
	pub fn tile(&self, tile: usize) -> &[u8] {
		let lines = self.layout.lines();
		let range = tile.saturating_mul(lines)..tile.saturating_add(1).saturating_mul(lines);
		memory::bytes(self.lines.get(range).unwrap_or(&[]))
	}

	/// Returns a group of a tile's columns; none if there is no such tile or group.
	pub fn tile_group(&self, tile: usize, group: usize) -> Option<TileGroup<'_>> {
		(tile < self.tiles() && group < self.layout.groups()).then(|| self.layout.group_of(self.tile(tile), group))
	}

	pub(crate) fn layout(&self) -> &Layout {
		&self.layout
	}

	/// Writes row `id` as floats: `f32(scale) · f32(v)`, one product each, for each integer weight v. Returns false if
	/// there is no such row.
	pub fn row(&self, id: usize, out: &mut [f32]) -> bool {
		if id >= self.rows || out.len() != self.layout.width {
			return false;
		}
		let (tile, lane) = (self.tile(id / TILE), id % TILE);
		for (group, out) in out.chunks_mut(self.layout.format.group()).enumerate() {
			let group = self.layout.group_of(tile, group);
			let scale = group.scale(lane);
			for (step, out) in out.chunks_exact_mut(STEP).enumerate() {
				let four = group.integers(&self.layout.format, step, lane);
				for (out, v) in out.iter_mut().zip(four) {
					*out = scale * f32::from(v);
				}
			}
		}
		true
	}
}

impl TileGroup<'_> {
	/// Returns the scale of an output.
	#[inline]
	pub(crate) fn scale(&self, lane: usize) -> f32 {
		f16::from_le_bytes([self.scales[2 * lane], self.scales[2 * lane + 1]]).to_f32()
	}

	/// Returns the steps of four columns.
	#[inline]
	pub(crate) fn steps(&self, format: &MatrixFormat) -> usize {
		self.weights.len() * 8 / format.bits() / (TILE * STEP)
	}

	/// Returns the integer weights of an output in a step of four columns.
	#[inline]
	pub(crate) fn integers(&self, format: &MatrixFormat, step: usize, lane: usize) -> [i8; STEP] {
		let nibbles = |at: usize| {
			let high = 4 * (lane / 16);
			let four = &self.weights[(step * 16 + lane % 16) * STEP..][..STEP];
			(
				[four[0], four[1], four[2], four[3]].map(|byte| byte >> high & 15),
				self.zeros.get(at).map_or(0, |byte| byte >> high & 15),
			)
		};
		match format {
			MatrixFormat::W8 { .. } => {
				let four = &self.weights[(step * TILE + lane) * STEP..][..STEP];
				[four[0], four[1], four[2], four[3]].map(|w| (w ^ 0x80) as i8)
			}
			MatrixFormat::W4 { table } => nibbles(0).0.map(|index| table[usize::from(index)]),
			MatrixFormat::W4z { .. } => {
				let (four, zero) = nibbles(lane % 16);
				four.map(|w| w as i8 - zero as i8)
			}
		}
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
		let mut packed = PackedMatrix::zeros(rows, width, MatrixFormat::W8_32).unwrap();
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
