// The product of quantized rows and weights (§2.2). Integers are exact in any order; the one fma a group goes up K in
// ascending order for each output and row, whoever made the integers.
//
// Rows lie in tiles of 32 as weights of 8 bits do, but each block is followed by its scales.

#pragma once
#include "common.cuh"
#include "weights.cuh"

namespace assay {

struct QuantizeArgs {
	const float *x; // [rows, 32 · blocks]
	uint8_t *out;   // tiles of 32 rows; rows behind the last are zeros
	uint32_t rows, blocks;
	uint32_t group_log2; // as in `Weights`
};

/// One row and group for each warp; blocks of threads along K in x, rows (padded to 32) in y.
__device__ inline void quantize(const QuantizeArgs &a) {
	uint32_t lane = threadIdx.x % WARP, row = blockIdx.y;
	uint32_t group = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
	uint32_t first = group << a.group_log2, end = (group + 1) << a.group_log2;
	end = end < a.blocks ? end : a.blocks;
	auto element = [&](uint32_t b) { return row < a.rows ? a.x[(size_t(row) * a.blocks + b) * BLOCK + lane] : 0.0f; };
	uint32_t largest = 0;
	for (uint32_t b = first; b < end; b++) {
		uint32_t size = magnitude(element(b));
		largest = size > largest ? size : largest;
	}
	float d = div(__uint_as_float(warp_max(largest)), 127.0f);
	for (uint32_t b = first; b < end; b++) {
		// If d is 0, no element is above 1e-43, and dividing by 1 makes zeros of them.
		float v = div(element(b), d == 0.0f ? 1.0f : d);
		// The bounds matter only where d is subnormal and itself badly rounded.
		v = v > 127.0f ? 127.0f : v;
		v = v < -127.0f ? -127.0f : v;
		// Adding 1.5 · 2²³ rounds to an integer, ties to even, and leaves it in the low bits.
		uint8_t q = uint8_t(__float_as_uint(add(v, 12582912.0f)));
		uint8_t *block = a.out + (size_t(row / TILE) * a.blocks + b) * ROW_BYTES;
		block[lane / 16 * 512 + row % TILE * 16 + lane % 16] = q;
		if (lane == 0) reinterpret_cast<float *>(block + TILE * BLOCK)[row % TILE] = d;
	}
}

struct LinearArgs {
	Weights w;
	const uint8_t *x;  // tiles of 32 rows
	const float *bias; // [outputs] or null
	float *out;        // the first of the outputs in the first of the rows
	uint32_t rows;
	uint32_t stride; // elements from one row of `out` to the next
};

__device__ inline void store(const LinearArgs &a, uint32_t output, uint32_t row, float acc) {
	if (output >= a.w.outputs || row >= a.rows) return;
	a.out[size_t(row) * a.stride + output] = a.bias ? add(acc, a.bias[output]) : acc;
}

/// f32 of an integer below 2²² in size that was added to the bits of 1.5 · 2²³: exact.
constexpr int32_t MAGIC = 0x4b400000;
__device__ inline float unmagic(int32_t s) { return sub(__int_as_float(s), 12582912.0f); }

// ── few rows: bound by the reading of weights ─────────────────────────────────────────────────────────────────────────────

/// Most warps of a block of threads; at least one for each row.
constexpr int FEW_WARPS = 8;

/// s + the sum of 16 products of int8.
__device__ inline int32_t dot(const uint4 &w, const uint4 &x, int32_t s) {
	s = __dp4a(int(w.x), int(x.x), s), s = __dp4a(int(w.y), int(x.y), s);
	return __dp4a(int(w.w), int(x.w), __dp4a(int(w.z), int(x.z), s));
}

/// Int8 of 16 stored weights.
template <int FORMAT> __device__ inline uint4 integers(uint4 w, const uint32_t (&values)[4], uint32_t zero) {
	w.x = integers<FORMAT>(w.x, values, zero), w.y = integers<FORMAT>(w.y, values, zero);
	w.z = integers<FORMAT>(w.z, values, zero), w.w = integers<FORMAT>(w.w, values, zero);
	return w;
}

/// The low, or the high, nibbles of 16 bytes.
__device__ inline uint4 nibbles(const uint4 &w, int shift) {
	uint4 out = {w.x >> shift & NIBBLES, w.y >> shift & NIBBLES, w.z >> shift & NIBBLES, w.w >> shift & NIBBLES};
	return out;
}

/// Up to ROWS rows; a block of threads for each tile of 32 outputs. In a round each warp makes the integers of some
/// blocks, lane = output; then one warp for each row adds the round's blocks up, in order, while the others read on. A
/// group may go on in the next round. DEPTH: blocks of a round for each warp.
template <int ROWS, int DEPTH, int FORMAT> __device__ inline void linear_few(const LinearArgs &a) {
	__shared__ int32_t sums[2][FEW_WARPS * DEPTH][ROWS][WARP];
	__shared__ float scales[2][FEW_WARPS * DEPTH][ROWS][WARP];
	uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP, round = warps * DEPTH;
	const uint8_t *tile = a.w.tiles + blockIdx.x * tile_bytes(a.w, FORMAT);
	const uint8_t *groups = tile + size_t(a.w.blocks) * weight_bytes(FORMAT);
	uint4 w[DEPTH][2] = {};
	uint16_t scale[DEPTH] = {};
	uint8_t zero[DEPTH] = {};
	auto load = [&](uint32_t first) {
#pragma unroll
		for (int i = 0; i < DEPTH; i++) {
			uint32_t b = first + i * warps + warp;
			if (b >= a.w.blocks) continue;
			const uint4 *block = reinterpret_cast<const uint4 *>(tile + size_t(b) * weight_bytes(FORMAT));
			w[i][0] = block[lane];
			if (FORMAT == W8) w[i][1] = block[WARP + lane];
			const uint8_t *group = groups + size_t(b >> a.w.group_log2) * group_bytes(FORMAT);
			scale[i] = reinterpret_cast<const uint16_t *>(group)[lane];
			if (FORMAT == W4Z) zero[i] = group[TILE * 2 + lane];
		}
	};
	float acc = 0.0f;
	int32_t of_group = 0;
	int buffer = 0;
	load(0);
	for (uint32_t first = 0; first < a.w.blocks; first += round, buffer ^= 1) {
#pragma unroll
		for (int i = 0; i < DEPTH; i++) {
			uint32_t in_round = i * warps + warp, b = first + in_round;
			if (b >= a.w.blocks) continue;
			uint4 left = w[i][0], right = w[i][1];
			if (FORMAT != W8) left = nibbles(w[i][0], 0), right = nibbles(w[i][0], 4);
			left = integers<FORMAT>(left, a.w.values, zero[i]), right = integers<FORMAT>(right, a.w.values, zero[i]);
			const uint8_t *x = a.x + size_t(b) * ROW_BYTES;
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				const uint4 *q = reinterpret_cast<const uint4 *>(x);
				float d = reinterpret_cast<const float *>(x + TILE * BLOCK)[r];
				sums[buffer][in_round][r][lane] = dot(right, q[TILE + r], dot(left, q[r], 0));
				scales[buffer][in_round][r][lane] = mul(f16(scale[i]), d);
			}
		}
		load(first + round);
		// Behind this barrier the round is complete, and the sums of the round before have been read.
		__syncthreads();
		if (warp < ROWS) {
			uint32_t count = a.w.blocks - first < round ? a.w.blocks - first : round;
			for (uint32_t i = 0; i < count; i++) {
				of_group += sums[buffer][i][warp][lane];
				if (!ends_group(a.w, first + i)) continue;
				acc = fma(float(of_group), scales[buffer][i][warp][lane], acc);
				of_group = 0;
			}
		}
	}
	if (warp < ROWS) store(a, blockIdx.x * TILE + lane, warp, acc);
}

