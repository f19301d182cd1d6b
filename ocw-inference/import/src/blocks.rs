//! From published elements to the bytes of canonical tensors, a few rows at a time.
//!
//! Every function here maps whole rows to whole rows, so that a tensor of any size passes through buffers of a few
//! megabytes.

use crate::{
	ggml::BlockType,
	quantize::{quantize_rows, Plan, QuantizedRows},
};
use assay_numerics::format::MatrixFormat;
use half::{bf16, f16};

/// How the elements of a published tensor are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
	F32,
	F16,
	Bf16,
	/// Integers of four bytes, in which AWQ and GPTQ pack weights.
	I32,
	/// ggml's blocks.
	Blocks(BlockType),
}

impl Encoding {
	/// Returns how many elements are written together, and in how many bytes.
	fn unit(self) -> (usize, usize) {
		match self {
			Self::F32 | Self::I32 => (1, 4),
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

	/// Returns the format in which its elements are what they are, if it is the encoding of one.
	pub(super) fn kept_as(self) -> Option<MatrixFormat> {
		match self {
			Self::Blocks(kind) => kind.kept_as(),
			_ => None,
		}
	}

	/// Calls `each` with every element as f32; exact for the float encodings, by ggml's formula for blocks. Integers are
	/// no floats, and are nothing.
	pub(super) fn floats(self, data: &[u8], mut each: impl FnMut(f32)) {
		let units = data.chunks_exact(self.unit().1);
		let two = |b: &[u8]| <[u8; 2]>::try_from(b).unwrap_or_default();
		match self {
			Self::F32 => units.for_each(|b| each(f32::from_le_bytes(b.try_into().unwrap_or_default()))),
			Self::F16 => units.for_each(|b| each(f16::from_le_bytes(two(b)).to_f32())),
			Self::Bf16 => units.for_each(|b| each(bf16::from_le_bytes(two(b)).to_f32())),
			Self::I32 => {}
			Self::Blocks(kind) => units.for_each(|block| kind.floats(block, &mut each)),
		}
	}
}

/// Rows of a tensor of the architecture, whose first one is `first`.
pub(super) struct Rows<'a> {
	/// The tensor's name.
	pub(super) name: &'a str,
	pub(super) encoding: Encoding,
	pub(super) data: &'a [u8],
	/// Elements of a row.
	pub(super) width: usize,
	pub(super) first: usize,
}

impl Rows<'_> {
	/// Appends the rows in a format, or returns why not. What is in this format already is kept; everything else is
	/// quantized by the plan.
	pub(super) fn convert(
		&self,
		format: &MatrixFormat,
		plan: &Plan,
		out: &mut QuantizedRows,
	) -> Result<(), &'static str> {
		if let (Encoding::Blocks(kind), true) = (self.encoding, self.encoding.kept_as().as_ref() == Some(format)) {
			return if plan.changes(self.name) {
				Err("has blocks whose bits are kept, and channels that would be evened out")
			} else {
				kind.keep(self.data, out)
			};
		}
		quantize_rows(format, &self.values(plan), self.width, plan.importance(self.name), out)
	}

	/// Appends the rows as f32, or returns why not.
	pub(super) fn widen(&self, plan: &Plan, out: &mut Vec<u8>) -> Result<(), &'static str> {
		let values = self.values(plan);
		out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
		if values.iter().all(|v| v.is_finite()) {
			Ok(())
		} else {
			Err("has a NaN or an infinity")
		}
	}

	/// Returns the elements, evened out by the plan.
	fn values(&self, plan: &Plan) -> Vec<f32> {
		let mut values = Vec::new();
		self.encoding.floats(self.data, |v| values.push(v));
		plan.equalize(self.name, self.first, self.width, &mut values);
		values
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

	fn converted(encoding: Encoding, data: &[u8]) -> Result<QuantizedRows, &'static str> {
		let mut out = QuantizedRows::default();
		let rows = Rows {
			name: "x.weight",
			encoding,
			data,
			width: 32,
			first: 0,
		};
		rows.convert(&MatrixFormat::W8_32, &Plan::default(), &mut out)
			.map(|()| out)
	}

	#[test]
	fn blocks_of_llama_cpp_keep_their_bits_and_bad_scales_are_refused() {
		let mut block = f16::from_f32(0.25).to_le_bytes().to_vec();
		block.extend((0..32).map(|i| (i * 8 - 128) as i8 as u8));
		let kept = converted(Encoding::Blocks(BlockType::Q8_0), &block).unwrap();
		assert_eq!((&kept.scales[..], &kept.weights[..]), (&block[..2], &block[2..]));
		for bad in [f16::NAN, f16::INFINITY] {
			block[..2].copy_from_slice(&bad.to_le_bytes());
			let error = converted(Encoding::Blocks(BlockType::Q8_0), &block).unwrap_err();
			assert!(error.contains("a NaN or an infinity"), "{error}");
		}
	}

	#[test]
	fn blocks_of_no_format_are_quantized_like_the_floats_they_stand_for() {
		for (kind, _, name, weights, bytes) in BlockType::ALL {
			let mut blocks: Vec<u8> = (0..768 / weights * bytes).map(|i| (i * 37 % 64) as u8).collect();
			if kind == BlockType::Mxfp4 {
				// Exponents with which int8 has a scale.
				blocks.iter_mut().step_by(bytes).for_each(|exponent| *exponent = 120);
			}
			if kind.kept_as() == Some(MatrixFormat::W8_32) {
				continue;
			}
			let ours = converted(Encoding::Blocks(kind), &blocks).unwrap();
			assert_eq!((ours.weights.len(), ours.scales.len()), (768, 48), "{name}");
			let mut floats = Vec::new();
			Encoding::Blocks(kind).floats(&blocks, |v| floats.extend(v.to_le_bytes()));
			assert!(ours == converted(Encoding::F32, &floats).unwrap(), "{name}");
			assert!(ours.weights.iter().any(|w| *w != 0), "{name}");
		}
	}
}
