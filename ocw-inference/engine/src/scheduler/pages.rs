//! Who holds which page of keys and values, and which full pages may be shared.
//!
//! A page holds 32 positions, as a chunk of the trace does. What a full page holds depends on the tokens up to its end and on
//! nothing else, so its name is a hash over them; it is kept with the trace's leaves of that chunk, and a run whose tokens
//! begin alike takes both instead of computing them. Pages that nobody holds stay until the room is needed, oldest first.

use crate::{kv::KvPool, Error, Result};
use assay_numerics::{kv::PageId, trace::CHUNK};
use assay_primitives::Hash32;
use std::collections::{BTreeMap, HashMap};

const KEY: &str = "assay/v1/page-key";

/// The pages of one model.
pub(crate) struct Pages {
	pool: KvPool,
	/// Pages that the pool can still give.
	free: usize,
	/// Pages that tables may still ask for.
	promised: usize,
	/// Full pages by the hash of all tokens up to their end.
	shared: HashMap<Hash32, Shared>,
	/// Shared pages without a holder, by when the last one left.
	idle: BTreeMap<u64, Hash32>,
	clock: u64,
}

struct Shared {
	page: PageId,
	/// The trace's leaves of this chunk: each layer's, then the final norm's.
	leaves: Vec<Hash32>,
	holders: usize,
	/// When the last holder left.
	since: u64,
}

/// The pages of one sequence: position p lies in page p / 32.
#[derive(Default)]
pub(crate) struct Table {
	pages: Vec<PageId>,
	/// Names of the full pages, which come first.
	keys: Vec<Hash32>,
	/// Pages that it may still ask for.
	promised: usize,
}

impl Table {
	/// The pages, in order of positions.
	pub(crate) fn pages(&self) -> &[PageId] {
		&self.pages
	}

	/// Pages that are full and have a name.
	pub(crate) fn named(&self) -> usize {
		self.keys.len()
	}

	/// Pages that it may still ask for.
	#[cfg(test)]
	pub(crate) fn promised(&self) -> usize {
		self.promised
	}

	/// The name of the page behind those that have one, if it holds these tokens.
	fn next_key(&self, tokens: &[u32]) -> Hash32 {
		let mut hasher = blake3::Hasher::new_derive_key(KEY);
		hasher.update(self.keys.last().unwrap_or(&[0; 32]));
		for token in tokens {
			hasher.update(&token.to_le_bytes());
		}
		*hasher.finalize().as_bytes()
	}
}

impl Pages {
	/// All of a pool of `pages` free pages.
	pub(crate) fn new(pool: KvPool, pages: usize) -> Self {
		Self {
			pool,
			free: pages,
			promised: 0,
			shared: HashMap::new(),
			idle: BTreeMap::new(),
			clock: 0,
		}
	}

	/// Where keys and values lie.
	pub(crate) fn pool(&mut self) -> &mut KvPool {
		&mut self.pool
	}

	/// Pages that can be promised: free ones, and shared ones that nobody holds.
	pub(crate) fn available(&self) -> usize {
		(self.free + self.idle.len()).saturating_sub(self.promised)
	}

	/// Promises the pages of a sequence of at most so many rows; none if there isn't room now.
	pub(crate) fn admit(&mut self, rows: usize) -> Option<Table> {
		let promised = rows.div_ceil(CHUNK);
		(promised <= self.available()).then(|| {
			self.promised += promised;
			Table {
				promised,
				..Table::default()
			}
		})
	}

	/// Gives a table the pages of its first `rows` positions.
	pub(crate) fn extend(&mut self, table: &mut Table, rows: usize) -> Result<()> {
		while table.pages.len() * CHUNK < rows {
			if table.promised == 0 {
				return Err(Error::Compute("a sequence outgrew its pages".into()));
			}
			if self.free == 0 {
				self.evict();
			}
			let page = self.pool.alloc();
			let page = page.ok_or_else(|| Error::Compute("a promised page is missing".into()))?;
			self.free = self.free.saturating_sub(1);
			self.keep_promise(table);
			table.pages.push(page);
		}
		Ok(())
	}

	/// If a page with the next 32 tokens is there, the table takes it; its leaves come back.
	pub(crate) fn share(&mut self, table: &mut Table, tokens: &[u32]) -> Option<Vec<Hash32>> {
		if table.pages.len() != table.keys.len() || table.promised == 0 {
			return None;
		}
		let key = table.next_key(tokens);
		let shared = self.shared.get_mut(&key)?;
		if shared.holders == 0 {
			self.idle.remove(&shared.since);
		}
		shared.holders += 1;
		table.pages.push(shared.page);
		table.keys.push(key);
		let leaves = shared.leaves.clone();
		self.keep_promise(table);
		Some(leaves)
	}

	/// Names the first unnamed page of a table, now that all 32 rows are in it, and offers it to others.
	pub(crate) fn offer(&mut self, table: &mut Table, tokens: &[u32], leaves: Vec<Hash32>) {
		let key = table.next_key(tokens);
		let Some(page) = table.pages.get_mut(table.keys.len()) else {
			return;
		};
		match self.shared.get_mut(&key) {
			// Two runs computed the same rows at the same time: one page is enough.
			Some(shared) => {
				if shared.holders == 0 {
					self.idle.remove(&shared.since);
				}
				shared.holders += 1;
				self.pool.free(std::mem::replace(page, shared.page));
				self.free += 1;
			}
			None => {
				let shared = Shared {
					page: *page,
					leaves,
					holders: 1,
					since: 0,
				};
				self.shared.insert(key, shared);
			}
		}
		table.keys.push(key);
	}

	/// Takes back the pages of a sequence. Named ones stay for others while there is room.
	pub(crate) fn release(&mut self, table: Table) {
		self.promised = self.promised.saturating_sub(table.promised);
		for page in table.pages.iter().skip(table.keys.len()) {
			self.pool.free(*page);
			self.free += 1;
		}
		// The last first, so that a prefix outlives what follows it.
		for key in table.keys.iter().rev() {
			let Some(shared) = self.shared.get_mut(key) else {
				continue;
			};
			shared.holders = shared.holders.saturating_sub(1);
			if shared.holders == 0 {
				self.clock += 1;
				shared.since = self.clock;
				self.idle.insert(self.clock, *key);
			}
		}
	}

	/// Frees the page that nobody has held for the longest time.
	fn evict(&mut self) {
		let oldest = self.idle.pop_first();
		if let Some(shared) = oldest.and_then(|(_, key)| self.shared.remove(&key)) {
			self.pool.free(shared.page);
			self.free += 1;
		}
	}

	fn keep_promise(&mut self, table: &mut Table) {
		table.promised -= 1;
		self.promised = self.promised.saturating_sub(1);
	}
}
