// CUDA's words, as far as the kernels use them, on a CPU. Threads of a block are contexts of their own that run one at
// a time until they wait for one another, in an order that the caller chooses: what depends on it is a race.

#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define __device__
#define __shared__ static
#define DYNAMIC_SHARED(type, name) type *name = reinterpret_cast<type *>(emulation::dynamic_shared)

namespace emulation {

struct Index {
	uint32_t x, y, z;
};
/// What a warp's threads show one another.
struct Shown {
	uint32_t word[32];
	int16_t rows[16][32], columns[8][32];
};

extern Index block_index, block_dim;
extern unsigned char *dynamic_shared;

/// The thread that runs.
uint32_t thread();
/// Waits for all threads of the block, or of the warp, that have not ended.
void wait_for_block();
void wait_for_warp();
/// Where the threads of this thread's warp show one another what they have, until the next wait; behind it that is
/// another place, so that nobody has to wait for those who still read.
Shown &shown();

/// Registers a kernel under its name.
struct Kernel {
	Kernel(const char *name, uint32_t threads, size_t size, void (*run)(const void *));
};

} // namespace emulation

#define KERNEL(name, threads, Args, body) \
	static void assay_##name(const Args &a) { body; } \
	static const emulation::Kernel kernel_##name( \
		"assay_" #name, threads, sizeof(Args), [](const void *args) { assay_##name(*static_cast<const Args *>(args)); });

#define threadIdx (emulation::Index{emulation::thread(), 0, 0})
#define blockIdx emulation::block_index
#define blockDim emulation::block_dim

struct uint4 {
	uint32_t x, y, z, w;
};

template <class To, class From> inline To bits_as(From from) {
	static_assert(sizeof(To) == sizeof(From), "same size");
	To to;
	std::memcpy(&to, &from, sizeof to);
	return to;
}

inline float __uint_as_float(uint32_t x) { return bits_as<float>(x); }
inline uint32_t __float_as_uint(float x) { return bits_as<uint32_t>(x); }
inline float __int_as_float(int32_t x) { return bits_as<float>(x); }
inline int32_t __float_as_int(float x) { return bits_as<int32_t>(x); }

inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }

/// Ties to even; saturates; a NaN gives 0.
inline int32_t __float2int_rn(float x) {
	if (std::isnan(x)) return 0;
	if (x >= 2147483648.0f) return INT32_MAX;
	if (x < -2147483648.0f) return INT32_MIN;
	return int32_t(std::nearbyint(x));
}

// Halves are carried as their bits.
using half_bits = uint16_t;
inline half_bits __ushort_as_half(uint16_t x) { return x; }
inline uint16_t __half_as_ushort(half_bits x) { return x; }

inline float __half2float(half_bits h) {
	uint32_t sign = uint32_t(h & 0x8000) << 16, size = h & 0x7fff;
	// Scaling by a power of two is exact.
	uint32_t bits = size < 0x7c00 ? __float_as_uint(__uint_as_float(size << 13) * 0x1p112f) : size << 13 | 0x7f800000;
	return __uint_as_float(sign | bits);
}

inline half_bits __float2half_rn(float x) {
	uint32_t bits = __float_as_uint(x) & 0x7fffffff, sign = __float_as_uint(x) >> 16 & 0x8000;
	if (bits > 0x7f800000) return 0x7fff;
	if (bits >= 0x477ff000) return half_bits(sign | 0x7c00);
	// Below 2⁻¹⁴ steps are 2⁻²⁴, as those of f32 from 0.5 on are; above, 13 bits are rounded off, ties to even.
	if (bits < 0x38800000) return half_bits(sign | (__float_as_uint(__uint_as_float(bits) + 0.5f) - 0x3f000000));
	return half_bits(sign | (bits - (112 << 23) + 0xfff + (bits >> 13 & 1)) >> 13);
}

inline int __dp4a(int a, int b, int c) {
	for (int i = 0; i < 4; i++) c += int(int8_t(uint32_t(a) >> 8 * i)) * int(int8_t(uint32_t(b) >> 8 * i));
	return c;
}

/// Four of the eight bytes of x and y, each by the low three bits of a nibble; the kernels leave the fourth bit 0.
inline uint32_t __byte_perm(uint32_t x, uint32_t y, uint32_t select) {
	uint64_t all = uint64_t(y) << 32 | x;
	uint32_t out = 0;
	for (int i = 0; i < 4; i++) out |= uint32_t(all >> (select >> 4 * i & 7) * 8 & 0xff) << 8 * i;
	return out;
}

inline void __syncthreads() { emulation::wait_for_block(); }
inline void __syncwarp() { emulation::wait_for_warp(); }

/// Shows x, and takes what another lane shows.
template <class T> inline T exchange(T x, uint32_t from) {
	emulation::Shown &shown = emulation::shown();
	shown.word[emulation::thread() % 32] = bits_as<uint32_t>(x);
	emulation::wait_for_warp();
	return bits_as<T>(shown.word[from]);
}
template <class T> inline T __shfl_sync(uint32_t, T x, int lane) { return exchange(x, uint32_t(lane)); }
template <class T> inline T __shfl_xor_sync(uint32_t, T x, int with) { return exchange(x, emulation::thread() % 32 ^ uint32_t(with)); }
template <class T> inline T __shfl_down_sync(uint32_t, T x, int by, int width) {
	uint32_t lane = emulation::thread() % 32, within = lane % uint32_t(width);
	return exchange(x, within + uint32_t(by) < uint32_t(width) ? lane + uint32_t(by) : lane);
}

namespace assay {

// Copies are done at once where they may be done later: a read before the wait is not noticed here, so it is left to
// the barriers.
inline void copy_async(void *to, const void *from) { std::memcpy(to, from, 16); }
inline void commit_copies() {}
template <int GROUPS> inline void wait_for_copies() {}

/// Each thread of a warp holds some elements of both operands (PTX, "Matrix Fragments for mma.m16n8k32").
inline void multiply(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
	emulation::Shown &shown = emulation::shown();
	uint32_t lane = emulation::thread() % 32;
	auto show = [](int16_t *to, uint32_t word) {
		for (int k = 0; k < 4; k++) to[k] = int8_t(word >> k * 8);
	};
	for (uint32_t i = 0; i < 4; i++) show(shown.rows[lane / 4 + i % 2 * 8] + i / 2 * 16 + lane % 4 * 4, a[i]);
	for (uint32_t i = 0; i < 2; i++) show(shown.columns[lane / 4] + i * 16 + lane % 4 * 4, b[i]);
	emulation::wait_for_warp();
	for (uint32_t i = 0; i < 4; i++) {
		const int16_t *row = shown.rows[lane / 4 + i / 2 * 8], *column = shown.columns[lane % 4 * 2 + i % 2];
		for (uint32_t k = 0; k < 32; k++) d[i] += row[k] * column[k];
	}
}

} // namespace assay
