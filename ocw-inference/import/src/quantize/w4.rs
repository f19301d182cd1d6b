//! Four bits that are an index into a table.

use super::fit::{Fit, Group, LANES};
use assay_numerics::QuantizeError;
use half::f16;

/// How far the largest weight may be from an end of the table, as a share of it: a smaller one leaves it between the
/// entries, a larger one cuts it.
const SHARES: [f32; 16] = [
	0.6, 0.66, 0.72, 0.78, 0.83, 0.87, 0.91, 0.94, 0.97, 1.03, 1.06, 1.1, 1.15, 1.21, 1.28, 1.36,
];

/// A table of sixteen integers, ready for a search.
pub(super) struct Table {
	/// The integers and their indices, the smallest first.
	entries: [(f32, u8); 16],
	/// Above the n-th of these the entry n + 1 is nearer than the entry n.
	bounds: [f32; 15],
	/// How much larger the entry n + 1 is.
	steps: [f32; 15],
	/// The entry of the largest magnitude.
	largest: f32,
}

impl Table {
	pub(super) fn new(table: &[i8; 16]) -> Self {
		let mut entries = [(0f32, 0u8); 16];
		for ((entry, integer), index) in entries.iter_mut().zip(table).zip(0u8..) {
			*entry = (f32::from(*integer), index);
		}
		// Among equals the first index comes first.
		entries.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
		let (mut bounds, mut steps) = ([0f32; 15], [0f32; 15]);
		for ((bound, step), pair) in bounds.iter_mut().zip(&mut steps).zip(entries.windows(2)) {
			if let [(low, _), (high, _)] = pair {
				*bound = (low + high) / 2.0;
				*step = high - low;
			}
		}
		let largest = entries
			.iter()
			.fold(0f32, |a, (t, _)| if t.abs() > a.abs() { *t } else { a });
		Self {
			entries,
			bounds,
			steps,
			largest,
		}
	}

	/// Returns the entry nearest to each x; of two the smaller.
	#[inline(always)]
	fn nearest(&self, x: [f32; LANES]) -> [f32; LANES] {
		let mut t = [self.entries[0].0; LANES];
		for (bound, step) in self.bounds.iter().zip(&self.steps) {
			for i in 0..LANES {
				// The step or zero, without a branch.
				let mask = u32::from(x[i] > *bound).wrapping_neg();
				t[i] += f32::from_bits(step.to_bits() & mask);
			}
		}
		t
	}

	fn index(&self, integer: f32) -> u8 {
		let found = self.entries.iter().find(|(t, _)| *t == integer);
		found.map_or(0, |(_, index)| *index)
	}

	/// Writes the indices of a group's weights; returns its scale.
	pub(super) fn quantize(&self, mut group: Group, codes: &mut [u8]) -> Result<f16, &'static str> {
		let Some(fit) = self.search(&mut group)? else {
			codes.fill(self.index(self.nearest([0.0; LANES])[0]));
			return Ok(f16::ZERO);
		};
		let integers = group.integers(&fit, |x| self.nearest(x));
		for (code, integer) in codes.iter_mut().zip(integers) {
			*code = self.index(*integer);
		}
		Ok(fit.scale)
	}

	/// Returns the best that is found; none if that is zero.
	fn search(&self, group: &mut Group) -> Result<Option<Fit>, &'static str> {
		if group.is_zero() || self.largest == 0.0 {
			return Ok(None);
		}
		let nearest = |x| self.nearest(x);
		let peak = group.peak();
		// Rounded to nearest: the largest weight becomes the largest entry.
		let plain = group.scale(peak / self.largest);
		if !plain.is_finite() {
			return Err(QuantizeError::TooLarge.reason());
		}
		let mut best = group.plain(plain, nearest);
		// Where the largest weight may land: on any entry, which finds weights that are such products already, or near an
		// end of the table.
		let ends = [self.entries[0].0, self.entries[15].0];
		let near = SHARES.iter().flat_map(|share| ends.map(|end| end * share));
		let targets = self.entries.iter().map(|(t, _)| *t).chain(near);
		for target in targets.filter(|target| *target != 0.0) {
			if let Some(fit) = group.fit(peak / target, nearest) {
				if fit.error < best.error {
					best = fit;
				}
			}
		}
		let best = group.refine(best, nearest);
		Ok((best.scale.to_f32() != 0.0).then_some(best))
	}
}
