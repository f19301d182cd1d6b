//! Waiting: a burst is served, no listing blocks another, and nobody waits longer than quoted.

use crate::{mock::*, *};
use assay_primitives::{receipt::RefundReason, State, Verdict};

/// Returns the models of the jobs whose executor was drawn in the last block, in the order of the draws.
fn drawn_models() -> Vec<assay_primitives::ModelId> {
	let drawn = events().into_iter().filter_map(|event| match event {
		Event::Drawn { job: id, .. } => Some(job(id).model),
		_ => None,
	});
	drawn.collect()
}

/// Ends the block and returns the events of its end.
fn finalize() -> Vec<assay_primitives::ModelId> {
	use frame_support::traits::{OnFinalize, OnInitialize};
	let now = System::block_number();
	System::reset_events();
	crate::mock::Jobs::on_finalize(now);
	let models = drawn_models();
	System::set_block_number(now + 1);
	crate::mock::Jobs::on_initialize(now + 1);
	models
}

#[test]
fn a_burst_waits_and_every_job_is_published() {
	TestExt::providers(4).build_and_execute(|| {
		Capacity::set(8);
		let ids = request_many(100, 2);
		let mut blocks = 0;
		while ids.iter().any(|id| job(*id).answer.is_none()) {
			next_block();
			publish_all();
			blocks += 1;
			assert!(blocks < 20, "nobody is refunded, and all end within the queue time");
		}
		assert!(ids.iter().all(|id| job(*id).state == State::Published));
	});
}

#[test]
fn jobs_of_one_model_are_drawn_in_the_order_of_their_requests() {
	TestExt::providers(1).build_and_execute(|| {
		Capacity::set(1);
		let ids = request_many(3, 0);
		next_block();
		for id in &ids {
			next_block();
			assert_eq!(job(*id).state, State::Executing);
			publish_all();
		}
	});
}

#[test]
fn a_model_without_a_free_place_does_not_block_another() {
	TestExt::providers(2).build_and_execute(|| {
		seal(&MODEL, vec![(account(1), BOND)]);
		seal(&FREE, vec![(account(2), BOND)]);
		Offline::insert(account(1), ());
		let blocked = request_many(10, 0);
		let served = request_of(FREE, 0);
		next_block();
		next_block();
		assert_eq!(job(served).state, State::Executing);
		assert!(blocked.iter().all(|id| job(*id).state == State::Waiting));
	});
}

#[test]
fn models_take_turns() {
	TestExt::providers(4).build_and_execute(|| {
		Params::mutate(|params| params.max_draws_per_block = 4);
		for model in [MODEL; 6].into_iter().chain([FREE; 2]) {
			request_of(model, 0);
		}
		next_block();
		assert_eq!(finalize(), [MODEL, FREE, MODEL, FREE]);
		assert_eq!(finalize(), [MODEL; 4]);
		assert_eq!(finalize(), []);
	});
}

#[test]
fn models_beyond_the_draws_of_a_block_come_first_in_the_next() {
	TestExt::providers(4).build_and_execute(|| {
		Params::mutate(|params| params.max_draws_per_block = 1);
		for model in [MODEL, FREE, LONG_CONTEXT, MODEL, FREE] {
			request_of(model, 0);
		}
		// The first model has had its turn when it was too early.
		next_block();
		let order: Vec<_> = (0..5).flat_map(|_| finalize()).collect();
		assert_eq!(order, [FREE, LONG_CONTEXT, MODEL, FREE, MODEL]);
	});
}

#[test]
fn a_request_waits_for_the_block_after_it() {
	TestExt::providers(4).build_and_execute(|| {
		let id = request(0);
		next_block();
		assert_eq!(job(id).state, State::Waiting);
		next_block();
		assert_eq!(job(id).engagement.expect("an executor").drawn.block, 2);
	});
}

#[test]
fn a_job_that_finds_nobody_in_the_quoted_time_is_refunded() {
	TestExt::providers(2).build_and_execute(|| {
		let deposit = crate::mock::Jobs::quote(MODEL.into(), 18, 8, 1)
			.expect("a quote")
			.deposit;
		(1..=2).for_each(|n| Offline::insert(account(n), ()));
		let id = request(1);
		assert_eq!(job(id).deadline, 21);
		run_to(21);
		assert_eq!(job(id).state, State::Waiting);
		next_block();
		let receipt = receipt(id);
		assert_eq!(receipt.verdict, Verdict::Refunded(RefundReason::QueueTimeOver));
		assert_eq!((receipt.state, receipt.fee, receipt.attempts), (State::Refunded, 0, 0));
		assert_eq!((receipt.claim, receipt.answer), (None, None));
		assert_eq!(balance(&requester()), FUNDS - deposit);
		assert!(Faults::get().is_empty(), "nobody was drawn, so nobody failed");
	});
}

#[test]
fn a_place_that_is_free_in_the_last_block_is_taken() {
	TestExt::providers(1).build_and_execute(|| {
		Offline::insert(account(1), ());
		let id = request(0);
		run_to(21);
		Offline::remove(account(1));
		next_block();
		assert_eq!(job(id).state, State::Executing);
	});
}

#[test]
fn a_retried_job_goes_first_and_waits_no_longer_than_the_next() {
	TestExt::providers(1).build_and_execute(|| {
		Capacity::set(1);
		let first = drawn(0);
		let waiting = request_many(2, 0);
		Offline::insert(account(1), ());
		let deadline = job(first).deadline;
		run_to(deadline + 1);
		assert_eq!((job(first).state, job(first).attempt), (State::Waiting, 1));
		assert!(job(first).deadline <= job(waiting[0]).deadline);
		Offline::remove(account(1));
		next_block();
		assert_eq!(job(first).state, State::Executing, "it kept the head of the queue");
		assert!(waiting.iter().all(|id| job(*id).state == State::Waiting));
	});
}

#[test]
fn the_draws_of_a_block_are_paid_at_its_beginning() {
	use frame_support::traits::OnInitialize;
	TestExt::providers(4).build_and_execute(|| {
		crate::mock::Jobs::on_initialize(1);
		let idle = crate::mock::Jobs::on_initialize(1);
		request_many(3, 0);
		let busy = crate::mock::Jobs::on_initialize(1);
		let draws = <() as WeightInfo>::draw().saturating_mul(3) + <() as WeightInfo>::turn();
		assert_eq!(busy, idle + draws);
	});
}
