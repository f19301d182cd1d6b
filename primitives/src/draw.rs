//! The draw of a committee: weighted by bond, without replacement, as a pure function of a seed.

use crate::hash::Hash32;
use alloc::vec::Vec;
use codec::Encode;

/// A provider that may be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<AccountId> {
	/// The provider's account.
	pub who: AccountId,
	/// Weight in the draw: the bond.
	pub weight: u128,
}

/// Returns the sampling seed of a job, from the VRF output of a block after its request.
pub fn sampling_seed(job: &crate::JobId, randomness: &Hash32) -> Hash32 {
	sp_crypto_hashing::blake2_256(&(b"assay/v1/seed", job, randomness).encode())
}

/// Returns the seed of one attempt's draw.
pub fn draw_seed(job: &crate::JobId, attempt: u8, randomness: &Hash32) -> Hash32 {
	sp_crypto_hashing::blake2_256(&(b"assay/v1/draw", job, attempt, randomness).encode())
}

/// Draws `n` of `candidates`, each with a chance proportional to its weight among those left. Returns them in the order
/// drawn, or `None` if fewer than `n` have weight.
///
/// Each step takes 128 bits of BLAKE2b(seed ‖ step) modulo the weight left; with weights below 2⁹⁶ the bias is below
/// 2⁻³².
pub fn draw<AccountId>(seed: &Hash32, mut candidates: Vec<Candidate<AccountId>>, n: u32) -> Option<Vec<AccountId>> {
	let mut drawn = Vec::with_capacity(n as usize);
	for step in 0..n {
		let total = candidates.iter().fold(0u128, |sum, c| sum.saturating_add(c.weight));
		let hash = sp_crypto_hashing::blake2_256(&(seed, step).encode());
		let mut wide = [0u8; 16];
		wide.iter_mut().zip(hash.iter()).for_each(|(w, h)| *w = *h);
		let mut ticket = u128::from_le_bytes(wide).checked_rem(total)?;
		let winner = candidates.iter().position(|c| match ticket.checked_sub(c.weight) {
			Some(rest) => {
				ticket = rest;
				false
			}
			None => true,
		})?;
		drawn.push(candidates.swap_remove(winner).who);
	}
	Some(drawn)
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	fn candidates(weights: &[u128]) -> Vec<Candidate<usize>> {
		weights
			.iter()
			.enumerate()
			.map(|(who, weight)| Candidate { who, weight: *weight })
			.collect()
	}

	#[test]
	fn a_double_bond_is_drawn_first_twice_as_often() {
		let first = (0u32..30_000)
			.filter(|i| {
				let seed = sp_crypto_hashing::blake2_256(&i.to_le_bytes());
				draw(&seed, candidates(&[1_000, 2_000]), 1) == Some(vec![1])
			})
			.count();
		assert!((19_500..20_500).contains(&first), "{first} of 30000");
	}

	proptest! {
		#[test]
		fn nobody_sits_twice_and_only_bonded_sit(
			seed in any::<[u8; 32]>(), weights in prop::collection::vec(0u128..1 << 90, 0..20), n in 0u32..14,
		) {
			let able = weights.iter().filter(|w| **w > 0).count();
			match draw(&seed, candidates(&weights), n) {
				Some(drawn) => {
					prop_assert_eq!(drawn.len(), n as usize);
					let mut sorted = drawn.clone();
					sorted.sort_unstable();
					sorted.dedup();
					prop_assert_eq!(sorted.len(), drawn.len());
					prop_assert!(drawn.iter().all(|i| weights[*i] > 0));
				},
				None => prop_assert!(able < n as usize),
			}
		}
	}
}
