//! Answers to Anthropic's clients, to the byte.

use crate::support::{drawn, message, published, text, verdict, weather, with, Scripted};
use assay_primitives::{FinishReason, Input, Verdict};
use serde_json::{json, Value};

fn tool() -> Value {
	json!({ "name": "weather", "description": "The weather", "input_schema": weather()["function"]["parameters"] })
}

#[tokio::test]
async fn a_message_carries_its_receipt_and_verified_counts() {
	let network = Scripted::new();
	let reply = network
		.client()
		.message(with(message("hi"), json!({ "system": "Be brief." })), &[])
		.await;
	assert_eq!(reply.status, 200, "{}", reply.body);
	let json = reply.json();
	let job = json["assay"]["job"].as_str().unwrap();
	assert_eq!(
		(&json["type"], &json["role"], &json["model"]),
		(&json!("message"), &json!("assistant"), &json!("demo"))
	);
	assert_eq!(json["id"], format!("msg_{}", &job[2..]));
	assert_eq!(
		json["content"],
		json!([{ "type": "text", "text": "Hello, dear world!" }])
	);
	assert_eq!(
		(&json["stop_reason"], &json["stop_sequence"]),
		(&json!("end_turn"), &Value::Null)
	);
	assert_eq!(json["usage"], json!({ "input_tokens": 7, "output_tokens": 3 }));
	assert_eq!(
		(&json["assay"]["verdict"], reply.header("request-id")),
		(&json!("confirmed"), job)
	);
	let Input::Chat(bytes) = network.last().input else {
		panic!("a conversation")
	};
	assert_eq!(
		std::str::from_utf8(&bytes).unwrap(),
		r#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}]}"#
	);
}

#[tokio::test]
async fn events_come_in_the_protocol_s_order() {
	let network = Scripted::new();
	let request = with(message("Weather?"), json!({ "stream": true, "tools": [tool()] }));
	let reply = network.client().message(request, &[("idempotency-key", "k")]).await;
	assert_eq!(reply.header("content-type"), "text/event-stream");
	let job = format!("0x{}{}", "11".repeat(24), "00".repeat(8));
	let assay = |draft: bool, rest: &str| {
		format!(
			r#""assay":{{"job":"{job}","model":"0x{}","receipt":"/v1/receipts/{job}","idempotency_key":"k","draft":{draft},{rest}}}"#,
			"ab".repeat(32)
		)
	};
	let begun = assay(
		true,
		r#""verdict":null,"verifiers":2,"executor":null,"attempt":0,"fee":null,"fee_ceiling":"1000""#,
	);
	let ended = format!(
		r#""verdict":"confirmed","verifiers":2,"executor":"{}","attempt":1,"fee":"42","fee_ceiling":"1000""#,
		crate::support::EXECUTOR
	);
	let ended = assay(false, &ended);
	let expected = [
		format!(
			r#"event: message_start
data: {{"message":{{{begun},"content":[],"id":"msg_{}","model":"demo","role":"assistant","stop_reason":null,"stop_sequence":null,"type":"message","usage":{{"input_tokens":0,"output_tokens":0}}}},"type":"message_start"}}"#,
			&job[2..]
		),
		"event: ping\ndata: {\"type\":\"ping\"}".into(),
		r#"event: content_block_start
data: {"content_block":{"text":"","type":"text"},"index":0,"type":"content_block_start"}"#
			.into(),
		r#"event: content_block_delta
data: {"delta":{"text":"Let","type":"text_delta"},"index":0,"type":"content_block_delta"}"#
			.into(),
		r#"event: content_block_delta
data: {"delta":{"text":" me","type":"text_delta"},"index":0,"type":"content_block_delta"}"#
			.into(),
		r#"event: content_block_delta
data: {"delta":{"text":" see.","type":"text_delta"},"index":0,"type":"content_block_delta"}"#
			.into(),
		r#"event: content_block_stop
data: {"index":0,"type":"content_block_stop"}"#
			.into(),
		format!(
			r#"event: content_block_start
data: {{"content_block":{{"id":"toolu_{}_0","input":{{}},"name":"weather","type":"tool_use"}},"index":1,"type":"content_block_start"}}"#,
			"1".repeat(24)
		),
		r#"event: content_block_delta
data: {"delta":{"partial_json":"{\"city\":\"Rome\"}","type":"input_json_delta"},"index":1,"type":"content_block_delta"}"#
			.into(),
		r#"event: content_block_stop
data: {"index":1,"type":"content_block_stop"}"#
			.into(),
		format!(
			r#"event: message_delta
data: {{"type":"message_delta","delta":{{"stop_reason":"tool_use","stop_sequence":null}},"usage":{{"input_tokens":7,"output_tokens":7}},{ended}}}"#
		),
		"event: message_stop\ndata: {\"type\":\"message_stop\"}".into(),
	];
	let expected: String = expected.iter().map(|event| format!("{event}\n\n")).collect();
	assert_eq!(sorted(&reply.body), sorted(&expected));
}

