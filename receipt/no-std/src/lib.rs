//! Builds `assay-receipt` for a target without `std`. A crate of its own, because cargo counts the dev-dependencies of the
//! package that it checks, and those of the verifier need an operating system.

#![no_std]

pub use assay_receipt::verify_file;
