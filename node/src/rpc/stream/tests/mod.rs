//! Streams of a node whose chain and engine the test moves by hand. Each chunk is checked as a client checks it.

mod draft;
mod job;
mod strangers;

use super::{
	notification::{Chunk, StreamEnd},
	*,
};
use crate::{
	inference::tests::{idle_backend, Engine},
	rpc::{
		error::Elsewhere,
		job::tests::{eventually, view, Chain, Executor as Tasks, View, JOB},
	},
};
use assay_primitives::{
	api::ExecutionView,
	crypto::INFERENCE_KEY_TYPE,
	stream::{StreamChain, StreamToken, MAX_CHUNK_TOKENS},
	ClaimId, Hash32, State, WorkId,
};
use jsonrpsee::{core::server::Subscription as Client, rpc_params, MethodsError, RpcModule};
use sc_keystore::LocalKeystore;
use sp_core::{sr25519, Pair};
use sp_keystore::Keystore;
use std::time::Duration;

/// The genesis hash of the tests' chain, and what the tests' job has.
const GENESIS: Hash32 = [0; 32];
const CLAIM: ClaimId = ClaimId([5; 32]);
const WORK: WorkId = WorkId([9; 32]);

/// A node that executes [`JOB`].
struct Node {
	chain: Chain,
	engine: Engine,
	keystore: Arc<LocalKeystore>,
	key: Hash32,
	streams: JobStreams<Chain>,
	module: RpcModule<JobStreams<Chain>>,
}

impl Node {
	/// A node on whose best block a job is as given, and this node executes it if it has an executor.
	fn with(view: View) -> Self {
		Self::serving(view, 1, Patience::DEFAULT)
	}

	fn serving(view: View, connections: usize, patience: Patience) -> Self {
		Self::of(idle_backend(), view, connections, patience)
	}

	fn of(backend: Backend, view: View, connections: usize, patience: Patience) -> Self {
		let keystore = Arc::new(LocalKeystore::in_memory());
		let has_executor = view.executor.is_some();
		let chain = Chain::with(view);
		let jobs = Jobs::new(Arc::new(chain.clone()), 1);
		tokio::spawn(jobs.run(chain.heads()));
		let engine = Engine(backend.streams().unwrap_or_default());
		let (backend, tasks) = (Arc::new(backend), Arc::new(Tasks));
		let shared = Shared::new(jobs.0, backend, keystore.clone(), connections, tasks, patience);
		let streams = JobStreams(Arc::new(shared));
		let node = Self {
			chain,
			engine,
			key: add_key(&keystore, 7),
			keystore,
			module: streams.clone().into_rpc(),
			streams,
		};
		if has_executor {
			node.drawn(node.execution());
		}
		node
	}

	/// Makes the node hold one more inference key.
	fn add_key(&self, seed: u8) -> Hash32 {
		add_key(&self.keystore, seed)
	}

	/// The execution of the first attempt, by this node.
	fn execution(&self) -> ExecutionView<AccountId> {
		ExecutionView {
			attempt: 1,
			executor: [4; 32].into(),
			key: Some(self.key),
			claim: CLAIM,
			work: WORK,
			endpoint: Some(b"wss://here.example".to_vec()),
			published: false,
		}
	}

	/// From now on, the best block's state has this execution.
	fn drawn(&self, execution: ExecutionView<AccountId>) {
		self.chain.0.lock().executions.insert(JOB, execution);
	}

	/// The best block's state has no execution any more.
	fn nobody_executes(&self) {
		self.chain.0.lock().executions.clear();
	}

	async fn subscribe(&self, from: u32) -> Follower {
		let subscription = self.module.subscribe("assay_streamJob", (JOB, from), 16).await;
		Follower::new(subscription.unwrap(), self.key)
	}

	/// Returns the code, the message and the data of the error that refuses a subscription.
	async fn refused(&self, params: impl jsonrpsee::core::traits::ToRpcParams) -> (i32, String, serde_json::Value) {
		match self.module.subscribe("assay_streamJob", params, 16).await {
			Err(MethodsError::JsonRpc(e)) => {
				let data = e.data().map(|data| serde_json::from_str(data.get()).unwrap());
				(e.code(), e.message().to_owned(), data.unwrap_or_default())
			}
			other => panic!("not refused: {other:?}"),
		}
	}
}

