//! Every pallet's parameters, one file a theme.
//!
//! [`inference`] wires the four pallets of Assay, which do not know one another.

pub mod consensus;
pub mod governance;
pub mod inference;
pub mod system;
pub mod tokens;
