//! Jobs as clients see them.

use crate::mock::{Jobs, *};
use assay_primitives::{traits::ClaimSource, JobId, State, Verdict};
use sp_core::{crypto::ByteArray, Pair};

#[test]
fn a_view_follows_a_job_from_its_request_to_its_end() {
	TestExt::providers(4).build_and_execute(|| {
		let id = request(2);
		let view = Jobs::view(id).expect("a view");
		assert_eq!((view.state, view.attempt, view.verifiers), (State::Waiting, 0, 2));
		assert_eq!((view.executor, view.claim, view.deadline), (None, None, Some(21)));
		assert_eq!((view.input, view.output), (input(), None));

		next_block();
		next_block();
		let view = Jobs::view(id).expect("a view");
		assert_eq!((view.state, view.attempt), (State::Executing, 1));
		assert_eq!((view.executor, view.claim), (Some(executor(id)), Some(claim_of(id))));

		publish(publication(id)).expect("a publication");
		let (who, claim) = (executor(id), claim_of(id));
		let view = Jobs::view(id).expect("a view");
		assert_eq!((view.state, view.verdict), (State::Published, None));
		assert_eq!(view.output, Some(output()));
		assert_eq!(view.deadline, Some(System::block_number() + 5), "that of the claim");

		confirm(id, &others(&who)[..2]);
		let view = Jobs::view(id).expect("a view");
		assert_eq!((view.state, view.verdict), (State::Window, Some(Verdict::Confirmed)));
		assert_eq!(view.seats.len(), 2);

		end_claim(id, State::Settled, Verdict::Confirmed);
		let view = Jobs::view(id).expect("a view");
		assert_eq!((view.state, view.deadline), (State::Settled, None));
		assert_eq!((view.executor, view.claim), (Some(who), Some(claim)));
		assert_eq!((view.seats.len(), view.verifiers, view.attempt), (2, 2, 1));
		assert_eq!(view.output, Some(output()));
	});
}

#[test]
fn an_unknown_job_has_neither_view_nor_receipt() {
	TestExt::providers(1).build_and_execute(|| {
		assert!(Jobs::view(JobId([1; 32])).is_none() && Jobs::receipt(JobId([1; 32])).is_none());
	});
}

#[test]
fn t_max_contains_every_deadline() {
	TestExt::providers(1).build_and_execute(|| {
		let quote = Jobs::quote(MODEL.into(), 18, 8, 0).expect("a quote");
		// The queue, three executions, and the claim.
		assert!(quote.t_max > 20 + 3 * 100 + 400 + 42);
		assert_eq!(quote.longest_wait, 20);
	});
}

#[test]
fn an_execution_is_the_work_of_the_present_attempt() {
	TestExt::providers(2).build_and_execute(|| {
		let id = request(1);
		assert_eq!(Jobs::execution(id), None, "nobody executes it yet");
		next_block();
		next_block();
		let view = Jobs::execution(id).expect("an execution");
		let work = <Jobs as ClaimSource<_, _>>::work(&id, false).expect("work");
		assert_eq!((view.work, view.claim), (work.id(), claim_of(id)));
		assert_eq!(
			(view.attempt, view.executor.clone(), view.published),
			(1, executor(id), false)
		);
		assert_eq!(
			view.key.map(|key| key.to_vec()),
			Some(pair(&view.executor).public().to_raw_vec())
		);

		// The next attempt is another one's, or at least other work.
		let deadline = job(id).deadline;
		run_to(deadline + 2);
		let next = Jobs::execution(id).expect("an execution");
		assert_eq!((next.attempt, next.executor.clone()), (2, executor(id)));
		assert!(next.work != view.work && next.claim != view.claim);

		publish(publication(id)).expect("a publication");
		let published = Jobs::execution(id).expect("an execution");
		assert_eq!((published.work, published.published), (next.work, true));
		settle(id, &others(&next.executor));
		assert_eq!(Jobs::execution(id), None, "it is closed");
		assert_eq!(Jobs::execution(JobId([0; 32])), None);
	});
}
