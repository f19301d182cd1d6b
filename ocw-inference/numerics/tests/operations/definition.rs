//! The operations of `docs/spec/c2.md` §2, word for word, one number after another. Shares nothing with the kernels but
//! `exp` and `erf`, which are scalar functions with tests of their own.

use assay_numerics::{
	activation,
	exp::exp,
	format::{Group, MatrixFormat},
	packed::PackedMatrix,
};
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

/// All formats, `w4` with a table of the seed.
pub(crate) fn formats(seed: u64) -> [MatrixFormat; 6] {
	let mut table = [0; 16];
	table.copy_from_slice(&bytes(seed ^ 0x7AB1E, 16));
	// The largest magnitudes, and zero, somewhere.
	for (i, v) in [128, 127, 0].into_iter().enumerate() {
		table[(seed as usize + 5 * i) % 16] = v;
	}
	[
		MatrixFormat::W8 { group: Group::G32 },
		MatrixFormat::W8 { group: Group::G128 },
		MatrixFormat::W4 {
			table: table.map(|v| v as i8),
		},
		MatrixFormat::W4z { group: Group::G32 },
		MatrixFormat::W4z { group: Group::G64 },
		MatrixFormat::W4z { group: Group::G128 },
	]
}

fn bytes(seed: u64, count: usize) -> Vec<u8> {
	let mut bytes = vec![0u8; count];
	blake3::Hasher::new()
		.update(&seed.to_be_bytes())
		.finalize_xof()
		.fill(&mut bytes);
	bytes
}

/// A matrix as it is in a file (§2.1).
pub(crate) struct Matrix {
	pub(crate) format: MatrixFormat,
	pub(crate) n: usize,
	pub(crate) k: usize,
	/// A row takes k bytes, or k / 2.
	pub(crate) weights: Vec<u8>,
	/// One for each row and group.
	pub(crate) scales: Vec<f16>,
	/// Two groups a byte; empty where there are none.
	pub(crate) zeros: Vec<u8>,
}

impl Matrix {
	/// Weights and zero points of all values, and scales from subnormal to 1, of a seed.
	pub(crate) fn random(seed: u64, n: usize, k: usize, format: MatrixFormat) -> Self {
		let (size, bits, zeroed) = match format {
			MatrixFormat::W8 { group } => (group.size(), 8, false),
			MatrixFormat::W4 { .. } => (32, 4, false),
			MatrixFormat::W4z { group } => (group.size(), 4, true),
		};
		let groups = k.div_ceil(size);
		let mut scales: Vec<f16> = noise(seed ^ 0x5CA1E, n * groups)
			.iter()
			.map(|v| f16::from_f32(*v))
			.collect();
		for (i, scale) in scales.iter_mut().enumerate() {
			match (i + seed as usize) % 23 {
				3 => *scale = f16::ZERO,
				9 => *scale = f16::from_bits(5),
				_ => {}
			}
		}
		let mut zeros = if zeroed {
			bytes(seed ^ 0x2E05, n * groups.div_ceil(2))
		} else {
			vec![]
		};
		if groups % 2 == 1 {
			zeros
				.chunks_mut(groups.div_ceil(2))
				.for_each(|row| row[groups / 2] &= 15);
		}
		Self {
			format,
			n,
			k,
			weights: bytes(seed, n * k * bits / 8),
			scales,
			zeros,
		}
	}

	fn group(&self) -> usize {
		match self.format {
			MatrixFormat::W8 { group } | MatrixFormat::W4z { group } => group.size(),
			MatrixFormat::W4 { .. } => 32,
		}
	}

	/// The integer weight of a row and column.
	pub(crate) fn integer(&self, row: usize, column: usize) -> i64 {
		let nibble = |bytes: &[u8], i: usize| {
			if i.is_multiple_of(2) {
				bytes[i / 2] % 16
			} else {
				bytes[i / 2] / 16
			}
		};
		match self.format {
			MatrixFormat::W8 { .. } => i64::from(self.weights[row * self.k + column] as i8),
			MatrixFormat::W4 { table } => {
				i64::from(table[usize::from(nibble(&self.weights[row * self.k / 2..], column))])
			}
			MatrixFormat::W4z { .. } => {
				let zeros = &self.zeros[row * self.k.div_ceil(self.group()).div_ceil(2)..];
				i64::from(nibble(&self.weights[row * self.k / 2..], column))
					- i64::from(nibble(zeros, column / self.group()))
			}
		}
	}

	pub(crate) fn scale(&self, row: usize, column: usize) -> f32 {
		self.scales[row * self.k.div_ceil(self.group()) + column / self.group()].to_f32()
	}

	pub(crate) fn pack(&self) -> PackedMatrix {
		let mut packed = PackedMatrix::zeros(self.n, self.k, self.format).unwrap();
		self.put(&mut packed, 0);
		packed
	}

	/// Puts all rows into a matrix that may have more.
	pub(crate) fn put(&self, packed: &mut PackedMatrix, first: usize) {
		let scales: Vec<u8> = self.scales.iter().flat_map(|s| s.to_le_bytes()).collect();
		packed.put_weights(first, &self.weights).unwrap();
		packed.put_scales(first, &scales).unwrap();
		if let MatrixFormat::W4z { .. } = self.format {
			packed.put_zeros(first, &self.zeros).unwrap();
		}
	}
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
pub(crate) fn linear(x: &[f32], w: &Matrix, bias: Option<&[f32]>) -> Vec<f32> {
	let mut out = Vec::new();
	for row in x.chunks(w.k) {
		let groups: Vec<(f32, Vec<f32>)> = row.chunks(w.group()).map(quantize).collect();
		for j in 0..w.n {
			let mut acc = 0f32;
			for (g, (d, q)) in groups.iter().enumerate() {
				let first = g * w.group();
				let s: i64 = q.iter().zip(first..).map(|(q, i)| *q as i64 * w.integer(j, i)).sum();
				acc = (s as f32).mul_add(w.scale(j, first) * d, acc);
			}
			out.push(bias.map_or(acc, |b| acc + b[j]));
		}
	}
	out
}

/// The scale of a group and its integers.
#[allow(clippy::eq_op, reason = "NaN stays NaN, and what follows an infinity becomes it")]
fn quantize(x: &[f32]) -> (f32, Vec<f32>) {
	let amax = x
		.iter()
		.fold(0f32, |a, v| if v.is_nan() { *v } else { a.max(v.abs()) + (a - a) });
	let d = amax / 127.0;
	let q = |v: &f32| {
		if d == 0.0 {
			0.0
		} else {
			(v / d).round_ties_even().clamp(-127.0, 127.0)
		}
	};
	(d, x.iter().map(q).collect())
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
