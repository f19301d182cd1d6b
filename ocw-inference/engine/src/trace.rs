//! The trace: one root over every row of the residual stream.
//!
//! A leaf is the hash of up to 32 positions after one layer, so that a dispute can be narrowed down to 32 positions of one
//! layer. Hashing runs along while rows appear; nothing is kept but hashes.

use crate::{model::decoder::Rows, Result};
use assay_primitives::{Hash32, TraceRoot};
use blake3::Hasher;
use rayon::prelude::*;
use std::ops::Range;

/// Positions of one leaf.
pub const CHUNK: usize = 32;

const LEAF: &str = "assay/v1/trace-leaf";
const NODE: &str = "assay/v1/trace-node";
const ROOT: &str = "assay/v1/trace-root";

/// Hashes of the rows so far.
#[derive(Clone)]
pub struct Trace {
	/// One for each layer, then one for the final norm.
	streams: Vec<Stream>,
	rows: usize,
}

#[derive(Clone)]
struct Stream {
	/// Leaves of the full chunks.
	leaves: Vec<Hash32>,
	/// The chunk that is being filled.
	open: Hasher,
}

impl Trace {
	/// An empty trace of a model with this many layers.
	pub fn new(layers: usize) -> Self {
		let stream = Stream {
			leaves: Vec::new(),
			open: Hasher::new_derive_key(LEAF),
		};
		Self {
			streams: vec![stream; layers + 1],
			rows: 0,
		}
	}

	/// Rows so far.
	pub fn rows(&self) -> usize {
		self.rows
	}

	/// Adds some of these rows.
	pub fn push(&mut self, rows: &Rows, part: Range<usize>) -> Result<()> {
		push_all(rows, vec![(self, part)])
	}

	/// The leaves of a full chunk: one for each layer, then the final norm's.
	pub fn chunk(&self, chunk: usize) -> Option<Vec<Hash32>> {
		self.streams.iter().map(|s| s.leaves.get(chunk).copied()).collect()
	}

	/// Adds a full chunk by its leaves, as [`Self::chunk`] gives them. False, and nothing is added, in the middle of a chunk.
	pub fn push_chunk(&mut self, leaves: &[Hash32]) -> bool {
		let fits = self.rows.is_multiple_of(CHUNK) && leaves.len() == self.streams.len();
		if fits {
			for (stream, leaf) in self.streams.iter_mut().zip(leaves) {
				stream.leaves.push(*leaf);
			}
			self.rows += CHUNK;
		}
		fits
	}

	/// The root over all rows so far: leaves chunk by chunk, in each chunk layer by layer; then the final norm's leaves.
	pub fn root(&self) -> TraceRoot {
		let open = !self.rows.is_multiple_of(CHUNK);
		let mut streams: Vec<Vec<Hash32>> = Vec::with_capacity(self.streams.len());
		for stream in &self.streams {
			let mut leaves = stream.leaves.clone();
			leaves.extend(open.then(|| *stream.open.finalize().as_bytes()));
			streams.push(leaves);
		}
		let norm = streams.pop().unwrap_or_default();
		let chunks = self.rows.div_ceil(CHUNK);
		let by_chunk = (0..chunks).flat_map(|c| streams.iter().filter_map(move |s| s.get(c).copied()));
		let top = merkle(by_chunk.chain(norm).collect());
		let mut hasher = Hasher::new_derive_key(ROOT);
		hasher.update(&(self.rows as u32).to_le_bytes());
		hasher.update(&(streams.len() as u32).to_le_bytes());
		hasher.update(&top);
		TraceRoot(*hasher.finalize().as_bytes())
	}
}

/// Adds rows to several traces at once. Streams share nothing, so they are hashed in parallel, straight from the tensors.
pub fn push_all(rows: &Rows, parts: Vec<(&mut Trace, Range<usize>)>) -> Result<()> {
	let width = rows.width();
	rows.with_streams(|layers| {
		let mut work = Vec::new();
		for (trace, part) in parts {
			let filled = trace.rows;
			trace.rows += part.len();
			for (stream, layer) in trace.streams.iter_mut().zip(layers) {
				let values = layer.get(part.start * width..part.end * width).unwrap_or_default();
				work.push((stream, values, filled));
			}
		}
		work.into_par_iter()
			.for_each(|(stream, values, filled)| stream.push(values, width, filled));
	})
}

impl Stream {
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

/// Hashes little-endian bytes: on most computers the floats as they lie in memory.
fn update(hasher: &mut Hasher, values: &[f32]) {
	if cfg!(target_endian = "little") {
		hasher.update(bytemuck::cast_slice(values));
	} else {
		let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
		hasher.update(&bytes);
	}
}

/// Pairs from the left; a node without a partner goes up as it is. No leaves: zero.
fn merkle(mut level: Vec<Hash32>) -> Hash32 {
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
