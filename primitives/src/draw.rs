//! The draws: weighted by sealed stake, as pure functions of a seed.
//!
//! Each step takes 128 bits of BLAKE2b(seed ‖ step) modulo the weight that is left; with weights below 2⁹⁶ the bias is
//! below 2⁻³².

use crate::{
	hash::{ClaimId, Hash32, JobId},
	model::Prices,
	Balance,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_arithmetic::Permill;
use sp_crypto_hashing::blake2_256;

/// A member of an electorate.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Member<AccountId> {
	/// The provider's account.
	pub who: AccountId,
	/// Its weight: the bond when the electorate was sealed.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub stake: Balance,
}

/// A member of an electorate as it was sealed. It checks whatever it is drawn to check, and executes only at its price.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct SealedMember<AccountId> {
	/// The member, by which seats, audits and juries are drawn.
	pub member: Member<AccountId>,
	/// The least prices at which it executes, when the electorate was sealed.
	pub least: Prices,
}

/// Returns the members that execute at these prices: an executor is drawn among them.
pub fn willing<'a, AccountId>(
	sealed: &'a [SealedMember<AccountId>],
	prices: &'a Prices,
) -> impl Iterator<Item = &'a Member<AccountId>> {
	sealed
		.iter()
		.filter(|sealed| prices.cover(&sealed.least))
		.map(|sealed| &sealed.member)
}

/// Returns the stake of the members that execute at these prices.
pub fn willing_stake<AccountId>(sealed: &[SealedMember<AccountId>], prices: &Prices) -> Balance {
	willing(sealed, prices).fold(0, |sum, member| sum.saturating_add(member.stake))
}

/// Returns whether the willing members hold a supermajority: at least two thirds of the stake. Below that a listing takes no job that is
/// checked: those who make up an electorate of their own at a low price would be drawn to execute all of its jobs.
pub fn is_supermajority(willing: Balance, stake: Balance) -> bool {
	// ⌈2/3⌉ of the stake, which cannot overflow.
	willing >= stake.saturating_sub(stake / 3)
}

/// Returns the next value of the beacon, which accumulates the VRF outputs of all block authors.
pub fn next_beacon<BlockNumber: Encode>(beacon: &Hash32, block: BlockNumber, vrf: Option<&Hash32>) -> Hash32 {
	blake2_256(&(b"assay/v2/beacon", beacon, block, vrf).encode())
}

/// Returns the seed of an executor's draw.
pub fn executor_seed(genesis: &Hash32, job: &JobId, attempt: u8, beacon: &Hash32) -> Hash32 {
	blake2_256(&(b"assay/v2/exec", genesis, job, attempt, beacon).encode())
}

/// Returns the seed of a tranche's draw. It holds nothing that an executor chooses.
pub fn seats_seed(claim: &ClaimId, tranche: u8, beacon: &Hash32) -> Hash32 {
	blake2_256(&(b"assay/v2/draw", claim, tranche, beacon).encode())
}

/// Returns the seed of an audit: of its lottery, and of its seat.
pub fn audit_seed(claim: &ClaimId, beacon: &Hash32) -> Hash32 {
	blake2_256(&(b"assay/v2/audit", claim, beacon).encode())
}

/// Returns whether the lottery of an audit hits, which it does with this probability.
pub fn audit_hits(seed: &Hash32, rate: Permill) -> bool {
	wide(seed, u32::MAX).is_some_and(|ticket| ticket % 1_000_000 < u128::from(rate.deconstruct()))
}

/// Returns 128 bits of one step.
fn wide(seed: &Hash32, step: u32) -> Option<u128> {
	let hash = blake2_256(&(seed, step).encode());
	hash.first_chunk().map(|bytes| u128::from_le_bytes(*bytes))
}

/// Returns the sum of all stakes.
pub fn total_stake<AccountId>(members: &[Member<AccountId>]) -> Balance {
	members.iter().fold(0, |sum, member| sum.saturating_add(member.stake))
}

