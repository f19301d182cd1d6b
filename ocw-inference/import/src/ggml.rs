//! ggml's types whose weights come in blocks: a few bits for each weight, with scales in f16.
//!
//! A block stands for the f32 values of ggml's own formula: every product, sum and difference is rounded once, in the
//! order in which it is written there. Some types say the same as a format of c2 does: with an int8 for each weight, or an
//! index into a table of sixteen, and one f16 scale for 32 of them. Those are kept, without any rounding.

use crate::quantize::QuantizedRows;
use assay_numerics::{format::MatrixFormat, BLOCK};
use half::f16;

/// The values that `iq4_nl` and `iq4_xs` choose from, by ggml.
pub(super) const IQ4_NL: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/// The same of `q4_0`, which takes 8 away from what it stores.
const Q4_0: [i8; 16] = [-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7];
/// The same of `mxfp4`: twice the floats of four bits, of which the ninth is a zero with a sign.
const MXFP4: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
/// Weights of a large block.
const LARGE: usize = 256;

/// A type of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BlockType {
	Q4_0,
	Q4_1,
	Q5_0,
	Q5_1,
	Q8_0,
	Q2K,
	Q3K,
	Q4K,
	Q5K,
	Q6K,
	Iq4Nl,
	Iq4Xs,
	Mxfp4,
}

impl BlockType {
	/// All types, by ggml's numbers and names, with the weights and bytes of a block.
	pub(super) const ALL: [(Self, u32, &'static str, usize, usize); 13] = [
		(Self::Q4_0, 2, "q4_0", BLOCK, 18),
		(Self::Q4_1, 3, "q4_1", BLOCK, 20),
		(Self::Q5_0, 6, "q5_0", BLOCK, 22),
		(Self::Q5_1, 7, "q5_1", BLOCK, 24),
		(Self::Q8_0, 8, "q8_0", BLOCK, 34),
		(Self::Q2K, 10, "q2_k", LARGE, 84),
		(Self::Q3K, 11, "q3_k", LARGE, 110),
		(Self::Q4K, 12, "q4_k", LARGE, 144),
		(Self::Q5K, 13, "q5_k", LARGE, 176),
		(Self::Q6K, 14, "q6_k", LARGE, 210),
		(Self::Iq4Nl, 20, "iq4_nl", BLOCK, 18),
		(Self::Iq4Xs, 23, "iq4_xs", LARGE, 136),
		(Self::Mxfp4, 39, "mxfp4", BLOCK, 17),
	];

	/// Returns the type of ggml's number.
	pub(super) fn of(number: u32) -> Option<Self> {
		let (kind, ..) = Self::ALL.into_iter().find(|(_, n, ..)| *n == number)?;
		Some(kind)
	}

	pub(super) fn name(self) -> &'static str {
		Self::ALL
			.iter()
			.find(|(kind, ..)| *kind == self)
			.map_or("", |(_, _, name, ..)| name)
	}

	/// Returns how many weights a block has, and how many bytes.
	pub(super) fn size(self) -> (usize, usize) {
		Self::ALL
			.iter()
			.find(|(kind, ..)| *kind == self)
			.map_or((1, 1), |(_, _, _, weights, bytes)| (*weights, *bytes))
	}

	/// Returns the format of c2 that says the same, if there is one.
	pub(super) fn kept_as(self) -> Option<MatrixFormat> {
		match self {
			Self::Q5_0 | Self::Q8_0 => Some(MatrixFormat::W8_32),
			_ => self.table().map(|table| MatrixFormat::W4 { table }),
		}
	}

	/// Returns what the four bits of a weight choose from, of a type whose weights are nothing else.
	fn table(self) -> Option<[i8; 16]> {
		match self {
			Self::Q4_0 => Some(Q4_0),
			Self::Iq4Nl => Some(IQ4_NL),
			Self::Mxfp4 => Some(MXFP4),
			_ => None,
		}
	}

