//! Linear layers: int8 weights and activations in blocks of 32 along K, exact integer sums, then one `fma` a block
//! (`docs/spec/c1-w8.md` §2.2).
//!
//! Rows are quantized once, into panels of a few rows. A kernel multiplies one tile of 32 outputs with one panel, and
//! keeps all sums in registers from the first block to the last. Work items are ranges of tiles, so that the threads
//! read different weights; where there are few tiles and many rows, panels are split too.

#[cfg(all(feature = "simd", target_arch = "x86_64"))]
mod avx2;
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
mod avx512;
#[cfg(all(feature = "simd", target_arch = "aarch64"))]
mod neon;
mod panels;
mod portable;

use crate::{
	error::bail_shape,
	packed::{PackedMatrix, BLOCK, TILE},
	threads, Isa, Result,
};
use core::ops::Range;
use panels::Panels;

/// Multiplications from which on a second thread is worth waking.
const WORTH_THREADS: usize = 1 << 18;
/// Work items for each thread, so that one that is disturbed leaves some to the others: of one panel, and of several,
/// where items take longer.
const PIECES: [usize; 2] = [8, 16];

/// `y = x · Wᵀ + bias`. Operand: x f32 `[rows, K]`; result `[rows, N]`. The bias is one addition after the last block.
pub struct Linear<'a> {
	/// W `[N, K]`.
	pub weight: &'a PackedMatrix,
	/// f32 `[N]`.
	pub bias: Option<&'a [f32]>,
	/// Which instructions compute.
	pub isa: Isa,
}

impl Linear<'_> {
	/// Computes the operation on slices: x `[rows, K]`, out `[rows, N]`.
	pub fn apply(&self, x: &[f32], out: &mut [f32]) -> Result<()> {
		self.run(x, out, WriteMode::Write)
	}

	/// Computes `out = out + y`, one more addition for each element (§3): the residual stream.
	pub fn add_to(&self, x: &[f32], out: &mut [f32]) -> Result<()> {
		self.run(x, out, WriteMode::Add)
	}

	fn run(&self, x: &[f32], out: &mut [f32], mode: WriteMode) -> Result<()> {
		let (n, k) = (self.weight.rows(), self.weight.width());
		let rows = x.len() / k;
		if rows * k != x.len() || rows * n != out.len() || self.bias.is_some_and(|b| b.len() != n) {
			bail_shape!("linear: {} values for W [{n}, {k}], {} results", x.len(), out.len());
		}
		let panel = match self.isa {
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Isa::Avx2 => avx2::ROWS,
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Isa::Avx512 => avx512::ROWS,
			#[cfg(all(feature = "simd", target_arch = "aarch64"))]
			Isa::Neon => neon::ROWS,
			_ => panels::MAX_ROWS,
		};
		let product = Product {
			weight: self.weight,
			bias: self.bias,
			isa: self.isa,
			panels: &Panels::new(x, k, panel, self.isa)?,
			out: Columns {
				start: out.as_mut_ptr(),
				width: n,
				mode,
			},
		};
		let (tiles, panels) = (self.weight.tiles(), product.panels.count());
		let threads = threads::count();
		if threads == 1 || rows * n * k < WORTH_THREADS {
			return product.run(0..tiles, 0..panels);
		}
		let pieces = threads * PIECES[usize::from(panels > 1)];
		let cuts = tiles.min(pieces);
		let row_cuts = pieces.div_ceil(cuts).min(panels);
		threads::try_for_each(0..cuts * row_cuts, |piece| {
			let cut = |i: usize, cuts: usize, all: usize| i * all / cuts..(i + 1) * all / cuts;
			product.run(
				cut(piece / row_cuts, cuts, tiles),
				cut(piece % row_cuts, row_cuts, panels),
			)
		})
	}
}

/// One product, ready to be cut into pieces.
struct Product<'a> {
	weight: &'a PackedMatrix,
	bias: Option<&'a [f32]>,
	isa: Isa,
	panels: &'a Panels,
	out: Columns,
}

