//! Which work is open, and what the engine computes next. Bookkeeping only: no clock, no disk, no engine.
//!
//! Work has one name whoever needs it, so all roles of one claim, and all providers of one node, share one computation. A
//! work item that was in flight when the engine crashed is a suspect: it is sent again alone, and given up after
//! [`MAX_CRASHES`] crashes, so that one poisonous prompt can neither crash the engine forever nor take innocent work with
//! it.

use assay_primitives::{ModelId, Work, WorkId};
use std::{
	collections::{HashMap, HashSet, VecDeque},
	hash::Hash,
};

/// Most work items open at once.
pub const MAX_OPEN: usize = 256;
/// Most work items sent to the engine before it has answered the first: it computes them side by side.
const WINDOW: usize = 32;
/// Rounds in which nobody polls a work item, after which it is no longer needed. Some, because a fork may hide a job for a
/// while.
const MAX_IDLE_ROUNDS: u64 = 8;
/// Crashes of the engine after which a work item that was in flight each time is given up: sent once, and twice again.
pub const MAX_CRASHES: u8 = 3;
/// How many abstentions are remembered.
const MAX_ABSTAINED: usize = 4_096;

/// A work item that waits or is being computed.
struct Item {
	work: Work,
	/// The round in which it was last polled.
	polled: u64,
	crashes: u8,
}

/// What a round has dropped.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dropped {
	/// How many work items.
	pub items: usize,
	/// Those among them that the engine is computing.
	pub running: Vec<WorkId>,
}

/// The state of a work item that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkState {
	/// It waits or is being computed, or its answer is on its way to the disk.
	Open,
	/// It was given up.
	Abstained,
}

/// The open work.
#[derive(Default)]
pub struct WorkQueue {
	round: u64,
	items: HashMap<WorkId, Item>,
	waiting: VecDeque<WorkId>,
	running: VecDeque<WorkId>,
	/// Computed work whose answer is not on disk yet.
	computed: HashSet<WorkId>,
	/// Dropped work that the engine has yet to answer.
	cancelled: HashSet<WorkId>,
	abstained: Recent<WorkId>,
}

impl WorkQueue {
	/// Returns the state of a work item, if it is known.
	pub fn state(&self, id: &WorkId) -> Option<WorkState> {
		if self.items.contains_key(id) || self.computed.contains(id) {
			Some(WorkState::Open)
		} else {
			self.abstained.contains(id).then_some(WorkState::Abstained)
		}
	}

	/// Returns the state of a work item that the worker polls: it is still needed.
	pub fn poll(&mut self, id: &WorkId) -> Option<WorkState> {
		if let Some(item) = self.items.get_mut(id) {
			item.polled = self.round;
		}
		self.state(id)
	}

	/// Begins a round, in which the worker polls the work it still needs, and drops what was not polled in the last few.
	pub fn next_round(&mut self) -> Dropped {
		self.round = self.round.saturating_add(1);
		let oldest = self.round.saturating_sub(MAX_IDLE_ROUNDS);
		let before = self.items.len();
		self.items.retain(|_, item| item.polled >= oldest);
		let items = &self.items;
		self.waiting.retain(|id| items.contains_key(id));
		let (keep, running): (VecDeque<_>, VecDeque<_>) = self.running.drain(..).partition(|id| items.contains_key(id));
		self.running = keep;
		self.cancelled.extend(&running);
		Dropped {
			items: before.saturating_sub(self.items.len()),
			running: running.into(),
		}
	}

	/// Returns how many work items are open.
	pub fn open(&self) -> usize {
		self.items.len().saturating_add(self.computed.len())
	}

	/// Returns whether the engine has something to compute now.
	pub fn running(&self) -> bool {
		!self.running.is_empty()
	}

	/// Adds work, unless it is there already. False if there is no room.
	pub fn push(&mut self, id: WorkId, work: Work) -> bool {
		if self.items.contains_key(&id) {
			return true;
		}
		if self.open() >= MAX_OPEN {
			return false;
		}
		let item = Item {
			work,
			polled: self.round,
			crashes: 0,
		};
		self.items.insert(id, item);
		self.waiting.push_back(id);
		true
	}

	/// Returns the next work to send, of a model that is served, if the engine has room for it. A suspect runs alone.
	pub fn next(&mut self, served: impl Fn(&ModelId) -> bool) -> Option<(WorkId, Work)> {
		let suspect = |id: &WorkId| self.items.get(id).is_some_and(|item| item.crashes > 0);
		let alone = self.waiting.front().is_some_and(suspect) || self.running.iter().any(suspect);
		if self.running.len() >= if alone { 1 } else { WINDOW } {
			return None;
		}
		// Work that came again after it was dropped waits for the engine's answer to the first.
		let is_served = |id: &WorkId| self.items.get(id).is_some_and(|item| served(&item.work.model));
		let index = self
			.waiting
			.iter()
			.position(|id| !self.cancelled.contains(id) && is_served(id))?;
		let id = self.waiting.remove(index)?;
		let work = self.items.get(&id)?.work.clone();
		self.running.push_back(id);
		Some((id, work))
	}

