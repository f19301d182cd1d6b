//! Random stories: whatever providers do, every claim ends, money is conserved, and honest parties lose little.

use crate::{mock::*, *};
use assay_primitives::{economics::Fault, traits::Penalties, ClaimId, State, TraceRoot};
use proptest::prelude::*;

/// The random numbers of a story: SplitMix64.
struct Rng(u64);

impl Rng {
	fn next_u64(&mut self) -> u64 {
		self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
		let mut z = self.0;
		z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
		z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
		z ^ (z >> 31)
	}
}

struct Setup {
	/// How many of ten providers are corrupt: those with the smallest numbers.
	corrupt: u8,
	/// How often, of a hundred times, somebody is absent.
	absent: u64,
	/// How often somebody objects.
	objects: u64,
}

fn is_corrupt(setup: &Setup, who: &AccountId) -> bool {
	(1..=setup.corrupt).any(|n| *who == account(n))
}

/// One block of everybody's messages.
fn act(rng: &mut Rng, setup: &Setup, id: ClaimId, root: TraceRoot) {
	let chance = |rng: &mut Rng, percent: u64| rng.next_u64() % 100 < percent;
	let Some(now) = OpenClaims::get(id) else { return };
	match now.state {
		State::Voting | State::Lapsed | State::Auditing => {
			for (who, tranche) in waiting(id) {
				if chance(rng, setup.absent) || OpenClaims::get(id).is_none_or(|claim| claim.state == State::Disputed) {
					continue;
				}
				let lies = is_corrupt(setup, &who) && chance(rng, 50);
				let truth = root == TRUTH;
				let message = if truth == lies {
					reject(id, tranche)
				} else {
					approve(id, &who, tranche, root)
				};
				let _ = submit(&who, &[message]);
			}
		}
		State::Window => {
			if now.may_be_opened() && chance(rng, 30) {
				let _ = open(id, root);
			}
			if chance(rng, setup.objects) {
				let _ = object(&requester(), id);
			}
		}
		State::Disputed => vote_as_jury(rng, setup, id, root),
		_ => (),
	}
}

fn vote_as_jury(rng: &mut Rng, setup: &Setup, id: ClaimId, root: TraceRoot) {
	let Some(jury) = Juries::<Test>::get(id) else { return };
	let round = claim(id).record.dispute.expect("a dispute").round;
	for juror in jury.members {
		if rng.next_u64() % 100 < setup.absent {
			continue;
		}
		let truth = (root == TRUTH) != is_corrupt(setup, &juror.who);
		let vote = jury_vote(id, round, if truth { Says::True } else { Says::False });
		let message = if jury.revealing {
			Message::JuryReveal {
				claim: id,
				round,
				vote,
				salt: [3; 32],
			}
		} else {
			Message::JuryCommit {
				claim: id,
				round,
				commitment: id.dispute().commitment(round, &juror.who, &vote, &[3; 32]),
			}
		};
		let _ = submit(&juror.who, &[message]);
	}
}

fn play(seed: u64, setup: Setup) {
	TestExt::providers(10).build_and_execute(|| {
		let mut rng = Rng(seed);
		let claims: Vec<_> = (1..=6u8)
			.map(|n| {
				// Provider 1 executes; it lies half of the time if it is corrupt.
				let lies = setup.corrupt > 0 && rng.next_u64().is_multiple_of(2);
				let root = if lies { LIE } else { TRUTH };
				(publish_as(n, (rng.next_u64() % 4) as u8, root), root)
			})
			.collect();
		for _ in 0..1_500 {
			if claims.iter().all(|(id, _)| !OpenClaims::contains_key(id)) {
				break;
			}
			for (id, root) in &claims {
				act(&mut rng, &setup, *id, *root);
			}
			// Governance cancels now and then.
			if rng.next_u64().is_multiple_of(97) {
				let open = Convictions::<Test>::iter_keys().next();
				open.map(Verification::do_cancel_slash);
			}
			next_block();
		}
		for (id, root) in &claims {
			assert!(!OpenClaims::contains_key(id), "every claim ends");
			// With less than a third corrupt no decision is wrong.
			let (state, _, _) = closed(*id);
			assert!(state != State::Overturned || *root == LIE);
		}
		run_to(System::block_number() + 400);
		assert_eq!(Convictions::<Test>::count(), 0);
		for who in (setup.corrupt + 1..=10).map(account) {
			let grave = [
				Fault::FalseClaim,
				Fault::FalseRejection,
				Fault::FalseApproval,
				Fault::WrongJuror,
			];
			let faults = Faults::get();
			let graves = faults
				.iter()
				.filter(|(other, fault)| *other == who && grave.contains(fault))
				.count();
			assert_eq!(graves, 0, "nobody honest is convicted: {faults:?}");
			assert!(!MockProviders::is_suspended(&who));
		}
	});
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

	#[test]
	fn every_claim_ends_and_no_honest_party_is_convicted(
		seed in any::<u64>(), corrupt in 0u8..=3, absent in 0u64..=20, objects in 0u64..=3,
	) {
		play(seed, Setup { corrupt, absent, objects });
	}
}
