//! ggml's types whose weights come in blocks: a few bits for each weight, with scales in f16.
//!
//! A block stands for the f32 values of ggml's own formula: every product, sum and difference is rounded once, in the
//! order in which it is written there. Four types say the same with one int8 for each weight and one f16 scale for 32 of
//! them, as c1-w8 does: those are kept, without any rounding.

use assay_numerics::BLOCK;
use half::f16;

/// The values that `iq4_nl` and `iq4_xs` choose from, by ggml.
const VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
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
}

impl BlockType {
	/// All types, by ggml's numbers and names, with the weights and bytes of a block.
	pub(super) const ALL: [(Self, u32, &'static str, usize, usize); 12] = [
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

	/// Whether a block is int8 and one scale, without loss.
	pub(super) fn is_exact(self) -> bool {
		matches!(self, Self::Q4_0 | Self::Q5_0 | Self::Q8_0 | Self::Iq4Nl)
	}

	/// Returns the scale and the weights of a block; of an exact type only.
	pub(super) fn int8(self, block: &[u8]) -> Option<([u8; 2], [i8; BLOCK])> {
		let mut fields = Fields(block);
		let scale = fields.array();
		let weights = match self {
			Self::Q4_0 => collect(nibbles(fields.rest(), 16).map(|q| q as i8 - 8)),
			Self::Q5_0 => {
				let high = bits(fields.bytes(4), 1);
				collect(with_high(nibbles(fields.rest(), 16), high).map(|q| q as i8 - 16))
			}
			Self::Q8_0 => collect(fields.rest().iter().map(|q| *q as i8)),
			Self::Iq4Nl => collect(nibbles(fields.rest(), 16).map(value)),
			_ => return None,
		};
		Some((scale, weights))
	}

	/// Calls `each` with every weight of a block.
	pub(super) fn floats(self, block: &[u8], mut each: impl FnMut(f32)) {
		if let Some((scale, weights)) = self.int8(block) {
			let scale = f16::from_le_bytes(scale).to_f32();
			return weights.iter().for_each(|w| each(scale * f32::from(*w)));
		}
		let mut fields = Fields(block);
		match self {
			Self::Q4_0 | Self::Q5_0 | Self::Q8_0 | Self::Iq4Nl => {}
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
				grouped::<32>(groups, nibbles(fields.rest(), 16).map(|q| f32::from(value(q))), each);
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

fn value(index: u8) -> i8 {
	VALUES.get(usize::from(index)).copied().unwrap_or_default()
}

fn collect(weights: impl Iterator<Item = i8>) -> [i8; BLOCK] {
	let mut out = [0; BLOCK];
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
			assert_eq!(kind.int8(&block).is_some(), kind.is_exact(), "{name}");
		}
	}
}
