//! The tokens of answers in the making, on their way to the node.
//!
//! The computing thread leaves them here and never waits; what reads here sends results first. Tokens that the node does
//! not take in time are merged into fewer messages, and those of an answer that is complete are dropped: the answer has
//! them.

use assay_primitives::{
	stream::{StreamToken, MAX_CHUNK_TOKENS},
	WorkId,
};
use assay_protocol::Response;
use std::{
	collections::{BTreeMap, VecDeque},
	ops::Bound,
	sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Tokens that were not sent yet, by work item.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<Shared>);

#[derive(Default)]
struct Shared {
	unsent: Mutex<Unsent>,
	grown: Notify,
}

#[derive(Default)]
struct Unsent {
	answers: BTreeMap<WorkId, Growing>,
	/// The work item whose tokens were sent last, so that all have their turn.
	last: WorkId,
}

#[derive(Default)]
struct Growing {
	/// How many tokens were sent before.
	sent: u32,
	tokens: VecDeque<StreamToken>,
}

impl Progress {
	/// Adds a token of a work item's answer.
	pub(crate) fn add(&self, id: &WorkId, token: StreamToken) {
		self.lock().answers.entry(*id).or_default().tokens.push_back(token);
		self.0.grown.notify_one();
	}

	/// Forgets a work item, which has its result.
	pub(crate) fn end(&self, id: &WorkId) {
		self.lock().answers.remove(id);
	}

	/// Returns the next message, once there is one.
	pub(crate) async fn next(&self) -> Response {
		loop {
			if let Some(message) = self.take() {
				return message;
			}
			self.0.grown.notified().await;
		}
	}

	fn take(&self) -> Option<Response> {
		let mut unsent = self.lock();
		let Unsent { answers, last } = &mut *unsent;
		let grown = |(_, growing): &(&WorkId, &Growing)| !growing.tokens.is_empty();
		let behind = answers.range((Bound::Excluded(*last), Bound::Unbounded)).find(grown);
		let id = *behind.or_else(|| answers.iter().find(grown))?.0;
		let growing = answers.get_mut(&id)?;
		let count = growing.tokens.len().min(MAX_CHUNK_TOKENS);
		let (first, tokens) = (growing.sent, growing.tokens.drain(..count).collect());
		growing.sent = first.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
		*last = id;
		Some(Response::Progress { id, first, tokens })
	}

	fn lock(&self) -> MutexGuard<'_, Unsent> {
		self.0.unsent.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn token(id: u32) -> StreamToken {
		StreamToken {
			id,
			text: id.to_string(),
		}
	}

	fn taken(progress: &Progress) -> Option<(u8, u32, Vec<u32>)> {
		progress.take().map(|message| match message {
			Response::Progress { id, first, tokens } => (id.0[0], first, tokens.iter().map(|token| token.id).collect()),
			other => panic!("{other:?}"),
		})
	}

	#[test]
	fn what_waits_is_merged_in_turn_and_what_has_ended_is_dropped() {
		let (progress, [a, b]) = (Progress::default(), [1, 2].map(|n| WorkId([n; 32])));
		for i in 0..100 {
			progress.add(&a, token(i));
		}
		progress.add(&b, token(7));
		assert_eq!(taken(&progress), Some((1, 0, (0..64).collect())));
		progress.add(&a, token(100));
		assert_eq!(taken(&progress), Some((2, 0, vec![7])));
		assert_eq!(taken(&progress), Some((1, 64, (64..101).collect())));
		assert_eq!(taken(&progress), None);
		progress.add(&a, token(101));
		progress.end(&a);
		assert_eq!(taken(&progress), None);
		// The same work once more begins at its first token.
		progress.add(&a, token(0));
		assert_eq!(taken(&progress), Some((1, 0, vec![0])));
	}
}
