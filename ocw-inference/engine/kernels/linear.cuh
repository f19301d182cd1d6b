// The product of quantized rows and weights (§2.2). Integers are exact in any order; the one fma a block goes up K in
// ascending order for each output and row, whoever made the integer.
//
// Weights and rows lie in tiles of 32, block by block; of a block two halves of 16 columns, in each 16 bytes of the
// first, the second … of the 32. So 32 threads that own an output each read 512 bytes in a row, and fragments of the
// tensor cores read shared memory without conflicts.

#pragma once
#include "common.cuh"

namespace assay {

struct QuantizeArgs {
	const float *x; // [rows, 32 · blocks]
	uint8_t *out;   // tiles of 32 rows; rows behind the last are zeros
	uint32_t rows, blocks;
};

/// One row and block for each warp; blocks of threads along K in x, rows (padded to 32) in y.
__device__ inline void quantize(const QuantizeArgs &a) {
	uint32_t lane = threadIdx.x % WARP, row = blockIdx.y;
	uint32_t b = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
	if (b >= a.blocks) return;
	float x = row < a.rows ? a.x[(size_t(row) * a.blocks + b) * BLOCK + lane] : 0.0f;
	float d = div(__uint_as_float(warp_max(magnitude(x))), 127.0f);
	// If d is 0, no element is above 1e-43, and dividing by 1 makes zeros of them.
	float v = div(x, d == 0.0f ? 1.0f : d);
	// The bounds matter only where d is subnormal and itself badly rounded.
	v = v > 127.0f ? 127.0f : v;
	v = v < -127.0f ? -127.0f : v;
	// Adding 1.5 · 2²³ rounds to an integer, ties to even, and leaves it in the low bits.
	uint8_t q = uint8_t(__float_as_uint(add(v, 12582912.0f)));
	uint8_t *block = a.out + (size_t(row / TILE) * a.blocks + b) * ROW_BYTES;
	block[lane / 16 * 512 + row % TILE * 16 + lane % 16] = q;
	if (lane == 0) reinterpret_cast<float *>(block + TILE * BLOCK)[row % TILE] = d;
}

struct LinearArgs {
	const uint8_t *weights; // tiles of 32 outputs
	const uint8_t *x;       // tiles of 32 rows
	const float *bias;      // [outputs] or null
	float *out;             // [rows, outputs]
	uint32_t outputs, rows, blocks;
};

__device__ inline void store(const LinearArgs &a, uint32_t output, uint32_t row, float acc) {
	if (output >= a.outputs || row >= a.rows) return;
	a.out[size_t(row) * a.outputs + output] = a.bias ? add(acc, a.bias[output]) : acc;
}

/// f32 of an integer below 2²² in size that was added to the bits of 1.5 · 2²³: exact.
constexpr int32_t MAGIC = 0x4b400000;
__device__ inline float unmagic(int32_t s) { return sub(__int_as_float(s), 12582912.0f); }

// ── few rows: bound by the reading of weights ─────────────────────────────────────────────────────────────────────────────

/// Most warps of a block of threads; at least one for each row.
constexpr int FEW_WARPS = 8;

/// Up to ROWS rows; a block of threads for each tile of 32 outputs. In a round each warp makes the integers of some
/// blocks, lane = output; then one warp for each row adds the round's blocks up, in order, while the others read on.
/// DEPTH: blocks of a round for each warp.
template <int ROWS, int DEPTH> __device__ inline void linear_few(const LinearArgs &a) {
	__shared__ float sums[2][FEW_WARPS * DEPTH][ROWS][WARP], scales[2][FEW_WARPS * DEPTH][ROWS][WARP];
	uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP, round = warps * DEPTH;
	const uint8_t *tile = a.weights + size_t(blockIdx.x) * a.blocks * WEIGHT_BYTES;
	uint4 w[DEPTH][2] = {};
	uint16_t scale[DEPTH] = {};
	auto load = [&](uint32_t first) {
#pragma unroll
		for (int i = 0; i < DEPTH; i++) {
			uint32_t b = first + i * warps + warp;
			if (b >= a.blocks) continue;
			const uint8_t *block = tile + size_t(b) * WEIGHT_BYTES;
			w[i][0] = reinterpret_cast<const uint4 *>(block)[lane];
			w[i][1] = reinterpret_cast<const uint4 *>(block)[WARP + lane];
			scale[i] = reinterpret_cast<const uint16_t *>(block + TILE * BLOCK)[lane];
		}
	};
	float acc = 0.0f;
	int buffer = 0;
	load(0);
	for (uint32_t first = 0; first < a.blocks; first += round, buffer ^= 1) {
#pragma unroll
		for (int i = 0; i < DEPTH; i++) {
			uint32_t in_round = i * warps + warp, b = first + in_round;
			if (b >= a.blocks) continue;
			const uint8_t *x = a.x + size_t(b) * ROW_BYTES;
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				uint4 low = reinterpret_cast<const uint4 *>(x)[r], high = reinterpret_cast<const uint4 *>(x)[TILE + r];
				int s = 0;
				s = __dp4a(int(w[i][0].x), int(low.x), s), s = __dp4a(int(w[i][0].y), int(low.y), s);
				s = __dp4a(int(w[i][0].z), int(low.z), s), s = __dp4a(int(w[i][0].w), int(low.w), s);
				s = __dp4a(int(w[i][1].x), int(high.x), s), s = __dp4a(int(w[i][1].y), int(high.y), s);
				s = __dp4a(int(w[i][1].z), int(high.z), s), s = __dp4a(int(w[i][1].w), int(high.w), s);
				float d = reinterpret_cast<const float *>(x + TILE * BLOCK)[r];
				sums[buffer][in_round][r][lane] = float(s);
				scales[buffer][in_round][r][lane] = mul(f16(scale[i]), d);
			}
		}
		load(first + round);
		// Behind this barrier the round is complete, and the sums of the round before have been read.
		__syncthreads();
		if (warp < ROWS) {
			uint32_t count = a.blocks - first < round ? a.blocks - first : round;
			for (uint32_t i = 0; i < count; i++) acc = fma(sums[buffer][i][warp][lane], scales[buffer][i][warp][lane], acc);
		}
	}
	if (warp < ROWS) store(a, blockIdx.x * TILE + lane, warp, acc);
}

