//! The canonical operations of profile `c1-w8` (`docs/spec/c1-w8.md` §2).
//!
//! Every rounding and the order of every sum of floats are fixed; vector lanes never share a sum, and threads share rows or
//! outputs, never a sum. So tiers, threads, batches and page layouts change the speed and no bit; tests say so.
//!
//! Threads are those of rayon's current pool: who calls from inside `ThreadPool::install` pays a few microseconds for each
//! operation, who calls from outside pays a wake-up.

pub mod activation;
pub mod attention;
pub mod exp;
pub mod linear;
pub mod norm;
pub mod packed;
pub mod pooling;
pub mod residue;
pub mod rope;
mod simd;
pub mod tier;

pub(crate) use tier::Kernel;
pub use tier::Tier;

use candle_core::{bail, CpuStorage, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;
use std::ops::Range;

/// The elements of a contiguous operand.
pub(crate) fn elements<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
	let Some((start, end)) = layout.contiguous_offsets() else {
		bail!("operand must be contiguous")
	};
	match storage.as_slice::<T>()?.get(start..end) {
		Some(slice) => Ok(slice),
		None => bail!("operand is shorter than its shape"),
	}
}

/// Calls `f` with the elements of a contiguous CPU tensor, without a copy.
pub(crate) fn with_elements<T: WithDType, R>(tensor: &Tensor, f: impl FnOnce(&[T]) -> R) -> Result<R> {
	let (storage, layout) = tensor.storage_and_layout();
	match &*storage {
		candle_core::Storage::Cpu(cpu) => Ok(f(elements(cpu, layout)?)),
		_ => bail!("canonical tensors live on the CPU"),
	}
}

/// What a custom operation returns.
pub(crate) type Output = Result<(CpuStorage, Shape)>;

/// Elements from which on an operation that works row by row is worth more than one thread.
const WORTH_THREADS: usize = 1 << 15;

/// Runs `f(first row, input rows, output rows)` on pieces of a row-wise operation, on all threads if it's large.
pub(crate) fn by_rows(
	x: &[f32],
	width: usize,
	out: &mut [f32],
	out_width: usize,
	f: impl Fn(usize, &[f32], &mut [f32]) -> Result<()> + Sync,
) -> Result<()> {
	let rows = x.len().checked_div(width).unwrap_or(0);
	let threads = rayon::current_num_threads();
	if threads == 1 || rows < 2 || x.len() < WORTH_THREADS {
		return f(0, x, out);
	}
	let piece = rows.div_ceil(threads * 4);
	x.par_chunks(piece * width)
		.zip(out.par_chunks_mut(piece * out_width))
		.enumerate()
		.try_for_each(|(i, (x, out))| f(i * piece, x, out))
}

/// The first value that rounds to an infinity in f16 (65 504 + half a step).
const F16_OVERFLOW: f32 = 65_520.0;

/// [`by_rows`] for operations that change rows where they lie.
pub(crate) fn in_rows(x: &mut [f32], width: usize, f: impl Fn(usize, &mut [f32]) -> Result<()> + Sync) -> Result<()> {
	let rows = x.len().checked_div(width).unwrap_or(0);
	let threads = rayon::current_num_threads();
	if threads == 1 || rows < 2 || x.len() < WORTH_THREADS {
		return f(0, x);
	}
	let piece = rows.div_ceil(threads * 4);
	x.par_chunks_mut(piece * width)
		.enumerate()
		.try_for_each(|(i, x)| f(i * piece, x))
}

/// Marks the rows of x `[rows, width]` that hold a NaN or an infinity, and those that would hold one in columns `f16` once these
/// are rounded to f16. Rows that are already marked stay so.
pub fn mark_bad_rows(x: &[f32], f16: Range<usize>, bad: &mut [bool]) -> Result<()> {
	if x.is_empty() {
		return Ok(());
	}
	let (rows, width) = (bad.len(), x.len().checked_div(bad.len()).unwrap_or(0));
	if rows * width != x.len() || f16.end > width {
		bail!("{rows} flags for {} values, f16 columns {f16:?}", x.len());
	}
	let mark = |x, bad| {
		Tier::detect().run_exact(Mark {
			x,
			bad,
			width,
			f16: f16.clone(),
		});
	};
	if rayon::current_num_threads() == 1 || x.len() < 4 * WORTH_THREADS {
		mark(x, bad);
		return Ok(());
	}
	let piece = rows.div_ceil(rayon::current_num_threads());
	x.par_chunks(piece * width)
		.zip(bad.par_chunks_mut(piece))
		.for_each(|(x, bad)| mark(x, bad));
	Ok(())
}

struct Mark<'a> {
	x: &'a [f32],
	bad: &'a mut [bool],
	width: usize,
	f16: Range<usize>,
}

impl Kernel for Mark<'_> {
	type Output = ();

	#[inline(always)]
	fn run(self) {
		// Without their signs, floats are ordered like their bits, and a NaN is above all.
		let largest = |x: &[f32]| x.iter().fold(0, |max, v| (v.to_bits() & 0x7FFF_FFFF).max(max));
		for (row, bad) in self.x.chunks_exact(self.width).zip(self.bad) {
			let f16 = row.get(self.f16.clone()).unwrap_or(&[]);
			*bad |= largest(row) >= f32::INFINITY.to_bits() || largest(f16) >= F16_OVERFLOW.to_bits();
		}
	}
}
