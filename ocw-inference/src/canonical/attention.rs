//! Causal attention over an f16 cache, in tiles of 256 keys.
//!
//! A row sees the keys up to its own position and nothing else, and the tiles have a fixed *size*, so a row's result doesn't
//! know how many rows were computed with it or how much room the cache has.

use super::{elements, exp::exp, Kernel, Tier};
use candle_core::{bail, CpuStorage, CustomOp3, Layout, Result, Shape};
use half::{f16, slice::HalfFloatSliceExt};

/// Keys whose sums are taken together.
pub const TILE: usize = 256;

/// Operands: q f32 `[rows, heads · head_dim]`; keys and values f16 `[kv_heads, capacity, head_dim]`, filled up to the last row.
pub struct Attention {
	/// Position of the first row.
	pub offset: usize,
	/// Query heads.
	pub heads: usize,
	/// Length of one head.
	pub head_dim: usize,
	/// `1 / √head_dim`, taken in f64 and rounded.
	pub scale: f32,
	/// Which compilation runs.
	pub tier: Tier,
}

impl CustomOp3 for Attention {
	fn name(&self) -> &'static str {
		"c1-w8 attention"
	}

	fn cpu_fwd(
		&self,
		q: &CpuStorage,
		q_layout: &Layout,
		k: &CpuStorage,
		k_layout: &Layout,
		v: &CpuStorage,
		v_layout: &Layout,
	) -> Result<(CpuStorage, Shape)> {
		let (rows, width) = q_layout.shape().dims2()?;
		let (kv_heads, capacity, head_dim) = k_layout.shape().dims3()?;
		let fits = width == self.heads * head_dim && head_dim == self.head_dim && head_dim > 0;
		let grouped = kv_heads > 0 && self.heads.is_multiple_of(kv_heads) && v_layout.shape() == k_layout.shape();
		if !fits || !grouped || self.offset + rows > capacity {
			bail!(
				"attention: q [{rows}, {width}] from {} on, keys {:?}",
				self.offset,
				k_layout.shape()
			);
		}
		let mut out = vec![0f32; rows * width];
		self.tier.run(AttentionKernel {
			q: elements(q, q_layout)?,
			k: elements(k, k_layout)?,
			v: elements(v, v_layout)?,
			out: &mut out,
			keys: self.offset + rows,
			capacity,
			width,
			head_dim,
			group: self.heads / kv_heads,
			offset: self.offset,
			scale: self.scale,
		});
		Ok((CpuStorage::F32(out), (rows, width).into()))
	}
}

struct AttentionKernel<'a> {
	q: &'a [f32],
	k: &'a [f16],
	v: &'a [f16],
	out: &'a mut [f32],
	keys: usize,
	capacity: usize,
	width: usize,
	head_dim: usize,
	group: usize,
	offset: usize,
	scale: f32,
}

impl Kernel for AttentionKernel<'_> {
	#[inline(always)]
	fn run(self) {
		let Self {
			q,
			k,
			v,
			out,
			keys,
			capacity,
			width,
			head_dim,
			group,
			offset,
			scale,
		} = self;
		let used = keys * head_dim;
		let mut values = vec![0f32; used];
		let mut transposed = vec![0f32; used];
		let mut scores = vec![0f32; keys];
		let mut tile_out = vec![0f32; head_dim];
		let heads = k
			.chunks_exact(capacity * head_dim)
			.zip(v.chunks_exact(capacity * head_dim));
		for (kv_head, (k, v)) in heads.enumerate() {
			// `values` serves as scratch for the keys first: head dimension by head dimension, so that lanes are keys.
			k[..used].convert_to_f32_slice(&mut values);
			for (j, key) in values.chunks_exact(head_dim).enumerate() {
				for (d, x) in key.iter().enumerate() {
					transposed[d * keys + j] = *x;
				}
			}
			v[..used].convert_to_f32_slice(&mut values);
			for (row, (q, out)) in q.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
				let scores = &mut scores[..offset + row + 1];
				let span = kv_head * group * head_dim..(kv_head + 1) * group * head_dim;
				let heads = q[span.clone()]
					.chunks_exact(head_dim)
					.zip(out[span].chunks_exact_mut(head_dim));
				for (q, out) in heads {
					score(q, &transposed, keys, scale, scores);
					combine(scores, &values, out, &mut tile_out);
				}
			}
		}
	}
}

/// `s_j = scale · Σ_d q_d · k_jd`, d ascending, one `fma` each.
#[inline(always)]
fn score(q: &[f32], transposed: &[f32], keys: usize, scale: f32, scores: &mut [f32]) {
	scores.fill(0.0);
	for (q, k) in q.iter().zip(transposed.chunks_exact(keys)) {
		for (s, k) in scores.iter_mut().zip(k) {
			*s = q.mul_add(*k, *s);
		}
	}
	for s in scores {
		*s *= scale;
	}
}

/// Softmax and weighted sum: exact maximum, then per tile the sum of weights and of weighted values, keys ascending, then
/// the tiles ascending, then one division.
#[inline(always)]
fn combine(scores: &mut [f32], values: &[f32], out: &mut [f32], tile_out: &mut [f32]) {
	let mut max = f32::NEG_INFINITY;
	for s in scores.iter() {
		max = if *s > max { *s } else { max };
	}
	for s in scores.iter_mut() {
		*s = exp(*s - max);
	}
	let mut total = 0f32;
	out.fill(0.0);
	for (weights, values) in scores.chunks(TILE).zip(values.chunks(TILE * out.len())) {
		let mut tile_total = 0f32;
		tile_out.fill(0.0);
		for (weight, value) in weights.iter().zip(values.chunks_exact(out.len())) {
			tile_total += weight;
			for (o, v) in tile_out.iter_mut().zip(value) {
				*o = weight.mul_add(*v, *o);
			}
		}
		total += tile_total;
		for (o, t) in out.iter_mut().zip(tile_out.iter()) {
			*o += t;
		}
	}
	for o in out {
		*o /= total;
	}
}
