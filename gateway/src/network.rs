//! What the gateway asks of a chain.
//!
//! The gateway knows HTTP and the protocols of its clients; whoever implements [`Network`] knows nodes, keys and
//! transactions. All types here are values that a test can write down.

use assay_primitives::{Balance, Input, JobId, ModelId, Output, SamplingParams, Verdict};
use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// A chain that answers requests.
///
/// Every method may be called by many requests at once, and its future may be dropped at any await: a request whose
/// client is gone neither cancels a job nor loses a transaction.
#[async_trait]
pub trait Network: Send + Sync + 'static {
	/// Returns how the node and the account that pays are doing.
	async fn health(&self) -> Result<Health, NetworkError>;

	/// Returns all models of the catalog. The gateway keeps the list for a few seconds.
	async fn models(&self) -> Result<Vec<Model>, NetworkError>;

	/// Returns what a job would cost at most, or the error that its request would meet. Nothing is spent.
	async fn quote(&self, request: &JobTerms) -> Result<Quote, NetworkError>;

	/// Returns the job that was requested under a key, also if it is closed by now; none if the key is not known.
	async fn find(&self, key: &IdempotencyKey) -> Result<Option<JobId>, NetworkError>;

	/// Requests a job, at most once for a key, and returns when its request is in a block.
	///
	/// The implementation persists the signed transaction under the key before it sends it. A key that is known already
	/// returns the job of its first request whatever `max_fee` is, also while that one is still under way, after a restart
	/// of either side, and when the job is closed; with other terms it is [`NetworkError::KeyReused`]. A request that was surely not taken
	/// is forgotten with its key, so that it can be tried again. Keys are remembered for at least a day.
	async fn request(&self, request: JobRequest) -> Result<Ticket, NetworkError>;

	/// Follows a job from its beginning, whatever has happened already, up to [`JobEvent::Settled`], after which the stream
	/// ends. Outages of the node are bridged: an error means that the implementation has given up, and ends the stream.
	///
	/// The order is: for each attempt `Drawn`, any number of `Text`, then `Published` or `Replaced`; after `Published` one
	/// or more `Verdict`s (a later one replaces an earlier one), each followed by a `Finalized` unless it was replaced before,
	/// then `Settled`. An attempt whose draft cannot be read has no `Text`. A `Contradiction` may come at any time after the
	/// first `Text`. A refund is a `Verdict` without an answer. All but `Finalized` and `Settled` may be those of the newest
	/// block, which a short fork takes back; what then happens instead follows in the same order.
	fn follow(&self, job: JobId) -> BoxStream<'static, Result<JobEvent, NetworkError>>;

	/// Returns how many tokens an input has as a prompt of a model; none if this machine does not have the model's
	/// tokenizer and chat template.
	async fn count_tokens(&self, model: ModelId, input: &Input) -> Result<Option<u32>, NetworkError>;

	/// Returns what is known of a job's receipt.
	async fn receipt(&self, job: JobId) -> Result<ReceiptStatus, NetworkError>;

	/// Returns what a page in a browser has to know of the chain.
	async fn page_facts(&self) -> Result<PageFacts, NetworkError>;

	/// Returns the chain's specification for a light client in a browser: with a checkpoint to start from, and with nodes
	/// that can be reached by WebSocket.
	async fn chain_spec(&self) -> Result<Value, NetworkError>;
}

/// What a page in a browser has to know of the chain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PageFacts {
	/// The chain's name.
	pub chain: String,
	/// The URL of a node, if browsers can reach it there.
	pub node: Option<String>,
	/// The anchor at which the page's proofs begin, in the form of docs/spec/receipt.md; none if there is none.
	pub anchor: Option<Value>,
}

/// Health of the node and of the account that pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
	/// Number of the best block.
	pub best: u64,
	/// Number of the finalized block.
	pub finalized: u64,
	/// Genesis hash of the chain, as `0x…`.
	pub genesis: String,
	/// The account that pays, as SS58.
	pub account: String,
	/// What it can spend.
	pub balance: Balance,
}

/// A model of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
	/// Its id.
	pub id: ModelId,
	/// Its name for people. Other models may have the same.
	pub name: String,
	/// Most tokens, prompt and answer together.
	pub context_length: u32,
	/// Members of the electorate that is in force.
	pub providers: u32,
	/// The prices of its cheapest listing that takes jobs; none if it takes none.
	pub prices: Option<Prices>,
	/// When it was first listed, in seconds since 1970, if that is known.
	pub created: Option<u64>,
	/// Its chat template, if this machine has it: how the model writes tool calls follows from it. Without it the
	/// gateway recognizes every way it knows.
	pub chat_template: Option<String>,
}

/// Prices of a listing, for each token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
	/// Of a prompt's token.
	pub price_in: Balance,
	/// Of a generated token.
	pub price_out: Balance,
}

