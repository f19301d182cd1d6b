// What happens in each row by itself: embedding, norms, rotation, gate, sum; and which rows fail (§3.3).

#pragma once
#include "common.cuh"
#include "weights.cuh"

namespace assay {

struct EmbedArgs {
	Weights table;       // an output for each token
	const uint32_t *ids; // [rows]
	float *out;          // [rows, 32 · blocks]
	uint32_t rows;
};

/// §2.3. A block of threads for each row.
__device__ inline void embed(const EmbedArgs &a) {
	uint32_t id = a.ids[blockIdx.x], width = a.table.blocks * BLOCK;
	float *out = a.out + size_t(blockIdx.x) * width;
	for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) out[i] = mul(scale(a.table, id, i), float(weight(a.table, id, i)));
}

struct NormArgs {
	const float *x; // [rows, width]
	const float *w; // [width]
	float *out;     // [rows, width]
	uint32_t *non_finite;  // [rows]
	uint32_t width;
	float epsilon;
	uint32_t rows;
};

/// `1 / √(mean + ε)` of the sum of squares of `width` elements; right in the first of 16 threads.
__device__ inline float reciprocal_rms(const float *x, uint32_t width, int j, float epsilon) {
	float sum = lanes(x, width, j, [](float v, float lane) { return fma(v, v, lane); });
	return div(1.0f, root(add(div(sum, float(width)), epsilon)));
}

/// §2.4. A block of threads for each row, which lies in shared memory; 16 threads add up.
__device__ inline void rms_norm(const NormArgs &a) {
	DYNAMIC_SHARED(float, row);
	__shared__ float shared_r;
	const float *x = a.x + size_t(blockIdx.x) * a.width;
	for (uint32_t i = threadIdx.x; i < a.width; i += blockDim.x) row[i] = x[i];
	__syncthreads();
	if (threadIdx.x < WARP) {
		float r = reciprocal_rms(row, a.width, threadIdx.x % 16, a.epsilon);
		if (threadIdx.x == 0) shared_r = r;
	}
	__syncthreads();
	float r = shared_r;
	uint32_t largest = 0;
	for (uint32_t i = threadIdx.x; i < a.width; i += blockDim.x) {
		float y = mul(mul(row[i], r), a.w[i]);
		a.out[size_t(blockIdx.x) * a.width + i] = y;
		largest = magnitude(y) > largest ? magnitude(y) : largest;
	}
	// Several threads may write it; all write the same.
	if (largest >= INFINITE) a.non_finite[blockIdx.x] = 1;
}

struct RopeArgs {
	const float *x;            // [rows, (heads + 2 · kv_heads) · head_dim], each row q ‖ k ‖ v
	float *out;                // [rows, heads · head_dim]: the rotated queries
	uint16_t *pool;            // pages of keys and values
	uint16_t *kv;              // [rows, 2 · kv_heads · head_dim]: what goes to the pages, for the trace
	const float *q_norm;       // [head_dim] or null
	const float *k_norm;       // [head_dim] or null
	const float *cos;          // [positions, head_dim / 2]
	const float *sin;          // [positions, head_dim / 2]
	const uint32_t *positions; // [rows]
	const uint32_t *pages;     // page of each row
	uint32_t *non_finite;             // [rows]
	uint64_t page_stride;      // elements from one page to the next
	uint64_t layer_offset;     // elements from a page's start to the layer's
	uint32_t heads, kv_heads, head_dim;
	float epsilon;
	uint32_t rows;
};

