//! Random runs with lazy, lying and absent voters: every job ends in time, and all money and all capacity is accounted
//! for.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{JobId, Vote};
use frame_system::RawOrigin;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// How often, in percent, providers do what they should, and the limits of the chain.
#[derive(Clone, Debug)]
struct Setup {
	acts: u8,
	lies: u8,
	jailed: u8,
	max_due: u32,
	max_draws: u32,
	capacity: u32,
}

/// The random numbers of a run.
struct Rng(u64);
impl Rng {
	fn chance(&mut self, percent: u8) -> bool {
		self.number(100) < u64::from(percent)
	}
	fn number(&mut self, below: u64) -> u64 {
		// xorshift64*
		self.0 ^= self.0 >> 12;
		self.0 ^= self.0 << 25;
		self.0 ^= self.0 >> 27;
		(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
	}
}

/// The committed votes, by job, attempt and voter.
type Votes = BTreeMap<(JobId, u8, AccountId), Vote>;

/// Lets each seat of each open job send what is due, or nothing, or a lie.
fn send_messages(rng: &mut Rng, setup: &Setup, votes: &mut Votes) {
	let jobs: Vec<_> = OpenJobs::iter().collect();
	for (id, job) in jobs {
		for seat in &job.committee {
			if !rng.chance(setup.acts) {
				continue;
			}
			let who = &seat.provider;
			let vote = match rng.number(3) {
				_ if !rng.chance(setup.lies) => CONFIRM,
				0 => LIE,
				_ => REJECT,
			};
			let earlier = votes.get(&(id, job.attempt, who.clone())).copied();
			let committed = match (job.phase, earlier) {
				(Phase::Executing, None) => publish(publication(id, job.attempt, who, vote)).is_ok(),
				(Phase::Committing, None) => send_batch(commits(who, vec![(id, job.attempt, vote)])).is_ok(),
				// The reveal that is due, or one that cannot apply.
				(_, Some(earlier)) => {
					let _ = send_batch(reveals(who, vec![(id, job.attempt, earlier), (id, job.attempt, vote)]));
					false
				}
				_ => false,
			};
			if committed {
				votes.insert((id, job.attempt, who.clone()), vote);
			}
		}
	}
}

fn simulate(seed: u64, setup: Setup) {
	TestExt::providers(8).build_and_execute(|| {
		let before = Params::get();
		Params::mutate(|params| {
			params.max_open_jobs = 20;
			params.max_due_per_block = setup.max_due;
			params.max_draws_per_block = setup.max_draws;
		});
		Capacity::set(setup.capacity);
		let t_max = u64::from(Jobs::t_max());
		let mut rng = Rng(seed | 1);
		let mut votes = Votes::new();
		let mut requested: BTreeMap<JobId, u64> = BTreeMap::new();
		while System::block_number() < 40 || OpenJobs::count() > 0 {
			let now = System::block_number();
			if now < 40 && rng.chance(50) && try_request([1, 4, 4, 7][rng.number(4) as usize]).is_ok() {
				if let Some(Event::Requested { job, .. }) = events().last() {
					requested.insert(*job, now);
				}
			}
			for who in (1..=8).map(account) {
				if rng.chance(20) {
					if rng.chance(setup.jailed) {
						Jailed::insert(&who, ());
					} else {
						Jailed::remove(&who);
					}
				}
			}
			send_messages(&mut rng, &setup, &mut votes);
			if rng.chance(10) {
				if let Some(id) = Receipts::<Test>::iter_keys().next() {
					Jobs::prune(RawOrigin::Signed(requester()).into(), id).expect("its own receipt");
				}
			}
			for (id, at) in &requested {
				assert!(
					!OpenJobs::contains_key(id) || now - at <= t_max,
					"{id} is open after {} blocks",
					now - at
				);
			}
			next_block();
		}
		for receipt in Receipts::<Test>::iter_values() {
			assert!(receipt.concluded_at - receipt.requested_at <= t_max);
		}
		assert!(
			Load::iter().all(|(_, (load, _))| load == 0),
			"all capacity is free again"
		);
		assert!(
			Held::iter().all(|(_, (_, fee_ceiling, _))| fee_ceiling == 0),
			"only deposits are held"
		);
		Params::set(before);
		Capacity::set(4);
	});
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

	#[test]
	fn every_job_ends_within_t_max_and_all_money_is_accounted_for(
		seed in any::<u64>(), acts in 0u8..=100, lies in 0u8..=60, jailed in 0u8..=60,
		max_due in 1u32..6, max_draws in 1u32..4, capacity in 1u32..6,
	) {
		simulate(seed, Setup { acts, lies, jailed, max_due, max_draws, capacity });
	}
}
