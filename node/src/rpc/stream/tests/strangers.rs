//! Strangers ask for what is not here, read slowly or not at all, and come in floods.

use super::*;

#[tokio::test]
async fn another_provider_s_job_is_refused_with_the_next_step() {
	let node = Node::with(second_attempt());
	node.drawn(second_execution(Some("wss://there.example")));
	let (code, message, data) = node.refused((JOB,)).await;
	assert_eq!(code, 20_005);
	assert!(message.starts_with("NotExecutor: 5"), "{message}");
	assert!(message.ends_with("subscribe at wss://there.example"), "{message}");
	let expected = serde_json::json!({
		"attempt": 2, "executor": AccountId::from([8; 32]), "endpoint": "wss://there.example",
	});
	assert_eq!(data, expected);

	node.drawn(second_execution(None));
	let (_, message, data) = node.refused((JOB,)).await;
	assert!(
		message.contains("no endpoint") && message.contains("assay_subscribeJob"),
		"{message}"
	);
	assert_eq!(data["endpoint"], serde_json::Value::Null);

	let without_key = ExecutionView {
		key: None,
		..node.execution()
	};
	node.drawn(without_key);
	assert_eq!(node.refused((JOB,)).await.0, 20_005);
}

#[tokio::test]
async fn a_node_without_streams_refuses_by_name() {
	let backend = idle_backend().without_streams();
	let node = Node::of(backend, view(State::Executing), 1, Patience::DEFAULT);
	let (code, message, _) = node.refused((JOB,)).await;
	assert_eq!(code, 20_006);
	assert!(
		message.starts_with("StreamsOff") && message.contains("--no-streams"),
		"{message}"
	);
}

#[tokio::test]
async fn wrong_parameters_are_named() {
	let node = Node::with(view(State::Executing));
	for (params, reason) in [
		(rpc_params![], "job: it is missing"),
		(rpc_params!["0x12"], "job: expected 64 hex digits"),
		(rpc_params![JOB, -1], "from: invalid"),
		(rpc_params![JOB, 4_097], "from: no answer has more than 4096 tokens"),
	] {
		let (code, message, _) = node.refused(params).await;
		assert_eq!(code, -32_602);
		assert!(message.starts_with(&format!("Invalid params: {reason}")), "{message}");
	}
	let unknown = node.refused((JobId([7; 32]),)).await;
	assert_eq!(unknown.0, 20_001);
	let subscription = node.module.subscribe("assay_streamJob", [JOB], 16).await;
	assert!(subscription.is_ok(), "from the first token, if no other is named");
}

#[tokio::test]
async fn a_slow_reader_holds_up_nobody_and_misses_nothing() {
	let node = Node::with(view(State::Executing));
	node.engine.begin(&WORK);
	// One message fits, and is not read.
	let slow = node.module.subscribe("assay_streamJob", [JOB], 1).await.unwrap();
	let mut slow = Follower::new(slow, node.key);
	let mut quick = node.subscribe(0).await;
	let all = tokens(40);
	for n in 0..40 {
		node.engine.report(&WORK, n, &all[n..=n]);
		quick.has(n + 1).await;
	}
	node.engine.complete(&WORK, &all);
	assert_eq!(quick.end().await, end(EndReason::Complete));
	assert_eq!(slow.end().await, end(EndReason::Complete));
	assert_eq!(slow.text, text(40));
	assert!(slow.chunks.len() <= 5, "{} chunks were kept for it", slow.chunks.len());
}

#[tokio::test]
async fn who_does_not_read_at_all_loses_the_stream() {
	let patience = Patience {
		notification: Duration::from_millis(200),
		..Patience::DEFAULT
	};
	let node = Node::serving(view(State::Executing), usize::MAX, patience);
	node.engine.begin(&WORK);
	let _deaf = node.module.subscribe("assay_streamJob", [JOB], 1).await.unwrap();
	let all = tokens(4);
	for n in 0..4 {
		node.engine.report(&WORK, n, &all[n..=n]);
		tokio::time::sleep(2 * signed::PACE).await;
	}
	eventually(|| node.streams.0.places.taken() == 0).await;
	node.subscribe(0).await.has(4).await;
}

#[tokio::test]
async fn a_flood_of_subscriptions_takes_the_places_of_its_connection() {
	let node = Node::with(view(State::Executing));
	node.engine.begin(&WORK);
	let mut clients = Vec::new();
	for _ in 0..16 {
		clients.push(node.subscribe(0).await);
	}
	for _ in 0..50 {
		let (code, message, _) = node.refused((JOB,)).await;
		assert_eq!(code, 20_002);
		assert!(message.starts_with("TooManySubscriptions"), "{message}");
	}
	node.engine.report(&WORK, 0, &tokens(2));
	for client in &mut clients {
		client.has(2).await;
	}
	let signatures: Vec<_> = clients.iter().map(|client| client.chunks.last().cloned()).collect();
	assert!(signatures.iter().all(|chunk| *chunk == signatures[0]), "signed once");
	drop(clients);
	eventually(|| node.streams.0.places.taken() == 0).await;
	for _ in 0..100 {
		assert_eq!(
			node.refused((JobId([7; 32]),)).await.0,
			20_001,
			"refusals take no place"
		);
	}
	node.subscribe(0).await.has(2).await;
}

#[tokio::test]
async fn drafts_that_are_no_longer_kept_are_no_longer_signed_for() {
	let node = Node::with(view(State::Executing));
	node.engine.begin(&WORK);
	let follow = |claim: usize, work: WorkId| {
		let mut id = [0; 32];
		id[..8].copy_from_slice(&claim.to_le_bytes());
		node.streams
			.0
			.signers
			.follow(ClaimId(id), node.key, || node.engine.0.draft(&work))
	};
	assert!(
		follow(0, WorkId([1; 32])).is_none(),
		"nothing is kept for a draft that has not begun"
	);
	for n in 0..1_000 {
		let mut work = [0; 32];
		work[..8].copy_from_slice(&(n as u64).to_le_bytes());
		node.engine.begin(&WorkId(work));
		assert!(follow(n, WorkId(work)).is_some());
	}
	let kept = node.streams.0.signers.kept();
	assert!(kept <= 321, "{kept} are kept");
}

#[tokio::test]
async fn a_node_that_stops_ends_all_streams() {
	let node = Node::with(view(State::Executing));
	let mut client = node.subscribe(0).await;
	client.nothing_comes().await;
	node.chain.stop();
	let end = tokio::time::timeout(Duration::from_secs(10), client.subscription.next::<Notification>()).await;
	assert!(end.expect("an end in time").is_none());
}