/// Head norms (§2.9), rotation (§2.6), keys and values to f16 in their page (§2.7). A block of threads for each row, a
/// warp for each head in turn; the head lies in shared memory.
__device__ inline void rope_and_write_kv(const RopeArgs &a) {
	DYNAMIC_SHARED(float, shared);
	uint32_t row = blockIdx.x, lane = threadIdx.x % WARP, half = a.head_dim / 2;
	uint32_t position = a.positions[row], slot = position % PAGE;
	float *head = shared + threadIdx.x / WARP * a.head_dim;
	const float *x = a.x + size_t(row) * (a.heads + 2 * a.kv_heads) * a.head_dim;
	const float *cos = a.cos + size_t(position) * half, *sin = a.sin + size_t(position) * half;
	uint16_t *keys = a.pool + a.pages[row] * a.page_stride + a.layer_offset;
	uint16_t *values = keys + size_t(a.kv_heads) * a.head_dim * PAGE;
	uint32_t largest = 0, largest_stored = 0;
	for (uint32_t h = threadIdx.x / WARP; h < a.heads + 2 * a.kv_heads; h += blockDim.x / WARP) {
		bool query = h < a.heads, key = !query && h < a.heads + a.kv_heads;
		for (uint32_t i = lane; i < a.head_dim; i += WARP) head[i] = x[size_t(h) * a.head_dim + i];
		__syncwarp();
		const float *norm = query ? a.q_norm : key ? a.k_norm : nullptr;
		if (norm) {
			float r = reciprocal_rms(head, a.head_dim, lane % 16, a.epsilon);
			r = __shfl_sync(0xffffffffu, r, 0);
			__syncwarp();
			for (uint32_t i = lane; i < a.head_dim; i += WARP) head[i] = mul(mul(head[i], r), norm[i]);
			__syncwarp();
		}
		if (query || key) {
			for (uint32_t i = lane; i < half; i += WARP) {
				float u = head[i], v = head[i + half], c = cos[i], s = sin[i];
				head[i] = fma(u, c, -mul(v, s));
				head[i + half] = fma(v, c, mul(u, s));
			}
			__syncwarp();
		}
		for (uint32_t i = lane; i < a.head_dim; i += WARP) {
			float y = head[i];
			if (query) {
				a.out[(size_t(row) * a.heads + h) * a.head_dim + i] = y;
				largest = magnitude(y) > largest ? magnitude(y) : largest;
				continue;
			}
			// A page has keys [kv_head][d][32] and values [kv_head][32][d], so that threads that read them are
			// neighbours.
			uint16_t stored = to_f16(y);
			if (key) keys[(size_t(h - a.heads) * a.head_dim + i) * PAGE + slot] = stored;
			else values[(size_t(h - a.heads - a.kv_heads) * PAGE + slot) * a.head_dim + i] = stored;
			a.kv[(size_t(row) * 2 * a.kv_heads + h - a.heads) * a.head_dim + i] = stored;
			largest_stored = magnitude(y) > largest_stored ? magnitude(y) : largest_stored;
		}
		__syncwarp();
	}
	if (largest >= INFINITE || largest_stored >= F16_INFINITE) a.non_finite[row] = 1;
}

struct GateArgs {
	const float *x; // [rows, 2 · intermediate], each row g ‖ u
	float *out;     // [rows, intermediate]
	uint32_t *non_finite;  // [rows]
	uint32_t intermediate, rows;
};

/// §2.8. Blocks of threads along a row in x, rows in y.
__device__ inline void gate(const GateArgs &a) {
	uint32_t i = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y;
	if (i >= a.intermediate) return;
	const float *x = a.x + size_t(row) * 2 * a.intermediate;
	float g = x[i], u = x[a.intermediate + i];
	float y = mul(div(g, add(1.0f, exp(-g))), u);
	a.out[size_t(row) * a.intermediate + i] = y;
	if (magnitude(y) >= INFINITE) a.non_finite[row] = 1;
}

struct AddArgs {
	const float *x, *y; // [rows, width]
	float *out;         // [rows, width]
	uint32_t *non_finite;      // [rows] or null
	uint32_t width, rows;
};

/// x + y. Blocks of threads along a row in x, rows in y.
__device__ inline void residual(const AddArgs &a) {
	uint32_t i = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y;
	if (i >= a.width) return;
	size_t at = size_t(row) * a.width + i;
	float sum = add(a.x[at], a.y[at]);
	a.out[at] = sum;
	if (a.non_finite && magnitude(sum) >= INFINITE) a.non_finite[row] = 1;
}

struct QuantizeLogitsArgs {
	const float *logits; // [rows, vocabulary]
	int32_t *fixed;      // [rows, vocabulary]
	int32_t *summary;    // [rows, 3]: all finite, the largest, the first token that has it
	uint32_t vocabulary, rows;
};

/// Logits to Q16.16 (§5), and the best of them. A block of 256 threads for each row.
__device__ inline void quantize_logits(const QuantizeLogitsArgs &a) {
	__shared__ int32_t largest[256], first[256], finite[256];
	uint32_t t = threadIdx.x;
	const float *logits = a.logits + size_t(blockIdx.x) * a.vocabulary;
	int32_t *fixed = a.fixed + size_t(blockIdx.x) * a.vocabulary;
	int32_t best = INT32_MIN, id = INT32_MAX, sound = 1;
	for (uint32_t i = t; i < a.vocabulary; i += blockDim.x) {
		sound &= magnitude(logits[i]) < INFINITE;
		// A product with a power of two is exact; the conversion rounds ties to even and saturates.
		int32_t l = __float2int_rn(mul(logits[i], 65536.0f));
		fixed[i] = l;
		if (l > best || id == INT32_MAX) best = l, id = int32_t(i);
	}
	largest[t] = best, first[t] = id, finite[t] = sound;
	__syncthreads();
	for (uint32_t stride = 128; stride > 0; stride /= 2) {
		if (t < stride) {
			uint32_t o = t + stride;
			// Integers: the larger, and of equals the lower id, in any order.
			bool other = first[o] != INT32_MAX &&
				(first[t] == INT32_MAX || largest[o] > largest[t] || (largest[o] == largest[t] && first[o] < first[t]));
			if (other) largest[t] = largest[o], first[t] = first[o];
			finite[t] &= finite[o];
		}
		__syncthreads();
	}
	if (t == 0) {
		int32_t *summary = a.summary + size_t(blockIdx.x) * 3;
		summary[0] = finite[0], summary[1] = largest[0], summary[2] = first[0];
	}
}

} // namespace assay
