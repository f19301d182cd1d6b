//! Speed of the operations: `cargo run --release -p assay-numerics --example speed [instruction set… | sampler]`.
//!
//! Each figure is the best of several rounds, because whatever else runs on the machine can only make one slower.
//! Weights are cycled through copies that no cache holds. A row of the table is one shape, instruction set and number
//! of threads.

use assay_numerics::{
	activation::SiluMul,
	attention::{Attention, Mask},
	kv::{PageShape, Pool, Segment, PAGE},
	linear::Linear,
	norm::RmsNorm,
	packed::PackedMatrix,
	sampler::Sampler,
	Isa,
};
use half::f16;
use rayon::{prelude::*, ThreadPool, ThreadPoolBuilder};
use std::{hint::black_box, time::Instant};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// More than any cache holds.
const BYTES: usize = 192 << 20;
const SHAPES: [(usize, usize); 5] = [(2048, 2048), (2560, 2048), (11264, 2048), (2048, 5632), (32000, 2048)];

fn main() -> Result<()> {
	if std::env::args().any(|a| a == "sampler") {
		sampler();
		return Ok(());
	}
	let named: Vec<Isa> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
	let isas: Vec<Isa> = Isa::available()
		.filter(|t| named.is_empty() || named.contains(t))
		.collect();
	for threads in [1, 2] {
		let pool = ThreadPoolBuilder::new().num_threads(threads).build()?;
		let bandwidth = pool.install(read_bandwidth);
		println!("{threads} threads: reading memory {bandwidth:.1} GB/s");
		for isa in isas.iter().copied() {
			linear(&pool, isa, bandwidth)?;
			attention(&pool, isa)?;
			small(&pool, isa)?;
		}
	}
	sampler();
	Ok(())
}

/// Microseconds to sample one token, on one thread.
fn sampler() {
	for vocabulary in [32_000, 152_000] {
		let logits: Vec<f32> = noise(vocabulary).iter().map(|v| v * v * v * 12.0).collect();
		for (name, temperature, top_k, min_p) in [
			("temperature 0", 0, 0, 0),
			("temperature 1", 1 << 16, 0, 0),
			("temperature 1, top 40", 1 << 16, 40, 0),
			("temperature 1, min_p 0.05", 1 << 16, 0, 3277),
		] {
			let sampler = Sampler::new(temperature, top_k, min_p, [1; 32]);
			let seconds = best(30, |t| {
				black_box(sampler.sample(&logits, t as u32));
				Ok(())
			});
			let us = seconds.unwrap_or(f64::NAN) * 1e6;
			println!("sampler {vocabulary} tokens, {name}: {us:.0} us");
		}
	}
}

/// Seconds of the fastest of some calls, after one to warm up.
fn best(rounds: usize, mut call: impl FnMut(usize) -> Result<()>) -> Result<f64> {
	call(0)?;
	let mut best = f64::INFINITY;
	for round in 0..rounds {
		let begun = Instant::now();
		call(round)?;
		best = best.min(begun.elapsed().as_secs_f64());
	}
	Ok(best)
}

fn read_bandwidth() -> f64 {
	let data = vec![1u64; BYTES / 8];
	let sum = |part: &[u64]| {
		let mut sums = [0u64; 32];
		for chunk in part.as_chunks::<32>().0 {
			for (s, v) in sums.iter_mut().zip(chunk) {
				*s = s.wrapping_add(*v);
			}
		}
		sums.iter().fold(0u64, |a, b| a.wrapping_add(*b))
	};
	let seconds = best(12, |_| {
		black_box(data.par_chunks(1 << 16).map(sum).reduce(|| 0, u64::wrapping_add));
		Ok(())
	});
	BYTES as f64 / seconds.unwrap_or(f64::INFINITY) / 1e9
}

