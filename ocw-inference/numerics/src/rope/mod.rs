//! Rotary positions. The tables are computed once in f64 by a pure-Rust libm, rounded to f32, and hashed into the
//! manifest.

mod scaling;

pub use scaling::{yarn_attention_factor, RopeScaling};

#[cfg(not(feature = "std"))]
use crate::math::Float;
use crate::{error::bail_shape, isa::Kernel, rows::in_rows, Isa, Result};
use alloc::vec::Vec;
use core::ops::Range;

/// cos and sin, each `[positions, head_dim / 2]`, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
	/// cos of every angle.
	pub cos: Vec<f32>,
	/// sin of every angle.
	pub sin: Vec<f32>,
}

impl Tables {
	/// Computes the tables: the angle of position p and pair i is `p · f_i`, with `f_i = theta^(−2i / head_dim)` as the
	/// scaling changes it; both functions are multiplied by the scaling's factor.
	pub fn new(theta: f32, scaling: &RopeScaling, head_dim: usize, positions: usize) -> Self {
		Self::of(theta, scaling, head_dim, 0..positions)
	}

	/// Computes the tables' rows of some positions alone.
	pub fn of(theta: f32, scaling: &RopeScaling, head_dim: usize, positions: Range<usize>) -> Self {
		let frequencies = scaling.frequencies(theta, head_dim);
		let factor = scaling.attention_factor();
		let angles = || {
			positions
				.clone()
				.flat_map(|p| frequencies.iter().map(move |f| p as f64 * f))
		};
		Self {
			cos: angles().map(|a| (libm::cos(a) * factor) as f32).collect(),
			sin: angles().map(|a| (libm::sin(a) * factor) as f32).collect(),
		}
	}

	/// Returns the hash of both tables: f32 little-endian, cos then sin.
	pub fn root(&self) -> [u8; 32] {
		let mut hasher = blake3::Hasher::new_derive_key("assay/v1/rope");
		for v in self.cos.iter().chain(&self.sin) {
			hasher.update(&v.to_le_bytes());
		}
		*hasher.finalize().as_bytes()
	}
}

/// Rotates element i and element i + head_dim/2 of the first heads of each row by the angle of the row's position
/// (§2.6); the rest of the row passes through. Operand and result f32 `[rows, width]`, as the fused rows q ‖ k ‖ v.
pub struct Rope<'a> {
	/// Cosines, `[positions, head_dim / 2]`.
	pub cos: &'a [f32],
	/// Sines, of the same shape.
	pub sin: &'a [f32],
	/// Position of each row.
	pub positions: &'a [u32],
	/// Heads that are rotated: those of q and k.
	pub heads: usize,
	/// Length of one head.
	pub head_dim: usize,
	/// Which instructions compute.
	pub isa: Isa,
}

impl Rope<'_> {
	/// Computes the operation on rows of `width`, in place.
	pub fn apply(&self, x: &mut [f32], width: usize) -> Result<()> {
		let (rows, half) = (self.positions.len(), self.head_dim / 2);
		let known = self.cos.len().min(self.sin.len()).checked_div(half).unwrap_or(0);
		let fits = self.head_dim > 0 && half * 2 == self.head_dim && self.heads * self.head_dim <= width;
		if !fits || x.len() != rows * width || self.positions.iter().any(|p| *p as usize >= known) {
			bail_shape!(
				"rope: {} values in rows of {width}, {} heads of {}, {rows} positions below {known}",
				x.len(),
				self.heads,
				self.head_dim
			);
		}
		in_rows(x, width, |first, x| {
			self.isa.run(RopeRows {
				op: self,
				positions: &self.positions[first..],
				x,
				width,
			})
		})
	}
}

struct RopeRows<'a> {
	op: &'a Rope<'a>,
	positions: &'a [u32],
	x: &'a mut [f32],
	width: usize,
}

impl Kernel for RopeRows<'_> {
	type Output = ();

	#[inline(always)]
	fn run(self) {
		let (head_dim, rotated) = (self.op.head_dim, self.op.heads * self.op.head_dim);
		let half = head_dim / 2;
		let rows = self.x.chunks_exact_mut(self.width);
		for (row, position) in rows.zip(self.positions) {
			let at = *position as usize * half;
			let (cos, sin) = (&self.op.cos[at..at + half], &self.op.sin[at..at + half]);
			for head in row[..rotated].chunks_exact_mut(head_dim) {
				let (a, b) = head.split_at_mut(half);
				for ((a, b), (cos, sin)) in a.iter_mut().zip(b).zip(cos.iter().zip(sin)) {
					(*a, *b) = (a.mul_add(*cos, -(*b * sin)), b.mul_add(*cos, *a * sin));
				}
			}
		}
	}
}
