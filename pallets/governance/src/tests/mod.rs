//! Tests of the pallet.

mod attacks;
mod delay;
mod examples;
mod urgent;
