//! Keys and values of one sequence: pages of a pool of its own.

use crate::{
	kv::{PageId, Pool, PAGE},
	Result,
};

/// Keys and values of one sequence.
pub struct Cache {
	pub(crate) pool: Pool,
	pub(crate) pages: Vec<PageId>,
	/// Positions filled.
	pub(crate) len: usize,
	capacity: usize,
}

impl Cache {
	/// An empty cache with room for `capacity` positions.
	pub(crate) fn new(layers: usize, kv_heads: usize, head_dim: usize, capacity: usize) -> Result<Self> {
		let mut pool = Pool::new(layers, kv_heads, head_dim, capacity.div_ceil(PAGE))?;
		let pages = std::iter::from_fn(|| pool.alloc()).collect();
		Ok(Self {
			pool,
			pages,
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
