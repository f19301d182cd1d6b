//! Many subscribers: one reading of each job a block, places for all, and no waiting for the slow.

use super::*;

fn id(n: usize) -> JobId {
	let mut id = [7; 32];
	id[..8].copy_from_slice(&(n as u64).to_le_bytes());
	JobId(id)
}

/// A best block in which this many jobs are in a state.
fn block_with(chain: &Chain, jobs: usize, state: State) {
	chain.0.lock().views = (0..jobs)
		.map(|n| {
			let view = View {
				id: id(n),
				..view(state)
			};
			(view.id, view)
		})
		.collect();
	chain.next_block();
}

#[tokio::test]
async fn each_job_is_read_once_a_block_however_many_follow_it() {
	let chain = Chain::with(view(State::Waiting));
	let module = module(&chain);
	let mut followers = Vec::new();
	for until in [Until::Verdict, Until::Settled].repeat(8) {
		let mut job = subscribe_until(&module, until).await;
		next(&mut job).await;
		followers.push(job);
	}
	assert_eq!(chain.0.lock().read, 2, "once for each kind of subscription");
	for (n, state) in [State::Executing, State::Published, State::Voting]
		.into_iter()
		.enumerate()
	{
		chain.block(Some(view(state)), None);
		for job in &mut followers {
			assert_eq!(next(job).await.status.state, state);
		}
		assert_eq!(chain.0.lock().read, 3 + n);
	}
	chain.finalize(2);
	tokio::time::sleep(Duration::from_millis(100)).await;
	assert_eq!(chain.0.lock().read, 5, "finality needs no reading");
}

#[tokio::test]
async fn more_jobs_than_fit_one_call_are_all_followed() {
	let chain = Chain::default();
	let many = 3 * source::MAX_JOBS_READ + 1;
	block_with(&chain, many, State::Waiting);
	let (jobs, _) = serve(&chain, 1, PATIENCE);
	let mut updates: Vec<_> = (0..many)
		.map(|n| jobs.0.watch(id(n), Until::Verdict).unwrap())
		.collect();
	let before = chain.0.lock().read;
	block_with(&chain, many, State::Executing);
	for (n, update) in updates.iter_mut().enumerate() {
		tokio::time::timeout(Duration::from_secs(10), update.changed())
			.await
			.unwrap()
			.unwrap();
		let JobUpdate { status, .. } = update.borrow_and_update().clone();
		assert_eq!((status.job, status.state), (id(n), State::Executing));
	}
	assert_eq!(chain.0.lock().read, before + many);
}

#[tokio::test]
async fn a_block_between_the_reading_and_the_subscription_is_not_missed() {
	for _ in 0..50 {
		let chain = Chain::with(view(State::Waiting));
		let (jobs, _) = serve(&chain, 1, PATIENCE);
		let (hub, moving) = (jobs.clone(), chain.clone());
		let mover = task::spawn_blocking(move || moving.block(Some(view(State::Voting)), None));
		let watching = task::spawn_blocking(move || hub.0.watch(JOB, Until::Verdict).unwrap());
		let mut updates = watching.await.unwrap();
		mover.await.unwrap();
		let seen = updates.wait_for(|update| update.status.state == State::Voting);
		assert!(tokio::time::timeout(Duration::from_secs(5), seen).await.is_ok());
	}
}

#[tokio::test]
async fn a_slow_reader_holds_up_nobody_and_misses_no_end() {
	let chain = Chain::with(view(State::Waiting));
	let module = module(&chain);
	// One message fits, and is not read.
	let mut slow = module.subscribe("assay_subscribeJob", [JOB], 1).await.unwrap();
	let mut quick = subscribe(&module).await;
	next(&mut quick).await;
	for n in 2..=200 {
		let attempt = View {
			attempt: n,
			..view(State::Waiting)
		};
		chain.block(Some(attempt), None);
		assert_eq!(next(&mut quick).await.status.attempt, n);
	}
	chain.block(confirmed(201), None);
	chain.finalize(201);
	while next(&mut quick).await.ended.is_none() {}

	let mut received = 1;
	let mut last = next(&mut slow).await;
	while last.ended.is_none() {
		last = next(&mut slow).await;
		received += 1;
	}
	assert_eq!(last.ended, Some(EndReason::Final));
	assert!(received <= 5, "{received} updates were kept for it");
}

#[tokio::test]
async fn who_does_not_read_at_all_loses_the_subscription() {
	let chain = Chain::with(view(State::Waiting));
	let patience = Patience {
		notification: Duration::from_millis(200),
		..PATIENCE
	};
	let (jobs, module) = serve(&chain, usize::MAX, patience);
	let _deaf = module.subscribe("assay_subscribeJob", [JOB], 1).await.unwrap();
	for n in 1..=5 {
		let attempt = View {
			attempt: n,
			..view(State::Waiting)
		};
		chain.block(Some(attempt), None);
		chain.is_read().await;
		tokio::time::sleep(Duration::from_millis(20)).await;
	}
	eventually(|| {
		chain.next_block();
		jobs.0.watched() == 0
	})
	.await;
	subscribe(&module).await;
}

#[tokio::test]
async fn a_connection_has_sixteen_places_and_a_named_error_says_so() {
	let chain = Chain::with(view(State::Waiting));
	let module = module(&chain);
	let mut held = Vec::new();
	for _ in 0..16 {
		held.push(subscribe(&module).await);
	}
	match module.subscribe("assay_subscribeJob", [JOB], 16).await {
		Err(MethodsError::JsonRpc(e)) => {
			assert_eq!(e.code(), 20_002);
			assert!(e.message().starts_with("TooManySubscriptions"), "{}", e.message());
		}
		other => panic!("not refused: {other:?}"),
	}
	held.pop();
	for _ in 0..500 {
		if module.subscribe("assay_subscribeJob", [JOB], 16).await.is_ok() {
			return;
		}
		tokio::time::sleep(Duration::from_millis(10)).await;
	}
	panic!("the subscription that was ended still counts");
}

#[tokio::test]
async fn refusals_take_no_place() {
	let chain = Chain::with(view(State::Waiting));
	let module = module(&chain);
	for _ in 0..100 {
		assert_eq!(refused(&module, id(1)).await, 20_001);
	}
	subscribe(&module).await;
}
