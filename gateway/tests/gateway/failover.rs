//! Executors that are replaced, answers that turn out wrong, clients that leave and come back.

use crate::support::{
	answer, ask, drawn, published, stream, text, verdict, weather, with, Client, Line, Reply, Scripted,
};
use assay_gateway::{
	network::{JobEvent, NetworkError},
	Config, Timeouts,
};
use assay_primitives::{receipt::RefundReason, FinishReason, Verdict};
use serde_json::{json, Value};
use std::time::Duration;

const KEY: (&str, &str) = ("idempotency-key", "k");

fn eos(text: &str) -> Line {
	published(text, FinishReason::Eos)
}

fn replaced() -> Line {
	JobEvent::Replaced.into()
}

fn confirmed() -> Line {
	verdict(Verdict::Confirmed)
}

/// The texts of a stream and its last event.
fn told(reply: &Reply) -> (String, Value) {
	let events = reply.events();
	let texts = events
		.iter()
		.filter_map(|(_, e)| e["choices"][0]["delta"]["content"].as_str())
		.collect();
	(texts, events.last().unwrap().1.clone())
}

#[tokio::test]
async fn a_replacement_before_the_first_text_is_not_noticed() {
	let lines = vec![
		drawn(1),
		replaced(),
		drawn(2),
		text("Hello."),
		eos("Hello."),
		confirmed(),
	];
	let client = Scripted::new().on("x", lines).client();
	let reply = client.chat(stream("x"), &[]).await;
	assert_eq!(told(&reply), ("Hello.".into(), json!("[DONE]")));
	let last = &reply.events()[2].1;
	assert_eq!(
		(&last["assay"]["attempt"], &last["choices"][0]["finish_reason"]),
		(&json!(2), &json!("stop"))
	);
}

#[tokio::test]
async fn the_same_draft_by_another_executor_goes_on_after_what_was_sent() {
	let lines = vec![
		drawn(1),
		text("Hello, "),
		text("dear "),
		replaced(),
		drawn(2),
		text("Hel"),
		text("lo, dear wor"),
		text("ld"),
		eos("Hello, dear world"),
		confirmed(),
	];
	let client = Scripted::new().on("x", lines).client();
	let reply = client.chat(stream("x"), &[]).await;
	let pieces: Vec<_> = reply
		.events()
		.iter()
		.filter_map(|(_, e)| Some(e["choices"][0]["delta"]["content"].as_str()?.to_string()))
		.collect();
	assert_eq!(pieces, ["", "Hello, ", "dear ", "wor", "ld"]);
	assert_eq!(told(&reply).1, "[DONE]");
}

#[tokio::test]
async fn another_draft_ends_the_stream_and_the_key_returns_the_whole_answer() {
	for (case, second) in [
		(
			"streamed",
			vec![text("Good "), text("day"), eos("Good day"), confirmed()],
		),
		("silent", vec![eos("Good day"), confirmed()]),
	] {
		let mut lines = vec![drawn(1), text("Hello"), replaced(), drawn(2)];
		lines.extend(second);
		let network = Scripted::new().on("x", lines);
		let client = network.client();
		let (texts, last) = told(&client.chat(stream("x"), &[KEY]).await);
		let error = &last["error"];
		assert_eq!(
			(texts.as_str(), &error["code"], &error["type"]),
			("Hello", &json!("executor_replaced"), &json!("server_error")),
			"{case}"
		);
		assert_eq!(error["assay"]["idempotency_key"], "k");
		let again = client.chat(ask("x"), &[KEY]).await.json();
		assert_eq!(again["choices"][0]["message"]["content"], "Good day");
		assert_eq!(network.paid(), 1);
	}
}

#[tokio::test]
async fn a_publication_that_contradicts_the_draft_ends_in_an_error() {
	let what = JobEvent::Contradiction {
		what: "two drafts at token 1".into(),
	};
	let network = Scripted::new().on(
		"x",
		vec![
			drawn(1),
			text("Hello"),
			what.clone().into(),
			eos("Goodbye"),
			confirmed(),
		],
	);
	let (_, last) = told(&network.client().chat(stream("x"), &[]).await);
	assert_eq!(last["error"]["code"], "draft_contradicted");
	assert_eq!(last["error"]["assay"]["contradiction"], "two drafts at token 1");
	// Who reads the whole answer gets what the verifiers confirmed, and is told.
	let whole = network.client().chat(ask("x"), &[]).await.json();
	assert_eq!(whole["choices"][0]["message"]["content"], "Goodbye");
	assert_eq!(whole["assay"]["contradiction"], "two drafts at token 1");
	// A contradiction of what nobody got harms nobody.
	let lines = vec![
		drawn(1),
		text("Hel"),
		what.into(),
		text("lo"),
		eos("Hello"),
		confirmed(),
	];
	let (texts, last) = told(&Scripted::new().on("x", lines).client().chat(stream("x"), &[]).await);
	assert_eq!((texts.as_str(), last), ("Hello", json!("[DONE]")));
}

