//! The reference: one output after another, as the specification defines it.

use super::panels::{SCALE, WORDS};
#[cfg(not(feature = "std"))]
use crate::math::Float;
use crate::packed::{BLOCK, BLOCK_BYTES, STEP, TILE};
use half::f16;

/// Computes the sums of one tile for the rows of one panel.
pub(super) fn tile(weights: &[u8], words: &[i32], blocks: usize, sums: &mut [[f32; TILE]]) {
	let rows = sums.len();
	debug_assert!(weights.len() == blocks * BLOCK_BYTES && words.len() == blocks * WORDS * rows);
	sums.fill([0.0; TILE]);
	let blocks = weights.chunks_exact(BLOCK_BYTES).zip(words.chunks_exact(rows * WORDS));
	for (weights, words) in blocks {
		let scales = &weights[TILE * BLOCK..];
		for (words, sums) in words.chunks_exact(WORDS).zip(sums.iter_mut()) {
			let d = f32::from_bits(words[SCALE] as u32);
			for (lane, sum) in sums.iter_mut().enumerate() {
				let mut s = 0i32;
				for step in 0..BLOCK / STEP {
					let q = words[step].to_le_bytes();
					let w = &weights[(step * TILE + lane) * STEP..][..STEP];
					for (w, q) in w.iter().zip(q) {
						s = s.wrapping_add(i32::from((w ^ 0x80) as i8).wrapping_mul(i32::from(q as i8)));
					}
				}
				let scale = f16::from_le_bytes([scales[2 * lane], scales[2 * lane + 1]]).to_f32();
				*sum = (s as f32).mul_add(scale * d, *sum);
			}
		}
	}
}
