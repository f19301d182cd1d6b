//! Responses, whole and streamed, and what is refused because nothing is stored.

use crate::support::{answer, drawn, failed, published, text, verdict, weather, with, Scripted, EXECUTOR, MODEL};
use assay_primitives::{Failure, FinishReason, Input, Verdict};
use serde_json::{json, Value};

fn ask(input: &str) -> Value {
	json!({ "model": "demo", "input": input })
}

/// The weather tool in the form of responses.
fn tool() -> Value {
	let mut tool = weather()["function"].clone();
	tool["type"] = json!("function");
	tool
}

/// The names of a stream's events. Their numbers go up by one.
fn names(events: &[(String, Value)]) -> Vec<&str> {
	for (i, (name, event)) in events.iter().enumerate() {
		assert_eq!((&event["type"], &event["sequence_number"]), (&json!(name), &json!(i)));
	}
	events.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn a_response_carries_its_receipt_and_what_was_asked() {
	let network = Scripted::new();
	let fields =
		json!({ "instructions": "Be brief.", "max_output_tokens": 99, "temperature": 0.5, "metadata": { "a": "b" } });
	let reply = network.client().response(with(ask("hi"), fields), &[]).await;
	assert_eq!(reply.status, 200, "{}", reply.body);
	let mut json = reply.json();
	let job = json["assay"]["job"].as_str().unwrap().to_string();
	assert!(json["created_at"].as_u64().unwrap() > 1_700_000_000);
	json["created_at"] = json!(0);
	let id = format!("msg_{}_0", &job[2..26]);
	assert_eq!(
		json,
		json!({ "id": format!("resp_{}", &job[2..]), "object": "response", "created_at": 0, "status": "completed",
			"error": null, "incomplete_details": null, "background": false, "store": false, "previous_response_id": null,
			"truncation": "disabled", "model": "demo", "instructions": "Be brief.", "max_output_tokens": 99,
			"metadata": { "a": "b" }, "parallel_tool_calls": true, "temperature": 0.5, "text": { "format": { "type": "text" } },
			"tool_choice": "auto", "tools": [], "top_p": 1.0,
			"output": [{ "type": "message", "id": id, "role": "assistant", "status": "completed",
				"content": [{ "type": "output_text", "text": "Hello, dear world!", "annotations": [], "logprobs": [] }] }],
			"usage": { "input_tokens": 7, "input_tokens_details": { "cached_tokens": 0, "cache_write_tokens": 0 },
				"output_tokens": 3, "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 10 },
			"assay": { "job": job, "model": MODEL, "receipt": format!("/v1/receipts/{job}"),
				"idempotency_key": reply.header("x-assay-idempotency-key"), "draft": false, "verdict": "confirmed",
				"verifiers": 2, "executor": EXECUTOR, "attempt": 1, "fee": "42", "fee_ceiling": "1000" } })
	);
	let asked = network.last();
	assert_eq!((asked.params.max_tokens, asked.params.temperature), (99, 32_768));
	assert_eq!(
		asked.input.bytes(),
		br#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}]}"#
	);
}

#[tokio::test]
async fn a_streamed_text_is_done_only_after_the_verdict() {
	let network = Scripted::new();
	let reply = network
		.client()
		.response(with(ask("hi"), json!({ "stream": true })), &[])
		.await;
	let events = reply.events();
	assert_eq!(
		names(&events),
		[
			"response.created",
			"response.in_progress",
			"response.output_item.added",
			"response.content_part.added",
			"response.output_text.delta",
			"response.output_text.delta",
			"response.output_text.delta",
			"response.output_text.done",
			"response.content_part.done",
			"response.output_item.done",
			"response.completed",
		]
	);
	let (created, done) = (&events[0].1["response"], &events[10].1["response"]);
	assert_eq!(
		(
			&created["status"],
			&created["output"],
			&created["usage"],
			&created["assay"]["draft"]
		),
		(&json!("in_progress"), &json!([]), &Value::Null, &json!(true))
	);
	let item = &events[2].1["item"];
	assert_eq!(
		(&item["status"], &item["content"], &events[3].1["part"]["text"]),
		(&json!("in_progress"), &json!([]), &json!(""))
	);
	let texts: String = events[4..7].iter().map(|(_, e)| e["delta"].as_str().unwrap()).collect();
	assert_eq!(
		(texts.as_str(), &events[7].1["text"]),
		("Hello, dear world!", &json!("Hello, dear world!"))
	);
	for (_, event) in &events[4..7] {
		assert_eq!(
			(
				&event["assay"],
				&event["item_id"],
				&event["output_index"],
				&event["content_index"],
				&event["logprobs"]
			),
			(&json!({ "draft": true }), &item["id"], &json!(0), &json!(0), &json!([]))
		);
	}
	assert_eq!(events[9].1["item"], done["output"][0]);
	let whole = network.client().response(ask("hi"), &[]).await.json();
	for key in ["usage", "status", "object", "text"] {
		assert_eq!(done[key], whole[key], "{key}");
	}
	assert_eq!(done["output"][0]["content"], whole["output"][0]["content"]);
	assert_eq!(done["assay"]["verdict"], "confirmed");
}

#[tokio::test]
async fn a_call_is_streamed_and_its_output_leads_to_an_answer() {
	let network = Scripted::new();
	let client = network.client();
	let request = with(ask("Weather?"), json!({ "tools": [tool()], "tool_choice": "auto" }));
	let whole = client.response(request.clone(), &[]).await.json();
	assert_eq!(whole["tools"], json!([tool()]));
	let output = whole["output"].as_array().unwrap();
	assert_eq!(output[0]["content"][0]["text"], "Let me see.");
	assert_eq!(
		(
			&output[1]["type"],
			&output[1]["name"],
			&output[1]["arguments"],
			&output[1]["status"]
		),
		(
			&json!("function_call"),
			&json!("weather"),
			&json!("{\"city\":\"Rome\"}"),
			&json!("completed")
		)
	);

	let events = client
		.response(with(request, json!({ "stream": true })), &[])
		.await
		.events();
	let names = names(&events);
	let call = names
		.iter()
		.position(|name| *name == "response.function_call_arguments.delta")
		.unwrap();
	assert_eq!(names[call - 1], "response.output_item.added");
	assert_eq!(
		names[call + 1..],
		[
			"response.output_text.done",
			"response.content_part.done",
			"response.output_item.done",
			"response.function_call_arguments.done",
			"response.output_item.done",
			"response.completed"
		]
	);
	let (begun, added) = (&events[call - 1].1["item"], &events[call].1);
	assert_eq!(
		(
			&begun["arguments"],
			&added["delta"],
			&added["output_index"],
			&added["item_id"]
		),
		(&json!(""), &output[1]["arguments"], &json!(1), &begun["id"])
	);
	let last = &events.last().unwrap().1["response"]["output"][1];
	assert_eq!(
		(&last["arguments"], &last["status"]),
		(&output[1]["arguments"], &json!("completed"))
	);
	assert!(last["call_id"].as_str().unwrap().starts_with("call_"));

	let mut items = vec![json!({ "role": "user", "content": "Weather?" })];
	items.extend(output.iter().cloned());
	items.push(json!({ "type": "function_call_output", "call_id": output[1]["call_id"], "output": "sunny" }));
	let reply = client
		.response(json!({ "model": "demo", "input": items, "tools": [tool()] }), &[])
		.await;
	assert_eq!(
		reply.json()["output"][0]["content"][0]["text"],
		"It is sunny in Rome.",
		"{}",
		reply.body
	);
	assert_eq!(reply.header("x-assay-ignored"), "");
}

#[tokio::test]
async fn a_schema_reaches_the_network() {
	let network = Scripted::new();
	let format = json!({ "type": "json_schema", "name": "person", "strict": true, "schema": { "type": "object" } });
	let reply = network
		.client()
		.response(
			with(ask("Who?"), json!({ "text": { "format": format, "verbosity": "low" } })),
			&[],
		)
		.await;
	assert_eq!(
		reply.json()["output"][0]["content"][0]["text"],
		r#"{"name": "Ada", "age": 36}"#
	);
	assert_eq!(reply.json()["text"]["format"], format);
	assert_eq!(reply.header("x-assay-ignored"), "text.verbosity");
	let Input::Chat(bytes) = network.last().input else {
		panic!("a conversation")
	};
	let asked: Value = serde_json::from_slice(&bytes).unwrap();
	assert_eq!(
		asked["response_format"],
		json!({ "type": "json_schema", "json_schema": { "name": "person", "strict": true, "schema": { "type": "object" } } })
	);
}

#[tokio::test]
async fn an_answer_that_was_cut_off_is_incomplete() {
	let lines = vec![
		drawn(1),
		text("Once "),
		published("Once upon ", FinishReason::Length),
		verdict(Verdict::Confirmed),
	];
	let network = Scripted::new().on("long", lines);
	let whole = network.client().response(ask("long"), &[]).await.json();
	let events = network
		.client()
		.response(with(ask("long"), json!({ "stream": true })), &[])
		.await
		.events();
	assert_eq!(events.last().unwrap().0, "response.incomplete");
	for response in [&whole, &events.last().unwrap().1["response"]] {
		assert_eq!(
			(
				&response["status"],
				&response["incomplete_details"],
				&response["output"][0]["status"]
			),
			(
				&json!("incomplete"),
				&json!({ "reason": "max_output_tokens" }),
				&json!("incomplete")
			)
		);
	}
}

#[tokio::test]
async fn a_false_answer_fails_whole_and_streamed() {
	let lines = vec![
		drawn(1),
		text("cheese"),
		published("cheese", FinishReason::Eos),
		verdict(Verdict::Overturned),
	];
	let network = Scripted::new().on("moon", lines);
	let reply = network.client().response(ask("moon"), &[]).await;
	assert_eq!(
		(reply.status.as_u16(), &reply.json()["error"]["code"]),
		(502, &json!("answer_overturned"))
	);
	let events = network
		.client()
		.response(with(ask("moon"), json!({ "stream": true })), &[])
		.await
		.events();
	assert!(names(&events).iter().all(|name| !name.ends_with(".done")));
	let (name, last) = events.last().unwrap();
	let response = &last["response"];
	assert_eq!(
		(
			name.as_str(),
			&response["status"],
			&response["error"]["code"],
			&last["error"]["code"]
		),
		(
			"response.failed",
			&json!("failed"),
			&json!("answer_overturned"),
			&json!("answer_overturned")
		)
	);
	assert_eq!(response["output"][0]["status"], "in_progress");
}

#[tokio::test]
async fn a_refusal_in_a_stream_has_a_name_that_agents_do_not_repeat() {
	for (failure, own, known) in [
		(Failure::Template, "template_refused", "invalid_prompt"),
		(
			Failure::PromptTooLong,
			"context_length_exceeded",
			"context_length_exceeded",
		),
		(Failure::NonFinite, "model_failed", "model_failed"),
	] {
		let network = Scripted::new().on("x", failed(failure, "tools"));
		let events = network
			.client()
			.response(with(ask("x"), json!({ "stream": true })), &[])
			.await
			.events();
		let (name, event) = events.last().unwrap();
		assert_eq!(
			(
				name.as_str(),
				&event["error"]["code"],
				&event["response"]["error"]["code"]
			),
			("response.failed", &json!(own), &json!(known))
		);
	}
}

#[tokio::test]
async fn an_empty_answer_is_an_empty_message() {
	let network = Scripted::new().on("nothing", answer(""));
	let whole = network.client().response(ask("nothing"), &[]).await.json();
	let events = network
		.client()
		.response(with(ask("nothing"), json!({ "stream": true })), &[])
		.await
		.events();
	for response in [&whole, &events.last().unwrap().1["response"]] {
		assert_eq!(response["output"][0]["content"][0]["text"], "", "{response}");
	}
}

#[tokio::test]
async fn what_would_have_to_be_stored_is_refused_or_told() {
	let client = Scripted::new().client();
	for (fields, param) in [
		(json!({ "previous_response_id": "resp_1" }), "previous_response_id"),
		(json!({ "conversation": "conv_1" }), "conversation"),
		(json!({ "background": true }), "background"),
		(json!({ "prompt": { "id": "p" } }), "prompt"),
		(json!({ "top_logprobs": 2 }), "top_logprobs"),
		(json!({ "seed": 1 }), "seed"),
		(json!({ "temperature": 3 }), "temperature"),
		(json!({ "max_output_tokens": 0 }), "max_output_tokens"),
		(json!({ "tools": [{ "type": "web_search" }] }), "tools[0].type"),
		(
			json!({ "tools": [with(tool(), json!({ "name": "a b" }))] }),
			"tools[0].name",
		),
		(
			json!({ "tool_choice": { "type": "function", "name": "other" }, "tools": [tool()] }),
			"tool_choice.name",
		),
		(
			json!({ "text": { "format": { "type": "json_schema", "name": "n" } } }),
			"text.format.schema",
		),
		(json!({ "input": [] }), "input"),
		(json!({ "input": null }), "input"),
		(
			json!({ "input": [{ "type": "function_call_output", "call_id": "c", "output": "x" }] }),
			"input[0].call_id",
		),
		(json!({ "input": "x".repeat(70_000) }), "input"),
	] {
		let reply = client.response(with(ask("hi"), fields.clone()), &[]).await;
		assert_eq!(
			(reply.status.as_u16(), &reply.json()["error"]["param"]),
			(400, &json!(param)),
			"{}",
			reply.body.chars().take(300).collect::<String>()
		);
	}
	let neutral = json!({ "previous_response_id": null, "background": false, "conversation": null, "top_logprobs": 0,
		"include": [], "truncation": "disabled", "store": false, "tools": [], "tool_choice": "auto" });
	let reply = client.response(with(ask("hi"), neutral), &[]).await;
	assert_eq!(
		(reply.status.as_u16(), reply.header("x-assay-ignored")),
		(200, ""),
		"{}",
		reply.body
	);
	let told = json!({ "store": true, "include": ["reasoning.encrypted_content"], "truncation": "auto",
		"reasoning": { "effort": "low" }, "prompt_cache_key": "k" });
	let reply = client.response(with(ask("hi"), told), &[]).await;
	let mut ignored: Vec<_> = reply.header("x-assay-ignored").split(", ").collect();
	ignored.sort_unstable();
	assert_eq!(
		ignored,
		["include", "prompt_cache_key", "reasoning", "store", "truncation"]
	);
	assert_eq!(reply.json()["store"], false);
	let stored = client.get("/v1/responses/resp_1").await;
	assert_eq!(stored.status, 404);
	assert!(stored.json()["error"]["message"]
		.as_str()
		.unwrap()
		.contains("not stored"));
}

#[tokio::test]
async fn a_call_of_a_namespace_returns_to_it() {
	let network = Scripted::new();
	let tools = json!([{ "type": "namespace", "name": "sky", "tools": [tool()] }]);
	let request = with(ask("Weather?"), json!({ "tools": tools }));
	let reply = network.client().response(request.clone(), &[]).await.json();
	let call = &reply["output"][1];
	assert_eq!((&call["namespace"], &call["name"]), (&json!("sky"), &json!("weather")));
	let items =
		json!([reply["output"][1], { "type": "function_call_output", "call_id": call["call_id"], "output": "sunny" }]);
	let answered = network
		.client()
		.response(with(request, json!({ "input": items })), &[])
		.await;
	assert_eq!(
		answered.json()["output"][0]["content"][0]["text"],
		"It is sunny in Rome.",
		"{}",
		answered.body
	);
	let asked: Value = serde_json::from_slice(network.last().input.bytes()).unwrap();
	assert_eq!(
		asked["messages"][0]["tool_calls"][0]["function"]["name"],
		"sky__weather"
	);
}

#[tokio::test]
async fn a_reference_is_read_as_the_item_that_it_names() {
	let network = Scripted::new();
	let client = network.client();
	for streamed in [false, true] {
		let fields = json!({ "tools": [tool()], "stream": streamed });
		let reply = client.response(with(ask("Weather?"), fields), &[]).await;
		let response = if streamed {
			reply.events().last().unwrap().1["response"].clone()
		} else {
			reply.json()
		};
		let (text, call) = (&response["output"][0], &response["output"][1]);
		let items = json!([{ "role": "user", "content": "Weather?" }, { "type": "item_reference", "id": text["id"] }, call,
			{ "type": "function_call_output", "call_id": call["call_id"], "output": "sunny" }]);
		let fields = json!({ "tools": [tool()], "input": items });
		let answered = client.response(with(ask(""), fields), &[]).await;
		assert_eq!(answered.status, 200, "{}", answered.body);
		assert_eq!(answered.header("x-assay-ignored"), "");
		let asked: Value = serde_json::from_slice(network.last().input.bytes()).unwrap();
		let message = &asked["messages"][1];
		assert_eq!(
			(&message["role"], &message["content"]),
			(&json!("assistant"), &json!("Let me see."))
		);
		assert_eq!(message["tool_calls"][0]["id"], call["call_id"]);
	}
}

#[tokio::test]
async fn a_reference_to_what_was_not_kept_is_refused() {
	let client = Scripted::new().client();
	let reply = client.response(with(ask("hi"), json!({ "store": false })), &[]).await;
	let id = reply.json()["output"][0]["id"].clone();
	for id in [id, json!("msg_1")] {
		let items = json!([{ "type": "item_reference", "id": id }, { "role": "user", "content": "x" }]);
		let refused = client.response(with(ask(""), json!({ "input": items })), &[]).await;
		let error = &refused.json()["error"];
		assert_eq!((refused.status.as_u16(), &error["param"]), (400, &json!("input[0].id")));
		assert!(error["message"].as_str().unwrap().contains("store: false"), "{error}");
	}
}

#[tokio::test]
async fn an_item_that_is_named_again_and_again_is_refused_before_it_fills_the_memory() {
	let client = Scripted::new().client();
	let reply = client.response(ask("hi"), &[]).await;
	let reference = json!({ "type": "item_reference", "id": reply.json()["output"][0]["id"] });
	let refused = client
		.response(with(ask(""), json!({ "input": vec![reference; 8_000] })), &[])
		.await;
	let error = &refused.json()["error"];
	assert_eq!(refused.status.as_u16(), 400, "{}", refused.body);
	assert!(
		error["message"].as_str().unwrap().contains("the items that are named"),
		"{error}"
	);
}
