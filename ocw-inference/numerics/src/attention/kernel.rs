//! Attention of a few queries that share their key head: scores, softmax, weighted sum, page by page.
//!
//! The queries of a group, and those of neighbouring rows, read keys and values together. Where their masks differ, at
//! the first and last keys, each goes on alone, so that no key that a row does not see ever touches its sums.

use super::TILE;
#[cfg(not(feature = "std"))]
use crate::math::Float;
use crate::{exp::exp, kv::PAGE, simd::Simd};
use alloc::vec::Vec;
use core::ops::Range;

/// Calls with the number of queries as a constant, so that their sums stay in registers.
macro_rules! each_count {
	($count:expr, $q:ident => $call:expr) => {
		match $count {
			1 => each_count!(@ 1, $q, $call),
			2 => each_count!(@ 2, $q, $call),
			3 => each_count!(@ 3, $q, $call),
			4 => each_count!(@ 4, $q, $call),
			5 => each_count!(@ 5, $q, $call),
			6 => each_count!(@ 6, $q, $call),
			7 => each_count!(@ 7, $q, $call),
			8 => each_count!(@ 8, $q, $call),
			_ => unreachable!("one to eight queries go together"),
		}
	};
	(@ $number:literal, $q:ident, $call:expr) => {{
		const $q: usize = $number;
		$call
	}};
}

/// Most queries that go together.
pub(super) const QUERIES: usize = 8;

/// Up to [`QUERIES`] queries of one sequence and key head.
pub(super) struct Queries<'a> {
	/// Each of `head_dim` elements.
	pub(super) q: &'a [&'a [f32]],
	/// The keys that each sees.
	pub(super) keys: &'a [Range<usize>],
	/// Keys `[d][32]` and values `[32][d]` of each page of the sequence, f16 bits.
	pub(super) pages: &'a [(&'a [u16], &'a [u16])],
	/// `1 / √head_dim`.
	pub(super) scale: f32,
}

/// What a thread keeps between calls.
#[derive(Default)]
pub(super) struct Scratch {
	/// Queries, `[d][query]`.
	transposed: Vec<f32>,
	/// Scores, then weights: `[page][query][32]`, from the first page on, so that queries are a constant apart.
	scores: Vec<f32>,
	/// Sums over a tile, `[query][d]`, and over all tiles.
	tile: Vec<f32>,
	sums: Vec<f32>,
}

/// Where a query's scores begin, how far those of the next page are, and which page the first belongs to.
#[derive(Clone, Copy)]
struct Scores {
	start: *const f32,
	page: usize,
	first: usize,
}

/// Computes attention; `out` gets the `head_dim` results of each query.
///
/// # Safety
/// The CPU has the instructions of S, and this is inlined into a function compiled for them.
#[inline(always)]
pub(super) unsafe fn attention<S: Simd>(queries: &Queries<'_>, scratch: &mut Scratch, out: &mut [&mut [f32]]) {
	let (count, head_dim) = (queries.q.len(), queries.q[0].len());
	let first = queries.keys.iter().map(|k| k.start).min().unwrap_or(0) / PAGE;
	let end = queries.keys.iter().map(|k| k.end).max().unwrap_or(0);
	scratch.transposed.resize(head_dim * count, 0.0);
	for (i, q) in queries.q.iter().enumerate() {
		for (transposed, q) in scratch.transposed[i..].iter_mut().step_by(count).zip(*q) {
			*transposed = *q;
		}
	}
	scratch.scores.resize((end.div_ceil(PAGE) - first) * count * PAGE, 0.0);
	let start = scratch.scores.as_mut_ptr();
	for page in first..end.div_ceil(PAGE) {
		let keys = queries.pages[page].0;
		// SAFETY: the page has head_dim · 32 keys, and the scores room for 32 of each query at it.
		unsafe {
			let to = start.add((page - first) * count * PAGE);
			each_count!(count, Q => score::<S, Q>(&scratch.transposed, keys, queries.scale, to));
		}
	}
	for (i, keys) in queries.keys.iter().enumerate() {
		softmax_weights(
			&mut scratch.scores,
			(i, count),
			keys.start - first * PAGE..keys.end - first * PAGE,
		);
	}
	let scores = Scores {
		start: scratch.scores.as_ptr(),
		page: count * PAGE,
		first,
	};
	// SAFETY: the caller's promise.
	unsafe { combine::<S>(queries, scores, &mut scratch.tile, &mut scratch.sums) };
	for ((out, sums), total) in out
		.iter_mut()
		.zip(scratch.sums[count..].chunks_exact(head_dim))
		.zip(&scratch.sums)
	{
		for (out, sum) in out.iter_mut().zip(sums) {
			*out = sum / total;
		}
	}
}

