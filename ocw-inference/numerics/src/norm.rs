//! Norms: sums run in 16 strided lanes, then a fixed tree.

#[cfg(not(feature = "std"))]
use crate::math::Float;
use crate::{
	error::bail_shape,
	isa::Kernel,
	rows::{by_rows, in_rows},
	Isa, Result,
};

const LANES: usize = 16;

/// `y = (x · r) · w` with `r = 1 / √(mean(x²) + ε)` (§2.4). Operand and result f32 `[rows, D]`.
pub struct RmsNorm<'a> {
	/// w, f32 `[D]`.
	pub weight: &'a [f32],
	/// ε.
	pub epsilon: f32,
	/// Which instructions compute.
	pub isa: Isa,
}

impl RmsNorm<'_> {
	/// Computes the operation on slices: x and out `[rows, D]`.
	pub fn apply(&self, x: &[f32], out: &mut [f32]) -> Result<()> {
		let width = self.weight.len();
		if width == 0 || !x.len().is_multiple_of(width) || out.len() != x.len() {
			bail_shape!("rms_norm: {} values for w [{width}], {} results", x.len(), out.len());
		}
		by_rows(x, width, out, width, |x, out| {
			self.isa.run(RmsNormRows {
				x,
				w: self.weight,
				out,
				epsilon: self.epsilon,
			})
		})
	}
}

struct RmsNormRows<'a> {
	x: &'a [f32],
	w: &'a [f32],
	out: &'a mut [f32],
	epsilon: f32,
}

impl Kernel for RmsNormRows<'_> {
	type Output = ();

	#[inline(always)]
	fn run(self) {
		let width = self.w.len();
		for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
			let r = inverse_root(x, self.epsilon);
			for ((out, x), w) in out.iter_mut().zip(x).zip(self.w) {
				*out = (x * r) * w;
			}
		}
	}
}

/// `1 / √(mean(x²) + ε)`
#[inline(always)]
fn inverse_root(x: &[f32], epsilon: f32) -> f32 {
	let mean = lanes(x, |v, lane| v.mul_add(v, lane)) / x.len() as f32;
	1.0 / (mean + epsilon).sqrt()
}

/// RMS norm of each head of the query and key parts of fused rows q ‖ k ‖ v; v passes through (§2.9). Operand and
/// result f32
/// `[rows, (heads + 2 · kv_heads) · head_dim]`.
pub struct HeadNorm<'a> {
	/// Weight of every query head, f32 `[head_dim]`.
	pub q: &'a [f32],
	/// Weight of every key head, f32 `[head_dim]`.
	pub k: &'a [f32],
	/// Query heads.
	pub heads: usize,
	/// Key heads.
	pub kv_heads: usize,
	/// ε.
	pub epsilon: f32,
	/// Which instructions compute.
	pub isa: Isa,
}

impl HeadNorm<'_> {
	/// Computes the operation on rows of `width`, in place.
	pub fn apply(&self, x: &mut [f32], width: usize) -> Result<()> {
		let head_dim = self.q.len();
		if head_dim == 0 || self.k.len() != head_dim || width != (self.heads + 2 * self.kv_heads) * head_dim {
			bail_shape!("head_norm: rows of {width}, head of {head_dim}");
		}
		in_rows(x, width, |_, x| self.isa.run(HeadNormRows { op: self, x, width }))
	}
}

struct HeadNormRows<'a> {
	op: &'a HeadNorm<'a>,
	x: &'a mut [f32],
	width: usize,
}

impl Kernel for HeadNormRows<'_> {
	type Output = ();

	#[inline(always)]
	fn run(self) {
		let normed = self.op.heads + self.op.kv_heads;
		for row in self.x.chunks_exact_mut(self.width) {
			let heads = row.chunks_exact_mut(self.op.q.len()).take(normed);
			for (head, x) in heads.enumerate() {
				let w = if head < self.op.heads { self.op.q } else { self.op.k };
				let r = inverse_root(x, self.op.epsilon);
				for (x, w) in x.iter_mut().zip(w) {
					*x = (*x * r) * w;
				}
			}
		}
	}
}

/// `y = ((x − mean) · r) · w + b` with `r = 1 / √(mean((x − mean)²) + ε)` (§2.10). Operand and result f32 `[rows, D]`.
pub struct LayerNorm<'a> {
	/// w, f32 `[D]`.
	pub weight: &'a [f32],
	/// b, f32 `[D]`.
	pub bias: &'a [f32],
	/// ε.
	pub epsilon: f32,
	/// Which instructions compute.
	pub isa: Isa,
}

impl LayerNorm<'_> {
	/// Computes the operation on slices: x and out `[rows, D]`.
	pub fn apply(&self, x: &[f32], out: &mut [f32]) -> Result<()> {
		let width = self.weight.len();
		if width == 0 || self.bias.len() != width || !x.len().is_multiple_of(width) || out.len() != x.len() {
			bail_shape!(
				"layer_norm: {} values for w [{width}], b [{}], {} results",
				x.len(),
				self.bias.len(),
				out.len()
			);
		}
		by_rows(x, width, out, width, |x, out| {
			self.isa.run(LayerNormRows { op: self, x, out })
		})
	}
}

struct LayerNormRows<'a> {
	op: &'a LayerNorm<'a>,
	x: &'a [f32],
	out: &'a mut [f32],
}

impl Kernel for LayerNormRows<'_> {
	type Output = ();

	#[inline(always)]
	fn run(self) {
		let width = self.op.weight.len();
		for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
			let mean = lanes(x, |v, lane| lane + v) / width as f32;
			let variance = lanes(x, |v, lane| (v - mean).mul_add(v - mean, lane)) / width as f32;
			let r = 1.0 / (variance + self.op.epsilon).sqrt();
			let parameters = self.op.weight.iter().zip(self.op.bias);
			for ((out, x), (w, b)) in out.iter_mut().zip(x).zip(parameters) {
				*out = ((x - mean) * r) * w + b;
			}
		}
	}
}

/// Element i goes to lane i mod 16, in ascending order, by `add(element, lane)`; then lanes 0–7 take 8–15, 0–3 take
/// 4–7, and so on.
#[inline(always)]
pub(crate) fn lanes(x: &[f32], add: impl Fn(f32, f32) -> f32) -> f32 {
	let mut lanes = [0f32; LANES];
	let (chunks, rest) = x.as_chunks::<LANES>();
	for chunk in chunks {
		for (lane, v) in lanes.iter_mut().zip(chunk) {
			*lane = add(*v, *lane);
		}
	}
	for (lane, v) in lanes.iter_mut().zip(rest) {
		*lane = add(*v, *lane);
	}
	for stride in [8, 4, 2, 1] {
		for i in 0..stride {
			lanes[i] += lanes[i + stride];
		}
	}
	lanes[0]
}
