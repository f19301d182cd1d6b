//! The GPU's kernels against the CPU's: the same bits for any shape, batch, page layout and order of threads.
//!
//! On any machine the kernels' text runs emulated (`ocw-inference/emulation`). Built with feature `cuda` and started
//! with
//! `ASSAY_GPU=0`, the same tests run on that GPU.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../engine/common.rs"]
mod common;
#[allow(dead_code)]
#[path = "../../../numerics/tests/operations/definition.rs"]
mod definition;
mod device;
#[path = "../engine/golden/mod.rs"]
mod golden;
#[allow(dead_code)]
#[path = "../engine/rows.rs"]
mod rows;

mod kernels;
mod many;
mod models;
mod network;

use device::{cases, device, devices, on_real_gpu};
