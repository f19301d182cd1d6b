//! Linear layers: int8 weights and activations in blocks of 32 along K, exact integer sums, then one `fma` a block.

use super::{elements, Kernel, Tier};
use candle_core::{bail, CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape};

/// Weights that share a scale.
pub const BLOCK: usize = 32;

/// `y = x · Wᵀ`. Operands: x f32 `[rows, K]`; W `[N, K]`, int8 in two's complement held as U8; its scales, f16 values widened
/// to f32, `[N, K/32]`.
pub struct Linear {
	/// Which compilation runs.
	pub tier: Tier,
}

impl CustomOp3 for Linear {
	fn name(&self) -> &'static str {
		"c1-w8 linear"
	}

	fn cpu_fwd(
		&self,
		x: &CpuStorage,
		x_layout: &Layout,
		w: &CpuStorage,
		w_layout: &Layout,
		scale: &CpuStorage,
		scale_layout: &Layout,
	) -> Result<(CpuStorage, Shape)> {
		let (rows, k) = x_layout.shape().dims2()?;
		let (n, w_k) = w_layout.shape().dims2()?;
		if k != w_k || k == 0 || k % BLOCK != 0 || scale_layout.shape().dims2()? != (n, k / BLOCK) {
			bail!(
				"linear: x [{rows}, {k}], W [{n}, {w_k}], scales {:?}",
				scale_layout.shape()
			);
		}
		let mut out = vec![0f32; rows * n];
		self.tier.run(LinearKernel {
			x: elements(x, x_layout)?,
			w: elements(w, w_layout)?,
			scale: elements(scale, scale_layout)?,
			out: &mut out,
			k,
			n,
		});
		Ok((CpuStorage::F32(out), (rows, n).into()))
	}
}

struct LinearKernel<'a> {
	x: &'a [f32],
	w: &'a [u8],
	scale: &'a [f32],
	out: &'a mut [f32],
	k: usize,
	n: usize,
}

impl Kernel for LinearKernel<'_> {
	#[inline(always)]
	fn run(self) {
		let Self { x, w, scale, out, k, n } = self;
		let blocks = k / BLOCK;
		let mut q = vec![0i16; x.len()];
		let mut d = vec![0f32; x.len() / BLOCK];
		for ((x, q), d) in x.chunks_exact(BLOCK).zip(q.chunks_exact_mut(BLOCK)).zip(&mut d) {
			*d = quantise(x, q);
		}
		// Output by output, so that one row of weights stays in the cache for all rows of x.
		for (j, (w, scale)) in w.chunks_exact(k).zip(scale.chunks_exact(blocks)).enumerate() {
			let rows = q.chunks_exact(k).zip(d.chunks_exact(blocks));
			for ((q, d), out) in rows.zip(out.chunks_exact_mut(n)) {
				out[j] = dot(w, scale, q, d);
			}
		}
	}
}

/// One block of activations to int8 (kept in 16 bits); returns its scale.
#[inline(always)]
fn quantise(x: &[f32], q: &mut [i16]) -> f32 {
	let mut amax = 0f32;
	for v in x {
		amax = if v.abs() > amax { v.abs() } else { amax };
	}
	let d = amax / 127.0;
	for (q, v) in q.iter_mut().zip(x) {
		// The bound matters only where `d` is subnormal and itself badly rounded.
		*q = if d == 0.0 {
			0
		} else {
			(v / d).round_ties_even().clamp(-127.0, 127.0) as i16
		};
	}
	d
}

/// One output: the only order of float operations is that of the blocks.
#[inline(always)]
fn dot(w: &[u8], scale: &[f32], q: &[i16], d: &[f32]) -> f32 {
	let mut acc = 0f32;
	let blocks = w.chunks_exact(BLOCK).zip(q.chunks_exact(BLOCK));
	for ((w, q), (scale, d)) in blocks.zip(scale.iter().zip(d)) {
		let mut sum = 0i32;
		for (w, q) in w.iter().zip(q) {
			sum = sum.wrapping_add(i32::from(*w as i8).wrapping_mul(i32::from(*q)));
		}
		acc = (sum as f32).mul_add(scale * d, acc);
	}
	acc
}

/// Rows of a quantised table by index: the embedding. Operands: W `[V, D]` and its scales as for [`Linear`].
pub struct Gather<'a> {
	/// Row indices.
	pub ids: &'a [u32],
}

