//! AVX-512 with VNNI: one instruction multiplies and adds four bytes for each of 16 outputs.

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

/// Rows of a panel: 2 × 6 integer and 2 × 6 float sums, two vectors of weights and what unpacks them fit 32 registers.
pub(super) const ROWS: usize = 6;

/// Rows from which on unpacking pays.
pub(super) const WORTH_UNPACKING: usize = 2 * ROWS + 1;

/// Bytes from what is read to what is prefetched, into the second cache. A server's memory, whose latency is high, is read
/// a third faster than with a quarter of it.
const PREFETCH_DISTANCE: usize = 8192;

/// The kernel on weights as they are packed.
pub(super) struct Packed;

impl TileKernel for Packed {
	const UNPACKS: bool = false;

	unsafe fn add(&mut self, part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
		// SAFETY: the caller's promise.
		unsafe {
			if part.cached {
				packed::<false>(part, words, sums)
			} else {
				packed::<true>(part, words, sums)
			}
		}
	}
}

/// The kernel on weights that are unpacked once for several panels.
pub(super) struct Unpacked;

impl TileKernel for Unpacked {
	const UNPACKS: bool = true;

	unsafe fn unpack(&mut self, part: &Part<'_>, to: &mut [u8]) {
		// SAFETY: the caller's promise.
		unsafe { unpack(part, 0x80, to.as_mut_ptr()) }
	}

	unsafe fn add(&mut self, part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
		// SAFETY: the caller's promise.
		unsafe { panel::<Bytes, false>(Bytes, part, words, sums) }
	}
}

/// Adds some groups of a tile to the sums of one panel's rows; whether they come from MEMORY decides if they are
/// prefetched.
///
/// # Safety
/// The CPU has the features. `words` holds the groups of the part for `sums.len()` rows, in units of 32 columns.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
unsafe fn packed<const MEMORY: bool>(part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
	// SAFETY: the caller's promise.
	unsafe {
		match part.format {
			MatrixFormat::W8 { .. } => panel::<_, MEMORY>(Bytes, part, words, sums),
			MatrixFormat::W4 { table } => panel::<_, MEMORY>(Indices::new(&table), part, words, sums),
			MatrixFormat::W4z { .. } => panel::<_, MEMORY>(Nibbles, part, words, sums),
		}
	}
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
unsafe fn panel<W: Weights, const MEMORY: bool>(weights: W, part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
	let (a, out) = (words.as_ptr(), sums.as_mut_ptr());
	// SAFETY: the caller's promise.
	unsafe {
		match sums.len() {
			1 => rows::<1, W, MEMORY>(weights, part, a, out),
			2 => rows::<2, W, MEMORY>(weights, part, a, out),
			3 => rows::<3, W, MEMORY>(weights, part, a, out),
			4 => rows::<4, W, MEMORY>(weights, part, a, out),
			5 => rows::<5, W, MEMORY>(weights, part, a, out),
			6 => rows::<6, W, MEMORY>(weights, part, a, out),
			_ => unreachable!("a panel has one to six rows"),
		}
	}
}

/// How weights become the unsigned bytes that are multiplied. Functions are `#[inline(always)]`: they must end up in a
/// function compiled for AVX-512.
///
/// # Safety
/// All functions want the instructions, and as many bytes behind their pointers as they read.
trait Weights: Copy {
	/// Lines of a step of four columns.
	const LINES: usize;
	/// Reads a step of outputs 0–15 and 16–31.
	unsafe fn step(self, at: *const u8) -> [__m512i; 2];
	/// Returns the integers that a row's sums start with.
	unsafe fn start(self, zeros: *const u8, word: i32) -> [__m512i; 2];
}

/// `w8`: bytes as they are.
#[derive(Clone, Copy)]
struct Bytes;

impl Weights for Bytes {
	const LINES: usize = 2;

	#[inline(always)]
	unsafe fn step(self, at: *const u8) -> [__m512i; 2] {
		// SAFETY: the caller's promise.
		unsafe { [_mm512_load_si512(at.cast()), _mm512_load_si512(at.add(64).cast())] }
	}

	#[inline(always)]
	unsafe fn start(self, _: *const u8, word: i32) -> [__m512i; 2] {
		// SAFETY: the caller's promise.
		unsafe { [_mm512_set1_epi32(word); 2] }
	}
}

/// `w4`: the table's integers + 128, in each quarter of the vector.
#[derive(Clone, Copy)]
struct Indices(__m512i);

impl Indices {
	#[inline(always)]
	unsafe fn new(table: &[i8; 16]) -> Self {
		let table = table.map(|v| v as u8 ^ 0x80);
		// SAFETY: the caller's promise; a table has 16 bytes.
		unsafe { Self(_mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast()))) }
	}
}

