//! AVX2: bytes multiplied in pairs, whose sums have 16 bits. The instruction takes one operand unsigned, and neither it nor
//! the additions behind it may reach the end of 16 bits.
//!
//! Of signed weights it gets |w|, and the activation the sign of w: |w| ≤ 128 and |q| ≤ 127, so a pair's sum is at most
//! 32 512, and each goes to 32 bits by itself. Weights with zero points are unsigned as they are, and the weights of a table
//! become so where its least number is taken off. Where none is above 16, or 32, the pairs of 8 steps, or of 4, are summed in
//! 16 bits first: 16 · 127 · 2 · 8 = 32 512.

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
use core::arch::x86_64::*;

/// Rows of a panel.
pub(super) const ROWS: usize = 4;
/// Bytes from what is read to what is prefetched, into the second cache: with prefetches into the first one, a Zen 3 or 4
/// reads a quarter less a second, and with a quarter of the distance an Intel server a third.
const PREFETCH_DISTANCE: usize = 8192;

/// The kernel.
pub(super) struct Avx2;

impl TileKernel for Avx2 {
	const UNPACKS: bool = false;

	unsafe fn add(&mut self, part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
		// SAFETY: the caller's promise.
		unsafe {
			if part.cached {
				tile::<false>(part, words, sums)
			} else {
				tile::<true>(part, words, sums)
			}
		}
	}
}

/// Adds some groups of a tile to the sums of one panel's rows; whether they come from MEMORY decides if they are
/// prefetched.
///
/// # Safety
/// The CPU has the features. `words` holds the groups of the part for `sums.len()` rows, in units of 32 columns.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile<const MEMORY: bool>(part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
	// SAFETY: the caller's promise.
	unsafe {
		match part.format {
			MatrixFormat::W8 { .. } => panel::<_, MEMORY>(Bytes, part, words, sums),
			MatrixFormat::W4 { table } => match span(&table) {
				0..=16 => panel::<_, MEMORY>(Offsets::<8>::new(&table), part, words, sums),
				17..=32 => panel::<_, MEMORY>(Offsets::<4>::new(&table), part, words, sums),
				_ => panel::<_, MEMORY>(Indices::new(&table), part, words, sums),
			},
			MatrixFormat::W4z { .. } => panel::<_, MEMORY>(Nibbles, part, words, sums),
		}
	}
}

/// One row is bound by memory, so it reads the tile once; several rows need the registers, and read it as two halves of
/// 16 outputs.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn panel<W: Weights, const MEMORY: bool>(weights: W, part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
	let (a, out) = (words.as_ptr(), sums.as_mut_ptr());
	// SAFETY: the caller's promise.
	unsafe {
		if sums.len() == 1 {
			return rows::<1, 4, W, MEMORY>(weights, part, 0, a, out);
		}
		for half in [0, 1] {
			match sums.len() {
				2 => rows::<2, 2, W, MEMORY>(weights, part, half, a, out),
				3 => rows::<3, 2, W, MEMORY>(weights, part, half, a, out),
				4 => rows::<4, 2, W, MEMORY>(weights, part, half, a, out),
				_ => unreachable!("a panel has one to four rows"),
			}
		}
	}
}

/// How weights are read and multiplied. Functions are `#[inline(always)]`: they must end up in a function compiled for
/// AVX2.
///
/// # Safety
/// All functions want the instructions, and as many bytes behind their pointers as they read.
trait Weights: Copy {
	/// Bytes of a step of four columns.
	const STEP_BYTES: usize;
	/// Steps whose pairs are summed in 16 bits: a divisor of a block's.
	const SUMMED: usize;
	/// A vector of weights of 8 outputs, ready to be multiplied.
	type Vector: Copy;
	/// Returns which of a tile's four vectors of outputs is the i-th of the `of` ones of a half: a line of 4-bit numbers has
	/// both halves in its nibbles.
	#[inline(always)]
	fn vector(half: usize, i: usize, of: usize) -> usize {
		if of == 4 {
			i
		} else {
			half + 2 * i
		}
	}
	/// Reads a vector of a step.
	unsafe fn read(self, step: *const u8, vector: usize) -> Self::Vector;
	/// Returns its products with four activations, as sums of pairs.
	unsafe fn pairs(weights: Self::Vector, q: __m256i) -> __m256i;
	/// Returns the integers that a row's sums of a vector start with.
	unsafe fn start(self, zeros: *const u8, vector: usize, word: i32) -> __m256i;
}

/// Signed weights, and their magnitudes.
#[derive(Clone, Copy)]
struct Signed {
	weights: __m256i,
	sizes: __m256i,
}

impl Signed {
	#[inline(always)]
	unsafe fn pairs(self, q: __m256i) -> __m256i {
		// SAFETY: the caller's promise.
		unsafe { _mm256_maddubs_epi16(self.sizes, _mm256_sign_epi8(q, self.weights)) }
	}
}

#[inline(always)]
unsafe fn add_pairs(sum: __m256i, pairs: __m256i) -> __m256i {
	// SAFETY: the caller's promise.
	unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))) }
}

