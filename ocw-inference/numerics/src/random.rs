//! Random matrices, for measuring and for tests.

use crate::{
	format::MatrixFormat,
	packed::{
		layout::{SCALE_BYTES, ZERO_BYTES},
		memory::bytes_mut,
		PackedMatrix, TILE,
	},
	Result,
};
use half::f16;
use rayon::prelude::*;

impl PackedMatrix {
	/// Makes a matrix of noise, the same for the same seed: integers uniform, and scales with which a result deviates by
	/// about as much as the operand's elements. Rows that are named in `zero_rows` are zeros.
	pub fn random(rows: usize, width: usize, format: MatrixFormat, seed: u64, zero_rows: &[u32]) -> Result<Self> {
		let mut packed = Self::zeros(rows, width, format)?;
		let unit = 2f32.powi((1.0 / (deviation(&format) * (width as f32).sqrt())).log2().round() as i32);
		let scales: [[u8; 2]; 8] = core::array::from_fn(|i| f16::from_f32(unit * (8 + i) as f32 / 16.0).to_le_bytes());
		let layout = *packed.layout();
		packed
			.lines
			.par_chunks_mut(layout.lines())
			.enumerate()
			.for_each(|(tile, lines)| {
				let bytes = bytes_mut(lines);
				let mut noise = Noise::new(seed, tile as u64);
				if layout.zero_bytes > 0 {
					noise.fill(&mut bytes[..layout.groups() * ZERO_BYTES]);
				}
				for group in 0..layout.groups() {
					let (begin, end) = (layout.zero_bytes + group * layout.group_bytes, layout.scales_at(group));
					noise.fill(&mut bytes[begin..end]);
					for (lane, scale) in bytes[end..end + SCALE_BYTES].chunks_exact_mut(2).enumerate() {
						let chosen = scales[(noise.next() >> 61) as usize];
						let zero = zero_rows.iter().any(|zero| *zero as usize == tile * TILE + lane);
						scale.copy_from_slice(if zero { &[0; 2] } else { &chosen });
					}
				}
			});
		Ok(packed)
	}
}

/// By how much an integer deviates from zero, if all bits of the weights are equally likely.
fn deviation(format: &MatrixFormat) -> f32 {
	match format {
		MatrixFormat::W8 { .. } => 74.0,
		MatrixFormat::W4 { table } => {
			let power: f32 = table.iter().map(|v| f32::from(*v) * f32::from(*v)).sum();
			(power / 16.0).sqrt().max(1.0)
		}
		MatrixFormat::W4z { .. } => 6.5,
	}
}

/// SplitMix64.
struct Noise(u64);

impl Noise {
	fn new(seed: u64, tile: u64) -> Self {
		Self((seed << 40 | tile).wrapping_mul(0xd134_2543_de82_ef95))
	}

	fn next(&mut self) -> u64 {
		self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
		let mut z = self.0;
		z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
		z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
		z ^ (z >> 31)
	}

	/// Fills a multiple of 8 bytes.
	fn fill(&mut self, bytes: &mut [u8]) {
		for eight in bytes.chunks_exact_mut(8) {
			eight.copy_from_slice(&self.next().to_le_bytes());
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::format::Group;

	#[test]
	fn noise_is_of_its_seed_and_as_loud_as_its_operand() {
		let (rows, width) = (70, 512);
		let table = core::array::from_fn(|i| (17 * i as i32 - 128) as i8);
		for format in [
			MatrixFormat::W8_32,
			MatrixFormat::W4 { table },
			MatrixFormat::W4z { group: Group::G64 },
		] {
			let read = |seed| {
				let packed = PackedMatrix::random(rows, width, format, seed, &[33]).unwrap();
				let mut out = vec![0f32; width];
				let row = |row| {
					assert!(packed.row(row, &mut out));
					out.clone()
				};
				(0..rows).map(row).collect::<Vec<_>>()
			};
			let noise = read(5);
			assert!(noise == read(5) && noise != read(6));
			assert!(noise[33].iter().all(|v| *v == 0.0));
			let power: f32 = noise.iter().flatten().map(|v| v * v).sum::<f32>() / (rows - 1) as f32;
			assert!((0.2..2.0).contains(&power), "{format}: {power}");
		}
	}
}
