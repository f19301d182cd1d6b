//! Each kernel by itself, on fresh random numbers; its result is NaN, and its memory full of what others left, before
//! it runs.

use crate::{
	definition::{self, bits, formats, noise, uneven, Matrix},
	devices,
};
use assay_engine::{
	gpu::operations::Operations,
	kv::{KvPool, KvStorage},
};
use assay_model_folder::config::{DecoderConfig, ModelConfig};
use assay_numerics::{
	attention::{Attention, Mask},
	flag_non_finite,
	format::MatrixFormat,
	kv::{PageId, PageShape, Pool, Segment, PAGE},
	linear::Linear,
	norm::HeadNorm,
	packed::Gather,
	rope::{Rope, RopeScaling, Tables},
	Isa,
};
use proptest::prelude::*;
use std::ops::Range;

const POSITIONS: usize = 640;

/// A decoder's numbers with these heads, whether or not a model may have them.
pub(crate) fn numbers(heads: usize, kv_heads: usize, head_dim: usize, window: Option<usize>) -> DecoderConfig {
	let config = crate::common::config(crate::common::Tiny::default()).to_string();
	let config = ModelConfig::parse(config.as_bytes()).unwrap();
	DecoderConfig {
		num_attention_heads: heads as u32,
		num_key_value_heads: kv_heads as u32,
		head_dim: head_dim as u32,
		sliding_window: window.map(|window| window as u32),
		..config.hyperparameters.decoder().unwrap().clone()
	}
}

pub(crate) fn tables(head_dim: usize) -> Tables {
	Tables::new(10_000.0, &RopeScaling::None, head_dim, POSITIONS)
}

/// On every device.
fn on_each(heads: usize, kv_heads: usize, head_dim: usize, window: Option<usize>) -> Vec<Operations> {
	let make = |gpu| Operations::new(gpu, numbers(heads, kv_heads, head_dim, window), &tables(head_dim)).unwrap();
	devices().into_iter().map(make).collect()
}

/// The flags that the CPU sets.
fn flags(x: &[f32], width: usize, f16: Range<usize>) -> Vec<bool> {
	let mut bad = vec![false; x.len() / width];
	flag_non_finite(x, f16, &mut bad).unwrap();
	bad
}

/// The numerics' reference, with which each part of a matrix writes its columns.
fn portable(x: &[f32], parts: &[Matrix], bias: Option<&[f32]>) -> Vec<f32> {
	let (k, width) = (parts[0].k, parts.iter().map(|part| part.n).sum());
	let (mut out, mut first) = (vec![f32::NAN; x.len() / k * width], 0);
	for part in parts {
		let op = Linear {
			weight: &part.pack(),
			bias: bias.map(|bias| &bias[first..first + part.n]),
			isa: Isa::Portable,
		};
		op.apply_at(x, &mut out, width, first).unwrap();
		first += part.n;
	}
	out
}

/// Every format with every kernel, and groups that are whole, short, and the only one.
#[test]
fn products_of_each_format_are_those_of_the_definition() {
	let devices = on_each(2, 1, 32, None);
	for (which, format) in formats(3).into_iter().enumerate() {
		for (rows, blocks) in [(1, 5), (2, 1), (3, 8), (8, 23), (9, 3), (40, 6), (65, 7), (130, 4)] {
			let k = blocks * 32;
			let w = Matrix::random(rows as u64 ^ 9, 37, k, format);
			let x = uneven(which as u64, rows, k, 0);
			let truth = bits(&definition::linear(&x, &w, None));
			assert_eq!(truth, bits(&portable(&x, std::slice::from_ref(&w), None)));
			let device = &devices[(which + blocks) % devices.len()];
			let matrix = device.matrix(w.pack(), None).unwrap();
			assert_eq!(
				bits(&device.linear(&x, &matrix, k).unwrap()),
				truth,
				"{rows} rows, {blocks} blocks in {format}"
			);
		}
	}
}

