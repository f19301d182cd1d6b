//! Which tasks are open, and which work the engine computes next. Bookkeeping only: no clock, no disk, no engine.
//!
//! Tasks with the same work share one computation. A work item that was in flight when the engine crashed is a suspect: it
//! is sent again alone, and given up after [`MAX_CRASHES`] crashes, so that one poisonous prompt can neither crash the
//! engine forever nor take innocent tasks with it.

use assay_primitives::{JobId, ModelId, Task, TaskId, Work, WorkId};
use std::{
	collections::{HashMap, HashSet, VecDeque},
	hash::Hash,
};

/// Most tasks open at once.
pub const MAX_OPEN: usize = 256;
/// Most work items sent to the engine before it has answered the first: it computes them side by side.
const WINDOW: usize = 32;
/// Rounds in which nobody polls a task, after which it is no longer needed. Some, because a fork may hide a job for a while.
const MAX_IDLE_ROUNDS: u64 = 8;
/// Crashes of the engine after which a work item that was in flight each time is given up: sent once, and twice again.
pub const MAX_CRASHES: u8 = 3;
/// How many abstentions are remembered.
const MAX_ABSTAINED: usize = 4_096;

/// A task that waits for a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
	/// The task.
	pub task: TaskId,
	/// Its job.
	pub job: JobId,
	/// Its attempt, from 0.
	pub attempt: u8,
}

/// One computation and every task that waits for it.
#[derive(Debug)]
pub struct WorkItem {
	/// What to compute.
	pub work: Work,
	/// The tasks that wait.
	pub waiters: Vec<Waiter>,
	crashes: u8,
}

/// What a round has dropped.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dropped {
	/// How many tasks.
	pub tasks: usize,
	/// The work among them that the engine is computing.
	pub running: Vec<WorkId>,
}

/// The state of a task that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
	/// It waits or is being computed.
	Open,
	/// It was given up.
	Abstained,
}

/// The open tasks and their work.
#[derive(Default)]
pub struct TaskQueue {
	/// Open tasks, and the round in which each was last polled.
	open: HashMap<TaskId, u64>,
	round: u64,
	items: HashMap<WorkId, WorkItem>,
	waiting: VecDeque<WorkId>,
	running: VecDeque<WorkId>,
	/// Dropped work that the engine has yet to answer.
	cancelled: HashSet<WorkId>,
	abstained: Recent<TaskId>,
}

impl TaskQueue {
	/// Returns the state of a task, if it is known.
	pub fn state(&self, task: &TaskId) -> Option<TaskState> {
		if self.open.contains_key(task) {
			Some(TaskState::Open)
		} else {
			self.abstained.contains(task).then_some(TaskState::Abstained)
		}
	}

	/// Returns the state of a task that the worker polls: it is still needed.
	pub fn poll(&mut self, task: &TaskId) -> Option<TaskState> {
		if let Some(polled) = self.open.get_mut(task) {
			*polled = self.round;
		}
		self.state(task)
	}

	/// Begins a round, in which the worker polls the tasks it still needs, and drops the work that was not polled in the last
	/// few.
	pub fn next_round(&mut self) -> Dropped {
		self.round = self.round.saturating_add(1);
		let oldest = self.round.saturating_sub(MAX_IDLE_ROUNDS);
		let idle = |waiter: &Waiter| self.open.get(&waiter.task).is_none_or(|polled| *polled < oldest);
		let keys: Vec<_> = self
			.items
			.iter()
			.filter(|(_, item)| item.waiters.iter().all(idle))
			.map(|(key, _)| *key)
			.collect();
		let mut dropped = Dropped::default();
		for key in keys {
			if let Some(index) = self.running.iter().position(|k| *k == key) {
				self.running.remove(index);
				self.cancelled.insert(key);
				dropped.running.push(key);
			}
			self.waiting.retain(|k| *k != key);
			if let Some(item) = self.items.remove(&key) {
				self.close(&item.waiters);
				dropped.tasks = dropped.tasks.saturating_add(item.waiters.len());
			}
		}
		dropped
	}

	/// Returns how many tasks are open.
	pub fn open(&self) -> usize {
		self.open.len()
	}

	/// Returns whether the engine has something to compute now.
	pub fn running(&self) -> bool {
		!self.running.is_empty()
	}

