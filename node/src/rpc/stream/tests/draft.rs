//! A draft grows, is merged into chunks, and is the same for all who follow it.

use super::*;
use crate::inference::{Metrics, WatchedShare};
use prometheus_endpoint::Registry;

#[tokio::test]
async fn a_draft_is_streamed_while_it_is_made() {
	let node = Node::with(view(State::Executing));
	node.engine.begin(&WORK);
	let mut client = node.subscribe(0).await;
	let all = tokens(6);
	for (first, last) in [(0, 1), (1, 2), (2, 6)] {
		node.engine.report(&WORK, first, &all[first..last]);
		client.has(last).await;
	}
	node.engine.complete(&WORK, &all);
	assert_eq!(client.end().await, end(EndReason::Complete));
	assert_eq!(client.text, text(6));
}

#[tokio::test]
async fn who_subscribes_before_the_engine_begins_misses_nothing() {
	let node = Node::with(view(State::Executing));
	let mut client = node.subscribe(0).await;
	client.nothing_comes().await;
	node.engine.begin(&WORK);
	node.engine.report(&WORK, 0, &tokens(3));
	client.has(3).await;
}

#[tokio::test]
async fn who_comes_again_receives_only_what_it_lacks() {
	let node = Node::with(view(State::Executing));
	node.engine.begin(&WORK);
	node.engine.report(&WORK, 0, &tokens(5));
	let mut first = node.subscribe(0).await;
	first.has(5).await;
	drop(first);
	// From the middle of a chunk, with the signature that is there already.
	let mut again = node.subscribe(2).await.knowing(&tokens(2));
	again.has(5).await;
	assert_eq!(again.chunks.len(), 1);
	let mut late = node.subscribe(5).await.knowing(&tokens(5));
	late.nothing_comes().await;
	node.engine.report(&WORK, 5, &tokens(9)[5..]);
	again.has(9).await;
	late.has(9).await;
	node.engine.complete(&WORK, &tokens(9));
	assert_eq!(again.end().await, end(EndReason::Complete));
	assert_eq!(late.end().await, end(EndReason::Complete));
	for from in [9, 10, 4_096] {
		let mut ended = node.subscribe(from).await;
		assert_eq!(ended.end().await, end(EndReason::Complete));
		assert!(ended.chunks.is_empty());
	}
}

#[tokio::test]
async fn two_subscribers_receive_one_signature() {
	let node = Node::with(view(State::Executing));
	node.engine.begin(&WORK);
	let mut clients = [node.subscribe(0).await, node.subscribe(0).await];
	node.engine.report(&WORK, 0, &tokens(3));
	for client in &mut clients {
		client.has(3).await;
	}
	let mut late = node.subscribe(0).await;
	late.has(3).await;
	let [one, other] = &clients;
	// Signatures are random: who signs twice makes two.
	assert_eq!(one.chunks.last(), other.chunks.last());
	assert_eq!(
		one.chunks.last().unwrap().signature,
		late.chunks.last().unwrap().signature
	);
}

#[tokio::test]
async fn what_comes_at_once_is_one_chunk_up_to_its_limit() {
	let node = Node::with(view(State::Executing));
	node.engine.begin(&WORK);
	node.engine.report(&WORK, 0, &tokens(3 * MAX_CHUNK_TOKENS + 1));
	let mut client = node.subscribe(0).await;
	client.has(3 * MAX_CHUNK_TOKENS + 1).await;
	assert_eq!(client.chunks.len(), 4);
}

#[tokio::test]
async fn a_fast_engine_is_followed_some_twenty_times_a_second() {
	let node = Node::with(view(State::Executing));
	node.engine.begin(&WORK);
	let mut client = node.subscribe(0).await;
	let all = tokens(200);
	let began = std::time::Instant::now();
	for n in 0..200 {
		node.engine.report(&WORK, n, &all[n..=n]);
		tokio::time::sleep(Duration::from_millis(2)).await;
	}
	client.has(200).await;
	let most = began.elapsed().as_millis() / signed::PACE.as_millis() + 2;
	assert!(client.chunks.len() as u128 <= most, "{} chunks", client.chunks.len());
	assert_eq!(client.text, text(200));
}

#[tokio::test]
async fn an_engine_that_begins_anew_is_not_noticed() {
	let node = Node::with(view(State::Executing));
	node.engine.begin(&WORK);
	node.engine.report(&WORK, 0, &tokens(4));
	let mut client = node.subscribe(0).await;
	client.has(4).await;
	node.engine.begin(&WORK);
	node.engine.report(&WORK, 0, &tokens(2));
	client.nothing_comes().await;
	node.engine.report(&WORK, 2, &tokens(7)[2..]);
	client.has(7).await;
	node.engine.complete(&WORK, &tokens(7));
	assert_eq!(client.end().await, end(EndReason::Complete));
}

