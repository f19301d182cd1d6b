//! Which tasks are open, and which of them the engine computes next. Bookkeeping only: no clock, no disk, no engine.
//!
//! Tasks with the same work share one computation. A work that was with the engine when it died is a suspect: it is handed
//! over again alone, and given up after [`MAX_CRASHES`] deaths, so that one poisonous prompt can neither kill the engine for
//! ever nor take innocent tasks with it.

use assay_primitives::{JobId, ModelId, Task, TaskId, Work, WorkId};
use std::{
	collections::{HashMap, HashSet, VecDeque},
	hash::Hash,
};

/// Most tasks open at once.
pub const MAX_OPEN: usize = 256;
/// Most works handed to the engine before it has answered the first: it computes them side by side.
const WINDOW: usize = 32;
/// Rounds without a question after which a task is not wanted any more. Some, because a fork may hide a job for a while.
const PATIENCE: u64 = 8;
/// Deaths of the engine after which a work that was with it each time is given up: handed over, and twice again.
pub const MAX_CRASHES: u8 = 3;
/// How many abstentions are remembered.
const MAX_ABSTAINED: usize = 4_096;

/// A task's place in the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
	/// The task.
	pub task: TaskId,
	/// Its job.
	pub job: JobId,
	/// Its attempt, from 0.
	pub attempt: u8,
}

/// One computation and everyone who waits for it.
#[derive(Debug)]
pub struct Entry {
	/// What to compute.
	pub work: Work,
	/// Who waits.
	pub seats: Vec<Seat>,
	crashes: u8,
}

/// What a round has dropped.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dropped {
	/// How many tasks.
	pub tasks: usize,
	/// The works among them that the engine is computing.
	pub running: Vec<WorkId>,
}

/// What the books say of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
	/// It waits or is being computed.
	Open,
	/// It was given up.
	Abstained,
}

/// The books.
#[derive(Default)]
pub struct Queue {
	/// Open tasks, and the round in which each was last asked for.
	open: HashMap<TaskId, u64>,
	round: u64,
	works: HashMap<WorkId, Entry>,
	waiting: VecDeque<WorkId>,
	running: VecDeque<WorkId>,
	/// Dropped works that the engine still owes a word on.
	cancelled: HashSet<WorkId>,
	abstained: Recent<TaskId>,
}

impl Queue {
	/// What is known of a task.
	pub fn known(&self, task: &TaskId) -> Option<Known> {
		if self.open.contains_key(task) {
			Some(Known::Open)
		} else {
			self.abstained.contains(task).then_some(Known::Abstained)
		}
	}

	/// What is known of a task that somebody asks for: it is still wanted.
	pub fn ask(&mut self, task: &TaskId) -> Option<Known> {
		if let Some(asked) = self.open.get_mut(task) {
			*asked = self.round;
		}
		self.known(task)
	}

	/// Begins a round, in which whoever wants a task asks for it, and drops the works for which nobody has asked in the last few.
	pub fn next_round(&mut self) -> Dropped {
		self.round = self.round.saturating_add(1);
		let oldest = self.round.saturating_sub(PATIENCE);
		let unwanted = |seat: &Seat| self.open.get(&seat.task).is_none_or(|asked| *asked < oldest);
		let keys: Vec<_> = self
			.works
			.iter()
			.filter(|(_, entry)| entry.seats.iter().all(unwanted))
			.map(|(key, _)| *key)
			.collect();
		let mut dropped = Dropped::default();
		for key in keys {
			if let Some(place) = self.running.iter().position(|k| *k == key) {
				self.running.remove(place);
				self.cancelled.insert(key);
				dropped.running.push(key);
			}
			self.waiting.retain(|k| *k != key);
			if let Some(entry) = self.works.remove(&key) {
				self.close(&entry.seats);
				dropped.tasks = dropped.tasks.saturating_add(entry.seats.len());
			}
		}
		dropped
	}

	/// How many tasks are open.
	pub fn open(&self) -> usize {
		self.open.len()
	}

	/// Whether the engine has something to compute now.
	pub fn running(&self) -> bool {
		!self.running.is_empty()
	}

