//! The kernels' parameters, as `kernels/*.cuh` lay them out, and how each kernel is launched.
//!
//! Addresses are of the device's memory. Every struct is written without gaps, so that its bytes are defined.

use super::Launch;
use assay_numerics::format::MatrixFormat;
use bytemuck::{Pod, Zeroable};

/// Bytes of a block of 32 columns of 32 rows.
pub(super) const ROW_BYTES: usize = 32 * 32 + 32 * 4;
/// Most queries of a [`Task`].
pub(super) const QUERIES: usize = 16;
/// Keys of a tile.
pub(super) const KEYS: usize = 256;

const THREADS: u32 = 256;
const WARPS: u32 = THREADS / 32;

/// Parameters of one kernel.
pub(super) trait Arguments: Pod {
	/// How it is launched.
	fn launch(&self) -> Launch;
}

/// How weights are stored, as `kernels/weights.cuh` numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Stored {
	W8 = 0,
	W4 = 1,
	W4z = 2,
}

impl Stored {
	/// Returns how the weights of a format are stored.
	pub(super) fn of(format: &MatrixFormat) -> Self {
		match format {
			MatrixFormat::W8 { .. } => Self::W8,
			MatrixFormat::W4 { .. } => Self::W4,
			MatrixFormat::W4z { .. } => Self::W4z,
		}
	}

	/// Returns the one that [`Weights`] names by its number.
	fn numbered(format: u32) -> Self {
		match format {
			0 => Self::W8,
			1 => Self::W4,
			_ => Self::W4z,
		}
	}

	/// Returns the bytes of a block of 32 columns of 32 outputs.
	pub(super) fn weight_bytes(self) -> usize {
		match self {
			Self::W8 => 32 * 32,
			Self::W4 | Self::W4z => 32 * 32 / 2,
		}
	}

	/// Returns the bytes of what a group of 32 outputs has besides its weights: scales and zero points.
	pub(super) fn group_bytes(self) -> usize {
		match self {
			Self::W8 | Self::W4 => 32 * 2,
			Self::W4z => 32 * 2 + 32,
		}
	}
}

