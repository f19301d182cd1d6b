//! A network that answers by a script, and a client that sees every byte.

use assay_gateway::{
	network::{
		Health, IdempotencyKey, JobEvent, JobRequest, JobTerms, Model, NetworkError, PageFacts, Prices, Quote,
		ReceiptStatus, Ticket,
	},
	Config, Gateway, Network,
};
use assay_primitives::{
	chat::{Chat, ResponseFormat},
	json::Json,
	Failure, FinishReason, Input, JobId, ModelId, UncheckedOutput, Verdict,
};
use async_trait::async_trait;
use axum::{
	body::Body,
	http::{HeaderMap, Request, StatusCode},
	Router,
};
use futures::{
	stream::{self, BoxStream},
	StreamExt,
};
use http_body_util::BodyExt;
use serde_json::{json, Value};
use std::{
	collections::HashMap,
	sync::{Arc, Mutex},
	time::Duration,
};
use tower::ServiceExt;

pub(crate) const MODEL: ModelId = ModelId([0xab; 32]);
pub(crate) const EXECUTOR: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

/// A line of a script.
#[derive(Clone, Debug)]
pub(crate) enum Line {
	Event(JobEvent),
	Pause(Duration),
	Fail(NetworkError),
	/// Nothing happens any more.
	Hang,
}

impl From<JobEvent> for Line {
	fn from(event: JobEvent) -> Self {
		Self::Event(event)
	}
}

pub(crate) fn drawn(attempt: u8) -> Line {
	JobEvent::Drawn {
		attempt,
		executor: EXECUTOR.into(),
	}
	.into()
}

pub(crate) fn text(text: &str) -> Line {
	JobEvent::Text {
		tokens: 1,
		text: text.into(),
	}
	.into()
}

pub(crate) fn published(text: &str, finish: FinishReason) -> Line {
	let output = UncheckedOutput {
		input_tokens: 7,
		tokens: vec![1; text.split_inclusive(' ').count().max(1)],
		text: text.as_bytes().to_vec(),
		finish,
	};
	JobEvent::Published {
		output: output.bounded().unwrap(),
	}
	.into()
}

pub(crate) fn verdict(verdict: Verdict) -> Line {
	JobEvent::Verdict { verdict, fee: 42 }.into()
}

/// Returns the script of an answer that is made word by word and confirmed.
pub(crate) fn answer(words: &str) -> Vec<Line> {
	let mut lines = vec![drawn(1)];
	lines.extend(words.split_inclusive(' ').map(text));
	lines.push(published(words, FinishReason::Eos));
	lines.push(verdict(Verdict::Confirmed));
	lines.push(
		JobEvent::Finalized {
			verdict: Verdict::Confirmed,
			fee: 42,
		}
		.into(),
	);
	lines.push(
		JobEvent::Settled {
			verdict: Verdict::Confirmed,
			fee: 41,
		}
		.into(),
	);
	lines
}

/// Returns the script of an answer that every honest machine refuses.
pub(crate) fn failed(failure: Failure, part: &str) -> Vec<Line> {
	vec![
		drawn(1),
		published(part, FinishReason::Failed(failure)),
		verdict(Verdict::Confirmed),
	]
}

#[derive(Default)]
struct State {
	scripts: HashMap<String, Vec<Line>>,
	refusals: HashMap<String, NetworkError>,
	jobs: Vec<(IdempotencyKey, JobTerms)>,
	followed: usize,
}

/// A network whose jobs follow scripts, chosen by the last message.
#[derive(Default)]
pub(crate) struct Scripted {
	state: Mutex<State>,
	pub(crate) away: std::sync::atomic::AtomicBool,
}

impl Scripted {
	pub(crate) fn new() -> Arc<Self> {
		Arc::default()
	}

	pub(crate) fn on(self: &Arc<Self>, prompt: &str, lines: Vec<Line>) -> Arc<Self> {
		self.state.lock().unwrap().scripts.insert(prompt.into(), lines);
		self.clone()
	}

	pub(crate) fn refuse(self: &Arc<Self>, prompt: &str, error: NetworkError) -> Arc<Self> {
		self.state.lock().unwrap().refusals.insert(prompt.into(), error);
		self.clone()
	}

	/// How many jobs were paid.
	pub(crate) fn paid(&self) -> usize {
		self.state.lock().unwrap().jobs.len()
	}

	/// How often jobs were followed.
	pub(crate) fn followed(&self) -> usize {
		self.state.lock().unwrap().followed
	}

	/// The terms of the last job.
	pub(crate) fn last(&self) -> JobTerms {
		self.state.lock().unwrap().jobs.last().expect("a job").1.clone()
	}

	pub(crate) fn gateway(self: &Arc<Self>, config: Config) -> Gateway {
		Gateway::new(config, self.clone()).unwrap()
	}

