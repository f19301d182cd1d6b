//! A GPU's limits; int8 is that of its tensor cores (`kernels/limits.cu`).

use super::Limits;
use anyhow::Result;
use assay_engine::gpu::Gpu;

/// Bytes that are read: far more than any cache has.
#[cfg(feature = "cuda")]
const BYTES: usize = 2 << 30;
/// Passes over them.
#[cfg(feature = "cuda")]
const PASSES: usize = 8;
/// Products that each warp makes, of each of its sums.
#[cfg(feature = "cuda")]
const ROUNDS: u32 = 1 << 16;
/// Sums and threads, as the kernel has them.
#[cfg(feature = "cuda")]
const SUMS: usize = 8;
#[cfg(feature = "cuda")]
const THREADS: u32 = 256;
/// Multiplications of `mma.m16n8k32`.
#[cfg(feature = "cuda")]
const MACS: usize = 16 * 8 * 32;

/// Measures both.
#[cfg(feature = "cuda")]
pub fn measure(gpu: &dyn Gpu) -> Result<Limits> {
	use candle_core::cuda_backend::cudarc::{
		driver::{sys::CUdevice_attribute_enum, LaunchConfig, PushKernelArg},
		nvrtc::Ptx,
	};
	use std::time::Instant;

	let stream = gpu.device().as_cuda_device()?.cuda_stream();
	let context = stream.context();
	let image = include_bytes!(concat!(env!("OUT_DIR"), "/limits.fatbin"));
	let module = context.load_module(Ptx::from_binary(image.to_vec()))?;
	let (read, multiply) = (
		module.load_function("bench_read")?,
		module.load_function("bench_multiply")?,
	);
	let multiprocessors = context.attribute(CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as u32;
	let shape = |blocks: u32| LaunchConfig {
		grid_dim: (blocks, 1, 1),
		block_dim: (THREADS, 1, 1),
		shared_mem_bytes: 0,
	};
	let (memory, out) = (gpu.allocate(BYTES)?, gpu.allocate(256)?);
	let (words, blocks) = ((BYTES / 16) as u64, multiprocessors * 8);
	let read_once = || -> Result<()> {
		let mut builder = stream.launch_builder(&read);
		builder.arg(&memory.address).arg(&words).arg(&out.address);
		// SAFETY: the kernel reads the memory that it is given, and writes one number of `out`.
		unsafe { builder.launch(shape(blocks)) }?;
		Ok(())
	};
	let multiply_once = || -> Result<()> {
		let mut builder = stream.launch_builder(&multiply);
		builder.arg(&ROUNDS).arg(&out.address);
		// SAFETY: as above.
		unsafe { builder.launch(shape(multiprocessors * 4)) }?;
		Ok(())
	};
	// The first of each waits for the GPU to wake.
	read_once()?;
	multiply_once()?;
	stream.synchronize()?;
	let begun = Instant::now();
	for _ in 0..PASSES {
		read_once()?;
	}
	stream.synchronize()?;
	let reading = begun.elapsed().as_secs_f64();
	let begun = Instant::now();
	multiply_once()?;
	stream.synchronize()?;
	let multiplying = begun.elapsed().as_secs_f64();
	let products = (multiprocessors * 4 * THREADS / 32) as usize * SUMS * ROUNDS as usize * MACS;
	Ok(Limits {
		read: (PASSES * BYTES) as f64 / reading,
		int8: Some(products as f64 / multiplying),
	})
}

/// Without CUDA there is nothing to measure.
#[cfg(not(feature = "cuda"))]
pub fn measure(gpu: &dyn Gpu) -> Result<Limits> {
	anyhow::bail!("{} has no limits to measure", gpu.name())
}