/// Sums as large as there are: every product is ±128 · 127.
#[test]
fn the_largest_sums_are_exact() {
	let table = [-128, 127, -127, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -128];
	let [w8, w8_long, _, w4z, w4z_middle, w4z_long] = formats(1);
	let devices = on_each(2, 1, 32, None);
	for (format, byte) in [
		(w8, 0x80),
		(w8_long, 0x80),
		(MatrixFormat::W4 { table }, 0xf0),
		(w4z, 0xff),
		(w4z_middle, 0),
		(w4z_long, 0),
	] {
		let k = 5 * 32;
		let mut w = Matrix::random(2, 33, k, format);
		w.weights.fill(byte);
		for rows in [1, 4, 33, 65] {
			let x: Vec<f32> = (0..rows * k).map(|i| if i / k % 2 == 0 { 1.0 } else { -1.0 }).collect();
			let truth = bits(&portable(&x, std::slice::from_ref(&w), None));
			for device in &devices[..2] {
				let matrix = device.matrix(w.pack(), None).unwrap();
				assert_eq!(
					bits(&device.linear(&x, &matrix, k).unwrap()),
					truth,
					"{rows} rows in {format}"
				);
			}
		}
	}
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(crate::cases(8)))]

	#[test]
	fn products_are_those_of_the_portable_kernel_for_any_number_of_rows(
		seed in any::<u64>(), rows in prop_oneof![3 => 1usize..=40, 1 => 64usize..67], blocks in 1usize..20, n in 1usize..100,
		which in 0usize..6, magnitude in -120i32..100, biased in any::<bool>(),
	) {
		let k = blocks * 32;
		let x = uneven(seed, rows, k, magnitude);
		let w = Matrix::random(seed, n, k, formats(seed)[which]);
		let bias = biased.then(|| noise(seed ^ 7, n));
		let truth = portable(&x, std::slice::from_ref(&w), bias.as_deref());
		for device in on_each(2, 1, 32, None) {
			let matrix = device.matrix(w.pack(), bias.clone()).unwrap();
			prop_assert_eq!(bits(&device.linear(&x, &matrix, k).unwrap()), bits(&truth), "{}", w.format);
		}
	}

	#[test]
	fn parts_of_different_formats_fill_the_columns_of_the_same_rows(
		seed in any::<u64>(), rows in prop_oneof![1usize..=40, 64usize..67], blocks in 1usize..9,
		parts in prop::collection::vec((1usize..70, 0usize..6), 2..5), biased in any::<bool>(),
	) {
		let k = blocks * 32;
		let x = uneven(seed, rows, k, 0);
		let make = |(i, (n, which)): (u64, (usize, usize))| Matrix::random(seed ^ i, n, k, formats(seed ^ i)[which]);
		let parts: Vec<Matrix> = (0..).zip(parts).map(make).collect();
		let bias = biased.then(|| noise(seed ^ 7, parts.iter().map(|part| part.n).sum()));
		let truth = portable(&x, &parts, bias.as_deref());
		for device in on_each(2, 1, 32, None) {
			let packed: Vec<_> = parts.iter().map(Matrix::pack).collect();
			let matrix = device.parts(packed, bias.clone()).unwrap();
			prop_assert_eq!(bits(&device.linear(&x, &matrix, k).unwrap()), bits(&truth));
			// Rows of an embedding belong to one matrix.
			prop_assert!(device.embed(&[0], &matrix).is_err());
		}
	}

	#[test]
	fn rows_of_an_embedding_are_the_cpu_s(seed in any::<u64>(), blocks in 1usize..9, n in 1usize..100, which in 0usize..6) {
		let w = Matrix::random(seed, n, blocks * 32, formats(seed)[which]);
		let ids: Vec<u32> = noise(seed, 40).iter().map(|v| ((v + 1.0) / 2.0 * n as f32) as u32).collect();
		let truth = Gather { ids: &ids, weight: &w.pack() }.rows().unwrap();
		for device in on_each(2, 1, 32, None) {
			let table = device.matrix(w.pack(), None).unwrap();
			prop_assert_eq!(bits(&device.embed(&ids, &table).unwrap()), bits(&truth), "{}", w.format);
			prop_assert!(device.embed(&[n as u32], &table).is_err());
		}
	}
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(crate::cases(6)))]

	#[test]
	fn row_by_row_operations_are_those_of_the_definition(
		seed in any::<u64>(), rows in prop::sample::select(vec![1usize, 2, 33]), width in 1usize..600, magnitude in -60i32..120,
	) {
		let x: Vec<f32> = noise(seed, rows * 2 * width).iter().map(|v| v * 2f32.powi(magnitude)).collect();
		let (w, y) = (noise(seed ^ 1, 2 * width), noise(seed ^ 2, rows * 2 * width));
		let normed: Vec<f32> = x.chunks(2 * width).flat_map(|x| definition::rms_norm(x, &w, 1e-5)).collect();
		let gated: Vec<f32> = x.chunks(2 * width).flat_map(|x| (0..width).map(|i| definition::gate(x[i], x[width + i])).collect::<Vec<_>>()).collect();
		let sums: Vec<f32> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
		for device in on_each(2, 1, 32, None) {
			for (found, truth, width) in [
				(device.norm(&x, &w).unwrap(), &normed, 2 * width),
				(device.gate(&x, 2 * width).unwrap(), &gated, width),
				(device.add(&x, &y, 2 * width).unwrap(), &sums, 2 * width),
			] {
				let bad = flags(truth, width, 0..0);
				prop_assert_eq!(&found.1, &bad);
				for ((found, truth), bad) in found.0.chunks(width).zip(truth.chunks(width)).zip(bad) {
					prop_assert!(bad || bits(found) == bits(truth));
				}
			}
		}
	}
}