fn add_key(keystore: &LocalKeystore, seed: u8) -> Hash32 {
	// A seed, because deriving a key from a phrase takes long without optimization.
	let seed = format!("0x{}", format!("{seed:02x}").repeat(32));
	let key = keystore.sr25519_generate_new(INFERENCE_KEY_TYPE, Some(&seed));
	key.unwrap().0
}

/// A client that checks what it receives.
struct Follower {
	subscription: Client,
	key: Hash32,
	chain: StreamChain,
	text: String,
	chunks: Vec<Chunk>,
}

impl Follower {
	fn new(subscription: Client, key: Hash32) -> Self {
		Self {
			subscription,
			key,
			chain: StreamChain::new(&GENESIS, &CLAIM),
			text: String::new(),
			chunks: Vec::new(),
		}
	}

	/// Has these tokens from before.
	fn knowing(mut self, tokens: &[StreamToken]) -> Self {
		self.chain.extend(tokens);
		self
	}

	async fn next(&mut self) -> Notification {
		let next = tokio::time::timeout(Duration::from_secs(20), self.subscription.next::<Notification>()).await;
		next.expect("a notification in time")
			.expect("an open subscription")
			.unwrap()
			.0
	}

	/// Receives a chunk and checks it.
	async fn chunk(&mut self) {
		match self.next().await {
			Notification::Chunk(chunk) => self.check(chunk),
			Notification::End(end) => panic!("no chunk: {end:?}"),
		}
	}

	/// Receives chunks until it has so many tokens.
	async fn has(&mut self, tokens: usize) {
		while (self.chain.tokens as usize) < tokens {
			self.chunk().await;
		}
		assert_eq!(self.chain.tokens as usize, tokens);
	}

	/// Receives chunks to the end.
	async fn end(&mut self) -> StreamEnd {
		loop {
			match self.next().await {
				Notification::Chunk(chunk) => self.check(chunk),
				Notification::End(end) => return end,
			}
		}
	}

	fn check(&mut self, chunk: Chunk) {
		assert_eq!(
			(chunk.claim, chunk.key, chunk.first),
			(CLAIM, self.key, self.chain.tokens)
		);
		assert!((1..=MAX_CHUNK_TOKENS).contains(&chunk.tokens.len()));
		self.chain.extend(&chunk.tokens);
		assert_eq!(chunk.hash, self.chain.hash);
		let signature = sr25519::Signature::try_from(&chunk.signature.0[..]).unwrap();
		let key = sr25519::Public::from_raw(chunk.key);
		let message = self.chain.message(&GENESIS, &CLAIM);
		assert!(sr25519::Pair::verify(&signature, message, &key));
		self.text.extend(chunk.tokens.iter().map(|token| token.text.as_str()));
		self.chunks.push(chunk);
	}

	/// Checks that nothing comes for a while.
	async fn nothing_comes(&mut self) {
		let after = tokio::time::timeout(Duration::from_millis(200), self.subscription.next::<Notification>()).await;
		assert!(!matches!(after, Ok(Some(_))), "{after:?}");
	}
}

/// The first tokens of an answer.
fn tokens(count: usize) -> Vec<StreamToken> {
	let token = |id| StreamToken {
		id: id as u32,
		text: format!("{id} "),
	};
	(0..count).map(token).collect()
}

fn text(count: usize) -> String {
	tokens(count).iter().map(|token| token.text.as_str()).collect()
}

fn end(ended: EndReason) -> StreamEnd {
	ended.into()
}

/// The job before its first draw.
fn waiting() -> View {
	View {
		attempt: 0,
		executor: None,
		claim: None,
		..view(State::Waiting)
	}
}

/// The job with a published answer.
fn published() -> View {
	View {
		output: Some(crate::inference::tests::output()),
		..view(State::Published)
	}
}

/// The job after its only attempt came to nothing.
fn between_attempts() -> View {
	View {
		attempt: 1,
		..waiting()
	}
}

/// The job in its second attempt.
fn second_attempt() -> View {
	View {
		attempt: 2,
		executor: Some([8; 32].into()),
		claim: Some(ClaimId([6; 32])),
		..view(State::Executing)
	}
}

/// The execution of the second attempt, elsewhere.
fn second_execution(endpoint: Option<&str>) -> ExecutionView<AccountId> {
	ExecutionView {
		attempt: 2,
		executor: [8; 32].into(),
		key: Some([8; 32]),
		claim: ClaimId([6; 32]),
		work: WorkId([10; 32]),
		endpoint: endpoint.map(|endpoint| endpoint.as_bytes().to_vec()),
		published: false,
	}
}
