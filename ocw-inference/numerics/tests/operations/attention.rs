//! Attention: the same bits for any batch, page layout, thread and instruction set, whether rows come one by one or
//! together.

use crate::definition::{self, bits, noise};
use assay_numerics::{
	attention::{Attention, Mask},
	kv::{PageId, PageShape, Pool, Segment, PAGE},
	Isa,
};
use half::f16;
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use std::ops::Range;

/// Heads of a model.
#[derive(Clone, Copy, Debug)]
struct Heads {
	heads: usize,
	kv_heads: usize,
	head_dim: usize,
}

impl Heads {
	fn width(self) -> usize {
		(self.heads + 2 * self.kv_heads) * self.head_dim
	}

	fn page(self, layers: usize) -> PageShape {
		PageShape {
			layers,
			kv_heads: self.kv_heads,
			head_dim: self.head_dim,
		}
	}

	fn scale(self) -> f32 {
		(1.0 / (self.head_dim as f64).sqrt()) as f32
	}
}

/// The keys that a row sees.
fn seen(mask: Mask, position: usize, len: usize) -> Range<usize> {
	match mask {
		Mask::Full => 0..len,
		Mask::Causal { window: None } => 0..position + 1,
		Mask::Causal { window: Some(w) } => (position + 1).saturating_sub(w)..position + 1,
	}
}

/// One sequence `[len, width]` by the definition, one list of bits a row.
fn truth(heads: Heads, mask: Mask, x: &[f32]) -> Vec<Vec<u32>> {
	let rows: Vec<&[f32]> = x.chunks(heads.width()).collect();
	let d = heads.head_dim;
	let part = |head: usize| {
		rows.iter()
			.map(|row| row[head * d..(head + 1) * d].to_vec())
			.collect::<Vec<_>>()
	};
	let kv: Vec<_> = (0..heads.kv_heads)
		.map(|kv| (part(heads.heads + kv), part(heads.heads + heads.kv_heads + kv)))
		.collect();
	let row = |position: usize| {
		let head = |head: usize| {
			let (keys, values) = &kv[head / (heads.heads / heads.kv_heads)];
			let q = &rows[position][head * d..(head + 1) * d];
			definition::attention(q, keys, values, seen(mask, position, rows.len()), heads.scale())
		};
		(0..heads.heads).flat_map(head).map(f32::to_bits).collect()
	};
	(0..rows.len()).map(row).collect()
}

/// A pool of pages full of NaN, handed out in an order that depends on the seed.
fn pool(heads: Heads, pages: usize, seed: u64) -> (Pool, Vec<PageId>) {
	let nan = |elements| assay_numerics::Result::Ok(vec![f16::NAN.to_bits(); elements]);
	let mut pool = Pool::with_storage(heads.page(2), pages, nan).unwrap();
	let mut order: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
	let keys = noise(seed, pages);
	order.sort_by(|a, b| keys[a.index()].total_cmp(&keys[b.index()]));
	(pool, order)
}

/// One batch: rows `range` of each sequence.
fn step(
	pool: &mut Pool,
	tables: &[Vec<PageId>],
	sequences: &[Vec<f32>],
	batch: &[(usize, Range<usize>)],
	heads: Heads,
	mask: Mask,
	isa: Isa,
) -> Vec<Vec<u32>> {
	let width = heads.width();
	let (mut x, mut segments) = (Vec::new(), Vec::new());
	for (sequence, rows) in batch {
		let first = x.len() / width;
		x.extend_from_slice(&sequences[*sequence][rows.start * width..rows.end * width]);
		segments.push(Segment {
			rows: first..first + rows.len(),
			start: rows.start,
			pages: &tables[*sequence],
		});
	}
	let op = Attention {
		layer: 1,
		segments: &segments,
		heads: heads.heads,
		scale: heads.scale(),
		mask,
		isa,
	};
	let row = heads.heads * heads.head_dim;
	let mut out = vec![f32::NAN; x.len() / width * row];
	op.apply(pool, &x, width, &mut out).unwrap();
	out.chunks(row).map(bits).collect()
}

