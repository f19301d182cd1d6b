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
