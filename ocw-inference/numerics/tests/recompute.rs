//! Operations recomputed for one element, row or cell, against the fast ones, on random operands. Builds with and without
//! features; without them the fast ones are the portable ones.

// Helpers of tests too may say what they mean: a panic here is a failure with a name.
#![allow(clippy::unwrap_used)]

use assay_numerics::{
	activation::SiluMul,
	attention::{Attention, Mask},
	format::{Group, MatrixFormat},
	kv::{PageId, PageShape, Pool, Segment, PAGE},
	linear::Linear,
	norm::HeadNorm,
	packed::{Gather, PackedMatrix},
	recompute::{
		attention_head, choose, embedding_row, gate, linear_element, outranks, rms_norm, rotate, Cell, LayerMatrix,
		LayerShape, LayerVector, LayerWeights, WeightRow,
	},
	rope::{Rope, RopeScaling, Tables},
	sampler::Sampler,
	trace::{kv_leaf, residual_leaf, CHUNK},
	Isa, Result,
};
use half::f16;
use proptest::prelude::*;

/// Numbers of a seed.
struct Noise(blake3::OutputReader);

impl Noise {
	fn new(seed: u64) -> Self {
		Self(blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof())
	}

	fn bytes(&mut self, count: usize) -> Vec<u8> {
		let mut bytes = vec![0; count];
		self.0.fill(&mut bytes);
		bytes
	}

	/// Floats in [−1, 1), some blocks of them much smaller or zero.
	fn floats(&mut self, count: usize) -> Vec<f32> {
		let unit = |b: &[u8; 4]| (u32::from_le_bytes(*b) >> 8) as f32 / (1u32 << 23) as f32 - 1.0;
		let mut floats: Vec<f32> = self.bytes(4 * count).as_chunks().0.iter().map(unit).collect();
		for (i, block) in floats.chunks_mut(32).enumerate() {
			let factor = [1.0, 4.0, 0.01, 1.0, 0.0][(i + count) % 5];
			block.iter_mut().for_each(|v| *v *= factor);
		}
		floats
	}

	fn halves(&mut self, count: usize) -> Vec<u16> {
		self.floats(count).iter().map(|v| f16::from_f32(*v).to_bits()).collect()
	}
}

fn formats() -> impl Strategy<Value = MatrixFormat> {
	prop_oneof![
		prop::sample::select(vec![Group::G32, Group::G128]).prop_map(|group| MatrixFormat::W8 { group }),
		any::<[i8; 16]>().prop_map(|table| MatrixFormat::W4 { table }),
		prop::sample::select(Group::ALL.to_vec()).prop_map(|group| MatrixFormat::W4z { group }),
	]
}

/// A matrix in the form of a file.
struct File {
	format: MatrixFormat,
	width: usize,
	weights: Vec<u8>,
	scales: Vec<u8>,
	zeros: Vec<u8>,
}

impl File {
	fn new(noise: &mut Noise, rows: usize, width: usize, format: MatrixFormat) -> Self {
		let scales = noise.floats(rows * format.groups(width));
		let mut zeros = noise.bytes(rows * format.zero_bytes(width));
		if format.groups(width) % 2 == 1 {
			let row = format.zero_bytes(width).max(1);
			zeros.chunks_mut(row).for_each(|row| *row.last_mut().unwrap() &= 15);
		}
		Self {
			format,
			width,
			weights: noise.bytes(rows * format.weight_bytes(width)),
			scales: scales
				.iter()
				.flat_map(|s| f16::from_f32(s / 100.0).to_le_bytes())
				.collect(),
			zeros,
		}
	}

	fn row(&self, row: usize) -> WeightRow<'_> {
		let cut = |bytes: usize| row * bytes..(row + 1) * bytes;
		WeightRow {
			weights: &self.weights[cut(self.format.weight_bytes(self.width))],
			scales: &self.scales[cut(self.format.scale_bytes(self.width))],
			zeros: &self.zeros[cut(self.format.zero_bytes(self.width))],
		}
	}

	fn packed(&self, rows: usize) -> PackedMatrix {
		let mut matrix = PackedMatrix::zeros(rows, self.width, self.format).unwrap();
		matrix.put_weights(0, &self.weights).unwrap();
		matrix.put_scales(0, &self.scales).unwrap();
		if !self.zeros.is_empty() {
			matrix.put_zeros(0, &self.zeros).unwrap();
		}
		matrix
	}
}

