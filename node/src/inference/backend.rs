//! What the worker talks to through the host function: a queue in front of the engine and a journal behind it.
//!
//! `enqueue` and `poll` touch memory and at most one short read of the journal; they never wait for the engine or for a
//! sync. An answer becomes known only after [`Journal::write`] has put it on disk.

use super::{
	journal::{Journal, Record},
	metrics::{Cause, Metrics, Role},
	queue::{Entry, Known, Queue, Recent, Seat},
	LOG_TARGET,
};
use assay_primitives::{
	host::{EnqueueResult, InferenceBackend, PollResult, ProbeResult},
	task::{Answer, Task},
	JobId, ModelId, TaskId, Vote, WorkId,
};
use assay_protocol::{ServedModel, Work, WorkResult};
use parking_lot::Mutex;
use rand::{rngs::OsRng, RngCore};
use std::{
	collections::{HashMap, VecDeque},
	time::{Duration, Instant},
};
use tokio::sync::{watch, Notify};

/// Jobs remembered to count each once.
const MAX_JOBS: usize = 4_096;

/// How the engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineState {
	/// Switched off, or its program is missing.
	Absent,
	/// Started, loading and proving its models.
	Starting,
	/// Takes tasks.
	Ready,
	/// It ended and will be started again.
	Restarting,
}

/// What a person wants to know of the engine.
#[derive(Clone, Debug)]
pub struct EngineStatus {
	/// How it is.
	pub state: EngineState,
	/// What it serves; empty unless ready.
	pub models: Vec<ServedModel>,
	/// Tasks queued or being computed.
	pub queue: usize,
	/// Tasks answered since the node started.
	pub done: u64,
	/// Tasks given up since the node started.
	pub abstained: u64,
	/// Times the engine was started again.
	pub restarts: u64,
	/// Why it last ended or refused.
	pub last_error: Option<String>,
}

struct State {
	queue: Queue,
	handed: HashMap<WorkId, Instant>,
	/// Cancelled works of which the engine has not been told.
	to_cancel: VecDeque<WorkId>,
	jobs: Recent<JobId>,
	status: EngineStatus,
}

/// The engine broke the protocol: this is no answer to what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unasked {
	/// It was not given that work.
	Work,
	/// It made what it was to check, or checked what it was to make.
	Kind,
}

/// The node's end of the host function.
pub struct Backend {
	journal: Option<Journal>,
	state: Mutex<State>,
	metrics: Metrics,
	/// Wakes whoever hands works to the engine.
	work: Notify,
	/// Counts the engine's events for the worker.
	events: watch::Sender<u64>,
}

impl Backend {
	/// A backend over a journal. Without one, because it is damaged or in use, the node abstains from everything.
	pub fn new(journal: Option<Journal>, metrics: Metrics) -> Self {
		let status = EngineStatus {
			state: EngineState::Absent,
			models: Vec::new(),
			queue: 0,
			done: 0,
			abstained: 0,
			restarts: 0,
			last_error: None,
		};
		let state = State {
			queue: Queue::default(),
			handed: HashMap::new(),
			to_cancel: VecDeque::new(),
			jobs: Recent::default(),
			status,
		};
		Self {
			journal,
			state: Mutex::new(state),
			metrics,
			work: Notify::new(),
			events: watch::Sender::new(0),
		}
	}

	/// Ticks whenever the worker should look again: an answer is there, or the engine is ready.
	pub fn events(&self) -> watch::Receiver<u64> {
		self.events.subscribe()
	}

	/// The engine as people see it.
	pub fn status(&self) -> EngineStatus {
		let state = self.state.lock();
		EngineStatus {
			queue: state.queue.open(),
			..state.status.clone()
		}
	}

	/// Returns when there may be work to hand over.
	pub(super) async fn work_came(&self) {
		self.work.notified().await;
	}

	/// The next work for the engine, if it has room.
	pub(super) fn next_work(&self) -> Option<(WorkId, Work)> {
		let mut state = self.state.lock();
		let next = state.queue.next()?;
		state.handed.insert(next.0, Instant::now());
		Some(next)
	}

	/// The next work that the engine computes in vain.
	pub(super) fn next_cancelled(&self) -> Option<WorkId> {
		self.state.lock().to_cancel.pop_front()
	}

