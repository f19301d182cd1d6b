//! Reasoning, apart from the text in each protocol, and in the text for who wants it so.

use crate::support::{answer, ask, message, stream, with, Reply, Scripted};
use serde_json::{json, Value};
use std::sync::Arc;

const ANSWER: &str = "<think>\nLet me count. \n</think>\n\nTwo or three.";

fn network() -> Arc<Scripted> {
	Scripted::new()
		.on("count", answer(ANSWER))
		.on("opened", answer(ANSWER.strip_prefix("<think>\n").unwrap()))
		.on("cut", answer("<think>\nLet me count."))
}

/// Joins what a stream's deltas have under a key.
fn joined(reply: &Reply, delta: &[&str], key: &str) -> String {
	let events = reply.events();
	let found = events.iter().filter_map(|(_, event)| {
		let at = delta.iter().fold(event, |value, key| match key.parse::<usize>() {
			Ok(number) => &value[number],
			Err(_) => &value[*key],
		});
		at[key].as_str().map(String::from)
	});
	found.collect()
}

#[tokio::test]
async fn chat_completions_have_reasoning_content() {
	let network = network();
	let raw = [("x-assay-reasoning", "raw")];
	let opened = [("x-assay-reasoning", "opened")];
	let marked = (json!("Two or three."), json!("Let me count."));
	for (prompt, headers, (content, reasoning)) in [
		("count", &[][..], marked.clone()),
		("count", &opened, marked.clone()),
		("opened", &opened, marked),
		("count", &raw, (json!(ANSWER), Value::Null)),
		(
			"opened",
			&[],
			(json!("Let me count. \n</think>\n\nTwo or three."), Value::Null),
		),
		("cut", &[], (json!(""), json!("Let me count."))),
	] {
		let whole = network.client().chat(ask(prompt), headers).await.json();
		let message = &whole["choices"][0]["message"];
		assert_eq!(
			(&message["content"], &message["reasoning_content"]),
			(&content, &reasoning),
			"{prompt}"
		);
		let streamed = network.client().chat(stream(prompt), headers).await;
		let text = |key: &str| joined(&streamed, &["choices", "0", "delta"], key);
		assert_eq!(
			(text("content"), text("reasoning_content")),
			(
				content.as_str().unwrap().into(),
				reasoning.as_str().unwrap_or_default().into()
			),
			"{}",
			streamed.body
		);
	}
	let wrong = network
		.client()
		.chat(ask("count"), &[("x-assay-reasoning", "yes")])
		.await;
	assert_eq!(
		(wrong.status.as_u16(), &wrong.json()["error"]["param"]),
		(400, &json!("x-assay-reasoning"))
	);
}

