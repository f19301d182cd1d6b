// Attention over pages of f16 keys and values (§2.7), in three launches: scores and the largest of each tile of 256
// keys; weights and sums of each tile; the tiles in ascending order. A tile's sums run key by key in one thread for
// each query and dimension, so neither the number of tiles at work nor the queries beside it change a bit.
//
// A query is a row and a query head; its number is row · group + (head within its key head's group). Up to 16 queries
// of one sequence and key head go together, and read keys and values once.

#pragma once
#include "common.cuh"

namespace assay {

/// Most queries that go together.
constexpr int QUERIES = 16;

/// Queries that go together, of every key head.
struct Task {
	uint32_t first, count; // query numbers
	uint32_t pages;        // where the sequence's page numbers begin in `pages`
	uint32_t begin, end;   // the keys that any of them sees
};

struct AttentionArgs {
	const float *q; // [rows, heads · head_dim], rotated
	const uint16_t *pool;
	const uint32_t *pages; // page numbers of all sequences
	const Task *tasks;
	const uint32_t *keys; // [rows, 2]: the first key that a row sees, and the one behind the last
	float *scores;        // [queries of the slice, kv_heads, tiles, 256]
	float *largest;       // [queries of the slice, kv_heads, tiles]
	float *sums;          // [queries of the slice, kv_heads, tiles, 1 + head_dim]: total weight, weighted values
	float *out;           // [rows, heads · head_dim]
	uint32_t *non_finite;        // [rows]
	uint64_t page_stride, layer_offset; // elements of the pool
	uint32_t base;                      // number of the slice's first query
	uint32_t tiles;                     // room for so many tiles
	uint32_t first_tile;                // which the first of them is
	uint32_t kv_heads, group, head_dim;
	float scale;
};

/// Where a query's numbers of a tile lie, counted in tiles.
__device__ inline size_t place(const AttentionArgs &a, uint32_t query, uint32_t kv_head, uint32_t tile) {
	return (size_t(query - a.base) * a.kv_heads + kv_head) * a.tiles + (tile - a.first_tile);
}

__device__ inline bool sees(const AttentionArgs &a, uint32_t query, uint32_t key) {
	const uint32_t *keys = a.keys + query / a.group * 2;
	return key >= keys[0] && key < keys[1];
}

/// Elements of a page's keys, or values, of one key head.
__device__ inline size_t head_elements(const AttentionArgs &a) { return size_t(a.head_dim) * PAGE; }

/// A thread for each key of a tile; blocks of threads over tiles (x), tasks (y) and key heads (z).
__device__ inline void scores(const AttentionArgs &a) {
	DYNAMIC_SHARED(float, q); // [d][16]
	__shared__ uint32_t best[QUERIES][KEYS / WARP];
	const Task task = a.tasks[blockIdx.y];
	uint32_t kv_head = blockIdx.z, tile = a.first_tile + blockIdx.x, key = tile * KEYS + threadIdx.x;
	if (tile * KEYS >= task.end || (tile + 1) * KEYS <= task.begin) return;
	for (uint32_t i = threadIdx.x; i < QUERIES * a.head_dim; i += blockDim.x) {
		uint32_t d = i / QUERIES, n = task.first + i % QUERIES;
		size_t head = size_t(n / a.group) * a.kv_heads * a.group + kv_head * a.group + n % a.group;
		q[i] = i % QUERIES < task.count ? a.q[head * a.head_dim + d] : 0.0f;
	}
	__syncthreads();
	float acc[QUERIES] = {};
	bool inside = key >= task.begin && key < task.end;
	uint32_t page = key / PAGE * PAGE;
	bool active = page + PAGE > task.begin && page < task.end;
	if (inside) {
		const uint16_t *k = a.pool + a.pages[task.pages + key / PAGE] * a.page_stride + a.layer_offset + kv_head * head_elements(a) + key % PAGE;
		for (uint32_t d = 0; d < a.head_dim; d++) {
			float of_key = f16(k[size_t(d) * PAGE]);
#pragma unroll
			for (int i = 0; i < QUERIES; i++) acc[i] = fma(q[d * QUERIES + i], of_key, acc[i]);
		}
	}
#pragma unroll
	for (int i = 0; i < QUERIES; i++) {
		// The same for all threads of the warp: those that have a key of the task's, or none of whom has one.
		if (i >= int(task.count)) continue;
		uint32_t ordered = 0;
		if (active) {
			bool seen = inside && sees(a, task.first + i, key);
			float s = mul(acc[i], a.scale);
			if (seen) a.scores[place(a, task.first + i, kv_head, tile) * KEYS + threadIdx.x] = s;
			// Floats as integers of the same order. A NaN may come out as anything: its row fails.
			uint32_t bits = __float_as_uint(s);
			ordered = warp_max(seen ? (bits & 0x80000000u ? ~bits : bits | 0x80000000u) : 0);
		}
		if (threadIdx.x % WARP == 0) best[i][threadIdx.x / WARP] = ordered;
	}
	__syncthreads();
	if (threadIdx.x < task.count) {
		uint32_t most = 0;
		for (int i = 0; i < KEYS / WARP; i++) most = best[threadIdx.x][i] > most ? best[threadIdx.x][i] : most;
		// Negative infinity where no key of the tile is seen.
		uint32_t bits = most == 0 ? 0xff800000u : most & 0x80000000u ? most & 0x7fffffffu : ~most;
		a.largest[place(a, task.first + threadIdx.x, kv_head, tile)] = __uint_as_float(bits);
	}
}

/// Weights, then sums of a tile: a warp for the totals, and a thread for each dimension and some of the queries. Blocks
/// of threads as for `scores`, with one warp more.
__device__ inline void values(const AttentionArgs &a) {
	__shared__ float weights[QUERIES][KEYS], largest[QUERIES];
	const Task task = a.tasks[blockIdx.y];
	uint32_t kv_head = blockIdx.z, tile = a.first_tile + blockIdx.x, start = tile * KEYS;
	if (start >= task.end || start + KEYS <= task.begin) return;
	if (threadIdx.x < task.count) {
		float most = -__uint_as_float(INFINITE);
		for (uint32_t t = task.begin / KEYS; t * KEYS < task.end; t++) {
			float other = a.largest[place(a, task.first + threadIdx.x, kv_head, t)];
			most = other > most ? other : most;
		}
		largest[threadIdx.x] = most;
	}
	__syncthreads();
	for (uint32_t i = threadIdx.x; i < task.count * KEYS; i += blockDim.x) {
		uint32_t n = i / KEYS, key = start + i % KEYS;
		if (sees(a, task.first + n, key))
			weights[n][i % KEYS] = exp(sub(a.scores[place(a, task.first + n, kv_head, tile) * KEYS + i % KEYS], largest[n]));
	}
	__syncthreads();
	if (threadIdx.x >= KEYS) {
		uint32_t n = threadIdx.x - KEYS;
		if (n >= task.count) return;
		float total = 0.0f;
		for (uint32_t t = 0; t < KEYS; t++)
			if (sees(a, task.first + n, start + t)) total = add(total, weights[n][t]);
		a.sums[place(a, task.first + n, kv_head, tile) * (1 + a.head_dim)] = total;
		return;
	}
	uint32_t from = task.begin > start ? task.begin - start : 0, until = task.end - start < KEYS ? task.end - start : KEYS;
	const uint16_t *pool = a.pool + a.layer_offset + (a.kv_heads + kv_head) * head_elements(a);
	// Threads beyond a whole number of head_dims share out what is left of the queries.
	uint32_t shares = KEYS / a.head_dim > 0 ? KEYS / a.head_dim : 1;
	uint32_t share = threadIdx.x / a.head_dim;
	if (a.head_dim <= KEYS && share >= shares) return;
	for (uint32_t d = a.head_dim <= KEYS ? threadIdx.x % a.head_dim : threadIdx.x; d < a.head_dim; d += KEYS) {
		for (uint32_t first = a.head_dim <= KEYS ? share * 4 : 0; first < task.count; first += shares * 4) {
			float acc[4] = {};
			uint32_t begin[4], end[4];
#pragma unroll
			for (int i = 0; i < 4; i++) {
				uint32_t n = first + i < task.count ? first + i : task.count - 1;
				begin[i] = a.keys[(task.first + n) / a.group * 2], end[i] = a.keys[(task.first + n) / a.group * 2 + 1];
			}
			for (uint32_t t = from; t < until; t++) {
				uint32_t key = start + t;
				float v = f16(pool[a.pages[task.pages + key / PAGE] * a.page_stride + size_t(key % PAGE) * a.head_dim + d]);
#pragma unroll
				for (int i = 0; i < 4; i++) {
					uint32_t n = first + i < task.count ? first + i : task.count - 1;
					// Not by a weight of zero: that would change the sign of a zero, and a page may hold anything.
					if (key >= begin[i] && key < end[i]) acc[i] = fma(weights[n][t], v, acc[i]);
				}
			}
#pragma unroll
			for (int i = 0; i < 4; i++)
				if (first + i < task.count) a.sums[place(a, task.first + first + i, kv_head, tile) * (1 + a.head_dim) + 1 + d] = acc[i];
		}
	}
}

/// Tiles in ascending order; blocks of threads over the slice's queries (x) and key heads (y).
__device__ inline void combine(const AttentionArgs &a) {
	uint32_t query = a.base + blockIdx.x, kv_head = blockIdx.y, row = query / a.group;
	uint32_t begin = a.keys[row * 2] / KEYS, end = (a.keys[row * 2 + 1] + KEYS - 1) / KEYS;
	float *out = a.out + ((size_t(row) * a.kv_heads + kv_head) * a.group + query % a.group) * a.head_dim;
	for (uint32_t d = threadIdx.x; d < a.head_dim; d += blockDim.x) {
		float total = 0.0f, sum = 0.0f;
		for (uint32_t tile = begin; tile < end; tile++) {
			const float *sums = a.sums + place(a, query, kv_head, tile) * (1 + a.head_dim);
			total = add(total, sums[0]), sum = add(sum, sums[1 + d]);
		}
		float y = div(sum, total);
		out[d] = y;
		if (magnitude(y) >= INFINITE) a.non_finite[row] = 1;
	}
}

} // namespace assay
