//! The graphics card's kernels against the processor's: the same bits for any shape, batch, page layout and order of threads.
//!
//! On any computer the kernels' text runs emulated (`ocw-inference/emulation`). Built with feature `cuda` and started with
//! `ASSAY_GPU=0`, the same tests run on that card.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../engine/bits.rs"]
mod bits;
#[allow(dead_code)]
#[path = "../engine/common.rs"]
mod common;
#[allow(dead_code)]
#[path = "../kernels/definition.rs"]
mod definition;
#[path = "../engine/golden/mod.rs"]
mod golden;

mod kernels;
mod models;

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

/// Where models compute.
fn device() -> Option<Arc<dyn Gpu>> {
	devices().into_iter().next()
}
