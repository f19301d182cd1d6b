//! What a subscriber receives while a job goes on.

use super::*;

#[tokio::test]
async fn an_unknown_job_is_a_named_and_numbered_error() {
	let chain = Chain::default();
	let module = module(&chain);
	let read: Result<JobStatus, _> = module.call("assay_jobStatus", [JOB]).await;
	match read {
		Err(MethodsError::JsonRpc(e)) => {
			assert_eq!(e.code(), 20_001);
			assert!(e.message().starts_with("UnknownJob"));
		}
		other => panic!("{other:?}"),
	}
	assert_eq!(refused(&module, JOB).await, 20_001);
	let nonsense: Result<JobStatus, _> = module.call("assay_jobStatus", ["0x12"]).await;
	let Err(MethodsError::JsonRpc(e)) = nonsense else {
		panic!("not refused: {nonsense:?}")
	};
	assert_eq!(e.code(), -32_602);
	assert!(e.message().contains("job: expected 64 hex digits"), "{e}");
}

#[tokio::test]
async fn until_is_verdict_or_settled_and_nothing_else() {
	let chain = Chain::with(view(State::Waiting));
	let module = module(&chain);
	for until in [None, Some("verdict"), Some("settled")] {
		let subscribed = module.subscribe("assay_subscribeJob", (JOB, until), 16).await;
		assert!(subscribed.is_ok(), "{until:?}");
	}
	match module.subscribe("assay_subscribeJob", (JOB, "doomsday"), 16).await {
		Err(MethodsError::JsonRpc(e)) => {
			assert_eq!(e.code(), -32_602);
			assert!(e.message().contains("until: unknown variant `doomsday`"), "{e}");
		}
		other => panic!("not refused: {other:?}"),
	}
}

#[tokio::test]
async fn a_subscriber_receives_every_step_once_and_the_final_verdict_last() {
	let chain = Chain::with(view(State::Waiting));
	let module = module(&chain);
	let mut job = subscribe(&module).await;
	assert_eq!(next(&mut job).await.status.state, State::Waiting);
	chain.block(Some(view(State::Waiting)), None);
	chain.block(Some(view(State::Voting)), None);
	assert_eq!(next(&mut job).await.status.state, State::Voting);
	chain.block(confirmed(4), None);
	let JobUpdate { status, ended } = next(&mut job).await;
	assert_eq!(
		(status.verdict, status.verdict_at, status.finalized, status.closed),
		(Some(Verdict::Confirmed), Some(4), false, false)
	);
	assert_eq!(ended, None);
	chain.finalize(3);
	chain.finalize(4);
	let last = next(&mut job).await;
	assert_eq!((last.status.finalized, last.ended), (true, Some(EndReason::Final)));
	let read: JobStatus = module.call("assay_jobStatus", [JOB]).await.unwrap();
	assert_eq!(read, last.status);
	chain.block(Some(view(State::Waiting)), None);
	nothing_comes(&mut job).await;
}

#[tokio::test]
async fn until_settled_goes_on_until_the_final_state_is_finalized() {
	for (state, verdict) in [
		(State::Settled, Verdict::Confirmed),
		(State::Overturned, Verdict::Overturned),
		(State::Refunded, Verdict::Refunded(RefundReason::Undecided)),
	] {
		let chain = Chain::with(decided(State::Window, Verdict::Confirmed, 1));
		let module = module(&chain);
		let mut job = subscribe_until(&module, Until::Settled).await;
		assert!(!next(&mut job).await.status.finalized);
		chain.finalize(1);
		let finalized = next(&mut job).await;
		assert_eq!((finalized.status.finalized, finalized.ended), (true, None));
		chain.block(Some(decided(State::Disputed, Verdict::Confirmed, 1)), None);
		assert_eq!(next(&mut job).await.status.state, State::Disputed);
		chain.block(
			Some(decided(state, verdict, 1)),
			Some(receipt(state, verdict, 1, Some(3))),
		);
		let JobUpdate { status, ended } = next(&mut job).await;
		assert_eq!(
			(status.verdict, status.closed_at, status.closed, ended),
			(Some(verdict), Some(3), false, None)
		);
		chain.finalize(2);
		chain.finalize(3);
		let last = next(&mut job).await;
		assert_eq!(
			(last.status.closed, last.ended),
			(true, Some(EndReason::Final)),
			"{state:?}"
		);
		chain.block(Some(view(State::Waiting)), None);
		nothing_comes(&mut job).await;
	}
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_read_again_in_the_next_block() {
	let chain = Chain::with(view(State::Waiting));
	let module = module(&chain);
	let mut job = subscribe(&module).await;
	next(&mut job).await;
	chain.0.lock().broken = true;
	chain.block(Some(view(State::Voting)), None);
	chain.is_read().await;
	nothing_comes(&mut job).await;
	let other = JobId([9; 32]);
	assert_eq!(refused(&module, other).await, 20_003, "the reason is in the log alone");
	chain.0.lock().broken = false;
	chain.next_block();
	assert_eq!(next(&mut job).await.status.state, State::Voting);
}

#[tokio::test]
async fn a_job_that_comes_back_in_time_goes_on() {
	let chain = Chain::with(view(State::Executing));
	let module = module(&chain);
	let mut job = subscribe(&module).await;
	assert_eq!(next(&mut job).await.status.state, State::Executing);
	for state in [State::Waiting, State::Published] {
		chain.reorganize();
		for _ in 1..follower::MAX_ABSENT_BLOCKS {
			chain.block(None, None);
			chain.is_read().await;
		}
		nothing_comes(&mut job).await;
		chain.block(Some(view(state)), None);
		let back = next(&mut job).await;
		assert_eq!((back.status.state, back.ended), (state, None));
	}
}

#[tokio::test]
async fn a_verdict_on_a_fork_that_lost_is_not_final() {
	let chain = Chain::with(view(State::Voting));
	let module = module(&chain);
	let mut job = subscribe(&module).await;
	next(&mut job).await;
	chain.block(confirmed(2), None);
	assert!(next(&mut job).await.status.verdict.is_some());
	chain.reorganize();
	chain.block(Some(view(State::Voting)), None);
	assert_eq!(next(&mut job).await.status.verdict, None);
	chain.finalize(3);
	nothing_comes(&mut job).await;
	chain.block(confirmed(4), None);
	assert!(!next(&mut job).await.status.finalized);
	chain.finalize(4);
	assert!(next(&mut job).await.status.finalized);
}
