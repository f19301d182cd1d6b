//! An NVIDIA GPU: the kernels' machine code, launched through candle's device.

use super::{Gpu, Launch, Memory};
use crate::Error;
use candle_core::{
	backend::BackendStorage,
	cuda_backend::cudarc::{
		driver::{
			result,
			sys::{CUfunction_attribute_enum, CUmemPool_attribute, CUresult},
			CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, DevicePtr, DeviceRepr, DriverError,
			LaunchConfig, PushKernelArg,
		},
		nvrtc::Ptx,
	},
	CudaStorage, DType, Device, Layout, Result, Shape,
};
use std::{
	collections::HashMap,
	sync::{Arc, Mutex, PoisonError},
};

/// The machine code that `build.rs` makes of the kernels.
const KERNELS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kernels.fatbin"));

/// The oldest compute capability that the kernels are compiled for.
const OLDEST: (i32, i32) = (8, 0);

/// Most bytes of a kernel's parameter: what all GPUs take.
const PARAMETER: usize = 4_096;

/// Most bytes of shared memory that a kernel gets without asking for more.
const SHARED: u32 = 48 << 10;

/// An NVIDIA GPU.
pub struct Cuda {
	device: Device,
	/// All that is done here, and all that candle does, is done on this one stream, in order. candle's usual stream
	/// would be another one for each of our threads.
	stream: Arc<CudaStream>,
	module: Arc<CudaModule>,
	functions: Mutex<HashMap<&'static str, Function>>,
	name: String,
}

#[derive(Clone)]
struct Function {
	function: CudaFunction,
	/// Shared memory that it may be launched with.
	shared: u32,
}

/// An error of the driver, and what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
struct Refused {
	what: String,
	source: DriverError,
}

/// A kernel's parameter. The driver reads as many bytes of it as the kernel declares.
#[repr(C, align(16))]
struct Arguments([u8; PARAMETER]);

// SAFETY: plain bytes; whoever launches a kernel answers for what they mean to it.
unsafe impl DeviceRepr for Arguments {}

impl Cuda {
	/// Opens a GPU, and loads the kernels onto it.
	pub fn open(ordinal: u32) -> crate::Result<Self> {
		let ordinal = ordinal as usize;
		match CudaContext::device_count() {
			Ok(0) => return Err(Error::Device("there is no NVIDIA GPU in this machine".into())),
			Ok(count) if ordinal < count as usize => {}
			Ok(count) => {
				return Err(Error::Device(format!(
					"there is no GPU {ordinal}: the driver counts {count}, from 0 (nvidia-smi lists them)"
				)))
			}
			Err(e) => return Err(no_driver(e)),
		}
		let opening = || format!("opening GPU {ordinal}");
		let context = CudaContext::new(ordinal).map_err(refused(opening))?;
		let (major, minor) = context.compute_capability().map_err(refused(opening))?;
		let gpu = context.name().map_err(refused(opening))?;
		if (major, minor) < OLDEST {
			return Err(Error::Device(format!(
				"{gpu} has compute capability {major}.{minor}; the kernels need {}.{} (Ampere) or later",
				OLDEST.0, OLDEST.1
			)));
		}
		let total = context.total_mem().map_err(refused(opening))?;
		let device = Device::new_cuda_with_stream(ordinal)?;
		let candle = device.as_cuda_device()?;
		// SAFETY: everything runs on one stream, so events between streams have nothing to order.
		unsafe { candle.disable_event_tracking() };
		let stream = candle.cuda_stream();
		keep_freed(&context, u64::MAX).map_err(refused(opening))?;
		let module = stream
			.context()
			.load_module(Ptx::from_binary(KERNELS.to_vec()))
			.map_err(refused(|| format!("loading the kernels onto {gpu}")))?;
		Ok(Self {
			device,
			stream,
			module,
			functions: Mutex::default(),
			name: format!(
				"{gpu} (GPU {ordinal}, compute capability {major}.{minor}, {:.1} GiB)",
				total as f64 / f64::from(1u32 << 30)
			),
		})
	}

