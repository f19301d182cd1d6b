// What a GPU can do at most: reading memory, and int8 products on its tensor cores. Nothing else is in the way: no writing, no
// shared memory, operands in registers.

#include <cstdint>

/// A sum over all of the memory, in steps of the whole grid; it's written only if it is one number in four billion, so that no compiler
/// leaves the reading out.
extern "C" __global__ void __launch_bounds__(256) bench_read(const uint4 *memory, uint64_t words, uint32_t *out) {
	uint32_t sum = 0;
	uint64_t stride = uint64_t(gridDim.x) * blockDim.x;
	uint64_t i = uint64_t(blockIdx.x) * blockDim.x + threadIdx.x;
	for (; i + 3 * stride < words; i += 4 * stride) {
		// Four loads under way.
		uint4 a = __ldg(memory + i), b = __ldg(memory + i + stride), c = __ldg(memory + i + 2 * stride), d = __ldg(memory + i + 3 * stride);
		sum += (a.x ^ a.y ^ a.z ^ a.w) + (b.x ^ b.y ^ b.z ^ b.w) + (c.x ^ c.y ^ c.z ^ c.w) + (d.x ^ d.y ^ d.z ^ d.w);
	}
	for (; i < words; i += stride) {
		uint4 a = __ldg(memory + i);
		sum += a.x ^ a.y ^ a.z ^ a.w;
	}
	if (sum == 0x9e3779b9u) *out = sum;
}

constexpr int SUMS = 8;

/// Products of 16 × 32 and 32 × 8, one after another, into eight sums that don't wait for one another.
extern "C" __global__ void __launch_bounds__(256) bench_multiply(uint32_t rounds, uint32_t *out) {
	uint32_t a[4], b[2];
	for (int i = 0; i < 4; i++) a[i] = threadIdx.x * 0x01030507u + i;
	for (int i = 0; i < 2; i++) b[i] = threadIdx.x * 0x02040608u + i;
	int32_t d[SUMS][4] = {};
	for (uint32_t round = 0; round < rounds; round++) {
#pragma unroll
		for (int i = 0; i < SUMS; i++)
			asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
				: "+r"(d[i][0]), "+r"(d[i][1]), "+r"(d[i][2]), "+r"(d[i][3])
				: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
	}
	uint32_t sum = 0;
	for (int i = 0; i < SUMS; i++) sum += uint32_t(d[i][0] ^ d[i][1] ^ d[i][2] ^ d[i][3]);
	if (sum == 0x9e3779b9u) *out = sum;
}
