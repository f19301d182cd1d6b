//! The gate of a Llama block: `silu(g) · u`.

use super::{elements, exp::exp, Kernel, Tier};
use candle_core::{bail, CpuStorage, CustomOp2, Layout, Result, Shape};

/// `y = (g / (1 + exp(−g))) · u`, element by element.
pub struct SiluMul {
	/// Which compilation runs.
	pub tier: Tier,
}

impl CustomOp2 for SiluMul {
	fn name(&self) -> &'static str {
		"c1-w8 silu_mul"
	}

	fn cpu_fwd(
		&self,
		g: &CpuStorage,
		g_layout: &Layout,
		u: &CpuStorage,
		u_layout: &Layout,
	) -> Result<(CpuStorage, Shape)> {
		if g_layout.shape() != u_layout.shape() {
			bail!("silu_mul: {:?} and {:?}", g_layout.shape(), u_layout.shape());
		}
		let (g, u) = (elements(g, g_layout)?, elements(u, u_layout)?);
		let mut out = vec![0f32; g.len()];
		self.tier.run(SiluMulKernel { g, u, out: &mut out });
		Ok((CpuStorage::F32(out), g_layout.shape().clone()))
	}
}

struct SiluMulKernel<'a> {
	g: &'a [f32],
	u: &'a [f32],
	out: &'a mut [f32],
}

impl Kernel for SiluMulKernel<'_> {
	#[inline(always)]
	fn run(self) {
		for ((out, g), u) in self.out.iter_mut().zip(self.g).zip(self.u) {
			*out = (g / (1.0 + exp(-g))) * u;
		}
	}
}