#[tokio::test]
async fn a_call_that_was_sent_and_is_not_published_ends_in_an_error() {
	let call = "<tool_call>{\"name\":\"weather\",\"arguments\":{}}</tool_call>";
	let lines = vec![drawn(1), text(call), eos("Never mind."), confirmed()];
	let client = Scripted::new().on("x", lines).client();
	let (_, last) = told(
		&client
			.chat(with(stream("x"), json!({ "tools": [weather()] })), &[])
			.await,
	);
	assert_eq!(last["error"]["code"], "draft_contradicted");
}

#[tokio::test]
async fn answers_without_a_good_verdict_are_errors() {
	for (ending, status, code, retry) in [
		(Verdict::Overturned, 502, "answer_overturned", "false"),
		(
			Verdict::Refunded(RefundReason::Undecided),
			502,
			"answer_rejected",
			"false",
		),
		(Verdict::Unverified, 502, "answer_unverified", "false"),
	] {
		let network = Scripted::new().on("x", vec![drawn(1), text("a"), eos("a"), verdict(ending)]);
		let client = network.client();
		let reply = client.chat(ask("x"), &[]).await;
		assert_eq!(
			(reply.status.as_u16(), &reply.json()["error"]["code"]),
			(status, &json!(code))
		);
		assert_eq!(reply.header("x-should-retry"), retry);
		assert_eq!(
			reply.header("x-assay-idempotency-key"),
			reply.json()["error"]["assay"]["idempotency_key"]
		);
		let (texts, last) = told(&client.chat(stream("x"), &[]).await);
		assert_eq!((texts.as_str(), &last["error"]["code"]), ("a", &json!(code)));
	}
	let refunded = vec![verdict(Verdict::Refunded(RefundReason::QueueTimeOver))];
	let reply = Scripted::new().on("x", refunded).client().chat(ask("x"), &[]).await;
	assert_eq!((reply.status.as_u16(), reply.header("x-should-retry")), (503, "true"));
	assert!(reply.body.contains("no provider had a free place"));
}

#[tokio::test]
async fn an_answer_without_verifiers_is_unchecked_and_no_error() {
	let lines = vec![drawn(1), eos("a"), verdict(Verdict::Unchecked)];
	let reply = Scripted::new()
		.on("x", lines)
		.client()
		.chat(ask("x"), &[("x-assay-verifiers", "0")])
		.await
		.json();
	assert_eq!(
		(&reply["assay"]["verdict"], &reply["assay"]["verifiers"]),
		(&json!("unchecked"), &json!(0))
	);
}

