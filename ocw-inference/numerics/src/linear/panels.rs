//! Activations as the kernels read them: quantized once a call, a few rows side by side.
//!
//! Units are as wide as what is written at once or what one instruction takes of a row: a block for AVX2 and AVX-512, a
//! tile's row for AMX, and otherwise a step of four columns, so that the words of a step lie side by side.
//!
//! A panel is a list of 32-bit words, group after group of the weights' columns. Of a group it holds its columns in
//! units of some width (the last is padded with zeros), and of a unit row after row, four int8 a word; then the rows' scales
//! (f32 bits), then the rows' start values −c · Σq. The integers of a sum start there: with weights stored as `w + 128`
//! and c = 128 a sum ends at `Σ w·q`; with zero points z and c = 1 the start value is still to be multiplied by z.

use crate::{
	format::{MatrixFormat, BLOCK},
	isa::Kernel,
	packed::{
		memory::{self, Line, LINE},
		STEP,
	},
	threads, Isa, Result,
};
use alloc::{format, vec::Vec};
use core::ops::Range;

/// Most rows of a panel, of all tiers.
pub(super) const MAX_ROWS: usize = 16;
/// Words of a block of 32 columns of a row.
pub(super) const BLOCK_WORDS: usize = BLOCK / STEP;
/// Words of a group for each row behind its columns: a scale, a start value.
pub(super) const EXTRA_WORDS: usize = 2;
/// Values from which on a second thread is worth waking.
const WORTH_THREADS: usize = 1 << 15;

/// How the rows of a call are cut.
#[derive(Clone, Copy)]
pub(super) struct Cut {
	/// Most rows of a panel.
	pub(super) rows: usize,
	/// Columns of a unit, a power of two: a step, or blocks.
	pub(super) unit: usize,
}

impl Cut {
	/// Returns the words of so many columns of a row.
	pub(super) fn row_words(&self, columns: usize, format: MatrixFormat) -> usize {
		let (full, rest) = (columns / format.group(), columns % format.group());
		let words = |columns: usize| columns.next_multiple_of(self.unit) / STEP + EXTRA_WORDS;
		full * words(format.group()) + if rest > 0 { words(rest) } else { 0 }
	}
}

/// All rows of one call.
pub(super) struct Panels {
	/// Every panel begins at a line.
	lines: Vec<Line>,
	count: usize,
	/// Rows of every panel, and how many panels have one more.
	each: usize,
	more: usize,
	/// Words of a row, all groups together.
	row_words: usize,
	/// Lines of the panel with the most rows.
	panel_lines: usize,
}

impl Panels {
	/// Quantizes x `[rows, k]` in the groups of this format.
	pub(super) fn new(x: &[f32], k: usize, format: MatrixFormat, cut: Cut, isa: Isa) -> Result<Self> {
		Self::quantized(x, k, format, cut, |pieces| {
			if x.len() < WORTH_THREADS || threads::count() == 1 {
				pieces.into_iter().try_for_each(|piece| isa.run(piece))
			} else {
				threads::try_for_each(pieces, |piece| isa.run(piece))
			}
		})
	}

	/// [`Self::new`] without other threads, and without asking for an instruction set.
	#[cfg(all(feature = "simd", target_arch = "x86_64"))]
	pub(super) fn on_this_thread(x: &[f32], k: usize, format: MatrixFormat, cut: Cut) -> Result<Self> {
		Self::quantized(x, k, format, cut, |pieces| {
			pieces.into_iter().for_each(Kernel::run);
			Ok(())
		})
	}

