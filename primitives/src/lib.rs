//! Types and contracts of Assay.
//!
//! What every other crate agrees on, and nothing else: the types that travel between user, chain, worker and
//! engine; the rules that are pure functions (who is drawn, what is decided, who is paid); the small traits through which
//! pallets meet; the host functions through which a worker reaches the engine; the runtime API.
//!
//! The crate is `no_std` and knows neither FRAME's macros nor candle. Clients and the engine need only the plain
//! types; what a chain needs besides ([`traits`], [`host`], [`crypto`], the trait in [`api`]) is behind the feature
//! `substrate`.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]
// Not in tests: a panic there is a failure with a location.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

extern crate alloc;

pub mod accumulator;
pub mod api;
pub mod assurance;
#[cfg(feature = "serde")]
pub mod chat;
pub mod claim;
#[cfg(feature = "substrate")]
pub mod crypto;
#[cfg(feature = "serde")]
pub mod decimal;
pub mod digest;
pub mod dispute;
pub mod draw;
pub mod economics;
pub mod endpoint;
pub mod finality;
pub mod hash;
#[cfg(feature = "substrate")]
pub mod host;
pub mod job;
#[cfg(feature = "serde")]
pub mod json;
pub mod manifest;
#[cfg(feature = "substrate")]
pub mod message;
pub mod model;
#[cfg(feature = "substrate")]
pub mod offchain;
pub mod possession;
pub mod receipt;
pub mod rules;
pub mod state;
pub mod stream;
pub mod task;
#[cfg(feature = "substrate")]
pub mod traits;
pub mod validators;
pub mod vote;

pub use hash::{
	AccumulatorRoot, Approval, BoundRoot, ClaimId, Commitment, DisputeId, DrawId, ExecutionId, Hash32, InputHash,
	JobId, LeafHash, ModelId, NodeHash, OutputHash, PartRoot, Seal, TraceRoot, WorkId,
};
pub use job::{
	Failure, FinishReason, Input, Output, SamplingParams, Target, UncheckedInput, UncheckedOutput, UncheckedParams,
};
pub use model::ListingId;
pub use receipt::{Receipt, Verdict};
pub use state::State;
pub use task::{Finding, Work};
pub use vote::Vote;

/// Amounts in the smallest unit of the chain's token (10⁻¹² ASY).
pub type Balance = u128;

/// Hard limits in types: what no chain parameter can exceed.
pub mod limits {
	/// Longest prompt or conversation, in bytes.
	pub const MAX_INPUT_BYTES: u32 = 64 * 1024;
	/// Most tokens one job may generate.
	pub const MAX_OUTPUT_TOKENS: u32 = 4096;
	/// Longest text of an output, in bytes.
	pub const MAX_OUTPUT_BYTES: u32 = MAX_OUTPUT_TOKENS * OUTPUT_BYTES_PER_TOKEN;
	/// Bytes of text that each token of `max_tokens` allows an answer.
	pub const OUTPUT_BYTES_PER_TOKEN: u32 = 16;
	/// Bytes of text that an answer may have however few tokens it may have.
	pub const MIN_OUTPUT_BYTES: u32 = 1024;
	/// Longest endpoint of a provider, in bytes.
	pub const MAX_ENDPOINT_BYTES: u32 = 256;
	/// Most stop strings of one job.
	pub const MAX_STOPS: u32 = 4;
	/// Longest stop string, in bytes.
	pub const MAX_STOP_BYTES: u32 = 32;
	/// Most verifiers that may be asked for.
	pub const MAX_VERIFIERS: u8 = 8;
	/// Most tranches of seats of one claim.
	pub const MAX_TRANCHES: u8 = crate::rules::MAX_TRANCHES;
	/// Most auditors that are drawn for one claim, all its audits together.
	pub const MAX_AUDIT_DRAWS: u32 = 8;
	/// Most seats that a claim's record lists: those of verifiers and those of auditors.
	pub const MAX_SEAT_RECORDS: u32 = crate::rules::MAX_SEATS + MAX_AUDIT_DRAWS;
	/// Executors one job may get before it is refunded.
	pub const MAX_ATTEMPTS: u32 = 3;
	/// Most messages that one extrinsic carries.
	pub const MAX_BATCH: u32 = 16;
	/// Most members of an electorate.
	pub const MAX_MEMBERS: u32 = 64;
	/// Longest manifest, SCALE-encoded, in bytes.
	pub const MAX_MANIFEST_BYTES: u32 = 512 * 1024;
	/// Most tensors of a manifest.
	pub const MAX_MANIFEST_TENSORS: u32 = 6_000;
	/// Longest name of a model, in bytes.
	pub const MAX_MODEL_NAME_BYTES: u32 = 64;
	/// Longest name of an architecture, in bytes.
	pub const MAX_ARCHITECTURE_BYTES: u32 = 32;
	/// Most listings of one model that take jobs.
	pub const MAX_LISTINGS: u32 = 16;
	/// Most providers that may serve one model at a time.
	pub const MAX_PROVIDERS_PER_MODEL: u32 = 128;
	/// Most jobs that one call of the runtime API returns: with the longest prompts and answers, less than 3 MiB.
	pub const MAX_JOB_VIEWS: u32 = 16;
}
