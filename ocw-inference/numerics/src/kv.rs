//! Keys and values of the positions seen so far: f16, in pages of 32 positions that sequences share a pool of.
//!
//! Of each page and layer, keys are stored `[kv_head][d][32]`, so that vector lanes are keys, and values
//! `[kv_head][32][head_dim]`, so that lanes are the head's dimensions. A page that is handed out again still holds what
//! was in it: nobody reads a position that its own sequence has not written.
//!
//! Outside of pages, the keys and values of a position are a row: its keys, head by head, then its values.

use crate::{error::bail_shape, rows::by_rows, Error, Result};
use alloc::{format, vec, vec::Vec};
use core::ops::Range;
use half::{
	f16,
	slice::{HalfBitsSliceExt, HalfFloatSliceExt},
};

/// Positions of a page.
pub const PAGE: usize = 32;

/// A page of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageId(u32);

impl PageId {
	/// Returns its number in the pool, from 0.
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

/// What a page holds of each position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageShape {
	/// Layers of the model.
	pub layers: usize,
	/// Key heads of a layer.
	pub kv_heads: usize,
	/// Length of a head.
	pub head_dim: usize,
}

impl PageShape {
	/// Returns the elements of a page; none if they overflow.
	fn elements(self) -> Option<usize> {
		self.layers
			.checked_mul(2 * PAGE)?
			.checked_mul(self.kv_heads)?
			.checked_mul(self.head_dim)
	}

	/// Returns the bytes of a page, for memory budgets; none if they overflow.
	pub fn bytes(self) -> Option<usize> {
		self.elements()?.checked_mul(2)
	}

	/// Returns the elements of the keys, or of the values, of one page and layer.
	#[inline]
	pub fn part(self) -> usize {
		self.kv_heads * self.head_dim * PAGE
	}

	/// Returns the length of a row: the keys and values of one position and layer.
	#[inline]
	pub fn row(self) -> usize {
		2 * self.kv_heads * self.head_dim
	}

	/// Writes rows to the keys and values of a page and layer, from its first position on.
	pub fn put_rows(self, rows: &[u16], page: &mut [u16]) -> Result<()> {
		let (count, part) = (self.count(rows, page)?, self.part());
		let (keys, values) = page.split_at_mut(part);
		let heads = keys
			.chunks_exact_mut(self.head_dim * PAGE)
			.zip(values.chunks_exact_mut(self.head_dim * PAGE));
		for (head, (keys, values)) in heads.enumerate() {
			for slot in 0..count {
				let (key, value) = self.head_of(rows, slot, head);
				put_head(
					key,
					value,
					slot,
					keys,
					&mut values[slot * self.head_dim..][..self.head_dim],
				);
			}
		}
		Ok(())
	}

	/// Reads rows from the keys and values of a page and layer, from its first position on.
	pub fn take_rows(self, page: &[u16], rows: &mut [u16]) -> Result<()> {
		let (count, part, half) = (self.count(rows, page)?, self.part(), self.kv_heads * self.head_dim);
		let (keys, values) = page.split_at(part);
		for (slot, row) in rows.chunks_exact_mut(self.row()).take(count).enumerate() {
			let (to_keys, to_values) = row.split_at_mut(half);
			for (key, from) in to_keys.iter_mut().zip(keys.iter().skip(slot).step_by(PAGE)) {
				*key = *from;
			}
			let heads = to_values
				.chunks_exact_mut(self.head_dim)
				.zip(values.chunks_exact(self.head_dim * PAGE));
			for (to, from) in heads {
				to.copy_from_slice(&from[slot * self.head_dim..][..self.head_dim]);
			}
		}
		Ok(())
	}

	/// Returns how many rows these are, which fit the page.
	fn count(self, rows: &[u16], page: &[u16]) -> Result<usize> {
		let count = rows.len().checked_div(self.row()).unwrap_or(0);
		if count * self.row() != rows.len() || count > PAGE || page.len() != 2 * self.part() {
			bail_shape!(
				"{} values for {PAGE} rows of {} in a page of {}",
				rows.len(),
				self.row(),
				page.len()
			);
		}
		Ok(count)
	}

	/// Returns the key and the value of a head in one of several rows.
	#[inline]
	pub(crate) fn head_of(self, rows: &[u16], row: usize, head: usize) -> (&[u16], &[u16]) {
		let (at, half) = (row * self.row() + head * self.head_dim, self.kv_heads * self.head_dim);
		(
			&rows[at..at + self.head_dim],
			&rows[at + half..at + half + self.head_dim],
		)
	}