	/// Returns the bytes that nobody uses.
	pub fn free_memory(&self) -> Result<usize> {
		let context = self.stream.context();
		let ask = || {
			// What was freed and kept is free too.
			keep_freed(context, 0)?;
			self.stream.synchronize()?;
			let (free, _) = context.mem_get_info()?;
			keep_freed(context, u64::MAX)?;
			Ok(free)
		};
		ask().map_err(refused(|| "asking for free memory".into()))
	}

	fn no_room(&self, bytes: usize, error: DriverError) -> candle_core::Error {
		let free = self.stream.context().mem_get_info().map_or(0, |(free, _)| free);
		let hint = match error.0 {
			CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
				format!("; {free} are free: serve less on this GPU, or give it less --kv-memory")
			}
			_ => String::new(),
		};
		refused(|| format!("allocating {bytes} bytes{hint}"))(error)
	}

	/// Returns a kernel, allowed so much shared memory.
	fn function(&self, kernel: &'static str, shared: u32) -> Result<CudaFunction> {
		let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
		if let Some(known) = functions.get(kernel).filter(|known| shared <= known.shared) {
			return Ok(known.function.clone());
		}
		let function = self
			.module
			.load_function(kernel)
			.map_err(refused(|| format!("looking for the kernel {kernel}")))?;
		let granted = shared.max(SHARED);
		if shared > SHARED {
			let most = CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
			function
				.set_attribute(most, i32::try_from(shared).unwrap_or(i32::MAX))
				.map_err(refused(|| format!("giving {kernel} {shared} bytes of shared memory")))?;
		}
		let known = Function {
			function: function.clone(),
			shared: granted,
		};
		functions.insert(kernel, known);
		Ok(function)
	}
}

impl Gpu for Cuda {
	fn device(&self) -> &Device {
		&self.device
	}

	fn allocate(&self, bytes: usize) -> Result<Memory> {
		let owner = self
			.stream
			.alloc_zeros::<u8>(bytes.max(1))
			.map_err(|e| self.no_room(bytes, e))?;
		let (address, _) = owner.device_ptr(&self.stream);
		if !address.is_multiple_of(256) {
			candle_core::bail!("the driver's memory begins at {address:#x}, which is no multiple of 256");
		}
		Ok(Memory {
			address,
			bytes,
			owner: Box::new(owner),
		})
	}

	fn write(&self, memory: &Memory, at: usize, bytes: &[u8]) -> Result<()> {
		let to = part(memory, at, bytes.len())?;
		let done = self.stream.context().bind_to_thread().and_then(|()| {
			// SAFETY: the range is within the memory, which `owner` keeps. Bytes that are not
			// pinned are copied to the driver's before the call returns.
			unsafe { result::memcpy_htod_async(to, bytes, self.stream.cu_stream()) }
		});
		done.map_err(refused(|| format!("writing {} bytes", bytes.len())))
	}

	fn read(&self, memory: &Memory, at: usize, bytes: &mut [u8]) -> Result<()> {
		let from = part(memory, at, bytes.len())?;
		let length = bytes.len();
		let done = self.stream.context().bind_to_thread().and_then(|()| {
			// SAFETY: the range is within the memory, which `owner` keeps, and `bytes` is borrowed until the stream has
			// done it.
			unsafe { result::memcpy_dtoh_async(bytes, from, self.stream.cu_stream()) }?;
			self.stream.synchronize()
		});
		done.map_err(refused(|| format!("reading {length} bytes")))
	}

