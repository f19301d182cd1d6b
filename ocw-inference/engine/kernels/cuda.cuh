// What only a GPU has: kernels, shared memory of a size chosen at the launch, copies that run along, tensor cores.

#pragma once
#include <cstdint>
#include <cuda_fp16.h>

#define KERNEL(name, threads, Args, body) \
	extern "C" __global__ void __launch_bounds__(threads) assay_##name(const Args a) { body; }

#define DYNAMIC_SHARED(type, name) \
	extern __shared__ __align__(16) unsigned char assay_shared[]; \
	type *name = reinterpret_cast<type *>(assay_shared)

namespace assay {

/// Copies 16 bytes to shared memory without waiting.
__device__ inline void copy_async(void *to, const void *from) {
	uint32_t at = uint32_t(__cvta_generic_to_shared(to));
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(at), "l"(from) : "memory");
}

/// What was copied since the last call is one group.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until at most so many groups of this thread are under way.
template <int GROUPS> __device__ inline void wait_for_copies() { asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS) : "memory"); }

/// d += a · b of int8 16 × 32 and 32 × 8, as a warp; exact.
__device__ inline void multiply(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
	asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
		: "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
		: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

} // namespace assay
