//! Which sequence uses which page of keys and values, and which full pages other sequences can reuse.
//!
//! A page has 32 positions, as a chunk of the trace does. The contents of a full page depend on the tokens up to its end and on
//! nothing else, so its key is a hash over them; it is kept with the trace's leaves of that chunk, and a sequence with the same
//! first tokens takes both instead of computing them. Unused pages stay until their room is needed, least recently used first.

use crate::{kv::KvPool, Error, Result};
use assay_numerics::{kv::PageId, trace::CHUNK};
use assay_primitives::Hash32;
use std::collections::{BTreeMap, HashMap};

const KEY: &str = "assay/v2/page-key";

/// The pages of one model.
pub(crate) struct PageCache {
	pool: KvPool,
	/// Pages that the pool has left.
	free: usize,
	/// Pages that are reserved for tables and not allocated yet.
	reserved: usize,
	/// Full pages by their key.
	published: HashMap<Hash32, PublishedPage>,
	/// Published pages that no table uses, by when the last one released them.
	unused: BTreeMap<u64, Hash32>,
	clock: u64,
}

struct PublishedPage {
	page: PageId,
	/// The trace's leaves of this chunk, as [`Trace::chunk`](assay_numerics::trace::Trace::chunk) returns them.
	leaves: Vec<Hash32>,
	/// Tables that use it.
	users: usize,
	/// When the last of them released it.
	released_at: u64,
}

/// The pages of one sequence: position p lies in page p / 32.
#[derive(Default)]
pub(crate) struct PageTable {
	pages: Vec<PageId>,
	/// Keys of the published pages, which come first.
	keys: Vec<Hash32>,
	/// Pages that are reserved for it and not allocated yet.
	reserved: usize,
}

impl PageTable {
	/// Returns the pages, in order of positions.
	pub(crate) fn pages(&self) -> &[PageId] {
		&self.pages
	}

	/// Returns how many pages are published.
	pub(crate) fn published(&self) -> usize {
		self.keys.len()
	}

	/// Returns how many pages are reserved for it and not allocated yet.
	#[cfg(test)]
	pub(crate) fn reserved(&self) -> usize {
		self.reserved
	}

	/// Returns the key of the first page that is not published, if these are its tokens.
	pub(crate) fn next_key(&self, tokens: &[u32]) -> Hash32 {
		let mut hasher = blake3::Hasher::new_derive_key(KEY);
		hasher.update(self.keys.last().unwrap_or(&[0; 32]));
		for token in tokens {
			hasher.update(&token.to_le_bytes());
		}
		*hasher.finalize().as_bytes()
	}
}

impl PageCache {
	/// Makes a cache of a pool of `pages` free pages.
	pub(crate) fn new(pool: KvPool, pages: usize) -> Self {
		Self {
			pool,
			free: pages,
			reserved: 0,
			published: HashMap::new(),
			unused: BTreeMap::new(),
			clock: 0,
		}
	}

	/// Returns the pool that stores keys and values.
	pub(crate) fn pool(&mut self) -> &mut KvPool {
		&mut self.pool
	}

	/// Returns how many pages can be reserved: free ones, and published ones that no table uses.
	pub(crate) fn available(&self) -> usize {
		(self.free + self.unused.len()).saturating_sub(self.reserved)
	}

	/// Reserves the pages of a sequence of at most `rows` rows; none if there is no room for them now.
	pub(crate) fn reserve(&mut self, rows: usize) -> Option<PageTable> {
		let reserved = rows.div_ceil(CHUNK);
		(reserved <= self.available()).then(|| {
			self.reserved += reserved;
			PageTable {
				reserved,
				..PageTable::default()
			}
		})
	}

	/// Allocates the pages of a table's first `rows` positions.
	pub(crate) fn allocate(&mut self, table: &mut PageTable, rows: usize) -> Result<()> {
		while table.pages.len() * CHUNK < rows {
			if table.reserved == 0 {
				return Err(Error::Compute("a sequence outgrew its pages".into()));
			}
			if self.free == 0 {
				self.evict();
			}
			let page = self.pool.alloc();
			let page = page.ok_or_else(|| Error::Compute("a reserved page is missing".into()))?;
			self.free = self.free.saturating_sub(1);
			self.use_reservation(table);
			table.pages.push(page);
		}
		Ok(())
	}

	/// Adds a published page with the next 32 tokens to a table, if there is one; returns its leaves.
	pub(crate) fn reuse(&mut self, table: &mut PageTable, tokens: &[u32]) -> Option<Vec<Hash32>> {
		if table.pages.len() != table.keys.len() || table.reserved == 0 {
			return None;
		}
		let key = table.next_key(tokens);
		let published = self.published.get_mut(&key)?;
		if published.users == 0 {
			self.unused.remove(&published.released_at);
		}
		published.users += 1;
		table.pages.push(published.page);
		table.keys.push(key);
		let leaves = published.leaves.clone();
		self.use_reservation(table);
		Some(leaves)
	}

	/// Publishes a table's first page that is not published, now that all 32 rows are in it.
	pub(crate) fn publish(&mut self, table: &mut PageTable, tokens: &[u32], leaves: Vec<Hash32>) {
		let key = table.next_key(tokens);
		let Some(page) = table.pages.get_mut(table.keys.len()) else {
			return;
		};
		match self.published.get_mut(&key) {
			// Two sequences computed the same rows at the same time: one page is enough.
			Some(published) => {
				if published.users == 0 {
					self.unused.remove(&published.released_at);
				}
				published.users += 1;
				self.pool.free(std::mem::replace(page, published.page));
				self.free += 1;
			}
			None => {
				let published = PublishedPage {
					page: *page,
					leaves,
					users: 1,
					released_at: 0,
				};
				self.published.insert(key, published);
			}
		}
		table.keys.push(key);
	}

	/// Takes back the pages of a sequence. Published ones stay for others while there is room.
	pub(crate) fn release(&mut self, table: PageTable) {
		self.reserved = self.reserved.saturating_sub(table.reserved);
		for page in table.pages.iter().skip(table.keys.len()) {
			self.pool.free(*page);
			self.free += 1;
		}
		// The last first, so that a prefix outlives what follows it.
		for key in table.keys.iter().rev() {
			let Some(published) = self.published.get_mut(key) else {
				continue;
			};
			published.users = published.users.saturating_sub(1);
			if published.users == 0 {
				self.clock += 1;
				published.released_at = self.clock;
				self.unused.insert(self.clock, *key);
			}
		}
	}

	/// Frees the least recently used page that no table uses.
	fn evict(&mut self) {
		let oldest = self.unused.pop_first();
		if let Some(published) = oldest.and_then(|(_, key)| self.published.remove(&key)) {
			self.pool.free(published.page);
			self.free += 1;
		}
	}

	fn use_reservation(&mut self, table: &mut PageTable) {
		table.reserved -= 1;
		self.reserved = self.reserved.saturating_sub(1);
	}
}
