//! How many tokens of prompts and claims go beside answers that are being generated, which wait for each step's end.
//!
//! The time that a step takes decides, and no count of tokens alone: a small model takes in a prompt within one step, and a large one
//! on a slow machine must not make the readers of other answers wait for it. Time decides what is computed when, and never a result.

use assay_numerics::trace::CHUNK;
use std::time::Duration;

/// How long a step is to take while answers are being generated. Where a step is longer or shorter than the last one, its time is
/// foreseen but for what a step takes however few its tokens are, so by that much it may be longer.
pub const MAX_PAUSE: Duration = Duration::from_millis(250);

/// Tokens of prompts and claims that a step takes even if it lasts longer for it: prompts must go on.
pub const LEAST_PREFILL: usize = 8;

/// The speed of the steps so far.
#[derive(Default)]
pub(super) struct Pace {
	/// Seconds a row, as the last step that tells took.
	per_row: Option<f64>,
}

impl Pace {
	/// Returns how many tokens of prompts and claims a step takes beside `decoding` tokens of answers so that it is over within
	/// `pause`, by the speed of the last one.
	pub(super) fn prefill(&self, decoding: usize, pause: Duration) -> usize {
		let rows = match self.per_row {
			// Nothing is known: a chunk, whose time tells.
			None => CHUNK.saturating_add(decoding),
			Some(per_row) => (pause.as_secs_f64() / per_row) as usize,
		};
		rows.saturating_sub(decoding).max(LEAST_PREFILL)
	}

	/// Takes in how long a step of `rows` tokens took, of which `prefill` are of prompts and claims.
	pub(super) fn measure(&mut self, rows: usize, prefill: usize, took: Duration) {
		// With fewer, most of the time is that of reading the weights, and another token would cost little.
		if prefill < LEAST_PREFILL {
			return;
		}
		let now = took.as_secs_f64() / rows.max(1) as f64;
		// A step that was quick by chance makes the next one longer by no more than twice.
		let slowest = self.per_row.map_or(now, |before| now.max(before / 2.0));
		self.per_row = Some(slowest.max(f64::MIN_POSITIVE));
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	/// Runs steps beside `decoding` answers on a device that takes `fixed` and `per_row` milliseconds, behind one step of `first`
	/// tokens alone. Returns the tokens of each step's prefill and how long it takes.
	fn steps(fixed: f64, per_row: f64, decoding: usize, first: usize) -> Vec<(usize, Duration)> {
		let took = |rows: usize| Duration::from_secs_f64((fixed + per_row * rows as f64) / 1e3);
		let mut pace = Pace::default();
		pace.measure(first, first, took(first));
		let step = |_| {
			let prefill = pace.prefill(decoding, MAX_PAUSE);
			let (rows, took) = (prefill + decoding, took(prefill + decoding));
			pace.measure(rows, prefill, took);
			(prefill, took)
		};
		(0..40).map(step).collect()
	}

	#[test]
	fn steps_on_any_device_are_over_in_time_and_use_the_time() {
		for (fixed, per_row, decoding, first) in [
			(55.0, 3.0, 1, 128),
			(55.0, 3.0, 32, 20),
			(1.0, 0.1, 4, 64),
			(0.0, 7.0, 1, 128),
			(20.0, 1.0, 0, 9),
		] {
			let steps = steps(fixed, per_row, decoding, first);
			let fixed = Duration::from_secs_f64(fixed / 1e3);
			for (n, (prefill, took)) in steps.iter().enumerate() {
				let bound = if n < 8 {
					MAX_PAUSE + fixed
				} else {
					MAX_PAUSE * 101 / 100
				};
				assert!(
					*took <= bound || *prefill == LEAST_PREFILL,
					"step {n}: {prefill} took {took:?}"
				);
			}
			let (_, last) = steps[steps.len() - 1];
			assert!(last > MAX_PAUSE * 9 / 10, "{last:?} in the end");
		}
	}

	#[test]
	fn a_device_too_slow_for_any_pause_takes_the_least() {
		assert!(steps(4_000.0, 50.0, 2, 128)
			.iter()
			.all(|(prefill, _)| *prefill == LEAST_PREFILL));
	}

	#[test]
	fn a_step_that_took_long_by_chance_is_made_up_for() {
		let mut pace = Pace::default();
		pace.measure(64, 64, Duration::from_millis(200));
		let before = pace.prefill(0, MAX_PAUSE);
		pace.measure(64, 64, Duration::from_secs(10));
		assert_eq!(pace.prefill(0, MAX_PAUSE), LEAST_PREFILL);
		for _ in 0..8 {
			let rows = pace.prefill(0, MAX_PAUSE);
			pace.measure(rows, rows, Duration::from_micros(3_125 * rows as u64));
		}
		assert_eq!(pace.prefill(0, MAX_PAUSE), before);
	}

	#[test]
	fn no_time_at_all_bounds_nothing() {
		let mut pace = Pace::default();
		pace.measure(64, 64, Duration::ZERO);
		assert!(pace.prefill(3, MAX_PAUSE) > 1 << 30);
		assert_eq!(pace.prefill(usize::MAX, MAX_PAUSE), LEAST_PREFILL);
	}
}
