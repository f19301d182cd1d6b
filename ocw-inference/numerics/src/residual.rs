//! What a row loses when it is quantized (`docs/spec/c2.md` §2.13).

use crate::format::MatrixFormat;
#[cfg(not(feature = "std"))]
use crate::math::Float;
use alloc::vec::Vec;

/// Returns, for each group of rows `[rows, width]` quantized as for a product with a matrix of this format (§2.2), what
/// the integers times the scale leave: `fma(−q, d, x)`.
pub fn quantization_residual(x: &[f32], width: usize, format: MatrixFormat) -> Vec<f32> {
	let mut left = Vec::with_capacity(x.len());
	for group in x.chunks(width.max(1)).flat_map(|row| row.chunks(format.group())) {
		let d = group.iter().fold(0f32, |most, v| most.max(v.abs())) / 127.0;
		left.extend(group.iter().map(|v| {
			if d == 0.0 {
				*v
			} else {
				let q = (v / d).round_ties_even().clamp(-127.0, 127.0);
				(-q).mul_add(d, *v)
			}
		}));
	}
	left
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::format::Group;

	#[test]
	fn what_is_left_is_at_most_half_a_step_of_its_group() {
		let x: Vec<f32> = (0..2 * 160)
			.map(|i| ((i * 37 % 64) as f32 - 31.5) * 0.11 * (1 + i / 32) as f32)
			.collect();
		for (format, sizes) in [
			(MatrixFormat::W8_32, [32; 5].as_slice()),
			(MatrixFormat::W8 { group: Group::G128 }, &[128, 32]),
		] {
			let left = quantization_residual(&x, 160, format);
			let (mut x, mut left) = (x.as_slice(), left.as_slice());
			for size in sizes.iter().cycle().take(2 * sizes.len()) {
				let (group, rest) = x.split_at(*size);
				let (of_group, behind) = left.split_at(*size);
				let d = group.iter().fold(0f32, |most, v| most.max(v.abs())) / 127.0;
				assert!(of_group.iter().all(|r| r.abs() <= d * 0.501), "{of_group:?}");
				assert!(of_group.iter().any(|r| r.abs() > d * 0.4));
				(x, left) = (rest, behind);
			}
		}
		assert_eq!(quantization_residual(&[0.0; 32], 32, MatrixFormat::W8_32), [0.0; 32]);
		assert!(quantization_residual(&[f32::NAN; 32], 32, MatrixFormat::W8_32)[0].is_nan());
	}
}
