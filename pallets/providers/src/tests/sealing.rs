//! Electorates: who is sealed, in whose turn, and that nothing of the last period changes a draw.

use super::*;
use crate::{Electorate, Electorates, Seal, WeightInfo};
use assay_primitives::{
	draw::{draw_seats, total_stake},
	economics::Fault,
	limits::MAX_MEMBERS,
	rules::PERIOD,
	traits::Penalties,
};
use frame_support::{assert_ok, traits::fungible::Mutate};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn members(stakes: &[u128]) -> Vec<Member<u64>> {
	(1..)
		.zip(stakes)
		.map(|(who, stake)| Member { who, stake: *stake })
		.collect()
}

#[test]
fn a_seal_is_in_force_a_period_later() {
	build_and_execute(|| {
		join(1, 5_000);
		run_to(51);
		assert!(electorate(1).is_empty(), "sealed in block 2");
		run_to(52);
		assert_eq!(electorate(1), vec![(1, 5_000)]);
		assert_ok!(Providers::bond_extra(signed(1), 1));
		run_to(101);
		assert_eq!(electorate(1), vec![(1, 5_000)], "sealed before the change, in block 52");
		run_to(151);
		assert_eq!(electorate(1), vec![(1, 5_000)]);
		run_to(152);
		assert!(
			electorate(1).is_empty(),
			"no heartbeat for more than 100 blocks when it was sealed"
		);
	});
}

#[test]
fn load_and_capacity_never_decide_who_is_sealed() {
	build_and_execute(|| {
		join(1, 5_000);
		join(2, 5_000);
		let before = eligible();
		assert_ok!(Providers::set_capacity(signed(2), 0));
		(0..5).for_each(|_| {
			Providers::engage(&1, 1_000_000);
			Providers::give_work(&2, 1_000_000);
		});
		assert_eq!(eligible(), before);
	});
}

#[test]
fn equal_bonds_are_sealed_by_account() {
	let seal = Seal::new(0, members(&[7; 100]));
	let accounts: Vec<u64> = seal.members.iter().map(|member| member.who).collect();
	assert_eq!(accounts, (1..=64).collect::<Vec<_>>());
}

#[test]
fn many_small_bonds_cannot_shut_out_a_large_one() {
	new_test_ext().execute_with(|| {
		for who in 1_000..1_127u64 {
			Balances::mint_into(&who, 10_000).unwrap();
			assert_ok!(Providers::bond(signed(who), 1_000));
			assert_ok!(set_key(who, (who - 990) as u8));
			assert_ok!(Providers::serve(signed(who), model(1), Prices::default()));
			Providers::mark_alive(&who);
		}
		join(1, 500_000);
		let sealed = eligible();
		assert_eq!((sealed.len(), sealed[0]), (64, (1, 500_000)));
	});
}

#[test]
fn an_electorate_ends_with_its_seals_and_is_removed_then() {
	build_and_execute(|| {
		join(1, 5_000);
		run_to(60);
		assert_ok!(Providers::stop_serving(signed(1), model(1)));
		run_to(151);
		assert_eq!(electorate(1), vec![(1, 5_000)], "the seals of blocks 2 and 52");
		run_to(152);
		assert!(electorate(1).is_empty());
		run_to(202);
		assert!(Electorates::<Test>::iter().next().is_none());
		assert_ok!(Providers::serve(signed(1), model(1), Prices::default()));
		Providers::mark_alive(&1);
		run_to(253);
		assert_eq!(electorate(1), vec![(1, 5_000)]);
	});
}

#[test]
fn the_weight_of_sealing_is_that_of_what_was_sealed() {
	build_and_execute(|| {
		let idle = <() as WeightInfo>::find_electorate();
		assert_eq!(Providers::seal_due(), idle, "there is nothing to seal");
		join(1, 5_000);
		join(2, 5_000);
		assert_ok!(Providers::serve(signed(2), model(2), Prices::default()));
		assert_ok!(Providers::serve(signed(2), model(3), Prices::default()));
		let seal = |heads| <() as WeightInfo>::seal(heads);
		// Two of three, then the third: model 1 has two providers, the others one.
		let sealed = Providers::seal_due() + Providers::seal_due();
		assert_eq!(sealed, idle * 4 + seal(2) + seal(1) * 2);
		assert_eq!(Providers::seal_due(), idle, "all wait");
	});
}

