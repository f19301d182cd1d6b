//! A set of GRANDPA authorities.

use alloc::collections::BTreeMap;
use assay_primitives::Hash32;

/// Most authorities of a set.
pub(crate) const MAX_AUTHORITIES: usize = 1_024;

/// The authorities of one set, each with its weight.
#[derive(Clone, Debug)]
pub(crate) struct AuthoritySet {
	weights: BTreeMap<Hash32, u64>,
	total: u128,
}

impl AuthoritySet {
	/// Returns a set of these authorities; none if there are none or too many, one is there twice, or one weighs nothing.
	pub(crate) fn new(authorities: impl IntoIterator<Item = (Hash32, u64)>) -> Option<Self> {
		let (mut weights, mut total) = (BTreeMap::new(), 0u128);
		for (key, weight) in authorities {
			if weight == 0 || weights.insert(key, weight).is_some() || weights.len() > MAX_AUTHORITIES {
				return None;
			}
			total = total.checked_add(weight.into())?;
		}
		(!weights.is_empty()).then_some(Self { weights, total })
	}

	/// Returns the weight of an authority; none if it is not in the set.
	pub(crate) fn weight(&self, key: &Hash32) -> Option<u64> {
		self.weights.get(key).copied()
	}

	/// Returns the authorities with their weights.
	pub(crate) fn iter(&self) -> impl Iterator<Item = (Hash32, u64)> + '_ {
		self.weights.iter().map(|(key, weight)| (*key, *weight))
	}

	/// Returns the number of authorities.
	pub(crate) fn len(&self) -> usize {
		self.weights.len()
	}

	/// Returns the least weight that finalizes a block: all but what may be faulty, which is less than a third.
	pub(crate) fn threshold(&self) -> u128 {
		let faulty = self.total.saturating_sub(1).checked_div(3).unwrap_or(0);
		self.total.saturating_sub(faulty)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn of(weights: &[u64]) -> Option<AuthoritySet> {
		AuthoritySet::new((0u8..).zip(weights).map(|(i, weight)| ([i; 32], *weight)))
	}

	#[test]
	fn the_threshold_is_more_than_two_thirds() {
		for (weights, threshold) in [
			(&[1][..], 1),
			(&[1, 1], 2),
			(&[1, 1, 1], 3),
			(&[1; 4], 3),
			(&[1; 6], 5),
			(&[1; 7], 5),
			(&[1; 10], 7),
			(&[5, 1, 1, 2], 7),
			(&[u64::MAX, u64::MAX], 24_595_658_764_946_068_821),
		] {
			let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
			let set = of(weights).unwrap();
			assert_eq!(set.threshold(), threshold, "{weights:?}");
			assert!(
				threshold * 3 > total * 2 && (threshold - 1) * 3 <= total * 2,
				"{weights:?}"
			);
		}
	}

	#[test]
	fn sets_without_authorities_weights_or_names_are_none() {
		assert!(of(&[]).is_none() && of(&[1, 0]).is_none());
		assert!(AuthoritySet::new([([1; 32], 1), ([1; 32], 1)]).is_none());
		let numbered = |n: usize| (0..n).map(|i| (core::array::from_fn(|at| (i >> (8 * (at % 4))) as u8), 1));
		assert!(AuthoritySet::new(numbered(MAX_AUTHORITIES)).is_some());
		assert!(AuthoritySet::new(numbered(MAX_AUTHORITIES + 1)).is_none());
	}
}
