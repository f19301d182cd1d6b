//! One subscriber's way through a job: until an executor is drawn, along its draft, to the end.

use super::{
	notification::{Chunk, EndReason, Notification, StreamEnd},
	signed::{SignedDraft, PACE},
	Shared,
};
use crate::{
	inference::Streams,
	rpc::{
		error::Elsewhere,
		job::{JobUpdate, Source, Updates},
		subscription::send,
	},
};
use assay_primitives::{api::ExecutionView, ClaimId, Hash32, JobId, State};
use assay_runtime::AccountId;
use jsonrpsee::{SubscriptionMessage, SubscriptionSink};
use std::sync::Arc;
use tokio::{sync::watch, time::sleep};

/// How many open streams there may be before each is served less often: so all together send a few thousand
/// notifications a second at most.
const FULL_PACE: usize = 256;

/// An execution whose draft is made, or will be, under a key of this node.
#[derive(Clone)]
pub(super) struct Execution {
	pub(super) view: ExecutionView<AccountId>,
	pub(super) key: Hash32,
}

/// Who executes a job.
pub(super) enum Executor {
	/// A provider whose key this node holds.
	Here(Execution),
	/// Another.
	Elsewhere(Elsewhere),
	/// Nobody: none is drawn, or the job is closed.
	None,
}

/// What the best block has of a job.
struct Seen {
	/// How many attempts have begun.
	attempt: u8,
	claim: Option<ClaimId>,
	published: bool,
	refunded: bool,
	/// Whether this is the last that is seen of it.
	last: bool,
}

impl Seen {
	fn of(update: &JobUpdate) -> Self {
		let published = update.status.output.is_some();
		Self {
			attempt: update.status.attempt,
			claim: update.status.claim,
			published,
			refunded: update.status.state == State::Refunded && !published,
			last: update.ended.is_some(),
		}
	}

	/// Returns whether the job has gone on from an execution. What was seen may be older than the execution.
	fn replaces(&self, execution: &ExecutionView<AccountId>) -> bool {
		self.attempt >= execution.attempt && self.claim != Some(execution.claim)
	}
}

/// What comes next.
enum Step {
	Send(Box<Chunk>),
	End(StreamEnd),
	Wait,
}

/// A subscriber who follows a job.
pub(super) struct Reader<S> {
	pub(super) shared: Arc<Shared<S>>,
	pub(super) drafts: Arc<Streams>,
	pub(super) job: JobId,
	pub(super) updates: Updates,
	/// How many tokens it has.
	pub(super) position: u32,
	pub(super) execution: Option<Execution>,
	pub(super) signed: Option<SignedDraft>,
}

impl<S: Source> Reader<S> {
	/// Sends chunks until the draft ends, and returns why it has; none if the subscriber does not read, or the node stops.
	pub(super) async fn run(mut self, sink: &SubscriptionSink) -> Option<StreamEnd> {
		let mut begun = self.drafts.begun();
		loop {
			// Whatever changes from here on ends the waiting below.
			begun.mark_unchanged();
			let seen = Seen::of(&self.updates.borrow_and_update());
			match self.step(&seen).await {
				Step::End(end) => return Some(end),
				Step::Send(chunk) => {
					let tokens = chunk.tokens.len();
					self.position = chunk.first.saturating_add(tokens as u32);
					let message = SubscriptionMessage::from_json(&Notification::Chunk(*chunk));
					if !send(sink, message, self.shared.patience).await {
						return None;
					}
					self.shared.engine.metrics().chunk_sent(tokens);
					let crowd = self.shared.places.taken().checked_div(FULL_PACE).unwrap_or(0);
					sleep(PACE.saturating_mul(crowd.saturating_add(1) as u32)).await;
				}
				Step::Wait => {
					tokio::select! {
						changed = self.updates.changed(), if !seen.last => changed.ok()?,
						more = draft_changed(self.signed.as_mut(), &mut begun) => if !more {
							return Some(EndReason::Failed.into());
						},
					}
				}
			}
		}
	}

	async fn step(&mut self, seen: &Seen) -> Step {
		if seen.refunded {
			return Step::End(EndReason::Refunded.into());
		}
		if self.execution.is_none() && seen.claim.is_some() {
			match self.shared.clone().executor_of(self.job).await {
				Ok(Executor::Here(execution)) => self.execution = Some(execution),
				Ok(Executor::Elsewhere(elsewhere)) => return Step::End(replaced(Some(elsewhere))),
				// The chain has gone on; what it is now is about to be seen.
				Ok(Executor::None) => {}
				Err(_) => return Step::End(EndReason::Failed.into()),
			}
		}
		if let Some(execution) = self.execution.clone() {
			if seen.replaces(&execution.view) {
				return Step::End(replaced(self.next_executor().await));
			}
			if let Some(step) = self.follow(&execution) {
				return step;
			}
		}
		self.without_more(seen)
	}

	/// Returns what there is to send of the draft, or its end; none if neither.
	fn follow(&mut self, execution: &Execution) -> Option<Step> {
		let view = &execution.view;
		if self.signed.is_none() {
			let draft = || self.drafts.draft(&view.work);
			self.signed = self.shared.signers.follow(view.claim, execution.key, draft);
		}
		let signed = self.signed.as_mut()?;
		if let Some((tokens, mark)) = signed.chunk(self.position) {
			return Some(Step::Send(Box::new(Chunk {
				attempt: view.attempt,
				claim: view.claim,
				executor: view.executor.clone(),
				key: execution.key,
				first: self.position,
				tokens,
				hash: mark.chain.hash,
				signature: mark.signature,
			})));
		}
		signed.ended().map(|ended| Step::End(ended.into()))
	}

	/// Returns what follows from the chain while there is nothing to send.
	fn without_more(&self, seen: &Seen) -> Step {
		// Of an answer that this node has made, its signatures are still to come.
		let signing = self.signed.as_ref().is_some_and(|signed| !signed.is_growing());
		if signing {
			Step::Wait
		} else if seen.published {
			Step::End(EndReason::Complete.into())
		} else if seen.last {
			Step::End(EndReason::Expired.into())
		} else {
			Step::Wait
		}
	}

	/// Returns who executes the next attempt, if somebody is drawn and the state can be read.
	async fn next_executor(&self) -> Option<Elsewhere> {
		match self.shared.clone().executor_of(self.job).await.ok()? {
			Executor::Here(next) => Some(elsewhere(next.view)),
			Executor::Elsewhere(next) => Some(next),
			Executor::None => None,
		}
	}
}

fn replaced(elsewhere: Option<Elsewhere>) -> StreamEnd {
	StreamEnd {
		ended: EndReason::Replaced,
		elsewhere,
	}
}

/// Returns who executes, and where the draft is streamed.
pub(super) fn elsewhere(view: ExecutionView<AccountId>) -> Elsewhere {
	Elsewhere {
		attempt: view.attempt,
		executor: view.executor,
		endpoint: view
			.endpoint
			.map(|endpoint| String::from_utf8_lossy(&endpoint).into_owned()),
	}
}

/// Returns when a draft may have more, or when one has begun if there is none yet. False if nothing more comes.
async fn draft_changed(signed: Option<&mut SignedDraft>, begun: &mut watch::Receiver<u64>) -> bool {
	match signed {
		Some(signed) => signed.changed().await,
		None => begun.changed().await.is_ok(),
	}
}
