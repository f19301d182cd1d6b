//! Vectors of floats for bodies that are written once and compiled for each instruction set. No operation lets lanes
//! see one another.

#[cfg(not(feature = "std"))]
use crate::math::Float;
use half::f16;

/// A vector type of one instruction set. Functions are `#[inline(always)]`: they must end up in a function compiled for
/// it.
///
/// # Safety
/// All functions want the instructions; those with pointers want [`Self::LANES`] elements behind them.
pub(crate) trait Simd {
	/// Elements of a vector; divides 16.
	const LANES: usize;
	/// Queries of attention whose sums fit the registers.
	const QUERIES: usize;
	/// The vector.
	type V: Copy;
	/// All lanes x.
	unsafe fn splat(x: f32) -> Self::V;
	/// Reads, no alignment needed.
	unsafe fn load(from: *const f32) -> Self::V;
	/// Reads f16 bits and widens them, no alignment needed.
	unsafe fn load_f16(from: *const u16) -> Self::V;
	/// Reads integers below 2²² in magnitude and converts them, no alignment needed.
	unsafe fn convert(from: *const i32) -> Self::V;
	/// Writes, no alignment needed.
	unsafe fn store(to: *mut f32, v: Self::V);
	/// a + b.
	unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
	/// a · b.
	unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
	/// a · b + c, rounded once.
	unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
}

/// Arrays; the compiler makes of them what the target has.
pub(crate) struct Plain;

impl Simd for Plain {
	const LANES: usize = 8;
	const QUERIES: usize = 4;
	type V = [f32; 8];

	#[inline(always)]
	unsafe fn splat(x: f32) -> Self::V {
		[x; 8]
	}

	#[inline(always)]
	unsafe fn load(from: *const f32) -> Self::V {
		// SAFETY: the caller's promise.
		unsafe { from.cast::<Self::V>().read_unaligned() }
	}

	#[inline(always)]
	unsafe fn load_f16(from: *const u16) -> Self::V {
		// SAFETY: the caller's promise.
		let bits = unsafe { from.cast::<[u16; 8]>().read_unaligned() };
		bits.map(|bits| f16::from_bits(bits).to_f32())
	}

	#[inline(always)]
	unsafe fn convert(from: *const i32) -> Self::V {
		// SAFETY: the caller's promise.
		let integers = unsafe { from.cast::<[i32; 8]>().read_unaligned() };
		integers.map(|i| i as f32)
	}

	#[inline(always)]
	unsafe fn store(to: *mut f32, v: Self::V) {
		// SAFETY: the caller's promise.
		unsafe { to.cast::<Self::V>().write_unaligned(v) }
	}

	#[inline(always)]
	unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
		core::array::from_fn(|i| a[i] + b[i])
	}

	#[inline(always)]
	unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
		core::array::from_fn(|i| a[i] * b[i])
	}

	#[inline(always)]
	unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
		core::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
	}
}

#[cfg(all(feature = "simd", target_arch = "x86_64"))]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(all(feature = "simd", target_arch = "x86_64"))]
mod x86 {
	use super::Simd;
	use core::arch::x86_64::*;

	/// Converts integers below 2²² in magnitude: as the last bits of 1.5 · 2²³, which is then subtracted. Beside the tiles of
	/// AMX two such operations are faster than the one instruction, for which there is one unit then.
	#[target_feature(enable = "avx512f")]
	#[inline]
	fn convert(integers: __m512i) -> __m512 {
		let base = _mm512_set1_ps(12_582_912.0);
		let sums = _mm512_add_epi32(integers, _mm512_castps_si512(base));
		_mm512_sub_ps(_mm512_castsi512_ps(sums), base)
	}