/// Heads of a model and what its rows see.
#[derive(Clone, Copy, Debug)]
struct Shape {
	heads: usize,
	kv_heads: usize,
	head_dim: usize,
	window: Option<usize>,
	normed: bool,
}

/// The CPU's head norms, rotation and attention of one batch, and its flags.
fn truth(
	shape: Shape,
	x: &[f32],
	norms: Option<(&[f32], &[f32])>,
	segments: &[Segment<'_>],
	pool: &mut KvPool,
) -> (Vec<f32>, Vec<bool>) {
	let Shape {
		heads,
		kv_heads,
		head_dim,
		window,
		..
	} = shape;
	let (isa, width) = (Isa::detect(), (heads + 2 * kv_heads) * head_dim);
	let (mut x, mut bad) = (x.to_vec(), vec![false; x.len() / width]);
	if let Some((q, k)) = norms {
		let op = HeadNorm {
			q,
			k,
			heads,
			kv_heads,
			epsilon: 1e-5,
			isa,
		};
		op.apply(&mut x, width).unwrap();
	}
	let tables = tables(head_dim);
	let positions: Vec<u32> = segments
		.iter()
		.flat_map(|s| s.start as u32..(s.start + s.rows.len()) as u32)
		.collect();
	let op = Rope {
		cos: &tables.cos,
		sin: &tables.sin,
		positions: &positions,
		heads: heads + kv_heads,
		head_dim,
		isa,
	};
	op.apply(&mut x, width).unwrap();
	flag_non_finite(&x, heads * head_dim..width, &mut bad).unwrap();
	let op = Attention {
		layer: 1,
		segments,
		heads,
		scale: (1.0 / (head_dim as f64).sqrt()) as f32,
		mask: Mask::Causal { window },
		isa,
	};
	let mut out = vec![f32::NAN; bad.len() * heads * head_dim];
	op.apply(pool, &x, width, &mut out).unwrap();
	flag_non_finite(&out, 0..0, &mut bad).unwrap();
	(out, bad)
}

/// Runs sequences in batches of pieces, on the CPU and on each device, each with pages in an order of its own.
fn attend(shape: Shape, lengths: &[usize], seed: u64) -> Result<(), TestCaseError> {
	let Shape {
		heads,
		kv_heads,
		head_dim,
		window,
		normed,
	} = shape;
	let width = (heads + 2 * kv_heads) * head_dim;
	let pages: usize = lengths.iter().map(|len| len.div_ceil(PAGE)).sum();
	let all: Vec<Vec<f32>> = (0..)
		.zip(lengths)
		.map(|(i, len)| noise(seed ^ i << 8, len * width).iter().map(|v| v * 4.0).collect())
		.collect();
	let page = PageShape {
		layers: 2,
		kv_heads,
		head_dim,
	};
	let (q, k) = (noise(seed ^ 5, head_dim), noise(seed ^ 6, head_dim));
	let norms = normed.then_some((&q[..], &k[..]));
	let shuffled = |pool: &mut KvPool, seed: u64| {
		let mut order: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
		let keys = noise(seed, order.len());
		order.sort_by(|a, b| keys[a.index()].total_cmp(&keys[b.index()]));
		let mut table = |len: &usize| order.split_off(order.len() - len.div_ceil(PAGE));
		lengths.iter().map(&mut table).collect::<Vec<Vec<PageId>>>()
	};
	for (device, order) in on_each(heads, kv_heads, head_dim, window).iter().zip(seed..) {
		let mut pools = [
			Pool::new(page, pages + 2).unwrap().map(KvStorage::Host),
			device.pool(2, pages + 2).unwrap(),
		];
		let tables = [shuffled(&mut pools[0], 1), shuffled(&mut pools[1], order)];
		let mut cuts = noise(seed ^ 0xC07, 4096).into_iter();
		let mut done = vec![0; lengths.len()];
		while done != lengths {
			let (mut x, mut parts) = (Vec::new(), Vec::new());
			for (sequence, len) in lengths.iter().enumerate() {
				let (left, cut) = (len - done[sequence], cuts.next().unwrap());
				let take = match cut {
					_ if cut < -0.6 => left.min(1),
					_ if cut > 0.5 => left,
					_ => left.min(1 + (left as f32 * cut.abs()) as usize),
				};
				if take > 0 {
					let start = done[sequence];
					x.extend(&all[sequence][start * width..(start + take) * width]);
					parts.push((sequence, start, take));
					done[sequence] += take;
				}
			}
			let segments = |tables: &[Vec<PageId>], run: &mut dyn FnMut(&[Segment<'_>])| {
				let mut row = 0;
				let segment = |(sequence, start, take): &(usize, usize, usize)| {
					row += take;
					(row - take..row, *start, *sequence)
				};
				let placed: Vec<_> = parts.iter().map(segment).collect();
				let segment = |(rows, start, sequence): &(Range<usize>, usize, usize)| Segment {
					rows: rows.clone(),
					start: *start,
					pages: &tables[*sequence],
				};
				run(&placed.iter().map(segment).collect::<Vec<_>>());
			};
			let [here, there] = &mut pools;
			let (mut expected, mut found) = Default::default();
			segments(&tables[0], &mut |segments| {
				expected = truth(shape, &x, norms, segments, here)
			});
			segments(&tables[1], &mut |segments| {
				found = device.attention(&x, 1, norms, segments, there).unwrap()
			});
			prop_assert_eq!(&found.1, &expected.1);
			prop_assert!(bits(&found.0) == bits(&expected.0), "{:?}: {:?}", shape, parts);
		}
	}
	Ok(())
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(crate::cases(5)))]

	#[test]
	fn attention_of_any_batch_on_any_pages_is_the_cpu_s(
		seed in any::<u64>(), kv_heads in 1usize..4, group in 1usize..19, head_dim in prop::sample::select(vec![4usize, 16, 24, 64, 80, 128]),
		window in prop::option::of(1usize..90), normed in any::<bool>(), lengths in prop::collection::vec(1usize..50, 1..4),
	) {
		attend(Shape { heads: kv_heads * group, kv_heads, head_dim, window, normed }, &lengths, seed)?;
	}
}