	/// Returns work that the engine is computing; none if it is not in flight, or no longer needed.
	pub fn in_flight(&self, id: &WorkId) -> Option<&Work> {
		let item = self.items.get(id)?;
		self.running.contains(id).then_some(&item.work)
	}

	/// Takes computed work out. It stays open until [`Self::close`] or [`Self::abstain`]. None if it is not in flight.
	pub fn finish(&mut self, id: &WorkId) -> Option<Work> {
		let index = self.running.iter().position(|running| running == id)?;
		self.running.remove(index);
		let item = self.items.remove(id)?;
		self.computed.insert(*id);
		Some(item.work)
	}

	/// Returns whether this is the engine's answer to work that was dropped. True once.
	pub fn cancelled(&mut self, id: &WorkId) -> bool {
		self.cancelled.remove(id)
	}

	/// Forgets computed work whose answer is on disk.
	pub fn close(&mut self, id: &WorkId) {
		self.computed.remove(id);
	}

	/// Gives computed work up permanently.
	pub fn abstain(&mut self, id: &WorkId) {
		self.close(id);
		self.abstained.insert(*id, MAX_ABSTAINED);
	}

	/// The engine exited: what was in flight waits again, first of all. Returns what is given up instead.
	pub fn engine_exited(&mut self) -> Vec<WorkId> {
		self.cancelled.clear();
		let mut given_up = Vec::new();
		while let Some(id) = self.running.pop_back() {
			let Some(item) = self.items.get_mut(&id) else {
				continue;
			};
			item.crashes = item.crashes.saturating_add(1);
			if item.crashes < MAX_CRASHES {
				self.waiting.push_front(id);
			} else {
				self.items.remove(&id);
				self.abstain(&id);
				given_up.push(id);
			}
		}
		given_up
	}

	/// Forgets waiting work of models that the engine does not serve: it may come again when it does. Returns how much.
	pub fn forget_unserved(&mut self, served: impl Fn(&ModelId) -> bool) -> usize {
		let before = self.waiting.len();
		let items = &mut self.items;
		self.waiting.retain(|id| {
			let keep = items.get(id).is_some_and(|item| served(&item.work.model));
			if !keep {
				items.remove(id);
			}
			keep
		});
		before.saturating_sub(self.waiting.len())
	}
}

/// The most recent items.
pub struct Recent<T> {
	set: HashSet<T>,
	order: VecDeque<T>,
}

impl<T> Default for Recent<T> {
	fn default() -> Self {
		Self {
			set: HashSet::new(),
			order: VecDeque::new(),
		}
	}
}

impl<T: Copy + Eq + Hash> Recent<T> {
	/// Returns whether an item is among them.
	pub fn contains(&self, item: &T) -> bool {
		self.set.contains(item)
	}

