//! A device that runs the CUDA kernels' text on the CPU, thread by thread, for tests where there is no GPU.
//!
//! `emulated.h` defines what the kernels use of CUDA. The order in which a block's threads run is free where they do
//! not wait for one another, so a test may choose it: results that depend on it are a race. It cannot show what only a
//! GPU does: its own rounding, its asynchronous copies, and its speed.

use assay_engine::gpu::{Gpu, Launch, Memory};
use candle_core::{bail, Device, Result};
use std::{
	ffi::{c_char, c_int, c_void, CString},
	sync::atomic::{AtomicU64, Ordering},
};

extern "C" {
	fn emulated_launch(
		name: *const c_char,
		grid: *const u32,
		threads: u32,
		shared: u32,
		arguments: *const c_void,
		size: usize,
		order: u64,
	) -> c_int;
}

/// An emulated device; its memory is the host's.
#[derive(Default)]
pub struct Emulated {
	order: u64,
	launches: AtomicU64,
}

impl Emulated {
	/// Makes a device on which the threads of a block run in an order that `seed` decides; 0 is the ascending one.
	pub fn with_order(seed: u64) -> Self {
		Self {
			order: seed,
			launches: AtomicU64::new(0),
		}
	}

	/// Returns the number of kernels launched so far.
	pub fn launches(&self) -> u64 {
		self.launches.load(Ordering::Relaxed)
	}
}

/// Aligned as a device's memory is.
#[derive(Clone)]
#[repr(C, align(256))]
struct Line([u8; 256]);

impl Gpu for Emulated {
	fn device(&self) -> &Device {
		&Device::Cpu
	}

	fn allocate(&self, bytes: usize) -> Result<Memory> {
		let mut lines = Vec::new();
		let count = bytes.div_ceil(256);
		if lines.try_reserve_exact(count).is_err() {
			bail!("no memory for {bytes} bytes");
		}
		lines.resize(count, Line([0; 256]));
		Ok(Memory {
			address: lines.as_mut_ptr() as u64,
			bytes,
			owner: Box::new(lines),
		})
	}

	fn write(&self, memory: &Memory, at: usize, bytes: &[u8]) -> Result<()> {
		inside(memory, at, bytes.len())?;
		// SAFETY: inside memory that `owner` keeps; nobody reads it meanwhile, because launches end before they return.
		unsafe {
			let to = (memory.address as *mut u8).add(at);
			std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
		}
		Ok(())
	}

	fn read(&self, memory: &Memory, at: usize, bytes: &mut [u8]) -> Result<()> {
		inside(memory, at, bytes.len())?;
		// SAFETY: as above.
		unsafe {
			let from = (memory.address as *const u8).add(at);
			std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len());
		}
		Ok(())
	}

	fn launch(&self, launch: &Launch, arguments: &[u8]) -> Result<()> {
		let Ok(name) = CString::new(launch.kernel) else {
			bail!("a kernel's name has no zero byte")
		};
		self.launches.fetch_add(1, Ordering::Relaxed);
		// A copy that is aligned as the struct is.
		let mut words = vec![0u64; arguments.len().div_ceil(8)];
		for (word, bytes) in words.iter_mut().zip(arguments.chunks(8)) {
			let mut all = [0; 8];
			all[..bytes.len()].copy_from_slice(bytes);
			*word = u64::from_le_bytes(all);
		}
		// SAFETY: the name and the arguments live for the call, and `size` is theirs; that the addresses in them are of
		// memory as large as the kernel's shapes imply is the launching code's promise, as on a GPU.
		let status = unsafe {
			emulated_launch(
				name.as_ptr(),
				launch.grid.as_ptr(),
				launch.threads,
				launch.shared,
				words.as_ptr().cast(),
				arguments.len(),
				self.order,
			)
		};
		match status {
			0 => Ok(()),
			1 => bail!("{}: no such kernel", launch.kernel),
			2 => bail!("{}: {} bytes of arguments", launch.kernel, arguments.len()),
			3 => bail!("{}: compiled for fewer threads than {}", launch.kernel, launch.threads),
			_ => bail!("{}: its threads wait for one another forever", launch.kernel),
		}
	}

	fn name(&self) -> String {
		"an emulated GPU".into()
	}
}

fn inside(memory: &Memory, at: usize, len: usize) -> Result<()> {
	if at.checked_add(len).is_none_or(|end| end > memory.bytes) {
		bail!("{len} bytes at {at} of {}", memory.bytes);
	}
	Ok(())
}