/// Something that changes who is eligible, or tries to.
#[derive(Clone, Debug)]
enum Change {
	Join(u64, u128),
	BondExtra(u64, u128),
	Unbond(u64),
	Stop(u64, u8),
	Serve(u64, u8),
	Key(u64, u8),
	Heartbeat(u64),
	Capacity(u64, u32),
	Engage(u64),
	Suspend(u64),
	Slash(u64),
	Lapse(u64),
}

fn change() -> impl Strategy<Value = Change> {
	let who = || 1u64..7;
	prop_oneof![
		(who(), 1_000u128..90_000).prop_map(|(w, a)| Change::Join(w, a)),
		(who(), 1u128..90_000).prop_map(|(w, a)| Change::BondExtra(w, a)),
		who().prop_map(Change::Unbond),
		(who(), 1u8..8).prop_map(|(w, m)| Change::Stop(w, m)),
		(who(), 1u8..8).prop_map(|(w, m)| Change::Serve(w, m)),
		(who(), 50u8..99).prop_map(|(w, k)| Change::Key(w, k)),
		who().prop_map(Change::Heartbeat),
		(who(), 0u32..9).prop_map(|(w, c)| Change::Capacity(w, c)),
		who().prop_map(Change::Engage),
		who().prop_map(Change::Suspend),
		who().prop_map(Change::Slash),
		who().prop_map(Change::Lapse),
	]
}

/// Makes a change. It may be refused.
fn make(change: Change) {
	let _ = match change {
		Change::Join(who, amount) => bond(who, amount),
		Change::BondExtra(who, amount) => bond_extra(who, amount),
		Change::Unbond(who) => {
			let bond = crate::Providers::<Test>::get(who).map_or(0, |record| record.bond);
			Providers::unbond(signed(who), bond)
		}
		Change::Stop(who, id) => Providers::stop_serving(signed(who), model(id)),
		Change::Serve(who, id) => Providers::serve(signed(who), model(id), Prices::default()),
		Change::Key(who, seed) => set_key(who, seed),
		Change::Capacity(who, capacity) => Providers::set_capacity(signed(who), capacity),
		Change::Heartbeat(who) => {
			Providers::mark_alive(&who);
			Ok(())
		}
		Change::Engage(who) => {
			Providers::engage(&who, 100);
			Ok(())
		}
		Change::Suspend(who) => {
			Providers::suspend(&who);
			Ok(())
		}
		Change::Slash(who) => {
			bank(Providers::slash(&who, Fault::FalseClaim));
			Ok(())
		}
		Change::Lapse(who) => {
			bank(Providers::fine(&who, Fault::Lapse, &model(1), 10));
			Ok(())
		}
	};
}

/// Returns the electorates of all models that are in force now.
fn all_electorates() -> Vec<Vec<(u64, u128)>> {
	(1..8).map(electorate).collect()
}

/// Builds a chain with providers of seven models and makes changes, each this many blocks after the last one.
fn story(changes: &[(u64, Change)]) {
	for who in 1..=4 {
		join(who, 10_000 * u128::from(who));
	}
	(2..8).for_each(|id| Providers::serve(signed(1 + u64::from(id % 4)), model(id), Prices::default()).unwrap());
	for (blocks, change) in changes {
		run_to(System::block_number() + blocks);
		make(change.clone());
	}
}

