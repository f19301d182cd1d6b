//! Assembles a node: BABE makes blocks, GRANDPA finalizes them, the worker votes on jobs.

mod consensus;
mod full;
mod inherents;
mod network;
mod partial;
mod pool_tasks;
mod workers;

pub use full::new_full;
pub use partial::{new_partial, FullBackend, FullClient, FullPool, FullSelectChain};

/// What a runtime may call outside itself: Substrate's functions and the two of inference.
pub type HostFunctions = (sp_io::SubstrateHostFunctions, assay_primitives::host::HostFunctions);
