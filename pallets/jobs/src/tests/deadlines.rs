//! Deadlines: what happens when messages are missing.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{
	economics::{Fault, Rates},
	receipt::{RefundReason, Verdict},
};

#[test]
fn an_executor_without_output_is_slashed_for_the_requester() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let (fee_ceiling, before) = (job(id).fee_ceiling, balance(&requester()));
		let executor = committee(id)[0].clone();
		let deadline = job(id).deadline;
		run_to(deadline);
		assert_eq!(job(id).attempt, 0);
		run_to(deadline + 1);
		assert_eq!(job(id).attempt, 1);
		assert_eq!(Faults::get(), vec![(executor, Fault::NoOutput)]);
		assert_eq!(balance(&requester()), before + Rates::DEFAULT.restitution * fee_ceiling);
	});
}

#[test]
fn a_supermajority_of_commitments_is_enough_at_the_deadline() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let seats = publish_and_commit(id, &[Some(CONFIRM), Some(CONFIRM), Some(CONFIRM), None]);
		run_out(id);
		assert_eq!(job(id).phase, Phase::Revealing);
		for who in &seats[..3] {
			reveal(id, who, CONFIRM).expect("a reveal");
		}
		assert_eq!(receipt(id).verdict, Verdict::Confirmed);
		assert!(Faults::get().is_empty(), "a provider that did not commit has abstained");
	});
}

#[test]
fn too_few_commitments_fail_the_attempt_and_slash_nobody() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		publish_and_commit(id, &[Some(CONFIRM), Some(CONFIRM), None, None]);
		run_out(id);
		assert_eq!(job(id).attempt, 1);
		assert!(matches!(
			events().last(),
			Some(Event::AttemptFailed {
				reason: RefundReason::NoSupermajority,
				..
			})
		));
		assert!(Faults::get().is_empty());
	});
}

#[test]
fn a_job_without_any_message_ends_within_t_max() {
	TestExt::providers(4).build_and_execute(|| {
		let id = request(4);
		let requested_at = System::block_number();
		while OpenJobs::contains_key(id) {
			next_block();
		}
		assert_eq!(receipt(id).verdict, Verdict::Refunded(RefundReason::NoOutput));
		assert!(System::block_number() - requested_at <= u64::from(Jobs::t_max()));
	});
}

#[test]
fn deadlines_that_do_not_fit_a_block_wait_for_the_next() {
	TestExt::providers(4).build_and_execute(|| {
		Params::mutate(|params| params.max_due_per_block = 2);
		let ids: Vec<_> = (0..5).map(|_| request(4)).collect();
		(1..=4).for_each(|n| Jailed::insert(account(n), ()));
		let open = || ids.iter().filter(|id| OpenJobs::contains_key(id)).count();
		run_to(6);
		assert_eq!(open(), 5);
		for left in [3, 1, 0] {
			next_block();
			assert_eq!(open(), left);
		}
		// The cursor catches up.
		run_to(12);
		assert_eq!(DueFrom::<Test>::get(), 12);
	});
}