	fn quantized(
		x: &[f32],
		k: usize,
		format: MatrixFormat,
		cut: Cut,
		quantize: impl FnOnce(Vec<Quantize<'_>>) -> Result<()>,
	) -> Result<Self> {
		let rows = x.len() / k;
		let count = rows.div_ceil(cut.rows);
		let row_words = cut.row_words(k, format);
		let most = rows.div_ceil(count.max(1));
		let panel_lines = (most * row_words * 4).div_ceil(LINE);
		let mut panels = Self {
			lines: memory::zeroed(count * panel_lines, || {
				format!("no memory for {rows} rows of {k} activations")
			})?,
			count,
			each: rows / count.max(1),
			more: rows % count.max(1),
			row_words,
			panel_lines,
		};
		let mut lines = core::mem::take(&mut panels.lines);
		let mut pieces = Vec::with_capacity(count);
		for (panel, lines) in lines.chunks_exact_mut(panel_lines.max(1)).enumerate() {
			let rows = panels.rows(panel);
			pieces.push(Quantize {
				x: &x[rows.start * k..rows.end * k],
				words: &mut bytemuck::cast_slice_mut(memory::bytes_mut(lines))[..rows.len() * row_words],
				rows: rows.len(),
				unit: cut.unit,
				k,
				format,
			});
		}
		quantize(pieces)?;
		panels.lines = lines;
		Ok(panels)
	}

	/// Returns the number of panels.
	pub(super) fn count(&self) -> usize {
		self.count
	}

	/// Returns the bytes of a panel with the most rows.
	pub(super) fn bytes(&self) -> usize {
		self.panel_lines * LINE
	}

	/// Returns the rows of a panel; panels differ by one row at most, and the larger ones come first.
	pub(super) fn rows(&self, panel: usize) -> Range<usize> {
		let start = |panel: usize| panel * self.each + panel.min(self.more);
		start(panel)..start(panel + 1)
	}

	/// Returns the words of a panel, from `skipped` words of each row on.
	pub(super) fn words(&self, panel: usize, skipped: usize) -> &[i32] {
		let lines = &self.lines[panel * self.panel_lines..][..self.panel_lines];
		let rows = self.rows(panel).len();
		&bytemuck::cast_slice(memory::bytes(lines))[rows * skipped..rows * self.row_words]
	}
}

struct Quantize<'a> {
	x: &'a [f32],
	words: &'a mut [i32],
	rows: usize,
	unit: usize,
	k: usize,
	format: MatrixFormat,
}

impl Kernel for Quantize<'_> {
	type Output = ();

	#[inline(always)]
	fn run(self) {
		match (self.format.group(), self.unit < BLOCK) {
			(32, true) => self.groups::<32, true>(),
			(32, false) => self.groups::<32, false>(),
			(64, true) => self.groups::<64, true>(),
			(64, false) => self.groups::<64, false>(),
			(_, true) => self.groups::<128, true>(),
			(_, false) => self.groups::<128, false>(),
		}
	}
}

impl Quantize<'_> {
	/// Quantizes groups of G columns; the words of a step lie side by side, or those of a block.
	#[inline(always)]
	fn groups<const G: usize, const STEPS: bool>(self) {
		let factor = match self.format {
			MatrixFormat::W8 { .. } | MatrixFormat::W4 { .. } => -128,
			MatrixFormat::W4z { .. } => -1,
		};
		let group = Group::<STEPS> {
			rows: self.rows,
			unit: self.unit,
			factor,
		};
		let group_words = self.rows * (G.next_multiple_of(self.unit) / STEP + EXTRA_WORDS);
		for (row, x) in self.x.chunks_exact(self.k).enumerate() {
			let (full, last) = x.as_chunks::<G>();
			let (words, rest) = self.words.split_at_mut(full.len() * group_words);
			for (x, words) in full.iter().zip(words.chunks_exact_mut(group_words)) {
				group.quantize(row, x, words);
			}
			if !last.is_empty() {
				group.quantize(row, last, rest);
			}
		}
	}
}

/// Where a group's values of one row go.
struct Group<const STEPS: bool> {
	rows: usize,
	unit: usize,
	/// What the sum of the values is multiplied by for the start value.
	factor: i32,
}

impl<const STEPS: bool> Group<STEPS> {
	/// Writes a row's values, scale and start value between the other rows' words of the group.
	#[inline(always)]
	fn quantize(&self, row: usize, x: &[f32], words: &mut [i32]) {
		let (columns, extra) = words.split_at_mut(words.len() - self.rows * EXTRA_WORDS);
		let d = largest(x) / 127.0;
		let mut sums = 0u64;
		for (i, x) in x.as_chunks::<BLOCK>().0.iter().enumerate() {
			let q = quantize(x, d);
			sums = sums.wrapping_add(quarters(&q));
			let q = words_of(&q);
			if STEPS {
				let steps = columns[i * BLOCK_WORDS * self.rows..].chunks_exact_mut(self.rows);
				steps.zip(q).for_each(|(rows, word)| rows[row] = word);
			} else {
				// The unit that this block is in, and the block's place in a row of it.
				let first = (i * BLOCK) & !(self.unit - 1);
				let at = (first * self.rows + row * self.unit + i * BLOCK - first) / STEP;
				columns[at..][..BLOCK_WORDS].copy_from_slice(&q);
			}
		}
		extra[row] = d.to_bits() as i32;
		extra[self.rows + row] = total(sums, x.len()).wrapping_mul(self.factor);
	}
}

/// Returns the largest magnitude of a group.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
	// Without their signs, floats are ordered like their bits. One fold, which becomes vectors; lanes of an array become
	// scalars.
	f32::from_bits(x.iter().fold(0, |max, v| max.max(v.to_bits() & 0x7FFF_FFFF)))
}

