//! The trace: one root over every row of the residual stream, and over the keys and values behind them (§6).
//!
//! A leaf is the hash of up to 32 positions after one layer, or of the keys and values that the layer added at them. So
//! a dispute can be narrowed down to 32 positions of one layer, and these can be computed again from what the trace
//! commits to. Hashing runs along while rows appear; only hashes are stored.

mod merkle;
#[cfg(test)]
mod tests;

use crate::threads;
use alloc::{borrow::Cow, vec, vec::Vec};
use blake3::Hasher;
use core::ops::Range;

/// A BLAKE3 hash.
pub type Hash = [u8; 32];

/// Positions of one leaf.
pub const CHUNK: usize = 32;

const LEAF: &str = "assay/v2/trace-leaf";
const KV: &str = "assay/v2/trace-kv";
const ROOT: &str = "assay/v2/trace-root";

/// Rows of a batch, as a trace takes them.
#[derive(Clone, Debug)]
pub struct TraceRows<'a> {
	/// The rows after each layer, f32 `[rows, width]`.
	pub residual: Vec<&'a [f32]>,
	/// The keys, then the values, that each layer added for each row, f16 bits `[rows, kv_width]`: what attention reads.
	pub kv: Vec<&'a [u16]>,
	/// The rows after the final norm, f32 `[rows, width]`.
	pub norm: &'a [f32],
	/// Length of a row.
	pub width: usize,
	/// Length of a row's keys and values together.
	pub kv_width: usize,
}

/// What a leaf is the hash of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Leaf {
	/// The rows of a chunk after a layer.
	Residual {
		/// The chunk, from 0.
		chunk: usize,
		/// The layer, from 0.
		layer: usize,
	},
	/// The keys and values that a layer added for a chunk.
	Kv {
		/// The chunk, from 0.
		chunk: usize,
		/// The layer, from 0.
		layer: usize,
	},
	/// The rows of a chunk after the final norm.
	Norm {
		/// The chunk, from 0.
		chunk: usize,
	},
}

/// How many rows and layers a trace is over, which decides where its leaves are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceShape {
	/// Rows.
	pub rows: u32,
	/// Layers of the model.
	pub layers: u32,
}

/// Hashes of the rows so far.
#[derive(Clone)]
pub struct Trace {
	/// The rows, then the keys and values, of each layer, then the rows of the final norm: a chunk's leaves in order.
	streams: Vec<Stream>,
	rows: usize,
}

#[derive(Clone)]
struct Stream {
	/// Leaves of the full chunks.
	leaves: Vec<Hash>,
	/// The chunk that is being filled.
	open: Hasher,
}

impl Trace {
	/// Makes an empty trace of a model with this many layers.
	pub fn new(layers: usize) -> Self {
		let stream = |context| Stream {
			leaves: Vec::new(),
			open: Hasher::new_derive_key(context),
		};
		let (rows, kv) = (stream(LEAF), stream(KV));
		let mut streams = vec![[rows.clone(), kv]; layers].concat();
		streams.push(rows);
		Self { streams, rows: 0 }
	}

	/// Returns the number of rows so far.
	pub fn rows(&self) -> usize {
		self.rows
	}

	/// Returns how many rows and layers it is over.
	pub fn shape(&self) -> TraceShape {
		TraceShape {
			rows: self.rows as u32,
			layers: (self.streams.len() / 2) as u32,
		}
	}

	/// Adds some rows of a batch.
	pub fn push(&mut self, rows: &TraceRows<'_>, part: Range<usize>) {
		push_all(rows, vec![(self, part)]);
	}

	/// Returns the leaves of a full chunk: of each layer its rows' and its keys' and values', then the final norm's.
	pub fn chunk(&self, chunk: usize) -> Option<Vec<Hash>> {
		self.streams.iter().map(|s| s.leaves.get(chunk).copied()).collect()
	}

	/// [`Self::chunk`] of the last chunk too if it is not full.
	pub fn chunk_so_far(&self, chunk: usize) -> Option<Vec<Hash>> {
		(chunk < self.rows.div_ceil(CHUNK)).then(|| self.streams.iter().map(|stream| stream.leaf(chunk)).collect())
	}