	macro_rules! simd {
		($(#[$doc:meta])* $name:ident, $lanes:literal, $queries:literal, $v:ty, $half:ty, $splat:ident, $load:ident, $load_half:ident, $widen:ident,
			$load_i32:ident, $convert:ident, $store:ident, $add:ident,
			$mul:ident, $fma:ident) => {
			$(#[$doc])*
			pub(crate) struct $name;

			impl Simd for $name {
				const LANES: usize = $lanes;
				const QUERIES: usize = $queries;
				type V = $v;

				#[inline(always)]
				unsafe fn splat(x: f32) -> $v {
					// SAFETY: the caller's promise.
					unsafe { $splat(x) }
				}

				#[inline(always)]
				unsafe fn load(from: *const f32) -> $v {
					// SAFETY: the caller's promise.
					unsafe { $load(from) }
				}

				#[inline(always)]
				unsafe fn load_f16(from: *const u16) -> $v {
					// SAFETY: the caller's promise.
					unsafe { $widen($load_half(from.cast::<$half>())) }
				}

				#[inline(always)]
				unsafe fn convert(from: *const i32) -> $v {
					// SAFETY: the caller's promise.
					unsafe { $convert($load_i32(from.cast())) }
				}

				#[inline(always)]
				unsafe fn store(to: *mut f32, v: $v) {
					// SAFETY: the caller's promise.
					unsafe { $store(to, v) }
				}

				#[inline(always)]
				unsafe fn add(a: $v, b: $v) -> $v {
					// SAFETY: the caller's promise.
					unsafe { $add(a, b) }
				}

				#[inline(always)]
				unsafe fn mul(a: $v, b: $v) -> $v {
					// SAFETY: the caller's promise.
					unsafe { $mul(a, b) }
				}

				#[inline(always)]
				unsafe fn fma(a: $v, b: $v, c: $v) -> $v {
					// SAFETY: the caller's promise.
					unsafe { $fma(a, b, c) }
				}
			}
		};
	}

	simd!(
		/// 8 lanes.
		Avx2, 8, 4, __m256, __m128i, _mm256_set1_ps, _mm256_loadu_ps, _mm_loadu_si128, _mm256_cvtph_ps,
		_mm256_loadu_si256, _mm256_cvtepi32_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_mul_ps, _mm256_fmadd_ps
	);
	simd!(
		/// 16 lanes.
		Avx512, 16, 8, __m512, __m256i, _mm512_set1_ps, _mm512_loadu_ps, _mm256_loadu_si256, _mm512_cvtph_ps,
		_mm512_loadu_si512, convert, _mm512_storeu_ps, _mm512_add_ps, _mm512_mul_ps, _mm512_fmadd_ps
	);
}

#[cfg(all(feature = "simd", target_arch = "aarch64"))]
pub(crate) use aarch64::Neon;

#[cfg(all(feature = "simd", target_arch = "aarch64"))]
mod aarch64 {
	use super::Simd;
	use core::arch::aarch64::*;

	/// 4 lanes. Its instructions are in every aarch64.
	pub(crate) struct Neon;

	impl Simd for Neon {
		const LANES: usize = 4;
		const QUERIES: usize = 8;
		type V = float32x4_t;

		#[inline(always)]
		unsafe fn splat(x: f32) -> float32x4_t {
			// SAFETY: the caller's promise.
			unsafe { vdupq_n_f32(x) }
		}

		#[inline(always)]
		unsafe fn load(from: *const f32) -> float32x4_t {
			// SAFETY: the caller's promise.
			unsafe { vld1q_f32(from) }
		}

		#[inline(always)]
		unsafe fn load_f16(from: *const u16) -> float32x4_t {
			// SAFETY: the caller's promise.
			unsafe { vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from))) }
		}

		#[inline(always)]
		unsafe fn convert(from: *const i32) -> float32x4_t {
			// SAFETY: the caller's promise.
			unsafe { vcvtq_f32_s32(vld1q_s32(from)) }
		}

		#[inline(always)]
		unsafe fn store(to: *mut f32, v: float32x4_t) {
			// SAFETY: the caller's promise.
			unsafe { vst1q_f32(to, v) }
		}

		#[inline(always)]
		unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
			// SAFETY: the caller's promise.
			unsafe { vaddq_f32(a, b) }
		}

		#[inline(always)]
		unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
			// SAFETY: the caller's promise.
			unsafe { vmulq_f32(a, b) }
		}

		#[inline(always)]
		unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
			// SAFETY: the caller's promise.
			unsafe { vfmaq_f32(c, a, b) }
		}
	}
}
