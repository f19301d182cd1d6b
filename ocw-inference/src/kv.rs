//! Keys and values of the positions seen so far: f16, in pages of 32 positions that sequences share a pool of.
//!
//! Of each page and layer, keys are stored `[kv_head][d][32]`, so that vector lanes are keys, and values
//! `[kv_head][32][head_dim]`, so that lanes are the head's dimensions. A page that is handed out again still holds what was in
//! it: nobody reads a position that its own sequence hasn't written.

use crate::{Error, Result};
use half::f16;
use std::ops::Range;

/// Positions of a page.
pub const PAGE: usize = 32;

/// A page of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageId(u32);

impl PageId {
	/// Its number in the pool, from 0.
	pub fn index(self) -> usize {
		self.0 as usize
	}
}

/// Consecutive rows of one sequence in a batch.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
	/// Its rows in the batch.
	pub rows: Range<usize>,
	/// Position of the first of them.
	pub start: usize,
	/// The sequence's pages: position p lies in `pages[p / 32]`.
	pub pages: &'a [PageId],
}

/// Pages of all layers of one model.
pub struct Pool {
	layers: usize,
	kv_heads: usize,
	head_dim: usize,
	/// `[page][layer][keys, values]`
	storage: Vec<u16>,
	free: Vec<PageId>,
	used: Vec<bool>,
}

impl Pool {
	/// A pool of so many pages, all free. Memory is touched when a page is first written.
	pub fn new(layers: usize, kv_heads: usize, head_dim: usize, pages: usize) -> Result<Self> {
		let refused = || Error::Compute(format!("no memory for {pages} pages of {layers} layers"));
		let size = Self::elements(layers, kv_heads, head_dim)
			.and_then(|page| page.checked_mul(pages))
			.filter(|size| size.checked_mul(2).is_some_and(|bytes| isize::try_from(bytes).is_ok()));
		let (Some(size), Ok(count)) = (size, u32::try_from(pages)) else {
			return Err(refused());
		};
		let mut probe = Vec::<u16>::new();
		probe.try_reserve_exact(size).map_err(|_| refused())?;
		drop(probe);
		Ok(Self {
			layers,
			kv_heads,
			head_dim,
			// The allocator hands out zeroed memory without touching it.
			storage: vec![0; size],
			free: (0..count).rev().map(PageId).collect(),
			used: vec![false; pages],
		})
	}

	fn elements(layers: usize, kv_heads: usize, head_dim: usize) -> Option<usize> {
		layers
			.checked_mul(2 * PAGE)?
			.checked_mul(kv_heads)?
			.checked_mul(head_dim)
	}

	/// Bytes of one page, for memory budgets; none if they overflow.
	pub fn page_bytes(layers: usize, kv_heads: usize, head_dim: usize) -> Option<usize> {
		Self::elements(layers, kv_heads, head_dim)?.checked_mul(2)
	}

	/// A free page, if there is one. Its contents are what the last user left.
	pub fn alloc(&mut self) -> Option<PageId> {
		let page = self.free.pop()?;
		self.used[page.index()] = true;
		Some(page)
	}

	/// Takes a page back. One that isn't out is left as it is.
	pub fn free(&mut self, page: PageId) {
		if self.used.get(page.index()) == Some(&true) {
			self.used[page.index()] = false;
			self.free.push(page);
		}
	}

	/// Free pages.
	pub fn available(&self) -> usize {
		self.free.len()
	}

	/// All pages.
	pub fn capacity(&self) -> usize {
		self.used.len()
	}

	/// Layers of a page.
	pub fn layers(&self) -> usize {
		self.layers
	}

	/// Key heads.
	pub fn kv_heads(&self) -> usize {
		self.kv_heads
	}

	/// Length of a head.
	pub fn head_dim(&self) -> usize {
		self.head_dim
	}

	/// Elements of the keys, or of the values, of one page and layer.
	pub(crate) fn part(&self) -> usize {
		self.kv_heads * self.head_dim * PAGE
	}

	/// Where the keys of a page and layer begin; its values follow behind [`Self::part`] elements.
	pub(crate) fn offset(&self, page: PageId, layer: usize) -> usize {
		(page.index() * self.layers + layer) * 2 * self.part()
	}

	/// All elements, f16 bits.
	pub(crate) fn storage(&self) -> &[u16] {
		&self.storage
	}

	/// All elements, f16 bits.
	pub(crate) fn storage_mut(&mut self) -> &mut [u16] {
		&mut self.storage
	}

	/// Keys and values of a page and layer, as laid out above.
	pub fn page(&self, page: PageId, layer: usize) -> Option<(&[u16], &[u16])> {
		let at = self.offset(page, layer);
		(layer < self.layers)
			.then(|| self.storage.get(at..at + 2 * self.part()))?
			.map(|both| both.split_at(self.part()))
	}

	/// Fills every page that isn't out with NaN, so that a read of what nobody wrote is seen. For tests.
	pub fn poison(&mut self) {
		let size = self.layers * 2 * self.part();
		for page in &self.free {
			self.storage[page.index() * size..][..size].fill(f16::NAN.to_bits());
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn pages_are_handed_out_once_and_come_back() {
		let mut pool = Pool::new(2, 1, 8, 3).unwrap();
		let pages: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
		assert_eq!((pages.len(), pool.available()), (3, 0));
		pool.free(pages[1]);
		pool.free(pages[1]);
		assert_eq!(pool.available(), 1);
		assert_eq!(pool.alloc(), Some(pages[1]));
		assert_eq!(pool.alloc(), None);
	}

	#[test]
	fn only_free_pages_are_poisoned() {
		let mut pool = Pool::new(2, 1, 8, 2).unwrap();
		let (kept, gone) = (pool.alloc().unwrap(), pool.alloc().unwrap());
		pool.free(gone);
		pool.poison();
		let clean = |page| (0..2).all(|layer| pool.page(page, layer).unwrap().0.iter().all(|v| *v == 0));
		assert!(clean(kept) && !clean(gone));
		assert!(pool.page(kept, 2).is_none());
	}

	#[test]
	fn a_pool_beyond_all_memory_is_refused() {
		assert!(Pool::new(80, 8, 128, 1 << 31).is_err());
		assert!(Pool::new(usize::MAX, 8, 128, 2).is_err());
	}
}
