//! NEON with `sdot`: one instruction multiplies and adds four signed bytes for each of 4 outputs.

use super::{
	panels::{BLOCK_WORDS, EXTRA_WORDS},
	tier::TileKernel,
};
use crate::{
	format::MatrixFormat,
	packed::{
		layout::{Part, SCALE_BYTES, ZERO_BYTES},
		BLOCK, STEP, TILE,
	},
};
use core::arch::{aarch64::*, asm};

/// Rows of a panel.
pub(super) const ROWS: usize = 4;
/// Vectors of 4 outputs that go together: half a tile.
const VECTORS: usize = 4;

/// The kernel.
pub(super) struct Neon;

impl TileKernel for Neon {
	const UNPACKS: bool = false;

	unsafe fn add(&mut self, part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
		// SAFETY: the caller's promise.
		unsafe { tile(part, words, sums) }
	}
}

/// Adds some groups of a tile to the sums of one panel's rows.
///
/// # Safety
/// The CPU has the features. `words` holds the groups of the part for `sums.len()` rows, in units of 4 columns.
#[target_feature(enable = "neon,dotprod")]
unsafe fn tile(part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
	// SAFETY: the caller's promise; a table has 16 bytes.
	unsafe {
		match part.format {
			MatrixFormat::W8 { .. } => panel(Bytes, part, words, sums),
			MatrixFormat::W4 { table } => panel(Indices(vld1q_s8(table.as_ptr())), part, words, sums),
			MatrixFormat::W4z { .. } => panel(Nibbles, part, words, sums),
		}
	}
}

#[target_feature(enable = "neon,dotprod")]
unsafe fn panel<W: Weights>(weights: W, part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
	let (a, out) = (words.as_ptr(), sums.as_mut_ptr());
	for half in [0, 1] {
		// SAFETY: the caller's promise.
		unsafe {
			match sums.len() {
				1 => rows::<1, W>(weights, part, half, a, out),
				2 => rows::<2, W>(weights, part, half, a, out),
				3 => rows::<3, W>(weights, part, half, a, out),
				4 => rows::<4, W>(weights, part, half, a, out),
				_ => unreachable!("a panel has one to four rows"),
			}
		}
	}
}

/// How weights become the signed bytes that are multiplied. Functions are `#[inline(always)]`: they must end up in a
/// function compiled for the instructions.
///
/// # Safety
/// All functions want the instructions, and as many bytes behind their pointers as they read.
trait Weights: Copy {
	/// Bytes of a step of four columns.
	const STEP_BYTES: usize;
	/// Returns which of a tile's eight vectors of outputs is the i-th of a half.
	fn vector(half: usize, i: usize) -> usize;
	/// Reads a vector of a step.
	unsafe fn read(self, step: *const u8, vector: usize) -> int8x16_t;
	/// Returns the integers that a row's sums of a vector start with.
	unsafe fn start(self, zeros: *const u8, vector: usize, word: i32) -> int32x4_t;
}

/// Reads a vector of 4-bit numbers as bytes: the low nibbles of a line are outputs 0–15, the high ones 16–31.
#[inline(always)]
unsafe fn nibbles(step: *const u8, vector: usize) -> uint8x16_t {
	// SAFETY: the caller's promise.
	unsafe {
		let both = vld1q_u8(step.add(vector % 4 * 16));
		if vector < 4 {
			vandq_u8(both, vdupq_n_u8(15))
		} else {
			vshrq_n_u8::<4>(both)
		}
	}
}

/// Returns which vector of outputs is the i-th of a half where a line holds both halves in its nibbles.
#[inline(always)]
fn vector_of_nibbles(half: usize, i: usize) -> usize {
	2 * half + i % 2 + 4 * (i / 2)
}

/// `w8`.
#[derive(Clone, Copy)]
struct Bytes;

impl Weights for Bytes {
	const STEP_BYTES: usize = TILE * STEP;

	#[inline(always)]
	fn vector(half: usize, i: usize) -> usize {
		4 * half + i
	}

	#[inline(always)]
	unsafe fn read(self, step: *const u8, vector: usize) -> int8x16_t {
		// SAFETY: the caller's promise.
		unsafe { vreinterpretq_s8_u8(veorq_u8(vld1q_u8(step.add(vector * 16)), vdupq_n_u8(0x80))) }
	}

	#[inline(always)]
	unsafe fn start(self, _: *const u8, _: usize, _: i32) -> int32x4_t {
		// SAFETY: the caller's promise.
		unsafe { vdupq_n_s32(0) }
	}
}

/// `w4`: the table's integers.
#[derive(Clone, Copy)]
struct Indices(int8x16_t);

impl Weights for Indices {
	const STEP_BYTES: usize = TILE * STEP / 2;

