//! The canonical operations of profile `c1-w8` (`docs/spec/c1-w8.md` §2).
//!
//! Each has one plain body, compiled once for any computer and once for AVX2 + FMA. The bodies fix every rounding and the
//! order of every sum, vector lanes never share a sum of floats, so both compilations give the same bits; tests say so.

pub mod activation;
pub mod attention;
pub mod exp;
pub mod linear;
pub mod norm;
pub mod rope;

use candle_core::{bail, CpuStorage, Layout, Result, Tensor, WithDType};

/// Which compilation of the operations runs. The bits are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
	/// No instruction beyond the target's baseline; `fma` is the correctly rounded library routine, so it's slow.
	Portable,
	/// AVX2 and FMA instructions.
	Avx2,
}

impl Tier {
	/// The fastest tier of this computer.
	pub fn detect() -> Self {
		#[cfg(target_arch = "x86_64")]
		if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
			return Self::Avx2;
		}
		Self::Portable
	}

	/// Runs a body compiled for this tier.
	pub(crate) fn run<K: Kernel>(self, kernel: K) {
		match self {
			#[cfg(target_arch = "x86_64")]
			Self::Avx2 if Self::detect() == Self::Avx2 => {
				// SAFETY: the line above asked the processor for exactly these features.
				unsafe { run_avx2(kernel) }
			}
			_ => kernel.run(),
		}
	}
}

/// An operation's body on plain slices. Implementations are `#[inline(always)]`, so that each tier compiles its own.
pub(crate) trait Kernel {
	/// Computes.
	fn run(self);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<K: Kernel>(kernel: K) {
	kernel.run();
}

/// The elements of a contiguous operand.
pub(crate) fn elements<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
	let Some((start, end)) = layout.contiguous_offsets() else {
		bail!("operand must be contiguous")
	};
	match storage.as_slice::<T>()?.get(start..end) {
		Some(slice) => Ok(slice),
		None => bail!("operand is shorter than its shape"),
	}
}

/// Calls `f` with the elements of a contiguous CPU tensor, without a copy.
pub(crate) fn with_elements<T: WithDType, R>(tensor: &Tensor, f: impl FnOnce(&[T]) -> R) -> Result<R> {
	let (storage, layout) = tensor.storage_and_layout();
	match &*storage {
		candle_core::Storage::Cpu(cpu) => Ok(f(elements(cpu, layout)?)),
		_ => bail!("canonical tensors live on the CPU"),
	}
}

/// Index of the first row that has a NaN or an infinity.
pub(crate) fn first_non_finite(tensor: &Tensor) -> Result<Option<usize>> {
	let width = tensor.dim(candle_core::D::Minus1)?.max(1);
	with_elements::<f32, _>(tensor, |x| {
		x.chunks(width)
			.position(|row| !row.iter().fold(true, |ok, v| ok & v.is_finite()))
	})
}
