//! Who makes blocks: the validators of the next session, chosen by stake and by signs of life.
//!
//! BABE and GRANDPA count heads. So that heads follow stake, a seat needs a bond of at least half of the *median*: the
//! bond for which those at least as large hold half of the live stake, and those at most as large the other half. An
//! operator who splits a bond gains no seats below that.
//!
//! # The bound
//!
//! Let somebody hold the share *s* of the live stake, and let *d* be the share of it that other candidates hold without a
//! seat, because their bonds are too small or all seats are taken by larger ones. Then, once the set has followed the
//! bonds, its share of the seats is at most
//!
//! ```text
//!     2s ÷ (s + ½ − d)        and, if no other candidate is left out, 4s ÷ (1 + 2s)
//! ```
//!
//! *Proof.* Let W be the live stake and m the median. Each of its seats weighs at least m ÷ 2, so it has at most
//! A = 2sW ÷ m of them. Bonds of at most m sum up to at least W ÷ 2; it holds no more than sW of that, and those without a
//! seat no more than dW. What is left sits, in bonds of at most m: at least H = (½ − s − d)W ÷ m seats. A ÷ (A + H) is the
//! bound. It holds with any number of seats, because *d* counts those for whom there were too few.
//!
//! So who holds less than a tenth has less than a third of the seats, and who holds less than a quarter less than two
//! thirds. No rule can do much better with one head a seat: an honest bond far above the median still has one head, which
//! is why a large operator should run several validators. With equal honest bonds the bound is 2s ÷ (1 + s): a third of
//! the seats costs a fifth of the stake.
//!
//! While the set follows the bonds, nobody's seats grow by more than [`most_changes`] a session.

use crate::Balance;
use alloc::{collections::BTreeSet, vec::Vec};
use core::cmp::Ordering;

/// The part of the validators that may leave in one session, and that may enter: one in this many, at least one.
const CHANGES_PER_SESSION: usize = 4;

/// An account that could validate: bonded, with session keys, not jailed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<AccountId> {
	/// The account.
	pub who: AccountId,
	/// Its bond, as it counts in the choice of validators.
	pub weight: Balance,
	/// Whether it showed a sign of life in the last session.
	pub alive: bool,
}

/// The limits of a set of validators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLimits {
	/// The least bond of a validator.
	pub min_bond: Balance,
	/// The most validators.
	pub max_validators: u32,
}

/// Returns how many of `kept` validators may leave for silence or a smaller bond in one session, and how many accounts
/// may enter: a quarter of them, at least one.
pub fn most_changes(kept: usize) -> usize {
	kept.checked_div(CHANGES_PER_SESSION).unwrap_or(0).max(1)
}

/// Returns the fewest validators of a session after one of which `kept` are not excluded: two thirds, rounded up.
pub fn fewest_after(kept: usize) -> usize {
	kept.saturating_mul(2).div_ceil(3)
}

/// The order in which seats are taken: the largest bond first, equal bonds by account.
fn rank<AccountId: Ord>(a: &Candidate<AccountId>, b: &Candidate<AccountId>) -> Ordering {
	b.weight.cmp(&a.weight).then_with(|| a.who.cmp(&b.who))
}

/// Returns the least bond that a seat needs: half of the stake-weighted median of the live bonds that are at least
/// `min_bond`, and at least `min_bond`.
pub fn least_bond<AccountId>(candidates: &[Candidate<AccountId>], min_bond: Balance) -> Balance {
	let mut live: Vec<Balance> = candidates
		.iter()
		.filter(|candidate| candidate.alive && candidate.weight >= min_bond)
		.map(|candidate| candidate.weight)
		.collect();
	live.sort_unstable_by(|a, b| b.cmp(a));
	let total = live.iter().fold(0, |sum: Balance, weight| sum.saturating_add(*weight));
	let mut held: Balance = 0;
	let median = live.into_iter().find(|weight| {
		held = held.saturating_add(*weight);
		held >= total.saturating_sub(held)
	});
	median.unwrap_or(0).div_ceil(2).max(min_bond)
}

