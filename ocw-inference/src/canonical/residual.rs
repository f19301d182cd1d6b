//! The residual stream: what a layer adds to its input.

use super::{by_rows, elements, Output};
use candle_core::{bail, CpuStorage, CustomOp2, Layout};

/// `x + y`, one addition for each element (§3). Operands and result f32 `[rows, width]`.
///
/// The same numbers as candle's own sum, but on rayon's threads: candle's wait for work by spinning, and a validator has better
/// uses for its cores.
pub struct Add;

impl CustomOp2 for Add {
	fn name(&self) -> &'static str {
		"c1-w8 add"
	}

	fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout, y: &CpuStorage, y_layout: &Layout) -> Output {
		let (rows, width) = x_layout.shape().dims2()?;
		if y_layout.shape().dims2()? != (rows, width) {
			bail!("add: [{rows}, {width}] and {:?}", y_layout.shape());
		}
		let (x, y) = (elements::<f32>(x, x_layout)?, elements::<f32>(y, y_layout)?);
		let mut out = vec![0f32; x.len()];
		by_rows(x, width, &mut out, width, |first, x, out| {
			let y = y.get(first * width..).unwrap_or_default();
			for (out, (x, y)) in out.iter_mut().zip(x.iter().zip(y)) {
				*out = x + y;
			}
			Ok(())
		})?;
		Ok((CpuStorage::F32(out), (rows, width).into()))
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use candle_core::{Device, Tensor};

	#[test]
	fn sums_are_candles_sums_whatever_the_number_of_rows() {
		for rows in [1, 2, 7, 600] {
			let x = Tensor::randn(0f32, 1.0, (rows, 96), &Device::Cpu).unwrap();
			let y = Tensor::randn(0f32, 1e3, (rows, 96), &Device::Cpu).unwrap();
			let sum = x.apply_op2_no_bwd(&y, &Add).unwrap();
			let candles = (&x + &y).unwrap();
			assert_eq!(sum.to_vec2::<f32>().unwrap(), candles.to_vec2::<f32>().unwrap());
			assert!(x.apply_op2_no_bwd(&y.narrow(1, 0, 32).unwrap(), &Add).is_err());
		}
	}
}
