// Weights of each format (§2.1) as the kernels read them.
//
// A tile is 32 outputs. First come the weights of all blocks of 32 columns, then, of each group of blocks, 32 f16
// scales, and with zero points those, a byte each. Of a block the first 16 columns of the 32 outputs are 16 bytes each.
// With 8 bits the other 16 columns follow likewise; with 4 bits the first are low nibbles, and the others the high
// nibbles of the same bytes. So 32 threads that own an output each read 512 bytes in a row, and fragments of the tensor
// cores read shared memory without conflicts.

#pragma once
#include "common.cuh"

namespace assay {

/// How weights are stored. `Stored` in `src/gpu/kernels.rs` has the same numbers.
enum Format : uint32_t { W8 = 0, W4 = 1, W4Z = 2 };

struct Weights {
	const uint8_t *tiles;
	uint32_t values[4];       // W4: the 16 int8 that indices stand for
	uint32_t outputs, blocks; // blocks of 32 columns
	uint32_t group_log2;      // log₂ of a group's blocks; the last group may have fewer
	uint32_t format;
};

/// Bytes of a block's weights, and of what a group has beside them.
__device__ constexpr uint32_t weight_bytes(uint32_t format) { return format == W8 ? TILE * BLOCK : TILE * BLOCK / 2; }
__device__ constexpr uint32_t group_bytes(uint32_t format) { return TILE * 2 + (format == W4Z ? TILE : 0); }

__device__ inline uint32_t groups(const Weights &w) { return (w.blocks + (1u << w.group_log2) - 1) >> w.group_log2; }
__device__ inline size_t tile_bytes(const Weights &w, uint32_t format) {
	return size_t(w.blocks) * weight_bytes(format) + size_t(groups(w)) * group_bytes(format);
}
/// Whether a block is the last of its group.
__device__ inline bool ends_group(const Weights &w, uint32_t block) {
	uint32_t next = block + 1;
	return next == w.blocks || (next & ((1u << w.group_log2) - 1)) == 0;
}

constexpr uint32_t NIBBLES = 0x0f0f0f0fu;

/// Four int8, a byte each, of four stored weights, a byte each.
template <int FORMAT> __device__ inline uint32_t integers(uint32_t four, const uint32_t (&values)[4], uint32_t zero) {
	if (FORMAT == W8) return four;
	// The added bit takes the borrow, so that none goes on to the next byte, and leaves as the sign's.
	if (FORMAT == W4Z) return ((four | 0x80808080u) - zero * 0x01010101u) ^ 0x80808080u;
	// The indices side by side, as the selection of bytes from 8 takes them, without their highest bits, which decide
	// between the table's halves.
	uint32_t pairs = four | four >> 4;
	uint32_t select = ((pairs & 0xffu) | (pairs >> 8 & 0xff00u)) & 0x7777u;
	uint32_t low = __byte_perm(values[0], values[1], select), high = __byte_perm(values[2], values[3], select);
	uint32_t from_high = (four >> 3 & 0x01010101u) * 0xffu;
	return (low & ~from_high) | (high & from_high);
}

/// The integer weight of one output and column.
__device__ inline int32_t weight(const Weights &w, uint32_t output, uint32_t column) {
	uint32_t lane = output % TILE, block = column / BLOCK, c = column % BLOCK;
	const uint8_t *tile = w.tiles + size_t(output / TILE) * tile_bytes(w, w.format);
	const uint8_t *first = tile + size_t(block) * weight_bytes(w.format) + lane * 16 + c % 16;
	if (w.format == W8) return int8_t(first[c / 16 * 512]);
	uint32_t stored = first[0] >> c / 16 * 4 & 15;
	if (w.format == W4) return int8_t(w.values[stored / 4] >> stored % 4 * 8 & 0xff);
	const uint8_t *group = tile + size_t(w.blocks) * weight_bytes(W4Z) + size_t(block >> w.group_log2) * group_bytes(W4Z);
	return int32_t(stored) - int32_t(group[TILE * 2 + lane]);
}

/// The scale of one output and column.
__device__ inline float scale(const Weights &w, uint32_t output, uint32_t column) {
	const uint8_t *tile = w.tiles + size_t(output / TILE) * tile_bytes(w, w.format);
	const uint8_t *all = tile + size_t(w.blocks) * weight_bytes(w.format);
	const uint8_t *group = all + size_t(column / BLOCK >> w.group_log2) * group_bytes(w.format);
	return f16(reinterpret_cast<const uint16_t *>(group)[output % TILE]);
}

} // namespace assay
