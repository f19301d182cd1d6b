//! Rotary positions. The tables are computed once in f64 by a pure-Rust libm, rounded to f32, and hashed into the manifest.

use super::{by_rows, elements, Kernel, Output, Tier};
use crate::model::config::RopeScaling;
use assay_primitives::Hash32;
use candle_core::{bail, CpuStorage, CustomOp1, Layout};

/// cos and sin, each `[positions, head_dim / 2]`, row by row.
pub struct Tables {
	/// cos of every angle.
	pub cos: Vec<f32>,
	/// sin of every angle.
	pub sin: Vec<f32>,
}

impl Tables {
	/// The angle of position p and pair i is `p · f_i`, with `f_i = theta^(−2i / head_dim)` as the scaling changes it; both functions
	/// are multiplied by the scaling's factor.
	pub fn new(theta: f32, scaling: &RopeScaling, head_dim: usize, positions: usize) -> Self {
		let frequencies = scaling.frequencies(theta, head_dim);
		let factor = scaling.attention_factor();
		let angles = || (0..positions).flat_map(|p| frequencies.iter().map(move |f| p as f64 * f));
		Self {
			cos: angles().map(|a| (libm::cos(a) * factor) as f32).collect(),
			sin: angles().map(|a| (libm::sin(a) * factor) as f32).collect(),
		}
	}

	/// Hash of both tables: f32 little-endian, cos then sin.
	pub fn root(&self) -> Hash32 {
		let mut hasher = blake3::Hasher::new_derive_key("assay/v1/rope");
		for v in self.cos.iter().chain(&self.sin) {
			hasher.update(&v.to_le_bytes());
		}
		*hasher.finalize().as_bytes()
	}
}

/// Turns element i and element i + head_dim/2 of the first heads of each row by the angle of the row's position (§2.6); the
/// rest of the row passes through. Operand and result f32 `[rows, width]`, as the fused rows q ‖ k ‖ v.
pub struct Rope<'a> {
	/// Cosines, `[positions, head_dim / 2]`.
	pub cos: &'a [f32],
	/// Sines, of the same shape.
	pub sin: &'a [f32],
	/// Position of each row.
	pub positions: &'a [u32],
	/// Heads that are turned: those of q and k.
	pub heads: usize,
	/// Length of one head.
	pub head_dim: usize,
	/// Which instructions compute.
	pub tier: Tier,
}

impl CustomOp1 for Rope<'_> {
	fn name(&self) -> &'static str {
		"c1-w8 rope"
	}

	fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Output {
		let (rows, width) = layout.shape().dims2()?;
		let half = self.head_dim / 2;
		let known = self.cos.len().min(self.sin.len()).checked_div(half).unwrap_or(0);
		let fits = self.head_dim > 0 && half * 2 == self.head_dim && self.heads * self.head_dim <= width;
		if !fits || self.positions.len() != rows || self.positions.iter().any(|p| *p as usize >= known) {
			bail!(
				"rope: x [{rows}, {width}], {} heads of {}, {} positions below {known}",
				self.heads,
				self.head_dim,
				self.positions.len()
			);
		}
		let mut out = vec![0f32; rows * width];
		by_rows(elements(x, layout)?, width, &mut out, width, |first, x, out| {
			self.tier.run(Turn {
				op: self,
				positions: &self.positions[first..],
				x,
				out,
				width,
			})
		})?;
		Ok((CpuStorage::F32(out), (rows, width).into()))
	}
}

struct Turn<'a> {
	op: &'a Rope<'a>,
	positions: &'a [u32],
	x: &'a [f32],
	out: &'a mut [f32],
	width: usize,
}

impl Kernel for Turn<'_> {
	type Output = ();

	#[inline(always)]
	fn run(self) {
		let (head_dim, turned) = (self.op.head_dim, self.op.heads * self.op.head_dim);
		let half = head_dim / 2;
		let rows = self
			.x
			.chunks_exact(self.width)
			.zip(self.out.chunks_exact_mut(self.width));
		for ((x, out), position) in rows.zip(self.positions) {
			let at = *position as usize * half;
			let (cos, sin) = (&self.op.cos[at..at + half], &self.op.sin[at..at + half]);
			let heads = x[..turned].chunks_exact(head_dim).zip(out.chunks_exact_mut(head_dim));
			for (x, out) in heads {
				let ((a, b), (out_a, out_b)) = (x.split_at(half), out.split_at_mut(half));
				for i in 0..half {
					out_a[i] = a[i].mul_add(cos[i], -(b[i] * sin[i]));
					out_b[i] = b[i].mul_add(cos[i], a[i] * sin[i]);
				}
			}
			out[turned..].copy_from_slice(&x[turned..]);
		}
	}
}