/// Numbers in [−1, 1), the same each time.
fn noise(count: usize) -> Vec<f32> {
	let mut state = 88_172_645_463_325_252u64;
	let mut next = || {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		(state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
	};
	(0..count).map(|_| next()).collect()
}

fn linear(pool: &ThreadPool, isa: Isa, bandwidth: f64) -> Result<()> {
	for (n, k) in SHAPES {
		let weights: Vec<u8> = noise(n * k).iter().map(|v| (v * 127.0) as i8 as u8).collect();
		let scales: Vec<f16> = noise(n * k / 32).iter().map(|v| f16::from_f32(v * 0.01)).collect();
		let copies = if isa == Isa::Portable { 1 } else { BYTES.div_ceil(n * k) };
		let packed = (0..copies)
			.map(|_| PackedMatrix::pack(&[(&weights, &scales)], k))
			.collect::<assay_numerics::Result<Vec<_>>>()?;
		print!("{isa:8} linear {n:5} x {k:4}:");
		for rows in [1, 8, 32, 256] {
			if isa == Isa::Portable && rows > 8 {
				continue;
			}
			let (x, mut out) = (noise(rows * k), vec![0f32; rows * n]);
			// One round goes through all copies when rows are few, through one when they are many.
			let each = if rows == 1 { copies } else { 1 };
			let rounds = if isa == Isa::Portable { 2 } else { 12 };
			let seconds = pool.install(|| {
				best(rounds, |round| {
					for i in 0..each {
						let weight = &packed[(round + i) % copies];
						let op = Linear {
							weight,
							bias: None,
							isa,
						};
						op.apply(&x, &mut out)?;
					}
					Ok(())
				})
			})? / each as f64;
			let gmacs = (rows * n * k) as f64 / seconds / 1e9;
			match rows {
				1 => {
					let speed = packed[0].bytes() as f64 / seconds / 1e9;
					print!("  1 row {speed:5.1} GB/s ({:3.0} %)", 100.0 * speed / bandwidth);
				}
				_ => print!("  {rows} rows {gmacs:5.1} GMAC/s"),
			}
		}
		println!();
	}
	Ok(())
}

/// One layer of a 1.1 B model: 32 query heads and 4 key heads of 64.
fn attention(pool: &ThreadPool, isa: Isa) -> Result<()> {
	let (heads, kv_heads, head_dim) = (32, 4, 64);
	let cases: [(usize, usize, usize); 5] = [(1, 1, 127), (1, 1, 1023), (32, 1, 1023), (1, 256, 0), (1, 256, 1024)];
	for (sequences, rows, start) in cases {
		if isa == Isa::Portable && rows * sequences > 1 {
			continue;
		}
		let shape = PageShape {
			layers: 1,
			kv_heads,
			head_dim,
		};
		let mut kv = Pool::new(shape, sequences * (start + rows).div_ceil(PAGE))?;
		let tables: Vec<Vec<_>> = (0..sequences)
			.map(|_| (0..(start + rows).div_ceil(PAGE)).filter_map(|_| kv.alloc()).collect())
			.collect();
		let segments: Vec<_> = tables
			.iter()
			.enumerate()
			.map(|(i, pages)| Segment {
				rows: i * rows..(i + 1) * rows,
				start,
				pages,
			})
			.collect();
		let width = (heads + 2 * kv_heads) * head_dim;
		let x = noise(sequences * rows * width);
		let mut out = vec![0f32; sequences * rows * heads * head_dim];
		let seconds = pool.install(|| {
			best(10, |_| {
				let op = Attention {
					layer: 0,
					segments: &segments,
					heads,
					scale: 0.125,
					mask: Mask::Causal { window: None },
					isa,
				};
				Ok(op.apply(&mut kv, &x, width, black_box(&mut out))?)
			})
		})?;
		println!(
			"{isa:8} attention {sequences} x {rows} rows from {start}: {:.0} us",
			seconds * 1e6
		);
	}
	Ok(())
}

fn small(pool: &ThreadPool, isa: Isa) -> Result<()> {
	let weight = noise(2048);
	for rows in [1, 256] {
		let (x, gate) = (noise(rows * 2048), noise(rows * 11264));
		let (mut normed, mut gated) = (vec![0f32; rows * 2048], vec![0f32; rows * 5632]);
		let norm = RmsNorm {
			weight: &weight,
			epsilon: 1e-5,
			isa,
		};
		let norm = pool.install(|| best(20, |_| Ok(norm.apply(&x, black_box(&mut normed))?)))?;
		let gate = pool.install(|| {
			best(20, |_| {
				Ok(SiluMul { isa }.apply(&gate, 11264, black_box(&mut gated))?)
			})
		})?;
		println!(
			"{isa:8} {rows} rows: rms_norm of 2048 {:.1} us, gate of 5632 {:.1} us",
			norm * 1e6,
			gate * 1e6
		);
	}
	Ok(())
}
