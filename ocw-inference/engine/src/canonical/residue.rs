//! What a row keeps back when it's quantised (`docs/spec/c1-w8.md` §2.13).

use super::linear::BLOCK;

/// For each block of 32 elements quantised as for a product (§2.2), what the integers times the scale leave: `fma(−q, d, x)`.
pub fn residue(x: &[f32]) -> Vec<f32> {
	let mut left = Vec::with_capacity(x.len());
	for block in x.chunks(BLOCK) {
		let d = block.iter().fold(0f32, |most, v| most.max(v.abs())) / 127.0;
		left.extend(block.iter().map(|v| match d == 0.0 {
			true => *v,
			false => {
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
		for (block, left) in x.chunks(BLOCK).zip(residue(&x).chunks(BLOCK)) {
			let d = block.iter().fold(0f32, |most, v| most.max(v.abs())) / 127.0;
			assert!(left.iter().all(|r| r.abs() <= d * 0.501), "{left:?}");
			assert!(left.iter().any(|r| *r != 0.0));
		}
		assert_eq!(residue(&[0.0; 32]), [0.0; 32]);
		assert!(residue(&[f32::NAN; 32])[0].is_nan());
	}
}
