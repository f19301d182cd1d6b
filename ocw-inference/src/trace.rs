//! The trace: one root over every row of the residual stream.
//!
//! A leaf is the hash of up to 32 positions after one layer, so that a dispute can be narrowed down to 32 positions of one
//! layer. Hashing runs along while rows appear; nothing is kept but hashes.

use crate::{canonical::with_elements, model::llama::Rows, Result};
use assay_primitives::Hash32;
use blake3::Hasher;
use candle_core::Tensor;

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

	/// Adds the first `count` of these rows.
	pub fn push(&mut self, rows: &Rows, count: usize) -> Result<()> {
		let filled = self.rows;
		for (stream, tensor) in self.streams.iter_mut().zip(rows.residual.iter().chain([&rows.norm])) {
			stream.push(tensor, count, filled)?;
		}
		self.rows += count;
		Ok(())
	}

	/// The root over all rows so far: leaves chunk by chunk, in each chunk layer by layer; then the final norm's leaves.
	pub fn root(&self) -> Hash32 {
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
		*hasher.finalize().as_bytes()
	}
}

impl Stream {
	fn push(&mut self, tensor: &Tensor, count: usize, filled: usize) -> Result<()> {
		let width = tensor.dim(candle_core::D::Minus1)?;
		with_elements::<f32, _>(tensor, |x| {
			let mut bytes = Vec::with_capacity(width * 4);
			for (i, row) in x.chunks(width).take(count).enumerate() {
				bytes.clear();
				bytes.extend(row.iter().flat_map(|v| v.to_le_bytes()));
				self.open.update(&bytes);
				if (filled + i + 1).is_multiple_of(CHUNK) {
					self.leaves.push(*self.open.finalize().as_bytes());
					self.open.reset();
				}
			}
		})?;
		Ok(())
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
