//! A job is drawn, replaced, refunded, published and pruned while it is followed.

use super::*;

#[tokio::test]
async fn a_job_that_is_not_drawn_is_waited_for() {
	let node = Node::with(waiting());
	let mut client = node.subscribe(0).await;
	client.nothing_comes().await;
	node.chain.block(Some(waiting()), None);
	client.nothing_comes().await;
	node.drawn(node.execution());
	node.chain.block(Some(view(State::Executing)), None);
	node.engine.begin(&WORK);
	node.engine.report(&WORK, 0, &tokens(2));
	client.has(2).await;
}

#[tokio::test]
async fn a_job_that_is_drawn_elsewhere_names_the_executor() {
	let node = Node::with(waiting());
	let mut client = node.subscribe(0).await;
	node.drawn(second_execution(Some("wss://there.example")));
	node.chain.block(Some(second_attempt()), None);
	let elsewhere = Elsewhere {
		attempt: 2,
		executor: [8; 32].into(),
		endpoint: Some("wss://there.example".into()),
	};
	let replaced = StreamEnd {
		ended: EndReason::Replaced,
		elsewhere: Some(elsewhere),
	};
	assert_eq!(client.end().await, replaced);
}

#[tokio::test]
async fn an_attempt_that_is_over_ends_the_stream() {
	for (next, execution) in [
		(between_attempts(), None),
		(second_attempt(), Some(second_execution(None))),
	] {
		let node = Node::with(view(State::Executing));
		node.engine.begin(&WORK);
		node.engine.report(&WORK, 0, &tokens(2));
		let mut client = node.subscribe(0).await;
		client.has(2).await;
		node.nobody_executes();
		execution
			.clone()
			.into_iter()
			.for_each(|execution| node.drawn(execution));
		node.chain.block(Some(next), None);
		let replaced = StreamEnd {
			ended: EndReason::Replaced,
			elsewhere: execution.map(reader::elsewhere),
		};
		assert_eq!(client.end().await, replaced);
	}
}

#[tokio::test]
async fn a_block_that_is_older_than_the_draw_replaces_nothing() {
	// The hub has seen the job before its draw; the execution is read in a newer block.
	let node = Node::with(waiting());
	let mut early = node.subscribe(0).await;
	node.drawn(node.execution());
	node.engine.begin(&WORK);
	node.engine.report(&WORK, 0, &tokens(2));
	let mut client = node.subscribe(0).await;
	client.has(2).await;
	node.chain.block(Some(view(State::Executing)), None);
	early.has(2).await;
	client.nothing_comes().await;
}

#[tokio::test]
async fn a_key_that_is_changed_signs_for_those_who_come_after() {
	let node = Node::with(view(State::Executing));
	node.engine.begin(&WORK);
	node.engine.report(&WORK, 0, &tokens(2));
	let mut before = node.subscribe(0).await;
	before.has(2).await;
	let key = node.add_key(8);
	node.drawn(ExecutionView {
		key: Some(key),
		..node.execution()
	});
	let mut after = node.subscribe(0).await;
	after.key = key;
	node.engine.report(&WORK, 2, &tokens(4)[2..]);
	after.has(4).await;
	before.has(4).await;
	assert_ne!(before.key, after.key);
	assert_eq!(before.chain, after.chain);
}

#[tokio::test]
async fn a_refunded_job_ends_the_stream() {
	let node = Node::with(view(State::Executing));
	node.engine.begin(&WORK);
	let mut client = node.subscribe(0).await;
	let mut early = node.subscribe(0).await;
	node.nobody_executes();
	let refunded = View {
		claim: None,
		..view(State::Refunded)
	};
	node.chain.block(Some(refunded), None);
	assert_eq!(client.end().await, end(EndReason::Refunded));
	assert_eq!(early.end().await, end(EndReason::Refunded));
	let mut late = node.subscribe(0).await;
	assert_eq!(late.end().await, end(EndReason::Refunded));
}

#[tokio::test]
async fn a_node_without_the_draft_reports_that_the_answer_is_made() {
	let node = Node::with(published());
	let mut client = node.subscribe(3).await;
	assert_eq!(client.end().await, end(EndReason::Complete));
	node.nobody_executes();
	let settled = View {
		state: State::Settled,
		..published()
	};
	node.chain.block(Some(settled), None);
	let mut late = node.subscribe(0).await;
	assert_eq!(late.end().await, end(EndReason::Complete));
	assert!(client.chunks.is_empty() && late.chunks.is_empty());
}

#[tokio::test]
async fn a_published_answer_is_streamed_to_its_last_token_first() {
	let node = Node::with(published());
	node.engine.begin(&WORK);
	let all = tokens(150);
	for first in (0..150).step_by(50) {
		node.engine.report(&WORK, first, &all[first..first + 50]);
	}
	node.engine.complete(&WORK, &all);
	let mut client = node.subscribe(0).await;
	assert_eq!(client.end().await, end(EndReason::Complete));
	assert_eq!(client.text, text(150));
}

#[tokio::test]
async fn a_job_that_is_pruned_ends_the_stream() {
	let node = Node::with(view(State::Executing));
	let mut client = node.subscribe(0).await;
	client.nothing_comes().await;
	node.nobody_executes();
	node.chain.block(None, None);
	assert_eq!(client.end().await, end(EndReason::Expired));
}

#[tokio::test]
async fn a_state_that_cannot_be_read_refuses_by_name_and_later_no_more() {
	let node = Node::with(waiting());
	let mut client = node.subscribe(0).await;
	let broken = |broken| node.chain.0.lock().broken = broken;
	broken(true);
	assert_eq!(node.refused((JOB,)).await.0, 20_003);
	broken(false);
	node.drawn(node.execution());
	node.chain.block(Some(view(State::Executing)), None);
	node.engine.begin(&WORK);
	node.engine.report(&WORK, 0, &tokens(1));
	client.has(1).await;
}

#[tokio::test]
async fn a_stream_lasts_only_so_long() {
	let patience = Patience {
		subscription: Duration::from_millis(300),
		..Patience::DEFAULT
	};
	let node = Node::serving(view(State::Executing), usize::MAX, patience);
	let mut client = node.subscribe(0).await;
	assert_eq!(client.end().await, end(EndReason::Expired));
	eventually(|| node.streams.0.places.taken() == 0).await;
}