	/// Appends blocks in the format that says the same, or returns why that cannot hold them.
	pub(super) fn keep(self, blocks: &[u8], out: &mut QuantizedRows) -> Result<(), &'static str> {
		for block in blocks.chunks_exact(self.size().1) {
			let scale = if let Some((scale, indices)) = self.indices(block) {
				let halves = indices.as_chunks::<2>().0;
				out.weights.extend(halves.iter().map(|[even, odd]| even | odd << 4));
				half_of(scale, indices.iter().all(|i| self.value(*i) == 0))?
			} else if let Some((scale, weights)) = self.int8(block) {
				out.weights.extend(weights.map(|w| w as u8));
				half_of(scale, false)?
			} else {
				return Err("has blocks that no format of c2 stands for");
			};
			out.scales.extend(scale.to_le_bytes());
		}
		Ok(())
	}

	/// Returns the scale and the weights of a block of int8.
	fn int8(self, block: &[u8]) -> Option<(f32, [i8; BLOCK])> {
		let mut fields = Fields(block);
		let scale = fields.half();
		let weights = match self {
			Self::Q5_0 => {
				let high = bits(fields.bytes(4), 1);
				collect(with_high(nibbles(fields.rest(), 16), high).map(|q| q as i8 - 16))
			}
			Self::Q8_0 => collect(fields.rest().iter().map(|q| *q as i8)),
			_ => return None,
		};
		Some((scale, weights))
	}

	/// Returns the scale of a block, and each weight's index into the table.
	fn indices(self, block: &[u8]) -> Option<(f32, [u8; BLOCK])> {
		self.table()?;
		let mut fields = Fields(block);
		let scale = match self {
			Self::Mxfp4 => power_of_two(fields.array::<1>()[0]),
			_ => fields.half(),
		};
		Some((scale, collect(nibbles(fields.rest(), 16))))
	}

	/// Returns what an index stands for.
	fn value(self, index: u8) -> i8 {
		let table = self.table().unwrap_or(IQ4_NL);
		table.get(usize::from(index)).copied().unwrap_or_default()
	}

	/// Calls `each` with every weight of a block.
	pub(super) fn floats(self, block: &[u8], mut each: impl FnMut(f32)) {
		if let Some((scale, weights)) = self.int8(block) {
			return weights.iter().for_each(|w| each(scale * f32::from(*w)));
		}
		if let Some((scale, indices)) = self.indices(block) {
			return indices.iter().for_each(|i| each(scale * f32::from(self.value(*i))));
		}
		let mut fields = Fields(block);
		match self {
			Self::Q4_0 | Self::Q5_0 | Self::Q8_0 | Self::Iq4Nl | Self::Mxfp4 => {}
			Self::Q4_1 => {
				let (scale, least) = (fields.half(), fields.half());
				nibbles(fields.rest(), 16).for_each(|q| each(scale * f32::from(q) + least));
			}
			Self::Q5_1 => {
				let (scale, least) = (fields.half(), fields.half());
				let high = bits(fields.bytes(4), 1);
				with_high(nibbles(fields.rest(), 16), high).for_each(|q| each(scale * f32::from(q) + least));
			}
			Self::Q2K => q2_k(fields, each),
			Self::Q3K => q3_k(fields, each),
			Self::Q4K => {
				let groups = six_bits(&mut fields);
				grouped::<32>(groups, nibbles(fields.rest(), 32).map(f32::from), each);
			}
			Self::Q5K => {
				let groups = six_bits(&mut fields);
				let high = bits(fields.bytes(32), 32);
				grouped::<32>(groups, with_high(nibbles(fields.rest(), 32), high).map(f32::from), each);
			}
			Self::Q6K => {
				let (low, high, scales) = (fields.bytes(128), fields.bytes(64), fields.bytes(16));
				let scale = fields.half();
				let groups = scales.iter().map(|s| (scale * f32::from(*s as i8), 0.0));
				let quants = with_high(nibbles(low, 64), pairs(high)).map(|q| f32::from(q as i8 - 32));
				grouped::<16>(groups, quants, each);
			}
			Self::Iq4Xs => {
				let scale = fields.half();
				let (high, low) = (fields.bytes(2), fields.bytes(4));
				let scales = with_high(nibbles(low, 1), planes(high, 1, 2));
				let groups = scales.map(|s| (scale * f32::from(s as i8 - 32), 0.0));
				grouped::<32>(
					groups,
					nibbles(fields.rest(), 16).map(|q| f32::from(self.value(q))),
					each,
				);
			}
		}
	}
}

fn q2_k(mut fields: Fields<'_>, each: impl FnMut(f32)) {
	let (scales, quants) = (fields.bytes(16), fields.bytes(64));
	let (scale, least) = (fields.half(), fields.half());
	let group = |s: &u8| (scale * f32::from(s & 15), least * f32::from(s >> 4));
	grouped::<16>(scales.iter().map(group), pairs(quants).map(f32::from), each);
}