	/// Returns where the keys of a page and layer begin; its values follow after [`Self::part`] elements.
	#[inline]
	pub fn offset(self, page: PageId, layer: usize) -> usize {
		(page.index() * self.layers + layer) * 2 * self.part()
	}
}

/// Writes a head's key to position `slot` of its keys in a page, and its value to where that position's value is.
#[inline]
pub(crate) fn put_head(key: &[u16], value: &[u16], slot: usize, keys: &mut [u16], to_value: &mut [u16]) {
	for (to, key) in keys.iter_mut().skip(slot).step_by(PAGE).zip(key) {
		*to = *key;
	}
	to_value.copy_from_slice(value);
}

/// Rounds the keys and values of fused rows q ‖ k ‖ v, which are behind the first `from` elements of each, to f16 bits
/// (ties to even).
pub fn round_rows(x: &[f32], width: usize, from: usize, rows: &mut [u16]) -> Result<()> {
	let row = width.saturating_sub(from);
	if row == 0 || !x.len().is_multiple_of(width) || rows.len() != x.len() / width * row {
		bail_shape!(
			"{} values in rows of {width}, keys and values behind {from}, {} results",
			x.len(),
			rows.len()
		);
	}
	by_rows(x, width, rows, row, |x, rows| {
		for (x, row) in x.chunks_exact(width).zip(rows.chunks_exact_mut(row)) {
			row.reinterpret_cast_mut::<f16>().convert_from_f32_slice(&x[from..]);
		}
		Ok(())
	})
}

/// Pages of all layers of one model. `S` is where they are stored: `[page][layer][keys, values]`, f16 bits.
pub struct Pool<S = Vec<u16>> {
	shape: PageShape,
	storage: S,
	free: Vec<PageId>,
	used: Vec<bool>,
}

impl Pool {
	/// Makes a pool of so many pages in this machine's memory, all free. Memory is touched when a page is first
	/// written.
	pub fn new(shape: PageShape, pages: usize) -> Result<Self> {
		Self::with_storage(shape, pages, |elements| {
			let mut probe = Vec::<u16>::new();
			if probe.try_reserve_exact(elements).is_err() {
				return Err(no_memory(shape, pages));
			}
			drop(probe);
			// The allocator hands out zeroed memory without touching it.
			Ok(vec![0; elements])
		})
	}
}

impl<S> Pool<S> {
	/// Makes a pool whose storage, for so many elements, comes from `storage`.
	pub fn with_storage<E: From<Error>>(
		shape: PageShape,
		pages: usize,
		storage: impl FnOnce(usize) -> core::result::Result<S, E>,
	) -> core::result::Result<Self, E> {
		let elements = shape
			.elements()
			.and_then(|page| page.checked_mul(pages))
			.filter(|elements| {
				elements
					.checked_mul(2)
					.is_some_and(|bytes| isize::try_from(bytes).is_ok())
			});
		let (Some(elements), Ok(count)) = (elements, u32::try_from(pages)) else {
			return Err(no_memory(shape, pages).into());
		};
		Ok(Self {
			shape,
			storage: storage(elements)?,
			free: (0..count).rev().map(PageId).collect(),
			used: vec![false; pages],
		})
	}

	/// Returns the same pool with its storage wrapped.
	pub fn map<T>(self, wrap: impl FnOnce(S) -> T) -> Pool<T> {
		Pool {
			shape: self.shape,
			storage: wrap(self.storage),
			free: self.free,
			used: self.used,
		}
	}

	/// Takes a free page, if there is one. Its contents are what the last user left.
	pub fn alloc(&mut self) -> Option<PageId> {
		let page = self.free.pop()?;
		self.used[page.index()] = true;
		Some(page)
	}

	/// Takes a page back. One that is free already is left as it is.
	pub fn free(&mut self, page: PageId) {
		if self.used.get(page.index()) == Some(&true) {
			self.used[page.index()] = false;
			self.free.push(page);
		}
	}

	/// Returns the number of free pages.
	pub fn available(&self) -> usize {
		self.free.len()
	}

	/// Returns the number of all pages.
	pub fn capacity(&self) -> usize {
		self.used.len()
	}

