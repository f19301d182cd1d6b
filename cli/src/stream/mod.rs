//! Drafts of answers, read from the node that makes them while it does.
//!
//! A draft is worth nothing but its speed: nobody has recomputed it, and the publication replaces it. What is read is what
//! the executor has signed, so that a draft which contradicts another one, or the publication, is a proof against it. That
//! there is none is no error: the answer comes at the publication.

mod dial;
mod draft;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use dial::is_loopback;
pub(crate) use draft::Contradiction;

use assay_primitives::{api::ExecutionView, stream::StreamToken, ClaimId, Hash32, JobId, Output};
use assay_receipt::Account;
use dial::{dial, Connection, Reach};
use draft::{Draft, Fault};
use futures::{SinkExt, StreamExt};
use std::{
	sync::{Arc, Mutex, PoisonError},
	time::Duration,
};
use tokio::{
	sync::mpsc,
	task::JoinHandle,
	time::{sleep, timeout},
};
use tokio_tungstenite::tungstenite;
use wire::{Message, Notice, COMPLETE, EXPIRED};

/// How often in a row a node may be dialed without a new token.
const MAX_FAILURES: u32 = 5;
/// How long a node may be silent. The first token comes after the whole prompt.
const SILENCE_SECONDS: u64 = 120;
/// Messages without a token that a node may send on one connection.
const MAX_OTHER_MESSAGES: u32 = 1_024;
/// Parts of drafts that wait for their reader.
const QUEUE: usize = 64;

/// Something that is known of a draft.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DraftEvent {
	/// Tokens that the executor of this attempt has signed.
	Tokens {
		/// The attempt.
		attempt: u8,
		/// The tokens.
		tokens: Vec<StreamToken>,
	},
	/// There is no draft, or no more of it.
	Silent {
		/// The attempt.
		attempt: u8,
		/// Why.
		reason: String,
	},
	/// What is proved against the executor.
	Contradiction(Box<Contradiction>),
}

/// Where drafts may be read.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
	/// The chain.
	pub(crate) genesis: Hash32,
	/// The node that the user named, which is asked where the executor has published no endpoint.
	pub(crate) url: String,
	/// Whether endpoints of executors may be in private networks.
	pub(crate) private: bool,
}

impl Sources {
	/// Returns where the draft of an execution is, and how far to go for it.
	fn endpoint(&self, execution: &ExecutionView<Account>) -> (String, Reach) {
		match execution.endpoint.as_deref() {
			None => (self.url.clone(), Reach::Any),
			Some(bytes) => {
				let reach = if self.private { Reach::Any } else { Reach::Public };
				(String::from_utf8_lossy(bytes).into_owned(), reach)
			}
		}
	}
}

/// The drafts of one job: that of the present attempt is read.
pub(crate) struct Drafts {
	job: JobId,
	sources: Sources,
	events: (mpsc::Sender<DraftEvent>, mpsc::Receiver<DraftEvent>),
	reading: Option<Reading>,
}

/// A draft that is being read, or was.
struct Reading {
	claim: ClaimId,
	draft: Arc<Mutex<Draft>>,
	task: JoinHandle<()>,
}

impl Drop for Reading {
	fn drop(&mut self) {
		self.task.abort();
	}
}

impl Drafts {
	/// Returns the drafts of a job, of which none is read yet.
	pub(crate) fn new(job: JobId, sources: Sources) -> Self {
		Self {
			job,
			sources,
			events: mpsc::channel(QUEUE),
			reading: None,
		}
	}

	/// Returns whether the draft of a draw is read already.
	pub(crate) fn reads(&self, claim: ClaimId) -> bool {
		self.reading.as_ref().is_some_and(|reading| reading.claim == claim)
	}

	/// Begins to read the draft of an execution, in place of that of an earlier attempt.
	pub(crate) fn read(&mut self, execution: &ExecutionView<Account>) {
		if self.reads(execution.claim) {
			return;
		}
		let Some(draft) = Draft::new(self.sources.genesis, execution) else {
			return;
		};
		let draft = Arc::new(Mutex::new(draft));
		let (url, reach) = self.sources.endpoint(execution);
		let reader = Reader {
			job: self.job,
			attempt: execution.attempt,
			url,
			reach,
			draft: draft.clone(),
			out: self.events.0.clone(),
		};
		self.reading = Some(Reading {
			claim: execution.claim,
			draft,
			task: tokio::spawn(reader.run()),
		});
	}

	/// Waits for the next event.
	pub(crate) async fn next(&mut self) -> DraftEvent {
		match self.events.1.recv().await {
			Some(event) => event,
			// This holds a sender itself, so the channel stays open.
			None => std::future::pending().await,
		}
	}

	/// Returns the proof that a claim's publication is not what its draft says; none if it may be, or if there is no draft.
	pub(crate) fn against(&self, claim: ClaimId, output: &Output) -> Option<Contradiction> {
		let reading = self.reading.as_ref().filter(|reading| reading.claim == claim)?;
		lock(&reading.draft).against(output)
	}
}