#[tokio::test]
async fn a_client_waits_as_long_as_it_likes() {
	let unverified = vec![drawn(1), text("a"), eos("a"), Line::Hang];
	let network = Scripted::new().on("x", unverified);
	for request in [ask("x"), stream("x")] {
		let reply = network.client().chat(request, &[("x-assay-wait", "draft")]).await;
		assert!(
			reply.status == 200 && reply.body.contains(r#""draft":true,"verdict":null"#),
			"{}",
			reply.body
		);
	}
	let late = vec![
		drawn(1),
		eos("a"),
		confirmed(),
		Line::Pause(Duration::from_millis(20)),
		verdict(Verdict::Overturned),
	];
	let network = network.on("late", late);
	let reply = network.client().chat(ask("late"), &[("x-assay-wait", "final")]).await;
	assert_eq!(reply.json()["error"]["code"], "answer_overturned");
	for (wait, fee) in [("verdict", "42"), ("final", "42"), ("settled", "41")] {
		let reply = network.client().chat(ask("hi"), &[("x-assay-wait", wait)]).await.json();
		assert_eq!(
			(&reply["assay"]["fee"], &reply["assay"]["verdict"]),
			(&json!(fee), &json!("confirmed"))
		);
	}
	// A verdict that is never finalized is not waited for in vain by who does not want that.
	let stalled = vec![drawn(1), eos("a"), confirmed(), Line::Hang];
	let network = network.on("stalled", stalled);
	let asked = network.client();
	let waits = tokio::time::timeout(
		Duration::from_millis(200),
		asked.chat(ask("stalled"), &[("x-assay-wait", "final")]),
	);
	assert!(waits.await.is_err());
	assert_eq!(network.client().chat(ask("stalled"), &[]).await.status, 200);
	assert_eq!(network.client().chat(ask("late"), &[]).await.status, 200);
}

#[tokio::test]
async fn a_key_pays_once_and_names_one_request() {
	let network = Scripted::new();
	let client = network.client();
	let both = futures::future::join(client.chat(ask("hi"), &[KEY]), client.chat(stream("hi"), &[KEY])).await;
	assert_eq!(
		(both.0.status, both.1.status, network.paid()),
		(200.try_into().unwrap(), 200.try_into().unwrap(), 1)
	);
	// Another gateway before the same network, as after a restart.
	assert_eq!(
		network.client().chat(ask("hi"), &[KEY]).await.json()["id"],
		both.0.json()["id"]
	);
	for other in [ask("ho"), with(ask("hi"), json!({ "temperature": 0 }))] {
		let reply = client.chat(other, &[KEY]).await;
		assert_eq!(
			(reply.status.as_u16(), &reply.json()["error"]["code"]),
			(422, &json!("idempotency_key_reused"))
		);
	}
	let reply = client.chat(ask("hi"), &[KEY, ("x-assay-verifiers", "3")]).await;
	assert_eq!(reply.status, 422);
	assert_eq!(network.paid(), 1);
}

#[tokio::test]
async fn a_client_that_repeats_a_request_by_itself_pays_once() {
	let slow = vec![
		drawn(1),
		Line::Pause(Duration::from_millis(300)),
		text("a"),
		eos("a"),
		confirmed(),
	];
	let network = Scripted::new().on("slow", slow);
	let client = network.client();
	let first = tokio::spawn({
		let client = client.clone();
		async move { client.chat(ask("slow"), &[("x-stainless-retry-count", "0")]).await }
	});
	while network.paid() == 0 {
		tokio::task::yield_now().await;
	}
	first.abort();
	let again = client.chat(ask("slow"), &[("x-stainless-retry-count", "1")]).await;
	assert_eq!(
		(
			again.json()["choices"][0]["message"]["content"].as_str(),
			network.paid()
		),
		(Some("a"), 1)
	);
	// The same words in a new request are a new request.
	client.chat(ask("slow"), &[("x-stainless-retry-count", "0")]).await;
	assert_eq!(network.paid(), 2);
	client.chat(ask("other"), &[("x-stainless-retry-count", "1")]).await;
	assert_eq!(network.paid(), 3);
}

#[tokio::test]
async fn a_refunded_request_is_tried_anew() {
	let network = Scripted::new().on("x", vec![verdict(Verdict::Refunded(RefundReason::NoOutput))]);
	let client = network.client();
	assert_eq!(
		client.chat(ask("x"), &[("x-stainless-retry-count", "0")]).await.status,
		503
	);
	network.on("x", answer("better"));
	let again = client.chat(ask("x"), &[("x-stainless-retry-count", "1")]).await;
	assert_eq!((again.status.as_u16(), network.paid()), (200, 2));
}

#[tokio::test]
async fn a_client_that_leaves_cancels_nothing() {
	let slow = vec![
		drawn(1),
		text("a"),
		Line::Pause(Duration::from_secs(2)),
		eos("a"),
		confirmed(),
	];
	let network = Scripted::new().on("slow", slow);
	let client = network.client();
	let left = tokio::time::timeout(Duration::from_millis(50), client.chat(stream("slow"), &[KEY])).await;
	assert!(left.is_err());
	assert_eq!(client.get("/health").await.json()["jobs"], 1);
	let again = client.chat(ask("slow"), &[KEY]).await;
	assert_eq!((again.status.as_u16(), network.paid(), network.followed()), (200, 1, 1));
	assert_eq!(client.get("/health").await.json()["jobs"], 0);
}

#[tokio::test]
async fn a_node_that_is_lost_ends_the_answer_and_not_the_job() {
	let lost = Line::Fail(NetworkError::Unreachable("the node is away".into()));
	let network = Scripted::new().on("x", vec![drawn(1), text("a"), lost]);
	let client = network.client();
	let (texts, last) = told(&client.chat(stream("x"), &[KEY]).await);
	assert_eq!(
		(texts.as_str(), &last["error"]["code"]),
		("a", &json!("node_unreachable"))
	);
	network.on("x", vec![drawn(1), text("a"), text("b"), eos("ab"), confirmed()]);
	let again = client.chat(ask("x"), &[KEY]).await.json();
	assert_eq!(
		(&again["choices"][0]["message"]["content"], network.paid()),
		(&json!("ab"), 1)
	);
}

#[tokio::test]
async fn a_verdict_that_does_not_come_is_a_timeout_that_names_the_key() {
	let network = Scripted::new().on("x", vec![drawn(1), text("a"), Line::Hang]);
	let timeouts = Timeouts {
		verdict: Duration::from_secs(1),
		keep_alive: Duration::from_millis(20),
		..Timeouts::default()
	};
	let config = Config {
		timeouts,
		..Config::default()
	};
	let client = Client(network.gateway(config).router());
	let reply = client.chat(ask("x"), &[]).await;
	assert_eq!(
		(reply.status.as_u16(), &reply.json()["error"]["code"]),
		(504, &json!("verdict_timeout"))
	);
	let streamed = client.chat(stream("x"), &[]).await;
	assert!(streamed.body.contains("\n\n: keep-alive\n\n"), "{}", streamed.body);
	assert_eq!(told(&streamed).1["error"]["code"], "verdict_timeout");
}
