//! From an encoder's rows to one vector (`docs/spec/c2.md` §2.12).

#[cfg(not(feature = "std"))]
use crate::math::Float;
use crate::norm::lanes;
use alloc::{vec, vec::Vec};

/// Least length that a vector is divided by, so that the zero vector stays itself.
const LEAST: f32 = 1e-12;

/// Returns the mean of rows `[rows, width]`: sums from 0 over the rows in order, each divided by their number.
pub fn mean(rows: &[f32], width: usize) -> Vec<f32> {
	let mut sums = vec![0f32; width];
	let mut count = 0;
	for row in rows.chunks_exact(width.max(1)) {
		for (sum, v) in sums.iter_mut().zip(row) {
			*sum += v;
		}
		count += 1;
	}
	sums.iter().map(|sum| sum / count as f32).collect()
}

/// Returns a vector divided by its length: `x_i / max(√Σ x², 1e-12)`, the sum in lanes.
pub fn normalized(x: &[f32]) -> Vec<f32> {
	let length = lanes(x, |v, lane| v.mul_add(v, lane)).sqrt().max(LEAST);
	x.iter().map(|v| v / length).collect()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_mean_counts_rows_and_a_normalized_vector_has_length_one() {
		assert_eq!(mean(&[1.0, 2.0, 3.0, 6.0], 2), [2.0, 4.0]);
		assert_eq!(normalized(&[3.0, 4.0]), [0.6, 0.8]);
		assert_eq!(normalized(&[0.0, 0.0]), [0.0, 0.0]);
		assert!(normalized(&[f32::NAN])[0].is_nan());
	}
}