/// Pages for so many positions, of which the first have these keys and values.
fn pages(shape: PageShape, rows: &[u16], positions: usize) -> (Pool, Vec<PageId>) {
	let mut pool = Pool::new(shape, positions.div_ceil(PAGE)).unwrap();
	// In an order of no meaning.
	let mut pages: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
	pages.reverse();
	for (page, rows) in pages.iter().zip(rows.chunks(PAGE * shape.row())) {
		shape.put_rows(rows, pool.page_mut(*page, 0).unwrap()).unwrap();
	}
	(pool, pages)
}

fn bits(values: &[f32]) -> Vec<u32> {
	values.iter().map(|v| v.to_bits()).collect()
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(40))]

	#[test]
	fn an_element_of_a_product_is_that_of_the_whole_product(
		seed: u64, format in formats(), blocks in 1usize..9, rows in 1usize..40, biased: bool,
	) {
		let (mut noise, width) = (Noise::new(seed), 32 * blocks);
		let file = File::new(&mut noise, rows, width, format);
		let (x, bias) = (noise.floats(width), noise.floats(rows));
		let weight = file.packed(rows);
		let bias = biased.then_some(&bias[..]);
		let mut y = vec![0.0; rows];
		Linear { weight: &weight, bias, isa: Isa::detect() }.apply(&x, &mut y).unwrap();
		let table = Gather { ids: &[rows as u32 - 1, 0], weight: &weight }.rows().unwrap();
		for (row, y) in y.iter().enumerate() {
			let one = linear_element(&x, format, &file.row(row), bias.map(|bias| bias[row])).unwrap();
			prop_assert_eq!(one.to_bits(), y.to_bits());
		}
		prop_assert_eq!(bits(&embedding_row(width, format, &file.row(0)).unwrap()), bits(&table[width..]));
		prop_assert_eq!(bits(&embedding_row(width, format, &file.row(rows - 1)).unwrap()), bits(&table[..width]));
		// A row with a byte more or less is none.
		let mut short = file.row(0);
		short.weights = &short.weights[1..];
		prop_assert!(linear_element(&x, format, &short, None).is_err());
		let mut bare = file.row(0);
		bare.scales = &[];
		prop_assert!(embedding_row(width, format, &bare).is_err());
	}

	#[test]
	fn a_norm_a_rotation_and_a_gate_are_those_of_whole_rows(seed: u64, half in 1usize..40, heads in 1usize..4) {
		let (mut noise, head_dim) = (Noise::new(seed), 2 * half);
		let width = (heads + 2) * head_dim;
		let (x, w) = (noise.floats(width), noise.floats(head_dim));
		let mut whole = x.clone();
		let isa = Isa::detect();
		HeadNorm { q: &w, k: &w, heads, kv_heads: 1, epsilon: 1e-5, isa }.apply(&mut whole, width).unwrap();
		for (head, normed) in x.chunks(head_dim).zip(whole.chunks(head_dim)).take(heads + 1) {
			prop_assert_eq!(bits(&rms_norm(head, &w, 1e-5).unwrap()), bits(normed));
		}
		let scaling = RopeScaling::None;
		let tables = Tables::new(10_000.0, &scaling, head_dim, 50);
		let one = Tables::of(10_000.0, &scaling, head_dim, 49..50);
		prop_assert_eq!((&one.cos[..], &one.sin[..]), (&tables.cos[49 * half..], &tables.sin[49 * half..]));
		let (cos, sin) = (&tables.cos, &tables.sin);
		Rope { cos, sin, positions: &[49], heads: 1, head_dim, isa }.apply(&mut whole, width).unwrap();
		let normed = rms_norm(&x[..head_dim], &w, 1e-5).unwrap();
		for i in 0..half {
			let pair = rotate([normed[i], normed[i + half]], one.cos[i], one.sin[i]).unwrap();
			prop_assert_eq!(bits(&pair), bits(&[whole[i], whole[i + half]]));
		}
		let mut gated = vec![0.0; width / 2];
		SiluMul { isa }.apply(&x, width, &mut gated).unwrap();
		for (i, y) in gated.iter().enumerate() {
			prop_assert_eq!(gate(x[i], x[i + width / 2]).unwrap().to_bits(), y.to_bits());
		}
	}

	#[test]
	fn a_head_of_attention_is_that_of_all_heads_over_pages(
		seed: u64, positions in prop_oneof![1usize..70, 250usize..600], kv_heads in 1usize..3, group in 1usize..3, half in 1usize..20,
		window in prop::option::of(1usize..300),
	) {
		let (mut noise, head_dim) = (Noise::new(seed), 2 * half);
		let (heads, shape) = (kv_heads * group, PageShape { layers: 1, kv_heads, head_dim });
		let kv = noise.halves(positions * shape.row());
		let q = noise.floats(heads * head_dim);
		let (mask, scale) = (Mask::Causal { window }, LayerShape::scale_of(head_dim as u32));
		let (before, own) = kv.split_at((positions - 1) * shape.row());
		let (mut pool, pages) = pages(shape, before, positions);
		let own = own.iter().map(|half| f16::from_bits(*half).to_f32());
		let x: Vec<f32> = q.iter().copied().chain(own).collect();
		let segments = [Segment { rows: 0..1, start: positions - 1, pages: &pages }];
		let attention = Attention { layer: 0, segments: &segments, heads, scale, mask, isa: Isa::detect() };
		let mut out = vec![0.0; heads * head_dim];
		attention.apply(&mut pool, &x, x.len(), &mut out).unwrap();
		for head in 0..heads {
			let of = |part: usize| -> Vec<u16> {
				let at = (part * kv_heads + head / group) * head_dim;
				kv.chunks(shape.row()).flat_map(|row| &row[at..at + head_dim]).copied().collect()
			};
			let cut = head * head_dim..(head + 1) * head_dim;
			let (mut keys, mut values) = (of(0), of(1));
			let one = attention_head(&q[cut.clone()], &keys, &values, scale, mask).unwrap();
			prop_assert_eq!(bits(&one), bits(&out[cut.clone()]));
			// What the window hides may be anything.
			let hidden = positions.saturating_sub(window.unwrap_or(positions)) * head_dim;
			keys[..hidden].fill(0x7E00);
			values[..hidden].fill(0x7C00);
			prop_assert_eq!(bits(&attention_head(&q[cut], &keys, &values, scale, mask).unwrap()), bits(&one));
		}
	}

	#[test]
	fn the_chosen_token_outranks_all_others(seed: u64, count in 1usize..300, temperature in 0u32..1 << 18, t: u32) {
		let logits = Noise::new(seed).floats(count);
		let sampler = Sampler::new(temperature, 0, 0, [seed as u8; 32]);
		let chosen = choose(&sampler, &logits, t, None).unwrap();
		let all: Vec<u32> = vec![u32::MAX; count.div_ceil(32)];
		prop_assert_eq!(choose(&sampler, &logits, t, Some(&all)), Some(chosen));
		let named = |id: u32| (id, logits[id as usize]);
		for other in (0..count as u32).filter(|other| *other != chosen) {
			prop_assert_eq!(outranks(&sampler, t, named(chosen), named(other)), Some(true));
			prop_assert_eq!(outranks(&sampler, t, named(other), named(chosen)), Some(false));
		}
		prop_assert_eq!(outranks(&sampler, t, named(chosen), (0, f32::NAN)), None);
	}
}

