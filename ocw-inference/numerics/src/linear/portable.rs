//! The reference: one output after another, as the specification defines it.

use super::{panels::EXTRA_WORDS, tier::TileKernel};
#[cfg(not(feature = "std"))]
use crate::math::Float;
use crate::packed::{layout::Part, TILE};

/// Rows of a panel.
pub(super) const ROWS: usize = 6;

/// The kernel.
pub(super) struct Portable;

impl TileKernel for Portable {
	const UNPACKS: bool = false;

	unsafe fn add(&mut self, part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
		tile(part, words, sums);
	}
}

/// Adds some groups of a tile to the sums of one panel's rows.
fn tile(part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
	let (rows, mut rest) = (sums.len(), words);
	for group in part.groups() {
		let steps = group.steps(&part.format);
		let (words, behind) = rest.split_at(rows * (steps + EXTRA_WORDS));
		for (row, sums) in sums.iter_mut().enumerate() {
			let d = f32::from_bits(words[rows * steps + row] as u32);
			for (lane, sum) in sums.iter_mut().enumerate() {
				let mut s = 0i32;
				for step in 0..steps {
					let q = words[step * rows + row].to_le_bytes();
					for (v, q) in group.integers(&part.format, step, lane).into_iter().zip(q) {
						s = s.wrapping_add(i32::from(v).wrapping_mul(i32::from(q as i8)));
					}
				}
				*sum = (s as f32).mul_add(group.scale(lane) * d, *sum);
			}
		}
		rest = behind;
	}
}
