//! Keys and values of the positions seen so far, in f16.

use crate::Result;
use candle_core::{DType, Device, Tensor};

/// Keys and values of one sequence.
pub struct Cache {
	/// Per layer, keys and values, each `[kv_heads, capacity, head_dim]`.
	pub(crate) layers: Vec<(Tensor, Tensor)>,
	/// Positions filled.
	pub(crate) len: usize,
	capacity: usize,
}

impl Cache {
	/// An empty cache with room for `capacity` positions.
	pub(crate) fn new(layers: usize, kv_heads: usize, head_dim: usize, capacity: usize) -> Result<Self> {
		let empty = || Tensor::zeros((kv_heads, capacity, head_dim), DType::F16, &Device::Cpu);
		let layers = (0..layers).map(|_| Ok((empty()?, empty()?))).collect::<Result<_>>()?;
		Ok(Self {
			layers,
			len: 0,
			capacity,
		})
	}

	/// Positions filled.
	pub fn len(&self) -> usize {
		self.len
	}

	/// Whether no position is filled.
	pub fn is_empty(&self) -> bool {
		self.len == 0
	}

	/// Positions still free.
	pub fn free(&self) -> usize {
		self.capacity.saturating_sub(self.len)
	}
}

/// Rounds rows `[rows, kv_heads · head_dim]` to f16 (ties to even) and writes them behind the `len` positions of a layer.
pub(crate) fn append(cache: &Tensor, rows: &Tensor, len: usize) -> Result<()> {
	let (kv_heads, _, head_dim) = cache.dims3()?;
	let rows = rows
		.reshape(((), kv_heads, head_dim))?
		.transpose(0, 1)?
		.to_dtype(DType::F16)?
		.contiguous()?;
	Ok(cache.slice_set(&rows, 1, len)?)
}
