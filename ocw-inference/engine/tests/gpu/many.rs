//! Rows in numbers that no other test has: on a GPU a million of single products and a million of whole models,
//! everywhere else as many as an emulation makes in a second. `ASSAY_GPU_ROWS` says another number.

use crate::{
	common,
	definition::{formats, Matrix},
	device, kernels, on_real_gpu,
};
use assay_engine::{
	gpu::operations::Operations,
	kv::KvPool,
	model::decoder::{Batch, Decoder},
	Model,
};
use assay_numerics::{
	format::MatrixFormat,
	kv::{PageId, Segment, PAGE},
	linear::Linear,
	Isa,
};
use serde_json::json;

fn wanted(emulated: usize) -> usize {
	let given = std::env::var("ASSAY_GPU_ROWS").ok();
	let given = given.map(|rows| rows.parse().expect("ASSAY_GPU_ROWS is a number"));
	given.unwrap_or(if on_real_gpu() { 1_000_000 } else { emulated })
}

/// SplitMix64: a hash would take longer than the GPU.
struct Random(u64);

impl Random {
	fn next(&mut self) -> u64 {
		self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
		let mut z = self.0;
		z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
		z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
		z ^ (z >> 31)
	}

	fn below(&mut self, end: usize) -> usize {
		(self.next() % end as u64) as usize
	}

	/// In [−1, 1).
	fn unit(&mut self) -> f32 {
		(self.next() >> 40) as f32 / (1u32 << 23) as f32 - 1.0
	}
}

fn same_bits(here: &[f32], there: &[f32]) -> bool {
	here.len() == there.len() && here.iter().zip(there).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Where scripts/gpu.sh reads how much was compared.
fn report(rows: usize, values: usize, what: &str) {
	println!("compared {rows} rows, {values} values: {what}");
}

#[test]
fn products_of_a_million_rows_are_the_cpu_s() {
	let (wanted, mut random) = (wanted(300), Random(11));
	let operations = Operations::new(
		device().unwrap(),
		kernels::numbers(2, 1, 32, None),
		&kernels::tables(32),
	)
	.unwrap();
	let (mut rows, mut values) = (0, 0);
	while rows < wanted {
		// Widths and heights of real models on a GPU; numbers of rows that take each of the kernels.
		let size = if on_real_gpu() { 64 } else { 4 };
		let (k, n) = (32 * (1 + random.below(size)), 1 + random.below(32 * size));
		let w = Matrix::random(random.next(), n, k, formats(random.next())[random.below(6)]);
		let bias: Option<Vec<f32>> = (random.below(2) == 0).then(|| (0..n).map(|_| random.unit()).collect());
		let (weight, matrix) = (w.pack(), operations.matrix(w.pack(), bias.clone()).unwrap());
		for most in [1, 2, 4, 8, 64, if on_real_gpu() { 4096 } else { 130 }] {
			let now = 1 + random.below(most);
			let x: Vec<f32> = (0..now * k).map(|_| random.unit() * 8.0).collect();
			let operation = Linear {
				weight: &weight,
				bias: bias.as_deref(),
				isa: Isa::detect(),
			};
			let mut here = vec![f32::NAN; now * n];
			operation.apply(&x, &mut here).unwrap();
			let there = operations.linear(&x, &matrix, k).unwrap();
			assert!(same_bits(&here, &there), "{now} rows of {k} by {n} in {}", w.format);
			rows += now;
			values += here.len();
		}
	}
	report(rows, values, "products");
}

/// Heads, heads of keys, a head's length, a row's length, layers.
type Shape = (usize, usize, usize, usize, usize);

/// A random model of this shape, its layers' matrices in this format, on the CPU and on the GPU.
fn models(shape: Shape, format: MatrixFormat) -> [Model; 2] {
	let (heads, kv_heads, head_dim, hidden, layers) = shape;
	let config = json!({
		"model_type": "llama", "hidden_act": "silu", "vocab_size": common::VOCABULARY, "hidden_size": hidden,
		"intermediate_size": hidden * 3 / 32 * 32, "num_hidden_layers": layers, "num_attention_heads": heads,
		"num_key_value_heads": kv_heads, "head_dim": head_dim, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
		"rope_theta": 10000.0, "tie_word_embeddings": false, "eos_token_id": common::EOS,
	});
	let random = |gpu| {
		let (config, tokenizer) = (config.to_string(), common::tokenizer_json());
		Model::random(
			config.as_bytes(),
			tokenizer.as_bytes(),
			common::TEMPLATE.as_bytes(),
			format,
			gpu,
		)
		.unwrap()
	};
	[random(None), random(device())]
}

/// Sequences that grow batch by batch, in the pages of one device.
struct Sequences {
	pool: KvPool,
	pages: Vec<Vec<PageId>>,
}

impl Sequences {
	fn new(decoder: &Decoder, count: usize, positions: usize) -> Self {
		let each = positions.div_ceil(PAGE);
		let mut pool = decoder.pool(count * each).unwrap();
		let pages = (0..count).map(|_| (0..each).map(|_| pool.alloc().unwrap()).collect());
		let pages = pages.collect();
		Self { pool, pages }
	}

	/// Every number that a batch leaves behind: all layers' rows, the last norm's, logits.
	fn feed(&mut self, decoder: &Decoder, tokens: &[u32], parts: &[(usize, usize, usize)]) -> Vec<f32> {
		let mut row = 0;
		let segment = |(sequence, start, count): &(usize, usize, usize)| {
			row += count;
			Segment {
				rows: row - count..row,
				start: *start,
				pages: &self.pages[*sequence],
			}
		};
		let segments: Vec<_> = parts.iter().map(segment).collect();
		let batch = Batch {
			tokens,
			segments: &segments,
		};
		let rows = decoder.forward(&batch, &mut self.pool).unwrap();
		assert!(!rows.non_finite.contains(&true));
		let logits = decoder.logits(&rows.norm).unwrap();
		let streams = rows.residual.iter().chain([&rows.norm, &logits]);
		streams
			.flat_map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap())
			.collect()
	}
}

