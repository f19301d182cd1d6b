//! Verifies an Assay receipt with no chain and no network.
//!
//! A [`ReceiptFile`] carries a receipt together with the prompt and the answer that its hashes name. [`check`]
//! recomputes everything in it that follows from something else: hashes, the job's id, the claim's name and its sampling
//! seed, token counts, that the seats are those of legal tranches, that the seal opens to the root and every approval
//! fits it, the faults, and the verdict. Whether a chain stored the receipt shows its [`Finality`] evidence: [`verify`]
//! holds it against an [`Anchor`], a set of validators that its caller trusts, and reports each step. The specification
//! is `docs/spec/receipt.md`.
//!
//! With a chain at hand, [`differences`] compares what only it knows ([`ONLY_A_CHAIN_KNOWS`]) with its storage. A client
//! that streamed the draft may add what the executor signed, as [`StreamEvidence`]: two signed drafts that differ, or one
//! that the answer does not go on with, show that it contradicted itself.
//!
//! The crate is `no_std` and needs no host functions; the JSON forms and the sentences of [`assurance`] need the feature
//! `std`.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, clippy::arithmetic_side_effects, clippy::indexing_slicing)]

extern crate alloc;

mod account;
mod anchor;
#[cfg(feature = "std")]
pub mod assurance;
mod check;
mod file;
mod finality;
#[cfg(feature = "std")]
mod json;
mod storage;
mod stream;
mod verify;

pub use account::Account;
pub use anchor::{
	unbonding_seconds, Anchor, Authority, MaxAge, ANCHOR_FORMAT, MIN_UNBONDING_SECONDS, SLOT_SECONDS, UNBONDING_SECONDS,
};
#[cfg(feature = "std")]
pub use anchor::{AnchorError, MAX_SPEC_BYTES};
pub use check::{check, differences, Checked, Contradiction, Mismatch, ONLY_A_CHAIN_KNOWS};
#[cfg(feature = "std")]
pub use file::ReadError;
pub use file::{ChainReceipt, Leaf, ReadAt, ReceiptFile, FORMAT, MAX_FILE_BYTES};
#[cfg(all(feature = "std", any(test, feature = "test-utils")))]
pub use finality::prove;
pub use finality::{
	trimmed_justification, Block, Finality, Handover, MAX_HANDOVERS, MAX_HEADER_BYTES, MAX_JUSTIFICATION_BYTES,
	MAX_NODES, MAX_NODE_BYTES,
};
pub use storage::{unbonding_key, StoredClaim};
pub use stream::{SignedChunk, StreamEvidence, MAX_EVIDENCE_CHUNKS};
#[cfg(feature = "std")]
pub use verify::verify;
pub use verify::{verify_file, Outcome, Policy, Reason, Report, Step, StepId};
