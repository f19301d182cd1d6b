//! Keys and values of the positions seen so far: f16, in pages of 32 positions that sequences share a pool of.
//!
//! Of each page and layer, keys are stored `[kv_head][d][32]`, so that vector lanes are keys, and values
//! `[kv_head][32][head_dim]`, so that lanes are the head's dimensions. A page that is handed out again still holds what was in
//! it: nobody reads a position that its own sequence hasn't written.

use crate::{gpu::Memory, Error, Result};
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

/// Where the pages lie, f16 bits.
enum Storage {
	Host(Vec<u16>),
	Card(Memory),
}

/// Pages of all layers of one model.
pub struct Pool {
	layers: usize,
	kv_heads: usize,
	head_dim: usize,
	/// `[page][layer][keys, values]`
	storage: Storage,
	free: Vec<PageId>,
	used: Vec<bool>,
}

impl Pool {
	/// A pool of so many pages, all free. Memory is touched when a page is first written.
	pub fn new(layers: usize, kv_heads: usize, head_dim: usize, pages: usize) -> Result<Self> {
		Self::with(layers, kv_heads, head_dim, pages, |size| {
			let mut probe = Vec::<u16>::new();
			let refused = probe.try_reserve_exact(size).is_err();
			drop(probe);
			// The allocator hands out zeroed memory without touching it.
			(!refused).then(|| Ok(Storage::Host(vec![0; size])))
		})
	}

	/// A pool in the memory of a graphics card, which `allocate` hands out by the byte. That it doesn't is an error of the card's.
	pub(crate) fn on_card(
		(layers, kv_heads, head_dim): (usize, usize, usize),
		pages: usize,
		allocate: impl FnOnce(usize) -> candle_core::Result<Memory>,
	) -> Result<Self> {
		Self::with(layers, kv_heads, head_dim, pages, |size| {
			Some(allocate(2 * size).map(Storage::Card))
		})
	}

	fn with(
		layers: usize,
		kv_heads: usize,
		head_dim: usize,
		pages: usize,
		storage: impl FnOnce(usize) -> Option<candle_core::Result<Storage>>,
	) -> Result<Self> {
		let refused = || Error::Compute(format!("no memory for {pages} pages of {layers} layers"));
		let size = Self::elements(layers, kv_heads, head_dim)
			.and_then(|page| page.checked_mul(pages))
			.filter(|size| size.checked_mul(2).is_some_and(|bytes| isize::try_from(bytes).is_ok()));
		let (Some(size), Ok(count)) = (size, u32::try_from(pages)) else {
			return Err(refused());
		};
		Ok(Self {
			layers,
			kv_heads,
			head_dim,
			storage: storage(size).ok_or_else(refused)??,
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

	/// All elements, f16 bits; none if they are on a graphics card.
	pub(crate) fn storage(&self) -> &[u16] {
		match &self.storage {
			Storage::Host(all) => all,
			Storage::Card(_) => &[],
		}
	}

	/// All elements, f16 bits; none if they are on a graphics card.
	pub(crate) fn storage_mut(&mut self) -> &mut [u16] {
		match &mut self.storage {
			Storage::Host(all) => all,
			Storage::Card(_) => &mut [],
		}
	}

	/// Where the elements lie, if on a graphics card.
	pub(crate) fn card(&self) -> Option<&Memory> {
		match &self.storage {
			Storage::Host(_) => None,
			Storage::Card(memory) => Some(memory),
		}
	}

	/// Whether segments cover `rows` rows in order, and every one of their positions has a page of this pool.
	pub(crate) fn check(&self, segments: &[Segment<'_>], rows: usize) -> candle_core::Result<()> {
		let mut next = 0;
		for segment in segments {
			let end = segment.start.saturating_add(segment.rows.len());
			let known = segment.pages.iter().all(|page| page.index() < self.capacity());
			let ordered = segment.rows.start == next && segment.rows.end > next;
			if !ordered || !known || end.div_ceil(PAGE) > segment.pages.len() {
				candle_core::bail!("attention: segment {segment:?} in a batch of {rows}");
			}
			next = segment.rows.end;
		}
		if next != rows {
			candle_core::bail!("attention: segments of {next} rows in a batch of {rows}");
		}
		Ok(())
	}

	/// Keys and values of a page and layer, as laid out above.
	pub fn page(&self, page: PageId, layer: usize) -> Option<(&[u16], &[u16])> {
		let at = self.offset(page, layer);
		(layer < self.layers)
			.then(|| self.storage().get(at..at + 2 * self.part()))?
			.map(|both| both.split_at(self.part()))
	}

	/// Fills every page that isn't out with NaN, so that a read of what nobody wrote is seen. For tests.
	pub fn poison(&mut self) {
		let size = self.layers * 2 * self.part();
		let Storage::Host(all) = &mut self.storage else { return };
		for page in &self.free {
			all[page.index() * size..][..size].fill(f16::NAN.to_bits());
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