	#[inline(always)]
	fn vector(half: usize, i: usize) -> usize {
		vector_of_nibbles(half, i)
	}

	#[inline(always)]
	unsafe fn read(self, step: *const u8, vector: usize) -> int8x16_t {
		// SAFETY: the caller's promise.
		unsafe { vqtbl1q_s8(self.0, nibbles(step, vector)) }
	}

	#[inline(always)]
	unsafe fn start(self, _: *const u8, _: usize, _: i32) -> int32x4_t {
		// SAFETY: the caller's promise.
		unsafe { vdupq_n_s32(0) }
	}
}

/// `w4z`: the zero point is taken off in the start value.
#[derive(Clone, Copy)]
struct Nibbles;

impl Weights for Nibbles {
	const STEP_BYTES: usize = TILE * STEP / 2;

	#[inline(always)]
	fn vector(half: usize, i: usize) -> usize {
		vector_of_nibbles(half, i)
	}

	#[inline(always)]
	unsafe fn read(self, step: *const u8, vector: usize) -> int8x16_t {
		// SAFETY: the caller's promise.
		unsafe { vreinterpretq_s8_u8(nibbles(step, vector)) }
	}

	#[inline(always)]
	unsafe fn start(self, zeros: *const u8, vector: usize, word: i32) -> int32x4_t {
		// SAFETY: the caller's promise; four bytes of a group's 16.
		unsafe {
			let four = zeros.add(vector % 4 * 4).cast::<[u8; 4]>().read();
			let zeros = four.map(|byte| i32::from(byte >> (vector / 4 * 4) & 15));
			vmulq_n_s32(vld1q_s32(zeros.as_ptr()), word)
		}
	}
}

/// The sums of half a tile.
// Indices are constants once the loops are unrolled; iterators are left as loops, and their sums in memory.
#[allow(clippy::needless_range_loop)]
#[target_feature(enable = "neon,dotprod")]
unsafe fn rows<const R: usize, W: Weights>(
	weights: W,
	part: &Part<'_>,
	half: usize,
	mut a: *const i32,
	out: *mut [f32; TILE],
) {
	let (mut w, mut zeros, mut left) = (part.bytes.as_ptr(), part.zeros.as_ptr(), part.columns);
	let mut sums = [[vdupq_n_f32(0.0); VECTORS]; R];
	for r in 0..R {
		for i in 0..VECTORS {
			// SAFETY: `out` has R rows of 32.
			sums[r][i] = unsafe { vld1q_f32(out.add(r).cast::<f32>().add(W::vector(half, i) * 4)) };
		}
	}
	while left > 0 {
		let blocks = left.min(part.format.group()) / BLOCK;
		// SAFETY: inside the group that `w`, `zeros` and `a` point to.
		unsafe {
			let extra = a.add(blocks * R * BLOCK_WORDS);
			let mut s = [[vdupq_n_s32(0); VECTORS]; R];
			for r in 0..R {
				for i in 0..VECTORS {
					s[r][i] = weights.start(zeros, W::vector(half, i), *extra.add(R + r));
				}
			}
			for _ in 0..blocks {
				for step in 0..BLOCK / STEP {
					let at = w.add(step * W::STEP_BYTES);
					let mut four = [vdupq_n_s8(0); VECTORS];
					for i in 0..VECTORS {
						four[i] = weights.read(at, W::vector(half, i));
					}
					for r in 0..R {
						let q = vreinterpretq_s8_s32(vdupq_n_s32(*a.add(step * R + r)));
						for i in 0..VECTORS {
							s[r][i] = dot(s[r][i], four[i], q);
						}
					}
				}
				w = w.add(BLOCK / STEP * W::STEP_BYTES);
				a = a.add(R * BLOCK_WORDS);
			}
			for r in 0..R {
				let d = vdupq_n_f32(f32::from_bits(*extra.add(r) as u32));
				for i in 0..VECTORS {
					let scales = w.cast::<u16>().add(W::vector(half, i) * 4);
					let scale = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(scales)));
					sums[r][i] = vfmaq_f32(sums[r][i], vcvtq_f32_s32(s[r][i]), vmulq_f32(scale, d));
				}
			}
			w = w.add(SCALE_BYTES);
			// Formats without zero points do not read there.
			zeros = zeros.wrapping_add(ZERO_BYTES);
			a = extra.add(R * EXTRA_WORDS);
		}
		left -= blocks * BLOCK;
	}
	for r in 0..R {
		for i in 0..VECTORS {
			// SAFETY: as above.
			unsafe { vst1q_f32(out.add(r).cast::<f32>().add(W::vector(half, i) * 4), sums[r][i]) };
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