	/// Returns what a page holds.
	pub fn shape(&self) -> PageShape {
		self.shape
	}

	/// Returns the elements of all pages.
	pub(crate) fn elements(&self) -> usize {
		self.capacity() * self.shape.layers * 2 * self.shape.part()
	}

	/// Returns where the pages are stored.
	pub fn storage(&self) -> &S {
		&self.storage
	}

	/// Returns where the pages are stored.
	pub fn storage_mut(&mut self) -> &mut S {
		&mut self.storage
	}

	/// Checks that segments cover `rows` rows in order, and that every one of their positions has a page of this pool.
	pub fn check(&self, segments: &[Segment<'_>], rows: usize) -> Result<()> {
		let mut next = 0;
		for segment in segments {
			let end = segment.start.saturating_add(segment.rows.len());
			let known = segment.pages.iter().all(|page| page.index() < self.capacity());
			let ordered = segment.rows.start == next && segment.rows.end > next;
			if !ordered || !known || end.div_ceil(PAGE) > segment.pages.len() {
				bail_shape!("attention: segment {segment:?} in a batch of {rows}");
			}
			next = segment.rows.end;
		}
		if next != rows {
			bail_shape!("attention: segments of {next} rows in a batch of {rows}");
		}
		Ok(())
	}
}

impl<S: AsRef<[u16]> + AsMut<[u16]>> Pool<S> {
	/// Returns keys and values of a page and layer, as laid out above.
	pub fn page(&self, page: PageId, layer: usize) -> Option<(&[u16], &[u16])> {
		let (at, part) = (self.shape.offset(page, layer), self.shape.part());
		(layer < self.shape.layers)
			.then(|| self.storage.as_ref().get(at..at + 2 * part))?
			.map(|both| both.split_at(part))
	}

	/// Returns keys and values of a page and layer, one behind the other, to write to.
	pub fn page_mut(&mut self, page: PageId, layer: usize) -> Option<&mut [u16]> {
		let (at, part) = (self.shape.offset(page, layer), self.shape.part());
		(layer < self.shape.layers).then(|| self.storage.as_mut().get_mut(at..at + 2 * part))?
	}

	/// Fills every free page with NaN, so that a test notices a read of what nobody wrote.
	#[cfg(any(test, feature = "test-utils"))]
	pub fn poison(&mut self) {
		let size = self.shape.layers * 2 * self.shape.part();
		for page in &self.free {
			if let Some(page) = self
				.storage
				.as_mut()
				.get_mut(page.index() * size..(page.index() + 1) * size)
			{
				page.fill(half::f16::NAN.to_bits());
			}
		}
	}
}

fn no_memory(shape: PageShape, pages: usize) -> Error {
	Error::Memory(format!("no memory for {pages} pages of {} layers", shape.layers))
}

#[cfg(test)]
mod tests {
	use super::*;

	const SHAPE: PageShape = PageShape {
		layers: 2,
		kv_heads: 1,
		head_dim: 8,
	};

	#[test]
	fn pages_are_handed_out_once_and_come_back() {
		let mut pool = Pool::new(SHAPE, 3).unwrap();
		let pages: Vec<_> = core::iter::from_fn(|| pool.alloc()).collect();
		assert_eq!((pages.len(), pool.available()), (3, 0));
		pool.free(pages[1]);
		pool.free(pages[1]);
		assert_eq!(pool.available(), 1);
		assert_eq!(pool.alloc(), Some(pages[1]));
		assert_eq!(pool.alloc(), None);
	}

	#[test]
	fn only_free_pages_are_poisoned() {
		let mut pool = Pool::new(SHAPE, 2).unwrap();
		let (kept, gone) = (pool.alloc().unwrap(), pool.alloc().unwrap());
		pool.free(gone);
		pool.poison();
		let clean = |page| (0..2).all(|layer| pool.page(page, layer).unwrap().0.iter().all(|v| *v == 0));
		assert!(clean(kept) && !clean(gone));
		assert!(pool.page(kept, 2).is_none());
	}

	#[test]
	fn a_pool_beyond_all_memory_is_refused() {
		let shape = |layers| PageShape {
			layers,
			kv_heads: 8,
			head_dim: 128,
		};
		assert!(Pool::new(shape(80), 1 << 31).is_err());
		assert!(Pool::new(shape(usize::MAX), 2).is_err());
	}
}
