//! The arithmetic of profile `c1-w8` (`docs/spec/c1-w8.md`): slices in, slices out, every bit defined.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

mod error;
mod float;
pub mod rope;

pub use error::{Error, Result};
pub use float::F32;

/// Weights of a matrix that share one scale: a block, along the inputs.
pub const BLOCK: usize = 32;
