//! What can go wrong in the arithmetic: nothing, once operands fit together.

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
}

impl fmt::Display for Error {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Shape(reason) | Self::Parameter(reason) => f.write_str(reason),
		}
	}
}

impl core::error::Error for Error {}