	/// Takes a task that is not known. False if there is no room.
	pub fn push(&mut self, id: TaskId, task: Task) -> bool {
		if self.open.len() >= MAX_OPEN {
			return false;
		}
		let Task { job, attempt, work, .. } = task;
		let key = work.id();
		self.open.insert(id, self.round);
		let entry = self.works.entry(key).or_insert_with(|| {
			self.waiting.push_back(key);
			Entry {
				work,
				seats: Vec::new(),
				crashes: 0,
			}
		});
		entry.seats.push(Seat { task: id, job, attempt });
		true
	}

	/// The next work to hand over, if the engine has room for it. A suspect runs alone.
	pub fn next(&mut self) -> Option<(WorkId, Work)> {
		let suspect = |key: &WorkId| self.works.get(key).is_some_and(|e| e.crashes > 0);
		let alone = self.waiting.front().is_some_and(suspect) || self.running.iter().any(suspect);
		if self.running.len() >= if alone { 1 } else { WINDOW } {
			return None;
		}
		// One that came again after it was dropped waits for the engine's word on the first.
		let place = self.waiting.iter().position(|key| !self.cancelled.contains(key))?;
		let key = self.waiting.remove(place)?;
		let work = self.works.get(&key)?.work.clone();
		self.running.push_back(key);
		Some((key, work))
	}

	/// Takes a computed work out. Its tasks stay open until [`Self::close`]. None if the engine was never asked.
	pub fn finish(&mut self, key: &WorkId) -> Option<Entry> {
		let place = self.running.iter().position(|k| k == key)?;
		self.running.remove(place);
		self.works.remove(key)
	}

	/// Whether this is the engine's word, the only one, on a work that was dropped.
	pub fn cancelled(&mut self, key: &WorkId) -> bool {
		self.cancelled.remove(key)
	}

	/// Forgets tasks whose answers are on disk.
	pub fn close(&mut self, seats: &[Seat]) {
		for seat in seats {
			self.open.remove(&seat.task);
		}
	}

	/// Gives tasks up for good.
	pub fn abstain(&mut self, seats: &[Seat]) {
		self.close(seats);
		for seat in seats {
			self.abstained.insert(seat.task, MAX_ABSTAINED);
		}
	}

	/// The engine died: what was with it waits again, first of all. Returns what is given up instead.
	pub fn engine_died(&mut self) -> Vec<Entry> {
		self.cancelled.clear();
		let mut given_up = Vec::new();
		while let Some(key) = self.running.pop_back() {
			let Some(entry) = self.works.get_mut(&key) else {
				continue;
			};
			entry.crashes = entry.crashes.saturating_add(1);
			if entry.crashes < MAX_CRASHES {
				self.waiting.push_front(key);
			} else if let Some(entry) = self.works.remove(&key) {
				self.abstain(&entry.seats);
				given_up.push(entry);
			}
		}
		given_up
	}

	/// Forgets waiting tasks of models that the engine does not serve: they may come again when it does. Returns how many.
	pub fn forget_unserved(&mut self, served: impl Fn(&ModelId) -> bool) -> usize {
		let works = &self.works;
		let (keep, drop): (VecDeque<_>, VecDeque<_>) = self
			.waiting
			.drain(..)
			.partition(|key| works.get(key).is_some_and(|e| served(&e.work.model)));
		self.waiting = keep;
		let forgotten: Vec<_> = drop.iter().filter_map(|key| self.works.remove(key)).collect();
		forgotten.iter().for_each(|entry| self.close(&entry.seats));
		forgotten.iter().map(|entry| entry.seats.len()).sum()
	}
}

