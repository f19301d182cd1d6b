//! Floats to int8 in groups of 32.

use super::{PackedMatrix, BLOCK};
use crate::{error::bail_shape, QuantizeError, Result};
use alloc::vec::Vec;
use half::f16;

impl PackedMatrix {
	/// Quantizes a matrix of floats `[rows, width]` to int8 in groups of 32; `width` is a multiple of 32.
	pub fn quantize(weights: &[f32], width: usize) -> Result<Self> {
		let (blocks, rest) = weights.as_chunks::<BLOCK>();
		if !rest.is_empty() {
			bail_shape!(
				"{} weights of a matrix of width {width} are not whole blocks",
				weights.len()
			);
		}
		let (mut quantized, mut scales) = (Vec::with_capacity(weights.len()), Vec::with_capacity(blocks.len()));
		for block in blocks {
			let (w, scale) = quantize_block(block)?;
			quantized.extend(w.map(|w| w as u8));
			scales.push(scale);
		}
		Self::pack(&[(&quantized, &scales)], width)
	}
}

/// Quantizes one block of 32, as [`quantize_group`] does.
#[inline]
pub fn quantize_block(values: &[f32; BLOCK]) -> core::result::Result<([i8; BLOCK], f16), QuantizeError> {
	let mut weights = [0i8; BLOCK];
	let scale = quantize_group(values, &mut weights)?;
	Ok((weights, scale))
}

/// Quantizes one group to int8 (`docs/spec/c2.md`, "Quantizer"): the scale is `max|w| / 127` rounded to f16, a weight is
/// `w / scale` rounded to the nearest int8, ties to even. Returns the scale.
#[inline]
pub fn quantize_group(values: &[f32], weights: &mut [i8]) -> core::result::Result<f16, QuantizeError> {
	// Added and taken away again it rounds to an integer, ties to even: 1.5 · 2²³. Exact below 2²².
	const ROUND: f32 = 12_582_912.0;
	if !values.iter().fold(true, |ok, v| ok & v.is_finite()) {
		return Err(QuantizeError::NonFinite);
	}
	let amax = values.iter().fold(0f32, |a, v| a.max(v.abs()));
	let scale = f16::from_f32(amax / 127.0);
	if !scale.is_finite() {
		return Err(QuantizeError::TooLarge);
	}
	let d = scale.to_f32();
	for (w, v) in weights.iter_mut().zip(values) {
		*w = if d == 0.0 {
			0
		} else {
			(((v / d).clamp(-127.0, 127.0) + ROUND) - ROUND) as i8
		};
	}
	Ok(scale)
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	proptest! {
		#[test]
		fn a_block_is_quantized_as_the_specification_says(bits in prop::array::uniform32(any::<u32>()), small in any::<bool>()) {
			let values = bits.map(|b| if small { (b as i32 as f32) / 3e9 } else { f32::from_bits(b) });
			let amax = values.iter().fold(0f32, |a, v| a.max(v.abs()));
			let scale = f16::from_f32(amax / 127.0);
			match quantize_block(&values) {
				Err(_) => prop_assert!(values.iter().any(|v| !v.is_finite()) || !scale.is_finite()),
				Ok((weights, s)) => {
					prop_assert_eq!(s, scale);
					for (w, v) in weights.iter().zip(values) {
						let d = scale.to_f32();
						let q = if d == 0.0 { 0.0 } else { (v / d).round_ties_even().clamp(-127.0, 127.0) };
						prop_assert_eq!(f32::from(*w), q);
					}
				}
			}
		}
	}
}
