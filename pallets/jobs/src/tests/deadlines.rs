//! Deadlines: what happens when an executor publishes nothing.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{
	economics::Fault, limits::MAX_ATTEMPTS, receipt::RefundReason, traits::ClaimSource, JobId, State, Verdict,
};
use std::collections::BTreeSet;

/// What an executor of a job with the default prompt is fined: a quarter of the execution fee at most.
const FINE: u128 = 125;

fn miss_deadline(id: JobId) {
	let deadline = job(id).deadline;
	run_to(deadline);
	assert_eq!(job(id).state, State::Executing, "the last block counts");
	run_to(deadline + 1);
}

#[test]
fn an_executor_without_output_is_fined_for_the_pool() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(2);
		let before = balance(&requester());
		let failed = executor(id);
		miss_deadline(id);
		let expected = Event::AttemptFailed {
			job: id,
			attempt: 0,
			executor: failed.clone(),
			fine: FINE,
		};
		assert!(events().contains(&expected));
		assert_eq!((job(id).state, job(id).attempt), (State::Waiting, 1));
		assert_eq!(Faults::get(), vec![(failed.clone(), Fault::NoOutput)]);
		assert_eq!(balance(&failed), BOND - FINE);
		assert_eq!(balance(&pool()), ENDOWMENT + FINE);
		assert_eq!(balance(&requester()), before, "the requester gets its answer later");
	});
}

#[test]
fn every_attempt_has_a_claim_and_a_seed_of_its_own() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(2);
		let mut names = BTreeSet::new();
		for attempt in 0..MAX_ATTEMPTS as u8 {
			assert_eq!(job(id).attempt, attempt);
			let work = <Jobs as ClaimSource<_, _>>::work(&id, false).expect("work");
			assert!(names.insert(work.seed) && names.insert(claim_of(id).0));
			miss_deadline(id);
			if attempt < 2 {
				next_block();
			}
		}
	});
}

#[test]
fn after_the_last_attempt_the_requester_gets_everything_back() {
	TestExt::providers(4).build_and_execute(|| {
		let deposit = Jobs::quote(MODEL.into(), 18, 8, 2).expect("a quote").deposit;
		let id = drawn(2);
		for attempt in 0..MAX_ATTEMPTS {
			miss_deadline(id);
			if attempt + 1 < MAX_ATTEMPTS {
				next_block();
			}
		}
		let receipt = receipt(id);
		assert_eq!(receipt.verdict, Verdict::Refunded(RefundReason::NoOutput));
		assert_eq!((receipt.attempts, receipt.fee), (3, 0));
		assert_eq!(balance(&requester()), FUNDS - deposit);
		assert_eq!(balance(&pool()), ENDOWMENT + 3 * FINE);
		let failed: BTreeSet<_> = Faults::get().into_iter().map(|(who, _)| who).collect();
		assert_eq!(failed.len(), 3, "three executors");
	});
}

#[test]
fn a_publication_in_time_makes_its_deadline_meaningless() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(2);
		let deadline = job(id).deadline;
		run_to(deadline);
		publish(publication(id)).expect("the last block counts");
		run_to(deadline + 5);
		assert_eq!(job(id).state, State::Published);
		assert!(Faults::get().is_empty());
		assert!(Due::<Test>::iter().next().is_none(), "nothing is left in the lists");
	});
}

#[test]
fn no_more_deadlines_are_handled_in_a_block_than_it_allows() {
	TestExt::providers(4).build_and_execute(|| {
		Params::mutate(|params| params.max_due_per_block = 3);
		let ids = request_many(8, 0);
		next_block();
		next_block();
		(1..=4).for_each(|n| Offline::insert(account(n), ()));
		let deadline = job(ids[0]).deadline;
		assert!(ids.iter().all(|id| job(*id).deadline == deadline));
		run_to(deadline);
		for failed in [3, 6, 8] {
			next_block();
			let waiting = ids.iter().filter(|id| job(**id).state == State::Waiting).count();
			assert_eq!(waiting, failed);
		}
	});
}

#[test]
fn deadlines_beyond_a_full_list_are_those_of_the_next_block() {
	TestExt::providers(1).build_and_execute(|| {
		let duty = |n: u32| Duty {
			job: JobId([n as u8; 32]),
			executor: account(1),
		};
		for n in 0..MAX_DUE {
			assert_eq!(Jobs::add_duty(50, duty(n)), Ok(50));
		}
		assert_eq!(Jobs::add_duty(50, duty(0)), Ok(51));
	});
}

#[test]
fn a_late_attempt_that_fails_is_tried_again_before_its_job_is_refunded() {
	TestExt::providers(1).build_and_execute(|| {
		ExecutionBlocks::set(40);
		let id = drawn(0);
		miss_deadline(id);
		assert!(System::block_number() > 21, "the queue time is over");
		next_block();
		assert_eq!(job(id).state, State::Executing);
		Offline::insert(account(1), ());
		miss_deadline(id);
		next_block();
		next_block();
		assert_eq!(receipt(id).verdict, Verdict::Refunded(RefundReason::QueueTimeOver));
		assert_eq!(receipt(id).attempts, 2);
	});
}