	/// There is a new best block, and a worker will ask for what it still wants. What no worker has asked for in a while is dropped:
	/// its job is over, or goes on without this node.
	pub fn new_best_block(&self) {
		let mut state = self.state.lock();
		let dropped = state.queue.next_round();
		if dropped.tasks == 0 {
			return;
		}
		log::debug!(target: LOG_TARGET, "Dropped {} tasks that nobody asks for any more", dropped.tasks);
		for key in dropped.running {
			state.handed.remove(&key);
			state.to_cancel.push_back(key);
		}
		self.metrics.open(state.queue.open());
		drop(state);
		self.work.notify_one();
	}

	/// How long the engine has been busy without an answer, if it is busy.
	pub(super) fn waits_since(&self) -> Option<Instant> {
		let state = self.state.lock();
		state
			.queue
			.running()
			.then(|| state.handed.values().min().copied())
			.flatten()
	}

	/// The engine's program cannot be started.
	pub(super) fn engine_absent(&self, why: String) {
		let mut state = self.state.lock();
		state.status.state = EngineState::Absent;
		state.status.last_error = Some(why);
	}

	/// The engine is started on a graphics card from now on, or on the processor.
	pub(super) fn engine_on_card(&self, on_card: bool) {
		self.metrics.engine_on_card(on_card);
	}

	/// The engine has been started.
	pub(super) fn engine_starting(&self, again: bool) {
		let mut state = self.state.lock();
		state.status.state = EngineState::Starting;
		if again {
			state.status.restarts = state.status.restarts.saturating_add(1);
			self.metrics.restarted();
		}
	}

	/// The engine has proved itself and takes tasks.
	pub(super) fn engine_ready(&self, models: Vec<ServedModel>) {
		let mut state = self.state.lock();
		let forgotten = state
			.queue
			.forget_unserved(|model| models.iter().any(|m| m.id == *model));
		if forgotten > 0 {
			log::warn!(target: LOG_TARGET, "{forgotten} tasks ask for models that the engine does not serve");
		}
		state.status.state = EngineState::Ready;
		state.status.models = models;
		self.metrics.engine_up(true);
		drop(state);
		self.work.notify_one();
		self.tick();
	}

	/// The engine ended. What it was computing waits for the next one, or is given up.
	pub(super) fn engine_died(&self, cause: Cause, why: String) {
		let mut state = self.state.lock();
		state.handed.clear();
		state.to_cancel.clear();
		let given_up = state.queue.engine_died();
		state.status.state = EngineState::Restarting;
		state.status.models.clear();
		state.status.last_error = Some(why);
		self.metrics.engine_up(false);
		self.metrics.died(cause);
		for entry in given_up {
			self.note_abstained(&mut state, &entry.seats, "the engine died each time it computed this");
		}
	}

	/// The engine has computed a work: journals an answer for everyone who waits for it, then tells. Waits for the disk.
	pub(super) fn done(&self, key: &WorkId, result: WorkResult) -> Result<(), Unasked> {
		let (entry, took) = {
			let mut state = self.state.lock();
			let Some(entry) = state.queue.finish(key) else {
				return if state.queue.cancelled(key) {
					Ok(())
				} else {
					Err(Unasked::Work)
				};
			};
			(
				entry,
				state.handed.remove(key).map_or(Duration::ZERO, |since| since.elapsed()),
			)
		};
		let Entry { seats, work, .. } = entry;
		let (role, made) = match (work.claim.is_some(), result) {
			(false, WorkResult::Executed { output, trace_root }) => {
				(Role::Executor, Ok((Some(output), Vote::Confirm { trace_root })))
			}
			(true, WorkResult::Verified { vote }) => (Role::Verifier, Ok((None, vote))),
			(claim, WorkResult::Abstained { reason }) => {
				(if claim { Role::Verifier } else { Role::Executor }, Err(reason))
			}
			_ => {
				self.abstain(&seats, "the engine's result is of the other kind");
				return Err(Unasked::Kind);
			}
		};
		match made {
			Ok((output, vote)) => self.answer(role, &seats, output, vote, took),
			Err(reason) => self.abstain(&seats, &reason),
		}
		self.work.notify_one();
		self.tick();
		Ok(())
	}

