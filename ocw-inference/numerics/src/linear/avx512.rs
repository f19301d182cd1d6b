//! AVX-512 with VNNI: one instruction multiplies and adds four bytes for each of 16 outputs.

use super::panels::{SCALE, START, WORDS};
use crate::packed::{BLOCK, BLOCK_BYTES, STEP, TILE};
use core::arch::x86_64::*;

/// Rows of a panel: 2 × 6 integer and 2 × 6 float sums, two vectors of weights and one of activations fit 32 registers.
pub(super) const ROWS: usize = 6;

/// Computes the sums of one tile for the rows of one panel.
///
/// # Safety
/// The CPU has the features. `weights` holds `blocks` blocks, `words` as many for `sums.len()` rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn tile(weights: &[u8], words: &[i32], blocks: usize, sums: &mut [[f32; TILE]]) {
	debug_assert!(weights.len() == blocks * BLOCK_BYTES && words.len() == blocks * WORDS * sums.len());
	let (w, a, out) = (weights.as_ptr(), words.as_ptr(), sums.as_mut_ptr());
	// SAFETY: the caller's promise.
	unsafe {
		match sums.len() {
			1 => rows::<1>(w, a, blocks, out),
			2 => rows::<2>(w, a, blocks, out),
			3 => rows::<3>(w, a, blocks, out),
			4 => rows::<4>(w, a, blocks, out),
			5 => rows::<5>(w, a, blocks, out),
			6 => rows::<6>(w, a, blocks, out),
			_ => unreachable!("a panel has one to six rows"),
		}
	}
}

// Indices are constants once the loops are unrolled; iterators are left as loops, and their sums in memory.
#[allow(clippy::needless_range_loop)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
unsafe fn rows<const R: usize>(mut w: *const u8, mut a: *const i32, blocks: usize, out: *mut [f32; TILE]) {
	let mut sums = [[_mm512_setzero_ps(); 2]; R];
	for _ in 0..blocks {
		// SAFETY: inside the block that `w` and `a` point to.
		unsafe {
			let mut s = [[_mm512_setzero_si512(); 2]; R];
			for r in 0..R {
				s[r] = [_mm512_set1_epi32(*a.add(r * WORDS + START)); 2];
			}
			for step in 0..BLOCK / STEP {
				let at = w.add(step * TILE * STEP);
				let w0 = _mm512_load_si512(at.cast());
				let w1 = _mm512_load_si512(at.add(64).cast());
				for r in 0..R {
					let q = _mm512_set1_epi32(*a.add(r * WORDS + step));
					s[r][0] = _mm512_dpbusd_epi32(s[r][0], w0, q);
					s[r][1] = _mm512_dpbusd_epi32(s[r][1], w1, q);
				}
			}
			let scales = w.add(TILE * BLOCK).cast::<__m256i>();
			let scale0 = _mm512_cvtph_ps(_mm256_load_si256(scales));
			let scale1 = _mm512_cvtph_ps(_mm256_load_si256(scales.add(1)));
			for r in 0..R {
				let d = _mm512_set1_ps(f32::from_bits(*a.add(r * WORDS + SCALE) as u32));
				sums[r][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s[r][0]), _mm512_mul_ps(scale0, d), sums[r][0]);
				sums[r][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s[r][1]), _mm512_mul_ps(scale1, d), sums[r][1]);
			}
			w = w.add(BLOCK_BYTES);
			a = a.add(R * WORDS);
		}
	}
	for (r, sums) in sums.iter().enumerate() {
		// SAFETY: `out` has R rows of 32.
		unsafe {
			let to = out.add(r).cast::<f32>();
			_mm512_storeu_ps(to, sums[0]);
			_mm512_storeu_ps(to.add(16), sums[1]);
		}
	}
}
