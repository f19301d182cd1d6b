//! Every pallet's parameters, one file a theme.
//!
//! [`inference`] is the one that makes this chain Assay: it wires the four pallets, which do not know one another.

pub mod consensus;
pub mod inference;
pub mod system;
pub mod tokens;
