//! The decision of a dispute, as a pure function of the votes.
//!
//! Parties count as they voted: the executor and who approved, who rejected and who objected. All other members of the
//! electorate recompute. Votes of one side count only if they are equal, which honest ones always are.

use crate::{vote::JuryVote, Balance};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// What the electorate decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Decision {
	/// The claim is false.
	#[codec(index = 0)]
	Overturned,
	/// The claim is true.
	#[codec(index = 1)]
	Upheld,
}

/// A member's say in a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Say {
	/// Executed or approved the claim.
	#[codec(index = 0)]
	ForClaim,
	/// Rejected the claim, or objected to it.
	#[codec(index = 1)]
	AgainstClaim,
	/// Recomputed it as a juror.
	#[codec(index = 2)]
	Juror(JuryVote),
}

/// The stake on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
	/// For the claim.
	pub approve: Balance,
	/// Against it.
	pub reject: Balance,
	/// The jurors' vote for the claim that counts.
	pub approval: Option<JuryVote>,
	/// The jurors' vote against the claim that counts.
	pub rejection: Option<JuryVote>,
}

/// Counts the votes of a dispute: each member's stake, and what it says.
pub fn tally(says: &[(Balance, Say)]) -> Tally {
	let sum = |of: &dyn Fn(&Say) -> bool| -> Balance {
		says.iter()
			.filter(|(_, say)| of(say))
			.fold(0, |sum, (stake, _)| sum.saturating_add(*stake))
	};
	// The vote with the most stake behind it; of equal ones the smallest, so that no order decides.
	let heaviest = |approves: bool| {
		let votes = says.iter().filter_map(|(_, say)| match say {
			Say::Juror(vote) if matches!(vote, JuryVote::Approve { .. }) == approves => Some(*vote),
			_ => None,
		});
		let weighed = votes.map(|vote| (sum(&|say| *say == Say::Juror(vote)), core::cmp::Reverse(vote)));
		weighed.max().map(|(stake, vote)| (stake, vote.0))
	};
	let (approval, rejection) = (heaviest(true), heaviest(false));
	let jurors = |side: &Option<(Balance, JuryVote)>| side.map_or(0, |(stake, _)| stake);
	Tally {
		approve: sum(&|say| *say == Say::ForClaim).saturating_add(jurors(&approval)),
		reject: sum(&|say| *say == Say::AgainstClaim).saturating_add(jurors(&rejection)),
		approval: approval.map(|(_, vote)| vote),
		rejection: rejection.map(|(_, vote)| vote),
	}
}

impl Tally {
	/// Returns what is decided, if more than twice the opposing stake is on one side and at least half of the
	/// electorate's stake has voted.
	pub fn decision(&self, total: Balance) -> Option<Decision> {
		let turnout = self.approve.saturating_add(self.reject);
		// Twice as much as half, without rounding.
		if turnout == 0 || turnout < total.saturating_sub(turnout) {
			return None;
		}
		if outweighs(self.reject, self.approve) {
			Some(Decision::Overturned)
		} else if outweighs(self.approve, self.reject) {
			Some(Decision::Upheld)
		} else {
			None
		}
	}
}

/// Returns whether `stake > 2 · opposing`.
fn outweighs(stake: Balance, opposing: Balance) -> bool {
	stake.checked_sub(opposing).is_some_and(|rest| rest > opposing)
}

