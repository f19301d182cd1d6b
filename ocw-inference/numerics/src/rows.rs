//! Operations that work row by row: how they are shared out to threads, and which rows are not finite.

use crate::{error::bail_shape, isa::Kernel, threads, Isa, Result};
use alloc::vec::Vec;
use core::ops::Range;

/// Elements from which on an operation that works row by row is worth more than one thread.
const WORTH_THREADS: usize = 1 << 15;

/// Runs `f(input rows, output rows)` on pieces of a row-wise operation, on all threads if it is large.
pub(crate) fn by_rows<T: Send>(
	x: &[f32],
	width: usize,
	out: &mut [T],
	out_width: usize,
	f: impl Fn(&[f32], &mut [T]) -> Result<()> + Sync + Send,
) -> Result<()> {
	let Some(piece) = piece(x.len(), width) else {
		return f(x, out);
	};
	let pieces: Vec<_> = x.chunks(piece * width).zip(out.chunks_mut(piece * out_width)).collect();
	threads::try_for_each(pieces, |(x, out)| f(x, out))
}

/// Runs `f(first row, rows)` on pieces of an operation that changes rows in place, on all threads if it is large.
pub(crate) fn in_rows(
	x: &mut [f32],
	width: usize,
	f: impl Fn(usize, &mut [f32]) -> Result<()> + Sync + Send,
) -> Result<()> {
	let Some(piece) = piece(x.len(), width) else {
		return f(0, x);
	};
	let pieces: Vec<_> = x.chunks_mut(piece * width).enumerate().collect();
	threads::try_for_each(pieces, |(i, x)| f(i * piece, x))
}

/// Returns the rows of one piece; none if all rows should stay together.
fn piece(elements: usize, width: usize) -> Option<usize> {
	let (rows, threads) = (elements.checked_div(width).unwrap_or(0), threads::count());
	(threads > 1 && rows >= 2 && elements >= WORTH_THREADS).then(|| rows.div_ceil(threads * 4))
}

/// The first value that rounds to an infinity in f16 (65 504 + half a step).
const F16_OVERFLOW: f32 = 65_520.0;

/// Flags the rows of x `[rows, width]` that hold a NaN or an infinity, and those that would hold one in columns `f16`
/// once these are rounded to f16. Rows that are already flagged stay so.
pub fn flag_non_finite(x: &[f32], f16: Range<usize>, flags: &mut [bool]) -> Result<()> {
	if x.is_empty() {
		return Ok(());
	}
	let (rows, width) = (flags.len(), x.len().checked_div(flags.len()).unwrap_or(0));
	if rows * width != x.len() || f16.end > width {
		bail_shape!("{rows} flags for {} values, f16 columns {f16:?}", x.len());
	}
	let flag = |x, flags| {
		Isa::detect().run_exact(Flag {
			x,
			flags,
			width,
			f16: f16.clone(),
		});
		Ok(())
	};
	if threads::count() == 1 || x.len() < 4 * WORTH_THREADS {
		return flag(x, flags);
	}
	let piece = rows.div_ceil(threads::count());
	let pieces: Vec<_> = x.chunks(piece * width).zip(flags.chunks_mut(piece)).collect();
	threads::try_for_each(pieces, |(x, flags)| flag(x, flags))
}

struct Flag<'a> {
	x: &'a [f32],
	flags: &'a mut [bool],
	width: usize,
	f16: Range<usize>,
}

impl Kernel for Flag<'_> {
	type Output = ();

	#[inline(always)]
	fn run(self) {
		// Without their signs, floats are ordered like their bits, and a NaN is above all.
		let largest = |x: &[f32]| x.iter().fold(0, |max, v| (v.to_bits() & 0x7FFF_FFFF).max(max));
		for (row, flag) in self.x.chunks_exact(self.width).zip(self.flags) {
			let f16 = row.get(self.f16.clone()).unwrap_or(&[]);
			*flag |= largest(row) >= f32::INFINITY.to_bits() || largest(f16) >= F16_OVERFLOW.to_bits();
		}
	}
}
