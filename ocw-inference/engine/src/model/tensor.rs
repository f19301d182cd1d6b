//! The elements of candle's tensors as slices.

use candle_core::{bail, CpuStorage, Layout, Result, Storage, Tensor, WithDType};

/// Returns the elements of a contiguous operand.
pub(crate) fn elements<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
	let Some((start, end)) = layout.contiguous_offsets() else {
		bail!("operand must be contiguous")
	};
	match storage.as_slice::<T>()?.get(start..end) {
		Some(slice) => Ok(slice),
		None => bail!("operand is shorter than its shape"),
	}
}

/// Calls `f` with the elements of a contiguous tensor in this machine's memory, without a copy.
pub(crate) fn with_elements<T: WithDType, R>(tensor: &Tensor, f: impl FnOnce(&[T]) -> R) -> Result<R> {
	let (storage, layout) = tensor.storage_and_layout();
	match &*storage {
		Storage::Cpu(cpu) => Ok(f(elements(cpu, layout)?)),
		_ => bail!("the tensor is not in this machine's memory"),
	}
}
