//! A subscription ends, with a reason.

use super::*;

#[tokio::test]
async fn a_subscriber_after_the_end_receives_it_once() {
	let chain = Chain::default();
	chain.block(
		Some(decided(State::Settled, Verdict::Unchecked, 1)),
		Some(receipt(State::Settled, Verdict::Unchecked, 1, Some(1))),
	);
	chain.finalize(1);
	let module = module(&chain);
	for until in [Until::Verdict, Until::Settled].repeat(20) {
		let mut job = subscribe_until(&module, until).await;
		let last = next(&mut job).await;
		assert!(last.status.finalized && last.status.closed);
		assert_eq!(last.ended, Some(EndReason::Final));
		nothing_comes_at_once(&mut job).await;
	}
}

/// Checks that the next thing that comes, if anything, is the end of the stream.
async fn nothing_comes_at_once(job: &mut Client) {
	let after = tokio::time::timeout(Duration::from_millis(10), job.next::<JobUpdate>()).await;
	assert!(!matches!(after, Ok(Some(_))), "{after:?}");
}

#[tokio::test]
async fn what_was_pruned_before_it_is_final_is_still_reported_final_on_the_same_chain_only() {
	for until in [Until::Verdict, Until::Settled] {
		for same_chain in [true, false] {
			let chain = Chain::default();
			chain.block(
				Some(decided(State::Settled, Verdict::Confirmed, 1)),
				Some(receipt(State::Settled, Verdict::Confirmed, 1, Some(1))),
			);
			let module = module(&chain);
			let mut job = subscribe_until(&module, until).await;
			assert!(!next(&mut job).await.status.finalized);
			if !same_chain {
				chain.reorganize();
			}
			chain.block(None, None);
			chain.finalize(2);
			if same_chain {
				let last = next(&mut job).await;
				assert!(last.status.finalized && last.status.closed);
				assert_eq!(last.ended, Some(EndReason::Final));
			} else {
				nothing_comes(&mut job).await;
			}
		}
	}
}

#[tokio::test]
async fn a_job_that_is_pruned_before_its_end_was_seen_ends_the_subscription() {
	for (before, until) in [
		(view(State::Voting), Until::Verdict),
		(view(State::Voting), Until::Settled),
		(decided(State::Window, Verdict::Confirmed, 1), Until::Settled),
	] {
		let chain = Chain::with(before.clone());
		let module = module(&chain);
		let mut job = subscribe_until(&module, until).await;
		assert_eq!(next(&mut job).await.ended, None);
		chain.block(None, None);
		let last = next(&mut job).await;
		assert_eq!(last.ended, Some(EndReason::Pruned));
		assert_eq!(last.status.state, before.state, "as it was last seen");
		nothing_comes(&mut job).await;
	}
}

#[tokio::test]
async fn a_job_that_vanishes_with_its_fork_ends_the_subscription_after_a_while() {
	for before in [view(State::Voting), decided(State::Window, Verdict::Confirmed, 1)] {
		let chain = Chain::with(before.clone());
		let module = module(&chain);
		let mut job = subscribe(&module).await;
		assert_eq!(next(&mut job).await.ended, None);
		chain.reorganize();
		for n in 1..follower::MAX_ABSENT_BLOCKS {
			chain.block(None, None);
			chain.is_read().await;
			chain.finalize(n);
		}
		nothing_comes(&mut job).await;
		chain.block(None, None);
		let last = next(&mut job).await;
		assert_eq!(last.ended, Some(EndReason::Lost));
		assert!(!last.status.finalized && !last.status.closed);
		assert_eq!(last.status.state, before.state, "as it was last seen");
		chain.block(Some(before), None);
		nothing_comes(&mut job).await;
	}
}

#[tokio::test]
async fn a_subscription_expires_and_gives_its_place_back() {
	let chain = Chain::with(view(State::Waiting));
	let patience = Patience {
		subscription: Duration::from_millis(300),
		..PATIENCE
	};
	let (_, module) = serve(&chain, usize::MAX, patience);
	let mut job = subscribe(&module).await;
	assert_eq!(next(&mut job).await.ended, None);
	assert_eq!(refused(&module, JOB).await, 20_002);
	let last = next(&mut job).await;
	assert_eq!(
		(last.status.state, last.ended),
		(State::Waiting, Some(EndReason::Expired))
	);
	nothing_comes(&mut job).await;
	subscribe(&module).await;
}

#[tokio::test]
async fn a_finished_subscription_makes_room() {
	let chain = Chain::with(decided(State::Window, Verdict::Confirmed, 1));
	let (jobs, module) = serve(&chain, usize::MAX, PATIENCE);
	let mut first = subscribe(&module).await;
	assert!(!next(&mut first).await.status.finalized);
	assert_eq!(refused(&module, JOB).await, 20_002);
	chain.finalize(1);
	assert!(next(&mut first).await.status.finalized);
	eventually(|| jobs.0.watched() == 0).await;
	nothing_comes(&mut first).await;
	subscribe(&module).await;
}

#[tokio::test]
async fn who_leaves_makes_room_and_nobody_reads_for_it_any_more() {
	let chain = Chain::with(view(State::Waiting));
	let (jobs, module) = serve(&chain, usize::MAX, PATIENCE);
	let mut job = subscribe(&module).await;
	next(&mut job).await;
	drop(job);
	eventually(|| {
		chain.next_block();
		jobs.0.watched() == 0
	})
	.await;
	let before = chain.0.lock().read;
	chain.next_block();
	tokio::time::sleep(Duration::from_millis(100)).await;
	assert_eq!(chain.0.lock().read, before);
	subscribe(&module).await;
}

#[tokio::test]
async fn a_node_that_stops_ends_all_subscriptions() {
	let chain = Chain::with(view(State::Waiting));
	let module = module(&chain);
	let mut job = subscribe(&module).await;
	next(&mut job).await;
	chain.stop();
	let end = tokio::time::timeout(Duration::from_secs(10), job.next::<JobUpdate>()).await;
	assert!(end.expect("an end in time").is_none());
}
