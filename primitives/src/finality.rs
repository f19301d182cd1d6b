//! When finality has stalled: the rule by which a chain replaces the set of validators that can no longer finalize.
//!
//! Authors state in their blocks what they see finalized. [`median`] is what a chain believes of that, and [`is_quorum`]
//! whether enough of the set that should finalize makes blocks on this fork.
//!
//! Two forks on which nobody saw the other's blocks could each replace the set, and finalize what contradicts the other.
//! [`is_quorum`] needs three fifths of one and the same set on each, so a fifth of it would have to make blocks on both:
//! a partition alone, however it falls, is not enough.

use alloc::vec::Vec;

/// The inherent in which an author states its finalized block number.
pub const INHERENT_IDENTIFIER: [u8; 8] = *b"finality";

/// Returns whether so many members of a set are enough to replace it: three fifths.
pub fn is_quorum(present: usize, members: usize) -> bool {
	present > 0 && present.saturating_mul(5) >= members.saturating_mul(3)
}

/// Returns the median of what authors state, the smaller one of two. If more than half of them are honest, it is not
/// above all honest statements, and not below all of them.
pub fn median<N: Ord>(mut statements: Vec<N>) -> Option<N> {
	statements.sort_unstable();
	let middle = statements.len().saturating_sub(1).checked_div(2)?;
	(middle < statements.len()).then(|| statements.swap_remove(middle))
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	#[test]
	fn three_fifths_are_a_quorum() {
		for (present, members, enough) in [
			(0, 0, false),
			(1, 1, true),
			(1, 2, false),
			(2, 3, true),
			(2, 4, false),
			(3, 5, true),
			(4, 6, true),
			(4, 7, false),
			(67, 100, true),
			(60, 100, true),
			(59, 100, false),
		] {
			assert_eq!(is_quorum(present, members), enough, "{present} of {members}");
		}
	}

	#[test]
	fn the_median_is_a_statement_in_the_middle() {
		assert_eq!(median(Vec::<u32>::new()), None);
		assert_eq!(median(vec![7]), Some(7));
		assert_eq!(median(vec![9, 1]), Some(1));
		assert_eq!(median(vec![5, 9, 1]), Some(5));
	}

	proptest! {
		#[test]
		fn two_sides_of_a_partition_never_both_have_a_quorum_without_a_fifth_on_both(
			one in 0usize..100,
			other in 0usize..100,
			away in 0usize..100,
			both in 0usize..60,
		) {
			let members = one + other + away + both;
			if is_quorum(one + both, members) && is_quorum(other + both, members) {
				prop_assert!(5 * both >= members);
			}
		}

		#[test]
		fn a_minority_cannot_move_the_median_out_of_what_others_state(
			honest in prop::collection::vec(any::<u32>(), 1..50),
			lies in prop::collection::vec(any::<u32>(), 0..49),
		) {
			let lies = &lies[..lies.len().min(honest.len() - 1)];
			let found = median([&honest[..], lies].concat()).unwrap();
			let (least, most) = (honest.iter().min().unwrap(), honest.iter().max().unwrap());
			prop_assert!(*least <= found && found <= *most);
		}
	}
}