	/// Adds a full chunk by its leaves, as [`Self::chunk`] returns them. Returns false, and adds nothing, in the middle
	/// of a chunk.
	pub fn push_chunk(&mut self, leaves: &[Hash]) -> bool {
		let fits = self.rows.is_multiple_of(CHUNK) && leaves.len() == self.streams.len();
		if fits {
			for (stream, leaf) in self.streams.iter_mut().zip(leaves) {
				stream.leaves.push(*leaf);
			}
			self.rows += CHUNK;
		}
		fits
	}

	/// Returns the root over all rows so far.
	pub fn root(&self) -> Hash {
		let apex = merkle::levels(self.leaves())
			.last()
			.and_then(|level| level.first().copied());
		self.shape().root(&apex.unwrap_or_default())
	}

	/// Returns the hashes that lead from a leaf to the root, for [`verify_path`]; none if there is no such leaf.
	pub fn path(&self, leaf: Leaf) -> Option<Vec<Hash>> {
		self.proof(&[leaf])
	}

	/// Returns the hashes that lead from some leaves to the root, for [`verify_proof`]. The leaves are in the tree's order,
	/// each once; none if they aren't, or if there is no such leaf.
	pub fn proof(&self, leaves: &[Leaf]) -> Option<Vec<Hash>> {
		let places = self.shape().places(leaves.iter().copied())?;
		merkle::proof(&merkle::levels(self.leaves()), &places)
	}

	/// Returns all leaves in the tree's order: chunk by chunk, in each chunk layer by layer; then the final norm's.
	fn leaves(&self) -> Vec<Hash> {
		let chunks = self.rows.div_ceil(CHUNK);
		let (norm, layers) = match self.streams.split_last() {
			Some((norm, layers)) => (Some(norm), layers),
			None => (None, &[][..]),
		};
		// The leaf of an open chunk takes a moment, but there is one of each stream.
		let by_chunk = (0..chunks).flat_map(|chunk| layers.iter().map(move |stream| stream.leaf(chunk)));
		let norm = norm
			.into_iter()
			.flat_map(|stream| (0..chunks).map(|chunk| stream.leaf(chunk)));
		by_chunk.chain(norm).collect()
	}
}

impl Stream {
	/// Returns the leaf of a chunk that is full, or is being filled.
	fn leaf(&self, chunk: usize) -> Hash {
		match self.leaves.get(chunk) {
			Some(leaf) => *leaf,
			None => *self.open.finalize().as_bytes(),
		}
	}

	/// Adds the bytes of whole rows of `width` bytes behind `filled` others.
	fn push(&mut self, mut bytes: &[u8], width: usize, mut filled: usize) {
		while !bytes.is_empty() {
			let room = CHUNK - filled % CHUNK;
			let (now, rest) = bytes.split_at(bytes.len().min(room * width));
			self.open.update(now);
			filled += now.len() / width;
			bytes = rest;
			if filled.is_multiple_of(CHUNK) {
				self.leaves.push(*self.open.finalize().as_bytes());
				self.open.reset();
			}
		}
	}
}

/// Adds rows of a batch to several traces at once. Their leaves share nothing, so they are hashed in parallel.
pub fn push_all(rows: &TraceRows<'_>, parts: Vec<(&mut Trace, Range<usize>)>) {
	let mut streams = Vec::with_capacity(2 * rows.residual.len() + 1);
	for (residual, kv) in rows.residual.iter().zip(&rows.kv) {
		streams.push((f32_bytes(residual), 4 * rows.width));
		streams.push((f16_bytes(kv), 2 * rows.kv_width));
	}
	streams.push((f32_bytes(rows.norm), 4 * rows.width));
	let mut work = Vec::new();
	for (trace, part) in parts {
		let filled = trace.rows;
		trace.rows += part.len();
		for (stream, (bytes, width)) in trace.streams.iter_mut().zip(&streams) {
			let bytes = bytes.get(part.start * width..part.end * width).unwrap_or_default();
			work.push((stream, bytes, *width, filled));
		}
	}
	threads::for_each(work, |(stream, bytes, width, filled)| stream.push(bytes, width, filled));
}

