//! Random stories with absent executors and claims that end in every way: every job ends in time, and all money and all
//! places are accounted for.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{limits::MAX_ATTEMPTS, receipt::RefundReason, Failure, FinishReason, JobId, State, Verdict};
use frame_system::RawOrigin;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// How often, in percent, providers do what they should, and the limits of the chain.
#[derive(Clone, Debug)]
struct Setup {
	publishes: u8,
	offline: u8,
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

/// Lets executors publish, or not, and claims end, or not.
fn act(rng: &mut Rng, setup: &Setup) {
	for (id, job) in OpenJobs::iter().collect::<Vec<_>>() {
		match job.state {
			State::Executing if rng.chance(setup.publishes) => {
				let mut publication = publication(id);
				if rng.chance(20) {
					publication.output.tokens.clear();
					publication.output.finish = FinishReason::Failed(Failure::PromptTooLong);
				}
				publish(publication).expect("a publication");
			}
			State::Published | State::Window if rng.chance(30) => end_somehow(rng, id, job.verifiers),
			_ => (),
		}
	}
}

fn end_somehow(rng: &mut Rng, id: JobId, verifiers: u8) {
	let approvals = others(&executor(id));
	let seats = rng.number(approvals.len() as u64 + 1) as usize;
	if verifiers > 0 {
		confirm(id, &approvals[..seats]);
	}
	let (state, verdict) = match rng.number(5) {
		0 => (State::Overturned, Verdict::Overturned),
		1 => (State::Refunded, Verdict::Refunded(RefundReason::Undecided)),
		_ => (State::Settled, Verdict::Confirmed),
	};
	let paid = end_claim(id, state, verdict);
	let most = if state == State::Settled {
		usize::from(verifiers).min(seats)
	} else {
		0
	};
	assert_eq!(
		paid as usize, most,
		"as many seats are paid as were asked for and filled"
	);
}

fn simulate(seed: u64, setup: Setup) {
	TestExt::providers(5).build_and_execute(|| {
		Params::mutate(|params| {
			params.max_waiting_jobs = 20;
			params.max_due_per_block = setup.max_due.max(setup.max_draws);
			params.max_draws_per_block = setup.max_draws;
		});
		Capacity::set(setup.capacity);
		let mut rng = Rng(seed | 1);
		let mut begun: BTreeMap<JobId, u64> = BTreeMap::new();
		let mut accumulated: BTreeMap<u64, JobId> = BTreeMap::new();
		// Until somebody publishes: the queue, and each attempt with its delays.
		let longest = u64::from(Jobs::quote(MODEL.into(), 18, 8, 0).expect("a quote").t_max) - 400;
		let open = || OpenJobs::iter_keys().next().is_some();
		while System::block_number() < 40 || open() {
			let now = System::block_number();
			let model = [MODEL, FREE, LONG_CONTEXT][rng.number(3) as usize];
			if now < 40 && rng.chance(70) && try_request(model, rng.number(4) as u8).is_ok() {
				if let Some(Event::Requested { job, .. }) = events().last() {
					begun.insert(*job, now);
				}
			}
			for who in (1..=5).map(account).filter(|_| rng.chance(20)).collect::<Vec<_>>() {
				if rng.chance(setup.offline) {
					Offline::insert(&who, ());
				} else {
					Offline::remove(&who);
				}
			}
			act(&mut rng, &setup);
			for (id, index) in Leaves::<Test>::iter() {
				let before = accumulated.insert(index, id);
				assert!(before.is_none_or(|before| before == id), "a leaf stays where it is");
			}
			if rng.chance(10) {
				if let Some(id) = Receipts::<Test>::iter_keys().next() {
					Jobs::prune(RawOrigin::Signed(requester()).into(), id).expect("its own receipt");
				}
			}
			for (id, at) in &begun {
				let waits = OpenJobs::get(id).is_some_and(|job| job.answer.is_none());
				assert!(!waits || now - at <= longest, "{id} waits after {} blocks", now - at);
			}
			next_block();
		}
		for receipt in Receipts::<Test>::iter_values() {
			assert!(u32::from(receipt.attempts) <= MAX_ATTEMPTS);
			let ran = receipt.answer.is_some_and(|answer| answer.model_ran());
			assert_eq!(receipt.fee > 0, ran && receipt.state == State::Settled);
		}
		for (id, index) in Leaves::<Test>::iter() {
			accumulated.insert(index, id);
		}
		let jobs: BTreeSet<_> = accumulated.values().collect();
		assert!(
			jobs.into_iter().eq(begun.keys()),
			"every job has a leaf, and none has two"
		);
		assert_eq!(ReceiptAccumulator::<Test>::get().leaves, begun.len() as u64);
		assert!(
			Load::iter_values().all(|(load, _)| load == 0),
			"all places are free again"
		);
	});
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

	#[test]
	fn every_job_ends_in_time_and_all_money_is_accounted_for(
		seed in any::<u64>(), publishes in 0u8..=100, offline in 0u8..=60,
		max_due in 1u32..6, max_draws in 1u32..4, capacity in 1u32..6,
	) {
		simulate(seed, Setup { publishes, offline, max_due, max_draws, capacity });
	}
}
