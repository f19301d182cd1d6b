//! The methods of floats that `core` lacks, from a pure-Rust libm: correctly rounded, so the same bits as `std`'s.

/// What `std` gives floats as inherent methods.
pub(crate) trait Float {
	/// Returns `self · a + b`, rounded once.
	fn mul_add(self, a: Self, b: Self) -> Self;
	/// Returns the square root.
	fn sqrt(self) -> Self;
	/// Returns the nearest integer, ties to even.
	fn round_ties_even(self) -> Self;
}

impl Float for f32 {
	fn mul_add(self, a: Self, b: Self) -> Self {
		libm::fmaf(self, a, b)
	}

	fn sqrt(self) -> Self {
		libm::sqrtf(self)
	}

	fn round_ties_even(self) -> Self {
		libm::roundevenf(self)
	}
}

impl Float for f64 {
	fn mul_add(self, a: Self, b: Self) -> Self {
		libm::fma(self, a, b)
	}

	fn sqrt(self) -> Self {
		libm::sqrt(self)
	}

	fn round_ties_even(self) -> Self {
		libm::roundeven(self)
	}
}

#[cfg(all(test, feature = "std"))]
mod tests {
	use super::*;
	use proptest::prelude::*;

	fn same(a: f32, b: f32) -> bool {
		a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
	}

	fn same_wide(a: f64, b: f64) -> bool {
		a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
	}

	proptest! {
		#![proptest_config(ProptestConfig::with_cases(100_000))]
		#[test]
		fn they_are_std_s(bits in any::<[u32; 3]>(), wide in any::<[u64; 3]>()) {
			let [a, b, c] = bits.map(f32::from_bits);
			prop_assert!(same(Float::mul_add(a, b, c), a.mul_add(b, c)));
			prop_assert!(same(Float::sqrt(a), a.sqrt()));
			prop_assert!(same(Float::round_ties_even(a), a.round_ties_even()));
			let [a, b, c] = wide.map(f64::from_bits);
			prop_assert!(same_wide(Float::mul_add(a, b, c), a.mul_add(b, c)));
			prop_assert!(same_wide(Float::sqrt(a), a.sqrt()));
			prop_assert!(same_wide(Float::round_ties_even(a), a.round_ties_even()));
		}
	}

	/// Products and sums that nearly cancel, where a second rounding would show.
	#[test]
	fn a_fused_product_is_rounded_once() {
		for i in 1..100_000u32 {
			let (a, b) = (1.0 + i as f32 * f32::EPSILON, 1.0 - i as f32 * f32::EPSILON / 2.0);
			assert!(same(Float::mul_add(a, b, -1.0), a.mul_add(b, -1.0)), "{i}");
		}
	}
}
