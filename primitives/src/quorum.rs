//! Thresholds and the tally of a committee, as pure functions.

use crate::{limits::MAX_COMMITTEE, Vote};

/// Returns how many voters of `n` may be faulty without deciding anything: ⌊(n − 1)/3⌋.
pub const fn byzantine_threshold(n: u32) -> u32 {
	n.saturating_sub(1) / 3
}

/// Returns how many equal votes of `n` decide: n − ⌊(n − 1)/3⌋.
pub const fn supermajority_threshold(n: u32) -> u32 {
	n.saturating_sub(byzantine_threshold(n))
}

/// Returns whether a committee may have this size: n = 3f + 1, from 1 to [`MAX_COMMITTEE`].
pub const fn is_committee_size(n: u32) -> bool {
	n >= 1 && n <= MAX_COMMITTEE && n % 3 == 1
}

/// Returns the size after a committee that did not decide: the next 3f + 1, up to `limit`.
pub const fn next_committee_size(n: u32, limit: u32) -> u32 {
	let next = n.saturating_add(3);
	if next <= limit && is_committee_size(next) {
		next
	} else {
		n
	}
}

/// Returns the vote that a supermajority of a committee of `n` shares, if any. `votes` are the revealed ones, one a
/// voter.
pub fn tally<'a>(n: u32, votes: impl Iterator<Item = &'a Vote> + Clone) -> Option<Vote> {
	let needed = supermajority_threshold(n) as usize;
	votes
		.clone()
		.find(|candidate| votes.clone().filter(|v| v == candidate).count() >= needed.max(1))
		.copied()
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::TraceRoot;
	use proptest::prelude::*;

	fn vote(kind: u8) -> Vote {
		if kind.is_multiple_of(2) {
			Vote::Confirm {
				trace_root: TraceRoot([kind; 32]),
			}
		} else {
			Vote::Reject {
				position: u32::from(kind),
				prefix_root: TraceRoot([kind; 32]),
			}
		}
	}

	#[test]
	fn thresholds_are_the_published_ones() {
		for (n, needed) in [(1, 1), (4, 3), (7, 5), (10, 7), (13, 9)] {
			assert!(is_committee_size(n));
			assert_eq!(supermajority_threshold(n), needed);
		}
		for n in [0, 2, 3, 5, 6, 14, 16] {
			assert!(!is_committee_size(n));
		}
	}

	#[test]
	fn a_committee_grows_by_three_up_to_the_limit() {
		assert_eq!(next_committee_size(4, 13), 7);
		assert_eq!(next_committee_size(4, 6), 4);
		assert_eq!(next_committee_size(13, 13), 13);
	}

	proptest! {
		#[test]
		fn at_most_one_vote_can_win(n in (0u32..5).prop_map(|f| 3 * f + 1), kinds in prop::collection::vec(0u8..4, 0..13)) {
			let votes: Vec<_> = kinds.iter().take(n as usize).map(|k| vote(*k)).collect();
			let needed = supermajority_threshold(n) as usize;
			let winners: Vec<_> = (0u8..4).map(vote).filter(|w| votes.iter().filter(|v| *v == w).count() >= needed).collect();
			prop_assert!(winners.len() <= 1);
			prop_assert_eq!(tally(n, votes.iter()), winners.first().copied());
		}

		#[test]
		fn the_order_of_votes_decides_nothing(kinds in prop::collection::vec(0u8..3, 0..10), by in 0usize..10) {
			let votes: Vec<_> = kinds.iter().map(|k| vote(*k)).collect();
			let mut turned = votes.clone();
			turned.rotate_left(if votes.is_empty() { 0 } else { by % votes.len() });
			prop_assert_eq!(tally(10, votes.iter()), tally(10, turned.iter()));
		}

		#[test]
		fn the_faulty_third_never_decides(f in 1u32..5, kinds in prop::collection::vec(0u8..4, 0..4)) {
			let n = 3 * f + 1;
			let votes: Vec<_> = kinds.iter().take(f as usize).map(|k| vote(*k)).collect();
			prop_assert_eq!(tally(n, votes.iter()), None);
		}
	}
}