/// A layer of random weights, each matrix in another format.
struct Layer {
	matrices: Vec<(LayerMatrix, File, Vec<f32>)>,
	vectors: Vec<(LayerVector, Vec<f32>)>,
}

impl Layer {
	fn new(noise: &mut Noise, shape: LayerShape, more: bool) -> Self {
		let w8 = |group| MatrixFormat::W8 { group };
		let w4z = |group| MatrixFormat::W4z { group };
		let w4 = MatrixFormat::W4 {
			table: std::array::from_fn(|i| i as i8 * 8 - 70),
		};
		let matrices = [
			(LayerMatrix::Query, shape.queries(), shape.hidden, w8(Group::G32)),
			(LayerMatrix::Key, shape.keys(), shape.hidden, w4z(Group::G64)),
			(LayerMatrix::Value, shape.keys(), shape.hidden, w4),
			(LayerMatrix::Output, shape.hidden, shape.queries(), w8(Group::G128)),
			(LayerMatrix::Gate, shape.intermediate, shape.hidden, w4z(Group::G32)),
			(LayerMatrix::Up, shape.intermediate, shape.hidden, w4z(Group::G128)),
			(LayerMatrix::Down, shape.hidden, shape.intermediate, w4),
		];
		let matrices = matrices.into_iter().map(|(matrix, rows, width, format)| {
			let file = File::new(noise, rows, width, format);
			let bias = if more { noise.floats(rows) } else { Vec::new() };
			(matrix, file, bias)
		});
		let matrices = matrices.collect();
		let mut vectors = vec![
			(LayerVector::AttentionNorm, noise.floats(shape.hidden)),
			(LayerVector::MlpNorm, noise.floats(shape.hidden)),
		];
		if more {
			vectors.push((LayerVector::QueryNorm, noise.floats(shape.head_dim)));
			vectors.push((LayerVector::KeyNorm, noise.floats(shape.head_dim)));
		}
		Self { matrices, vectors }
	}

