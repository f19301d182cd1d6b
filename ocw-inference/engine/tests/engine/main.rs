//! The engine from outside, on tiny models made on the spot. One program, one file a topic.

// Helpers of tests too may say what they mean: a panic here is a failure with a name.
#![allow(clippy::unwrap_used)]

mod bits;
mod cheats;
mod coming;
mod common;
#[allow(dead_code)]
#[path = "../../../numerics/tests/operations/definition.rs"]
mod definition;
mod encoder;
mod folders;
mod golden;
mod grammar;
mod honest;
mod hostile;
mod memory;
#[cfg(target_os = "linux")]
mod process;
mod quality;
mod recheck;
mod recompute;
mod reference;
mod refusals;
mod rows;
#[cfg(target_os = "linux")]
mod sandbox;
mod scheduling;
mod socket;
mod spot_check;
mod stock;
mod streaming;

use assay_engine::gpu::Gpu;
use std::sync::Arc;

/// Here models compute on the CPU; `tests/gpu` runs some of these files where they don't.
fn device() -> Option<Arc<dyn Gpu>> {
	None
}

/// How many of so many repetitions are made: here, all.
fn repetitions(all: u32) -> u32 {
	all
}
