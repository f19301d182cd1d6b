//! What a row loses when it is quantized (`docs/spec/c1-w8.md` §2.13).

#[cfg(not(feature = "std"))]
use crate::math::Float;
use crate::packed::BLOCK;
use alloc::vec::Vec;

/// Returns, for each block of 32 elements quantized as for a product (§2.2), what the integers times the scale leave:
/// `fma(−q, d, x)`.
pub fn quantization_residual(x: &[f32]) -> Vec<f32> {
	let mut left = Vec::with_capacity(x.len());
	for block in x.chunks(BLOCK) {
		let d = block.iter().fold(0f32, |most, v| most.max(v.abs())) / 127.0;
		left.extend(block.iter().map(|v| {
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

	#[test]
	fn what_is_left_is_at_most_half_a_step() {
		let x: Vec<f32> = (0..96).map(|i| ((i * 37 % 64) as f32 - 31.5) * 0.11).collect();
		for (block, left) in x.chunks(BLOCK).zip(quantization_residual(&x).chunks(BLOCK)) {
			let d = block.iter().fold(0f32, |most, v| most.max(v.abs())) / 127.0;
			assert!(left.iter().all(|r| r.abs() <= d * 0.501), "{left:?}");
			assert!(left.iter().any(|r| *r != 0.0));
		}
		assert_eq!(quantization_residual(&[0.0; 32]), [0.0; 32]);
		assert!(quantization_residual(&[f32::NAN; 32])[0].is_nan());
	}
}