	fn matrix(&self, matrix: LayerMatrix) -> &(LayerMatrix, File, Vec<f32>) {
		self.matrices.iter().find(|(name, ..)| *name == matrix).unwrap()
	}

	/// The whole product of a row, element by element.
	fn product(&self, matrix: LayerMatrix, outputs: usize, x: &[f32]) -> Vec<f32> {
		let (_, file, bias) = self.matrix(matrix);
		let element = |row| linear_element(x, file.format, &file.row(row), bias.get(row).copied()).unwrap();
		(0..outputs).map(element).collect()
	}
}

impl LayerWeights for Layer {
	fn format(&self, matrix: LayerMatrix) -> MatrixFormat {
		self.matrix(matrix).1.format
	}

	fn row(&self, matrix: LayerMatrix, row: usize) -> Result<WeightRow<'_>> {
		Ok(self.matrix(matrix).1.row(row))
	}

	fn bias(&self, matrix: LayerMatrix) -> Option<&[f32]> {
		Some(&self.matrix(matrix).2[..]).filter(|bias| !bias.is_empty())
	}

	fn vector(&self, vector: LayerVector) -> Option<&[f32]> {
		self.vectors
			.iter()
			.find(|(name, _)| *name == vector)
			.map(|(_, w)| &w[..])
	}
}

