//! Rotary positions. The tables are computed once in f64 by a pure-Rust libm, rounded to f32, and hashed into the manifest.

use super::{elements, in_rows, Kernel, Output, Tier};
pub use assay_numerics::rope::Tables;

use candle_core::{bail, CpuStorage, CustomOp1, Layout, Result};

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
		let mut out = elements(x, layout)?.to_vec();
		self.apply(&mut out, width)?;
		Ok((CpuStorage::F32(out), (rows, width).into()))
	}
}

impl Rope<'_> {
	/// The operation on rows of `width` where they lie.
	pub fn apply(&self, x: &mut [f32], width: usize) -> Result<()> {
		let (rows, half) = (self.positions.len(), self.head_dim / 2);
		let known = self.cos.len().min(self.sin.len()).checked_div(half).unwrap_or(0);
		let fits = self.head_dim > 0 && half * 2 == self.head_dim && self.heads * self.head_dim <= width;
		if !fits || x.len() != rows * width || self.positions.iter().any(|p| *p as usize >= known) {
			bail!(
				"rope: {} values in rows of {width}, {} heads of {}, {rows} positions below {known}",
				x.len(),
				self.heads,
				self.head_dim
			);
		}
		in_rows(x, width, |first, x| {
			self.tier.run(Turn {
				op: self,
				positions: &self.positions[first..],
				x,
				width,
			})
		})
	}
}

struct Turn<'a> {
	op: &'a Rope<'a>,
	positions: &'a [u32],
	x: &'a mut [f32],
	width: usize,
}

impl Kernel for Turn<'_> {
	type Output = ();

	#[inline(always)]
	fn run(self) {
		let (head_dim, turned) = (self.op.head_dim, self.op.heads * self.op.head_dim);
		let half = head_dim / 2;
		let rows = self.x.chunks_exact_mut(self.width);
		for (row, position) in rows.zip(self.positions) {
			let at = *position as usize * half;
			let (cos, sin) = (&self.op.cos[at..at + half], &self.op.sin[at..at + half]);
			for head in row[..turned].chunks_exact_mut(head_dim) {
				let (a, b) = head.split_at_mut(half);
				for ((a, b), (cos, sin)) in a.iter_mut().zip(b).zip(cos.iter().zip(sin)) {
					(*a, *b) = (a.mul_add(*cos, -(*b * sin)), b.mul_add(*cos, *a * sin));
				}
			}
		}
	}
}
