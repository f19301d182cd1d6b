//! The engine: the only crate that knows candle.
//!
//! It defines what a model's answer *is*, bit for bit (profile `c1-w8`, sampler `s1`, trace and digest: `docs/spec/c1-w8.md`),
//! makes answers by decoding and checks them by one prefill. From the inside out:
//!
//! * [`assay_numerics`]: the operations on the CPU, the sampler and the trace, each with one defined result;
//! * [`gpu`]: the same operations on a GPU;
//! * [`kv`]: where keys and values are stored, in pages of 32 positions;
//! * [`model`]: the families made of them; a row depends on that row and its prefix alone;
//! * [`manifest`], [`layout`], [`header`], [`import`](mod@import): what a model folder is, how it is checked, how it is made;
//! * [`tokenizer`], [`template`]: text to tokens, tokens to text;
//! * [`generate`]: execute and verify, one run of the model each;
//! * [`scheduler`]: many runs at once, in batches;
//! * [`engine`], [`server`]: the loaded models behind a socket, in a process of their own;
//! * [`process`]: what that process may take from its computer;
//! * [`program`]: the command line of that process, on the CPU or on a GPU.

#![deny(missing_docs)]

// Tests in here use the helpers of those outside, which know the crate by its name.
#[cfg(test)]
extern crate self as assay_engine;

/// Where those helpers compute: on the CPU.
#[cfg(test)]
fn device() -> Option<std::sync::Arc<dyn gpu::Gpu>> {
	None
}

pub mod engine;
pub mod error;
pub mod files;
pub mod generate;
pub mod gpu;
pub mod header;
pub mod import;
pub mod kv;
pub mod layout;
pub mod manifest;
pub mod model;
pub mod process;
pub mod program;
pub mod scheduler;
pub mod server;
pub mod template;
pub mod tokenizer;

pub use engine::Engine;
pub use error::{Error, Result};
pub use generate::{execute, verify, Executed};
pub use import::{import, ImportOptions};
pub use manifest::Manifest;
pub use model::Model;
