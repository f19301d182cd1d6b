//! The drafts of this node's own answers, kept while the engine makes them and for some time after.
//!
//! A draft lives in a cell from which readers copy what they lack whenever they are ready: none waits for another, and
//! nothing queues for the slow. An engine that begins anew reports the same tokens again. They are compared with those
//! that readers have received already, and never replace them.

use super::log_target::LOG_TARGET;
use assay_primitives::{limits::MAX_OUTPUT_BYTES, stream::StreamToken, Output, SamplingParams, WorkId};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use tokio::sync::watch;

/// Most drafts that are kept: those in the making, of which the engine has a few dozen at a time, and the latest that
/// have ended.
const MAX_DRAFTS: usize = 320;

/// What becomes of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DraftState {
	/// The engine makes it, or will begin it anew.
	Growing,
	/// The answer is on this node's disk. It may have tokens that the draft has not.
	Complete,
	/// Nothing more comes: the engine has given it up, or has contradicted itself.
	Failed,
}

/// An answer in the making.
#[derive(Debug)]
pub struct Draft {
	/// Its tokens so far.
	pub tokens: Vec<StreamToken>,
	/// What becomes of it.
	pub state: DraftState,
	text_bytes: usize,
}

impl Draft {
	fn new() -> Self {
		Self {
			tokens: Vec::new(),
			state: DraftState::Growing,
			text_bytes: 0,
		}
	}

	/// Adds a token, or compares it with the one that is there. An error says what is wrong with it.
	fn report(&mut self, position: usize, token: StreamToken, max_tokens: usize) -> Result<(), &'static str> {
		if let Some(known) = self.tokens.get(position) {
			let same = *known == token;
			return same.then_some(()).ok_or("it differs from what was streamed before");
		}
		let text_bytes = self.text_bytes.saturating_add(token.text.len());
		if self.tokens.len() >= max_tokens || text_bytes > MAX_OUTPUT_BYTES as usize {
			return Err("it is longer than the answer may be");
		}
		self.text_bytes = text_bytes;
		self.tokens.push(token);
		Ok(())
	}

	/// Compares the answer with what was reported. An error says why it is not of this draft.
	fn check(&self, output: &Output) -> Result<(), &'static str> {
		let ids = self.tokens.iter().map(|token| token.id);
		let text: String = self.tokens.iter().map(|token| token.text.as_str()).collect();
		let first = output.tokens.iter().take(self.tokens.len()).copied();
		let same = ids.eq(first) && output.text.starts_with(text.as_bytes());
		same.then_some(())
			.ok_or("the answer differs from what was streamed before")
	}
}

/// A draft, and what of it the engine that runs now has reported.
struct Entry {
	draft: watch::Sender<Draft>,
	reported: usize,
	max_tokens: usize,
}

impl Entry {
	fn fail(&self, id: &WorkId, why: &str) {
		log::error!(target: LOG_TARGET, "Work {id}: its stream ends: {why}");
		self.draft.send_modify(|draft| draft.state = DraftState::Failed);
	}

	fn is_growing(&self) -> bool {
		self.draft.borrow().state == DraftState::Growing
	}
}

#[derive(Default)]
struct Drafts {
	by_work: HashMap<WorkId, Entry>,
	/// The same, in the order in which they began.
	order: VecDeque<WorkId>,
}

impl Drafts {
	/// Makes room for one more: drops the oldest that has ended, or else the oldest.
	fn make_room(&mut self) {
		while self.order.len() >= MAX_DRAFTS {
			let has_ended = |id: &WorkId| self.by_work.get(id).is_none_or(|entry| !entry.is_growing());
			let index = self.order.iter().position(has_ended).unwrap_or(0);
			if let Some(id) = self.order.remove(index) {
				self.by_work.remove(&id);
			}
		}
	}
}

/// The drafts of this node.
pub struct Streams {
	drafts: Mutex<Drafts>,
	/// Counts drafts that began.
	begun: watch::Sender<u64>,
}

impl Default for Streams {
	fn default() -> Self {
		Self {
			drafts: Mutex::default(),
			begun: watch::Sender::new(0),
		}
	}
}

impl Streams {
	/// Returns a draft, if it has begun and is still kept.
	pub fn draft(&self, id: &WorkId) -> Option<watch::Receiver<Draft>> {
		let drafts = self.drafts.lock();
		drafts.by_work.get(id).map(|entry| entry.draft.subscribe())
	}

	/// Changes whenever a draft begins.
	pub fn begun(&self) -> watch::Receiver<u64> {
		self.begun.subscribe()
	}

	/// Records that an engine begins a draft, or begins it anew.
	pub(super) fn begin(&self, id: &WorkId, params: &SamplingParams) {
		let mut drafts = self.drafts.lock();
		if let Some(entry) = drafts.by_work.get_mut(id) {
			entry.reported = 0;
			return;
		}
		drafts.make_room();
		let entry = Entry {
			draft: watch::Sender::new(Draft::new()),
			reported: 0,
			max_tokens: params.max_tokens as usize,
		};
		drafts.by_work.insert(*id, entry);
		drafts.order.push_back(*id);
		drop(drafts);
		self.begun.send_modify(|n| *n = n.wrapping_add(1));
	}

	/// Adds what an engine reports of a draft: tokens after the first `first`. What does not fit ends the stream, and
	/// nothing else: the answer is made all the same.
	pub(super) fn progress(&self, id: &WorkId, first: u32, tokens: Vec<StreamToken>) {
		let mut drafts = self.drafts.lock();
		let Some(entry) = drafts.by_work.get_mut(id).filter(|entry| entry.is_growing()) else {
			return;
		};
		if entry.reported != first as usize {
			return entry.fail(id, "the engine left out tokens, or reported them twice");
		}
		let (mut reported, max_tokens) = (entry.reported, entry.max_tokens);
		let mut wrong = None;
		entry.draft.send_if_modified(|draft| {
			let before = draft.tokens.len();
			for token in tokens {
				if let Err(why) = draft.report(reported, token, max_tokens) {
					wrong = Some(why);
					break;
				}
				reported = reported.saturating_add(1);
			}
			draft.tokens.len() > before
		});
		entry.reported = reported;
		if let Some(why) = wrong {
			entry.fail(id, why);
		}
	}

	/// Records that the answer is on disk.
	pub(super) fn complete(&self, id: &WorkId, output: &Output) {
		let drafts = self.drafts.lock();
		let Some(entry) = drafts.by_work.get(id).filter(|entry| entry.is_growing()) else {
			return;
		};
		// Tokens that were not reported are left to the publication. How the engine splits the text among them is unknown,
		// and whoever signs another split after a restart contradicts itself.
		let checked = entry.draft.borrow().check(output);
		match checked {
			Ok(()) => entry.draft.send_modify(|draft| draft.state = DraftState::Complete),
			Err(why) => entry.fail(id, why),
		}
	}

	/// Records that there will be no answer.
	pub(super) fn give_up(&self, id: &WorkId) {
		let drafts = self.drafts.lock();
		if let Some(entry) = drafts.by_work.get(id).filter(|entry| entry.is_growing()) {
			entry.draft.send_modify(|draft| draft.state = DraftState::Failed);
		}
	}
}

#[cfg(test)]
mod tests;
