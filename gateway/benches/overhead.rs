//! Prints the gateway's own time for a request and for a chunk, before a network that answers at once.
//!
//! `cargo bench -p assay-gateway`

#![allow(
	clippy::unwrap_used,
	clippy::indexing_slicing,
	reason = "a benchmark may fail by panicking"
)]

#[path = "../tests/gateway/support.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

use assay_primitives::{FinishReason, Verdict};
use serde_json::json;
use std::time::{Duration, Instant};
use support::{ask, drawn, published, stream, text, verdict, weather, with, Client, Scripted};

const REQUESTS: u32 = 500;
const CHUNKS: usize = 4_000;

/// Returns the middle of many times.
async fn median(client: &Client, request: &serde_json::Value) -> Duration {
	let mut times = Vec::new();
	for _ in 0..REQUESTS {
		let begun = Instant::now();
		let reply = client.chat(request.clone(), &[]).await;
		times.push(begun.elapsed());
		assert_eq!(reply.status, 200, "{}", reply.body);
	}
	times.sort_unstable();
	times[times.len() / 2]
}

#[tokio::main]
async fn main() {
	let words = "a_longer_word ".repeat(CHUNKS);
	let mut lines = vec![drawn(1)];
	lines.extend((0..CHUNKS).map(|_| text("a_longer_word ")));
	lines.extend([published(&words, FinishReason::Eos), verdict(Verdict::Confirmed)]);
	let network = Scripted::new().on("long", lines);
	let client = network.client();
	let long = "x".repeat(60_000);
	for (name, request) in [
		("short", ask("hi")),
		("of 60 kB", ask(&long)),
		("with a tool", with(ask("hi"), json!({ "tools": [weather()] }))),
	] {
		println!("a request {name}: {:?}", median(&client, &request).await);
	}
	for (name, request) in [
		("plain", stream("long")),
		(
			"that may be a call",
			with(stream("long"), json!({ "tools": [weather()] })),
		),
	] {
		let begun = Instant::now();
		let reply = client.chat(request, &[]).await;
		let whole = begun.elapsed();
		let chunks = reply.body.matches("data: ").count();
		assert!(chunks > CHUNKS, "{chunks}");
		println!("a chunk {name}: {:?}", whole / u32::try_from(chunks).unwrap());
	}
}