	/// Adds a task that is not known. False if there is no room.
	pub fn push(&mut self, id: TaskId, task: Task) -> bool {
		if self.open.len() >= MAX_OPEN {
			return false;
		}
		let Task { job, attempt, work, .. } = task;
		let key = work.id();
		self.open.insert(id, self.round);
		let item = self.items.entry(key).or_insert_with(|| {
			self.waiting.push_back(key);
			WorkItem {
				work,
				waiters: Vec::new(),
				crashes: 0,
			}
		});
		item.waiters.push(Waiter { task: id, job, attempt });
		true
	}

	/// Returns the next work to send, if the engine has room for it. A suspect runs alone.
	pub fn next(&mut self) -> Option<(WorkId, Work)> {
		let suspect = |key: &WorkId| self.items.get(key).is_some_and(|e| e.crashes > 0);
		let alone = self.waiting.front().is_some_and(suspect) || self.running.iter().any(suspect);
		if self.running.len() >= if alone { 1 } else { WINDOW } {
			return None;
		}
		// Work that came again after it was dropped waits for the engine's answer to the first.
		let index = self.waiting.iter().position(|key| !self.cancelled.contains(key))?;
		let key = self.waiting.remove(index)?;
		let work = self.items.get(&key)?.work.clone();
		self.running.push_back(key);
		Some((key, work))
	}

	/// Removes a computed work item. Its tasks stay open until [`Self::close`]. None if it is not in flight.
	pub fn finish(&mut self, key: &WorkId) -> Option<WorkItem> {
		let index = self.running.iter().position(|k| k == key)?;
		self.running.remove(index);
		self.items.remove(key)
	}

	/// Returns whether this is the engine's answer to work that was dropped. True once.
	pub fn cancelled(&mut self, key: &WorkId) -> bool {
		self.cancelled.remove(key)
	}

	/// Forgets tasks whose answers are on disk.
	pub fn close(&mut self, waiters: &[Waiter]) {
		for waiter in waiters {
			self.open.remove(&waiter.task);
		}
	}

	/// Gives tasks up permanently.
	pub fn abstain(&mut self, waiters: &[Waiter]) {
		self.close(waiters);
		for waiter in waiters {
			self.abstained.insert(waiter.task, MAX_ABSTAINED);
		}
	}

	/// The engine exited: what was in flight waits again, first of all. Returns what is given up instead.
	pub fn engine_exited(&mut self) -> Vec<WorkItem> {
		self.cancelled.clear();
		let mut given_up = Vec::new();
		while let Some(key) = self.running.pop_back() {
			let Some(item) = self.items.get_mut(&key) else {
				continue;
			};
			item.crashes = item.crashes.saturating_add(1);
			if item.crashes < MAX_CRASHES {
				self.waiting.push_front(key);
			} else if let Some(item) = self.items.remove(&key) {
				self.abstain(&item.waiters);
				given_up.push(item);
			}
		}
		given_up
	}