#[test]
fn rows_of_whole_models_are_the_cpu_s_by_the_million() {
	let (wanted, mut random) = (wanted(900), Random(12));
	let shapes = if on_real_gpu() {
		&[(8, 2, 64, 512, 4), (4, 4, 128, 512, 3), (14, 2, 64, 896, 3)][..]
	} else {
		&[(4, 2, 32, 64, 2)][..]
	};
	let (most_rows, positions) = if on_real_gpu() { (768, 3000) } else { (40, 300) };
	let (mut rows, mut values) = (0, 0);
	let all_formats = formats(5);
	let cases: Vec<_> = shapes
		.iter()
		.flat_map(|shape| all_formats.map(|format| (*shape, format)))
		.collect();
	for (i, (shape, format)) in (1..).zip(&cases) {
		let models = models(*shape, *format);
		let [here, there] = models.each_ref().map(|model| model.decoder().unwrap());
		while rows < wanted * i / cases.len() {
			// Sequences of their own lengths: some read long prompts while others go token by token.
			let count = 1 + random.below(24);
			let mut all = [here, there].map(|decoder| Sequences::new(decoder, count, positions));
			let mut done = vec![0; count];
			for _ in 0..8 {
				let (mut tokens, mut parts) = (Vec::new(), Vec::new());
				for (sequence, done) in done.iter_mut().enumerate() {
					let most = if random.below(3) == 0 { most_rows / 2 } else { 2 };
					let take = random
						.below(most + 1)
						.min(positions - *done)
						.min(most_rows - tokens.len());
					if take > 0 {
						tokens.extend((0..take).map(|_| random.below(256) as u32));
						parts.push((sequence, *done, take));
						*done += take;
					}
				}
				if tokens.is_empty() {
					continue;
				}
				let [of_here, of_there] = &mut all;
				let truth = of_here.feed(here, &tokens, &parts);
				let found = of_there.feed(there, &tokens, &parts);
				assert!(same_bits(&truth, &found), "{parts:?} in {format}");
				rows += tokens.len() * (shape.4 + 2);
				values += truth.len();
			}
		}
	}
	report(rows, values, "whole models");
}
