//! Requests that are refused: by name, with the next step, and for nothing.

use crate::support::{ask, failed, stream, with, Scripted};
use assay_gateway::network::NetworkError;
use assay_primitives::{Failure, ModelId};
use serde_json::{json, Value};

#[tokio::test]
async fn fields_that_nothing_here_can_do_are_refused_by_name() {
	let network = Scripted::new();
	let client = network.client();
	for (field, value) in [
		("n", json!(2)),
		("best_of", json!(3)),
		("logprobs", json!(true)),
		("top_logprobs", json!(5)),
		("logit_bias", json!({ "50256": -100 })),
		("presence_penalty", json!(0.5)),
		("frequency_penalty", json!(-1)),
		("audio", json!({ "voice": "alloy" })),
		("modalities", json!(["text", "audio"])),
		("prediction", json!({ "type": "content" })),
		("web_search_options", json!({ "x": 1 })),
		("functions", json!([{ "name": "f" }])),
		("function_call", json!("auto")),
		("suffix", json!("end")),
		("echo", json!(true)),
		("seed", json!(7)),
	] {
		let reply = client.chat(with(ask("hi"), json!({ field: value })), &[]).await;
		let error = &reply.json()["error"];
		assert_eq!(
			(reply.status.as_u16(), &error["param"], &error["code"]),
			(400, &json!(field), &json!("unsupported_parameter"))
		);
		assert_eq!(
			(&error["type"], reply.header("x-should-retry")),
			(&json!("invalid_request_error"), "false")
		);
	}
	assert_eq!(network.paid(), 0);
}

#[tokio::test]
async fn values_out_of_range_are_refused_by_name() {
	let network = Scripted::new();
	let client = network.client();
	let long = "x".repeat(33);
	for (fields, param) in [
		(json!({ "temperature": 2.5 }), "temperature"),
		(json!({ "temperature": "hot" }), "temperature"),
		(json!({ "max_tokens": 0 }), "max_tokens"),
		(json!({ "max_tokens": -1 }), "max_tokens"),
		(json!({ "max_completion_tokens": 1.5 }), "max_completion_tokens"),
		(json!({ "top_p": 0 }), "top_p"),
		(json!({ "min_p": 2 }), "min_p"),
		(json!({ "stop": ["a", "b", "c", "d", "e"] }), "stop"),
		(json!({ "stop": long }), "stop"),
		(json!({ "stop": 7 }), "stop"),
		(json!({ "stream": "yes" }), "stream"),
		(
			json!({ "stream_options": { "include_usage": 1 } }),
			"stream_options.include_usage",
		),
		(json!({ "messages": [] }), "messages"),
		(
			json!({ "messages": [{ "role": "bot", "content": "x" }] }),
			"messages[0].role",
		),
		(
			json!({ "messages": [{ "role": "user", "content": "x", "weight": 1 }] }),
			"messages[0].weight",
		),
		(
			json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url", "image_url": {} }] }] }),
			"messages[0].content[0].type",
		),
		(
			json!({ "messages": [{ "role": "tool", "tool_call_id": "c", "content": "x" }] }),
			"messages[0].tool_call_id",
		),
		(json!({ "tools": [{ "type": "web" }] }), "tools[0].type"),
		(json!({ "tool_choice": "required" }), "tool_choice"),
		(json!({ "response_format": { "type": "xml" } }), "response_format.type"),
		(json!({ "model": 7 }), "model"),
	] {
		let reply = client.chat(with(ask("hi"), fields.clone()), &[]).await;
		let error = &reply.json()["error"];
		assert_eq!(
			(reply.status.as_u16(), &error["param"]),
			(400, &json!(param)),
			"{fields} {error}"
		);
	}
	for (header, value) in [
		("x-assay-verifiers", "9"),
		("x-assay-verifiers", "two"),
		("x-assay-wait", "forever"),
		("idempotency-key", ""),
	] {
		let reply = client.chat(ask("hi"), &[(header, value)]).await;
		assert_eq!(
			(reply.status.as_u16(), &reply.json()["error"]["param"]),
			(400, &json!(header))
		);
	}
	assert_eq!(network.paid(), 0);
}

