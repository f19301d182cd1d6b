//! Answers to OpenAI's clients, to the byte.

use crate::support::{answer, ask, drawn, published, stream, text, verdict, weather, with, Scripted};
use assay_primitives::{FinishReason, Input};
use serde_json::{json, Value};

#[tokio::test]
async fn a_chat_completion_carries_its_receipt_and_verified_counts() {
	let network = Scripted::new();
	let reply = network.client().chat(ask("hi"), &[]).await;
	assert_eq!(reply.status, 200, "{}", reply.body);
	let json = reply.json();
	let job = json["assay"]["job"].as_str().unwrap();
	assert_eq!(json["id"], format!("chatcmpl-{}", &job[2..]));
	assert_eq!(json["object"], "chat.completion");
	assert_eq!(
		(&json["model"], &json["system_fingerprint"]),
		(&json!("demo"), &json!("0xabababababababab"))
	);
	assert_eq!(
		json["choices"],
		json!([{ "index": 0, "message": { "role": "assistant", "content": "Hello, dear world!", "refusal": null },
			"logprobs": null, "finish_reason": "stop" }])
	);
	assert_eq!(
		json["usage"],
		json!({ "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10 })
	);
	assert_eq!(
		json["assay"],
		json!({ "job": job, "model": crate::support::MODEL, "receipt": format!("/v1/receipts/{job}"),
			"idempotency_key": reply.header("x-assay-idempotency-key"), "draft": false, "verdict": "confirmed", "verifiers": 2,
			"executor": crate::support::EXECUTOR, "attempt": 1, "fee": "42", "fee_ceiling": "1000" })
	);
	assert_eq!(reply.header("x-request-id"), job);
}

#[tokio::test]
async fn a_stream_is_draft_until_its_last_chunk() {
	let network = Scripted::new();
	let request = with(stream("hi"), json!({ "stream_options": { "include_usage": true } }));
	let reply = network.client().chat(request, &[("idempotency-key", "k")]).await;
	assert_eq!(reply.header("content-type"), "text/event-stream");
	let job = format!("0x{}{}", "11".repeat(24), "00".repeat(8));
	let head = format!(
		r#"{{"id":"chatcmpl-{}","object":"chat.completion.chunk","created":0,"model":"demo","system_fingerprint":"0xabababababababab""#,
		&job[2..]
	);
	let delta = |delta: &str, reason: &str| {
		format!(
			r#"{head},"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{reason}}}],"usage":null"#
		)
	};
	let assay = |draft: bool, verdict: &str, executor: &str, attempt: u8, fee: &str| {
		format!(
			r#""assay":{{"job":"{job}","model":"0x{}","receipt":"/v1/receipts/{job}","idempotency_key":"k","draft":{draft},"verdict":{verdict},"verifiers":2,"executor":{executor},"attempt":{attempt},"fee":{fee},"fee_ceiling":"1000"}}}}"#,
			"ab".repeat(32)
		)
	};
	let executor = format!("\"{}\"", crate::support::EXECUTOR);
	let draft = r#""assay":{"draft":true}}"#;
	let whole = assay(false, "\"confirmed\"", &executor, 1, "\"42\"");
	let usage = r#""choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}"#;
	let expected = [
		format!(
			"{},{}",
			delta(r#"{"role":"assistant","content":""}"#, "null"),
			assay(true, "null", "null", 0, "null")
		),
		format!("{},{draft}", delta(r#"{"content":"Hello, "}"#, "null")),
		format!("{},{draft}", delta(r#"{"content":"dear "}"#, "null")),
		format!("{},{draft}", delta(r#"{"content":"world!"}"#, "null")),
		format!("{},{whole}", delta("{}", "\"stop\"")),
		format!("{head},{usage},{whole}"),
		"[DONE]".into(),
	];
	let expected: String = expected.iter().map(|data| format!("data: {data}\n\n")).collect();
	assert_eq!(reply.steady(), expected);
}

#[tokio::test]
async fn tool_calls_are_held_back_until_they_are_complete() {
	let network = Scripted::new();
	let tools = json!({ "tools": [weather()], "tool_choice": "auto", "parallel_tool_calls": true });
	let whole = network
		.client()
		.chat(with(ask("Weather?"), tools.clone()), &[])
		.await
		.json();
	let choice = &whole["choices"][0];
	assert_eq!(
		(&choice["finish_reason"], &choice["message"]["content"]),
		(&json!("tool_calls"), &json!("Let me see."))
	);
	let call = &choice["message"]["tool_calls"][0];
	assert_eq!(
		(&call["type"], &call["function"]),
		(
			&json!("function"),
			&json!({ "name": "weather", "arguments": "{\"city\":\"Rome\"}" })
		)
	);

	let reply = network.client().chat(with(stream("Weather?"), tools), &[]).await;
	let deltas: Vec<Value> = reply
		.events()
		.iter()
		.map(|(_, data)| data["choices"][0]["delta"].clone())
		.collect();
	let texts: String = deltas.iter().filter_map(|delta| delta["content"].as_str()).collect();
	assert_eq!(texts, "Let me see.");
	let calls: Vec<_> = deltas.iter().filter(|delta| !delta["tool_calls"].is_null()).collect();
	assert_eq!(calls.len(), 1);
	let streamed = &calls[0]["tool_calls"][0];
	assert_eq!(
		(&streamed["index"], &streamed["function"]),
		(&json!(0), &call["function"])
	);
	assert!(streamed["id"].as_str().unwrap().starts_with("call_1111"));
}

#[tokio::test]
async fn a_tool_s_result_leads_to_an_answer() {
	let network = Scripted::new();
	let client = network.client();
	let first = client
		.chat(with(ask("Weather?"), json!({ "tools": [weather()] })), &[])
		.await
		.json();
	let message = first["choices"][0]["message"].clone();
	let id = message["tool_calls"][0]["id"].clone();
	let request = json!({ "model": "demo", "tools": [weather()], "messages": [
		{ "role": "developer", "content": "Be brief." }, { "role": "user", "content": [{ "type": "text", "text": "Weather?" }] },
		message, { "role": "tool", "tool_call_id": id, "content": "sunny" }] });
	let reply = client.chat(request, &[]).await.json();
	assert_eq!(reply["choices"][0]["message"]["content"], "It is sunny in Rome.");
	let Input::Chat(bytes) = network.last().input else {
		panic!("a conversation")
	};
	let asked: Value = serde_json::from_slice(&bytes).unwrap();
	assert_eq!(
		asked["messages"][0],
		json!({ "role": "system", "content": "Be brief." })
	);
	assert_eq!(asked["messages"][1], json!({ "role": "user", "content": "Weather?" }));
}

#[tokio::test]
async fn only_the_first_call_is_passed_on_if_the_client_wants_one() {
	let call = |city| format!("<tool_call>{{\"name\":\"weather\",\"arguments\":{{\"city\":\"{city}\"}}}}</tool_call>");
	let both = format!("{}{}", call("Rome"), call("Oslo"));
	let network = Scripted::new().on("both", answer(&both));
	let calls = |parallel: bool| {
		let (network, fields) = (
			network.clone(),
			json!({ "tools": [weather()], "parallel_tool_calls": parallel }),
		);
		async move {
			let whole = network
				.client()
				.chat(with(ask("both"), fields.clone()), &[])
				.await
				.json();
			let streamed = network.client().chat(with(stream("both"), fields), &[]).await;
			let deltas = streamed
				.events()
				.iter()
				.filter(|(_, e)| !e["choices"][0]["delta"]["tool_calls"].is_null())
				.count();
			(
				whole["choices"][0]["message"]["tool_calls"].as_array().unwrap().len(),
				deltas,
			)
		}
	};
	assert_eq!((calls(true).await, calls(false).await), ((2, 2), (1, 1)));
}

#[tokio::test]
async fn a_schema_reaches_the_network_as_it_was_written() {
	let network = Scripted::new();
	let schema = json!({ "type": "json_schema", "json_schema": { "name": "person", "strict": true,
		"schema": { "type": "object", "properties": { "name": { "type": "string" }, "age": { "type": "integer" } } } } });
	let mut request = with(ask("Who?"), json!({ "response_format": schema }));
	request.sort_all_objects();
	let request = request.to_string();
	// In an order that no map of keys has.
	let (sorted, written) = (
		r#""age":{"type":"integer"},"name":{"type":"string"}"#,
		r#""name":{"type":"string"},"age":{"type":"integer"}"#,
	);
	assert!(request.contains(sorted));
	let request = request.replace(sorted, written);
	let reply = network.client().post("/v1/chat/completions", request, &[]).await.json();
	assert_eq!(
		reply["choices"][0]["message"]["content"],
		"{\"name\": \"Ada\", \"age\": 36}"
	);
	let Input::Chat(bytes) = network.last().input else {
		panic!("a conversation")
	};
	assert!(std::str::from_utf8(&bytes).unwrap().contains(written));
}

#[tokio::test]
async fn a_text_is_completed_and_streamed() {
	let network = Scripted::new();
	let request = json!({ "model": "demo", "prompt": ["Once"], "stop": "\n" });
	let reply = network.client().post("/v1/completions", request.to_string(), &[]).await;
	let json = reply.json();
	assert_eq!(
		(&json["object"], &json["choices"][0]["text"]),
		(&json!("text_completion"), &json!("Hello, plain world!"))
	);
	assert_eq!(json["usage"]["total_tokens"], 10);
	let asked = network.last();
	assert_eq!(
		(asked.params.max_tokens, asked.params.stop.len(), asked.input.bytes()),
		(16, 1, &b"Once"[..])
	);

	let request = with(
		request,
		json!({ "stream": true, "stream_options": { "include_usage": true } }),
	);
	let events = network
		.client()
		.post("/v1/completions", request.to_string(), &[])
		.await
		.events();
	let texts: String = events
		.iter()
		.filter_map(|(_, e)| e["choices"][0]["text"].as_str())
		.collect();
	assert_eq!(texts, "Hello, plain world!");
	assert_eq!(events[events.len() - 3].1["choices"][0]["finish_reason"], "stop");
	assert_eq!(events[events.len() - 2].1["usage"]["completion_tokens"], 3);
	assert_eq!(events.last().unwrap().1, "[DONE]");
}

#[tokio::test]
async fn fields_become_the_parameters_of_the_job() {
	let network = Scripted::new();
	let fields = json!({ "max_completion_tokens": 99, "max_tokens": 1, "temperature": 0.5, "top_k": 40, "min_p": 0.25,
		"stop": ["a", "b"], "n": 1, "logprobs": false, "logit_bias": {}, "presence_penalty": 0, "frequency_penalty": 0.0,
		"modalities": ["text"] });
	let reply = network
		.client()
		.chat(with(ask("hi"), fields), &[("x-assay-verifiers", "5")])
		.await;
	assert_eq!(reply.status, 200, "{}", reply.body);
	let asked = network.last();
	let params = &asked.params;
	assert_eq!(
		(params.max_tokens, params.temperature, params.top_k, params.min_p),
		(99, 32_768, 40, 16_384)
	);
	assert_eq!(
		(asked.verifiers, params.stop.len(), reply.header("x-assay-ignored")),
		(5, 2, "")
	);
}

#[tokio::test]
async fn what_is_ignored_or_adjusted_is_told_in_headers_and_body() {
	let network = Scripted::new();
	let fields = json!({ "user": "me", "reasoning_effort": "high", "top_p": 0.75, "max_tokens": 100_000 });
	let reply = network.client().chat(with(ask("hi"), fields), &[]).await;
	assert_eq!(reply.status, 200, "{}", reply.body);
	let mut ignored: Vec<_> = reply.header("x-assay-ignored").split(", ").collect();
	ignored.sort_unstable();
	assert_eq!(ignored, ["reasoning_effort", "user"]);
	assert!(reply
		.header("x-assay-adjusted")
		.contains("max_tokens: 100000 became 4096"));
	assert!(reply
		.header("x-assay-adjusted")
		.contains("top_p: 0.75 became min_p: 0.25"));
	assert_eq!(reply.json()["assay"]["adjusted"].as_array().unwrap().len(), 2);
	assert_eq!(
		(network.last().params.max_tokens, network.last().params.min_p),
		(4096, 16_384)
	);
}

#[tokio::test]
async fn an_answer_that_was_cut_off_says_so() {
	let network = Scripted::new().on(
		"long",
		vec![
			drawn(1),
			text("and so"),
			published("and so", FinishReason::Length),
			verdict(assay_primitives::Verdict::Confirmed),
		],
	);
	let reply = network.client().chat(ask("long"), &[]).await.json();
	assert_eq!(reply["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn models_are_found_by_every_name_that_names_one() {
	let client = Scripted::new().client();
	let list = client.get("/v1/models").await.json();
	assert_eq!(
		(&list["object"], &list["data"][0]["id"], &list["has_more"]),
		(&json!("list"), &json!("demo"), &json!(false))
	);
	assert_eq!(list["data"][1]["id"], format!("0x{}", "cd".repeat(32)));
	let times = |i: usize| {
		(
			list["data"][i]["created"].clone(),
			list["data"][i]["created_at"].clone(),
		)
	};
	assert_eq!(times(0), (json!(1_700_000_000), json!("2023-11-14T22:13:20Z")));
	assert_eq!(times(1), (Value::Null, json!("1970-01-01T00:00:00Z")));
	assert!(list["data"][1].get("created").is_none());
	assert_eq!(list["data"][0]["assay"]["price_out"], "2");
	for name in [
		"demo",
		"demo@0xabababab",
		"0xabababab",
		&format!("0x{}", "ab".repeat(32)),
	] {
		let reply = client.get(&format!("/v1/models/{name}")).await;
		assert_eq!(
			(reply.status.as_u16(), &reply.json()["id"]),
			(200, &json!("demo")),
			"{name}"
		);
	}
	assert_eq!(client.get("/v1/models/twin@0xcdcdcdcd").await.status, 200);
	assert_eq!(
		client.get("/v1/models/twin").await.json()["error"]["code"],
		"model_ambiguous"
	);
	for name in ["other", "demo@0xcdcdcdcd", "0xab", "0xabababac"] {
		let reply = client.get(&format!("/v1/models/{name}")).await;
		assert_eq!(
			(reply.status.as_u16(), &reply.json()["error"]["code"]),
			(404, &json!("model_not_found")),
			"{name}"
		);
	}
}