#[tokio::test]
async fn an_engine_that_contradicts_itself_ends_the_stream() {
	let node = Node::with(view(State::Executing));
	node.engine.begin(&WORK);
	node.engine.report(&WORK, 0, &tokens(4));
	let mut client = node.subscribe(0).await;
	client.has(4).await;
	node.engine.begin(&WORK);
	let mut other = tokens(6);
	other[3].text = "other".into();
	node.engine.report(&WORK, 0, &other);
	assert_eq!(client.end().await, end(EndReason::Failed));
	assert_eq!(client.text, text(4), "and nothing else was signed");
}

#[tokio::test]
async fn work_that_the_engine_gives_up_ends_the_stream() {
	let node = Node::with(view(State::Executing));
	node.engine.begin(&WORK);
	let mut client = node.subscribe(0).await;
	node.engine.give_up(&WORK);
	assert_eq!(client.end().await, end(EndReason::Failed));
}

#[tokio::test]
async fn a_key_that_does_not_sign_ends_the_stream() {
	let node = Node::with(view(State::Executing));
	node.engine.begin(&WORK);
	node.engine.report(&WORK, 0, &tokens(4));
	let draft = || node.engine.0.draft(&WORK);
	let mut signed = node.streams.0.signers.follow(CLAIM, [1; 32], draft).unwrap();
	while signed.changed().await {
		assert_eq!(signed.chunk(0), None);
	}
	assert_eq!(signed.ended(), Some(EndReason::Failed));
}

/// Open streams, chunks and tokens, as Prometheus receives them.
fn counted(registry: &Registry) -> [f64; 3] {
	let families = registry.gather();
	let metric = |name: &str| {
		let family = families.iter().find(|family| family.get_name() == name);
		family.expect("registered from the start").get_metric()[0].clone()
	};
	[
		metric("assay_streams_open").get_gauge().get_value(),
		metric("assay_stream_chunks_total").get_counter().get_value(),
		metric("assay_stream_tokens_total").get_counter().get_value(),
	]
}

#[tokio::test]
async fn streams_chunks_and_tokens_are_counted() {
	let registry = Registry::new();
	let backend = Backend::new(None, WatchedShare::default(), Metrics::new(Some(&registry)));
	let node = Node::of(backend, view(State::Executing), 1, Patience::DEFAULT);
	node.engine.begin(&WORK);
	node.engine.report(&WORK, 0, &tokens(MAX_CHUNK_TOKENS + 1));
	let mut client = node.subscribe(0).await;
	client.has(MAX_CHUNK_TOKENS + 1).await;
	eventually(|| counted(&registry) == [1.0, 2.0, 65.0]).await;
	let again = node.subscribe(0).await;
	eventually(|| counted(&registry) == [2.0, 4.0, 130.0]).await;
	drop(again);
	node.engine.complete(&WORK, &tokens(MAX_CHUNK_TOKENS + 1));
	client.end().await;
	eventually(|| counted(&registry) == [0.0, 4.0, 130.0]).await;
}

#[test]
fn a_notification_reads_like_its_description() {
	let hex = |byte: &str, count| format!("0x{}", byte.repeat(count));
	let chunk = Notification::Chunk(Chunk {
		attempt: 1,
		claim: CLAIM,
		executor: [4; 32].into(),
		key: [7; 32],
		first: 2,
		tokens: tokens(1),
		hash: [8; 32],
		signature: vec![9; 64].into(),
	});
	let json = serde_json::json!({
		"attempt": 1, "claim": hex("05", 32), "executor": AccountId::from([4; 32]), "key": hex("07", 32), "first": 2,
		"tokens": [{ "id": 0, "text": "0 " }], "hash": hex("08", 32), "signature": hex("09", 64),
	});
	assert_eq!(serde_json::to_value(&chunk).unwrap(), json);
	assert_eq!(serde_json::from_value::<Notification>(json).unwrap(), chunk);

	for (ended, name) in [
		(EndReason::Complete, "complete"),
		(EndReason::Replaced, "replaced"),
		(EndReason::Refunded, "refunded"),
		(EndReason::Failed, "failed"),
		(EndReason::Expired, "expired"),
	] {
		let json = serde_json::json!({ "ended": name, "elsewhere": null });
		assert_eq!(serde_json::to_value(Notification::End(end(ended))).unwrap(), json);
	}
	let replaced = Notification::End(StreamEnd {
		ended: EndReason::Replaced,
		elsewhere: Some(reader::elsewhere(second_execution(Some("wss://there.example")))),
	});
	let json = serde_json::json!({ "ended": "replaced", "elsewhere": {
		"attempt": 2, "executor": AccountId::from([8; 32]), "endpoint": "wss://there.example",
	} });
	assert_eq!(serde_json::to_value(&replaced).unwrap(), json);
	assert_eq!(serde_json::from_value::<Notification>(json).unwrap(), replaced);
}
