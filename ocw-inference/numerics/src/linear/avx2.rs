//! AVX2: bytes multiplied in pairs. The instruction takes one operand unsigned, so it gets |w|, and the activation the
//! sign of w.
//! |w| ≤ 128 and |q| ≤ 127: a pair's sum is at most 32 512, so its 16 bits never saturate.

use super::panels::{SCALE, WORDS};
use crate::packed::{BLOCK, BLOCK_BYTES, STEP, TILE};
use core::arch::x86_64::*;

/// Both halves of a tile.
macro_rules! halves {
	($rows:literal, $w:ident, $a:ident, $blocks:ident, $out:ident) => {{
		rows::<$rows, 2>($w, $a, $blocks, 0, $out);
		rows::<$rows, 2>($w, $a, $blocks, 2, $out);
	}};
}

/// Rows of a panel.
pub(super) const ROWS: usize = 4;

/// Computes the sums of one tile for the rows of one panel.
///
/// # Safety
/// The CPU has the features. `weights` holds `blocks` blocks, `words` as many for `sums.len()` rows.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn tile(weights: &[u8], words: &[i32], blocks: usize, sums: &mut [[f32; TILE]]) {
	debug_assert!(weights.len() == blocks * BLOCK_BYTES && words.len() == blocks * WORDS * sums.len());
	let (w, a, out) = (weights.as_ptr(), words.as_ptr(), sums.as_mut_ptr());
	// SAFETY: the caller's promise. One row is bound by memory, so it reads the tile once; several rows need the
	// registers, and read it as two halves of 16 outputs.
	unsafe {
		match sums.len() {
			1 => rows::<1, 4>(w, a, blocks, 0, out),
			2 => halves!(2, w, a, blocks, out),
			3 => halves!(3, w, a, blocks, out),
			4 => halves!(4, w, a, blocks, out),
			_ => unreachable!("a panel has one to four rows"),
		}
	}
}

/// The sums of V vectors of 8 outputs from vector `first` on.
// Indices are constants once the loops are unrolled; iterators are left as loops, and their sums in memory.
#[allow(clippy::needless_range_loop)]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn rows<const R: usize, const V: usize>(
	mut w: *const u8,
	mut a: *const i32,
	blocks: usize,
	first: usize,
	out: *mut [f32; TILE],
) {
	// How far ahead of a single row's reading the weights are asked for.
	const AHEAD: usize = 4 * BLOCK_BYTES;
	let flip = _mm256_set1_epi8(-128);
	let ones = _mm256_set1_epi16(1);
	let mut sums = [[_mm256_setzero_ps(); V]; R];
	for _ in 0..blocks {
		// SAFETY: inside the block that `w` and `a` point to.
		unsafe {
			let mut s = [[_mm256_setzero_si256(); V]; R];
			for step in 0..BLOCK / STEP {
				let at = w.add(step * TILE * STEP).cast::<__m256i>().add(first);
				if R == 1 {
					_mm_prefetch::<_MM_HINT_T0>(at.wrapping_byte_add(AHEAD).cast());
					_mm_prefetch::<_MM_HINT_T0>(at.wrapping_byte_add(AHEAD + 64).cast());
				}
				let mut weights = [flip; V];
				let mut sizes = [flip; V];
				for i in 0..V {
					weights[i] = _mm256_xor_si256(_mm256_load_si256(at.add(i)), flip);
					sizes[i] = _mm256_abs_epi8(weights[i]);
				}
				for r in 0..R {
					let q = _mm256_set1_epi32(*a.add(r * WORDS + step));
					for i in 0..V {
						let pairs = _mm256_maddubs_epi16(sizes[i], _mm256_sign_epi8(q, weights[i]));
						s[r][i] = _mm256_add_epi32(s[r][i], _mm256_madd_epi16(pairs, ones));
					}
				}
			}
			let scales = w.add(TILE * BLOCK).cast::<__m128i>().add(first);
			for r in 0..R {
				let d = _mm256_set1_ps(f32::from_bits(*a.add(r * WORDS + SCALE) as u32));
				for i in 0..V {
					let scale = _mm256_cvtph_ps(_mm_load_si128(scales.add(i)));
					sums[r][i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s[r][i]), _mm256_mul_ps(scale, d), sums[r][i]);
				}
			}
			w = w.add(BLOCK_BYTES);
			a = a.add(R * WORDS);
		}
	}
	for (r, sums) in sums.iter().enumerate() {
		for (i, sum) in sums.iter().enumerate() {
			// SAFETY: `out` has R rows of 32, and vectors `first`… are among their four.
			unsafe { _mm256_storeu_ps(out.add(r).cast::<f32>().add((first + i) * 8), *sum) };
		}
	}
}
