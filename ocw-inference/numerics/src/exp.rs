//! The exponential of the profile: the same bits on every machine, which no system's `exp` promises.

#[cfg(not(feature = "std"))]
use crate::math::Float;

const LOG2_E: f32 = f32::from_bits(0x3FB8_AA3B);
// ln 2 in two parts; the first has few bits, so that `n · LN2_HI` is exact.
const LN2_HI: f32 = f32::from_bits(0x3F31_7200);
const LN2_LO: f32 = f32::from_bits(0x35BF_BE8E);
// 1.5 · 2²³: adding it rounds to an integer, ties to even, and leaves the integer in the low bits.
const ROUND: f32 = 12_582_912.0;
// 1/7!, 1/6! … 1/2!, 1, 1: on |r| ≤ ln 2 / 2 the series is within 1e-8 of eʳ.
const SERIES: [f32; 8] = [
	1.0 / 5040.0,
	1.0 / 720.0,
	1.0 / 120.0,
	1.0 / 24.0,
	1.0 / 6.0,
	0.5,
	1.0,
	1.0,
];
// Beyond these the result is +∞ and 0.
const HIGHEST: f32 = 88.8;
const LOWEST: f32 = -104.0;

/// Returns eˣ: `n = round(x · log₂e)`, `r = x − n · ln 2`, a Horner chain of `fma`, then two exact powers of two.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
	// Written as two selects, so that a NaN passes through both.
	let clamped = if x > HIGHEST { HIGHEST } else { x };
	let clamped = if clamped < LOWEST { LOWEST } else { clamped };
	let shifted = clamped.mul_add(LOG2_E, ROUND);
	let n = shifted - ROUND;
	let r = n.mul_add(-LN2_LO, n.mul_add(-LN2_HI, clamped));
	let mut p = SERIES[0];
	for c in &SERIES[1..] {
		p = p.mul_add(r, *c);
	}
	let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
	let half = n >> 1;
	// Two factors, so that neither leaves the normal range; only the second product can round.
	p * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

#[inline(always)]
fn power_of_two(n: i32) -> f32 {
	f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn exp_is_within_one_unit_in_the_last_place_of_the_truth() {
		let mut worst = 0.0f64;
		for i in -870_000..887_000 {
			let x = i as f32 * 1e-4;
			let truth = libm::exp(f64::from(x));
			let got = exp(x);
			let ulp = f64::from(f32::from_bits((truth as f32).to_bits() + 1)) - f64::from(truth as f32);
			worst = worst.max((f64::from(got) - truth).abs() / ulp);
		}
		assert!(worst < 1.0, "{worst} units");
	}

	#[test]
	fn exp_ends_in_zero_infinity_and_nan() {
		assert_eq!(exp(0.0).to_bits(), 1.0f32.to_bits());
		assert_eq!(exp(-104.0), 0.0);
		assert_eq!(exp(f32::NEG_INFINITY), 0.0);
		assert_eq!(exp(89.0), f32::INFINITY);
		assert_eq!(exp(f32::INFINITY), f32::INFINITY);
		assert!(exp(f32::NAN).is_nan());
		let subnormal = exp(-100.0);
		assert!(subnormal > 0.0 && subnormal < f32::MIN_POSITIVE);
	}
}
