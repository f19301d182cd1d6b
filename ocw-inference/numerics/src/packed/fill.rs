//! Rows in a file's form, put where the kernels read them: tile by tile, so that a line stays in the cache until it is
//! full.

use super::{
	layout::{BLOCK_STEPS, SCALE_BYTES, ZERO_BYTES},
	memory::bytes_mut,
	PackedMatrix, BLOCK, STEP, TILE,
};
use crate::{error::bail_shape, format::MatrixFormat, Error, Result};
use core::ops::Range;

impl PackedMatrix {
	/// Puts rows of weights at row `first` and below: int8 in two's complement, or two 4-bit numbers a byte, the even
	/// column in the low nibble.
	pub fn put_weights(&mut self, first: usize, rows: &[u8]) -> Result<()> {
		let layout = self.layout;
		let (width, bits) = (layout.width, layout.format.bits());
		self.put(first, rows, width * bits / 8, |tile, lanes, rows| {
			for block in 0..width / BLOCK {
				let steps = &mut tile[layout.block_at(block)..][..BLOCK_STEPS * layout.step_bytes];
				for (lane, row) in lanes.clone().zip(rows.chunks_exact(width * bits / 8)) {
					let row = &row[block * BLOCK * bits / 8..][..BLOCK * bits / 8];
					if bits == 8 {
						put_bytes(steps, lane, row);
					} else {
						put_nibbles(steps, lane, row);
					}
				}
			}
		})
	}

	/// Puts rows of scales, f16 little-endian, at row `first` and below.
	pub fn put_scales(&mut self, first: usize, rows: &[u8]) -> Result<()> {
		let layout = self.layout;
		let row_bytes = layout.format.scale_bytes(layout.width);
		self.put(first, rows, row_bytes, |tile, lanes, rows| {
			for group in 0..layout.groups() {
				let scales = &mut tile[layout.scales_at(group)..][..SCALE_BYTES];
				for (lane, row) in lanes.clone().zip(rows.chunks_exact(row_bytes)) {
					scales[2 * lane..][..2].copy_from_slice(&row[2 * group..][..2]);
				}
			}
		})
	}

	/// Puts rows of zero points, two a byte, the even group in the low nibble, at row `first` and below. Only `w4z` has
	/// them; behind an odd number of groups the last high nibble is 0.
	pub fn put_zeros(&mut self, first: usize, rows: &[u8]) -> Result<()> {
		let layout = self.layout;
		let MatrixFormat::W4z { .. } = layout.format else {
			bail_shape!("a matrix in {} has no zero points", layout.format);
		};
		let (groups, row_bytes) = (layout.groups(), layout.format.zero_bytes(layout.width));
		let odd = groups % 2 == 1;
		if odd
			&& rows
				.chunks(row_bytes)
				.any(|row| row.last().is_some_and(|last| last >> 4 != 0))
		{
			return Err(Error::Parameter(alloc::format!(
				"zero points of {groups} groups end with a nibble that belongs to no group and must be 0"
			)));
		}
		self.put(first, rows, row_bytes, |tile, lanes, rows| {
			for group in 0..groups {
				let zeros = &mut tile[group * ZERO_BYTES..][..ZERO_BYTES];
				for (lane, row) in lanes.clone().zip(rows.chunks_exact(row_bytes)) {
					let zero = row[group / 2] >> (4 * (group % 2)) & 15;
					let (byte, high) = (&mut zeros[lane % 16], 4 * (lane / 16));
					*byte = *byte & !(15 << high) | zero << high;
				}
			}
		})
	}

	/// Hands the rows of each tile to `put`: the tile's bytes, the lanes that come, and their rows.
	#[inline(always)]
	fn put(
		&mut self,
		first: usize,
		rows: &[u8],
		row_bytes: usize,
		put: impl Fn(&mut [u8], Range<usize>, &[u8]),
	) -> Result<()> {
		let count = rows.len() / row_bytes;
		if count * row_bytes != rows.len() || first > self.rows || count > self.rows - first {
			bail_shape!(
				"{} bytes from row {first} on do not fit a matrix [{}, {}] in {}",
				rows.len(),
				self.rows,
				self.layout.width,
				self.layout.format
			);
		}
		let lines = self.layout.lines();
		let (mut row, mut rest) = (first, rows);
		while !rest.is_empty() {
			let lanes = row % TILE..TILE.min(row % TILE + rest.len() / row_bytes);
			let (now, behind) = rest.split_at(lanes.len() * row_bytes);
			let tile = &mut self.lines[row / TILE * lines..][..lines];
			(row, rest) = (row + lanes.len(), behind);
			put(bytes_mut(tile), lanes, now);
		}
		Ok(())
	}
}

/// Puts a row's block of int8 into the steps of a tile.
#[inline(always)]
fn put_bytes(steps: &mut [u8], lane: usize, row: &[u8]) {
	let steps = steps.as_chunks_mut::<{ TILE * STEP }>().0;
	for (step, four) in steps.iter_mut().zip(row.as_chunks::<STEP>().0) {
		step.as_chunks_mut::<STEP>().0[lane] = four.map(|w| w ^ 0x80);
	}
}

/// Puts a row's block of 4-bit numbers into the steps of a tile.
#[inline(always)]
fn put_nibbles(steps: &mut [u8], lane: usize, row: &[u8]) {
	let high = 4 * (lane / 16) as u32;
	let steps = steps.as_chunks_mut::<{ TILE * STEP / 2 }>().0;
	for (step, [even, odd]) in steps.iter_mut().zip(row.as_chunks::<2>().0) {
		let four = u32::from_le_bytes([even & 15, even >> 4, odd & 15, odd >> 4]);
		let there = &mut step.as_chunks_mut::<STEP>().0[lane % 16];
		let kept = u32::from_le_bytes(*there) & !(0x0F0F_0F0F << high);
		*there = (kept | four << high).to_le_bytes();
	}
}