/// Declares the struct of a kernel's parameters.
macro_rules! arguments {
	($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
		$(#[$doc])*
		#[repr(C)]
		#[derive(Clone, Copy, Default)]
		pub(super) struct $name { $(pub(super) $field: $type),* }

		// SAFETY: numbers only, whose sizes add up to the struct's: there are no gaps.
		unsafe impl Zeroable for $name {}
		// SAFETY: as above.
		unsafe impl Pod for $name {}
		const _: () = assert!(std::mem::size_of::<$name>() == 0 $(+ std::mem::size_of::<$type>())*);
	};
}

arguments! {
	/// A matrix of one format; a part of other parameters.
	Weights { tiles: u64, values: [u32; 4], outputs: u32, blocks: u32, group_log2: u32, format: u32 }
}
arguments! {
	/// §2.3
	Embed { table: Weights, ids: u64, out: u64, rows: u32, pad: u32 }
}
arguments! {
	/// §2.4
	Norm { x: u64, w: u64, out: u64, non_finite: u64, width: u32, epsilon: f32, rows: u32, pad: u32 }
}
arguments! {
	/// §2.9, §2.6, and the writing of §2.7
	RopeAndWriteKv {
		x: u64, out: u64, pool: u64, kv: u64, q_norm: u64, k_norm: u64, cos: u64, sin: u64, positions: u64, pages: u64, non_finite: u64,
		page_stride: u64, layer_offset: u64,
		heads: u32, kv_heads: u32, head_dim: u32, epsilon: f32, rows: u32, pad: u32,
	}
}
arguments! {
	/// §2.8
	Gate { x: u64, out: u64, non_finite: u64, intermediate: u32, rows: u32 }
}
arguments! {
	/// The sum of two rows.
	Residual { x: u64, y: u64, out: u64, non_finite: u64, width: u32, rows: u32 }
}
arguments! {
	/// Logits to Q16.16 (§5.1)
	QuantizeLogits { logits: u64, fixed: u64, summary: u64, vocabulary: u32, rows: u32 }
}
arguments! {
	/// Rows to int8, the first half of §2.2.
	Quantize { x: u64, out: u64, rows: u32, blocks: u32, group_log2: u32, pad: u32 }
}
arguments! {
	/// The second half of §2.2.
	Linear { weights: Weights, x: u64, bias: u64, out: u64, rows: u32, stride: u32 }
}
arguments! {
	/// Queries that go together, see `attention.cuh`.
	Task { first: u32, count: u32, pages: u32, begin: u32, end: u32 }
}
arguments! {
	/// §2.7
	Attention {
		q: u64, pool: u64, pages: u64, tasks: u64, keys: u64, scores: u64, largest: u64, sums: u64, out: u64, non_finite: u64,
		page_stride: u64, layer_offset: u64,
		base: u32, tiles: u32, first_tile: u32, kv_heads: u32, group: u32, head_dim: u32, scale: f32, pad: u32,
	}
}

/// As many threads as there is work for, whole warps.
fn threads_for(work: u32) -> u32 {
	work.next_multiple_of(32).clamp(32, THREADS)
}

fn launch(kernel: &'static str, grid: [u32; 3], threads: u32, shared: u32) -> Launch {
	Launch {
		kernel,
		grid,
		threads,
		shared,
	}
}

impl Arguments for Embed {
	fn launch(&self) -> Launch {
		launch("assay_embed", [self.rows, 1, 1], threads_for(self.table.blocks * 32), 0)
	}
}

impl Arguments for Norm {
	fn launch(&self) -> Launch {
		launch(
			"assay_rms_norm",
			[self.rows, 1, 1],
			threads_for(self.width),
			self.width * 4,
		)
	}
}

impl Arguments for RopeAndWriteKv {
	fn launch(&self) -> Launch {
		let warps = (self.heads + 2 * self.kv_heads).min(WARPS);
		launch(
			"assay_rope_and_write_kv",
			[self.rows, 1, 1],
			warps * 32,
			warps * self.head_dim * 4,
		)
	}
}

impl Arguments for Gate {
	fn launch(&self) -> Launch {
		let threads = threads_for(self.intermediate);
		launch(
			"assay_gate",
			[self.intermediate.div_ceil(threads), self.rows, 1],
			threads,
			0,
		)
	}
}

impl Arguments for Residual {
	fn launch(&self) -> Launch {
		launch(
			"assay_residual",
			[self.width.div_ceil(THREADS), self.rows, 1],
			THREADS,
			0,
		)
	}
}

impl Arguments for QuantizeLogits {
	fn launch(&self) -> Launch {
		launch("assay_quantize_logits", [self.rows, 1, 1], THREADS, 0)
	}
}

impl Arguments for Quantize {
	fn launch(&self) -> Launch {
		let groups = self.blocks.div_ceil(1 << self.group_log2);
		let warps = groups.min(WARPS);
		let grid = [groups.div_ceil(warps), self.rows.next_multiple_of(32), 1];
		launch("assay_quantize", grid, warps * 32, 0)
	}
}

/// The kernels of few rows: 1, 2, 4 and 8.
fn few_rows(stored: Stored) -> [&'static str; 4] {
	match stored {
		Stored::W8 => [
			"assay_linear_1_w8",
			"assay_linear_2_w8",
			"assay_linear_4_w8",
			"assay_linear_8_w8",
		],
		Stored::W4 => [
			"assay_linear_1_w4",
			"assay_linear_2_w4",
			"assay_linear_4_w4",
			"assay_linear_8_w4",
		],
		Stored::W4z => [
			"assay_linear_1_w4z",
			"assay_linear_2_w4z",
			"assay_linear_4_w4z",
			"assay_linear_8_w4z",
		],
	}
}

/// The kernels of many rows: tiles of 32 and of 128. `long`: a group may have more than a block.
fn many_rows(stored: Stored, long: bool) -> [&'static str; 2] {
	match (stored, long) {
		(Stored::W8, false) => ["assay_linear_32_w8", "assay_linear_128_w8"],
		(Stored::W8, true) => ["assay_linear_32_w8_long", "assay_linear_128_w8_long"],
		(Stored::W4, _) => ["assay_linear_32_w4", "assay_linear_128_w4"],
		(Stored::W4z, false) => ["assay_linear_32_w4z", "assay_linear_128_w4z"],
		(Stored::W4z, true) => ["assay_linear_32_w4z_long", "assay_linear_128_w4z_long"],
	}
}

impl Arguments for Linear {
	fn launch(&self) -> Launch {
		let stored = Stored::numbered(self.weights.format);
		let tiles = self.weights.outputs.div_ceil(32);
		// Four copies of two blocks under way: see `linear.cuh`.
		let stages = |tiles: usize| (4 * 2 * tiles * (stored.weight_bytes() + stored.group_bytes() + ROW_BYTES)) as u32;
		// A warp for every two blocks, and for each row one that adds up.
		let few = |which: usize, rows: u32| {
			let warps = self.weights.blocks.div_ceil(2).clamp(rows, WARPS);
			launch(few_rows(stored)[which], [tiles, 1, 1], warps * 32, 0)
		};
		let [by_32, by_128] = many_rows(stored, self.weights.group_log2 > 0);
		match self.rows {
			0..=1 => few(0, 1),
			2 => few(1, 2),
			3..=4 => few(2, 4),
			5..=8 => few(3, 8),
			9..=64 => launch(by_32, [tiles, self.rows.div_ceil(32), 1], 128, stages(1)),
			_ => {
				let grid = [tiles.div_ceil(4), self.rows.div_ceil(128), 1];
				launch(by_128, grid, THREADS, stages(4))
			}
		}
	}
}

impl Attention {
	/// The three launches of a slice of `tasks` tasks and `queries` queries.
	pub(super) fn launches(&self, tasks: u32, queries: u32) -> [Launch; 3] {
		let grid = [self.tiles, tasks, self.kv_heads];
		let shared = QUERIES as u32 * self.head_dim * 4;
		[
			launch("assay_scores", grid, KEYS as u32, shared),
			launch("assay_values", grid, KEYS as u32 + 32, 0),
			launch(
				"assay_combine",
				[queries, self.kv_heads, 1],
				threads_for(self.head_dim).min(128),
				0,
			),
		]
	}
}