fn q3_k(mut fields: Fields<'_>, each: impl FnMut(f32)) {
	let (high, quants) = (fields.bytes(32), fields.bytes(64));
	let (low_scales, high_scales) = (fields.bytes(8), fields.bytes(4));
	let scale = fields.half();
	let scales = with_high(nibbles(low_scales, 8), planes(high_scales, 4, 2));
	let groups = scales.map(|s| (scale * f32::from(s as i8 - 32), 0.0));
	// A bit that is clear takes 4 away.
	let quants = pairs(quants).zip(bits(high, 32));
	grouped::<16>(groups, quants.map(|(q, h)| f32::from(q) - f32::from(4 - 4 * h)), each);
}

/// Calls `each` with `scale · quant − least`, `N` quants to a group.
fn grouped<const N: usize>(
	groups: impl Iterator<Item = (f32, f32)>,
	mut quants: impl Iterator<Item = f32>,
	mut each: impl FnMut(f32),
) {
	for (scale, least) in groups {
		quants.by_ref().take(N).for_each(|q| each(scale * q - least));
	}
}

/// Returns the `size`-bit numbers of each `width` bytes: the lowest bits of all of them first.
fn planes(bytes: &[u8], width: usize, size: u32) -> impl Iterator<Item = u8> + '_ {
	let mask = (1u8 << size) - 1;
	bytes.chunks(width).flat_map(move |chunk| {
		(0..8)
			.step_by(size as usize)
			.flat_map(move |shift| chunk.iter().map(move |byte| (byte >> shift) & mask))
	})
}

fn nibbles(bytes: &[u8], width: usize) -> impl Iterator<Item = u8> + '_ {
	planes(bytes, width, 4)
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
	planes(bytes, 32, 2)
}

fn bits(bytes: &[u8], width: usize) -> impl Iterator<Item = u8> + '_ {
	planes(bytes, width, 1)
}

/// Puts bits above four lower ones.
fn with_high(low: impl Iterator<Item = u8>, high: impl Iterator<Item = u8>) -> impl Iterator<Item = u8> {
	low.zip(high).map(|(low, high)| low | (high << 4))
}

/// Returns the scale and the least value of the eight groups of `q4_k` and `q5_k`: two of f16, times six bits each that
/// are packed into 12 bytes.
fn six_bits(fields: &mut Fields<'_>) -> impl Iterator<Item = (f32, f32)> + use<> {
	let (scale, least) = (fields.half(), fields.half());
	let [first, second, rest] = [(); 3].map(|()| fields.array::<4>());
	let pairs = first.into_iter().zip(second);
	let low = pairs.clone().map(|(s, m)| (s & 63, m & 63));
	let high = pairs
		.zip(rest)
		.map(|((s, m), r)| ((r & 15) | (s >> 6 << 4), (r >> 4) | (m >> 6 << 4)));
	low.chain(high)
		.map(move |(s, m)| (scale * f32::from(s), least * f32::from(m)))
}

/// Returns the scale that `mxfp4` writes as an exponent: half of 2^(e − 127), since the table has twice the values.
fn power_of_two(exponent: u8) -> f32 {
	f32::from_bits(match exponent {
		0 | 1 => 0x0020_0000 << exponent,
		e => u32::from(e - 1) << 23,
	})
}

/// Returns a scale as f16, if that holds it. What only scales zeros may as well be zero.
fn half_of(scale: f32, only_zeros: bool) -> Result<f16, &'static str> {
	let half = f16::from_f32(scale);
	if !scale.is_finite() {
		Err("has a scale that is a NaN or an infinity")
	} else if half.to_f32() == scale {
		Ok(half)
	} else if only_zeros {
		Ok(f16::ZERO)
	} else {
		Err("has a scale that f16 does not hold exactly")
	}
}

fn collect<T: Copy + Default>(weights: impl Iterator<Item = T>) -> [T; BLOCK] {
	let mut out = [T::default(); BLOCK];
	out.iter_mut().zip(weights).for_each(|(slot, w)| *slot = w);
	out
}