	/// Adds an item, and removes the oldest beyond `limit`. True if it is new.
	pub fn insert(&mut self, item: T, limit: usize) -> bool {
		if !self.set.insert(item) {
			return false;
		}
		self.order.push_back(item);
		if self.order.len() > limit {
			if let Some(oldest) = self.order.pop_front() {
				self.set.remove(&oldest);
			}
		}
		true
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::inference::tests::work;

	fn push(queue: &mut WorkQueue, job: u8) -> WorkId {
		let work = work(job, false);
		let id = work.id();
		assert!(queue.push(id, work));
		id
	}

	#[test]
	fn work_is_computed_once_and_open_until_its_answer_is_on_disk() {
		let mut queue = WorkQueue::default();
		let id = push(&mut queue, 1);
		assert_eq!(push(&mut queue, 1), id, "the same work has the same name");
		assert_eq!(queue.next(|_| true), Some((id, work(1, false))));
		assert_eq!(queue.next(|_| true), None);
		assert_eq!(queue.finish(&id), Some(work(1, false)));
		for _ in 0..=MAX_IDLE_ROUNDS {
			assert_eq!(queue.next_round(), Dropped::default());
		}
		assert_eq!((queue.state(&id), queue.open()), (Some(WorkState::Open), 1));
		queue.close(&id);
		assert_eq!((queue.state(&id), queue.open()), (None, 0));
		assert_eq!(queue.finish(&id), None, "no second answer");
	}

	#[test]
	fn the_queue_is_full_at_its_limit_and_free_again_after() {
		let mut queue = WorkQueue::default();
		for n in 0..MAX_OPEN {
			push(&mut queue, n as u8);
		}
		let late = work(0, true);
		let (id, _) = queue.next(|_| true).unwrap();
		queue.finish(&id).unwrap();
		assert!(!queue.push(late.id(), late.clone()), "an unwritten answer counts");
		queue.close(&id);
		assert!(queue.push(late.id(), late));
	}

	#[test]
	fn never_more_work_is_in_flight_than_the_window() {
		let mut queue = WorkQueue::default();
		for n in 0..WINDOW as u8 + 4 {
			push(&mut queue, n);
		}
		assert_eq!(std::iter::from_fn(|| queue.next(|_| true)).count(), WINDOW);
	}

	#[test]
	fn poisonous_work_is_given_up_alone_and_the_innocent_are_answered() {
		let mut queue = WorkQueue::default();
		let poison = push(&mut queue, 1);
		let innocent: Vec<_> = (2..6).map(|job| push(&mut queue, job)).collect();
		let mut given_up = Vec::new();
		let mut done = Vec::new();
		let mut crashes = 0;
		while queue.open() > 0 {
			let sent: Vec<_> = std::iter::from_fn(|| queue.next(|_| true)).collect();
			let kills = |work: &Work| work.seed == [1; 32];
			if sent.iter().any(|(_, work)| kills(work)) {
				crashes += 1;
				given_up.extend(queue.engine_exited());
				continue;
			}
			for (id, _) in sent {
				queue.finish(&id).unwrap();
				queue.close(&id);
				done.push(id);
			}
		}
		assert_eq!(crashes, MAX_CRASHES);
		assert_eq!(given_up, [poison]);
		assert_eq!(done, innocent);
		assert_eq!(queue.state(&poison), Some(WorkState::Abstained));
	}

	#[test]
	fn work_of_a_missing_model_is_forgotten_not_refused_forever() {
		let mut queue = WorkQueue::default();
		let id = push(&mut queue, 1);
		assert_eq!(queue.forget_unserved(|_| true), 0);
		assert_eq!(queue.forget_unserved(|_| false), 1);
		assert_eq!((queue.state(&id), queue.open()), (None, 0));
		assert_eq!(push(&mut queue, 1), id);
		assert_eq!(queue.next(|_| true).unwrap().0, id);
	}

	#[test]
	fn work_of_a_model_that_is_still_loaded_waits_and_lets_other_work_pass() {
		let mut queue = WorkQueue::default();
		let id = push(&mut queue, 1);
		assert_eq!(queue.next(|_| false), None);
		let mut other = work(2, false);
		other.model = ModelId([8; 32]);
		assert!(queue.push(other.id(), other.clone()));
		let sent = queue.next(|model| *model == other.model);
		assert_eq!(sent.map(|(id, _)| id), Some(other.id()));
		assert_eq!(queue.next(|_| true).unwrap().0, id);
	}

	#[test]
	fn work_that_nobody_polls_any_more_is_dropped_wherever_it_is() {
		let mut queue = WorkQueue::default();
		let running = push(&mut queue, 1);
		assert_eq!(queue.next(|_| true).unwrap().0, running);
		let waits = push(&mut queue, 2);
		let polled = push(&mut queue, 3);
		for _ in 0..MAX_IDLE_ROUNDS {
			assert_eq!(queue.next_round(), Dropped::default());
			assert_eq!(queue.poll(&polled), Some(WorkState::Open));
		}
		let dropped = queue.next_round();
		assert_eq!((dropped.items, dropped.running), (2, vec![running]));
		assert!([running, waits].iter().all(|id| queue.state(id).is_none()));
		assert_eq!(queue.state(&polled), Some(WorkState::Open));
		assert_eq!(queue.finish(&running), None);
		assert_eq!(push(&mut queue, 1), running, "it may come again");
		assert_eq!(queue.next(|_| true).unwrap().0, polled);
		assert_eq!(queue.next(|_| true), None, "the engine has yet to answer the first");
		assert!(queue.cancelled(&running) && !queue.cancelled(&running));
		assert_eq!(queue.next(|_| true).unwrap().0, running);
	}

	#[test]
	fn only_the_latest_are_remembered() {
		let mut recent = Recent::default();
		assert!((0..5).all(|n| recent.insert(n, 3)));
		assert!(!recent.insert(4, 3));
		assert_eq!((0..5).filter(|n| recent.contains(n)).collect::<Vec<_>>(), [2, 3, 4]);
	}
}
