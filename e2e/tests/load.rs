//! A crowd of strangers at the RPC of a node that makes blocks: storms of calls, large batches, and readers that do not read.
//! The node makes its blocks in time, its memory stays bounded, and whoever else connects is served.
//!
//! The short form runs with the other tests; `make chaos` runs the long one. Both end by themselves.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use anyhow::{bail, Context, Result};
use assay_e2e::{eventually, report, Chain, Node, NodeOptions, SlotMonitor};
use assay_primitives::{JobId, ModelId, Target};
use assay_protocol::process::proc_bytes;
use codec::Encode;
use const_hex::encode_prefixed;
use futures::{future::join_all, SinkExt, StreamExt};
use rustix::process::{getrlimit, setpriority_process, setrlimit, Resource, Rlimit};
use serde_json::{json, Value};
use std::{
	sync::{
		atomic::{AtomicU64, Ordering},
		Arc,
	},
	time::Duration,
};
use subxt_signer::sr25519::dev;
use tokio::{
	net::TcpStream,
	runtime::{Builder, Runtime},
	task::JoinHandle,
	time::{sleep_until, timeout, timeout_at, Instant},
};
use tokio_tungstenite::{client_async, tungstenite::Message, WebSocketStream};

/// The most slots that may pass without a block.
const MISSED_SLOTS: u64 = 1;
/// The most that the node's memory may grow.
const MEMORY_GROWTH: u64 = 512 << 20;
/// Calls in one batch.
const BATCH: usize = 40;
/// How long somebody who is not of the crowd waits for an answer, at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// One test at a time: a slot that is missed because tests compete for the CPU proves nothing.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A connection that speaks JSON-RPC.
struct Connection {
	socket: WebSocketStream<TcpStream>,
	next: u64,
}

impl Connection {
	async fn open(url: &str) -> Result<Self> {
		let address = url.strip_prefix("ws://").context("an address without TLS")?;
		let stream = TcpStream::connect(address).await?;
		let (socket, _) = client_async(url, stream).await?;
		Ok(Self { socket, next: 1 })
	}

	fn request(&mut self, method: &str, params: &Value) -> (u64, Value) {
		let id = self.next;
		self.next += 1;
		(
			id,
			json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }),
		)
	}

	async fn send(&mut self, message: &Value) -> Result<()> {
		Ok(self.socket.send(Message::text(message.to_string())).await?)
	}

	async fn receive(&mut self) -> Result<String> {
		while let Some(message) = self.socket.next().await {
			if let Message::Text(text) = message? {
				return Ok(text.as_str().to_owned());
			}
		}
		bail!("the node closed the connection")
	}

	/// Calls a method. Returns the response, which has a result or an error.
	async fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
		let (id, request) = self.request(method, params);
		self.send(&request).await?;
		loop {
			let response: Value = serde_json::from_str(&self.receive().await?)?;
			if response["id"] == id {
				return Ok(response);
			}
		}
	}

	/// Waits for a job's next notification.
	async fn update(&mut self) -> Result<Value> {
		loop {
			let mut message: Value = serde_json::from_str(&self.receive().await?)?;
			if message["method"] == "assay_job" {
				return Ok(message["params"]["result"].take());
			}
		}
	}
}

/// What strangers call, over and over.
#[derive(Clone)]
struct Calls(Arc<Vec<Value>>);

impl Calls {
	fn about(model: &ModelId, job: &JobId) -> Self {
		let call = |name: &str, args: Vec<u8>| json!([name, encode_prefixed(args)]);
		Self(Arc::new(vec![
			call("AssayApi_models", (None::<ModelId>, 100u32).encode()),
			call("AssayApi_providers_of", model.encode()),
			call("AssayApi_jobs", vec![*job; 16].encode()),
			call("AssayApi_quote", (Target::Model(*model), 100u32, 64u32, 8u8).encode()),
			call("AssayApi_receipt", job.encode()),
			call("Metadata_metadata_versions", Vec::new()),
		]))
	}

	fn nth(&self, n: usize) -> &Value {
		&self.0[n % self.0.len()]
	}
}

/// What the crowd has done.
#[derive(Default)]
struct Tally {
	connections: AtomicU64,
	answers: AtomicU64,
	failures: AtomicU64,
}

