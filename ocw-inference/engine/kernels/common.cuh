// What the kernels share. Each file is CUDA C++ and, with `ASSAY_EMULATED`, plain C++ for `../emulation`.
//
// Floats: only the functions below round, each once, to nearest with ties to even. nvcc is called with --fmad=false and
// without flush-to-zero, so that nothing else is contracted; sums of floats run in the order of docs/spec/c2.md,
// never across threads in an order that a launch decides.

#pragma once

namespace assay {

constexpr int WARP = 32;
/// Columns of a block: the smallest group of weights that share a scale.
constexpr int BLOCK = 32;
/// Outputs, or rows, that lie side by side in memory.
constexpr int TILE = 32;
/// Positions of a page of keys and values.
constexpr int PAGE = 32;
/// Keys whose sums are taken together.
constexpr int KEYS = 256;

/// Bytes of a block of 32 quantized rows: two halves of 16 columns, in each 32 × 16 bytes, then 32 f32 scales, those of
/// the group that the block belongs to.
constexpr int ROW_BYTES = TILE * BLOCK + TILE * 4;

__device__ inline float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
__device__ inline float mul(float a, float b) { return __fmul_rn(a, b); }
__device__ inline float add(float a, float b) { return __fadd_rn(a, b); }
__device__ inline float sub(float a, float b) { return __fsub_rn(a, b); }
__device__ inline float div(float a, float b) { return __fdiv_rn(a, b); }
__device__ inline float root(float a) { return __fsqrt_rn(a); }

__device__ inline float f16(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
__device__ inline uint16_t to_f16(float x) { return __half_as_ushort(__float2half_rn(x)); }

/// The bits of |x|: ordered like the numbers, NaN above all.
__device__ inline uint32_t magnitude(float x) { return __float_as_uint(x) & 0x7fffffffu; }
constexpr uint32_t INFINITE = 0x7f800000u;
/// The first magnitude that rounds to an infinity in f16: 65 520.
constexpr uint32_t F16_INFINITE = 0x477ff000u;

/// Largest of 32 lanes, in all of them. Exact, so its order is free.
__device__ inline uint32_t warp_max(uint32_t x) {
	for (int stride = 16; stride > 0; stride /= 2) {
		uint32_t other = __shfl_xor_sync(0xffffffffu, x, stride);
		x = other > x ? other : x;
	}
	return x;
}

/// §2.5
__device__ inline float exp(float x) {
	const float round = __uint_as_float(0x4b400000u);
	const float highest = __uint_as_float(0x42b1999au), lowest = __uint_as_float(0xc2d00000u);
	// Two selects, so that a NaN passes through both.
	float clamped = x > highest ? highest : x;
	clamped = clamped < lowest ? lowest : clamped;
	float shifted = fma(clamped, __uint_as_float(0x3fb8aa3bu), round);
	float n = sub(shifted, round);
	float r = fma(n, -__uint_as_float(0x35bfbe8eu), fma(n, -__uint_as_float(0x3f317200u), clamped));
	const uint32_t series[8] = {0x39500d01u, 0x3ab60b61u, 0x3c088889u, 0x3d2aaaabu, 0x3e2aaaabu, 0x3f000000u, 0x3f800000u, 0x3f800000u};
	float p = __uint_as_float(series[0]);
#pragma unroll
	for (int i = 1; i < 8; i++) p = fma(p, r, __uint_as_float(series[i]));
	int exponent = __float_as_int(shifted) - 0x4b400000;
	int half = exponent >> 1;
	// Two factors, so that neither leaves the normal range.
	float low = __uint_as_float(uint32_t(half + 127) << 23);
	float high = __uint_as_float(uint32_t(exponent - half + 127) << 23);
	return mul(mul(p, low), high);
}

/// The sum in lanes of §2.4 by 16 neighbouring threads: thread j adds up elements j, j + 16, …; then the tree. Every
/// thread of the warp calls it; the result is right in the first of each 16.
template <class Step> __device__ inline float lanes(const float *x, int count, int j, Step step) {
	float lane = 0.0f;
	for (int i = j; i < count; i += 16) lane = step(x[i], lane);
	for (int stride = 8; stride > 0; stride /= 2) lane = add(lane, __shfl_down_sync(0xffffffffu, lane, stride, 16));
	return lane;
}

} // namespace assay
