//! The kernels' parameters, as `kernels/*.cuh` lay them out, and how each kernel is launched.
//!
//! Addresses are of the device's memory. Every struct is written without gaps, so that its bytes are defined.

use super::Launch;
use bytemuck::{Pod, Zeroable};

/// Bytes of a block of 32 columns of 32 outputs, and of 32 rows.
pub(super) const WEIGHT_BYTES: usize = 32 * 32 + 32 * 2;
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
	/// §2.3
	Embed { ids: u64, table: u64, out: u64, blocks: u32, rows: u32 }
}
arguments! {
	/// §2.4
	Norm { x: u64, w: u64, out: u64, non_finite: u64, width: u32, epsilon: f32, rows: u32, pad: u32 }
}
arguments! {
	/// §2.9, §2.6, and the writing of §2.7
	RopeAndWriteKv {
		x: u64, out: u64, pool: u64, q_norm: u64, k_norm: u64, cos: u64, sin: u64, positions: u64, pages: u64, non_finite: u64,
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
	Quantize { x: u64, out: u64, rows: u32, blocks: u32 }
}
arguments! {
	/// The second half of §2.2.
	Linear { weights: u64, x: u64, bias: u64, out: u64, outputs: u32, rows: u32, blocks: u32, pad: u32 }
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
		launch("assay_embed", [self.rows, 1, 1], threads_for(self.blocks * 32), 0)
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
		let warps = self.blocks.min(WARPS);
		let grid = [self.blocks.div_ceil(warps), self.rows.next_multiple_of(32), 1];
		launch("assay_quantize", grid, warps * 32, 0)
	}
}

impl Arguments for Linear {
	fn launch(&self) -> Launch {
		let tiles = self.outputs.div_ceil(32);
		// Four copies of two blocks under way: see `linear.cuh`.
		let stages = |tiles: usize| (4 * 2 * tiles * (WEIGHT_BYTES + ROW_BYTES)) as u32;
		// A warp for every two blocks, and for each row one that adds up.
		let few = |kernel, rows: u32| {
			let warps = self.blocks.div_ceil(2).clamp(rows, WARPS);
			launch(kernel, [tiles, 1, 1], warps * 32, 0)
		};
		match self.rows {
			0..=1 => few("assay_linear_1", 1),
			2 => few("assay_linear_2", 2),
			3..=4 => few("assay_linear_4", 4),
			5..=8 => few("assay_linear_8", 8),
			9..=64 => launch("assay_linear_32", [tiles, self.rows.div_ceil(32), 1], 128, stages(1)),
			_ => {
				let grid = [tiles.div_ceil(4), self.rows.div_ceil(128), 1];
				launch("assay_linear_128", grid, THREADS, stages(4))
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