/// What is left of a block; zeros and nothing beyond its end.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
	fn bytes(&mut self, count: usize) -> &'a [u8] {
		let (taken, rest) = self.0.split_at_checked(count).unwrap_or((self.0, &[]));
		self.0 = rest;
		taken
	}

	fn array<const N: usize>(&mut self) -> [u8; N] {
		self.bytes(N).try_into().unwrap_or([0; N])
	}

	fn half(&mut self) -> f32 {
		f16::from_le_bytes(self.array()).to_f32()
	}

	fn rest(self) -> &'a [u8] {
		self.0
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::Value;

	/// Written by `tests/fixtures/make_blocks.py` with ggml's own Python package.
	const BLOCKS: &str = include_str!("../tests/fixtures/blocks.json");

	/// Returns the values of rows of 32 in a format.
	fn values(format: MatrixFormat, rows: &QuantizedRows) -> Vec<f32> {
		let scales = rows
			.scales
			.as_chunks::<2>()
			.0
			.iter()
			.map(|s| f16::from_le_bytes(*s).to_f32());
		let weights: Vec<i8> = match format {
			MatrixFormat::W4 { table } => {
				let both = |b: &u8| [b & 15, b >> 4].map(|i| table[usize::from(i)]);
				rows.weights.iter().flat_map(both).collect()
			}
			_ => rows.weights.iter().map(|w| *w as i8).collect(),
		};
		let groups = weights.chunks(BLOCK).zip(scales);
		groups
			.flat_map(|(group, scale)| group.iter().map(move |w| scale * f32::from(*w)))
			.collect()
	}

	#[test]
	fn blocks_that_are_kept_keep_every_value() {
		for (kind, _, name, weights, bytes) in BlockType::ALL {
			let Some(format) = kind.kept_as() else { continue };
			for seed in 0..200u32 {
				let mut block: Vec<u8> = (0..bytes as u32)
					.map(|i| (seed * 31 + i * i * 37 + i * 11) as u8)
					.collect();
				if kind == BlockType::Mxfp4 {
					block[0] = 104 + (seed % 40) as u8;
				} else {
					block[1] &= 0xBF;
				}
				let (mut kept, mut floats) = (QuantizedRows::default(), Vec::new());
				kind.keep(&block, &mut kept).unwrap();
				kind.floats(&block, |v| floats.push(v));
				assert_eq!(values(format, &kept), floats, "{name} {seed}");
				assert_eq!(
					(kept.weights.len(), kept.scales.len()),
					(format.weight_bytes(weights), 2),
					"{name}"
				);
				assert!(kept.zeros.is_empty());
			}
		}
	}

	#[test]
	fn a_scale_of_mxfp4_beyond_f16_is_refused_unless_it_scales_zeros() {
		let keep = |exponent: u8, weights: u8| {
			let mut block = vec![weights; 17];
			block[0] = exponent;
			let mut kept = QuantizedRows::default();
			BlockType::Mxfp4.keep(&block, &mut kept).map(|()| kept)
		};
		for exponent in 0..=255 {
			let holds = (104..=143).contains(&exponent);
			assert_eq!(keep(exponent, 0x21).is_ok(), holds, "{exponent}");
			// Zeros with and without a sign.
			let zeros = keep(exponent, 0x80).unwrap();
			let scale = f16::from_le_bytes([zeros.scales[0], zeros.scales[1]]).to_f32();
			assert_eq!(scale == 0.0, !holds, "{exponent}");
			let mut floats = Vec::new();
			BlockType::Mxfp4.floats(&[&[exponent][..], &[0x80; 16]].concat(), |v| floats.push(v));
			assert!(floats.iter().all(|v| *v == 0.0));
		}
		assert!(keep(144, 0x21).unwrap_err().contains("does not hold"));
	}

	#[test]
	fn blocks_stand_for_the_values_that_ggml_gives_them() {
		let blocks: Value = serde_json::from_str(BLOCKS).unwrap();
		for (kind, _, name, weights, bytes) in BlockType::ALL {
			let hex = blocks[name]["block"].as_str().unwrap();
			let digits = hex.as_bytes().as_chunks::<2>().0;
			let block: Vec<u8> = digits
				.iter()
				.map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap())
				.collect();
			assert_eq!(block.len(), bytes, "{name}");
			let (mut hasher, mut count) = (blake3::Hasher::new(), 0);
			kind.floats(&block, |v| {
				// Zeros have no sign here, since no product depends on it.
				hasher.update(&(v + 0.0).to_le_bytes());
				count += 1;
			});
			assert_eq!(count, weights, "{name}");
			let floats = hasher.finalize().to_hex();
			assert_eq!(*floats, *blocks[name]["floats"].as_str().unwrap(), "{name}");
			let mut kept = QuantizedRows::default();
			assert_eq!(kind.keep(&block, &mut kept).is_ok(), kind.kept_as().is_some(), "{name}");
		}
	}
}