/// Returns events with the keys of their JSON in one order.
fn sorted(body: &str) -> String {
	let line = |line: &str| match line.strip_prefix("data: ") {
		Some(json) => {
			let mut json: Value = serde_json::from_str(json).unwrap();
			json.sort_all_objects();
			format!("data: {json}")
		}
		None => line.to_string(),
	};
	body.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_tool_is_used_and_its_result_answered() {
	let network = Scripted::new();
	let client = network.client();
	let tools = json!({ "tools": [tool()], "tool_choice": { "type": "any", "disable_parallel_tool_use": true } });
	let first = client.message(with(message("Weather?"), tools), &[]).await.json();
	assert_eq!(first["stop_reason"], "tool_use");
	let used = &first["content"][1];
	assert_eq!(
		(&used["type"], &used["name"], &used["input"]),
		(&json!("tool_use"), &json!("weather"), &json!({ "city": "Rome" }))
	);
	let request = json!({ "model": "demo", "max_tokens": 9, "tools": [tool()], "messages": [
		{ "role": "user", "content": "Weather?" }, { "role": "assistant", "content": first["content"] },
		{ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": used["id"], "content": "sunny" }] }] });
	let reply = client.message(request, &[]).await;
	assert_eq!(
		reply.json()["content"][0]["text"],
		"It is sunny in Rome.",
		"{}",
		reply.body
	);
}

#[tokio::test]
async fn a_stop_string_is_named_if_there_is_one_alone() {
	let lines = vec![
		drawn(1),
		text("a"),
		published("a", FinishReason::Stop),
		verdict(Verdict::Confirmed),
	];
	let network = Scripted::new().on("stop", lines);
	let stopped = |stops: Value| {
		let client = network.client();
		async move {
			let reply = client
				.message(with(message("stop"), json!({ "stop_sequences": stops })), &[])
				.await
				.json();
			assert_eq!(reply["stop_reason"], "stop_sequence");
			reply["stop_sequence"].clone()
		}
	};
	assert_eq!(stopped(json!(["END"])).await, "END");
	assert_eq!(stopped(json!(["END", "STOP"])).await, Value::Null);
}

#[tokio::test]
async fn a_schema_for_the_answer_is_passed_on() {
	let network = Scripted::new();
	let format = json!({ "format": { "type": "json_schema", "schema": { "type": "object" } } });
	let reply = network
		.client()
		.message(with(message("Who?"), json!({ "output_config": format })), &[])
		.await
		.json();
	assert_eq!(reply["content"][0]["text"], "{\"name\": \"Ada\", \"age\": 36}");
}

#[tokio::test]
async fn errors_have_anthropic_s_form() {
	let network = Scripted::new().on(
		"wrong",
		vec![
			drawn(1),
			published("x", FinishReason::Eos),
			verdict(Verdict::Overturned),
		],
	);
	let client = network.client();
	for (request, status, kind) in [
		(with(message("x"), json!({ "model": "other" })), 404, "not_found_error"),
		(
			with(message("x"), json!({ "max_tokens": "many" })),
			400,
			"invalid_request_error",
		),
		(json!({ "model": "demo", "messages": [] }), 400, "invalid_request_error"),
		(
			with(message("x"), json!({ "mcp_servers": [{}] })),
			400,
			"invalid_request_error",
		),
		(
			with(
				message("x"),
				json!({ "tool_choice": { "type": "all" }, "tools": [tool()] }),
			),
			400,
			"invalid_request_error",
		),
		(message("wrong"), 502, "api_error"),
	] {
		let reply = client.message(request, &[]).await;
		let json = reply.json();
		assert_eq!(
			(reply.status.as_u16(), &json["type"], &json["error"]["type"]),
			(status, &json!("error"), &json!(kind)),
			"{json}"
		);
	}
	let streamed = client
		.message(with(message("wrong"), json!({ "stream": true })), &[])
		.await
		.events();
	let (name, error) = streamed.last().unwrap();
	assert_eq!(
		(name.as_str(), &error["error"]["code"]),
		("error", &json!("answer_overturned"))
	);
}

#[tokio::test]
async fn tokens_are_counted_where_the_tokenizer_is_and_nothing_is_requested() {
	let network = Scripted::new();
	let client = network.client();
	let count = |request: Value| {
		let client = client.clone();
		async move { client.post("/v1/messages/count_tokens", request.to_string(), &[]).await }
	};
	let mut request = message("four");
	request.as_object_mut().unwrap().remove("max_tokens");
	assert_eq!(count(request.clone()).await.body, r#"{"input_tokens":4}"#);
	let other = count(with(request.clone(), json!({ "model": "twin@0xcdcdcdcd" }))).await;
	assert_eq!((other.status.as_u16(), other.header("x-should-retry")), (501, "false"));
	assert_eq!(other.json()["error"]["code"], "not_supported");
	let wrong = count(with(request.clone(), json!({ "messages": [] }))).await;
	assert_eq!(
		(wrong.status.as_u16(), &wrong.json()["error"]["param"]),
		(400, &json!("messages"))
	);
	// An answer needs to know how long it may be.
	let asked = client.message(request, &[]).await;
	assert_eq!(
		(asked.status.as_u16(), &asked.json()["error"]["param"]),
		(400, &json!("max_tokens"))
	);
	assert_eq!(network.paid(), 0);
}