// ── many rows: tensor cores ───────────────────────────────────────────────────────────────────────────────────────────────

/// Blocks that are copied together, and how many such copies are under way.
constexpr int STAGE_BLOCKS = 2;
constexpr int STAGES = 4;

/// Copies `count` blocks of some tiles to shared memory, 16 bytes a thread and turn. Tiles behind the last are copies
/// of it.
template <int TILES, int BYTES>
__device__ inline void copy_blocks(uint8_t *to, const uint8_t *from, uint32_t first_tile, uint32_t tiles, uint32_t blocks, uint32_t b, uint32_t count) {
	uint32_t units = count * (BYTES / 16);
	for (uint32_t i = threadIdx.x; i < TILES * units; i += blockDim.x) {
		uint32_t tile = i / units, unit = i % units;
		uint32_t source = first_tile + tile < tiles ? first_tile + tile : tiles - 1;
		copy_async(to + (tile * STAGE_BLOCKS * BYTES + unit * 16), from + (size_t(source) * blocks + b) * BYTES + unit * 16);
	}
}

/// A block of threads for OUTPUT_TILES · 32 outputs (x) and ROW_TILES · 32 rows (y), shared out among OUTPUT_WARPS ×
/// ROW_WARPS warps. Fragments are those of `mma.m16n8k32`: weights the first operand, rows the second, so k is one
/// block.
template <int OUTPUT_TILES, int ROW_TILES, int OUTPUT_WARPS, int ROW_WARPS> __device__ inline void linear_many(const LinearArgs &a) {
	constexpr int M = OUTPUT_TILES * TILE / OUTPUT_WARPS / 16, N = ROW_TILES * TILE / ROW_WARPS / 8;
	constexpr int WEIGHTS = STAGE_BLOCKS * OUTPUT_TILES * WEIGHT_BYTES, STAGE = WEIGHTS + STAGE_BLOCKS * ROW_TILES * ROW_BYTES;
	DYNAMIC_SHARED(uint8_t, shared);
	uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
	uint32_t group = lane / 4, quad = lane % 4;
	uint32_t output = warp % OUTPUT_WARPS * M * 16, row = warp / OUTPUT_WARPS * N * 8;
	uint32_t output_tiles = (a.outputs + TILE - 1) / TILE, row_tiles = (a.rows + TILE - 1) / TILE;
	uint32_t turns = (a.blocks + STAGE_BLOCKS - 1) / STAGE_BLOCKS;
	auto blocks_of = [&](uint32_t turn) {
		uint32_t left = a.blocks - turn * STAGE_BLOCKS;
		return left < STAGE_BLOCKS ? left : uint32_t(STAGE_BLOCKS);
	};
	auto fetch = [&](uint32_t turn) {
		if (turn < turns) {
			uint8_t *stage = shared + turn % STAGES * STAGE;
			uint32_t b = turn * STAGE_BLOCKS, count = blocks_of(turn);
			copy_blocks<OUTPUT_TILES, WEIGHT_BYTES>(stage, a.weights, blockIdx.x * OUTPUT_TILES, output_tiles, a.blocks, b, count);
			copy_blocks<ROW_TILES, ROW_BYTES>(stage + WEIGHTS, a.x, blockIdx.y * ROW_TILES, row_tiles, a.blocks, b, count);
		}
		commit_copies(); // also an empty one, so that the count of those under way stays the same
	};
	float acc[M][N][4] = {};
	for (uint32_t turn = 0; turn < STAGES - 1; turn++) fetch(turn);
	for (uint32_t turn = 0; turn < turns; turn++) {
		wait_for_copies<STAGES - 2>();
		// Behind this barrier the stage is there for all, and nobody reads the one that is filled next.
		__syncthreads();
		fetch(turn + STAGES - 1);
		const uint8_t *stage = shared + turn % STAGES * STAGE;
		for (uint32_t i = 0; i < blocks_of(turn); i++) {
			auto weights = [&](uint32_t o) { return stage + (o / TILE * STAGE_BLOCKS + i) * WEIGHT_BYTES; };
			auto rows = [&](uint32_t r) { return stage + WEIGHTS + (r / TILE * STAGE_BLOCKS + i) * ROW_BYTES; };
			uint32_t x[N][2];
			float d[N][2];
#pragma unroll
			for (int n = 0; n < N; n++) {
				uint32_t r = row + n * 8;
				const uint32_t *q = reinterpret_cast<const uint32_t *>(rows(r) + (r % TILE + group) * 16) + quad;
				x[n][0] = q[0], x[n][1] = q[512 / 4];
				const float *scales = reinterpret_cast<const float *>(rows(r) + TILE * BLOCK) + r % TILE + quad * 2;
				d[n][0] = scales[0], d[n][1] = scales[1];
			}
#pragma unroll
			for (int m = 0; m < M; m++) {
				uint32_t o = output + m * 16;
				const uint32_t *w = reinterpret_cast<const uint32_t *>(weights(o) + (o % TILE + group) * 16) + quad;
				uint32_t four[4] = {w[0], w[8 * 16 / 4], w[512 / 4], w[(512 + 8 * 16) / 4]};
				const uint16_t *scales = reinterpret_cast<const uint16_t *>(weights(o) + TILE * BLOCK) + o % TILE + group;
				float low = f16(scales[0]), high = f16(scales[8]);
#pragma unroll
				for (int n = 0; n < N; n++) {
					int32_t s[4] = {MAGIC, MAGIC, MAGIC, MAGIC};
					multiply(s, four, x[n]);
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
			uint32_t o = blockIdx.x * OUTPUT_TILES * TILE + output + m * 16 + group;
			uint32_t r = blockIdx.y * ROW_TILES * TILE + row + n * 8 + quad * 2;
			store(a, o, r, acc[m][n][0]), store(a, o, r + 1, acc[m][n][1]);
			store(a, o + 8, r, acc[m][n][2]), store(a, o + 8, r + 1, acc[m][n][3]);
		}
	}
}

} // namespace assay