/// Runs to the block before one that seals an electorate.
fn run_until_the_next_block_seals() {
	let due = || Electorates::<Test>::iter_values().any(|electorate| electorate.may_seal(Providers::block() + 1));
	while !due() {
		run_to(System::block_number() + 1);
	}
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

	#[test]
	fn nothing_of_the_last_period_changes_an_electorate(
		before in prop::collection::vec((0u64..30, change()), 0..12),
		last in prop::collection::vec((0u64..12, change()), 1..20),
	) {
		// What would be drawn from in each block of a period, if nothing happened in it.
		let expected: Vec<_> = new_test_ext().execute_with(|| {
			story(&before);
			run_until_the_next_block_seals();
			let end = System::block_number() + u64::from(PERIOD);
			(System::block_number()..=end)
				.map(|block| {
					run_to(block);
					all_electorates()
				})
				.collect()
		});
		new_test_ext().execute_with(|| {
			story(&before);
			run_until_the_next_block_seals();
			// The earliest changes are those that the next seals see.
			(2..5).for_each(|who| make(Change::BondExtra(who, 77)));
			let mut last = last.into_iter();
			let mut wait = last.next();
			for (age, expected) in expected.iter().enumerate() {
				if age > 0 {
					run_to(System::block_number() + 1);
				}
				assert_eq!(&all_electorates(), expected, "{age} blocks later");
				while let Some((blocks, change)) = wait.take() {
					if blocks > 0 {
						wait = Some((blocks - 1, change));
						break;
					}
					make(change);
					wait = last.next();
				}
				assert_eq!(&all_electorates(), expected, "at once, {age} blocks later");
			}
			Providers::do_try_state().expect("a consistent state");
		});
	}

	#[test]
	fn every_served_model_is_sealed_in_its_turn(changes in prop::collection::vec((0u64..40, change()), 0..40)) {
		new_test_ext().execute_with(|| {
			story(&[]);
			let mut changes = changes.into_iter();
			let mut next_change = changes.next();
			let mut sealed = BTreeMap::<ModelId, u32>::new();
			let mut known = BTreeMap::<ModelId, u32>::new();
			while System::block_number() < 400 {
				let now = Providers::block() + 1;
				run_to(now.into());
				let electorates: Vec<(ModelId, Electorate<u64>)> = Electorates::<Test>::iter().collect();
				let ids: BTreeSet<ModelId> = electorates.iter().map(|(id, _)| *id).collect();
				sealed.retain(|id, _| ids.contains(id));
				known.retain(|id, _| ids.contains(id));
				let mut seals = 0;
				for (id, electorate) in electorates {
					let first = *known.entry(id).or_insert(now);
					let Some(next) = electorate.next else {
						assert!(now - first <= PERIOD + 7, "a new model has its turn");
						continue;
					};
					if next.sealed_at == now {
						seals += 1;
						let last = sealed.insert(id, now).unwrap_or_else(|| now.saturating_sub(PERIOD));
						assert!(now < PERIOD || now - last >= PERIOD, "sealed again after {} blocks", now - last);
					}
					assert!(now - next.sealed_at <= PERIOD + 7, "its turn comes");
				}
				assert!(seals <= PARAMS.max_seals_per_block);
				while let Some((blocks, change)) = next_change.take() {
					if blocks > 0 {
						next_change = Some((blocks - 1, change));
						break;
					}
					make(change);
					next_change = changes.next();
				}
			}
		});
	}

	#[test]
	fn the_largest_bonds_are_sealed(stakes in prop::collection::vec(1u128..50, 0..200)) {
		let seal = Seal::new(0, members(&stakes));
		prop_assert_eq!(seal.members.len(), stakes.len().min(MAX_MEMBERS as usize));
		prop_assert!(seal.is_sorted());
		let Some(least) = seal.members.last() else { return Ok(()) };
		for (who, stake) in (1u64..).zip(&stakes) {
			let sealed = seal.stake_of(&who);
			prop_assert!(sealed.is_none_or(|sealed| sealed == *stake));
			let behind = *stake < least.stake || (*stake == least.stake && who > least.who);
			prop_assert_eq!(sealed.is_none(), behind);
		}
	}

	#[test]
	fn splitting_a_bond_leaves_its_chance_as_it_is(
		stakes in prop::collection::vec(1u128..1 << 80, 1..60), percent in 0u128..=100, seed in any::<[u8; 32]>(),
	) {
		let whole = Seal::new(0, members(&stakes));
		// The first provider puts a part of its bond into a second account.
		let (first, rest) = (stakes[0], &stakes[1..]);
		let part = first / 100 * percent;
		let mut split = members(&[first - part]);
		split.extend(rest.iter().zip(2..).map(|(stake, who)| Member { who, stake: *stake }));
		split.push(Member { who: 1_000, stake: part });
		let split = Seal::new(0, split);
		prop_assert_eq!(total_stake(&whole.members), total_stake(&split.members));
		let both = split.stake_of(&1).unwrap_or(0) + split.stake_of(&1_000).unwrap_or(0);
		prop_assert_eq!(whole.stake_of(&1), Some(both));
		prop_assert!(draw_seats(&seed, &split.members, 8).iter().all(|who| *who != 1_000 || part > 0));
	}
}
