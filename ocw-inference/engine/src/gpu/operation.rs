//! An operation of a GPU as a candle `CustomOp`.

use candle_core::{bail, CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape};

/// Runs `launch(operands, result)` on the addresses of contiguous tensors; the result is f32.
///
/// On the CPU, where an emulated device has its memory, the result is NaN before: a test notices what a kernel forgets.
pub(super) struct Operation<F> {
	pub(super) name: &'static str,
	pub(super) shape: Shape,
	pub(super) launch: F,
}

type Output = Result<(CpuStorage, Shape)>;

/// Returns the address of a contiguous operand.
fn address(storage: &CpuStorage, layout: &Layout) -> Result<u64> {
	let Some((start, _)) = layout.contiguous_offsets() else {
		bail!("operand must be contiguous")
	};
	Ok(match storage {
		CpuStorage::F32(all) => all.as_ptr().wrapping_add(start) as u64,
		CpuStorage::U32(all) => all.as_ptr().wrapping_add(start) as u64,
		_ => bail!("operand must be f32 or u32"),
	})
}

impl<F: Fn(&[u64], u64) -> Result<()>> Operation<F> {
	fn emulate(&self, operands: &[u64]) -> Output {
		let mut out = vec![f32::NAN; self.shape.elem_count()];
		(self.launch)(operands, out.as_mut_ptr() as u64)?;
		Ok((CpuStorage::F32(out), self.shape.clone()))
	}
}

impl<F: Fn(&[u64], u64) -> Result<()>> CustomOp1 for Operation<F> {
	fn name(&self) -> &'static str {
		self.name
	}

	fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Output {
		self.emulate(&[address(x, layout)?])
	}

	#[cfg(feature = "cuda")]
	fn cuda_fwd(&self, x: &candle_core::CudaStorage, layout: &Layout) -> Result<(candle_core::CudaStorage, Shape)> {
		super::cuda::operation(&self.shape, &[(x, layout)], &self.launch)
	}
}

impl<F: Fn(&[u64], u64) -> Result<()>> CustomOp2 for Operation<F> {
	fn name(&self) -> &'static str {
		self.name
	}

	fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout, y: &CpuStorage, y_layout: &Layout) -> Output {
		self.emulate(&[address(x, x_layout)?, address(y, y_layout)?])
	}

	#[cfg(feature = "cuda")]
	fn cuda_fwd(
		&self,
		x: &candle_core::CudaStorage,
		x_layout: &Layout,
		y: &candle_core::CudaStorage,
		y_layout: &Layout,
	) -> Result<(candle_core::CudaStorage, Shape)> {
		super::cuda::operation(&self.shape, &[(x, x_layout), (y, y_layout)], &self.launch)
	}
}