/// A panic elsewhere leaves the draft as it was.
fn lock(draft: &Mutex<Draft>) -> std::sync::MutexGuard<'_, Draft> {
	draft.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads one draft.
struct Reader {
	job: JobId,
	attempt: u8,
	url: String,
	reach: Reach,
	draft: Arc<Mutex<Draft>>,
	out: mpsc::Sender<DraftEvent>,
}

/// Why a connection is no longer read.
enum Stop {
	/// The draft is complete, or nobody reads it.
	Done,
	/// It may go on with another connection, from the first missing token.
	Lost(String),
	/// It must be read from its beginning once more.
	Again,
	/// Nothing of it can be used.
	Useless(String),
}

impl Reader {
	async fn run(self) {
		let (mut failures, mut from_start) = (0u32, false);
		let reason = loop {
			let known = lock(&self.draft).len();
			let from = if from_start { 0 } else { known };
			match self.connection(from).await {
				Stop::Done => return,
				Stop::Useless(reason) => break reason,
				Stop::Again if from_start => break "its node streams a draft that does not hold together".into(),
				Stop::Again => from_start = true,
				Stop::Lost(_) if lock(&self.draft).len() > known => failures = 0,
				Stop::Lost(reason) if failures >= MAX_FAILURES => break reason,
				Stop::Lost(_) => failures = failures.saturating_add(1),
			}
			sleep(Duration::from_millis(500).saturating_mul(failures)).await;
		};
		let attempt = self.attempt;
		let _ = self.out.send(DraftEvent::Silent { attempt, reason }).await;
	}

	/// Reads one connection, which asks for the tokens from this one on.
	async fn connection(&self, from: u32) -> Stop {
		let mut connection = match dial(&self.url, self.reach).await {
			Ok(connection) => connection,
			Err(reason) => return Stop::Lost(reason),
		};
		let request = tungstenite::Message::text(wire::subscribe(self.job, from));
		if let Err(e) = connection.send(request).await {
			return Stop::Lost(e.to_string());
		}
		let mut idle = 0u32;
		loop {
			let text = match next_text(&mut connection).await {
				Ok(text) => text,
				Err(stop) => return stop,
			};
			let known = lock(&self.draft).len();
			match wire::read(&text) {
				Err(reason) => return Stop::Useless(reason),
				// A node that is a block behind does not know the draw yet.
				Ok(Message::Refused(reason)) => return Stop::Lost(reason),
				Ok(Message::Notice(Notice::End { ended })) if ended == COMPLETE => return Stop::Done,
				Ok(Message::Notice(Notice::End { ended })) if ended == EXPIRED => {
					return Stop::Lost("its node ended the subscription".into())
				}
				Ok(Message::Notice(Notice::End { ended })) => {
					let word: String = ended.chars().take(40).collect();
					return Stop::Useless(format!("the stream ended: {word}"));
				}
				Ok(Message::Notice(Notice::Chunk(chunk))) => {
					if let Some(stop) = self.chunk(chunk).await {
						return stop;
					}
				}
				Ok(Message::Subscribed | Message::Other) => {}
			}
			if lock(&self.draft).len() == known {
				idle = idle.saturating_add(1);
				if idle > MAX_OTHER_MESSAGES {
					return Stop::Useless("its node sends what nobody asked for".into());
				}
			}
		}
	}

	/// Takes a chunk; returns why the connection is not read any more, if it is not.
	async fn chunk(&self, chunk: wire::Chunk) -> Option<Stop> {
		let taken = lock(&self.draft).take(chunk);
		match taken {
			Ok(tokens) if tokens.is_empty() => None,
			Ok(tokens) => {
				let attempt = self.attempt;
				let sent = self.out.send(DraftEvent::Tokens { attempt, tokens }).await;
				sent.err().map(|_| Stop::Done)
			}
			Err(Fault::OtherBeginning) => Some(Stop::Again),
			Err(Fault::Invalid(reason)) => Some(Stop::Useless(format!("a chunk of its draft is not taken: {reason}"))),
			Err(Fault::Contradiction(proof)) => {
				let what = proof.what.to_owned();
				let _ = self.out.send(DraftEvent::Contradiction(proof)).await;
				Some(Stop::Useless(what))
			}
		}
	}
}

/// Waits for the next text of a connection.
async fn next_text(connection: &mut Connection) -> Result<String, Stop> {
	let mut others = 0u32;
	while others <= MAX_OTHER_MESSAGES {
		let next = timeout(Duration::from_secs(SILENCE_SECONDS), connection.next()).await;
		match next.map_err(|_| Stop::Lost(format!("its node was silent for {SILENCE_SECONDS} s")))? {
			Some(Ok(tungstenite::Message::Text(text))) => return Ok(text.as_str().to_owned()),
			Some(Ok(tungstenite::Message::Close(_))) | None => {
				return Err(Stop::Lost("its node closed the connection".into()))
			}
			Some(Ok(_)) => others = others.saturating_add(1),
			Some(Err(e)) => return Err(Stop::Lost(e.to_string())),
		}
	}
	Err(Stop::Useless("its node sends what nobody asked for".into()))
}