/// Beyond two tiles of 256 keys, with windows whose borders lie in other tiles and pages than the row.
#[test]
fn long_sequences_cross_tiles() {
	for window in [None, Some(31), Some(257), Some(300)] {
		let shape = Shape {
			heads: 6,
			kv_heads: 2,
			head_dim: 32,
			window,
			normed: false,
		};
		attend(shape, &[530, 3, 257], 11).unwrap();
	}
}

/// A head longer than a tile has keys, and rows with values that f16 doesn't hold.
#[test]
fn long_heads_and_rows_that_fail() {
	let shape = Shape {
		heads: 2,
		kv_heads: 1,
		head_dim: 288,
		window: None,
		normed: false,
	};
	attend(shape, &[40], 3).unwrap();
	for device in on_each(2, 1, 32, None) {
		let mut pool = device.pool(1, 1).unwrap();
		let pages = [pool.alloc().unwrap()];
		let mut x = vec![0.5; 4 * 128];
		x[128 + 3] = f32::NAN;
		x[2 * 128 + 70] = 70_000.0;
		x[3 * 128 + 100] = 65_519.0;
		let segments = [Segment {
			rows: 0..4,
			start: 0,
			pages: &pages,
		}];
		let (_, bad) = device.attention(&x, 0, None, &segments, &mut pool).unwrap();
		// The third row's key is infinite for the fourth too; what follows a failing row means nothing.
		assert_eq!(bad[..3], [false, true, true]);
	}
}