/// What a job's price follows from, and what its answer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobTerms {
	/// The model that answers.
	pub model: ModelId,
	/// What it is asked. A conversation was parsed with [`Chat::parse`](assay_primitives::chat::Chat::parse).
	pub input: Input,
	/// How tokens are sampled; valid.
	pub params: SamplingParams,
	/// How many verifiers are drawn.
	pub verifiers: u8,
}

/// A job to be requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRequest {
	/// Names the request, so that it is paid once.
	pub key: IdempotencyKey,
	/// Its terms.
	pub terms: JobTerms,
	/// The most that it may cost. If the chain's ceiling is higher by now, it is [`NetworkError::TooExpensive`].
	pub max_fee: Balance,
}

/// The most that a job can cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
	/// The fee at most: what is held at the request.
	pub fee_ceiling: Balance,
	/// The deposit that is held as well and returned when the receipt is pruned.
	pub deposit: Balance,
}

/// A job that was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
	/// The job.
	pub job: JobId,
	/// Whether this call paid for it; it did not if the key was known.
	pub new: bool,
	/// The fee at most.
	pub fee_ceiling: Balance,
}

/// Something that happened to a job.
// A handful are alive at a time.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEvent {
	/// An executor was drawn.
	Drawn {
		/// The attempt, counted from 1.
		attempt: u8,
		/// The executor's account, as SS58.
		executor: String,
	},
	/// The draft has grown. The executor has signed this chunk, and the signature was checked; nobody has recomputed it.
	Text {
		/// How many tokens were added.
		tokens: u32,
		/// What the text grows by.
		text: String,
	},
	/// The attempt is over without a publication, and another may follow.
	Replaced,
	/// The executor has published the answer, which replaces the draft.
	Published {
		/// The answer.
		output: Output,
	},
	/// There is a verdict, or another one.
	Verdict {
		/// The verdict.
		verdict: Verdict,
		/// What the job costs by this verdict.
		fee: Balance,
	},
	/// The block of the last verdict is finalized, so no fork takes it back. An objection still may change it.
	Finalized {
		/// The verdict.
		verdict: Verdict,
		/// What the job costs by this verdict.
		fee: Balance,
	},
	/// Nothing can change any more.
	Settled {
		/// The verdict.
		verdict: Verdict,
		/// What the job has cost.
		fee: Balance,
	},
	/// The executor has signed two drafts that contradict each other, or one that the publication contradicts. The
	/// implementation has kept the proof.
	Contradiction {
		/// What contradicts what, for people.
		what: String,
	},
}

impl JobEvent {
	/// Returns what the job costs, if this event says.
	pub(crate) fn fee(&self) -> Option<Balance> {
		match self {
			Self::Verdict { fee, .. } | Self::Finalized { fee, .. } | Self::Settled { fee, .. } => Some(*fee),
			_ => None,
		}
	}
}

/// What is known of a job's receipt.
#[derive(Clone, Debug, PartialEq)]
pub enum ReceiptStatus {
	/// The chain has no such job, or has pruned it and nobody here has kept it.
	Unknown,
	/// The job is open and has no verdict yet.
	NotYet,
	/// The receipt as a file that `assay verify` checks.
	Receipt(Value),
}

/// A name that a client gives a request: 1 to 255 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
	/// Longest key, in bytes.
	pub const MAX_BYTES: usize = 255;

	/// Reads a key; none if it is empty, too long, or has other characters.
	pub fn parse(text: &str) -> Option<Self> {
		let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b));
		(printable && (1..=Self::MAX_BYTES).contains(&text.len())).then(|| Self(text.into()))
	}

	/// Returns a key that nobody has used.
	pub fn random() -> Self {
		Self(format!("gw-{}", const_hex::encode(rand::random::<[u8; 16]>())))
	}

	/// Returns the key.
	pub fn as_str(&self) -> &str {
		&self.0
	}
}

impl fmt::Display for IdempotencyKey {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(&self.0)
	}
}

/// Why the network did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
	/// The catalog has no such model.
	#[error("the chain has no model {0}")]
	UnknownModel(ModelId),
	/// The chain refuses these terms, whoever asks and whenever.
	#[error("{reason}")]
	Refused {
		/// The field of the request that has to change, if it is one: `max_tokens`, `messages`, `model`, `verifiers`.
		param: Option<&'static str>,
		/// Why, with the next step.
		reason: String,
	},
	/// Nobody can take the job now: no provider, none willing, too few to check it.
	#[error("{0}")]
	NoProvider(String),
	/// The account cannot pay.
	#[error("{0}")]
	Unfunded(String),
	/// The fee ceiling is higher than the `max_fee` that was named.
	#[error("the job may cost {ceiling} by now, more than its `max_fee`")]
	TooExpensive {
		/// The fee at most.
		ceiling: Balance,
	},
	/// The key was used for a request with other terms.
	#[error("this key was used for another request")]
	KeyReused,
	/// The node cannot be reached, or does not answer in time. Whether a transaction was taken may be unknown: the same
	/// key finds out.
	#[error("{0}")]
	Unreachable(String),
	/// Anything else, which somebody has to look into.
	#[error("{0}")]
	Internal(String),
}