#[tokio::test]
async fn an_answer_that_is_held_to_a_schema_is_no_reasoning() {
	let format = json!({ "type": "json_schema", "json_schema": { "name": "person", "schema": { "type": "object" } } });
	let request = with(ask("Who?"), json!({ "response_format": format }));
	let reply = network()
		.client()
		.chat(request, &[("x-assay-reasoning", "opened")])
		.await
		.json();
	let message = &reply["choices"][0]["message"];
	assert_eq!(
		(&message["content"], &message["reasoning_content"]),
		(&json!(r#"{"name": "Ada", "age": 36}"#), &Value::Null)
	);
}

#[tokio::test]
async fn reasoning_returns_with_the_conversation() {
	let network = network();
	let first = network.client().chat(ask("count"), &[]).await.json();
	let said = first["choices"][0]["message"].clone();
	let more =
		json!({ "messages": [{ "role": "user", "content": "count" }, said, { "role": "user", "content": "hi" }] });
	let reply = network.client().chat(with(ask("hi"), more), &[]).await;
	assert_eq!(reply.status, 200, "{}", reply.body);
	let asked: Value = serde_json::from_slice(network.last().input.bytes()).unwrap();
	assert_eq!(asked["messages"][1]["reasoning_content"], "Let me count.");
}

#[tokio::test]
async fn messages_have_thinking_blocks_if_the_client_asks_for_them() {
	let network = network();
	let thinking = json!({ "thinking": { "type": "enabled", "budget_tokens": 1024 } });
	let reply = network
		.client()
		.message(with(message("count"), thinking.clone()), &[])
		.await;
	let blocks = json!([{ "type": "thinking", "thinking": "Let me count.", "signature": "" },
		{ "type": "text", "text": "Two or three." }]);
	assert_eq!(reply.json()["content"], blocks);
	assert_eq!(reply.header("x-assay-ignored"), "thinking.budget_tokens");
	let request = with(with(message("count"), thinking), json!({ "stream": true }));
	let streamed = network.client().message(request, &[]).await;
	let events = streamed.events();
	let starts: Vec<_> = events
		.iter()
		.filter(|(name, _)| name == "content_block_start")
		.collect();
	let kinds: Vec<_> = starts
		.iter()
		.map(|(_, event)| (&event["index"], &event["content_block"]["type"]))
		.collect();
	assert_eq!(kinds, [(&json!(0), &json!("thinking")), (&json!(1), &json!("text"))]);
	assert_eq!(
		events.iter().filter(|(name, _)| name == "content_block_stop").count(),
		2
	);
	assert_eq!(joined(&streamed, &["delta"], "thinking"), "Let me count.");
	assert_eq!(joined(&streamed, &["delta"], "text"), "Two or three.");

	// A client that does not ask takes the first block for the text.
	for fields in [json!({}), json!({ "thinking": { "type": "disabled" } })] {
		let reply = network.client().message(with(message("count"), fields), &[]).await;
		assert_eq!(reply.json()["content"], json!([{ "type": "text", "text": ANSWER }]));
	}
	let asked = network
		.client()
		.message(message("count"), &[("x-assay-reasoning", "separate")])
		.await;
	assert_eq!(asked.json()["content"], blocks);
	let wrong = network
		.client()
		.message(with(message("count"), json!({ "thinking": {} })), &[])
		.await;
	assert_eq!(wrong.json()["error"]["param"], "thinking.type");
}

#[tokio::test]
async fn responses_have_a_reasoning_item() {
	let network = network();
	let request = json!({ "model": "demo", "input": "count" });
	let whole = network.client().response(request.clone(), &[]).await.json();
	let items = |output: &Value| {
		let items = output.as_array().unwrap().iter();
		let item = |item: &Value| {
			json!([
				item["type"],
				item["content"][0]["text"],
				item["status"],
				item["summary"]
			])
		};
		Value::from(items.map(item).collect::<Vec<_>>())
	};
	let expected = json!([
		["reasoning", "Let me count.", "completed", []],
		["message", "Two or three.", "completed", null]
	]);
	assert_eq!(items(&whole["output"]), expected);
	let streamed = network
		.client()
		.response(with(request, json!({ "stream": true })), &[])
		.await;
	let events = streamed.events();
	assert_eq!(items(&events.last().unwrap().1["response"]["output"]), expected);
	let of = |kind: &str| {
		let deltas = events.iter().filter(|(name, _)| name == kind);
		deltas
			.map(|(_, event)| event["delta"].as_str().unwrap())
			.collect::<String>()
	};
	assert_eq!(of("response.reasoning_text.delta"), "Let me count.");
	assert_eq!(of("response.output_text.delta"), "Two or three.");
	assert!(events
		.iter()
		.any(|(name, event)| name == "response.reasoning_text.done" && event["text"] == "Let me count."));
	let parts = events.iter().filter(|(name, _)| name == "response.content_part.added");
	let kinds: Vec<_> = parts.map(|(_, event)| &event["part"]["type"]).collect();
	assert_eq!(kinds, [&json!("reasoning_text"), &json!("output_text")]);
}

#[tokio::test]
async fn texts_are_completed_as_the_model_wrote_them() {
	let request = json!({ "model": "demo", "prompt": "count" }).to_string();
	let reply = network().client().post("/v1/completions", request, &[]).await;
	assert_eq!(reply.json()["choices"][0]["text"], ANSWER);
}