/// Runs sequences in batches of pieces at random lengths and compares each row with the definition.
fn check(heads: Heads, mask: Mask, lengths: &[usize], seed: u64) -> Result<(), TestCaseError> {
	let width = heads.width();
	let sequences: Vec<Vec<f32>> = (lengths.iter().enumerate())
		.map(|(i, len)| {
			noise(seed ^ (i as u64) << 8, len * width)
				.iter()
				.map(|v| v * 4.0)
				.collect()
		})
		.collect();
	let truths: Vec<_> = sequences.iter().map(|x| truth(heads, mask, x)).collect();
	let pages: usize = lengths.iter().map(|len| len.div_ceil(PAGE)).sum();
	for (round, isa) in Isa::available().enumerate() {
		for threads in [1, 2] {
			let (mut pool, mut order) = pool(heads, pages + 1, seed ^ (round * 2 + threads) as u64);
			let tables: Vec<Vec<_>> = (lengths.iter())
				.map(|len| order.split_off(order.len() - len.div_ceil(PAGE)))
				.collect();
			let threads = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
			let mut cuts = noise(seed ^ 0xC07 ^ round as u64, 4096).into_iter();
			let mut done = vec![0; lengths.len()];
			while done != lengths {
				let mut batch = Vec::new();
				for (sequence, len) in lengths.iter().enumerate() {
					let left = len - done[sequence];
					// One row, all that are left, or something between; sometimes a sequence waits.
					let cut = cuts.next().unwrap();
					let take = match (mask, cut) {
						(Mask::Full, _) => left,
						_ if cut < -0.7 => 0,
						_ if cut < -0.3 => left.min(1),
						_ if cut > 0.8 => left,
						_ => left.min(1 + (left as f32 * cut.abs()) as usize),
					};
					if take > 0 {
						batch.push((sequence, done[sequence]..done[sequence] + take));
						done[sequence] += take;
					}
				}
				let found = threads.install(|| step(&mut pool, &tables, &sequences, &batch, heads, mask, isa));
				let expected: Vec<_> = (batch.iter())
					.flat_map(|(sequence, rows)| &truths[*sequence][rows.clone()])
					.cloned()
					.collect();
				prop_assert!(found == expected, "{isa}: {batch:?}");
			}
		}
	}
	Ok(())
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(12))]

	#[test]
	fn any_batch_on_any_pages_gives_the_bits_of_the_definition(
		seed in any::<u64>(), kv_heads in 1usize..4, group in 1usize..10, head_dim in prop::sample::select(vec![4usize, 16, 24, 32, 64, 80, 128]),
		window in prop::option::of(1usize..90), lengths in prop::collection::vec(1usize..70, 1..5),
	) {
		let heads = Heads { heads: kv_heads * group, kv_heads, head_dim };
		check(heads, Mask::Causal { window }, &lengths, seed)?;
	}

	#[test]
	fn an_encoder_sees_all_of_its_text(
		seed in any::<u64>(), heads in 1usize..4, head_dim in prop::sample::select(vec![8usize, 32, 48]), lengths in prop::collection::vec(1usize..70, 1..4),
	) {
		check(Heads { heads, kv_heads: heads, head_dim }, Mask::Full, &lengths, seed)?;
	}
}

/// Beyond two tiles of 256 keys, with windows whose borders lie in other tiles and pages than the row.
#[test]
fn long_sequences_cross_tiles() {
	let heads = Heads {
		heads: 6,
		kv_heads: 2,
		head_dim: 32,
	};
	for window in [None, Some(1), Some(31), Some(256), Some(257), Some(300)] {
		check(heads, Mask::Causal { window }, &[530, 3, 257], 11).unwrap();
	}
	check(heads, Mask::Full, &[513, 256], 12).unwrap();
}

#[test]
fn segments_that_do_not_fit_are_errors() {
	let heads = Heads {
		heads: 2,
		kv_heads: 1,
		head_dim: 8,
	};
	let (mut pool, pages) = pool(heads, 1, 3);
	let (x, width) = (vec![0.0; 2 * heads.width()], heads.width());
	let mut run = |rows: Range<usize>, start: usize, layer: usize, heads: usize, pages: &[PageId]| {
		let segments = [Segment { rows, start, pages }];
		let op = Attention {
			layer,
			segments: &segments,
			heads,
			scale: 1.0,
			mask: Mask::Causal { window: None },
			isa: Isa::detect(),
		};
		op.apply(&mut pool, &x, width, &mut vec![0.0; 2 * heads * 8]).is_ok()
	};
	assert!(run(0..2, 0, 0, 2, &pages));
	assert!(run(0..2, 30, 1, 2, &pages));
	assert!(!run(0..2, 31, 0, 2, &pages));
	assert!(!run(0..2, usize::MAX, 0, 2, &pages));
	assert!(!run(0..1, 0, 0, 2, &pages));
	assert!(!run(1..2, 0, 0, 2, &pages));
	assert!(!run(0..2, 0, 2, 2, &pages));
	assert!(!run(0..2, 0, 0, 3, &pages));
	let mut other = Pool::new(heads.page(1), 9).unwrap();
	let foreign: Vec<_> = std::iter::from_fn(|| other.alloc()).collect();
	assert!(!run(0..2, 0, 0, 2, &foreign[8..]));
}
