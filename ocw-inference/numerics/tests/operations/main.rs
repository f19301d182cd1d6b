//! The operations against their definition, bit for bit: shapes, rows, threads, instruction sets, pages and batches at
//! random.
//!
//! `PROPTEST_CASES` asks for more cases, `PROPTEST_RNG_SEED` for other ones; a failure prints the seed that found it.

// Helpers of tests too may say what they mean: a panic here is a failure with a name.
#![allow(clippy::unwrap_used)]

mod attention;
mod definition;
mod linear;
mod rowwise;
