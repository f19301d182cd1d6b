//! Bodies that nobody would send by mistake.

use crate::support::{ask, message, weather, with, Scripted};
use rand::{rngs::StdRng, seq::SliceRandom, Rng, SeedableRng};
use serde_json::json;

/// How many bodies are tried, unless `ASSAY_HOSTILE_BODIES` says otherwise.
const BODIES: u32 = 3_000;
/// What is put into bodies.
const PIECES: [&str; 24] = [
	"\"",
	"{",
	"}",
	"[",
	"]",
	":",
	",",
	"\\",
	"\\ud800",
	"\u{0}",
	"null",
	"true",
	"-1",
	"1e999",
	"18446744073709551616",
	"0.5",
	"[[[[[[[[[[[[[[[[",
	"{\"a\":",
	"\"role\":",
	"\"tool\"",
	"\"content\":[]",
	"\"tool_calls\":[{}]",
	"\"$ref\":",
	"é",
];

fn mutate(body: &mut Vec<u8>, random: &mut StdRng) {
	for _ in 0..random.gen_range(1..4) {
		let at = random.gen_range(0..=body.len());
		let end = (at + random.gen_range(0..12)).min(body.len());
		match random.gen_range(0..5) {
			0 => drop(body.drain(at..end)),
			1 => drop(body.splice(at..end, PIECES.choose(random).unwrap().bytes())),
			2 => body.truncate(at.max(1)),
			3 => {
				let copy = body[at..end].to_vec();
				body.splice(at..at, copy);
			}
			_ => body[at..end].iter_mut().for_each(|byte| *byte = random.gen()),
		}
	}
}

#[tokio::test]
async fn hostile_bodies_are_answered_or_refused_and_break_nothing() {
	let count = std::env::var("ASSAY_HOSTILE_BODIES").map_or(BODIES, |count| count.parse().expect("a number"));
	let seed = 7;
	let mut random = StdRng::seed_from_u64(seed);
	let network = Scripted::new();
	let client = network.client();
	let call = json!({ "id": "c", "type": "function", "function": { "name": "weather", "arguments": "{}" } });
	let chat = with(
		json!({ "model": "demo", "temperature": 0.5, "top_p": 0.9, "stop": ["a"], "max_tokens": 9, "tools": [weather()],
			"tool_choice": "auto", "response_format": { "type": "json_object" }, "seed": null, "stream_options": { "include_usage": true } }),
		json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "x" }] },
			{ "role": "assistant", "content": null, "tool_calls": [call] }, { "role": "tool", "tool_call_id": "c", "content": "y" }] }),
	);
	let used = json!({ "type": "tool_use", "id": "t", "name": "weather", "input": {} });
	let blocks = with(
		message("x"),
		json!({ "system": [{ "type": "text", "text": "s" }], "stop_sequences": ["a"], "tool_choice": { "type": "auto" },
			"tools": [{ "name": "weather", "input_schema": { "type": "object" } }], "messages": [{ "role": "user", "content": "x" },
			{ "role": "assistant", "content": [{ "type": "thinking", "thinking": "t" }, used] },
			{ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": "y" }] }] }),
	);
	let text = json!({ "model": "demo", "prompt": "x", "suffix": "" });
	let (mut answered, mut refused) = (0, 0);
	for _ in 0..count {
		let (path, body) = [
			("/v1/chat/completions", &chat),
			("/v1/chat/completions", &ask("x")),
			("/v1/messages", &blocks),
			("/v1/completions", &text),
		]
		.choose(&mut random)
		.map(|(path, body)| (*path, body.to_string()))
		.unwrap();
		let mut body = body.into_bytes();
		mutate(&mut body, &mut random);
		let said = String::from_utf8_lossy(&body).into_owned();
		let reply = client.post(path, body, &[]).await;
		match reply.status.as_u16() {
			200 => answered += 1,
			400..=499 => {
				refused += 1;
				assert!(!reply.json()["error"]["message"].as_str().unwrap().is_empty(), "{said}");
			}
			status => panic!("{status} for {said:?} (seed {seed}): {}", reply.body),
		}
	}
	// Both happened, or the bodies were not hostile, or too much so.
	assert!(
		count < BODIES || answered > count / 50 && refused > count / 3,
		"{answered} answered, {refused} refused"
	);
	assert_eq!(network.paid(), answered as usize);
}