/// Returns the validators of the next session, the largest bond first, or `None` if they are those that sit already.
///
/// * A seat *belongs to* the largest live bonds of at least [`least_bond`], at most `max_validators`, equal bonds by
///   account.
/// * Who sits and is no candidate, as it equivocated or gave up its keys, leaves at once. Of those that are *kept*,
///   [`most_changes`] may leave: those without a sign of life first, then those to whom no seat belongs, of either the
///   smallest bond first. As many may enter of those to whom a seat belongs, the largest bond first. If nobody is kept,
///   all of them enter.
/// * The set is never smaller than [`fewest_after`] those that are kept: then fewer leave.
/// * It is never empty: then those that sit stay, because a chain without validators stops forever.
pub fn next_validators<AccountId: Ord + Clone>(
	candidates: Vec<Candidate<AccountId>>,
	sitting: &[AccountId],
	limits: &SetLimits,
) -> Option<Vec<AccountId>> {
	let least = least_bond(&candidates, limits.min_bond);
	let mut groups = Groups::new(candidates, sitting, least, limits.max_validators);
	let kept = groups.kept();
	let quota = if kept == 0 { usize::MAX } else { most_changes(kept) };
	groups.entering.truncate(quota);
	let after = kept.saturating_add(groups.entering.len());
	let leaving = quota.min(after.saturating_sub(fewest_after(kept)));
	let left = groups.dismiss(leaving);
	if left == 0 && groups.entering.is_empty() && kept == sitting.len() {
		return None;
	}
	let next = groups.into_set();
	(!next.is_empty()).then_some(next)
}

/// The candidates that sit or should, each group in the order of [`rank`].
struct Groups<AccountId> {
	/// They sit, and a seat belongs to them.
	staying: Vec<Candidate<AccountId>>,
	/// They sit and showed no sign of life.
	silent: Vec<Candidate<AccountId>>,
	/// They sit, and no seat belongs to them any more.
	beaten: Vec<Candidate<AccountId>>,
	/// A seat belongs to them, but they do not sit.
	entering: Vec<Candidate<AccountId>>,
}

impl<AccountId: Ord + Clone> Groups<AccountId> {
	fn new(mut candidates: Vec<Candidate<AccountId>>, sitting: &[AccountId], least: Balance, seats: u32) -> Self {
		candidates.sort_unstable_by(rank);
		let sitting: BTreeSet<_> = sitting.iter().collect();
		let mut groups = Self {
			staying: Vec::new(),
			silent: Vec::new(),
			beaten: Vec::new(),
			entering: Vec::new(),
		};
		let mut seats_left = seats;
		for candidate in candidates {
			let sits = sitting.contains(&candidate.who);
			let belongs = candidate.alive && candidate.weight >= least && seats_left > 0;
			if belongs {
				seats_left = seats_left.saturating_sub(1);
			}
			match (sits, belongs) {
				(true, true) => groups.staying.push(candidate),
				(true, false) if !candidate.alive => groups.silent.push(candidate),
				(true, false) => groups.beaten.push(candidate),
				(false, true) => groups.entering.push(candidate),
				(false, false) => (),
			}
		}
		groups
	}

	/// Returns how many of those that sit are candidates still.
	fn kept(&self) -> usize {
		let leaving = self.silent.len().saturating_add(self.beaten.len());
		self.staying.len().saturating_add(leaving)
	}

	/// Removes this many of those that should leave, or all of them. Returns how many left.
	fn dismiss(&mut self, most: usize) -> usize {
		let silent = most.min(self.silent.len());
		let beaten = most.saturating_sub(silent).min(self.beaten.len());
		self.silent.truncate(self.silent.len().saturating_sub(silent));
		self.beaten.truncate(self.beaten.len().saturating_sub(beaten));
		silent.saturating_add(beaten)
	}

	fn into_set(self) -> Vec<AccountId> {
		let mut set = self.staying;
		set.extend(self.silent);
		set.extend(self.beaten);
		set.extend(self.entering);
		set.sort_unstable_by(rank);
		set.into_iter().map(|candidate| candidate.who).collect()
	}
}

#[cfg(test)]
mod tests;