/// One stranger.
struct Stranger {
	url: String,
	number: usize,
	calls: Calls,
	job: JobId,
	tally: Arc<Tally>,
	end: Instant,
}

impl Stranger {
	/// Does what it does until the end.
	async fn run(self) {
		let Ok(mut connection) = Connection::open(&self.url).await else {
			self.tally.failures.fetch_add(1, Ordering::Relaxed);
			return;
		};
		self.tally.connections.fetch_add(1, Ordering::Relaxed);
		let act = async {
			match self.number % 8 {
				0..=4 => self.storm(&mut connection).await,
				5 => self.batches(&mut connection).await,
				_ => self.never_read(&mut connection).await,
			}
		};
		// Until the end, nothing but a failure ends it.
		if let Ok(Err(_)) = timeout_at(self.end, act).await {
			self.tally.failures.fetch_add(1, Ordering::Relaxed);
		}
	}

	/// Calls the runtime, the next time as soon as there is an answer.
	async fn storm(&self, connection: &mut Connection) -> Result<()> {
		for n in self.number.. {
			connection.call("state_call", self.calls.nth(n)).await?;
			self.tally.answers.fetch_add(1, Ordering::Relaxed);
		}
		Ok(())
	}

	/// Sends large batches.
	async fn batches(&self, connection: &mut Connection) -> Result<()> {
		loop {
			let batch = (0..BATCH).map(|n| connection.request("state_call", self.calls.nth(n)).1);
			let batch = Value::Array(batch.collect());
			connection.send(&batch).await?;
			connection.receive().await?;
			self.tally.answers.fetch_add(BATCH as u64, Ordering::Relaxed);
		}
	}

	/// Subscribes to a job as often as it can, calls, and reads nothing.
	async fn never_read(&self, connection: &mut Connection) -> Result<()> {
		for _ in 0..32 {
			let (_, request) = connection.request("assay_subscribeJob", &json!([self.job, "settled"]));
			connection.send(&request).await?;
			let (_, request) = connection.request("state_call", self.calls.nth(0));
			connection.send(&request).await?;
		}
		sleep_until(self.end).await;
		Ok(())
	}
}

/// Makes room for the sockets of the crowd in this process and in its node, which inherits the limit.
fn raise_limit_of_files(connections: usize) {
	let needed = connections as u64 + 512;
	let limit = getrlimit(Resource::Nofile);
	if limit.current.is_none_or(|current| current >= needed) {
		return;
	}
	assert!(
		limit.maximum.is_none_or(|maximum| maximum >= needed),
		"this test needs {needed} open files: ulimit -n"
	);
	let raised = Rlimit {
		current: Some(needed),
		..limit
	};
	setrlimit(Resource::Nofile, raised).unwrap();
}

/// The crowd's threads. In earnest they are on other machines: here they must not take the node's CPU.
struct CrowdThreads(Option<Runtime>);

impl CrowdThreads {
	fn start() -> Self {
		let runtime = Builder::new_multi_thread()
			.worker_threads(2)
			.enable_all()
			.on_thread_start(|| setpriority_process(None, 19).unwrap())
			.build();
		Self(Some(runtime.unwrap()))
	}

	fn spawn(&self, stranger: Stranger) -> JoinHandle<()> {
		self.0.as_ref().unwrap().spawn(stranger.run())
	}
}

impl Drop for CrowdThreads {
	fn drop(&mut self) {
		// Unlike its own drop, this does not wait, which an asynchronous test may not do.
		if let Some(runtime) = self.0.take() {
			runtime.shutdown_background();
		}
	}
}

fn resident(node: &Node) -> u64 {
	let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
	proc_bytes(&status, "VmRSS").unwrap()
}