/// Reads a vector of 4-bit numbers as bytes: the low nibbles of half a line are outputs 0–15, the high ones 16–31.
#[inline(always)]
unsafe fn nibbles(step: *const u8, vector: usize) -> __m256i {
	// SAFETY: the caller's promise.
	unsafe {
		let both = _mm256_load_si256(step.cast::<__m256i>().add(vector % 2));
		let wanted = if vector < 2 { both } else { _mm256_srli_epi16::<4>(both) };
		_mm256_and_si256(wanted, _mm256_set1_epi8(15))
	}
}

/// `w8`.
#[derive(Clone, Copy)]
struct Bytes;

impl Weights for Bytes {
	const STEP_BYTES: usize = TILE * STEP;
	const SUMMED: usize = 1;
	type Vector = Signed;

	#[inline(always)]
	fn vector(half: usize, i: usize, _: usize) -> usize {
		2 * half + i
	}

	#[inline(always)]
	unsafe fn read(self, step: *const u8, vector: usize) -> Signed {
		// SAFETY: the caller's promise.
		unsafe {
			let bytes = _mm256_load_si256(step.cast::<__m256i>().add(vector));
			let weights = _mm256_xor_si256(bytes, _mm256_set1_epi8(-128));
			Signed {
				weights,
				sizes: _mm256_abs_epi8(weights),
			}
		}
	}

	#[inline(always)]
	unsafe fn pairs(weights: Signed, q: __m256i) -> __m256i {
		// SAFETY: the caller's promise.
		unsafe { weights.pairs(q) }
	}

	#[inline(always)]
	unsafe fn start(self, _: *const u8, _: usize, _: i32) -> __m256i {
		// SAFETY: the caller's promise.
		unsafe { _mm256_setzero_si256() }
	}
}

/// `w4`: the table's integers and their magnitudes, in each half of the vectors.
#[derive(Clone, Copy)]
struct Indices {
	table: __m256i,
	sizes: __m256i,
}

impl Indices {
	#[inline(always)]
	unsafe fn new(table: &[i8; 16]) -> Self {
		// SAFETY: the caller's promise; a table has 16 bytes.
		unsafe {
			let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
			Self {
				table,
				sizes: _mm256_abs_epi8(table),
			}
		}
	}
}

impl Weights for Indices {
	const STEP_BYTES: usize = TILE * STEP / 2;
	const SUMMED: usize = 1;
	type Vector = Signed;

	#[inline(always)]
	unsafe fn read(self, step: *const u8, vector: usize) -> Signed {
		// SAFETY: the caller's promise.
		unsafe {
			let index = nibbles(step, vector);
			Signed {
				weights: _mm256_shuffle_epi8(self.table, index),
				sizes: _mm256_shuffle_epi8(self.sizes, index),
			}
		}
	}

	#[inline(always)]
	unsafe fn pairs(weights: Signed, q: __m256i) -> __m256i {
		// SAFETY: the caller's promise.
		unsafe { weights.pairs(q) }
	}

	#[inline(always)]
	unsafe fn start(self, _: *const u8, _: usize, _: i32) -> __m256i {
		// SAFETY: the caller's promise.
		unsafe { _mm256_setzero_si256() }
	}
}

/// Returns how far a table's least and greatest number are apart.
fn span(table: &[i8; 16]) -> i32 {
	let (least, most) = table
		.iter()
		.fold((i8::MAX, i8::MIN), |(least, most), v| (least.min(*v), most.max(*v)));
	i32::from(most) - i32::from(least)
}

/// `w4` with a table of numbers close together: each less the least one, which the start value adds again.
#[derive(Clone, Copy)]
struct Offsets<const SUMMED: usize> {
	table: __m256i,
	least: i32,
}

impl<const SUMMED: usize> Offsets<SUMMED> {
	#[inline(always)]
	unsafe fn new(table: &[i8; 16]) -> Self {
		let least = table.iter().fold(i8::MAX, |least, v| least.min(*v));
		let offsets = table.map(|v| v.wrapping_sub(least));
		// SAFETY: the caller's promise; a table has 16 bytes.
		unsafe {
			Self {
				table: _mm256_broadcastsi128_si256(_mm_loadu_si128(offsets.as_ptr().cast())),
				least: least.into(),
			}
		}
	}
}

impl<const SUMMED: usize> Weights for Offsets<SUMMED> {
	const STEP_BYTES: usize = TILE * STEP / 2;
	const SUMMED: usize = SUMMED;
	type Vector = __m256i;

	#[inline(always)]
	unsafe fn read(self, step: *const u8, vector: usize) -> __m256i {
		// SAFETY: the caller's promise.
		unsafe { _mm256_shuffle_epi8(self.table, nibbles(step, vector)) }
	}

	#[inline(always)]
	unsafe fn pairs(weights: __m256i, q: __m256i) -> __m256i {
		// SAFETY: the caller's promise.
		unsafe { _mm256_maddubs_epi16(weights, q) }
	}

