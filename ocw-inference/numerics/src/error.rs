//! What can go wrong in the arithmetic: nothing, once operands fit together.

use crate::Isa;
use alloc::string::String;
use core::fmt;

/// Result of this crate.
pub type Result<T> = core::result::Result<T, Error>;

/// What can go wrong in the arithmetic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
	/// Operands, results or dimensions do not fit together.
	Shape(String),
	/// A parameter is outside its range.
	Parameter(String),
	/// There is no memory for a matrix or a pool.
	Memory(String),
	/// A block of weights cannot be quantized.
	Quantize(QuantizeError),
	/// The machine does not have the instruction set that was asked for.
	Unsupported(Isa),
	/// The calling thread flushes subnormal numbers to zero or does not round to nearest, so its results would be
	/// wrong.
	Rounding,
}

impl fmt::Display for Error {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Shape(reason) | Self::Parameter(reason) | Self::Memory(reason) => f.write_str(reason),
			Self::Quantize(error) => write!(f, "a matrix {error}"),
			Self::Unsupported(isa) => write!(f, "this machine does not have the instruction set `{isa}`"),
			Self::Rounding => f.write_str(
				"this thread flushes subnormal numbers to zero or does not round to nearest; its results would be wrong",
			),
		}
	}
}

impl core::error::Error for Error {}

/// Why a block of weights cannot be quantized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantizeError {
	/// One of them is a NaN or an infinity.
	NonFinite,
	/// They are so large that their scale is not finite in f16.
	TooLarge,
}

impl QuantizeError {
	/// Returns the reason, as the end of a sentence about a tensor.
	pub fn reason(self) -> &'static str {
		match self {
			Self::NonFinite => "has a NaN or an infinity",
			Self::TooLarge => "is too large for f16 scales",
		}
	}
}

impl fmt::Display for QuantizeError {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(self.reason())
	}
}

impl core::error::Error for QuantizeError {}

impl From<QuantizeError> for Error {
	fn from(error: QuantizeError) -> Self {
		Self::Quantize(error)
	}
}

/// Returns an [`Error::Shape`] with a formatted reason.
macro_rules! bail_shape {
	($($reason:tt)*) => {
		return Err($crate::Error::Shape(alloc::format!($($reason)*)))
	};
}

pub(crate) use bail_shape;