impl CustomOp2 for Gather<'_> {
	fn name(&self) -> &'static str {
		"c1-w8 gather"
	}

	fn cpu_fwd(
		&self,
		w: &CpuStorage,
		w_layout: &Layout,
		scale: &CpuStorage,
		scale_layout: &Layout,
	) -> Result<(CpuStorage, Shape)> {
		let (rows, width) = w_layout.shape().dims2()?;
		let w = elements::<u8>(w, w_layout)?;
		let scale = elements::<f32>(scale, scale_layout)?;
		let blocks = width / BLOCK;
		let mut out = Vec::with_capacity(self.ids.len() * width);
		for id in self.ids {
			let id = *id as usize;
			if id >= rows {
				bail!("token {id} is outside the vocabulary of {rows}");
			}
			let w = &w[id * width..][..width];
			for (w, scale) in w.chunks_exact(BLOCK).zip(&scale[id * blocks..][..blocks]) {
				out.extend(w.iter().map(|w| f32::from(*w as i8) * scale));
			}
		}
		Ok((CpuStorage::F32(out), (self.ids.len(), width).into()))
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use candle_core::{Device, Tensor};
	use proptest::prelude::*;

	/// The definition of the specification, word for word, with nothing shared but the types.
	fn by_definition(x: &[f32], w: &[u8], scale: &[f32], k: usize, n: usize) -> Vec<u32> {
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
					acc = (s as f32).mul_add(scale[j * (k / 32) + b] * d, acc);
				}
				out.push(acc.to_bits());
			}
		}
		out
	}

	fn run(tier: Tier, x: &[f32], w: &[u8], scale: &[f32], k: usize, n: usize) -> Vec<u32> {
		let x = Tensor::from_slice(x, (x.len() / k, k), &Device::Cpu).unwrap();
		let w = Tensor::from_slice(w, (n, k), &Device::Cpu).unwrap();
		let scale = Tensor::from_slice(scale, (n, k / 32), &Device::Cpu).unwrap();
		let y = x.apply_op3_no_bwd(&w, &scale, &Linear { tier }).unwrap();
		y.flatten_all()
			.unwrap()
			.to_vec1::<f32>()
			.unwrap()
			.iter()
			.map(|v| v.to_bits())
			.collect()
	}

	fn numbers(seed: u64, count: usize) -> impl Iterator<Item = u64> {
		let mut bytes = vec![0u8; count * 8];
		blake3::Hasher::new()
			.update(&seed.to_le_bytes())
			.finalize_xof()
			.fill(&mut bytes);
		bytes
			.chunks_exact(8)
			.map(|b| u64::from_le_bytes(b.try_into().unwrap()))
			.collect::<Vec<_>>()
			.into_iter()
	}

	proptest! {
		#![proptest_config(ProptestConfig::with_cases(64))]
		#[test]
		fn every_tier_and_every_number_of_rows_gives_the_bits_of_the_definition(
			seed in any::<u64>(), rows in prop::sample::select(vec![1usize, 2, 3, 7, 33]),
			blocks in 1usize..7, n in 1usize..40, magnitude in -30i32..30,
		) {
			let k = blocks * 32;
			let unit = |v: u64| (v >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
			let x: Vec<f32> = numbers(seed, rows * k).map(|v| unit(v) * 2f32.powi(magnitude)).collect();
			let w: Vec<u8> = numbers(seed ^ 1, n * k).map(|v| v as u8).collect();
			let scale: Vec<f32> = numbers(seed ^ 2, n * blocks).map(|v| half::f16::from_f32(unit(v)).to_f32()).collect();
			let truth = by_definition(&x, &w, &scale, k, n);
			prop_assert_eq!(&run(Tier::detect(), &x, &w, &scale, k, n), &truth);
			prop_assert_eq!(&run(Tier::Portable, &x, &w, &scale, k, n), &truth);
			let last = run(Tier::detect(), &x[(rows - 1) * k..], &w, &scale, k, n);
			prop_assert_eq!(&last[..], &truth[(rows - 1) * n..]);
		}
	}

	#[test]
	fn rows_of_zeros_and_of_subnormals_stay_in_range() {
		let w = vec![0x81u8; 32];
		assert_eq!(run(Tier::detect(), &[0.0; 32], &w, &[1.0], 32, 1), vec![0]);
		let tiny = [f32::from_bits(190); 32];
		assert_eq!(
			run(Tier::detect(), &tiny, &w, &[1.0], 32, 1),
			by_definition(&tiny, &w, &[1.0], 32, 1)
		);
	}
}