/// `s_j = scale · Σ_d q_d · k_jd` of the 32 keys of a page, d ascending, one `fma` each.
///
/// # Safety
/// As for [`attention`]; `keys` is a page, `to` has room for 32 scores of each query.
#[inline(always)]
unsafe fn score<S: Simd, const Q: usize>(transposed: &[f32], keys: &[u16], scale: f32, to: *mut f32) {
	let head_dim = transposed.len() / Q;
	debug_assert!(keys.len() == head_dim * PAGE);
	for lane in (0..PAGE).step_by(2 * S::LANES) {
		// SAFETY: the caller's promise.
		unsafe {
			let mut sums = [[S::splat(0.0); 2]; Q];
			for d in 0..head_dim {
				let at = keys.as_ptr().add(d * PAGE + lane);
				let (k0, k1) = (S::load_f16(at), S::load_f16(at.add(S::LANES)));
				for (i, sums) in sums.iter_mut().enumerate() {
					let q = S::splat(*transposed.as_ptr().add(d * Q + i));
					sums[0] = S::fma(q, k0, sums[0]);
					sums[1] = S::fma(q, k1, sums[1]);
				}
			}
			let scale = S::splat(scale);
			for (i, sums) in sums.iter().enumerate() {
				let to = to.add(i * PAGE + lane);
				S::store(to, S::mul(sums[0], scale));
				S::store(to.add(S::LANES), S::mul(sums[1], scale));
			}
		}
	}
}

/// Turns the scores of a query, the i-th of so many, into softmax weights: `exp(s − max)`. `keys` counts from the first
/// page's first.
#[inline(always)]
fn softmax_weights(scores: &mut [f32], (i, count): (usize, usize), keys: Range<usize>) {
	const LANES: usize = 16;
	let larger = |a: f32, b: f32| if b > a { b } else { a };
	// The maximum is exact, so its order is free.
	let mut lanes = [f32::NEG_INFINITY; LANES];
	let mut max = f32::NEG_INFINITY;
	let parts = |keys: &Range<usize>| {
		let (start, end) = (keys.start, keys.end);
		(start / PAGE..end.div_ceil(PAGE)).map(move |page| {
			let begin = (page * count + i) * PAGE;
			begin + start.saturating_sub(page * PAGE)..begin + PAGE.min(end - page * PAGE)
		})
	};
	for part in parts(&keys) {
		let (chunks, rest) = scores[part].as_chunks::<LANES>();
		for chunk in chunks {
			for (lane, s) in lanes.iter_mut().zip(chunk) {
				*lane = larger(*lane, *s);
			}
		}
		max = rest.iter().fold(max, |a, b| larger(a, *b));
	}
	let max = lanes.iter().fold(max, |a, b| larger(a, *b));
	for part in parts(&keys) {
		let part = &mut scores[part];
		if let Ok(page) = <&mut [f32; PAGE]>::try_from(&mut *part) {
			// Nothing is left over behind the vectors.
			page.iter_mut().for_each(|s| *s = exp(*s - max));
		} else {
			part.iter_mut().for_each(|s| *s = exp(*s - max));
		}
	}
}