/// Returns the leaf of a chunk's rows, or of some of its rows if it has fewer than 32.
pub fn residual_leaf(rows: &[f32]) -> Hash {
	*Hasher::new_derive_key(LEAF)
		.update(&f32_bytes(rows))
		.finalize()
		.as_bytes()
}

/// Returns the leaf of the keys and values of a chunk's rows, f16 bits: of each row its keys, then its values.
pub fn kv_leaf(rows: &[u16]) -> Hash {
	*Hasher::new_derive_key(KV)
		.update(&f16_bytes(rows))
		.finalize()
		.as_bytes()
}

/// Returns little-endian bytes: on most machines the floats as they lie in memory.
fn f32_bytes(values: &[f32]) -> Cow<'_, [u8]> {
	if cfg!(target_endian = "little") {
		Cow::Borrowed(bytemuck::cast_slice(values))
	} else {
		Cow::Owned(values.iter().flat_map(|v| v.to_le_bytes()).collect())
	}
}

/// Returns little-endian bytes: on most machines the halves as they lie in memory.
fn f16_bytes(values: &[u16]) -> Cow<'_, [u8]> {
	if cfg!(target_endian = "little") {
		Cow::Borrowed(bytemuck::cast_slice(values))
	} else {
		Cow::Owned(values.iter().flat_map(|v| v.to_le_bytes()).collect())
	}
}

impl TraceShape {
	/// Returns the number of chunks; the last may not be full.
	pub fn chunks(self) -> usize {
		(self.rows as usize).div_ceil(CHUNK)
	}

	/// Returns the number of leaves.
	fn leaves(self) -> u64 {
		self.chunks() as u64 * (2 * u64::from(self.layers) + 1)
	}

	/// Returns where a leaf is among all; none if there is no such leaf.
	fn place(self, leaf: Leaf) -> Option<u64> {
		let (chunks, layers) = (self.chunks() as u64, u64::from(self.layers));
		let (chunk, layer, place) = match leaf {
			Leaf::Residual { chunk, layer } => (chunk as u64, layer as u64, 0),
			Leaf::Kv { chunk, layer } => (chunk as u64, layer as u64, 1),
			Leaf::Norm { chunk } => {
				let chunk = chunk as u64;
				return (chunk < chunks).then_some(2 * layers * chunks + chunk);
			}
		};
		(chunk < chunks && layer < layers).then(|| 2 * (layers * chunk + layer) + place)
	}

	/// Returns where leaves are; none if one of them is not there, or if they are not in the tree's order.
	fn places(self, leaves: impl Iterator<Item = Leaf>) -> Option<Vec<u64>> {
		let places: Vec<u64> = leaves.map(|leaf| self.place(leaf)).collect::<Option<_>>()?;
		places.is_sorted_by(|a, b| a < b).then_some(places)
	}

	/// Returns the root of a trace of this shape whose tree ends in `apex`.
	fn root(self, apex: &Hash) -> Hash {
		let mut hasher = Hasher::new_derive_key(ROOT);
		hasher.update(&self.rows.to_le_bytes());
		hasher.update(&self.layers.to_le_bytes());
		hasher.update(apex);
		*hasher.finalize().as_bytes()
	}
}

/// Returns whether a trace of this shape and root has this leaf, which the hashes of [`Trace::path`] show.
pub fn verify_path(root: &Hash, shape: TraceShape, leaf: Leaf, hash: &Hash, path: &[Hash]) -> bool {
	verify_proof(root, shape, &[(leaf, *hash)], path)
}

/// Returns whether a trace of this shape and root has these leaves, which are in the tree's order: the hashes of
/// [`Trace::proof`] show it.
pub fn verify_proof(root: &Hash, shape: TraceShape, leaves: &[(Leaf, Hash)], proof: &[Hash]) -> bool {
	let places = shape.places(leaves.iter().map(|(leaf, _)| *leaf));
	let known = places.map(|places| places.into_iter().zip(leaves.iter().map(|(_, hash)| *hash)));
	known
		.and_then(|known| merkle::apex(known.collect(), shape.leaves(), proof))
		.is_some_and(|apex| shape.root(&apex) == *root)
}
