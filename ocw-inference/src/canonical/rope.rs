//! Rotary positions. The tables are computed once in f64 by a pure-Rust libm, rounded to f32, and hashed into the manifest.

use super::{elements, Kernel, Tier};
use assay_primitives::Hash32;
use candle_core::{bail, CpuStorage, CustomOp3, Layout, Result, Shape};

/// cos and sin, each `[positions, head_dim / 2]`, row by row.
pub struct Tables {
	/// cos of every angle.
	pub cos: Vec<f32>,
	/// sin of every angle.
	pub sin: Vec<f32>,
}

impl Tables {
	/// The angle of position p and pair i is `p · theta^(−2i / head_dim)`.
	pub fn new(theta: f32, head_dim: usize, positions: usize) -> Self {
		let half = head_dim / 2;
		let frequencies: Vec<f64> = (0..half)
			.map(|i| libm::pow(f64::from(theta), -((2 * i) as f64) / head_dim as f64))
			.collect();
		let angles = || (0..positions).flat_map(|p| frequencies.iter().map(move |f| p as f64 * f));
		Self {
			cos: angles().map(|a| libm::cos(a) as f32).collect(),
			sin: angles().map(|a| libm::sin(a) as f32).collect(),
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

/// Turns element i and element i + head_dim/2 of each head by the angle of the row's position. Operands: x f32
/// `[rows, heads · head_dim]`, cos and sin `[positions, head_dim/2]`.
pub struct Rope {
	/// Position of the first row.
	pub offset: usize,
	/// Length of one head.
	pub head_dim: usize,
	/// Which compilation runs.
	pub tier: Tier,
}

impl CustomOp3 for Rope {
	fn name(&self) -> &'static str {
		"c1-w8 rope"
	}

	fn cpu_fwd(
		&self,
		x: &CpuStorage,
		x_layout: &Layout,
		cos: &CpuStorage,
		cos_layout: &Layout,
		sin: &CpuStorage,
		sin_layout: &Layout,
	) -> Result<(CpuStorage, Shape)> {
		let (rows, width) = x_layout.shape().dims2()?;
		let (positions, half) = cos_layout.shape().dims2()?;
		if half * 2 != self.head_dim || half == 0 || width % self.head_dim != 0 || self.offset + rows > positions {
			bail!(
				"rope: {rows} rows of {width} from {} on, tables [{positions}, {half}]",
				self.offset
			);
		}
		let mut out = vec![0f32; rows * width];
		self.tier.run(RopeKernel {
			x: elements(x, x_layout)?,
			cos: &elements(cos, cos_layout)?[self.offset * half..],
			sin: &elements(sin, sin_layout)?[self.offset * half..],
			out: &mut out,
			width,
			half,
		});
		Ok((CpuStorage::F32(out), (rows, width).into()))
	}
}

struct RopeKernel<'a> {
	x: &'a [f32],
	cos: &'a [f32],
	sin: &'a [f32],
	out: &'a mut [f32],
	width: usize,
	half: usize,
}

impl Kernel for RopeKernel<'_> {
	#[inline(always)]
	fn run(self) {
		let Self {
			x,
			cos,
			sin,
			out,
			width,
			half,
		} = self;
		let rows = x.chunks_exact(width).zip(out.chunks_exact_mut(width));
		for ((x, out), (cos, sin)) in rows.zip(cos.chunks_exact(half).zip(sin.chunks_exact(half))) {
			for (x, out) in x.chunks_exact(2 * half).zip(out.chunks_exact_mut(2 * half)) {
				let ((a, b), (out_a, out_b)) = (x.split_at(half), out.split_at_mut(half));
				for i in 0..half {
					out_a[i] = a[i].mul_add(cos[i], -(b[i] * sin[i]));
					out_b[i] = b[i].mul_add(cos[i], a[i] * sin[i]);
				}
			}
		}
	}
}
