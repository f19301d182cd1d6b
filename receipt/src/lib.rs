//! Checks an Assay receipt with no chain and no network.
//!
//! A [`ReceiptFile`] carries a receipt together with the prompt and the answer that its hashes name. [`check`]
//! recomputes everything in it that follows from something else: hashes, the job's id, the claim's name and its sampling
//! seed, token counts, that the seats are those of legal tranches, that the seal opens to the root and every approval
//! fits it, the faults, and the verdict. [`differences`] compares the rest ([`ONLY_A_CHAIN_KNOWS`]) with a chain's
//! storage. A receipt that the chain has pruned is held against the chain's accumulator instead, in which it has a
//! [`Leaf`]. A client that streamed the draft may add what the executor signed, as [`StreamEvidence`]: two signed drafts
//! that differ, or one that the answer does not go on with, show that it contradicted itself.
//!
//! The crate is `no_std`; the JSON form needs the feature `std`.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, clippy::arithmetic_side_effects, clippy::indexing_slicing)]

extern crate alloc;

mod account;
mod check;
mod file;
mod stream;

pub use account::Account;
pub use check::{check, differences, Checked, Contradiction, Mismatch, ONLY_A_CHAIN_KNOWS};
#[cfg(feature = "std")]
pub use file::ReadError;
pub use file::{ChainReceipt, Leaf, ReadAt, ReceiptFile, FORMAT, MAX_FILE_BYTES};
pub use stream::{SignedChunk, StreamEvidence, MAX_EVIDENCE_CHUNKS};
