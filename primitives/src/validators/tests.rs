//! The choice of validators: what it grants, and what no sequence of bonds, faults, floods and silence can make of it.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const LIMITS: SetLimits = SetLimits {
	min_bond: 10,
	max_validators: 12,
};

fn candidate(who: u32, weight: Balance) -> Candidate<u32> {
	Candidate {
		who,
		weight,
		alive: true,
	}
}

fn live(bonds: &[(u32, Balance)]) -> Vec<Candidate<u32>> {
	bonds.iter().map(|(who, weight)| candidate(*who, *weight)).collect()
}

fn silence(mut candidates: Vec<Candidate<u32>>, silent: &[u32]) -> Vec<Candidate<u32>> {
	for candidate in &mut candidates {
		candidate.alive = !silent.contains(&candidate.who);
	}
	candidates
}

/// Returns the seats as they belong to the candidates: the set of a chain that has none yet.
fn target(candidates: &[Candidate<u32>], limits: &SetLimits) -> Vec<u32> {
	next_validators(candidates.to_vec(), &[], limits).unwrap_or_default()
}

#[test]
fn the_first_set_is_the_largest_live_bonds_and_equal_bonds_by_account() {
	let candidates = silence(live(&[(5, 20), (3, 20), (4, 90), (2, 100)]), &[2]);
	assert_eq!(
		next_validators(candidates, &[], &LIMITS),
		Some(vec![4]),
		"20 is less than half of 90"
	);
	let limits = SetLimits {
		max_validators: 2,
		..LIMITS
	};
	let candidates = live(&[(5, 20), (3, 20), (4, 30)]);
	assert_eq!(next_validators(candidates, &[], &limits), Some(vec![4, 3]));
}

#[test]
fn half_of_the_weighted_median_is_the_least_bond() {
	for (bonds, least) in [
		(&[][..], 10),
		(&[9], 10),
		(&[30], 15),
		(&[31], 16),
		// The larger half of the stake is 60 and 40; the smaller one counts where both halves meet.
		(&[60, 40, 50, 50], 25),
		(&[1_000, 20, 20, 20], 500),
		(&[30, 20, 20, 20], 10),
	] {
		let bonds: Vec<_> = (0..).zip(bonds.iter().copied()).collect();
		assert_eq!(least_bond(&live(&bonds), 10), least, "{bonds:?}");
	}
}

#[test]
fn neither_silent_nor_small_bonds_move_the_median() {
	let silent = silence(live(&[(1, 30), (2, 30), (3, 4_000)]), &[3]);
	assert_eq!(least_bond(&silent, 10), 15);
	let flood: Vec<_> = (0..1_000).map(|who| (who, 9)).chain([(2_000, 30)]).collect();
	assert_eq!(least_bond(&live(&flood), 10), 15);
}

#[test]
fn a_set_that_stays_is_none_in_whatever_order() {
	let candidates = live(&[(1, 30), (2, 20), (3, 16)]);
	assert_eq!(next_validators(candidates, &[3, 1, 2], &LIMITS), None);
}

#[test]
fn whoever_equivocated_leaves_at_once_and_the_silent_by_quarters() {
	let all: Vec<u32> = (0..12).collect();
	let bonds: Vec<_> = all.iter().map(|who| (*who, 100 - Balance::from(*who))).collect();
	// Five are jailed, which is more than a third: they are no candidates.
	let next = next_validators(live(&bonds[..7]), &all, &LIMITS).expect("a change");
	assert_eq!(next, (0..7).collect::<Vec<_>>());
	// Five are silent: three leave, the smallest first, then two of the nine that are left.
	let silent = [1, 3, 5, 7, 9];
	let next = next_validators(silence(live(&bonds), &silent), &all, &LIMITS).expect("a change");
	assert_eq!(next, [0, 1, 2, 3, 4, 6, 8, 10, 11]);
	let next = next_validators(silence(live(&bonds), &silent), &next, &LIMITS).expect("a change");
	assert_eq!(next, [0, 2, 4, 6, 8, 10, 11]);
	assert_eq!(next_validators(silence(live(&bonds), &silent), &next, &LIMITS), None);
}

#[test]
fn a_newcomer_enters_only_alive() {
	let bonds = [(1, 50), (2, 60)];
	assert_eq!(next_validators(silence(live(&bonds), &[2]), &[1], &LIMITS), None);
	assert_eq!(next_validators(live(&bonds), &[1], &LIMITS), Some(vec![2, 1]));
}

#[test]
fn silence_never_empties_a_set_nor_halves_a_small_one() {
	for sitting in [vec![1], vec![1, 2]] {
		let bonds: Vec<_> = sitting.iter().map(|who| (*who, 50)).collect();
		let silent = silence(live(&bonds), &sitting);
		assert_eq!(next_validators(silent, &sitting, &LIMITS), None, "{sitting:?}");
	}
	// The silent one of two makes way for one that is alive.
	let candidates = silence(live(&[(1, 50), (2, 50), (3, 50)]), &[2]);
	assert_eq!(next_validators(candidates, &[1, 2], &LIMITS), Some(vec![1, 3]));
}

