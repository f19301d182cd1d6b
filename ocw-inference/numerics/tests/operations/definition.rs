//! The operations of `docs/spec/c1-w8.md` §2, word for word, one number after another. Shares nothing with the kernels
//! but
//! `exp` and `erf`, which are scalar functions with tests of their own.

use assay_numerics::{activation, exp::exp};
use half::f16;

/// Numbers in [−1, 1) of a seed.
pub(crate) fn noise(seed: u64, count: usize) -> Vec<f32> {
	let mut bytes = vec![0u8; count * 4];
	blake3::Hasher::new()
		.update(&seed.to_le_bytes())
		.finalize_xof()
		.fill(&mut bytes);
	let unit = |b: &[u8]| (u32::from_le_bytes(b.try_into().unwrap()) >> 8) as f32 / (1u32 << 23) as f32 - 1.0;
	bytes.chunks_exact(4).map(unit).collect()
}

/// int8 weights, −128 among them, and scales of a seed.
pub(crate) fn weights(seed: u64, n: usize, k: usize) -> (Vec<u8>, Vec<f16>) {
	let mut bytes = vec![0u8; n * k];
	blake3::Hasher::new()
		.update(&seed.to_be_bytes())
		.finalize_xof()
		.fill(&mut bytes);
	let scales = noise(seed ^ 0x5CA1E, n * k / 32);
	(bytes, scales.iter().map(|v| f16::from_f32(*v)).collect())
}

/// Rows whose blocks have very different sizes: zeros, subnormals, huge ones.
pub(crate) fn uneven(seed: u64, rows: usize, k: usize, magnitude: i32) -> Vec<f32> {
	let mut x = noise(seed, rows * k);
	for (i, block) in x.chunks_mut(32).enumerate() {
		let scale = match i % 7 {
			3 => 0.0,
			5 => f32::from_bits(200),
			_ => 2f32.powi(magnitude + (i % 5) as i32),
		};
		block.iter_mut().for_each(|v| *v *= scale);
	}
	x
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
	values.iter().map(|v| v.to_bits()).collect()
}

/// §2.2
pub(crate) fn linear(x: &[f32], w: &[u8], scale: &[f16], bias: Option<&[f32]>, k: usize) -> Vec<f32> {
	let n = w.len() / k;
	let mut out = Vec::new();
	for row in x.chunks(k) {
		for j in 0..n {
			let mut acc = 0f32;
			for b in 0..k / 32 {
				let x = &row[b * 32..b * 32 + 32];
				let amax = x.iter().fold(0f32, |a, v| a.max(v.abs()));
				let d = amax / 127.0;
				let mut s = 0i64;
				for (i, v) in x.iter().enumerate() {
					let q = if d == 0.0 {
						0.0
					} else {
						(v / d).round_ties_even().clamp(-127.0, 127.0)
					};
					s += q as i64 * i64::from(w[j * k + b * 32 + i] as i8);
				}
				acc = (s as f32).mul_add(scale[j * (k / 32) + b].to_f32() * d, acc);
			}
			out.push(bias.map_or(acc, |b| acc + b[j]));
		}
	}
	out
}

/// §2.4, its sum in lanes
fn lanes(x: &[f32], step: impl Fn(f32, f32) -> f32) -> f32 {
	let mut lanes = [0f32; 16];
	for (i, v) in x.iter().enumerate() {
		lanes[i % 16] = step(*v, lanes[i % 16]);
	}
	for stride in [8, 4, 2, 1] {
		for j in 0..stride {
			lanes[j] += lanes[j + stride];
		}
	}
	lanes[0]
}

/// §2.4
pub(crate) fn rms_norm(x: &[f32], w: &[f32], epsilon: f32) -> Vec<f32> {
	let mean = lanes(x, |v, lane| v.mul_add(v, lane)) / x.len() as f32;
	let r = 1.0 / (mean + epsilon).sqrt();
	x.iter().zip(w).map(|(x, w)| (x * r) * w).collect()
}

/// §2.10
pub(crate) fn layer_norm(x: &[f32], w: &[f32], b: &[f32], epsilon: f32) -> Vec<f32> {
	let mean = lanes(x, |v, lane| lane + v) / x.len() as f32;
	let var = lanes(x, |v, lane| (v - mean).mul_add(v - mean, lane)) / x.len() as f32;
	let r = 1.0 / (var + epsilon).sqrt();
	(0..x.len()).map(|i| ((x[i] - mean) * r) * w[i] + b[i]).collect()
}

/// §2.6
pub(crate) fn rotate(head: &[f32], cos: &[f32], sin: &[f32]) -> Vec<f32> {
	let h = head.len() / 2;
	let mut out = vec![0f32; 2 * h];
	for i in 0..h {
		let (a, b) = (head[i], head[i + h]);
		out[i] = a.mul_add(cos[i], -(b * sin[i]));
		out[i + h] = b.mul_add(cos[i], a * sin[i]);
	}
	out
}

/// §2.8
pub(crate) fn gate(g: f32, u: f32) -> f32 {
	(g / (1.0 + exp(-g))) * u
}

/// §2.11
pub(crate) fn gelu(x: f32) -> f32 {
	(0.5 * x) * (1.0 + activation::erf(x * f32::from_bits(0x3F35_04F3)))
}

/// §2.7 for one query head: `keys` and `values` are those of the whole sequence, `seen` the keys that the row sees.
pub(crate) fn attention(
	q: &[f32],
	keys: &[Vec<f32>],
	values: &[Vec<f32>],
	seen: std::ops::Range<usize>,
	scale: f32,
) -> Vec<f32> {
	let half = |v: f32| f16::from_f32(v).to_f32();
	let score = |t: usize| {
		let mut acc = 0f32;
		for (q, k) in q.iter().zip(&keys[t]) {
			acc = q.mul_add(half(*k), acc);
		}
		acc * scale
	};
	let scores: Vec<f32> = seen.clone().map(score).collect();
	let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
	let (mut total, mut out) = (0f32, vec![0f32; q.len()]);
	for tile in seen.start / 256..=(seen.end - 1) / 256 {
		let (mut l, mut o) = (0f32, vec![0f32; q.len()]);
		for t in seen.clone().filter(|t| t / 256 == tile) {
			let e = exp(scores[t - seen.start] - max);
			l += e;
			for (o, v) in o.iter_mut().zip(&values[t]) {
				*o = e.mul_add(half(*v), *o);
			}
		}
		total += l;
		for (out, o) in out.iter_mut().zip(&o) {
			*out += o;
		}
	}
	out.iter().map(|o| o / total).collect()
}
