//! Cartels against the chain's own rules.
//!
//! Draws, lotteries, tallies, deadlines and payments are the functions of `assay-primitives` that the runtime calls;
//! only block production ([`chain`]), the network and the players ([`strategies`]) are modeled. [`report`] writes what is
//! measured, beside what [`assay_primitives::assurance`] claims.

#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod chain;
pub mod electorate;
pub mod random;
pub mod report;
pub mod strategies;