	pub(crate) fn client(self: &Arc<Self>) -> Client {
		Client(self.gateway(Config::default()).router())
	}
}

fn job_name(number: usize) -> JobId {
	let mut bytes = [0x11; 32];
	bytes[24..].copy_from_slice(&(number as u64).to_be_bytes());
	JobId(bytes)
}

fn prompt(input: &Input) -> String {
	match input {
		Input::Text(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
		Input::Chat(bytes) => {
			let chat = Chat::parse(bytes).unwrap();
			let last = chat.messages.last().unwrap();
			last.get("content").and_then(Json::as_text).unwrap_or_default().into()
		}
	}
}

/// What a model does that knows tools and schemas, and little else.
fn usual(input: &Input) -> Vec<Line> {
	let Input::Chat(bytes) = input else {
		return answer("Hello, plain world!");
	};
	let chat = Chat::parse(bytes).unwrap();
	if matches!(chat.response_format, ResponseFormat::JsonSchema(_)) {
		return answer(r#"{"name": "Ada", "age": 36}"#);
	}
	let answered = chat.messages.last().and_then(|last| last.get("role")?.as_text()) == Some("tool");
	match chat.tools.first() {
		Some(_) if answered => answer("It is sunny in Rome."),
		Some(tool) => {
			let name = tool.get("function").and_then(|f| f.get("name")?.as_text()).unwrap();
			let call =
				format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {{\"city\": \"Rome\"}}}}\n</tool_call>");
			answer(&format!("Let me see.\n{call}"))
		}
		None => answer("Hello, dear world!"),
	}
}

#[async_trait]
impl Network for Scripted {
	async fn health(&self) -> Result<Health, NetworkError> {
		if self.away.load(std::sync::atomic::Ordering::Relaxed) {
			return Err(NetworkError::Unreachable(
				"the node at ws://127.0.0.1:9944 does not answer".into(),
			));
		}
		Ok(Health {
			best: 12,
			finalized: 10,
			genesis: format!("0x{}", "01".repeat(32)),
			account: EXECUTOR.into(),
			balance: 1_000_000,
		})
	}

	async fn models(&self) -> Result<Vec<Model>, NetworkError> {
		let model = |id: ModelId, name: &str| Model {
			id,
			name: name.into(),
			context_length: 8192,
			providers: 3,
			prices: Some(Prices {
				price_in: 1,
				price_out: 2,
			}),
			created: (id == MODEL).then_some(1_700_000_000),
			chat_template: None,
		};
		Ok(vec![
			model(MODEL, "demo"),
			model(ModelId([0xcd; 32]), "twin"),
			model(ModelId([0xce; 32]), "twin"),
		])
	}

	async fn quote(&self, terms: &JobTerms) -> Result<Quote, NetworkError> {
		match self.state.lock().unwrap().refusals.get(&prompt(&terms.input)) {
			Some(error) => Err(error.clone()),
			None => Ok(Quote {
				fee_ceiling: 1000,
				deposit: 10,
			}),
		}
	}

	async fn find(&self, key: &IdempotencyKey) -> Result<Option<JobId>, NetworkError> {
		let state = self.state.lock().unwrap();
		Ok(state.jobs.iter().position(|(known, _)| known == key).map(job_name))
	}

	async fn request(&self, request: JobRequest) -> Result<Ticket, NetworkError> {
		let mut state = self.state.lock().unwrap();
		let ticket = |number, new| Ticket {
			job: job_name(number),
			new,
			fee_ceiling: 1000,
		};
		if let Some(number) = state.jobs.iter().position(|(key, _)| *key == request.key) {
			let same = state.jobs[number].1 == request.terms;
			return if same {
				Ok(ticket(number, false))
			} else {
				Err(NetworkError::KeyReused)
			};
		}
		state.jobs.push((request.key, request.terms));
		Ok(ticket(state.jobs.len() - 1, true))
	}

	fn follow(&self, job: JobId) -> BoxStream<'static, Result<JobEvent, NetworkError>> {
		let mut state = self.state.lock().unwrap();
		state.followed += 1;
		let number = (0..state.jobs.len()).find(|n| job_name(*n) == job).unwrap();
		let input = &state.jobs[number].1.input;
		let lines = state
			.scripts
			.get(&prompt(input))
			.cloned()
			.unwrap_or_else(|| usual(input));
		stream::iter(lines)
			.filter_map(|line| async {
				match line {
					Line::Event(event) => Some(Ok(event)),
					Line::Fail(error) => Some(Err(error)),
					Line::Pause(time) => {
						tokio::time::sleep(time).await;
						None
					}
					Line::Hang => std::future::pending().await,
				}
			})
			.boxed()
	}

	async fn count_tokens(&self, model: ModelId, input: &Input) -> Result<Option<u32>, NetworkError> {
		Ok((model == MODEL).then(|| u32::try_from(prompt(input).len()).unwrap()))
	}

	async fn receipt(&self, job: JobId) -> Result<ReceiptStatus, NetworkError> {
		let state = self.state.lock().unwrap();
		Ok(match (0..state.jobs.len()).find(|n| job_name(*n) == job) {
			None => ReceiptStatus::Unknown,
			Some(n) if prompt(&state.jobs[n].1.input) == "hang" => ReceiptStatus::NotYet,
			Some(_) => ReceiptStatus::Receipt(json!({ "receipt": { "job": job.to_string() } })),
		})
	}

	async fn page_facts(&self) -> Result<PageFacts, NetworkError> {
		Ok(PageFacts {
			chain: "Scripted".into(),
			node: Some("ws://127.0.0.1:9944".into()),
			anchor: None,
		})
	}

	async fn chain_spec(&self) -> Result<Value, NetworkError> {
		Err(NetworkError::Internal("this network has no specification".into()))
	}
}

/// Asks a gateway without a socket.
#[derive(Clone)]
pub(crate) struct Client(pub(crate) Router);

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Reply {
	pub(crate) status: StatusCode,
	pub(crate) headers: HeaderMap,
	pub(crate) body: String,
}

impl Reply {
	pub(crate) fn json(&self) -> Value {
		serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
	}

	pub(crate) fn header(&self, name: &str) -> &str {
		self.headers.get(name).map_or("", |value| value.to_str().unwrap())
	}

	/// The events of a stream, each with its name and its JSON.
	pub(crate) fn events(&self) -> Vec<(String, Value)> {
		let blocks = self
			.body
			.split("\n\n")
			.filter(|block| !block.is_empty() && !block.starts_with(':'));
		let event = |block: &str| {
			let mut name = String::new();
			let mut data = Value::Null;
			for line in block.lines() {
				match line.split_once(": ").unwrap() {
					("event", text) => name = text.into(),
					("data", text) => data = serde_json::from_str(text).unwrap_or_else(|_| text.into()),
					other => panic!("{other:?}"),
				}
			}
			(name, data)
		};
		blocks.map(event).collect()
	}

	/// The body with what differs from run to run replaced.
	pub(crate) fn steady(&self) -> String {
		let mut parts = self.body.split("\"created\":");
		let mut text = parts.next().unwrap().to_string();
		for part in parts {
			text.push_str("\"created\":0");
			text.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
		}
		text
	}
}

impl Client {
	pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
		let response = self.0.clone().oneshot(request).await.unwrap();
		let (parts, body) = response.into_parts();
		let bytes = body.collect().await.unwrap().to_bytes();
		Reply {
			status: parts.status,
			headers: parts.headers,
			body: String::from_utf8(bytes.to_vec()).unwrap(),
		}
	}

	pub(crate) async fn get(&self, path: &str) -> Reply {
		let request = Request::get(path).header("host", "localhost:8080");
		self.send(request.body(Body::empty()).unwrap()).await
	}

	pub(crate) async fn post(&self, path: &str, body: impl Into<Body>, headers: &[(&str, &str)]) -> Reply {
		let mut request = Request::post(path).header("host", "localhost:8080");
		for (name, value) in headers {
			request = request.header(*name, *value);
		}
		self.send(request.body(body.into()).unwrap()).await
	}

	pub(crate) async fn chat(&self, request: Value, headers: &[(&str, &str)]) -> Reply {
		self.post("/v1/chat/completions", request.to_string(), headers).await
	}

	pub(crate) async fn response(&self, request: Value, headers: &[(&str, &str)]) -> Reply {
		self.post("/v1/responses", request.to_string(), headers).await
	}

	pub(crate) async fn message(&self, request: Value, headers: &[(&str, &str)]) -> Reply {
		self.post("/v1/messages", request.to_string(), headers).await
	}
}

/// Returns a conversation of one message.
pub(crate) fn ask(prompt: &str) -> Value {
	json!({ "model": "demo", "messages": [{ "role": "user", "content": prompt }] })
}

/// The same, streamed.
pub(crate) fn stream(prompt: &str) -> Value {
	with(ask(prompt), json!({ "stream": true }))
}

/// Returns a message for Anthropic's endpoint.
pub(crate) fn message(prompt: &str) -> Value {
	with(ask(prompt), json!({ "max_tokens": 100 }))
}

/// Adds fields to a request.
pub(crate) fn with(mut request: Value, fields: Value) -> Value {
	let more = fields.as_object().unwrap().clone();
	request.as_object_mut().unwrap().extend(more);
	request
}

/// A tool that tells the weather.
pub(crate) fn weather() -> Value {
	json!({ "type": "function", "function": { "name": "weather", "description": "The weather in a city",
		"parameters": { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] } } })
}