/// Per tile the sum of weights and of weighted values, keys ascending, then the tiles ascending. `sums` gets the totals
/// of all queries, then their weighted values.
///
/// # Safety
/// As for [`attention`].
#[inline(always)]
unsafe fn combine<S: Simd>(queries: &Queries<'_>, scores: Scores, tile: &mut Vec<f32>, sums: &mut Vec<f32>) {
	let (count, head_dim) = (queries.q.len(), queries.q[0].len());
	let fold = |range: fn(&Range<usize>) -> usize, by: fn(usize, usize) -> usize| {
		queries.keys.iter().map(range).reduce(by).unwrap_or(0)
	};
	let (first, end) = (fold(|k| k.start, usize::min), fold(|k| k.end, usize::max));
	let shared = fold(|k| k.start, usize::max)..fold(|k| k.end, usize::min);
	sums.clear();
	sums.resize(count * (1 + head_dim), 0.0);
	for start in (first / TILE * TILE..end).step_by(TILE) {
		let cut = |keys: &Range<usize>| keys.start.max(start)..keys.end.min(start + TILE);
		let shared = cut(&shared);
		tile.clear();
		tile.resize(count * (1 + head_dim), 0.0);
		for (i, own) in queries.keys.iter().map(cut).enumerate() {
			let before = if shared.is_empty() {
				own
			} else {
				own.start..shared.start
			};
			// SAFETY: the caller's promise.
			unsafe { alone::<S>(queries, scores, i, before, tile) };
		}
		if !shared.is_empty() {
			let (totals, weighted) = tile.split_at_mut(count);
			// SAFETY: the caller's promise.
			unsafe {
				each_count!(count, Q => add::<S, Q>(queries.pages, scores, shared.clone(), totals, weighted));
			}
			for (i, own) in queries.keys.iter().map(cut).enumerate() {
				// SAFETY: the caller's promise.
				unsafe { alone::<S>(queries, scores, i, shared.end..own.end, tile) };
			}
		}
		for (sum, tile) in sums.iter_mut().zip(tile.iter()) {
			*sum += tile;
		}
	}
}

/// Adds keys that query i does not share with all others.
///
/// # Safety
/// As for [`attention`].
#[inline(always)]
unsafe fn alone<S: Simd>(queries: &Queries<'_>, scores: Scores, i: usize, keys: Range<usize>, tile: &mut [f32]) {
	if keys.is_empty() {
		return;
	}
	let head_dim = queries.q[i].len();
	let (totals, weighted) = tile.split_at_mut(queries.q.len());
	let weighted = &mut weighted[i * head_dim..(i + 1) * head_dim];
	// SAFETY: query i has its scores in each page; the rest is the caller's promise.
	unsafe {
		let start = scores.start.add(i * PAGE);
		add::<S, 1>(
			queries.pages,
			Scores { start, ..scores },
			keys,
			&mut totals[i..=i],
			weighted,
		);
	}
}

/// Adds weights to the totals of Q queries and weighted values to their sums, keys ascending.
///
/// # Safety
/// As for [`attention`].
#[inline(always)]
unsafe fn add<S: Simd, const Q: usize>(
	pages: &[(&[u16], &[u16])],
	scores: Scores,
	keys: Range<usize>,
	totals: &mut [f32],
	weighted: &mut [f32],
) {
	let head_dim = weighted.len() / Q;
	debug_assert!(totals.len() == Q && weighted.len() == Q * head_dim);
	let mut from = keys.start;
	while from < keys.end {
		let (page, to) = (from / PAGE, keys.end.min((from / PAGE + 1) * PAGE));
		let values = &pages[page].1[from % PAGE * head_dim..];
		// SAFETY: these are scores of keys from..to, and as many values of head_dim.
		unsafe {
			let strip = Strip {
				weights: scores.start.add((page - scores.first) * scores.page + from % PAGE),
				count: to - from,
				values: values.as_ptr(),
				sums: weighted.as_mut_ptr(),
				head_dim,
			};
			let mut d = 0;
			if 2 * S::LANES <= head_dim {
				strip.run::<S, Q, 2, true>(0, totals);
				d = 2 * S::LANES;
			} else {
				strip.total::<Q>(totals);
			}
			while d + 2 * S::LANES <= head_dim {
				strip.run::<S, Q, 2, false>(d, totals);
				d += 2 * S::LANES;
			}
			while d + S::LANES <= head_dim {
				strip.run::<S, Q, 1, false>(d, totals);
				d += S::LANES;
			}
			strip.rest::<Q>(d);
		}
		from = to;
	}
}

