//! The operations of `c2` on a GPU: the same bits as [`assay_numerics`] gives.
//!
//! What is launched, with how many threads and on what memory, is decided here, and [`Gpu`] carries it out: a CUDA
//! device (`cuda`, feature `cuda`), or in tests an emulation that runs the same kernels' text on the CPU, thread by
//! thread (`ocw-inference/emulation`). So everything but the driver's own calls is tested where there is no GPU.

mod attention;
#[cfg(feature = "cuda")]
pub mod cuda;
mod device;
mod kernels;
mod matrix;
mod operation;
#[cfg(feature = "test-utils")]
pub mod operations;

pub(crate) use device::GpuDevice;

use candle_core::{Device, Result};
use std::{any::Any, sync::Arc};

/// A device that launches the kernels of `ocw-inference/engine/kernels`. Commands run in the order of the calls.
pub trait Gpu: Send + Sync {
	/// Returns candle's device of the tensors that its kernels read and write: f32, contiguous.
	fn device(&self) -> &Device;

	/// Allocates zeroed memory, aligned to 256 bytes.
	fn allocate(&self, bytes: usize) -> Result<Memory>;

	/// Copies bytes into memory, from byte `at` on.
	fn write(&self, memory: &Memory, at: usize, bytes: &[u8]) -> Result<()>;

	/// Copies bytes out of memory, once everything before is done.
	fn read(&self, memory: &Memory, at: usize, bytes: &mut [u8]) -> Result<()>;

	/// Runs a kernel with `arguments`, the bytes of its one parameter.
	fn launch(&self, launch: &Launch, arguments: &[u8]) -> Result<()>;

	/// Returns its name, for logs.
	fn name(&self) -> String;
}

/// Memory of a device, freed when it is dropped.
pub struct Memory {
	/// Its first byte's address on the device.
	pub address: u64,
	/// Its length.
	pub bytes: usize,
	/// The owner, which frees it.
	pub owner: Box<dyn Any + Send + Sync>,
}

/// One launch of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
	/// The kernel's name.
	pub kernel: &'static str,
	/// Blocks in x, y and z.
	pub grid: [u32; 3],
	/// Threads of a block, a multiple of 32.
	pub threads: u32,
	/// Bytes of shared memory beside what the kernel declares.
	pub shared: u32,
}

/// Logits in Q16.16 of some rows, in a device's memory; only the best of each row are in the host's.
pub(crate) struct FixedPointLogits {
	gpu: Arc<dyn Gpu>,
	/// i32 `[rows, vocabulary]`
	memory: Memory,
	/// Of each row: whether all are finite, the largest, and the first token that has it.
	best: Vec<[i32; 3]>,
	vocabulary: usize,
}

impl FixedPointLogits {
	/// Reads the best logits from `summary`.
	fn read(gpu: Arc<dyn Gpu>, memory: Memory, summary: &Memory, vocabulary: usize) -> Result<Self> {
		let mut best = vec![[0; 3]; summary.bytes / 12];
		gpu.read(summary, 0, bytemuck::cast_slice_mut(&mut best))?;
		Ok(Self {
			gpu,
			memory,
			best,
			vocabulary,
		})
	}

	/// Returns the largest logit of a row, and the first token that has it; none if one is not finite.
	pub(crate) fn best(&self, row: usize) -> Option<(i32, usize)> {
		match self.best.get(row) {
			Some([1, largest, first]) => Some((*largest, usize::try_from(*first).ok()?)),
			_ => None,
		}
	}

	/// Reads all logits of a row.
	pub(crate) fn row(&self, row: usize) -> Result<Vec<i32>> {
		let mut l = vec![0; self.vocabulary];
		let at = row * self.vocabulary * 4;
		self.gpu.read(&self.memory, at, bytemuck::cast_slice_mut(&mut l))?;
		Ok(l)
	}
}

/// Allocates memory with these bytes.
fn upload(gpu: &dyn Gpu, bytes: &[u8]) -> candle_core::Result<Memory> {
	let memory = gpu.allocate(bytes.len().max(1))?;
	gpu.write(&memory, 0, bytes)?;
	Ok(memory)
}
