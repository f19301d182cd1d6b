//! The engine: the only crate that knows candle.
//!
//! It defines what a model's answer *is*, bit for bit (profile `c2`, sampler `s1` and trace: `docs/spec/c2.md`),
//! makes answers by decoding and checks them by one prefill. From the inside out:
//!
//! * [`assay_numerics`]: the operations on the CPU, the sampler and the trace, each with one defined result;
//! * [`gpu`]: the same operations on a GPU;
//! * [`kv`]: where keys and values are stored, in pages of 32 positions;
//! * [`model`]: the families made of them; a row depends on that row and its prefix alone;
//! * `grammar`: which tokens an answer may have, by its schema and its tools;
//! * [`sequence`]: a prompt and its answer, generated or compared with a claim;
//! * [`scheduler`]: many sequences at once, in batches;
//! * [`generate`]: execute and verify, one sequence each;
//! * [`calibration`]: how large the inputs of a decoder's matrices are, for the importer;
//! * [`known_answer`]: what an engine has to reproduce before it serves a model;
//! * `progress`: the tokens of answers in the making, on their way to the node;
//! * [`spot_check`]: 32 positions of a claim are computed again from what its trace commits to;
//! * `recheck`: a rejection is computed once more with the portable instructions before it leaves the engine;
//! * [`engine`], [`server`]: the loaded models behind a socket, in a process of their own, and others that come and go;
//! * [`process`]: what that process may take from its machine;
//! * [`program`]: the command line of that process, on the CPU or on a GPU, and its sandbox.

#![deny(missing_docs)]

pub mod calibration;
pub mod engine;
pub mod error;
pub mod generate;
pub mod gpu;
mod grammar;
pub mod known_answer;
pub mod kv;
pub mod model;
pub mod process;
pub mod program;
mod progress;
mod recheck;
pub mod scheduler;
pub mod sequence;
pub mod server;
pub mod spot_check;

pub use engine::Engine;
pub use error::{Error, Result};
pub use generate::{execute, verify};
pub use model::Model;
pub use sequence::Executed;
