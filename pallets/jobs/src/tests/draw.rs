//! The draw of an executor.

use crate::mock::{Jobs, *};
use assay_primitives::{
	claim::Execution,
	rules::{generation_work, work_blocks},
	traits::ClaimSource,
	JobId, SamplingParams, State, UncheckedInput,
};
use frame_support::{assert_ok, traits::OnFinalize};
use frame_system::RawOrigin;

#[test]
fn the_claim_and_the_seed_follow_from_the_draw() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(1);
		let engagement = job(id).engagement.expect("an executor");
		let execution = Execution {
			genesis: GENESIS,
			job: id,
			attempt: 0,
			block: engagement.drawn.block,
			beacon: engagement.drawn.beacon,
			executor: &engagement.executor,
			model: MODEL,
		};
		assert_eq!(engagement.claim, execution.id().claim());
		let work = <Jobs as ClaimSource<_, _>>::work(&id, false).expect("work");
		assert_eq!((work.seed, work.claim), (execution.id().sampling_seed(), None));
		assert_eq!(
			(work.model, work.input),
			(MODEL, input().bounded().expect("it is short"))
		);
	});
}

#[test]
fn another_beacon_makes_another_claim() {
	TestExt::providers(1).build_and_execute(|| {
		let id = request(0);
		next_block();
		let claims = [[1; 32], [2; 32]].map(|beacon| {
			frame_support::storage::with_transaction(|| {
				BeaconValue::set(beacon);
				Jobs::on_finalize(System::block_number());
				let claim = claim_of(id);
				sp_runtime::TransactionOutcome::Rollback(Ok::<_, sp_runtime::DispatchError>(claim))
			})
			.expect("a claim")
		});
		assert_ne!(claims[0], claims[1]);
	});
}

#[test]
fn a_provider_without_a_free_place_is_passed_over() {
	TestExt::providers(4).build_and_execute(|| {
		(1..=3).for_each(|n| Offline::insert(account(n), ()));
		let ids: Vec<JobId> = (0..4).map(|_| drawn(0)).collect();
		assert!(ids.iter().all(|id| executor(*id) == account(4)));
		let fifth = request(0);
		next_block();
		next_block();
		assert_eq!(job(fifth).state, State::Waiting, "all four places are taken");
		publish(publication(ids[0])).expect("a publication");
		next_block();
		assert_eq!(executor(fifth), account(4));
	});
}

#[test]
fn a_provider_with_too_much_to_do_is_not_drawn_and_keeps_its_place() {
	TestExt::providers(2).build_and_execute(|| {
		Overloaded::insert(account(1), ());
		let ids: Vec<JobId> = (0..4).map(|_| drawn(0)).collect();
		assert!(ids.iter().all(|id| executor(*id) == account(2)));
		assert_eq!(Load::get(account(1)).expect("a provider").0, 0);
	});
}

/// Returns whether a job of so many bytes and tokens finds an executor that has so many blocks for it and for what it has
/// to do before.
fn finds_executor(bytes: usize, max_tokens: u32, blocks: u32) -> bool {
	let mut found = false;
	TestExt::providers(1).build_and_execute(|| {
		ExecutionBlocks::set(blocks);
		let request = Jobs::request(
			RawOrigin::Signed(requester()).into(),
			LONG_CONTEXT.into(),
			UncheckedInput::Text(vec![b'a'; bytes]),
			SamplingParams::greedy(max_tokens).into(),
			0,
			FUNDS,
		);
		assert_ok!(request);
		next_block();
		next_block();
		found = OpenJobs::iter_values().all(|job| job.state == State::Executing);
	});
	found
}

#[test]
fn the_backlog_before_a_job_is_limited_and_not_the_job() {
	let backlog = Params::get().backlog_blocks;
	for (bytes, max_tokens) in [(1, 1), (8_000, 4_096)] {
		let tokens_in = u32::try_from(bytes).expect("small") + 16;
		let own = work_blocks(0, generation_work(tokens_in, max_tokens), 300);
		assert!(
			finds_executor(bytes, max_tokens, own + backlog),
			"{own} blocks of its own"
		);
		assert!(
			!finds_executor(bytes, max_tokens, own + backlog + 1),
			"{own} blocks of its own"
		);
	}
}

#[test]
fn members_are_drawn_by_stake() {
	TestExt::providers(2).build_and_execute(|| {
		Capacity::set(u32::MAX);
		ExecutionBlocks::set(90);
		seal(&MODEL, vec![(account(1), 3 * BOND), (account(2), BOND)]);
		let ids = request_many(150, 0);
		run_to(25);
		let often = ids.iter().filter(|id| executor(**id) == account(1)).count();
		assert!((95..=130).contains(&often), "{often} of 150");
	});
}

#[test]
fn a_failed_executor_is_not_drawn_again_while_another_is_free() {
	TestExt::providers(2).build_and_execute(|| {
		for _ in 0..10 {
			let id = drawn(0);
			let first = executor(id);
			let deadline = job(id).deadline;
			run_to(deadline + 2);
			assert_ne!(executor(id), first);
			publish(publication(id)).expect("a publication");
			end_claim(id, State::Settled, assay_primitives::Verdict::Unchecked);
		}
	});
}

#[test]
fn a_failed_executor_is_drawn_again_if_nobody_else_is_free() {
	TestExt::providers(1).build_and_execute(|| {
		let id = drawn(0);
		let deadline = job(id).deadline;
		run_to(deadline + 2);
		assert_eq!((executor(id), job(id).attempt), (account(1), 1));
	});
}
