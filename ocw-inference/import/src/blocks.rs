//! From published elements to the bytes of canonical tensors, a few rows at a time.
//!
//! Every function here maps whole rows to whole rows, so that a tensor of any size passes through buffers of a few
//! megabytes.

use assay_numerics::{
	packed::{quantize_block, BLOCK},
	QuantizeError,
};
use half::{bf16, f16};

/// Bytes of a GGUF Q8_0 block: an f16 scale and 32 int8.
pub(super) const Q8_BLOCK: usize = 2 + BLOCK;

/// How the elements of a published tensor are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
	F32,
	F16,
	Bf16,
	/// GGUF's blocks of 32: an f16 scale and 32 int8.
	Q8,
}

impl Encoding {
	/// Returns the bytes of this many elements of one row; none if they do not fill blocks, or on overflow.
	pub(super) fn bytes(self, elements: u64) -> Option<u64> {
		match self {
			Self::F32 => elements.checked_mul(4),
			Self::F16 | Self::Bf16 => elements.checked_mul(2),
			Self::Q8 if elements.is_multiple_of(BLOCK as u64) => (elements / BLOCK as u64).checked_mul(Q8_BLOCK as u64),
			Self::Q8 => None,
		}
	}

	/// Calls `each` with every element as f32; exact for the float encodings, `scale · weight` for blocks.
	pub(super) fn floats(self, data: &[u8], mut each: impl FnMut(f32)) {
		let two = |b: &[u8]| <[u8; 2]>::try_from(b).unwrap_or_default();
		match self {
			Self::F32 => data
				.chunks_exact(4)
				.for_each(|b| each(f32::from_le_bytes(b.try_into().unwrap_or_default()))),
			Self::F16 => data
				.chunks_exact(2)
				.for_each(|b| each(f16::from_le_bytes(two(b)).to_f32())),
			Self::Bf16 => data
				.chunks_exact(2)
				.for_each(|b| each(bf16::from_le_bytes(two(b)).to_f32())),
			Self::Q8 => {
				for block in data.chunks_exact(Q8_BLOCK) {
					let (scale, weights) = block.split_at(2);
					let scale = f16::from_le_bytes(two(scale)).to_f32();
					weights.iter().for_each(|w| each(scale * f32::from(*w as i8)));
				}
			}
		}
	}
}

/// Appends rows of a matrix as int8 with scales, or returns why not. Q8_0 blocks keep their bits; floats are quantized
/// block by block.
pub(super) fn quantize_rows(
	encoding: Encoding,
	data: &[u8],
	weights: &mut Vec<u8>,
	scales: &mut Vec<u8>,
) -> Result<(), &'static str> {
	if encoding == Encoding::Q8 {
		for block in data.chunks_exact(Q8_BLOCK) {
			let (scale, w) = block.split_at(2);
			if !f16::from_le_bytes(scale.try_into().unwrap_or_default()).is_finite() {
				return Err("has a scale that is a NaN or an infinity");
			}
			scales.extend(scale);
			weights.extend(w);
		}
		return Ok(());
	}
	let width = encoding.bytes(BLOCK as u64).unwrap_or(1) as usize;
	for block in data.chunks_exact(width) {
		let mut values = [0f32; BLOCK];
		let mut slots = values.iter_mut();
		encoding.floats(block, |v| {
			if let Some(slot) = slots.next() {
				*slot = v;
			}
		});
		let (w, scale) = quantize_block(&values).map_err(QuantizeError::reason)?;
		scales.extend(scale.to_le_bytes());
		weights.extend(w.map(|w| w as u8));
	}
	Ok(())
}

/// Appends rows as f32, or returns why not.
pub(super) fn widen_rows(encoding: Encoding, data: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
	let mut finite = true;
	encoding.floats(data, |v| {
		finite &= v.is_finite();
		out.extend(v.to_le_bytes());
	});
	if finite {
		Ok(())
	} else {
		Err("has a NaN or an infinity")
	}
}

/// Puts rows that llama.cpp interleaved back into Hugging Face's order. `group` rows of `row` bytes are one head: its row
/// 2i + s is the head's row s · group / 2 + i here.
pub(super) fn uninterleave(data: &mut [u8], row: usize, group: usize) {
	if row == 0 || group < 2 {
		return;
	}
	let mut head = vec![0u8; row * group];
	for rows in data.chunks_exact_mut(row * group) {
		head.copy_from_slice(rows);
		for (at, target) in rows.chunks_exact_mut(row).enumerate() {
			let from = 2 * (at % (group / 2)) + at / (group / 2);
			if let Some(source) = head.chunks_exact(row).nth(from) {
				target.copy_from_slice(source);
			}
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn rows_go_back_to_where_they_were_before_llama_cpp_interleaved_them() {
		// llama.cpp: w.reshape(heads, 2, d / 2, k).swapaxes(1, 2)
		let (heads, d, k) = (3, 8, 2);
		let row = |head: usize, r: usize| [(head * d + r) as u8; 2];
		let mut data = Vec::new();
		for head in 0..heads {
			for i in 0..d / 2 {
				for s in 0..2 {
					data.extend(row(head, s * d / 2 + i));
				}
			}
		}
		uninterleave(&mut data, k, d);
		let expected: Vec<u8> = (0..heads).flat_map(|h| (0..d).flat_map(move |r| row(h, r))).collect();
		assert_eq!(data, expected);
	}

	#[test]
	fn blocks_of_llama_cpp_keep_their_bits_and_bad_scales_are_refused() {
		let mut block = f16::from_f32(0.25).to_le_bytes().to_vec();
		block.extend((0..32).map(|i| (i * 8 - 128) as i8 as u8));
		let (mut weights, mut scales) = (Vec::new(), Vec::new());
		quantize_rows(Encoding::Q8, &block, &mut weights, &mut scales).unwrap();
		assert_eq!((&scales[..], &weights[..]), (&block[..2], &block[2..]));
		block[..2].copy_from_slice(&f16::NAN.to_le_bytes());
		assert!(quantize_rows(Encoding::Q8, &block, &mut weights, &mut scales).is_err());
	}
}
