//! Which device is tested.

use assay_engine::gpu::Gpu;
use std::sync::Arc;

/// The GPU that was asked for, or emulations that run threads in several orders.
pub(crate) fn devices() -> Vec<Arc<dyn Gpu>> {
	#[cfg(feature = "cuda")]
	if let Ok(ordinal) = std::env::var("ASSAY_GPU") {
		let ordinal = ordinal.parse().expect("ASSAY_GPU is the number of a GPU");
		return vec![Arc::new(assay_engine::gpu::cuda::Cuda::open(ordinal).unwrap())];
	}
	[0, 1, 77]
		.map(|order| Arc::new(cuda_emulation::Emulated::with_order(order)) as Arc<dyn Gpu>)
		.into()
}

/// Where models compute.
pub(crate) fn device() -> Option<Arc<dyn Gpu>> {
	devices().into_iter().next()
}

/// Whether it is a GPU that is tested.
pub(crate) fn on_real_gpu() -> bool {
	cfg!(feature = "cuda") && std::env::var_os("ASSAY_GPU").is_some()
}

/// How many cases of a property: a GPU has time for more.
pub(crate) fn cases(emulated: u32) -> u32 {
	emulated * if on_real_gpu() { 40 } else { 1 }
}