	/// Forgets waiting tasks of models that the engine does not serve: they may come again when it does. Returns how many.
	pub fn forget_unserved(&mut self, served: impl Fn(&ModelId) -> bool) -> usize {
		let items = &self.items;
		let (keep, drop): (VecDeque<_>, VecDeque<_>) = self
			.waiting
			.drain(..)
			.partition(|key| items.get(key).is_some_and(|e| served(&e.work.model)));
		self.waiting = keep;
		let forgotten: Vec<_> = drop.iter().filter_map(|key| self.items.remove(key)).collect();
		forgotten.iter().for_each(|item| self.close(&item.waiters));
		forgotten.iter().map(|item| item.waiters.len()).sum()
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
	use crate::inference::tests::task;

	fn push(queue: &mut TaskQueue, job: u8, voter: u8) -> TaskId {
		let task = task(job, voter, false);
		let id = task.id();
		assert!(queue.push(id, task));
		id
	}

	#[test]
	fn voters_on_one_answer_share_one_computation() {
		let mut queue = TaskQueue::default();
		let ids: Vec<_> = (0..4).map(|voter| push(&mut queue, 1, voter)).collect();
		let (key, _) = queue.next().unwrap();
		assert!(queue.next().is_none());
		let item = queue.finish(&key).unwrap();
		assert_eq!(item.waiters.iter().map(|s| s.task).collect::<Vec<_>>(), ids);
		assert_eq!(
			queue.state(&ids[0]),
			Some(TaskState::Open),
			"open until the answer is on disk"
		);
		queue.close(&item.waiters);
		assert_eq!(queue.open(), 0);
		assert!(queue.finish(&key).is_none(), "no second answer");
	}

	#[test]
	fn the_queue_is_full_at_its_limit_and_free_again_after() {
		let mut queue = TaskQueue::default();
		for n in 0..MAX_OPEN {
			let mut t = task(n as u8, 0, false);
			t.attempt = (n >> 8) as u8;
			assert!(queue.push(t.id(), t));
		}
		let late = task(0, 9, false);
		assert!(!queue.push(late.id(), late.clone()));
		let (key, _) = queue.next().unwrap();
		let item = queue.finish(&key).unwrap();
		queue.close(&item.waiters);
		assert!(queue.push(late.id(), late));
	}

	#[test]
	fn never_more_work_is_in_flight_than_the_window() {
		let mut queue = TaskQueue::default();
		for n in 0..WINDOW as u8 + 4 {
			push(&mut queue, n, 0);
		}
		assert_eq!(std::iter::from_fn(|| queue.next()).count(), WINDOW);
	}

	#[test]
	fn poisonous_work_is_given_up_alone_and_the_innocent_are_answered() {
		let mut queue = TaskQueue::default();
		let poison = push(&mut queue, 1, 0);
		let innocent: Vec<_> = (2..6).map(|job| push(&mut queue, job, 0)).collect();
		let mut given_up = Vec::new();
		let mut done = Vec::new();
		let mut crashes = 0;
		while queue.open() > 0 {
			let sent: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
			let kills = |work: &Work| work.seed == [1; 32];
			if sent.iter().any(|(_, work)| kills(work)) {
				crashes += 1;
				given_up.extend(queue.engine_exited().into_iter().flat_map(|e| e.waiters));
				continue;
			}
			for (key, _) in sent {
				let item = queue.finish(&key).unwrap();
				queue.close(&item.waiters);
				done.extend(item.waiters.into_iter().map(|s| s.task));
			}
		}
		assert_eq!(crashes, MAX_CRASHES);
		assert_eq!(given_up.iter().map(|s| s.task).collect::<Vec<_>>(), [poison]);
		assert_eq!(done, innocent);
		assert_eq!(queue.state(&poison), Some(TaskState::Abstained));
	}

	#[test]
	fn tasks_of_a_missing_model_are_forgotten_not_refused_forever() {
		let mut queue = TaskQueue::default();
		let id = push(&mut queue, 1, 0);
		assert_eq!(queue.forget_unserved(|_| true), 0);
		assert_eq!(queue.forget_unserved(|_| false), 1);
		assert_eq!(queue.state(&id), None);
		assert_eq!(push(&mut queue, 1, 0), id);
	}

	#[test]
	fn a_task_that_nobody_polls_any_more_is_dropped_wherever_it_is() {
		let mut queue = TaskQueue::default();
		let computed = push(&mut queue, 1, 0);
		let (key, _) = queue.next().unwrap();
		let waits = push(&mut queue, 2, 0);
		let shared = [push(&mut queue, 3, 0), push(&mut queue, 3, 1)];
		for _ in 0..MAX_IDLE_ROUNDS {
			assert_eq!(queue.next_round(), Dropped::default());
			assert_eq!(queue.poll(&shared[1]), Some(TaskState::Open));
		}
		let dropped = queue.next_round();
		assert_eq!((dropped.tasks, dropped.running), (2, vec![key]));
		assert!([computed, waits].iter().all(|task| queue.state(task).is_none()));
		assert!(
			shared.iter().all(|task| queue.state(task) == Some(TaskState::Open)),
			"one that is polled is enough"
		);
		assert!(queue.finish(&key).is_none());
		assert_eq!(push(&mut queue, 1, 0), computed, "it may come again");
		assert_ne!(queue.next().unwrap().0, key);
		assert!(queue.next().is_none(), "the engine has yet to answer the first");
		assert!(queue.cancelled(&key) && !queue.cancelled(&key));
		assert_eq!(queue.next().unwrap().0, key);
	}

	#[test]
	fn only_the_latest_are_remembered() {
		let mut recent = Recent::default();
		assert!((0..5).all(|n| recent.insert(n, 3)));
		assert!(!recent.insert(4, 3));
		assert_eq!((0..5).filter(|n| recent.contains(n)).collect::<Vec<_>>(), [2, 3, 4]);
	}
}
