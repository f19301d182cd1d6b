//! `assay serve` before a real node: answers over HTTP come with their receipts, and whatever is killed, nothing is paid twice.

use assay_e2e::{eventually, program, Chain, Node, NodeOptions};
use assay_primitives::JobId;
use serde_json::{json, Value};
use std::{net::TcpListener, path::Path, process::Stdio};
use subxt_signer::sr25519::dev;
use tokio::{
	io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
	net::TcpStream,
	process::{Child, Command},
};

const CHAT: &str = "POST /v1/chat/completions";
/// How long an answer may take: a node that was killed has to start again in this time.
const ANSWER_SECONDS: u64 = 180;

/// A running gateway, which pays as Ferdie.
struct Gateway {
	child: Child,
	port: u16,
}

impl Gateway {
	/// Starts a gateway with this data directory, and waits until it answers.
	async fn start(node: &Node, data: &Path) -> Self {
		let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
		let port = listener.local_addr().unwrap().port();
		drop(listener);
		let mut command = Command::new(program("assay").unwrap());
		command.args(["serve", "--url", &node.url(), "--listen", &format!("127.0.0.1:{port}")]);
		command.args([
			"--suri",
			"//Ferdie",
			"--max-per-request",
			"100",
			"--max-per-day",
			"1000",
			"--data",
		]);
		command.arg(data).stdin(Stdio::null()).kill_on_drop(true);
		let gateway = Self {
			child: command.spawn().unwrap(),
			port,
		};
		eventually("the gateway answers", 60, || async {
			let (status, _) = get(port, "/health").await?;
			Ok((status == 200).then_some(()))
		})
		.await
		.unwrap();
		gateway
	}

	/// Kills it as a power cut would.
	async fn kill(mut self) {
		self.child.kill().await.unwrap();
	}
}

/// Sends a request and returns the connection, of which status and headers were read. HTTP 1.0 has no chunks.
async fn send(port: u16, line: &str, key: Option<&str>, body: &str) -> anyhow::Result<(u16, BufReader<TcpStream>)> {
	let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
	let key = key.map_or_else(String::new, |key| format!("Idempotency-Key: {key}\r\n"));
	let length = body.len();
	let request = format!(
		"{line} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{key}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
	);
	stream.write_all(request.as_bytes()).await?;
	let mut reader = BufReader::new(stream);
	let mut line = String::new();
	reader.read_line(&mut line).await?;
	let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
	let status = status.ok_or_else(|| anyhow::anyhow!("no status in {line:?}"))?;
	while !line.trim().is_empty() {
		line.clear();
		reader.read_line(&mut line).await?;
	}
	Ok((status, reader))
}