/// Lets so many connections do their worst for some time.
async fn withstand(connections: usize, seconds: u64) {
	let _alone = ALONE.lock().await;
	raise_limit_of_files(connections);
	let most = connections + 32;
	let node = Node::start(NodeOptions {
		dev: true,
		args: ["--rpc-methods", "safe", "--rpc-max-connections", &most.to_string()]
			.map(str::to_owned)
			.to_vec(),
		..Default::default()
	})
	.unwrap();
	let chain = Chain::connect(&node.url()).await.unwrap();
	let model = chain.demo_model().await.unwrap();
	let job = chain.ask(&model, "Who is there?", 2, &dev::eve()).await.unwrap();
	chain.verdict(&job, 60).await.unwrap();

	let slots = SlotMonitor::start(&chain).await.unwrap();
	let before = resident(&node);
	let (tally, calls) = (Arc::new(Tally::default()), Calls::about(&model, &job));
	let end = Instant::now() + Duration::from_secs(seconds);
	let threads = CrowdThreads::start();
	let crowd = (0..connections).map(|number| {
		threads.spawn(Stranger {
			url: node.url(),
			number,
			calls: calls.clone(),
			job,
			tally: tally.clone(),
			end,
		})
	});
	let crowd: Vec<_> = crowd.collect();
	eventually("everybody is connected", seconds, || async {
		let connected = tally.connections.load(Ordering::Relaxed);
		Ok((connected == connections as u64).then_some(()))
	})
	.await
	.unwrap();

	others_are_served(&node, &chain, &model).await.unwrap();
	sleep_until(end).await;
	let most = resident(&node);
	join_all(crowd).await;
	let (made, missed) = slots.count().await.unwrap();
	let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
	report(&format!(
		"{connections} connections for {seconds} s: {} answers, {} connections failed; {made} blocks, {missed} slots missed; \
		 memory {} MiB, before {} MiB",
		count(&tally.answers),
		count(&tally.failures),
		most >> 20,
		before >> 20,
	));
	assert!(count(&tally.answers) > connections as u64, "there was a storm");
	assert!(
		missed <= MISSED_SLOTS,
		"{missed} slots without a block, {made} with one"
	);
	assert!(
		most.saturating_sub(before) <= MEMORY_GROWTH,
		"the node had {before} bytes, and {most} in the end"
	);
	assert!(!node.log().contains("Essential task"), "nothing has failed");
}

/// Somebody else connects, subscribes within its limits, reads no path and calls nothing unsafe, and gets an answer.
async fn others_are_served(node: &Node, chain: &Chain, model: &ModelId) -> Result<()> {
	let job = chain.ask(model, "Is there room for me?", 1, &dev::ferdie()).await?;
	let mut other = timeout(PATIENCE, Connection::open(&node.url())).await??;
	let mut places = 0;
	let refused = loop {
		let response = timeout(PATIENCE, other.call("assay_subscribeJob", &json!([job]))).await??;
		if response["error"].is_object() {
			break response;
		}
		places += 1;
	};
	assert!((1..=16).contains(&places), "{places} places");
	assert_eq!(refused["error"]["code"], 20_002, "{refused}");
	let status = timeout(PATIENCE, other.call("assay_jobStatus", &json!([job]))).await??;
	assert_eq!(status["result"]["job"], json!(job), "{status}");
	let unsafe_call = json!(["infr", "//Eve", encode_prefixed([0; 32])]);
	let refused = timeout(PATIENCE, other.call("author_insertKey", &unsafe_call)).await??;
	assert!(refused["error"].is_object(), "{refused}");
	let engine = timeout(PATIENCE, other.call("assay_engineStatus", &json!([]))).await??;
	assert!(engine["result"]["state"].is_string(), "{engine}");
	assert!(!engine.to_string().contains('/'), "{engine}");

	// The first notification, then others as the job goes on. The verdict follows even while the crowd is there.
	let mut other = timeout(PATIENCE, Connection::open(&node.url())).await??;
	other.send(&other_subscription(&job)).await?;
	let mut update = timeout(PATIENCE, other.update()).await??;
	let deadline = Instant::now() + Duration::from_secs(240);
	while update["verdict"].is_null() {
		update = timeout_at(deadline, other.update()).await??;
	}
	assert_eq!(update["job"], json!(job), "{update}");
	Ok(())
}

fn other_subscription(job: &JobId) -> Value {
	json!({ "jsonrpc": "2.0", "id": 1, "method": "assay_subscribeJob", "params": [job, "settled"] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_two_hundred_costs_no_blocks() {
	withstand(200, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "ten minutes: make chaos"]
async fn a_crowd_of_a_thousand_costs_a_block_at_most_in_ten_minutes() {
	let seconds = std::env::var("ASSAY_LOAD_SECONDS").ok().and_then(|s| s.parse().ok());
	withstand(1_000, seconds.unwrap_or(600)).await;
}
