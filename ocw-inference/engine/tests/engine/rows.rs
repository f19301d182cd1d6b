//! Rows of whole models, computed in pieces and batches of a test's choice.

use assay_engine::{
	kv::KvPool,
	model::decoder::{Batch, Rows},
	Model,
};
use assay_numerics::kv::{PageId, Segment};
use candle_core::Tensor;

/// A sequence whose first `done` tokens have their rows.
pub(crate) struct Sequence {
	pub(crate) tokens: Vec<u32>,
	pub(crate) done: usize,
	pages: Vec<PageId>,
}

impl Sequence {
	/// A sequence with its pages, which are full of NaN.
	pub(crate) fn new(tokens: Vec<u32>, pool: &mut KvPool) -> Self {
		pool.poison();
		let pages = (0..tokens.len().div_ceil(32)).map(|_| pool.alloc().unwrap()).collect();
		Self { tokens, done: 0, pages }
	}
}

/// Computes the next rows of some sequences in one forward pass, `takes` of each.
pub(crate) fn forward(model: &Model, pool: &mut KvPool, sequences: &mut [&mut Sequence], takes: &[usize]) -> Rows {
	let (mut tokens, mut segments) = (Vec::new(), Vec::new());
	for (sequence, take) in sequences.iter().zip(takes).filter(|(_, take)| **take > 0) {
		segments.push(Segment {
			rows: tokens.len()..tokens.len() + take,
			start: sequence.done,
			pages: &sequence.pages,
		});
		tokens.extend(&sequence.tokens[sequence.done..][..*take]);
	}
	let batch = Batch {
		tokens: &tokens,
		segments: &segments,
	};
	let rows = model.decoder().unwrap().forward(&batch, pool).unwrap();
	for (sequence, take) in sequences.iter_mut().zip(takes) {
		sequence.done += take;
	}
	rows
}

/// Returns the logits of one sequence, row by row.
pub(crate) fn logits(model: &Model, tokens: &[u32]) -> Vec<f32> {
	let decoder = model.decoder().unwrap();
	let mut pool = decoder.pool(tokens.len().div_ceil(32)).unwrap();
	let mut sequence = Sequence::new(tokens.to_vec(), &mut pool);
	let rows = forward(model, &mut pool, &mut [&mut sequence], &[tokens.len()]);
	decoder.logits(&rows.norm).unwrap().to_vec2().unwrap().concat()
}

/// Returns the residual rows of each layer, the final norm and the logits, one list a row.
pub(crate) fn bits(model: &Model, rows: &Rows) -> Vec<Vec<u32>> {
	let logits = model.decoder().unwrap().logits(&rows.norm).unwrap();
	let parts: Vec<Vec<Vec<f32>>> = rows
		.residual
		.iter()
		.chain([&rows.norm, &logits])
		.map(|t: &Tensor| t.to_vec2().unwrap())
		.collect();
	let row = |i: usize| {
		parts
			.iter()
			.flat_map(|part| part[i].iter().map(|v| v.to_bits()))
			.collect()
	};
	(0..rows.non_finite.len()).map(row).collect()
}

/// Returns all rows of one sequence, computed `chunk` at a time.
pub(crate) fn alone(model: &Model, tokens: &[u32], chunk: usize) -> Vec<Vec<u32>> {
	let mut pool = model.decoder().unwrap().pool(tokens.len().div_ceil(32)).unwrap();
	let mut sequence = Sequence::new(tokens.to_vec(), &mut pool);
	let mut all = Vec::new();
	while sequence.done < tokens.len() {
		let take = chunk.min(tokens.len() - sequence.done);
		let rows = forward(model, &mut pool, &mut [&mut sequence], &[take]);
		assert!(!rows.non_finite.contains(&true));
		all.extend(bits(model, &rows));
	}
	all
}
