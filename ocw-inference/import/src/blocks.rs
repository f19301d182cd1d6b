//! From published elements to the bytes of canonical tensors, a few rows at a time.
//!
//! Every function here maps whole rows to whole rows, so that a tensor of any size passes through buffers of a few
//! megabytes.

use crate::ggml::BlockType;
use assay_numerics::{
	packed::{quantize_block, BLOCK},
	QuantizeError,
};
use half::{bf16, f16};

/// How the elements of a published tensor are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
	F32,
	F16,
	Bf16,
	/// ggml's blocks.
	Blocks(BlockType),
}

impl Encoding {
	/// Returns how many elements are written together, and in how many bytes.
	fn unit(self) -> (usize, usize) {
		match self {
			Self::F32 => (1, 4),
			Self::F16 | Self::Bf16 => (1, 2),
			Self::Blocks(kind) => kind.size(),
		}
	}

	/// Returns the bytes of this many elements of one row; none if they do not fill blocks, or on overflow.
	pub(super) fn bytes(self, elements: u64) -> Option<u64> {
		let (unit, bytes) = self.unit();
		let whole = elements.is_multiple_of(unit as u64);
		whole.then(|| (elements / unit as u64).checked_mul(bytes as u64))?
	}

	/// Calls `each` with every element as f32; exact for the float encodings, by ggml's formula for blocks.
	pub(super) fn floats(self, data: &[u8], mut each: impl FnMut(f32)) {
		let units = data.chunks_exact(self.unit().1);
		let two = |b: &[u8]| <[u8; 2]>::try_from(b).unwrap_or_default();
		match self {
			Self::F32 => units.for_each(|b| each(f32::from_le_bytes(b.try_into().unwrap_or_default()))),
			Self::F16 => units.for_each(|b| each(f16::from_le_bytes(two(b)).to_f32())),
			Self::Bf16 => units.for_each(|b| each(bf16::from_le_bytes(two(b)).to_f32())),
			Self::Blocks(kind) => units.for_each(|block| kind.floats(block, &mut each)),
		}
	}
}

/// Appends rows of a matrix as int8 with scales, or returns why not. Blocks that are int8 and a scale already are kept;
/// what is left is quantized, 32 elements at a time.
pub(super) fn quantize_rows(
	encoding: Encoding,
	data: &[u8],
	weights: &mut Vec<u8>,
	scales: &mut Vec<u8>,
) -> Result<(), &'static str> {
	let (unit, bytes) = encoding.unit();
	// Enough units for blocks of ours.
	let bytes = bytes * (BLOCK / unit).max(1);
	let mut values = Vec::new();
	for part in data.chunks_exact(bytes) {
		if let Encoding::Blocks(kind) = encoding {
			if let Some((scale, w)) = kind.int8(part) {
				if !f16::from_le_bytes(scale).is_finite() {
					return Err("has a scale that is a NaN or an infinity");
				}
				scales.extend(scale);
				weights.extend(w.map(|w| w as u8));
				continue;
			}
		}
		values.clear();
		encoding.floats(part, |v| values.push(v));
		for block in values.as_chunks::<BLOCK>().0 {
			let (w, scale) = quantize_block(block).map_err(QuantizeError::reason)?;
			scales.extend(scale.to_le_bytes());
			weights.extend(w.map(|w| w as u8));
		}
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
		quantize_rows(Encoding::Blocks(BlockType::Q8_0), &block, &mut weights, &mut scales).unwrap();
		assert_eq!((&scales[..], &weights[..]), (&block[..2], &block[2..]));
		block[..2].copy_from_slice(&f16::NAN.to_le_bytes());
		assert!(quantize_rows(Encoding::Blocks(BlockType::Q8_0), &block, &mut weights, &mut scales).is_err());
	}

	#[test]
	fn blocks_with_other_scales_are_quantized_like_the_floats_they_stand_for() {
		for (kind, _, name, weights, bytes) in BlockType::ALL {
			let blocks: Vec<u8> = (0..3 * bytes).map(|i| (i * 37 % 64) as u8).collect();
			let (mut ours, mut scales) = (Vec::new(), Vec::new());
			quantize_rows(Encoding::Blocks(kind), &blocks, &mut ours, &mut scales).unwrap();
			assert_eq!((ours.len(), scales.len()), (3 * weights, 3 * weights / 16), "{name}");
			if kind.is_exact() {
				continue;
			}
			let (mut floats, mut plain, mut plain_scales) = (Vec::new(), Vec::new(), Vec::new());
			Encoding::Blocks(kind).floats(&blocks, |v| floats.extend(v.to_le_bytes()));
			quantize_rows(Encoding::F32, &floats, &mut plain, &mut plain_scales).unwrap();
			assert!(ours == plain && scales == plain_scales, "{name}");
			assert!(ours.iter().any(|w| *w != 0), "{name}");
		}
	}
}