async fn get(port: u16, path: &str) -> anyhow::Result<(u16, Value)> {
	let (status, mut reader) = send(port, &format!("GET {path}"), None, "").await?;
	let mut body = String::new();
	reader.read_to_string(&mut body).await?;
	Ok((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
}

fn body(model: &str, question: &str, stream: bool) -> String {
	let messages = json!([{ "role": "user", "content": question }]);
	json!({ "model": model, "messages": messages, "max_tokens": 128, "temperature": 0, "stream": stream }).to_string()
}

/// Asks, and returns the whole answer.
async fn complete(port: u16, key: &str, body: &str) -> anyhow::Result<(u16, Value)> {
	let (status, mut reader) = send(port, CHAT, Some(key), body).await?;
	let mut text = String::new();
	reader.read_to_string(&mut text).await?;
	Ok((status, serde_json::from_str(&text)?))
}

/// Reads the next event of a stream; none at its end.
async fn event(reader: &mut BufReader<TcpStream>) -> Option<String> {
	let mut line = String::new();
	loop {
		line.clear();
		match reader.read_line(&mut line).await {
			Ok(0) | Err(_) => return None,
			Ok(_) => {}
		}
		if let Some(data) = line.strip_prefix("data: ") {
			return Some(data.trim_end().to_owned());
		}
	}
}

/// Asks for a stream and returns its events; none if it does not end with `[DONE]`.
async fn stream(port: u16, key: &str, body: &str) -> anyhow::Result<Option<Vec<Value>>> {
	let (status, mut reader) = send(port, CHAT, Some(key), body).await?;
	anyhow::ensure!(status == 200, "status {status}");
	let mut events = Vec::new();
	while let Some(data) = event(&mut reader).await {
		if data == "[DONE]" {
			return Ok(Some(events));
		}
		events.push(serde_json::from_str(&data)?);
	}
	Ok(None)
}

async fn streamed(port: u16, key: &str, body: &str) -> Vec<Value> {
	stream(port, key, body)
		.await
		.unwrap()
		.expect("a stream ends with [DONE]")
}

fn text_of(events: &[Value]) -> String {
	let deltas = events
		.iter()
		.filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
	deltas.collect()
}

fn job_of(answer: &Value) -> JobId {
	answer["assay"]["job"]
		.as_str()
		.unwrap_or_else(|| panic!("{answer}"))
		.parse()
		.unwrap()
}

struct Setup {
	node: Node,
	chain: Chain,
	data: tempfile::TempDir,
	model: String,
}

async fn setup() -> Setup {
	let options = NodeOptions {
		dev: true,
		..Default::default()
	};
	let node = Node::start(options).unwrap();
	let chain = Chain::connect(&node.url()).await.unwrap();
	let model = chain.demo_model().await.unwrap().to_string();
	Setup {
		node,
		chain,
		data: tempfile::tempdir().unwrap(),
		model,
	}
}

/// Asserts that Ferdie has requested so many jobs.
async fn paid(chain: &Chain, jobs: u64) {
	assert_eq!(chain.job_count(&dev::ferdie().public_key().0).await.unwrap(), jobs);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_over_http_comes_with_a_receipt_that_holds() {
	let Setup {
		node,
		chain,
		data,
		model,
	} = setup().await;
	let gateway = Gateway::start(&node, data.path()).await;
	let port = gateway.port;
	let (status, models) = get(port, "/v1/models").await.unwrap();
	assert!(
		status == 200 && !models["data"].as_array().unwrap().is_empty(),
		"{models}"
	);

	let (status, whole) = complete(port, "first", &body(&model, "What is a receipt?", false))
		.await
		.unwrap();
	assert_eq!(status, 200, "{whole}");
	let content = whole["choices"][0]["message"]["content"].as_str().unwrap();
	assert!(!content.is_empty(), "{whole}");
	assert_eq!(whole["assay"]["verdict"], "confirmed", "{whole}");
	paid(&chain, 1).await;

	let events = streamed(port, "second", &body(&model, "What is a receipt?", true)).await;
	// The same question at temperature 0 has the same answer.
	assert_eq!(text_of(&events), content);
	assert!(events.len() > 2, "it came in one piece: {events:?}");
	paid(&chain, 2).await;

	let job = job_of(&whole);
	let path = data.path().join("receipt.json");
	let checked = eventually("the receipt is final", 60, || async {
		let (status, receipt) = get(port, &format!("/v1/receipts/{job}")).await?;
		assert_eq!(status, 200, "{receipt}");
		std::fs::write(&path, receipt.to_string())?;
		// From the validators that the gateway has kept since it met the chain.
		let output = Command::new(program("assay")?)
			.arg("verify")
			.arg(&path)
			.output()
			.await?;
		Ok(Some(output).filter(|output| output.status.success()))
	});
	let checked = checked.await.unwrap();
	assert!(
		String::from_utf8_lossy(&checked.stdout).starts_with("FINAL."),
		"{checked:?}"
	);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_pays_once_and_answers_after_its_restart() {
	let Setup {
		node,
		chain,
		data,
		model,
	} = setup().await;
	let gateway = Gateway::start(&node, data.path()).await;
	let question = body(&model, "Who pays whom?", true);
	let (status, mut reader) = send(gateway.port, CHAT, Some("killed"), &question).await.unwrap();
	assert_eq!(status, 200);
	event(&mut reader).await.expect("the stream begins");
	gateway.kill().await;

	let gateway = Gateway::start(&node, data.path()).await;
	let events = streamed(gateway.port, "killed", &question).await;
	assert!(!text_of(&events).is_empty(), "{events:?}");
	paid(&chain, 1).await;
	// And once more, from what is known.
	let again = streamed(gateway.port, "killed", &question).await;
	assert_eq!(text_of(&again), text_of(&events));
	paid(&chain, 1).await;
	let (status, other) = complete(gateway.port, "killed", &body(&model, "Another question", false))
		.await
		.unwrap();
	assert!((400..500).contains(&status), "{other}");
	paid(&chain, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_before_its_request_is_in_a_block_pays_once() {
	let Setup {
		node,
		chain,
		data,
		model,
	} = setup().await;
	let question = body(&model, "Who keeps the journal?", false);
	// Early and late in the three seconds before a block, the request is signed, sent or included.
	for (round, delay) in [(1, 50), (2, 400), (3, 1_500)] {
		let key = format!("early-{round}");
		let gateway = Gateway::start(&node, data.path()).await;
		let port = gateway.port;
		let asking = tokio::spawn({
			let (key, question) = (key.clone(), question.clone());
			async move { complete(port, &key, &question).await }
		});
		tokio::time::sleep(std::time::Duration::from_millis(delay)).await;
		gateway.kill().await;
		let _ = asking.await;
		let gateway = Gateway::start(&node, data.path()).await;
		let (status, whole) = complete(gateway.port, &key, &question).await.unwrap();
		assert_eq!(status, 200, "{whole}");
		paid(&chain, round).await;
		gateway.kill().await;
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_mid_stream_costs_no_answer_and_no_second_payment() {
	let Setup {
		mut node,
		chain,
		data,
		model,
	} = setup().await;
	let gateway = Gateway::start(&node, data.path()).await;
	let question = body(&model, "Who restarts?", true);
	let (status, mut reader) = send(gateway.port, CHAT, Some("node"), &question).await.unwrap();
	assert_eq!(status, 200);
	event(&mut reader).await.expect("the stream begins");
	node.kill_and_restart().unwrap();
	// Whether this stream goes on or ends with an error, the same key has the answer.
	while event(&mut reader).await.is_some_and(|data| data != "[DONE]") {}
	let events = eventually("the job has its answer", ANSWER_SECONDS, || {
		stream(gateway.port, "node", &question)
	})
	.await
	.unwrap();
	assert!(!text_of(&events).is_empty(), "{events:?}");
	let chain = match chain.height().await {
		Ok(_) => chain,
		Err(_) => Chain::connect(&node.url()).await.unwrap(),
	};
	paid(&chain, 1).await;
}
