//! The residual trace: one root over every row of the residual stream (§6).
//!
//! A leaf is the hash of up to 32 positions after one layer, so that a dispute can be narrowed down to 32 positions of
//! one layer. Hashing runs along while rows appear; only hashes are stored.

use crate::threads;
use alloc::{vec, vec::Vec};
use blake3::Hasher;
use core::ops::Range;

/// A BLAKE3 hash.
type Hash = [u8; 32];

/// Positions of one leaf.
pub const CHUNK: usize = 32;

const LEAF: &str = "assay/v1/trace-leaf";
const NODE: &str = "assay/v1/trace-node";
const ROOT: &str = "assay/v1/trace-root";

/// Hashes of the rows so far.
#[derive(Clone)]
pub struct Trace {
	/// One for each layer, then one for the final norm.
	layers: Vec<Layer>,
	rows: usize,
}

#[derive(Clone)]
struct Layer {
	/// Leaves of the full chunks.
	leaves: Vec<Hash>,
	/// The chunk that is being filled.
	open: Hasher,
}

impl Trace {
	/// Makes an empty trace of a model with this many layers.
	pub fn new(layers: usize) -> Self {
		let layer = Layer {
			leaves: Vec::new(),
			open: Hasher::new_derive_key(LEAF),
		};
		Self {
			layers: vec![layer; layers + 1],
			rows: 0,
		}
	}

	/// Returns the number of rows so far.
	pub fn rows(&self) -> usize {
		self.rows
	}

	/// Adds some of these rows: of each layer, then of the final norm, all rows as they lie in memory.
	pub fn push(&mut self, layers: &[&[f32]], width: usize, part: Range<usize>) {
		push_all(layers, width, vec![(self, part)]);
	}

	/// Returns the leaves of a full chunk: one for each layer, then the final norm's.
	pub fn chunk(&self, chunk: usize) -> Option<Vec<Hash>> {
		self.layers.iter().map(|s| s.leaves.get(chunk).copied()).collect()
	}

	/// Adds a full chunk by its leaves, as [`Self::chunk`] returns them. Returns false, and adds nothing, in the middle
	/// of a chunk.
	pub fn push_chunk(&mut self, leaves: &[Hash]) -> bool {
		let fits = self.rows.is_multiple_of(CHUNK) && leaves.len() == self.layers.len();
		if fits {
			for (layer, leaf) in self.layers.iter_mut().zip(leaves) {
				layer.leaves.push(*leaf);
			}
			self.rows += CHUNK;
		}
		fits
	}

	/// Returns the root over all rows so far: leaves chunk by chunk, in each chunk layer by layer; then the final
	/// norm's leaves.
	pub fn root(&self) -> Hash {
		let open = !self.rows.is_multiple_of(CHUNK);
		let mut layers: Vec<Vec<Hash>> = Vec::with_capacity(self.layers.len());
		for layer in &self.layers {
			let mut leaves = layer.leaves.clone();
			leaves.extend(open.then(|| *layer.open.finalize().as_bytes()));
			layers.push(leaves);
		}
		let norm = layers.pop().unwrap_or_default();
		let chunks = self.rows.div_ceil(CHUNK);
		let by_chunk = (0..chunks).flat_map(|c| layers.iter().filter_map(move |s| s.get(c).copied()));
		let top = merkle(by_chunk.chain(norm).collect());
		let mut hasher = Hasher::new_derive_key(ROOT);
		hasher.update(&(self.rows as u32).to_le_bytes());
		hasher.update(&(layers.len() as u32).to_le_bytes());
		hasher.update(&top);
		*hasher.finalize().as_bytes()
	}
}

/// Adds rows to several traces at once. Layers share nothing, so they are hashed in parallel.
pub fn push_all(layers: &[&[f32]], width: usize, parts: Vec<(&mut Trace, Range<usize>)>) {
	let mut work = Vec::new();
	for (trace, part) in parts {
		let filled = trace.rows;
		trace.rows += part.len();
		for (layer, values) in trace.layers.iter_mut().zip(layers) {
			let values = values.get(part.start * width..part.end * width).unwrap_or_default();
			work.push((layer, values, filled));
		}
	}
	threads::for_each(work, |(layer, values, filled)| layer.push(values, width, filled));
}

impl Layer {
	/// Adds whole rows behind `filled` others.
	fn push(&mut self, mut values: &[f32], width: usize, mut filled: usize) {
		while !values.is_empty() {
			let room = CHUNK - filled % CHUNK;
			let (now, rest) = values.split_at(values.len().min(room * width));
			update(&mut self.open, now);
			filled += now.len() / width;
			values = rest;
			if filled.is_multiple_of(CHUNK) {
				self.leaves.push(*self.open.finalize().as_bytes());
				self.open.reset();
			}
		}
	}
}

/// Hashes little-endian bytes: on most machines the floats as they lie in memory.
fn update(hasher: &mut Hasher, values: &[f32]) {
	if cfg!(target_endian = "little") {
		hasher.update(bytemuck::cast_slice(values));
	} else {
		let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
		hasher.update(&bytes);
	}
}

/// Pairs from the left; a node without a partner goes up as it is. No leaves: zero.
fn merkle(mut level: Vec<Hash>) -> Hash {
	while level.len() > 1 {
		level = level
			.chunks(2)
			.map(|pair| match pair {
				[left, right] => *Hasher::new_derive_key(NODE)
					.update(left)
					.update(right)
					.finalize()
					.as_bytes(),
				[one] => *one,
				_ => [0; 32],
			})
			.collect();
	}
	level.first().copied().unwrap_or_default()
}
