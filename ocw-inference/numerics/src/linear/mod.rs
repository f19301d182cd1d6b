//! Linear layers: integer weights and activations in groups along K, exact integer sums, then one `fma` a group
//! (`docs/spec/c2.md` §2.2).
//!
//! Rows are quantized once, into panels of a few rows. A kernel multiplies one tile of 32 outputs with one panel, and
//! keeps all sums in registers from the first group to the last. Work items are ranges of tiles, so that the threads
//! read different weights; where there are few tiles and many rows, panels are split too.

#[cfg(all(feature = "simd", target_arch = "x86_64"))]
mod amx;
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
mod avx2;
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
mod avx512;
#[cfg(all(feature = "simd", target_arch = "aarch64"))]
mod neon;
mod panels;
mod portable;
mod prefetch;
mod product;
mod tier;

use crate::{error::bail_shape, packed::PackedMatrix, threads, Isa, Result};
use panels::Panels;
use product::{Columns, Product, WriteMode};
use tier::Tier;

#[cfg(all(feature = "simd", target_arch = "x86_64"))]
pub(crate) use amx::status as amx_status;

/// Multiplications from which on a second thread is worth waking.
const WORTH_THREADS: usize = 1 << 18;
/// Work items for each thread, so that one that is disturbed leaves some to the others: of one panel, and of several,
/// where items take longer.
const PIECES: [usize; 2] = [8, 16];

/// `y = x · Wᵀ + bias`. Operand: x f32 `[rows, K]`; result `[rows, N]`. The bias is one addition after the last group.
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
		self.run(x, out, self.weight.rows(), 0, WriteMode::Write)
	}

	/// Computes N columns of wider rows: x `[rows, K]`, out `[rows, out_width]`, of which the columns from
	/// `first_column` on are written and the others are left as they are.
	pub fn apply_at(&self, x: &[f32], out: &mut [f32], out_width: usize, first_column: usize) -> Result<()> {
		self.run(x, out, out_width, first_column, WriteMode::Write)
	}

	/// Computes `out = out + y`, one more addition for each element (§3): the residual stream.
	pub fn add_to(&self, x: &[f32], out: &mut [f32]) -> Result<()> {
		self.run(x, out, self.weight.rows(), 0, WriteMode::Add)
	}

	fn run(&self, x: &[f32], out: &mut [f32], out_width: usize, first_column: usize, mode: WriteMode) -> Result<()> {
		let (n, k) = (self.weight.rows(), self.weight.width());
		let rows = x.len() / k;
		let fits = first_column.checked_add(n).is_some_and(|end| end <= out_width);
		let results = rows.checked_mul(out_width);
		if rows * k != x.len() || results != Some(out.len()) || !fits || self.bias.is_some_and(|b| b.len() != n) {
			bail_shape!(
				"linear: {} values for W [{n}, {k}], {} results in rows of {out_width} from column {first_column} on",
				x.len(),
				out.len()
			);
		}
		if rows == 0 {
			return Ok(());
		}
		let tier = Tier::of(self.isa, rows, &self.weight.format());
		let format = tier.format(self.weight.format());
		let product = Product {
			weight: self.weight,
			bias: self.bias,
			isa: self.isa,
			tier,
			panels: &Panels::new(x, k, format, tier.cut(&format), self.isa)?,
			out: Columns::new(&mut out[first_column..], n, out_width, mode),
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
