//! Random stories of lazy, lying and absent voters: every job ends in time, and every token and every place is accounted for.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{JobId, Vote};
use frame_system::RawOrigin;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// How often, in percent, people do what they should.
#[derive(Clone, Debug)]
struct Temper {
	acts: u8,
	lies: u8,
	jailed: u8,
	max_due: u32,
	max_draws: u32,
	capacity: u32,
}

/// Random numbers of a story.
struct Dice(u64);
impl Dice {
	fn roll(&mut self, percent: u8) -> bool {
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

type Words = BTreeMap<(JobId, u8, AccountId), Vote>;

/// Each seat of each open job says what is due, or does not, or lies.
fn a_block_of_messages(dice: &mut Dice, temper: &Temper, words: &mut Words) {
	let open: Vec<_> = Open::iter().collect();
	for (id, job) in open {
		for seat in &job.committee {
			if !dice.roll(temper.acts) {
				continue;
			}
			let who = &seat.provider;
			let word = match dice.number(3) {
				_ if !dice.roll(temper.lies) => CONFIRM,
				0 => LIE,
				_ => REJECT,
			};
			let said = words.get(&(id, job.attempt, who.clone())).copied();
			let committed = match (job.phase, said) {
				(Phase::Executing, None) => publish(publication(id, job.attempt, who, word)).is_ok(),
				(Phase::Committing, None) => vote(commits(who, vec![(id, job.attempt, word)])).is_ok(),
				// What is due, or what makes no sense.
				(_, Some(said)) => {
					let _ = vote(reveals(who, vec![(id, job.attempt, said), (id, job.attempt, word)]));
					false
				}
				_ => false,
			};
			if committed {
				words.insert((id, job.attempt, who.clone()), word);
			}
		}
	}
}

fn a_story(seed: u64, temper: Temper) {
	TestExt::providers(8).execute_with(|| {
		let before = Params::get();
		Params::mutate(|params| {
			params.max_open_jobs = 20;
			params.max_due_per_block = temper.max_due;
			params.max_draws_per_block = temper.max_draws;
		});
		Capacity::set(temper.capacity);
		let t_max = u64::from(Jobs::t_max());
		let mut dice = Dice(seed | 1);
		let mut words = Words::new();
		let mut asked: BTreeMap<JobId, u64> = BTreeMap::new();
		while System::block_number() < 40 || Open::count() > 0 {
			let now = System::block_number();
			if now < 40 && dice.roll(50) && try_request([1, 4, 4, 7][dice.number(4) as usize]).is_ok() {
				if let Some(Event::Requested { job, .. }) = events().last() {
					asked.insert(*job, now);
				}
			}
			for who in (1..=8).map(account) {
				if dice.roll(20) {
					match dice.roll(temper.jailed) {
						true => Jailed::insert(&who, ()),
						false => Jailed::remove(&who),
					}
				}
			}
			a_block_of_messages(&mut dice, &temper, &mut words);
			if dice.roll(10) {
				if let Some(id) = Receipts::<Test>::iter_keys().next() {
					Jobs::prune(RawOrigin::Signed(asker()).into(), id).expect("its own receipt");
				}
			}
			for (id, at) in &asked {
				assert!(
					!Open::contains_key(id) || now - at <= t_max,
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
			"every place is free again"
		);
		assert!(
			Held::iter().all(|(_, (_, ceiling, _))| ceiling == 0),
			"only deposits are held"
		);
		Params::set(before);
		Capacity::set(4);
	});
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

	#[test]
	fn every_job_ends_within_t_max_and_every_token_is_accounted_for(
		seed in any::<u64>(), acts in 0u8..=100, lies in 0u8..=60, jailed in 0u8..=60,
		max_due in 1u32..6, max_draws in 1u32..4, capacity in 1u32..6,
	) {
		a_story(seed, Temper { acts, lies, jailed, max_due, max_draws, capacity });
	}
}