// ── many rows: tensor cores ───────────────────────────────────────────────────────────────────────────────────────────────

/// Blocks that are copied together, and how many such copies are under way.
constexpr int STAGE_BLOCKS = 2;
constexpr int STAGES = 4;

/// Copies to shared memory, 16 bytes a thread and turn: `source(tile, block, unit)` says whence the units of `BYTES` bytes
/// of a block come. Tiles behind the last are copies of it.
template <int TILES, int BYTES, class Source>
__device__ inline void copy_blocks(uint8_t *to, uint32_t first_tile, uint32_t tiles, uint32_t count, Source source) {
	constexpr uint32_t UNITS = BYTES / 16;
	for (uint32_t i = threadIdx.x; i < TILES * count * UNITS; i += blockDim.x) {
		uint32_t unit = i % UNITS, block = i / UNITS % count, tile = i / UNITS / count;
		uint32_t from = first_tile + tile < tiles ? first_tile + tile : tiles - 1;
		copy_async(to + ((tile * STAGE_BLOCKS + block) * BYTES + unit * 16), source(from, block, unit));
	}
}

/// A thread's part of 16 outputs and a block's columns, the first operand of `mma.m16n8k32`: outputs `at` and `at + 8`,
/// four columns in each half of the block.
template <int FORMAT>
__device__ inline void fragment(uint32_t (&four)[4], const uint8_t *block, uint32_t at, uint32_t quad, const uint32_t (&values)[4]) {
	const uint32_t *w = reinterpret_cast<const uint32_t *>(block + at * 16) + quad;
	uint32_t near = w[0], far = w[8 * 16 / 4];
	if (FORMAT == W8) {
		four[0] = near, four[1] = far, four[2] = w[512 / 4], four[3] = w[(512 + 8 * 16) / 4];
		return;
	}
	const uint8_t *zeros = block + TILE * BLOCK / 2 + TILE * 2 + at;
	uint32_t zero[2] = {};
	if (FORMAT == W4Z) zero[0] = zeros[0], zero[1] = zeros[8];
	four[0] = integers<FORMAT>(near & NIBBLES, values, zero[0]), four[1] = integers<FORMAT>(far & NIBBLES, values, zero[1]);
	four[2] = integers<FORMAT>(near >> 4 & NIBBLES, values, zero[0]), four[3] = integers<FORMAT>(far >> 4 & NIBBLES, values, zero[1]);
}