/// §3.1 of one row, operation by operation; `kv` has the rows before it, and gets its own.
fn row_by_row(cell: &Cell<'_>, layer: &Layer, x: &[f32], position: usize, kv: &mut Vec<u16>) -> Vec<f32> {
	let (shape, half) = (cell.shape, cell.shape.head_dim / 2);
	let h = rms_norm(x, layer.vector(LayerVector::AttentionNorm).unwrap(), shape.epsilon).unwrap();
	let angles = Tables::of(cell.theta, cell.scaling, shape.head_dim, position..position + 1);
	let rotated = |x: &[f32], norm: Option<&[f32]>| -> Vec<f32> {
		let mut rotated = Vec::new();
		for head in x.chunks(shape.head_dim) {
			let head = norm.map_or(head.to_vec(), |w| rms_norm(head, w, shape.epsilon).unwrap());
			let pair = |i: usize| rotate([head[i], head[i + half]], angles.cos[i], angles.sin[i]).unwrap();
			rotated.extend((0..half).map(|i| pair(i)[0]));
			rotated.extend((0..half).map(|i| pair(i)[1]));
		}
		rotated
	};
	let q = layer.product(LayerMatrix::Query, shape.queries(), &h);
	let k = layer.product(LayerMatrix::Key, shape.keys(), &h);
	let v = layer.product(LayerMatrix::Value, shape.keys(), &h);
	let q = rotated(&q, layer.vector(LayerVector::QueryNorm));
	let k = rotated(&k, layer.vector(LayerVector::KeyNorm));
	kv.extend(k.iter().chain(&v).map(|v| f16::from_f32(*v).to_bits()));
	let mut attended = Vec::new();
	for (head, q) in q.chunks(shape.head_dim).enumerate() {
		let at = head / (shape.heads / shape.kv_heads) * shape.head_dim;
		let of = |at: usize| -> Vec<u16> {
			kv.chunks(2 * shape.keys())
				.flat_map(|row| &row[at..at + shape.head_dim])
				.copied()
				.collect()
		};
		let mask = Mask::Causal { window: shape.window };
		attended.extend(attention_head(q, &of(at), &of(at + shape.keys()), shape.scale, mask).unwrap());
	}
	let o = layer.product(LayerMatrix::Output, shape.hidden, &attended);
	let x: Vec<f32> = x.iter().zip(o).map(|(x, o)| x + o).collect();
	let h = rms_norm(&x, layer.vector(LayerVector::MlpNorm).unwrap(), shape.epsilon).unwrap();
	let g = layer.product(LayerMatrix::Gate, shape.intermediate, &h);
	let u = layer.product(LayerMatrix::Up, shape.intermediate, &h);
	let y: Vec<f32> = g.iter().zip(u).map(|(g, u)| gate(*g, u).unwrap()).collect();
	let d = layer.product(LayerMatrix::Down, shape.hidden, &y);
	x.iter().zip(d).map(|(x, d)| x + d).collect()
}

#[test]
fn a_cell_is_its_rows_computed_operation_by_operation() {
	for (seed, chunk, rows, more, window) in [
		(1, 0, 32, false, None),
		(2, 1, 5, true, None),
		(3, 2, 3, false, Some(40)),
	] {
		let mut noise = Noise::new(seed);
		let shape = LayerShape {
			hidden: 96,
			intermediate: 160,
			heads: 4,
			kv_heads: 2,
			head_dim: 24,
			window,
			epsilon: 1e-5,
			scale: LayerShape::scale_of(24),
		};
		// Its width is a multiple of 32 for `o_proj`.
		assert!(shape.queries().is_multiple_of(32));
		let layer = Layer::new(&mut noise, shape, more);
		let (x, kv) = (
			noise.floats(rows * shape.hidden),
			noise.halves(chunk * CHUNK * 2 * shape.keys()),
		);
		let cell = Cell {
			shape,
			theta: 10_000.0,
			scaling: &RopeScaling::None,
			chunk,
			x: &x,
			kv: &kv,
		};
		let found = cell.compute(&layer).unwrap();
		let (mut all, mut out) = (kv.clone(), Vec::new());
		for (i, x) in x.chunks(shape.hidden).enumerate() {
			out.extend(row_by_row(&cell, &layer, x, chunk * CHUNK + i, &mut all));
		}
		assert_eq!(bits(&found.x), bits(&out), "seed {seed}");
		assert_eq!(found.kv, all[kv.len()..], "seed {seed}");
		assert_eq!(
			(found.leaf(), found.kv_leaf()),
			(residual_leaf(&out), kv_leaf(&found.kv))
		);
		assert_eq!(found.failing, None);
		// A row that fails is named, and operands that do not fit are refused.
		let mut broken = x.clone();
		broken[2 * shape.hidden + 1] = f32::NAN;
		assert_eq!(Cell { x: &broken, ..cell }.compute(&layer).unwrap().failing, Some(2));
		let wrong = [
			Cell { x: &x[1..], ..cell },
			Cell { x: &[], ..cell },
			Cell {
				chunk: chunk + 1,
				..cell
			},
		];
		assert!(wrong.iter().all(|cell| cell.compute(&layer).is_err()), "seed {seed}");
	}
}
