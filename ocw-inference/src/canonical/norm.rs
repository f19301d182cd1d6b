//! RMS norm: the sum of squares runs in 16 strided lanes, then a fixed tree.

use super::{elements, Kernel, Tier};
use candle_core::{bail, CpuStorage, CustomOp2, Layout, Result, Shape};

const LANES: usize = 16;

/// `y = (x · r) · w` with `r = 1 / √(mean(x²) + ε)`. Operands: x f32 `[rows, D]`, w f32 `[D]`.
pub struct RmsNorm {
	/// ε.
	pub epsilon: f32,
	/// Which compilation runs.
	pub tier: Tier,
}

impl CustomOp2 for RmsNorm {
	fn name(&self) -> &'static str {
		"c1-w8 rms_norm"
	}

	fn cpu_fwd(
		&self,
		x: &CpuStorage,
		x_layout: &Layout,
		w: &CpuStorage,
		w_layout: &Layout,
	) -> Result<(CpuStorage, Shape)> {
		let (rows, width) = x_layout.shape().dims2()?;
		if w_layout.shape().dims1()? != width || width == 0 {
			bail!("rms_norm: x [{rows}, {width}], w {:?}", w_layout.shape());
		}
		let mut out = vec![0f32; rows * width];
		let (x, w) = (elements(x, x_layout)?, elements(w, w_layout)?);
		self.tier.run(NormKernel {
			x,
			w,
			out: &mut out,
			epsilon: self.epsilon,
		});
		Ok((CpuStorage::F32(out), (rows, width).into()))
	}
}

struct NormKernel<'a> {
	x: &'a [f32],
	w: &'a [f32],
	out: &'a mut [f32],
	epsilon: f32,
}

impl Kernel for NormKernel<'_> {
	#[inline(always)]
	fn run(self) {
		let width = self.w.len();
		for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
			let mean = sum_of_squares(x) / width as f32;
			let r = 1.0 / (mean + self.epsilon).sqrt();
			for ((out, x), w) in out.iter_mut().zip(x).zip(self.w) {
				*out = (x * r) * w;
			}
		}
	}
}

/// Element i goes to lane i mod 16, in ascending order; then lanes 0–7 take 8–15, 0–3 take 4–7, and so on.
#[inline(always)]
fn sum_of_squares(x: &[f32]) -> f32 {
	let mut lanes = [0f32; LANES];
	for chunk in x.chunks(LANES) {
		for (lane, v) in lanes.iter_mut().zip(chunk) {
			*lane = v.mul_add(*v, *lane);
		}
	}
	for stride in [8, 4, 2, 1] {
		for i in 0..stride {
			lanes[i] += lanes[i + stride];
		}
	}
	lanes[0]
}

#[cfg(test)]
mod tests {
	use super::*;
	use candle_core::{Device, Tensor};

	#[test]
	fn both_tiers_and_every_width_give_the_same_bits_near_the_truth() {
		for width in [1usize, 15, 16, 17, 64, 100] {
			let x: Vec<f32> = (0..width).map(|i| ((i * 37 % 23) as f32 - 11.0) * 0.37).collect();
			let truth = (x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / width as f64 + 1e-5).sqrt();
			let w = Tensor::ones(width, candle_core::DType::F32, &Device::Cpu).unwrap();
			let x_tensor = Tensor::from_slice(&x, (1, width), &Device::Cpu).unwrap();
			let [a, b] = [Tier::Portable, Tier::detect()].map(|tier| {
				let y = x_tensor.apply_op2_no_bwd(&w, &RmsNorm { epsilon: 1e-5, tier }).unwrap();
				y.flatten_all().unwrap().to_vec1::<f32>().unwrap()
			});
			assert_eq!(a, b);
			for (a, x) in a.iter().zip(&x) {
				assert!((f64::from(*a) - f64::from(*x) / truth).abs() < 1e-5);
			}
		}
	}
}