impl Weights for Indices {
	const LINES: usize = 1;

	#[inline(always)]
	unsafe fn step(self, at: *const u8) -> [__m512i; 2] {
		// SAFETY: the caller's promise.
		unsafe { nibbles(at).map(|index| _mm512_shuffle_epi8(self.0, index)) }
	}

	#[inline(always)]
	unsafe fn start(self, _: *const u8, word: i32) -> [__m512i; 2] {
		// SAFETY: the caller's promise.
		unsafe { [_mm512_set1_epi32(word); 2] }
	}
}

/// `w4z`: 4-bit numbers; the zero point is taken off in the start value.
#[derive(Clone, Copy)]
struct Nibbles;

impl Weights for Nibbles {
	const LINES: usize = 1;

	#[inline(always)]
	unsafe fn step(self, at: *const u8) -> [__m512i; 2] {
		// SAFETY: the caller's promise.
		unsafe { nibbles(at) }
	}

	#[inline(always)]
	unsafe fn start(self, zeros: *const u8, word: i32) -> [__m512i; 2] {
		// A product of 16-bit numbers: |word| ≤ 128 · 127, and the upper half of a zero point is 0.
		// SAFETY: the caller's promise.
		unsafe { zero_points(zeros).map(|z| _mm512_dpwssd_epi32(_mm512_setzero_si512(), z, _mm512_set1_epi32(word))) }
	}
}

/// Reads a line of 4-bit numbers, as bytes of outputs 0–15 and 16–31.
#[inline(always)]
unsafe fn nibbles(at: *const u8) -> [__m512i; 2] {
	// SAFETY: the caller's promise.
	unsafe {
		let (both, low) = (_mm512_load_si512(at.cast()), _mm512_set1_epi8(15));
		[
			_mm512_and_si512(both, low),
			_mm512_and_si512(_mm512_srli_epi16::<4>(both), low),
		]
	}
}

/// Reads a group's zero points, as 32-bit integers of outputs 0–15 and 16–31.
#[inline(always)]
unsafe fn zero_points(at: *const u8) -> [__m512i; 2] {
	// SAFETY: the caller's promise.
	unsafe {
		let both = _mm512_cvtepu8_epi32(_mm_loadu_si128(at.cast()));
		[
			_mm512_and_si512(both, _mm512_set1_epi32(15)),
			_mm512_srli_epi32::<4>(both),
		]
	}
}