/// Returns whether nobody could convict an executor with this stake: all others together are no more than twice as
/// heavy.
pub fn no_jury(executor: Balance, total: Balance) -> bool {
	!outweighs(total.saturating_sub(executor), executor)
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{vote::Defect, BoundRoot};
	use proptest::prelude::*;

	fn juror(kind: u8) -> Say {
		let root = BoundRoot([kind; 32]);
		Say::Juror(if kind.is_multiple_of(2) {
			JuryVote::Approve { root }
		} else {
			JuryVote::Reject {
				defect: Defect::Output(0),
				root,
			}
		})
	}

	fn say(kind: u8) -> Say {
		match kind {
			0 => Say::ForClaim,
			1 => Say::AgainstClaim,
			kind => juror(kind),
		}
	}

	fn decide(total: Balance, says: &[(Balance, Say)]) -> Option<Decision> {
		tally(says).decision(total)
	}

	#[test]
	fn one_honest_no_beside_a_liar_and_an_honest_majority_overturns() {
		let says = [
			(10, Say::ForClaim),
			(10, Say::AgainstClaim),
			(10, juror(3)),
			(10, juror(3)),
		];
		assert_eq!(decide(40, &says), Some(Decision::Overturned));
	}

	#[test]
	fn three_equal_providers_convict_nobody() {
		let says = [(10, Say::ForClaim), (10, Say::AgainstClaim), (10, juror(3))];
		assert_eq!(decide(30, &says), None);
		assert!(no_jury(10, 30) && !no_jury(10, 40));
	}

	#[test]
	fn sybils_beside_a_whale_convict_nobody() {
		let says = [
			(1_000_000, Say::ForClaim),
			(20_000, Say::AgainstClaim),
			(20_000, juror(3)),
		];
		assert_eq!(decide(1_040_000, &says), Some(Decision::Upheld));
	}

	#[test]
	fn a_fifth_absent_still_overturns_a_lone_liar() {
		let says = [
			(10, Say::ForClaim),
			(10, Say::AgainstClaim),
			(10, juror(3)),
			(10, juror(3)),
			(40, juror(3)),
		];
		assert_eq!(decide(100, &says), Some(Decision::Overturned));
		assert_eq!(decide(200, &says), None, "less than half has voted");
	}

	#[test]
	fn different_votes_of_one_side_do_not_add_up() {
		let says = [(10, Say::ForClaim), (11, juror(3)), (11, juror(5))];
		assert_eq!(decide(32, &says), None);
		assert_eq!(tally(&says).reject, 11);
	}

	proptest! {
		#[test]
		fn nobody_is_convicted_by_less_than_twice_its_stake(
			accused in 1u128..1 << 80, says in prop::collection::vec((0u128..1 << 80, 1u8..8), 0..20),
		) {
			let mut all: Vec<_> = says.iter().map(|(stake, kind)| (*stake, say(*kind))).collect();
			let others: u128 = all.iter().map(|(stake, _)| stake).sum();
			all.push((accused, Say::ForClaim));
			if decide(accused + others, &all) == Some(Decision::Overturned) {
				prop_assert!(others > 2 * accused);
				prop_assert!(!no_jury(accused, accused + others));
			}
		}

		#[test]
		fn a_third_decides_nothing(total in 3u128..1 << 80, kinds in prop::collection::vec(0u8..8, 1..10)) {
			// At most a third of the stake votes at will; the rest votes the truth, which is that the claim is true.
			let corrupt = total / 3;
			let each = corrupt / kinds.len() as u128;
			let mut all: Vec<_> = kinds.iter().map(|kind| (each, say(*kind))).collect();
			all.push((total - each * kinds.len() as u128, juror(2)));
			prop_assert_ne!(decide(total, &all), Some(Decision::Overturned));
		}

		#[test]
		fn the_order_of_votes_decides_nothing(says in prop::collection::vec((0u128..100, 0u8..6), 0..12), by in 0usize..12) {
			let all: Vec<_> = says.iter().map(|(stake, kind)| (*stake, say(*kind))).collect();
			let mut turned = all.clone();
			turned.rotate_left(if all.is_empty() { 0 } else { by % all.len() });
			prop_assert_eq!(tally(&all), tally(&turned));
		}

		#[test]
		fn both_sides_never_win(approve in any::<u64>(), reject in any::<u64>(), total in any::<u64>()) {
			let tally = Tally { approve: approve.into(), reject: reject.into(), ..Tally::default() };
			let mirrored = Tally { approve: reject.into(), reject: approve.into(), ..Tally::default() };
			let (one, other) = (tally.decision(total.into()), mirrored.decision(total.into()));
			prop_assert!(one.is_none() == other.is_none() && (one.is_none() || one != other));
		}

		#[test]
		fn more_stake_for_the_winner_changes_no_decision(
			approve in any::<u32>(), reject in any::<u32>(), more in any::<u32>(), absent in any::<u32>(),
		) {
			let decide = |approve: u32, reject: u32, absent: u32| {
				let (approve, reject) = (u128::from(approve), u128::from(reject));
				let tally = Tally { approve, reject, ..Tally::default() };
				tally.decision(approve + reject + u128::from(absent))
			};
			let more = more.min(absent);
			match decide(approve, reject, absent) {
				Some(Decision::Overturned) => {
					let reject = reject.saturating_add(more);
					prop_assert_eq!(decide(approve, reject, absent - more), Some(Decision::Overturned));
				}
				Some(Decision::Upheld) => {
					let approve = approve.saturating_add(more);
					prop_assert_eq!(decide(approve, reject, absent - more), Some(Decision::Upheld));
				}
				None => {}
			}
		}

		#[test]
		fn honest_jurors_convict_if_twice_as_heavy_as_the_cartel(
			accused in 1u128..1000, cartel in 0u128..1000, rejecter in 1u128..1000, present in 0u128..3000, absent in 0u128..3000,
		) {
			let says = [
				(accused, Say::ForClaim),
				(cartel, juror(2)),
				(rejecter, Say::AgainstClaim),
				(present, juror(3)),
			];
			let honest = rejecter + present;
			let decided = decide(accused + cartel + honest + absent, &says);
			let voted = accused + cartel + honest;
			prop_assert_eq!(decided == Some(Decision::Overturned), honest > 2 * (accused + cartel) && voted >= absent);
		}
	}
}