	fn answer(&self, role: Role, seats: &[Seat], output: Option<assay_primitives::Output>, vote: Vote, took: Duration) {
		let records: Vec<_> = seats
			.iter()
			.map(|seat| {
				let mut salt = [0u8; 32];
				OsRng.fill_bytes(&mut salt);
				let answer = Answer {
					output: output.clone(),
					vote,
					salt,
				};
				Record {
					task: seat.task,
					job: seat.job,
					attempt: seat.attempt,
					answer,
				}
			})
			.collect();
		let Some(journal) = &self.journal else {
			return self.abstain(seats, "there is no vote journal");
		};
		match journal.write(&records) {
			Ok(new) => {
				let mut state = self.state.lock();
				state.queue.close(seats);
				state.status.done = state.status.done.saturating_add(seats.len() as u64);
				self.metrics.open(state.queue.open());
				self.metrics.journaled(new);
				self.metrics.done(role, seats.len(), took);
				for seat in seats {
					log::debug!(
						target: LOG_TARGET,
						"Job {} attempt {}: {role:?} done in {took:.1?}, vote on disk", seat.job, seat.attempt.saturating_add(1),
					);
				}
			}
			Err(e) => {
				log::error!(target: LOG_TARGET, "{e}");
				self.abstain(seats, "its vote could not be put on disk");
			}
		}
	}

	fn abstain(&self, seats: &[Seat], why: &str) {
		let mut state = self.state.lock();
		state.queue.abstain(seats);
		self.note_abstained(&mut state, seats, why);
	}

	fn note_abstained(&self, state: &mut State, seats: &[Seat], why: &str) {
		state.status.abstained = state.status.abstained.saturating_add(seats.len() as u64);
		state.status.last_error = Some(why.to_owned());
		self.metrics.abstained(seats.len());
		self.metrics.open(state.queue.open());
		for seat in seats {
			log::warn!(target: LOG_TARGET, "Job {} attempt {}: abstained: {why}", seat.job, seat.attempt.saturating_add(1));
		}
	}

	fn tick(&self) {
		self.events.send_modify(|n| *n = n.wrapping_add(1));
	}
}

impl InferenceBackend for Backend {
	fn enqueue(&self, task: Task) -> EnqueueResult {
		let id = task.id();
		match self.poll(&id) {
			PollResult::Unknown => {}
			PollResult::Ready(_) => return EnqueueResult::Done,
			PollResult::Pending => return EnqueueResult::Pending,
			PollResult::Abstained => return EnqueueResult::Abstained,
			PollResult::NotAvailable => return EnqueueResult::NotAvailable,
		}
		let mut state = self.state.lock();
		match state.status.state {
			EngineState::Absent => return EnqueueResult::NotAvailable,
			EngineState::Ready if !state.status.models.iter().any(|m| m.id == task.work.model) => {
				return EnqueueResult::Abstained
			}
			_ => {}
		}
		// Another worker thread may have brought it, or the engine answered it, since the poll above.
		match state.queue.ask(&id) {
			Some(Known::Open) => return EnqueueResult::Pending,
			Some(Known::Abstained) => return EnqueueResult::Abstained,
			None if self.journal.as_ref().is_some_and(|j| j.contains(&id)) => return EnqueueResult::Pending,
			None => {}
		}
		let job = task.job;
		if !state.queue.push(id, task) {
			return EnqueueResult::Busy;
		}
		if state.jobs.insert(job, MAX_JOBS) {
			self.metrics.job_seen();
		}
		self.metrics.open(state.queue.open());
		drop(state);
		self.work.notify_one();
		EnqueueResult::Pending
	}

	fn poll(&self, task: &TaskId) -> PollResult {
		let Some(journal) = &self.journal else {
			return PollResult::Abstained;
		};
		match journal.get(task) {
			Ok(Some(answer)) => return PollResult::Ready(answer),
			Ok(None) => {}
			Err(e) => {
				log::error!(target: LOG_TARGET, "{e}");
				return PollResult::Abstained;
			}
		}
		match self.state.lock().queue.ask(task) {
			Some(Known::Open) => PollResult::Pending,
			Some(Known::Abstained) => PollResult::Abstained,
			None => PollResult::Unknown,
		}
	}

	fn probe(&self, model: &ModelId) -> ProbeResult {
		if self.journal.is_none() {
			return ProbeResult::Abstained;
		}
		let state = self.state.lock();
		match state.status.state {
			EngineState::Absent => ProbeResult::NotAvailable,
			EngineState::Starting | EngineState::Restarting => ProbeResult::Pending,
			EngineState::Ready if state.status.models.iter().any(|m| m.id == *model) => ProbeResult::Serving,
			EngineState::Ready => ProbeResult::Abstained,
		}
	}
}

#[cfg(test)]
mod tests;
