//! The graphics card's kernels against the processor's: the same bits for any shape, batch, page layout and order of threads.
//!
//! On any computer the kernels' text runs emulated (`ocw-inference/emulation`). Built with feature `cuda` and started with
//! `ASSAY_GPU=0`, the same tests run on that card.

#![allow(clippy::unwrap_used)]

#[path = "../engine/common.rs"]
mod common;
#[path = "../kernels/definition.rs"]
mod definition;

mod kernels;
mod many;
mod models;
mod network;

use ocw_inference::gpu::Gpu;
use std::sync::Arc;

/// The devices to test: the card that was asked for, or emulations that run threads in several orders.
fn devices() -> Vec<Arc<dyn Gpu>> {
	#[cfg(feature = "cuda")]
	if let Ok(ordinal) = std::env::var("ASSAY_GPU") {
		let ordinal = ordinal.parse().expect("ASSAY_GPU is the number of a card");
		return vec![Arc::new(ocw_inference::gpu::cuda::Cuda::open(ordinal).unwrap())];
	}
	[0, 1, 77]
		.map(|order| Arc::new(cuda_emulation::Emulated::with_order(order)) as Arc<dyn Gpu>)
		.into()
}

/// Whether it's a card that is tested.
fn on_card() -> bool {
	cfg!(feature = "cuda") && std::env::var_os("ASSAY_GPU").is_some()
}

/// How many cases of a property: a card has time for more.
fn cases(emulated: u32) -> u32 {
	emulated * if on_card() { 40 } else { 1 }
}

/// One of them.
fn device() -> Arc<dyn Gpu> {
	devices().remove(0)
}