/// Some keys of one page.
struct Strip {
	/// Of the first key and query; those of the next query are a page further.
	weights: *const f32,
	/// Keys.
	count: usize,
	/// Of the first key.
	values: *const u16,
	/// `[query][d]`
	sums: *mut f32,
	head_dim: usize,
}

impl Strip {
	/// The sums of N vectors from dimension d on, and the totals if asked for (all lanes hold the same).
	#[inline(always)]
	unsafe fn run<S: Simd, const Q: usize, const N: usize, const TOTAL: bool>(&self, d: usize, totals: &mut [f32]) {
		// SAFETY: the pointers have `count` keys of `head_dim` values, and dimensions d… lie inside.
		unsafe {
			let sum_at = |i: usize, n: usize| self.sums.add(i * self.head_dim + d + n * S::LANES);
			let mut sums = [[S::splat(0.0); N]; Q];
			let mut all = [S::splat(0.0); Q];
			for (i, sums) in sums.iter_mut().enumerate() {
				for (n, sum) in sums.iter_mut().enumerate() {
					*sum = S::load(sum_at(i, n));
				}
				all[i] = S::splat(totals[i]);
			}
			for t in 0..self.count {
				let at = self.values.add(t * self.head_dim + d);
				let mut values = [S::splat(0.0); N];
				for (n, value) in values.iter_mut().enumerate() {
					*value = S::load_f16(at.add(n * S::LANES));
				}
				for (i, sums) in sums.iter_mut().enumerate() {
					let weight = S::splat(*self.weights.add(i * PAGE + t));
					if TOTAL {
						all[i] = S::add(all[i], weight);
					}
					for (sum, value) in sums.iter_mut().zip(values) {
						*sum = S::fma(weight, value, *sum);
					}
				}
			}
			for (i, sums) in sums.iter().enumerate() {
				for (n, sum) in sums.iter().enumerate() {
					S::store(sum_at(i, n), *sum);
				}
				if TOTAL {
					let mut lanes = [0f32; 16];
					S::store(lanes.as_mut_ptr(), all[i]);
					totals[i] = lanes[0];
				}
			}
		}
	}

	/// The totals alone.
	#[inline(always)]
	unsafe fn total<const Q: usize>(&self, totals: &mut [f32]) {
		for t in 0..self.count {
			for (i, total) in totals.iter_mut().enumerate() {
				// SAFETY: as above.
				*total += unsafe { *self.weights.add(i * PAGE + t) };
			}
		}
	}

	/// The sums of the dimensions that do not fill a vector.
	#[inline(always)]
	unsafe fn rest<const Q: usize>(&self, from: usize) {
		for t in 0..self.count {
			for i in 0..Q {
				for d in from..self.head_dim {
					// SAFETY: as above.
					unsafe {
						let weight = *self.weights.add(i * PAGE + t);
						let value = half::f16::from_bits(*self.values.add(t * self.head_dim + d)).to_f32();
						let sum = self.sums.add(i * self.head_dim + d);
						*sum = weight.mul_add(value, *sum);
					}
				}
			}
		}
	}
}