/// 1.5 · 2²³: adding it rounds to an integer, ties to even, and leaves the integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Returns a block as int8: each `v / d`, rounded to an integer.
#[inline(always)]
fn quantize(x: &[f32; BLOCK], d: f32) -> [u8; BLOCK] {
	// Divisions take four times as long as all the rest, and a product with 1 / d is off by less than 2⁻¹⁵. That changes no
	// integer unless it is as near to a tie; then the whole block is divided, as it is where 1 / d is not finite.
	const SURE: f32 = 0.5 - 1.0 / 16384.0;
	let inverse = 1.0 / d;
	let mut q = [0u8; BLOCK];
	let mut farthest = [0u32; BLOCK];
	for ((q, farthest), v) in q.iter_mut().zip(&mut farthest).zip(x) {
		let v = v * inverse;
		let rounded = v + ROUND;
		*q = rounded.to_bits() as u8;
		// Without their signs, floats are ordered like their bits, and what is no number is above all.
		*farthest = (v - (rounded - ROUND)).to_bits() & 0x7FFF_FFFF;
	}
	if farthest.iter().fold(0, |max, v| max.max(*v)) <= SURE.to_bits() {
		return q;
	}
	divide(x, d)
}

/// [`quantize`] by division.
#[cold]
#[inline(never)]
fn divide(x: &[f32; BLOCK], d: f32) -> [u8; BLOCK] {
	// If d is 0, no value is above 1e-43, and dividing by 1 makes zeros of them.
	let divisor = if d == 0.0 { 1.0 } else { d };
	x.map(|v| {
		// The bound matters only where d is subnormal and itself badly rounded.
		let v = v / divisor;
		let v = if v > 127.0 { 127.0 } else { v };
		let v = if v < -127.0 { -127.0 } else { v };
		(v + ROUND).to_bits() as u8
	})
}

/// Returns int8 four a word.
#[inline(always)]
fn words_of(q: &[u8; BLOCK]) -> [i32; BLOCK_WORDS] {
	let mut words = [0i32; BLOCK_WORDS];
	for (word, four) in words.iter_mut().zip(q.as_chunks::<STEP>().0) {
		*word = i32::from_le_bytes(*four);
	}
	words
}

/// Returns sums of a block's int8, each + 128, as four 16-bit numbers: the compiler would take a plain sum apart into
/// 32 scalars.
#[inline(always)]
fn quarters(q: &[u8; BLOCK]) -> u64 {
	const EVEN: u64 = 0x00FF_00FF_00FF_00FF;
	let mut sums = 0u64;
	for eight in q.as_chunks::<8>().0 {
		let bytes = u64::from_le_bytes(*eight) ^ 0x8080_8080_8080_8080;
		sums = sums.wrapping_add((bytes & EVEN).wrapping_add(bytes >> 8 & EVEN));
	}
	sums
}

/// Returns the sum of so many int8, at most 256, from sums of their blocks' quarters.
#[inline(always)]
fn total(quarters: u64, count: usize) -> i32 {
	let sum = quarters.wrapping_mul(0x0001_0001_0001_0001) >> 48;
	sum as i32 - 128 * count as i32
}

#[cfg(test)]
mod tests {
	use super::*;

	/// The float some steps away.
	fn beside(v: f32, steps: i32) -> f32 {
		f32::from_bits(v.to_bits().wrapping_add_signed(steps))
	}

	#[test]
	fn a_product_with_the_inverse_gives_what_a_division_gives() {
		let largest = (-149..128).step_by(3).flat_map(|power| {
			[1.0, 1.1, 1.999_999_9, 127.0 / 64.0].map(|mantissa: f32| mantissa * (f64::from(power)).exp2() as f32)
		});
		for largest in largest {
			let d = largest / 127.0;
			for half in -127..127 {
				// Ties, and what is next to them.
				let tie = (half as f32 + 0.5) * d;
				let mut x = [0.0; BLOCK];
				for (x, steps) in x.iter_mut().zip(-12..) {
					*x = beside(tie, steps).clamp(-largest, largest);
				}
				x[0] = largest;
				assert_eq!(quantize(&x, d), divide(&x, d), "{half} and a half of {d:e}");
			}
		}
	}

	#[test]
	fn what_is_no_number_is_divided_as_before() {
		for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-45, -0.0] {
			let mut x = [0.5; BLOCK];
			x[7] = odd;
			let d = super::largest(&x) / 127.0;
			assert_eq!(quantize(&x, d), divide(&x, d), "{odd}");
			assert_eq!(quantize(&[odd; BLOCK], d), divide(&[odd; BLOCK], d), "{odd}");
		}
	}
}
