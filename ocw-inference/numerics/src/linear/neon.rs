//! NEON with `sdot`: one instruction multiplies and adds four signed bytes for each of 4 outputs.

use super::panels::{SCALE, WORDS};
use crate::packed::{BLOCK, BLOCK_BYTES, STEP, TILE};
use core::arch::{aarch64::*, asm};

/// Rows of a panel.
pub(super) const ROWS: usize = 4;
/// Vectors of 4 outputs that go together.
const VECTORS: usize = 4;

/// Computes the sums of one tile for the rows of one panel.
///
/// # Safety
/// The CPU has the features. `weights` holds `blocks` blocks, `words` as many for `sums.len()` rows.
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn tile(weights: &[u8], words: &[i32], blocks: usize, sums: &mut [[f32; TILE]]) {
	debug_assert!(weights.len() == blocks * BLOCK_BYTES && words.len() == blocks * WORDS * sums.len());
	let (w, a, out) = (weights.as_ptr(), words.as_ptr(), sums.as_mut_ptr());
	for first in (0..TILE / 4).step_by(VECTORS) {
		// SAFETY: the caller's promise.
		unsafe {
			match sums.len() {
				1 => rows::<1>(w, a, blocks, first, out),
				2 => rows::<2>(w, a, blocks, first, out),
				3 => rows::<3>(w, a, blocks, first, out),
				4 => rows::<4>(w, a, blocks, first, out),
				_ => unreachable!("a panel has one to four rows"),
			}
		}
	}
}

/// The sums of four vectors from vector `first` on.
// Indices are constants once the loops are unrolled; iterators are left as loops, and their sums in memory.
#[allow(clippy::needless_range_loop)]
#[target_feature(enable = "neon,dotprod")]
unsafe fn rows<const R: usize>(
	mut w: *const u8,
	mut a: *const i32,
	blocks: usize,
	first: usize,
	out: *mut [f32; TILE],
) {
	let flip = vdupq_n_u8(0x80);
	let mut sums = [[vdupq_n_f32(0.0); VECTORS]; R];
	for _ in 0..blocks {
		// SAFETY: inside the block that `w` and `a` point to.
		unsafe {
			let mut s = [[vdupq_n_s32(0); VECTORS]; R];
			for step in 0..BLOCK / STEP {
				let at = w.add(step * TILE * STEP + first * 16);
				let mut weights = [vdupq_n_s8(0); VECTORS];
				for i in 0..VECTORS {
					weights[i] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(at.add(i * 16)), flip));
				}
				for r in 0..R {
					let q = vreinterpretq_s8_s32(vdupq_n_s32(*a.add(r * WORDS + step)));
					for i in 0..VECTORS {
						s[r][i] = dot(s[r][i], weights[i], q);
					}
				}
			}
			let scales = w.add(TILE * BLOCK).cast::<u16>().add(first * 4);
			for r in 0..R {
				let d = vdupq_n_f32(f32::from_bits(*a.add(r * WORDS + SCALE) as u32));
				for i in 0..VECTORS {
					let scale = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(scales.add(i * 4))));
					sums[r][i] = vfmaq_f32(sums[r][i], vcvtq_f32_s32(s[r][i]), vmulq_f32(scale, d));
				}
			}
			w = w.add(BLOCK_BYTES);
			a = a.add(R * WORDS);
		}
	}
	for (r, sums) in sums.iter().enumerate() {
		for (i, sum) in sums.iter().enumerate() {
			// SAFETY: `out` has R rows of 32.
			unsafe { vst1q_f32(out.add(r).cast::<f32>().add((first + i) * 4), *sum) };
		}
	}
}

/// `sdot`, whose intrinsic is not stable.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot(sum: int32x4_t, w: int8x16_t, q: int8x16_t) -> int32x4_t {
	let mut sum = sum;
	// SAFETY: registers only.
	unsafe {
		asm!("sdot {sum:v}.4s, {w:v}.16b, {q:v}.16b", sum = inout(vreg) sum, w = in(vreg) w, q = in(vreg) q,
			options(pure, nomem, nostack, preserves_flags));
	}
	sum
}