/// Returns the index of the member that one step draws; none if nobody has stake.
fn pick<AccountId>(seed: &Hash32, step: u32, members: &[Member<AccountId>]) -> Option<usize> {
	let mut ticket = wide(seed, step)?.checked_rem(total_stake(members))?;
	members
		.iter()
		.position(|member| match ticket.checked_sub(member.stake) {
			Some(rest) => {
				ticket = rest;
				false
			}
			None => true,
		})
}

/// Draws at most `n` different members, each with a chance proportional to its stake among those left, in the order
/// drawn. Fewer if fewer have stake.
pub fn draw_distinct<AccountId>(seed: &Hash32, mut members: Vec<Member<AccountId>>, n: u32) -> Vec<AccountId> {
	let mut drawn = Vec::with_capacity(n as usize);
	for step in 0..n {
		let Some(index) = pick(seed, step, &members) else { break };
		drawn.push(members.swap_remove(index).who);
	}
	drawn
}

/// Draws `n` seats, each among all members with a chance proportional to stake: one member may hold several. Empty if
/// nobody has stake.
pub fn draw_seats<AccountId: Clone>(seed: &Hash32, members: &[Member<AccountId>], n: u32) -> Vec<AccountId> {
	(0..n)
		.filter_map(|step| members.get(pick(seed, step, members)?).map(|member| member.who.clone()))
		.collect()
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	fn members(stakes: &[u128]) -> Vec<Member<usize>> {
		stakes
			.iter()
			.enumerate()
			.map(|(who, stake)| Member { who, stake: *stake })
			.collect()
	}

	fn seeds() -> impl Iterator<Item = Hash32> {
		(0u32..30_000).map(|i| blake2_256(&i.to_le_bytes()))
	}

	#[test]
	fn a_double_stake_is_drawn_twice_as_often() {
		let both = members(&[1_000, 2_000]);
		let first = seeds()
			.filter(|seed| draw_distinct(seed, both.clone(), 1) == [1])
			.count();
		assert!((19_500..20_500).contains(&first), "{first} of 30000");
		let seats: usize = seeds()
			.map(|seed| draw_seats(&seed, &both, 2).iter().filter(|who| **who == 1).count())
			.sum();
		assert!((39_300..40_700).contains(&seats), "{seats} of 60000");
	}

	#[test]
	fn seats_are_drawn_with_replacement() {
		let third = members(&[1, 2]);
		let both = seeds().filter(|seed| draw_seats(seed, &third, 2) == [0, 0]).count();
		// (1/3)² of 30 000.
		assert!((3_100..3_570).contains(&both), "{both}");
	}

	#[test]
	fn the_lottery_hits_at_its_rate() {
		let hits = seeds()
			.filter(|seed| audit_hits(seed, Permill::from_percent(5)))
			.count();
		assert!((1_380..1_620).contains(&hits), "{hits} of 30000");
		assert!(seeds().all(|seed| audit_hits(&seed, Permill::one()) && !audit_hits(&seed, Permill::zero())));
	}

	#[test]
	fn two_thirds_are_a_supermajority_and_one_unit_less_is_not() {
		for (stake, least) in [(3, 2), (4, 3), (5, 4), (6, 4), (300, 200), (301, 201), (302, 202)] {
			assert!(
				is_supermajority(least, stake) && !is_supermajority(least - 1, stake),
				"{stake}"
			);
		}
		assert!(is_supermajority(Balance::MAX, Balance::MAX) && !is_supermajority(Balance::MAX / 2, Balance::MAX));
	}

	proptest! {
		#[test]
		fn a_supermajority_is_two_thirds_exactly(willing in 0u128..1 << 100, stake in 0u128..1 << 100) {
			prop_assert_eq!(is_supermajority(willing, stake), 3 * willing >= 2 * stake);
		}

		#[test]
		fn nobody_executes_below_its_least_price(
			least in prop::collection::vec((0u128..50, 0u128..50), 0..20), price_in in 0u128..50, price_out in 0u128..50,
		) {
			let prices = Prices { price_in, price_out };
			let sealed: Vec<SealedMember<usize>> = least
				.iter()
				.enumerate()
				.map(|(who, (price_in, price_out))| SealedMember {
					member: Member { who, stake: 1 },
					least: Prices { price_in: *price_in, price_out: *price_out },
				})
				.collect();
			let willing: Vec<usize> = willing(&sealed, &prices).map(|member| member.who).collect();
			for (who, (least_in, least_out)) in least.iter().enumerate() {
				prop_assert_eq!(willing.contains(&who), *least_in <= price_in && *least_out <= price_out);
			}
		}

		#[test]
		fn distinct_members_with_stake_are_drawn(
			seed in any::<[u8; 32]>(), stakes in prop::collection::vec(0u128..1 << 90, 0..20), n in 0u32..14,
		) {
			let able = stakes.iter().filter(|stake| **stake > 0).count();
			let drawn = draw_distinct(&seed, members(&stakes), n);
			prop_assert_eq!(drawn.len(), able.min(n as usize));
			let mut sorted = drawn.clone();
			sorted.sort_unstable();
			sorted.dedup();
			prop_assert_eq!(sorted.len(), drawn.len());
			prop_assert!(drawn.iter().all(|who| stakes[*who] > 0));
		}

		#[test]
		fn every_seat_has_a_member_with_stake(
			seed in any::<[u8; 32]>(), stakes in prop::collection::vec(0u128..1 << 90, 0..20), n in 0u32..9,
		) {
			let drawn = draw_seats(&seed, &members(&stakes), n);
			let able = stakes.iter().any(|stake| *stake > 0);
			prop_assert_eq!(drawn.len(), if able { n as usize } else { 0 });
			prop_assert!(drawn.iter().all(|who| stakes[*who] > 0));
		}

		#[test]
		fn splitting_a_stake_changes_no_other_seat(
			seed in any::<[u8; 32]>(), stakes in prop::collection::vec(1u128..1 << 90, 1..20), part in 0u128..1 << 90, n in 0u32..9,
		) {
			let mut split = members(&stakes);
			let last = split.pop().unwrap();
			let part = part.min(last.stake);
			split.push(Member { who: last.who, stake: part });
			split.push(Member { who: last.who, stake: last.stake - part });
			prop_assert_eq!(draw_seats(&seed, &members(&stakes), n), draw_seats(&seed, &split, n));
		}

		#[test]
		fn the_beacon_depends_on_block_and_vrf(beacon in any::<[u8; 32]>(), n in any::<u32>(), vrf in any::<[u8; 32]>()) {
			let next = next_beacon(&beacon, n, Some(&vrf));
			prop_assert_ne!(next, next_beacon(&beacon, n.wrapping_add(1), Some(&vrf)));
			prop_assert_ne!(next, next_beacon(&beacon, n, None));
		}

		#[test]
		fn more_seats_change_none_of_the_first(
			seed in any::<[u8; 32]>(), stakes in prop::collection::vec(1u128..1 << 90, 1..20), n in 0u32..9, more in 0u32..9,
		) {
			let members = members(&stakes);
			let (few, many) = (draw_seats(&seed, &members, n), draw_seats(&seed, &members, n + more));
			prop_assert_eq!(&many[..n as usize], &few[..]);
			let few = draw_distinct(&seed, members.clone(), n);
			let many = draw_distinct(&seed, members, n + more);
			prop_assert_eq!(&many[..few.len()], &few[..]);
		}

		#[test]
		fn a_higher_rate_spares_nothing_that_a_lower_one_hits(seed in any::<[u8; 32]>(), rate in 0u32..=1_000_000, more in 0u32..=1_000_000) {
			let higher = Permill::from_parts(rate.saturating_add(more).min(1_000_000));
			prop_assert!(!audit_hits(&seed, Permill::from_parts(rate)) || audit_hits(&seed, higher));
		}

		#[test]
		fn seeds_differ_by_claim_tranche_and_kind(claim in any::<[u8; 32]>(), beacon in any::<[u8; 32]>(), tranche in any::<u8>()) {
			let claim = ClaimId(claim);
			let base = seats_seed(&claim, tranche, &beacon);
			prop_assert_ne!(base, seats_seed(&claim, tranche.wrapping_add(1), &beacon));
			prop_assert_ne!(base, seats_seed(&ClaimId(base), tranche, &beacon));
			prop_assert_ne!(base, seats_seed(&claim, tranche, &base));
			prop_assert_ne!(base, audit_seed(&claim, &beacon));
		}
	}
}
