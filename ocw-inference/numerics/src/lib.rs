//! The arithmetic of profile `c1-w8` (`docs/spec/c1-w8.md`): slices in, slices out, every bit defined.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

pub mod activation;
pub mod attention;
mod error;
pub mod exp;
mod float;
pub mod isa;
pub mod kv;
pub mod linear;
#[cfg(not(feature = "std"))]
mod math;
pub mod norm;
pub mod packed;
pub mod pooling;
#[cfg(feature = "test-utils")]
mod random;
pub mod residual;
pub mod rope;
mod rows;
pub mod sampler;
mod simd;
mod threads;
pub mod trace;

pub use error::{Error, Result};
pub use float::F32;
pub use isa::Isa;
pub use rows::flag_non_finite;