/// The latest few of a kind.
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
	/// Whether it was seen lately.
	pub fn contains(&self, item: &T) -> bool {
		self.set.contains(item)
	}

	/// Remembers it, and forgets the oldest beyond `limit`. True if it is new.
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

	fn push(queue: &mut Queue, job: u8, voter: u8) -> TaskId {
		let task = task(job, voter, false);
		let id = task.id();
		assert!(queue.push(id, task));
		id
	}

	#[test]
	fn voters_on_one_answer_share_one_computation() {
		let mut queue = Queue::default();
		let ids: Vec<_> = (0..4).map(|voter| push(&mut queue, 1, voter)).collect();
		let (key, _) = queue.next().unwrap();
		assert!(queue.next().is_none());
		let entry = queue.finish(&key).unwrap();
		assert_eq!(entry.seats.iter().map(|s| s.task).collect::<Vec<_>>(), ids);
		assert_eq!(
			queue.known(&ids[0]),
			Some(Known::Open),
			"open until the answer is on disk"
		);
		queue.close(&entry.seats);
		assert_eq!(queue.open(), 0);
		assert!(queue.finish(&key).is_none(), "no second answer");
	}

	#[test]
	fn the_queue_is_full_at_its_limit_and_free_again_after() {
		let mut queue = Queue::default();
		for n in 0..MAX_OPEN {
			let mut t = task(n as u8, 0, false);
			t.attempt = (n >> 8) as u8;
			assert!(queue.push(t.id(), t));
		}
		let late = task(0, 9, false);
		assert!(!queue.push(late.id(), late.clone()));
		let (key, _) = queue.next().unwrap();
		let entry = queue.finish(&key).unwrap();
		queue.close(&entry.seats);
		assert!(queue.push(late.id(), late));
	}

	#[test]
	fn the_engine_is_never_handed_more_than_the_window() {
		let mut queue = Queue::default();
		for n in 0..WINDOW as u8 + 4 {
			push(&mut queue, n, 0);
		}
		assert_eq!(std::iter::from_fn(|| queue.next()).count(), WINDOW);
	}

	#[test]
	fn a_poisonous_work_is_given_up_alone_and_the_innocent_are_answered() {
		let mut queue = Queue::default();
		let poison = push(&mut queue, 1, 0);
		let innocent: Vec<_> = (2..6).map(|job| push(&mut queue, job, 0)).collect();
		let mut given_up = Vec::new();
		let mut done = Vec::new();
		let mut deaths = 0;
		while queue.open() > 0 {
			let handed: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
			let kills = |work: &Work| work.seed == [1; 32];
			if handed.iter().any(|(_, work)| kills(work)) {
				deaths += 1;
				given_up.extend(queue.engine_died().into_iter().flat_map(|e| e.seats));
				continue;
			}
			for (key, _) in handed {
				let entry = queue.finish(&key).unwrap();
				queue.close(&entry.seats);
				done.extend(entry.seats.into_iter().map(|s| s.task));
			}
		}
		assert_eq!(deaths, MAX_CRASHES);
		assert_eq!(given_up.iter().map(|s| s.task).collect::<Vec<_>>(), [poison]);
		assert_eq!(done, innocent);
		assert_eq!(queue.known(&poison), Some(Known::Abstained));
	}

	#[test]
	fn tasks_of_a_missing_model_are_forgotten_not_refused_for_ever() {
		let mut queue = Queue::default();
		let id = push(&mut queue, 1, 0);
		assert_eq!(queue.forget_unserved(|_| true), 0);
		assert_eq!(queue.forget_unserved(|_| false), 1);
		assert_eq!(queue.known(&id), None);
		assert_eq!(push(&mut queue, 1, 0), id);
	}

	#[test]
	fn a_task_that_nobody_asks_for_any_more_is_dropped_wherever_it_is() {
		let mut queue = Queue::default();
		let computed = push(&mut queue, 1, 0);
		let (key, _) = queue.next().unwrap();
		let waits = push(&mut queue, 2, 0);
		let shared = [push(&mut queue, 3, 0), push(&mut queue, 3, 1)];
		for _ in 0..PATIENCE {
			assert_eq!(queue.next_round(), Dropped::default());
			assert_eq!(queue.ask(&shared[1]), Some(Known::Open));
		}
		let dropped = queue.next_round();
		assert_eq!((dropped.tasks, dropped.running), (2, vec![key]));
		assert!([computed, waits].iter().all(|task| queue.known(task).is_none()));
		assert!(
			shared.iter().all(|task| queue.known(task) == Some(Known::Open)),
			"one who asks is enough"
		);
		assert!(queue.finish(&key).is_none());
		assert_eq!(push(&mut queue, 1, 0), computed, "it may come again");
		assert_ne!(queue.next().unwrap().0, key);
		assert!(queue.next().is_none(), "the engine owes a word on the first");
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