// Indices are constants once the loops are unrolled; iterators are left as loops, and their sums in memory.
#[allow(clippy::needless_range_loop)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
unsafe fn rows<const R: usize, W: Weights, const MEMORY: bool>(
	weights: W,
	part: &Part<'_>,
	mut a: *const i32,
	out: *mut [f32; TILE],
) {
	let (mut w, mut zeros, mut left) = (part.bytes.as_ptr(), part.zeros.as_ptr(), part.columns);
	let mut sums = [[_mm512_setzero_ps(); 2]; R];
	for (r, sums) in sums.iter_mut().enumerate() {
		// SAFETY: `out` has R rows of 32.
		unsafe {
			let from = out.add(r).cast::<f32>();
			*sums = [_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(16))];
		}
	}
	while left > 0 {
		let blocks = left.min(part.format.group()) / BLOCK;
		// SAFETY: inside the group that `w`, `zeros` and `a` point to.
		unsafe {
			let extra = a.add(blocks * R * BLOCK_WORDS);
			let mut s = [[_mm512_setzero_si512(); 2]; R];
			for r in 0..R {
				s[r] = weights.start(zeros, *extra.add(R + r));
			}
			for _ in 0..blocks {
				for step in 0..BLOCK / STEP {
					let at = w.add(step * W::LINES * 64);
					if MEMORY {
						for line in 0..W::LINES {
							_mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(PREFETCH_DISTANCE + line * 64).cast());
						}
					}
					let [w0, w1] = weights.step(at);
					for r in 0..R {
						let q = _mm512_set1_epi32(*a.add(r * BLOCK_WORDS + step));
						s[r][0] = _mm512_dpbusd_epi32(s[r][0], w0, q);
						s[r][1] = _mm512_dpbusd_epi32(s[r][1], w1, q);
					}
				}
				w = w.add(BLOCK / STEP * W::LINES * 64);
				a = a.add(R * BLOCK_WORDS);
			}
			if MEMORY {
				_mm_prefetch::<_MM_HINT_T1>(w.wrapping_add(PREFETCH_DISTANCE).cast());
			}
			let scales = w.cast::<__m256i>();
			let scale0 = _mm512_cvtph_ps(_mm256_load_si256(scales));
			let scale1 = _mm512_cvtph_ps(_mm256_load_si256(scales.add(1)));
			for r in 0..R {
				let d = _mm512_set1_ps(f32::from_bits(*extra.add(r) as u32));
				sums[r][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s[r][0]), _mm512_mul_ps(scale0, d), sums[r][0]);
				sums[r][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s[r][1]), _mm512_mul_ps(scale1, d), sums[r][1]);
			}
			w = w.add(SCALE_BYTES);
			// Formats without zero points do not read there.
			zeros = zeros.wrapping_add(ZERO_BYTES);
			a = extra.add(R * EXTRA_WORDS);
		}
		left -= blocks * BLOCK;
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

/// Writes the integers of some groups as bytes, xor `flip`, in the layout of `w8`, with their scales: 0 leaves them
/// signed, 0x80 adds 128.
///
/// # Safety
/// The CPU has the features. `to` begins at a line and has room for the part in `w8`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn unpack(part: &Part<'_>, flip: u8, to: *mut u8) {
	let flips = _mm512_set1_epi8(flip as i8);
	// SAFETY: the caller's promise, for every `step` that reads a step.
	unsafe {
		match part.format {
			MatrixFormat::W8 { .. } => {
				let flips = _mm512_xor_si512(flips, _mm512_set1_epi8(-128));
				unpack_groups::<Bytes>(part, to, |_, at| Bytes.step(at).map(|w| _mm512_xor_si512(w, flips)));
			}
			MatrixFormat::W4 { table } => {
				let table = Indices::new(&table.map(|v| v ^ (flip ^ 0x80) as i8));
				unpack_groups::<Indices>(part, to, |_, at| table.step(at));
			}
			MatrixFormat::W4z { .. } => {
				let repeat = _mm512_set1_epi32(0x0101_0101);
				unpack_groups::<Nibbles>(part, to, |zeros, at| {
					let (four, zeros) = (nibbles(at), zero_points(zeros).map(|z| _mm512_mullo_epi32(z, repeat)));
					[0, 1].map(|i| _mm512_xor_si512(_mm512_sub_epi8(four[i], zeros[i]), flips))
				});
			}
		}
	}
}

/// Calls `step` with a group's zero points and each of its steps, and writes what it returns, then the scales.
#[inline(always)]
unsafe fn unpack_groups<W: Weights>(
	part: &Part<'_>,
	mut to: *mut u8,
	step: impl Fn(*const u8, *const u8) -> [__m512i; 2],
) {
	let (mut w, mut zeros, mut left) = (part.bytes.as_ptr(), part.zeros.as_ptr(), part.columns);
	while left > 0 {
		let columns = left.min(part.format.group());
		// SAFETY: inside the group that `w` and `zeros` point to, and `to` has room for it.
		unsafe {
			for _ in 0..columns / STEP {
				let [w0, w1] = step(zeros, w);
				_mm512_store_si512(to.cast(), w0);
				_mm512_store_si512(to.add(64).cast(), w1);
				w = w.add(W::LINES * 64);
				to = to.add(TILE * STEP);
			}
			_mm512_store_si512(to.cast(), _mm512_load_si512(w.cast()));
			w = w.add(SCALE_BYTES);
			to = to.add(SCALE_BYTES);
			zeros = zeros.wrapping_add(ZERO_BYTES);
		}
		left -= columns;
	}
}
