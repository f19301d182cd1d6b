//! The tokens of answers in the making, on their way to the node.
//!
//! The computing thread leaves them here and never waits; what reads here sends results first. Tokens that the node does
//! not take in time are merged into fewer messages. The last ones of an answer go before its result, as far as there is room.

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

impl Growing {
	/// Takes the next message; none if all tokens were sent.
	fn message(&mut self, id: WorkId) -> Option<Response> {
		let count = self.tokens.len().min(MAX_CHUNK_TOKENS);
		if count == 0 {
			return None;
		}
		let (first, tokens) = (self.sent, self.tokens.drain(..count).collect());
		self.sent = first.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
		Some(Response::Progress { id, first, tokens })
	}
}

impl Progress {
	/// Adds a token of a work item's answer.
	pub(crate) fn add(&self, id: &WorkId, token: StreamToken) {
		self.lock().answers.entry(*id).or_default().tokens.push_back(token);
		self.0.grown.notify_one();
	}

	/// Forgets a work item, which has its result, and returns the messages of its tokens that were not sent yet.
	pub(crate) fn end(&self, id: &WorkId) -> Vec<Response> {
		let Some(mut growing) = self.lock().answers.remove(id) else {
			return Vec::new();
		};
		std::iter::from_fn(|| growing.message(*id)).collect()
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
		*last = id;
		answers.get_mut(&id)?.message(id)
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

	fn told(message: Response) -> (u8, u32, Vec<u32>) {
		match message {
			Response::Progress { id, first, tokens } => (id.0[0], first, tokens.iter().map(|token| token.id).collect()),
			other => panic!("{other:?}"),
		}
	}

	fn taken(progress: &Progress) -> Option<(u8, u32, Vec<u32>)> {
		progress.take().map(told)
	}

	#[test]
	fn what_waits_is_merged_in_turn_and_what_is_left_comes_at_the_end() {
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
		(101..170).for_each(|i| progress.add(&a, token(i)));
		let left: Vec<_> = progress.end(&a).into_iter().map(told).collect();
		assert_eq!(left, [(1, 101, (101..165).collect()), (1, 165, (165..170).collect())]);
		assert_eq!((taken(&progress), progress.end(&a).len()), (None, 0));
		// The same work once more begins at its first token.
		progress.add(&a, token(0));
		assert_eq!(taken(&progress), Some((1, 0, vec![0])));
	}
}
