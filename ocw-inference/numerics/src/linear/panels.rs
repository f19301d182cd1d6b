//! Activations as the kernels read them: quantized once a call, a few rows side by side.
//!
//! A panel is a list of 32-bit words. Per block of 32 columns it holds ten of each of its rows: eight steps of four
//! int8, the scale (f32 bits), and the start value −128·Σq: with weights stored as `w + 128`, a sum that starts there
//! ends at `Σ w·q`.

use crate::{
	isa::Kernel,
	packed::{BLOCK, STEP},
	threads, Isa, Result,
};
use alloc::{vec, vec::Vec};
use core::ops::Range;

/// Most rows of a panel, whatever the instruction set.
pub(super) const MAX_ROWS: usize = 6;
/// Words of a block for each row: 8 of activations, a scale, a start value.
pub(super) const WORDS: usize = BLOCK / STEP + 2;
/// Where among them the scale is.
pub(super) const SCALE: usize = BLOCK / STEP;
/// Where among them the start value is.
pub(super) const START: usize = SCALE + 1;
/// Values from which on a second thread is worth waking.
const WORTH_THREADS: usize = 1 << 15;

/// All rows of one call.
pub(super) struct Panels {
	words: Vec<i32>,
	rows: usize,
	count: usize,
	blocks: usize,
}

impl Panels {
	/// Quantizes x `[rows, k]` into panels of at most `most` rows.
	pub(super) fn new(x: &[f32], k: usize, most: usize, isa: Isa) -> Result<Self> {
		let (rows, blocks) = (x.len() / k, k / BLOCK);
		let mut panels = Self {
			words: Vec::new(),
			rows,
			count: rows.div_ceil(most),
			blocks,
		};
		let mut words = vec![0i32; rows * blocks * WORDS];
		let mut pieces = Vec::with_capacity(panels.count);
		let mut rest = words.as_mut_slice();
		for panel in 0..panels.count {
			let rows = panels.rows(panel);
			let (words, behind) = rest.split_at_mut(rows.len() * blocks * WORDS);
			pieces.push(Quantize {
				x: &x[rows.start * k..rows.end * k],
				words,
				rows: rows.len(),
				k,
			});
			rest = behind;
		}
		if x.len() < WORTH_THREADS || threads::count() == 1 {
			pieces.into_iter().try_for_each(|piece| isa.run(piece))?;
		} else {
			threads::try_for_each(pieces, |piece| isa.run(piece))?;
		}
		panels.words = words;
		Ok(panels)
	}

	/// Returns the number of panels.
	pub(super) fn count(&self) -> usize {
		self.count
	}

	/// Returns the rows of a panel; panels differ by one row at most.
	pub(super) fn rows(&self, panel: usize) -> Range<usize> {
		panel * self.rows / self.count..(panel + 1) * self.rows / self.count
	}

	/// Returns the words of a panel.
	pub(super) fn words(&self, panel: usize) -> &[i32] {
		let rows = self.rows(panel);
		&self.words[rows.start * self.blocks * WORDS..rows.end * self.blocks * WORDS]
	}
}

struct Quantize<'a> {
	x: &'a [f32],
	words: &'a mut [i32],
	rows: usize,
	k: usize,
}

impl Kernel for Quantize<'_> {
	type Output = ();

	#[inline(always)]
	fn run(self) {
		for (row, x) in self.x.chunks_exact(self.k).enumerate() {
			let blocks = self.words.as_chunks_mut::<WORDS>().0[row..]
				.iter_mut()
				.step_by(self.rows);
			for (x, words) in x.as_chunks::<BLOCK>().0.iter().zip(blocks) {
				let (q, d) = quantize(x);
				for (word, four) in words.iter_mut().zip(q.as_chunks::<STEP>().0) {
					*word = i32::from_le_bytes(four.map(|q| q as u8));
				}
				words[SCALE] = d.to_bits() as i32;
				words[START] = sum(&q).wrapping_mul(-128);
			}
		}
	}
}

/// In lanes, because the compiler would take a plain sum apart into scalars.
#[inline(always)]
fn sum(q: &[i32; BLOCK]) -> i32 {
	let mut lanes: [i32; BLOCK / 2] = core::array::from_fn(|i| q[i].wrapping_add(q[i + BLOCK / 2]));
	for stride in [8, 4, 2, 1] {
		for i in 0..stride {
			lanes[i] = lanes[i].wrapping_add(lanes[i + stride]);
		}
	}
	lanes[0]
}

/// One block to int8, still as wide as its floats, and its scale.
#[inline(always)]
fn quantize(x: &[f32; BLOCK]) -> ([i32; BLOCK], f32) {
	// 1.5 · 2²³: adding it rounds to an integer, ties to even, and leaves the integer in the low bits.
	const ROUND: f32 = 12_582_912.0;
	// Without their signs, floats are ordered like their bits.
	let amax = f32::from_bits(x.iter().fold(0, |max, v| (v.to_bits() & 0x7FFF_FFFF).max(max)));
	let d = amax / 127.0;
	// If d is 0, no value is above 1e-43, and dividing by 1 makes zeros of them.
	let divisor = if d == 0.0 { 1.0 } else { d };
	let mut q = [0i32; BLOCK];
	for (q, v) in q.iter_mut().zip(x) {
		// The bound matters only where d is subnormal and itself badly rounded.
		let v = v / divisor;
		let v = if v > 127.0 { 127.0 } else { v };
		let v = if v < -127.0 { -127.0 } else { v };
		*q = ((v + ROUND).to_bits() << 24) as i32 >> 24;
	}
	(q, d)
}
