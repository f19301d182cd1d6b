//! AVX2: bytes multiplied in pairs. The instruction takes one operand unsigned, so it gets |w|, and the activation the sign of w.
//! |w| ≤ 128 and |q| ≤ 127: a pair's sum is at most 32 512, so its 16 bits never saturate.

use super::{
	super::packed::{BLOCK_BYTES, STEP, TILE},
	panels::WORDS,
	BLOCK,
};
use std::arch::x86_64::*;

/// Rows of a panel.
pub(super) const ROWS: usize = 4;

/// The sums of one tile for the rows of one panel.
///
/// # Safety
/// The processor has the features. `weights` holds `blocks` blocks, `words` as many for `sums.len()` rows.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn tile(weights: &[u8], words: &[i32], blocks: usize, sums: &mut [[f32; TILE]]) {
	debug_assert!(weights.len() == blocks * BLOCK_BYTES && words.len() == blocks * WORDS * sums.len());
	let (w, a, out) = (weights.as_ptr(), words.as_ptr(), sums.as_mut_ptr());
	for half in 0..2 {
		// SAFETY: the caller's promise; each half is 16 outputs of the tile.
		unsafe {
			match sums.len() {
				1 => rows::<1>(w, a, blocks, half, out),
				2 => rows::<2>(w, a, blocks, half, out),
				3 => rows::<3>(w, a, blocks, half, out),
				4 => rows::<4>(w, a, blocks, half, out),
				_ => unreachable!("a panel has one to four rows"),
			}
		}
	}
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn rows<const R: usize>(mut w: *const u8, mut a: *const i32, blocks: usize, half: usize, out: *mut [f32; TILE]) {
	let flip = _mm256_set1_epi8(-128);
	let ones = _mm256_set1_epi16(1);
	let mut sums = [[_mm256_setzero_ps(); 2]; R];
	for _ in 0..blocks {
		// SAFETY: inside the block that `w` and `a` point to.
		unsafe {
			let mut s = [[_mm256_setzero_si256(); 2]; R];
			for step in 0..BLOCK / STEP {
				let at = w.add(step * TILE * STEP + half * 64).cast::<__m256i>();
				let weights = [0, 1].map(|i| _mm256_xor_si256(_mm256_load_si256(at.add(i)), flip));
				let sizes = weights.map(|w| _mm256_abs_epi8(w));
				for (r, s) in s.iter_mut().enumerate() {
					let q = _mm256_set1_epi32(*a.add(step * R + r));
					for i in 0..2 {
						let pairs = _mm256_maddubs_epi16(sizes[i], _mm256_sign_epi8(q, weights[i]));
						s[i] = _mm256_add_epi32(s[i], _mm256_madd_epi16(pairs, ones));
					}
				}
			}
			let scales = w.add(TILE * BLOCK + half * 32).cast::<__m128i>();
			let scales = [0, 1].map(|i| _mm256_cvtph_ps(_mm_load_si128(scales.add(i))));
			for (r, (sums, s)) in sums.iter_mut().zip(&s).enumerate() {
				let d = _mm256_set1_ps(f32::from_bits(*a.add(8 * R + r) as u32));
				for i in 0..2 {
					sums[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s[i]), _mm256_mul_ps(scales[i], d), sums[i]);
				}
			}
			w = w.add(BLOCK_BYTES);
			a = a.add(R * WORDS);
		}
	}
	for (r, sums) in sums.iter().enumerate() {
		// SAFETY: `out` has R rows of 32.
		unsafe {
			let to = out.add(r).cast::<f32>().add(half * 16);
			_mm256_storeu_ps(to, sums[0]);
			_mm256_storeu_ps(to.add(8), sums[1]);
		}
	}
}