#[test]
fn without_any_candidate_the_old_set_stays() {
	assert_eq!(next_validators(vec![], &[1, 2, 3], &LIMITS), None);
	assert_eq!(
		next_validators(live(&[(4, 9)]), &[1], &LIMITS),
		None,
		"below the minimum"
	);
	// If all are jailed, the others take the seats at once.
	assert_eq!(
		next_validators(live(&[(4, 20), (5, 20)]), &[1], &LIMITS),
		Some(vec![4, 5])
	);
}

#[test]
fn a_flood_of_accounts_gains_no_seat_for_less_than_half_of_the_median() {
	let mut bonds: Vec<_> = (0..6).map(|who| (who, 1_000)).collect();
	bonds.extend((100..700).map(|who| (who, 10)));
	let honest: Vec<_> = (0..6).collect();
	assert_eq!(next_validators(live(&bonds), &honest, &LIMITS), None);
	// As much in bonds of half the median takes twelve places, and no more than the stake pays for.
	let mut bonds: Vec<_> = (0..6).map(|who| (who, 1_000)).collect();
	bonds.extend((100..104).map(|who| (who, 500)));
	let seats = target(&live(&bonds), &LIMITS);
	assert_eq!(seats.iter().filter(|who| **who >= 100).count(), 4);
}

#[test]
fn the_bound_is_close_to_what_an_attacker_can_reach() {
	// A quarter of the live stake in bonds of half the median, a quarter honest in the median, the rest in one bond.
	let unit = 100;
	let mut bonds: Vec<(u32, Balance)> = vec![(0, 20 * unit - 10)];
	bonds.extend((1..=10).map(|who| (who, unit)));
	bonds.extend((100..120).map(|who| (who, unit / 2)));
	let limits = SetLimits {
		max_validators: 100,
		..LIMITS
	};
	let seats = target(&live(&bonds), &limits);
	let attackers = seats.iter().filter(|who| **who >= 100).count();
	// 4s ÷ (1 + 2s) = ⅔, of which the head of the large bond takes a part.
	assert_eq!((attackers, seats.len()), (20, 31));
}

/// Checks that the attacker's seats keep to the bound of the module's documentation, in whole numbers.
fn assert_bound(candidates: &[Candidate<u32>], seats: &[u32], limits: &SetLimits, attacks: impl Fn(u32) -> bool) {
	let counts = |c: &&Candidate<u32>| c.alive && c.weight >= limits.min_bond;
	let sum = |of: &dyn Fn(&Candidate<u32>) -> bool| {
		let counted = candidates.iter().filter(counts).filter(|c| of(c));
		counted.map(|c| c.weight as i128).sum::<i128>()
	};
	let total = sum(&|_| true);
	let attacker = sum(&|c| attacks(c.who));
	let left_out = sum(&|c| !attacks(c.who) && !seats.contains(&c.who));
	let held = seats.iter().filter(|who| attacks(**who)).count() as i128;
	let denominator = 2 * attacker + total - 2 * left_out;
	if denominator > 0 {
		assert!(
			held * denominator <= 4 * attacker * seats.len() as i128,
			"{held} of {} seats for {attacker} of {total}, {left_out} left out",
			seats.len()
		);
	}
}

/// An event between two sessions.
#[derive(Clone, Debug)]
enum Step {
	Bond(u32, Balance),
	Silent(Vec<u32>),
	Jail(u32),
	Flood(u32, Balance),
	Nothing,
}

fn step() -> impl Strategy<Value = Step> {
	prop_oneof![
		4 => (0u32..30, 5u128..400).prop_map(|(who, bond)| Step::Bond(who, bond)),
		2 => prop::collection::vec(0u32..30, 0..20).prop_map(Step::Silent),
		1 => (0u32..30).prop_map(Step::Jail),
		1 => (1u32..60, 5u128..200).prop_map(|(count, bond)| Step::Flood(count, bond)),
		2 => Just(Step::Nothing),
	]
}

/// A chain's candidates: accounts 0 to 29, and a flood of others from 1 000 on. Every third belongs to one attacker.
#[derive(Default)]
struct World {
	bonds: BTreeMap<u32, Balance>,
	jailed: BTreeSet<u32>,
	silent: BTreeSet<u32>,
	sitting: Vec<u32>,
}

impl World {
	fn apply(&mut self, step: Step) {
		match step {
			Step::Bond(who, bond) => drop(self.bonds.insert(who, bond)),
			Step::Silent(silent) => self.silent = silent.into_iter().collect(),
			Step::Jail(who) => drop(self.jailed.insert(who)),
			Step::Flood(count, bond) => self.bonds.extend((0..count).map(|i| (1_000 + 3 * i, bond))),
			Step::Nothing => (),
		}
	}

	fn candidates(&self) -> Vec<Candidate<u32>> {
		let free = self.bonds.iter().filter(|(who, _)| !self.jailed.contains(who));
		free.map(|(who, weight)| Candidate {
			who: *who,
			weight: *weight,
			alive: !self.silent.contains(who),
		})
		.collect()
	}