	#[inline(always)]
	unsafe fn start(self, _: *const u8, _: usize, word: i32) -> __m256i {
		// The word is −128 · Σq.
		// SAFETY: the caller's promise.
		unsafe { _mm256_set1_epi32((word >> 7).wrapping_mul(-self.least)) }
	}
}

/// `w4z`: the zero point is taken off in the start value.
#[derive(Clone, Copy)]
struct Nibbles;

impl Weights for Nibbles {
	const STEP_BYTES: usize = TILE * STEP / 2;
	const SUMMED: usize = 8;
	type Vector = __m256i;

	#[inline(always)]
	unsafe fn read(self, step: *const u8, vector: usize) -> __m256i {
		// SAFETY: the caller's promise.
		unsafe { nibbles(step, vector) }
	}

	#[inline(always)]
	unsafe fn pairs(weights: __m256i, q: __m256i) -> __m256i {
		// SAFETY: the caller's promise.
		unsafe { _mm256_maddubs_epi16(weights, q) }
	}

	#[inline(always)]
	unsafe fn start(self, zeros: *const u8, vector: usize, word: i32) -> __m256i {
		// A product of 16-bit numbers: |word| ≤ 128 · 127, and the upper half of a zero point is 0.
		// SAFETY: the caller's promise.
		unsafe {
			let both = _mm256_cvtepu8_epi32(_mm_loadl_epi64(zeros.add(vector % 2 * 8).cast()));
			let zeros = if vector < 2 {
				_mm256_and_si256(both, _mm256_set1_epi32(15))
			} else {
				_mm256_srli_epi32::<4>(both)
			};
			_mm256_madd_epi16(zeros, _mm256_set1_epi32(word))
		}
	}
}

/// The sums of V vectors of 8 outputs: all four, or two of a half.
// Indices are constants once the loops are unrolled; iterators are left as loops, and their sums in memory.
#[allow(clippy::needless_range_loop)]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn rows<const R: usize, const V: usize, W: Weights, const MEMORY: bool>(
	weights: W,
	part: &Part<'_>,
	half: usize,
	mut a: *const i32,
	out: *mut [f32; TILE],
) {
	let (mut w, mut zeros, mut left) = (part.bytes.as_ptr(), part.zeros.as_ptr(), part.columns);
	let mut sums = [[_mm256_setzero_ps(); V]; R];
	for r in 0..R {
		for i in 0..V {
			// SAFETY: `out` has R rows of 32.
			sums[r][i] = unsafe { _mm256_loadu_ps(out.add(r).cast::<f32>().add(W::vector(half, i, V) * 8)) };
		}
	}
	while left > 0 {
		let blocks = left.min(part.format.group()) / BLOCK;
		// SAFETY: inside the group that `w`, `zeros` and `a` point to.
		unsafe {
			let extra = a.add(blocks * R * BLOCK_WORDS);
			let mut s = [[_mm256_setzero_si256(); V]; R];
			for r in 0..R {
				for i in 0..V {
					s[r][i] = weights.start(zeros, W::vector(half, i, V), *extra.add(R + r));
				}
			}
			for _ in 0..blocks {
				let mut pairs = [[_mm256_setzero_si256(); V]; R];
				for step in 0..BLOCK / STEP {
					let at = w.add(step * W::STEP_BYTES);
					if MEMORY && half == 0 {
						for line in 0..W::STEP_BYTES / 64 {
							_mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(PREFETCH_DISTANCE + line * 64).cast());
						}
					}
					let mut four = [weights.read(at, W::vector(half, 0, V)); V];
					for i in 1..V {
						four[i] = weights.read(at, W::vector(half, i, V));
					}
					for r in 0..R {
						let q = _mm256_set1_epi32(*a.add(r * BLOCK_WORDS + step));
						for i in 0..V {
							let sum = _mm256_add_epi16(pairs[r][i], W::pairs(four[i], q));
							if (step + 1) % W::SUMMED == 0 {
								s[r][i] = add_pairs(s[r][i], sum);
								pairs[r][i] = _mm256_setzero_si256();
							} else {
								pairs[r][i] = sum;
							}
						}
					}
				}
				w = w.add(BLOCK / STEP * W::STEP_BYTES);
				a = a.add(R * BLOCK_WORDS);
			}
			if MEMORY && half == 0 {
				_mm_prefetch::<_MM_HINT_T1>(w.wrapping_add(PREFETCH_DISTANCE).cast());
			}
			for r in 0..R {
				let d = _mm256_set1_ps(f32::from_bits(*extra.add(r) as u32));
				for i in 0..V {
					let scales = w.cast::<__m128i>().add(W::vector(half, i, V));
					let scale = _mm256_cvtph_ps(_mm_load_si128(scales));
					sums[r][i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s[r][i]), _mm256_mul_ps(scale, d), sums[r][i]);
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
		for i in 0..V {
			// SAFETY: as above.
			unsafe { _mm256_storeu_ps(out.add(r).cast::<f32>().add(W::vector(half, i, V) * 8), sums[r][i]) };
		}
	}
}