#[tokio::test]
async fn bodies_that_are_no_request_are_refused() {
	let network = Scripted::new();
	let client = network.client();
	let mut utf8 = br#"{"model":"demo","messages":[{"role":"user","content":""#.to_vec();
	utf8.extend([0xff, b'"', b'}', b']', b'}']);
	let deep = format!(
		r#"{{"model":"demo","messages":{}{}}}"#,
		"[".repeat(100),
		"]".repeat(100)
	);
	// Within the limit of bodies, and beyond that of conversations.
	let shallow = format!(r#"{{"model":"demo","messages":{}{}}}"#, "[".repeat(60), "]".repeat(60));
	for (body, said) in [
		(b"".to_vec(), "not valid JSON"),
		(b"{".to_vec(), "not valid JSON"),
		(br#"{"model":"demo","messages":[]} x"#.to_vec(), "not valid JSON"),
		(
			br#"{"model":"demo","model":"demo","messages":[]}"#.to_vec(),
			"duplicate field",
		),
		(utf8, "not UTF-8"),
		(deep.into_bytes(), "nests more than 64 deep"),
		(shallow.into_bytes(), "nests more than 32 deep"),
		(b"[]".to_vec(), ""),
		(b"null".to_vec(), ""),
	] {
		let reply = client.post("/v1/chat/completions", body, &[]).await;
		let message = reply.json()["error"]["message"].to_string();
		assert!(reply.status == 400 && message.contains(said), "{}", reply.body);
	}
	let reply = client
		.post("/v1/chat/completions", vec![b' '; (1 << 20) + 1], &[])
		.await;
	assert_eq!(
		(reply.status.as_u16(), &reply.json()["error"]["code"]),
		(413, &json!("body_too_large"))
	);
	assert_eq!(network.paid(), 0);
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_refused_in_words_that_agents_know() {
	let network = Scripted::new().on("full", failed(Failure::PromptTooLong, ""));
	let client = network.client();
	let reply = client.chat(ask(&"x".repeat(70_000)), &[]).await;
	let error = &reply.json()["error"];
	assert_eq!(
		(reply.status.as_u16(), &error["code"]),
		(400, &json!("context_length_exceeded"))
	);
	assert!(error["message"].as_str().unwrap().starts_with("prompt is too long"));
	assert_eq!(network.paid(), 0);
	let reply = client.chat(ask("full"), &[]).await;
	assert_eq!(reply.json()["error"]["code"], "context_length_exceeded");
}

#[tokio::test]
async fn refusals_of_the_model_are_errors_that_name_the_part() {
	let network = Scripted::new();
	for (failure, part, status, code, param) in [
		(Failure::Template, "", 400, "template_refused", json!("messages")),
		(Failure::PartLeftOut, "tools", 400, "part_left_out", json!("tools")),
		(
			Failure::Grammar,
			"response_format",
			400,
			"grammar_refused",
			json!("response_format"),
		),
		(Failure::NoTokens, "", 400, "empty_prompt", json!("messages")),
		(Failure::NotGenerative, "", 400, "model_not_generative", json!("model")),
		(Failure::NonFinite, "", 502, "model_failed", Value::Null),
	] {
		let client = network.on("x", failed(failure, part)).client();
		let reply = client.chat(ask("x"), &[]).await;
		let error = &reply.json()["error"];
		assert_eq!(
			(reply.status.as_u16(), &error["code"], &error["param"]),
			(status, &json!(code), &param)
		);
		assert_eq!(
			(&error["assay"]["verdict"], reply.header("x-should-retry")),
			(&json!("confirmed"), "false")
		);
		let (_, last) = client.chat(stream("x"), &[]).await.events().pop().unwrap();
		assert_eq!(last["error"]["code"], code);
	}
}

#[tokio::test]
async fn a_template_s_own_words_are_passed_on() {
	let why = "This model knows the roles user and assistant only.";
	let client = Scripted::new().on("x", failed(Failure::Template, why)).client();
	let error = client.chat(ask("x"), &[]).await.json();
	let message = error["error"]["message"].as_str().unwrap();
	assert!(message.ends_with(why), "{message}");
}

#[tokio::test]
async fn refusals_of_the_chain_become_statuses() {
	let network = Scripted::new();
	for (error, status, code, retry) in [
		(
			NetworkError::UnknownModel(ModelId([1; 32])),
			404,
			"model_not_found",
			"false",
		),
		(
			NetworkError::Refused {
				param: Some("max_tokens"),
				reason: "too many".into(),
			},
			400,
			"refused_by_chain",
			"false",
		),
		(
			NetworkError::NoProvider("nobody serves it".into()),
			503,
			"no_provider",
			"true",
		),
		(
			NetworkError::Unfunded("the account has 0 ASY; send it some".into()),
			402,
			"insufficient_quota",
			"false",
		),
		(NetworkError::TooExpensive { ceiling: 9 }, 503, "price_changed", "true"),
		(
			NetworkError::Unreachable("the node is away".into()),
			503,
			"node_unreachable",
			"true",
		),
		(NetworkError::Internal("a bug".into()), 500, "internal_error", "false"),
	] {
		let reply = network.refuse("x", error).client().chat(ask("x"), &[]).await;
		assert_eq!(
			(reply.status.as_u16(), &reply.json()["error"]["code"]),
			(status, &json!(code))
		);
		assert_eq!(
			(reply.header("x-should-retry"), reply.header("retry-after")),
			(retry, if status == 503 { "5" } else { "" })
		);
	}
	assert_eq!(network.paid(), 0);
}

#[tokio::test]
async fn unknown_paths_and_methods_say_what_is_there() {
	let client = Scripted::new().client();
	for (path, status, said) in [
		("/v1/embeddings", 404, "openapi.json"),
		("/chat/completions", 404, "base URLs end in `/v1`"),
		("/v1/v1/messages", 404, "without it for Anthropic's"),
		("/v1/responses/resp_1", 404, "not stored"),
		("/v1/chat/completions", 405, "another method"),
	] {
		let reply = client.get(path).await;
		assert!(
			reply.status == status && reply.body.contains(said),
			"{path}: {}",
			reply.body
		);
	}
}

#[tokio::test]
async fn receipts_are_there_or_say_why_not() {
	let network = Scripted::new().on("hang", vec![crate::support::Line::Hang]);
	let client = network.client();
	let done = client.chat(ask("hi"), &[]).await.json();
	let path = done["assay"]["receipt"].as_str().unwrap();
	assert_eq!(client.get(path).await.json()["receipt"]["job"], done["assay"]["job"]);
	let open = tokio::spawn({
		let client = client.clone();
		async move { client.chat(ask("hang"), &[]).await }
	});
	while network.paid() < 2 {
		tokio::task::yield_now().await;
	}
	let pending = format!("/v1/receipts/0x{}{:016x}", "11".repeat(24), 1);
	assert_eq!(client.get(&pending).await.json()["error"]["code"], "receipt_pending");
	open.abort();
	let unknown = format!("/v1/receipts/0x{}", "22".repeat(32));
	assert_eq!(client.get(&unknown).await.json()["error"]["code"], "receipt_not_found");
	assert_eq!(client.get("/v1/receipts/7").await.json()["error"]["param"], "job");
}

#[tokio::test]
async fn the_description_has_every_path_and_the_server_its_pages() {
	let network = Scripted::new();
	let client = network.client();
	let description = client.get("/openapi.json").await.json();
	let paths: Vec<_> = description["paths"].as_object().unwrap().keys().cloned().collect();
	for path in [
		"/v1/chat/completions",
		"/v1/completions",
		"/v1/responses",
		"/v1/messages",
		"/v1/models/{id}",
		"/v1/receipts/{job}",
		"/health",
	] {
		assert!(paths.iter().any(|known| known == path), "{path}");
	}
	assert!(description["components"]["schemas"]["CompletionRequest"]["properties"]["temperature"].is_object());
	// What has the same name in two protocols is described twice.
	for (schema, field) in [
		("Message", "StopReason"),
		("ChatMessage", "reasoning_content"),
		("Usage", "prompt_tokens"),
		("ResponseUsage", "input_tokens"),
		("ResponseObject", "status"),
	] {
		let schema = description["components"]["schemas"][schema].to_string();
		assert!(schema.contains(field), "{field}: {schema}");
	}
	let text = description.to_string();
	let named = text
		.split("\"#/components/schemas/")
		.skip(1)
		.filter_map(|rest| rest.split('"').next());
	for schema in named {
		assert!(
			description["components"]["schemas"][schema].is_object(),
			"{schema} is described"
		);
	}
	assert!(client.get("/").await.body.contains("/v1/chat/completions"));
	assert_eq!(client.get("/health").await.json()["finalized_block"], 10);
	client.get("/metrics").await;
	network.away.store(true, std::sync::atomic::Ordering::Relaxed);
	// It is asked again after a second.
	tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
	assert_eq!(client.get("/health").await.status, 503);
	client.chat(ask("hi"), &[]).await;
	let metrics = client.get("/metrics").await.body;
	for line in [
		"assay_gateway_request_success_total{finished_reason=\"stop\",model_name=\"demo\"} 1",
		"assay_gateway_prompt_tokens_total{model_name=\"demo\"} 7",
		"assay_gateway_request_errors_total{code=\"node_unreachable\"} 1",
		"assay_gateway_num_requests_running 0",
		"assay_gateway_finalized_block 10",
		"assay_gateway_account_balance 1000000",
		"assay_gateway_time_to_first_token_seconds_count{model_name=\"demo\"} 1",
	] {
		assert!(metrics.contains(line), "{line}\n{metrics}");
	}
}