	/// Begins a session and checks what holds of every change.
	fn session(&mut self) {
		let candidates = self.candidates();
		let by_account: BTreeMap<u32, &Candidate<u32>> = candidates.iter().map(|c| (c.who, c)).collect();
		let Some(next) = next_validators(candidates.clone(), &self.sitting, &LIMITS) else {
			return;
		};
		let kept: Vec<u32> = self
			.sitting
			.iter()
			.copied()
			.filter(|who| by_account.contains_key(who))
			.collect();
		let (before, after): (BTreeSet<_>, BTreeSet<_>) =
			(self.sitting.iter().copied().collect(), next.iter().copied().collect());
		assert_ne!(before, after, "a set that stays is none");
		assert_eq!(after.len(), next.len(), "each once");
		assert!(!next.is_empty() && next.len() <= LIMITS.max_validators as usize);
		let least = least_bond(&candidates, LIMITS.min_bond);
		for who in after.difference(&before) {
			let newcomer = by_account[who];
			assert!(newcomer.alive && newcomer.weight >= least && least >= LIMITS.min_bond);
		}
		assert!(
			next.iter().all(|who| by_account.contains_key(who)),
			"the jailed are gone"
		);
		if !kept.is_empty() {
			let left = kept.iter().filter(|who| !after.contains(who));
			assert!(left.count() <= most_changes(kept.len()));
			assert!(after.difference(&before).count() <= most_changes(kept.len()));
			assert!(3 * next.len() >= 2 * kept.len());
		}
		self.sitting = next;
	}
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

	#[test]
	fn every_change_keeps_to_its_limits_and_the_set_follows_the_bonds(
		first in prop::collection::vec(5u128..400, 1..30),
		steps in prop::collection::vec(step(), 1..60),
	) {
		let attacks = |who: u32| who.is_multiple_of(3);
		let mut world = World { bonds: (0..).zip(first).collect(), ..Default::default() };
		let heads = |set: &[u32]| set.iter().filter(|who| attacks(**who)).count();
		world.session();
		for step in steps {
			world.apply(step);
			let (before, limit) = (heads(&world.sitting), most_changes(world.sitting.len()));
			let was_jailed = world.sitting.iter().all(|who| world.jailed.contains(who));
			world.session();
			prop_assert!(was_jailed || heads(&world.sitting) <= before + limit);
		}
		// Nothing changes any more: in two dozen sessions the set is what belongs to the bonds.
		for _ in 0..24 {
			world.session();
		}
		let (candidates, mut sitting) = (world.candidates(), world.sitting.clone());
		let mut wanted = target(&candidates, &LIMITS);
		let stuck = sitting.iter().filter(|who| !wanted.contains(who)).count();
		if stuck == 0 {
			sitting.sort_unstable();
			wanted.sort_unstable();
			prop_assert_eq!(&sitting, &wanted);
			assert_bound(&candidates, &sitting, &LIMITS, attacks);
		} else {
			// Only where one or two sit, who would leave too few behind.
			prop_assert!(sitting.len() <= 2 || wanted.is_empty(), "{:?} for {:?}", sitting, wanted);
		}
	}

	#[test]
	fn no_split_of_a_stake_takes_more_seats_than_the_bound(
		honest in prop::collection::vec(10u128..2_000, 1..60),
		parts in prop::collection::vec(10u128..2_000, 0..60),
		max_validators in 1u32..100,
	) {
		let limits = SetLimits { max_validators, ..LIMITS };
		let mut candidates: Vec<_> = (0..).zip(honest).map(|(who, bond)| candidate(who, bond)).collect();
		candidates.extend((1_000..).zip(parts).map(|(who, bond)| candidate(who, bond)));
		let seats = target(&candidates, &limits);
		assert_bound(&candidates, &seats, &limits, |who| who >= 1_000);
	}

	#[test]
	fn the_best_split_keeps_to_the_bound_and_a_tenth_stays_below_a_third(
		honest in prop::collection::vec(100u128..200, 3..40),
		percent in 1u128..50,
		part in 1u128..400,
	) {
		let limits = SetLimits { max_validators: 1_000, ..LIMITS };
		let total: Balance = honest.iter().sum::<Balance>() * 100 / (100 - percent);
		let stake = total * percent / 100;
		let part = part.max(10);
		let mut candidates: Vec<_> = (0..).zip(honest).map(|(who, bond)| candidate(who, bond)).collect();
		candidates.extend((0..(stake / part) as u32).map(|i| candidate(1_000 + i, part)));
		let seats = target(&candidates, &limits);
		assert_bound(&candidates, &seats, &limits, |who| who >= 1_000);
		// Honest bonds within a factor of two all have their seats.
		let attackers = seats.iter().filter(|who| **who >= 1_000).count();
		prop_assert!(percent >= 10 || 3 * attackers < seats.len(), "{} of {}", attackers, seats.len());
	}
}
