//! Random matrices, for measuring and for tests.

use crate::{
	packed::{bytes_mut, PackedMatrix, BLOCK, LINES, TILE},
	Result,
};
use half::f16;
use rayon::prelude::*;

impl PackedMatrix {
	/// Makes a matrix of noise, the same for the same seed: int8 uniform, and scales with which a result deviates by
	/// about as much as the operand's elements. Rows that are named in `zero_rows` are zeros.
	pub fn random(rows: usize, width: usize, seed: u64, zero_rows: &[u32]) -> Result<Self> {
		let mut packed = Self::zeros(rows, width)?;
		// An int8 deviates by 74.
		let unit = 2f32.powi((1.0 / (74.0 * (width as f32).sqrt())).log2().round() as i32);
		let scales: [[u8; 2]; 8] = core::array::from_fn(|i| f16::from_f32(unit * (8 + i) as f32 / 16.0).to_le_bytes());
		let blocks = width / BLOCK;
		packed.lines.par_chunks_mut(LINES).enumerate().for_each(|(i, block)| {
			// SplitMix64, from a state that each block has for itself.
			let mut state = (seed << 40 | i as u64).wrapping_mul(0xd134_2543_de82_ef95);
			let mut next = || {
				state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
				let mut z = state;
				z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
				z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
				z ^ (z >> 31)
			};
			let (weights, of_rows) = bytes_mut(block).split_at_mut(TILE * BLOCK);
			for eight in weights.chunks_exact_mut(8) {
				eight.copy_from_slice(&next().to_le_bytes());
			}
			for (lane, scale) in of_rows.chunks_exact_mut(2).enumerate() {
				let row = i / blocks * TILE + lane;
				let chosen = scales[(next() >> 61) as usize];
				let zero = zero_rows.iter().any(|zero| *zero as usize == row);
				scale.copy_from_slice(if zero { &[0; 2] } else { &chosen });
			}
		});
		Ok(packed)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn noise_is_of_its_seed_and_as_loud_as_its_operand() {
		let (rows, width) = (70, 512);
		let read = |seed| {
			let packed = PackedMatrix::random(rows, width, seed, &[33]).unwrap();
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
		assert!((0.2..2.0).contains(&power), "{power}");
	}
}
