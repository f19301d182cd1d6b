//! A group of weights in a search, and how well integers and a scale stand for it.

use half::f16;

/// Elements that a loop takes together. A sum has as many parts, which are added in their order.
pub(super) const LANES: usize = 8;
/// The most columns that share a scale.
pub(super) const LARGEST_GROUP: usize = 128;

/// The weights of a group, divided by a power of two so that the largest is in 1…2: squares stay normal numbers, and
/// nothing is rounded.
pub(super) struct Group {
	values: [f32; LARGEST_GROUP],
	importance: [f32; LARGEST_GROUP],
	/// What was chosen last.
	integers: [f32; LARGEST_GROUP],
	len: usize,
	/// The weight of the largest magnitude, divided as well.
	peak: f32,
	/// What the weights were divided by.
	unit: f32,
}

/// A scale with integers, and their error.
#[derive(Clone, Copy)]
pub(super) struct Fit {
	/// The scale of the values by which the integers were chosen.
	chosen_by: f32,
	pub(super) scale: f16,
	pub(super) error: f32,
}

impl Group {
	/// Makes a group of finite weights: whole lanes, at most 128.
	pub(super) fn new(weights: &[f32], importance: &[f32]) -> Self {
		let peak = weights
			.iter()
			.fold(0f32, |peak, w| if w.abs() > peak.abs() { *w } else { peak });
		// The power of two below it: its exponent without its fraction.
		let unit = f32::from_bits(peak.to_bits() & 0x7F80_0000);
		let mut group = Self {
			values: [0.0; LARGEST_GROUP],
			importance: [0.0; LARGEST_GROUP],
			integers: [0.0; LARGEST_GROUP],
			len: weights.len().min(LARGEST_GROUP),
			peak: 0.0,
			unit,
		};
		if !group.is_zero() {
			group.peak = peak / unit;
			for (to, from) in group.values.iter_mut().zip(weights) {
				*to = from / unit;
			}
			for (to, from) in group.importance.iter_mut().zip(importance) {
				*to = *from;
			}
		}
		group
	}

	/// Returns whether every weight is smaller than half of the smallest f16.
	pub(super) fn is_zero(&self) -> bool {
		const HALF_OF_THE_SMALLEST: f32 = 1.0 / (1u32 << 25) as f32;
		self.unit < HALF_OF_THE_SMALLEST
	}

	pub(super) fn peak(&self) -> f32 {
		self.peak
	}

	pub(super) fn values(&self) -> &[f32] {
		self.values.get(..self.len).unwrap_or_default()
	}

	/// Returns a scale of the values as one of the weights.
	pub(super) fn scale(&self, of_values: f32) -> f16 {
		f16::from_f32(of_values * self.unit)
	}

	/// Returns a scale of the weights as one of the values.
	pub(super) fn of_values(&self, scale: f16) -> f32 {
		scale.to_f32() / self.unit
	}

	/// Rounds to nearest by a finite scale. Of a scale that is zero the integers mean nothing.
	#[inline(always)]
	pub(super) fn plain(&mut self, scale: f16, nearest: impl Fn([f32; LANES]) -> [f32; LANES]) -> Fit {
		let of_values = self.of_values(scale);
		self.choose(of_values, nearest);
		Fit {
			chosen_by: of_values,
			scale,
			error: self.error(of_values),
		}
	}

	/// Chooses integers by a scale of the values, and then the scale that fits these best. Returns none if that is no
	/// finite f16, or zero.
	#[inline(always)]
	pub(super) fn fit(&mut self, by: f32, nearest: impl Fn([f32; LANES]) -> [f32; LANES]) -> Option<Fit> {
		let (wt, tt) = self.choose(by, nearest);
		let scale = self.scale(wt / tt);
		(scale.is_finite() && scale.to_f32() != 0.0).then(|| Fit {
			chosen_by: by,
			scale,
			error: self.error(self.of_values(scale)),
		})
	}

	/// Improves a fit for as long as the integers that its scale chooses are better than those it has.
	#[inline(always)]
	pub(super) fn refine(&mut self, mut best: Fit, nearest: impl Fn([f32; LANES]) -> [f32; LANES]) -> Fit {
		for _ in 0..4 {
			match self.fit(self.of_values(best.scale), &nearest) {
				Some(fit) if fit.error < best.error => best = fit,
				_ => break,
			}
		}
		best
	}

	/// Returns the integers of a fit.
	pub(super) fn integers(&mut self, fit: &Fit, nearest: impl Fn([f32; LANES]) -> [f32; LANES]) -> &[f32] {
		self.choose(fit.chosen_by, nearest);
		self.integers.get(..self.len).unwrap_or_default()
	}

	/// Chooses each value's integer. Returns `Σ h·w·t` and `Σ h·t²`.
	#[inline(always)]
	fn choose(&mut self, by: f32, nearest: impl Fn([f32; LANES]) -> [f32; LANES]) -> (f32, f32) {
		let inverse = 1.0 / by;
		let (mut wt, mut tt) = ([0f32; LANES], [0f32; LANES]);
		let (values, importance) = (
			self.values.as_chunks::<LANES>().0,
			self.importance.as_chunks::<LANES>().0,
		);
		let lanes = values
			.iter()
			.zip(importance)
			.zip(self.integers.as_chunks_mut::<LANES>().0);
		for ((w, h), t) in lanes.take(self.len / LANES) {
			*t = nearest(w.map(|w| w * inverse));
			for i in 0..LANES {
				let ht = h[i] * t[i];
				wt[i] += ht * w[i];
				tt[i] += ht * t[i];
			}
		}
		(wt.iter().sum(), tt.iter().sum())
	}

	/// Returns `Σ h·(w − s·t)²` of the chosen integers.
	#[inline(always)]
	fn error(&self, scale: f32) -> f32 {
		let mut sum = [0f32; LANES];
		let (values, importance) = (
			self.values.as_chunks::<LANES>().0,
			self.importance.as_chunks::<LANES>().0,
		);
		let lanes = values.iter().zip(importance).zip(self.integers.as_chunks::<LANES>().0);
		for ((w, h), t) in lanes.take(self.len / LANES) {
			for i in 0..LANES {
				let lost = w[i] - scale * t[i];
				sum[i] += h[i] * (lost * lost);
			}
		}
		sum.iter().sum()
	}
}
