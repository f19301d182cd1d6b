//! The arithmetic of profile `c2`: a linear layer, attention or a sampled token has the same bits on every machine.
//!
//! Every rounding and the order of every sum of floats are fixed by `docs/spec/c2.md`. Vector lanes never share a
//! sum, and threads share rows or outputs, never a sum. So the instruction set, the number of threads, the other rows
//! of a batch and the layout of pages change the speed and no bit. Operations take slices and write slices; nothing
//! here knows a tensor library, a file or a model.
//!
//! ```
//! use assay_numerics::{linear::Linear, packed::PackedMatrix, Isa};
//!
//! // Two outputs of 64 inputs each, quantized to int8 with an f16 scale for every 32 weights.
//! let weights: Vec<f32> = (0..2 * 64).map(|i| (i as f32 * 0.1).sin()).collect();
//! let weight = PackedMatrix::quantize(&weights, 64)?;
//! let (x, mut y) = ([0.5; 64], [0.0; 2]);
//! Linear { weight: &weight, bias: None, isa: Isa::detect() }.apply(&x, &mut y)?;
//! println!("{y:?}");
//! assert_eq!(y.map(f32::to_bits), [0x3B81_009F, 0x3D9D_988A]);
//! # Ok::<(), assay_numerics::Error>(())
//! ```
//!
//! | operation | what it computes | section |
//! |---|---|---|
//! | [`format::MatrixFormat`] | how the weights of a matrix are stored | 2.1 |
//! | [`packed::PackedMatrix`] | weights of 8 or 4 bits with f16 scales, packed for vector lanes | 2.1, 8.1 |
//! | [`linear::Linear`] | `x · Wᵀ + bias`, in integers with exact sums of a group | 2.2 |
//! | [`packed::Gather`] | rows of a quantized table: the embedding | 2.3 |
//! | [`norm::RmsNorm`], [`norm::HeadNorm`], [`norm::LayerNorm`] | norms of rows, and of heads | 2.4, 2.9, 2.10 |
//! | [`exp::exp`] | eˣ | 2.5 |
//! | [`rope::Rope`], [`rope::Tables`], [`rope::RopeScaling`] | rotary positions | 2.6 |
//! | [`attention::Attention`], [`kv::Pool`] | attention over pages of keys and values in f16 | 2.7 |
//! | [`activation::SiluMul`], [`activation::Gelu`] | gates and activations | 2.8, 2.11 |
//! | [`pooling`] | an encoder's rows to one vector | 2.12 |
//! | [`residual::quantization_residual`] | what quantization loses, for products in two steps | 2.13 |
//! | [`flag_non_finite`] | rows that fail | 3.3 |
//! | [`sampler::Sampler`] | the token that a row of logits gives | 5.1 |
//! | [`recompute`] | any of them for one element, row or cell, from committed bytes | 6.3 |
//! | [`trace::Trace`] | one hash over the rows, keys and values of every layer | 6 |
//!
//! # Features
//!
//! * `std` (default): threads, which are those of rayon's current pool, and detection of the machine's instruction sets. A
//!   caller inside `ThreadPool::install` pays a few microseconds for each operation, one outside pays a wake-up. Without
//!   `std` the crate is `no_std` with `alloc` and computes the scalar definitions: the same bits, slowly.
//! * `simd` (default): kernels in AVX2, AVX-512, AMX and NEON.
//! * `codec`, `serde`: encodings of [`rope::RopeScaling`] and [`F32`].
//! * `test-utils`: random matrices and poisoned pages.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;
// Tests in this crate share the definitions of those beside it.
#[cfg(test)]
extern crate self as assay_numerics;

pub mod activation;
pub mod attention;
mod error;
pub mod exp;
mod float;
pub mod format;
pub mod isa;
pub mod kv;
pub mod linear;
#[cfg(any(test, not(feature = "std")))]
mod math;
pub mod norm;
pub mod packed;
pub mod pooling;
#[cfg(feature = "test-utils")]
mod random;
pub mod recompute;
pub mod residual;
pub mod rope;
mod rows;
pub mod sampler;
mod simd;
mod threads;
pub mod trace;

pub use error::{Error, QuantizeError, Result};
pub use float::F32;
pub use format::BLOCK;
pub use isa::Isa;
pub use rows::flag_non_finite;
pub use threads::with_threads_awake;