	fn launch(&self, launch: &Launch, arguments: &[u8]) -> Result<()> {
		let Launch {
			kernel,
			grid: [x, y, z],
			threads,
			shared,
		} = *launch;
		let mut block = Arguments([0; PARAMETER]);
		match block.0.get_mut(..arguments.len()) {
			Some(part) => part.copy_from_slice(arguments),
			None => candle_core::bail!("{kernel} has {} bytes of arguments", arguments.len()),
		}
		let function = self.function(kernel, shared)?;
		let shape = LaunchConfig {
			grid_dim: (x, y, z),
			block_dim: (threads, 1, 1),
			shared_mem_bytes: shared,
		};
		let mut builder = self.stream.launch_builder(&function);
		builder.arg(&block);
		// SAFETY: the kernels take one struct by value, whose bytes the caller made; they touch the memory that it
		// names. The tests of the emulation hold the callers to that.
		let launched = unsafe { builder.launch(shape) };
		launched.map_err(refused(|| format!("launching {kernel} of {x}·{y}·{z} blocks")))?;
		Ok(())
	}

	fn name(&self) -> String {
		self.name.clone()
	}
}

/// Runs an operation of candle's: launched on the addresses of its operands and of its result, which is f32.
pub(super) fn operation(
	shape: &Shape,
	operands: &[(&CudaStorage, &Layout)],
	launch: &impl Fn(&[u64], u64) -> Result<()>,
) -> Result<(CudaStorage, Shape)> {
	let Some((CudaStorage { device, .. }, _)) = operands.first() else {
		candle_core::bail!("an operation without operands")
	};
	let stream = device.cuda_stream();
	let addresses = operands.iter().map(|(storage, layout)| {
		let Some((start, _)) = layout.contiguous_offsets() else {
			candle_core::bail!("operand must be contiguous")
		};
		let begin = match storage.dtype() {
			DType::F32 => storage.as_cuda_slice::<f32>()?.device_ptr(&stream).0,
			DType::U32 => storage.as_cuda_slice::<u32>()?.device_ptr(&stream).0,
			_ => candle_core::bail!("operand must be f32 or u32"),
		};
		// Of either, an element has four bytes.
		Ok(begin + 4 * start as u64)
	});
	let addresses: Vec<_> = addresses.collect::<Result<_>>()?;
	let elements = shape.elem_count();
	// SAFETY: the kernel writes every element; the emulation, where they are NaN before, shows that it does.
	let out: CudaSlice<f32> =
		unsafe { stream.alloc(elements) }.map_err(refused(|| format!("allocating {elements} numbers for a result")))?;
	let (address, _) = out.device_ptr(&stream);
	launch(&addresses, address)?;
	Ok((CudaStorage::wrap_cuda_slice(out, device.clone()), shape.clone()))
}

/// Sets how many freed bytes the driver keeps for the next allocations. By default it gives all of them back whenever
/// the stream is waited for, which is once a step.
fn keep_freed(context: &CudaContext, bytes: u64) -> std::result::Result<(), DriverError> {
	if !context.has_async_alloc() {
		return Ok(());
	}
	let mut bytes = bytes;
	let threshold = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
	// SAFETY: the device is the context's, and the attribute a u64.
	unsafe {
		let pool = result::device::get_default_mem_pool(context.cu_device())?;
		result::mem_pool::set_attribute(pool, threshold, (&raw mut bytes).cast())
	}
}

/// Returns the address of a part of a memory.
fn part(memory: &Memory, at: usize, bytes: usize) -> Result<u64> {
	match at.checked_add(bytes).filter(|end| *end <= memory.bytes) {
		Some(_) => Ok(memory.address + at as u64),
		None => candle_core::bail!("bytes {at} to {at} + {bytes} of a memory of {}", memory.bytes),
	}
}

fn refused(what: impl FnOnce() -> String) -> impl FnOnce(DriverError) -> candle_core::Error {
	move |source| candle_core::Error::Cuda(Box::new(Refused { what: what(), source }))
}

fn no_driver(error: DriverError) -> Error {
	Error::Device(match error.0 {
		CUresult::CUDA_ERROR_NO_DEVICE => "the driver finds no NVIDIA GPU in this machine".into(),
		_ => format!("the NVIDIA driver does not start ({error}); is it loaded, and new enough? see nvidia-smi"),
	})
}