/// A block of threads for OUTPUT_TILES · 32 outputs (x) and ROW_TILES · 32 rows (y), shared out among OUTPUT_WARPS ×
/// ROW_WARPS warps. Fragments are those of `mma.m16n8k32`: weights the first operand, rows the second, so k is one
/// block. Only if LONG may a group have more than one.
template <int OUTPUT_TILES, int ROW_TILES, int OUTPUT_WARPS, int ROW_WARPS, int FORMAT, bool LONG>
__device__ inline void linear_many(const LinearArgs &a) {
	constexpr int M = OUTPUT_TILES * TILE / OUTPUT_WARPS / 16, N = ROW_TILES * TILE / ROW_WARPS / 8;
	// In shared memory each block has its group's scales and zero points behind it.
	constexpr int STORED = FORMAT == W8 ? TILE * BLOCK : TILE * BLOCK / 2;
	constexpr int BLOCK_BYTES = STORED + TILE * 2 + (FORMAT == W4Z ? TILE : 0);
	constexpr int WEIGHTS = STAGE_BLOCKS * OUTPUT_TILES * BLOCK_BYTES, STAGE = WEIGHTS + STAGE_BLOCKS * ROW_TILES * ROW_BYTES;
	DYNAMIC_SHARED(uint8_t, shared);
	uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
	uint32_t eighth = lane / 4, quad = lane % 4;
	uint32_t output = warp % OUTPUT_WARPS * M * 16, row = warp / OUTPUT_WARPS * N * 8;
	uint32_t output_tiles = (a.w.outputs + TILE - 1) / TILE, row_tiles = (a.rows + TILE - 1) / TILE;
	uint32_t turns = (a.w.blocks + STAGE_BLOCKS - 1) / STAGE_BLOCKS;
	auto blocks_of = [&](uint32_t turn) {
		uint32_t left = a.w.blocks - turn * STAGE_BLOCKS;
		return left < STAGE_BLOCKS ? left : uint32_t(STAGE_BLOCKS);
	};
	auto fetch = [&](uint32_t turn) {
		if (turn < turns) {
			uint8_t *stage = shared + turn % STAGES * STAGE;
			uint32_t b = turn * STAGE_BLOCKS, count = blocks_of(turn);
			copy_blocks<OUTPUT_TILES, BLOCK_BYTES>(stage, blockIdx.x * OUTPUT_TILES, output_tiles, count, [&](uint32_t tile, uint32_t block, uint32_t unit) {
				const uint8_t *from = a.w.tiles + tile * tile_bytes(a.w, FORMAT);
				if (unit < STORED / 16) return from + (size_t(b + block) * STORED + unit * 16);
				size_t group = (b + block) >> a.w.group_log2;
				return from + (size_t(a.w.blocks) * STORED + group * (BLOCK_BYTES - STORED) + (unit * 16 - STORED));
			});
			copy_blocks<ROW_TILES, ROW_BYTES>(stage + WEIGHTS, blockIdx.y * ROW_TILES, row_tiles, count, [&](uint32_t tile, uint32_t block, uint32_t unit) {
				return a.x + ((size_t(tile) * a.w.blocks + b + block) * ROW_BYTES + unit * 16);
			});
		}
		commit_copies(); // also an empty one, so that the count of those under way stays the same
	};
	float acc[M][N][4] = {};
	// Sums that a group's blocks leave to the next block.
	int32_t of_group[LONG ? M : 1][LONG ? N : 1][4] = {};
	for (uint32_t turn = 0; turn < STAGES - 1; turn++) fetch(turn);
	for (uint32_t turn = 0; turn < turns; turn++) {
		wait_for_copies<STAGES - 2>();
		// Behind this barrier the stage is there for all, and nobody reads the one that is filled next.
		__syncthreads();
		fetch(turn + STAGES - 1);
		const uint8_t *stage = shared + turn % STAGES * STAGE;
		for (uint32_t i = 0; i < blocks_of(turn); i++) {
			auto weights = [&](uint32_t o) { return stage + (o / TILE * STAGE_BLOCKS + i) * BLOCK_BYTES; };
			auto rows = [&](uint32_t r) { return stage + WEIGHTS + (r / TILE * STAGE_BLOCKS + i) * ROW_BYTES; };
			bool last = !LONG || ends_group(a.w, turn * STAGE_BLOCKS + i);
			uint32_t x[N][2];
			float d[N][2];
#pragma unroll
			for (int n = 0; n < N; n++) {
				uint32_t r = row + n * 8;
				const uint32_t *q = reinterpret_cast<const uint32_t *>(rows(r) + (r % TILE + eighth) * 16) + quad;
				x[n][0] = q[0], x[n][1] = q[512 / 4];
				const float *scales = reinterpret_cast<const float *>(rows(r) + TILE * BLOCK) + r % TILE + quad * 2;
				d[n][0] = scales[0], d[n][1] = scales[1];
			}
#pragma unroll
			for (int m = 0; m < M; m++) {
				uint32_t o = output + m * 16, at = o % TILE + eighth;
				uint32_t four[4];
				fragment<FORMAT>(four, weights(o), at, quad, a.w.values);
				const uint16_t *scales = reinterpret_cast<const uint16_t *>(weights(o) + STORED) + at;
				float low = f16(scales[0]), high = f16(scales[8]);
#pragma unroll
				for (int n = 0; n < N; n++) {
					int32_t s[4] = {MAGIC, MAGIC, MAGIC, MAGIC};
					int32_t (&kept)[4] = of_group[LONG ? m : 0][LONG ? n : 0];
					if (LONG) {
						multiply(kept, four, x[n]);
						if (!last) continue;
#pragma unroll
						for (int j = 0; j < 4; j++) s[j] += kept[j], kept[j] = 0;
					} else {
						multiply(s, four, x[n]);
					}
					acc[m][n][0] = fma(unmagic(s[0]), mul(low, d[n][0]), acc[m][n][0]);
					acc[m][n][1] = fma(unmagic(s[1]), mul(low, d[n][1]), acc[m][n][1]);
					acc[m][n][2] = fma(unmagic(s[2]), mul(high, d[n][0]), acc[m][n][2]);
					acc[m][n][3] = fma(unmagic(s[3]), mul(high, d[n][1]), acc[m][n][3]);
				}
			}
		}
	}
	wait_for_copies<0>();
#pragma unroll
	for (int m = 0; m < M; m++) {
#pragma unroll
		for (int n = 0; n < N; n++) {
			uint32_t o = blockIdx.x * OUTPUT_TILES * TILE + output + m * 16 + eighth;
			uint32_t r = blockIdx.y * ROW_TILES * TILE + row + n * 8 + quad * 2;
			store(a, o, r, acc[m][n][0]), store(a, o, r + 1, acc[m][n][1]);
			store(a, o + 8, r, acc[m][n][2]), store(a, o + 8, r + 1, acc[m][n][3]);
		}
	}
}

} // namespace assay