/// Whether a result replaces what is there or is added to it.
#[derive(Clone, Copy)]
enum WriteMode {
	Write,
	Add,
}

/// The result `[rows, width]`, written by several threads, each its own tiles and rows.
struct Columns {
	start: *mut f32,
	width: usize,
	mode: WriteMode,
}

// SAFETY: the pieces of a product are disjoint ranges of tiles and panels, so no element is written twice.
unsafe impl Sync for Columns {}

impl Columns {
	/// Returns where a tile's results of a row go.
	fn at(&self, tile: usize, row: usize) -> *mut f32 {
		self.start.wrapping_add(row * self.width + tile * TILE)
	}

	/// Asks for the memory of results while they are computed: rows lie far apart.
	fn prefetch(&self, tile: usize, rows: Range<usize>) {
		#[cfg(all(feature = "simd", target_arch = "x86_64"))]
		for row in rows {
			use core::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
			let at = self.at(tile, row).cast::<i8>();
			// SAFETY: it reads nothing, may point anywhere, and every x86-64 has it.
			unsafe {
				_mm_prefetch::<_MM_HINT_T0>(at);
				_mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(64));
			}
		}
		#[cfg(not(all(feature = "simd", target_arch = "x86_64")))]
		let _ = (tile, rows);
	}
}

impl Product<'_> {
	/// Computes the outputs of some tiles for the rows of some panels.
	fn run(&self, tiles: Range<usize>, panels: Range<usize>) -> Result<()> {
		self.isa.check()?;
		let blocks = self.weight.width() / BLOCK;
		let mut sums = [[0f32; TILE]; panels::MAX_ROWS];
		for tile in tiles {
			let weights = self.weight.tile(tile);
			for panel in panels.clone() {
				let rows = self.panels.rows(panel);
				let (words, sums) = (self.panels.words(panel), &mut sums[..rows.len()]);
				self.out.prefetch(tile, rows.clone());
				match self.isa {
					// SAFETY: `check` asked the CPU for the features; `PackedMatrix` and `Panels` have the lengths of
					// `blocks`.
					#[cfg(all(feature = "simd", target_arch = "x86_64"))]
					Isa::Avx512 => unsafe { avx512::tile(weights, words, blocks, sums) },
					// SAFETY: as above.
					#[cfg(all(feature = "simd", target_arch = "x86_64"))]
					Isa::Avx2 => unsafe { avx2::tile(weights, words, blocks, sums) },
					// SAFETY: as above.
					#[cfg(all(feature = "simd", target_arch = "aarch64"))]
					Isa::Neon => unsafe { neon::tile(weights, words, blocks, sums) },
					_ => portable::tile(weights, words, blocks, sums),
				}
				self.store(tile, rows.start, sums);
			}
		}
		Ok(())
	}

	/// Adds the bias and writes a tile's sums.
	fn store(&self, tile: usize, first_row: usize, sums: &mut [[f32; TILE]]) {
		let first = tile * TILE;
		let count = TILE.min(self.out.width - first);
		for (row, sums) in sums.iter_mut().enumerate() {
			if let Some(bias) = self.bias {
				for (sum, bias) in sums.iter_mut().zip(&bias[first..first + count]) {
					*sum += bias;
				}
			}
			// SAFETY: row and columns lie inside the result, whose length `run` checked, and belong to this piece
			// alone.
			let out = unsafe { core::slice::from_raw_parts_mut(self.out.at(tile, first_row + row), count) };
			match (self.out.mode, <&mut [f32; TILE]>::try_from(&mut *out)) {
				(WriteMode::Write, Ok(out)) => *out = *sums,
				(WriteMode::Write, Err(_)) => out.copy_from_slice(&sums[..count]),
				(WriteMode::Add, _) => out.iter_mut().zip(sums).for_each(|(out, sum)| *out += *sum),
			}
		}
	}
}
