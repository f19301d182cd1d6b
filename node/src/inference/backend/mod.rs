//! The node's side of the host function: a queue in front of the engine and a journal behind it.
//!
//! `enqueue` and `poll` touch memory and at most one short read of the journal; they never wait for the engine or for a
//! sync. An answer becomes known only after [`VoteJournal::write`] has put it on disk.

use super::{
	journal::{Record, VoteJournal},
	log_target::LOG_TARGET,
	metrics::{ExitCause, Metrics, TaskRole},
	queue::{Recent, TaskQueue, TaskState, Waiter, WorkItem},
};
use assay_primitives::{
	host::{EnqueueResult, InferenceBackend, PollResult, ProbeResult},
	task::{Answer, Task},
	JobId, ModelId, TaskId, Vote, WorkId,
};
use assay_protocol::{ServedModel, Work, WorkResult};
use parking_lot::Mutex;
use rand::{rngs::OsRng, RngCore};
use serde::{Deserialize, Serialize};
use std::{
	collections::{HashMap, VecDeque},
	time::{Duration, Instant},
};
use tokio::sync::{watch, Notify};

/// Jobs remembered to count each once.
const MAX_JOBS: usize = 4_096;

/// The state of the engine's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
	/// Switched off, or its program is missing.
	Absent,
	/// Started; loads and tests its models.
	Starting,
	/// Takes tasks.
	Ready,
	/// It exited and will be started again.
	Restarting,
}

/// What `assay_engineStatus` returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineStatus {
	/// The state of its process.
	pub state: EngineState,
	/// The models it serves; empty unless it is ready.
	pub models: Vec<ServedModel>,
	/// Tasks queued or being computed.
	pub queue: usize,
	/// Tasks answered since the node started.
	pub done: u64,
	/// Tasks given up since the node started.
	pub abstained: u64,
	/// Times the engine was started again.
	pub restarts: u64,
	/// Why it last exited or could not be started.
	pub last_error: Option<String>,
}

struct State {
	queue: TaskQueue,
	/// Work that the engine has not answered, and when it was sent.
	in_flight: HashMap<WorkId, Instant>,
	/// Work whose cancellation has not been sent yet.
	to_cancel: VecDeque<WorkId>,
	jobs: Recent<JobId>,
	status: EngineStatus,
}

/// Why a result is no answer to what was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolViolation {
	/// That work is not in flight.
	UnknownWork,
	/// The engine made what it was to check, or checked what it was to make.
	WrongKind,
}

/// Answers the host function's calls, and feeds the engine.
pub struct Backend {
	journal: Option<VoteJournal>,
	state: Mutex<State>,
	metrics: Metrics,
	/// Wakes the connection when there may be work to send.
	work: Notify,
	/// Counts the engine's events for the worker.
	events: watch::Sender<u64>,
}

impl Backend {
	/// Makes a backend over a journal. Without one, because it is damaged or in use, the node abstains from everything.
	pub fn new(journal: Option<VoteJournal>, metrics: Metrics) -> Self {
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
			queue: TaskQueue::default(),
			in_flight: HashMap::new(),
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

	/// Changes whenever the worker should run again: an answer is there, or the engine is ready.
	pub fn events(&self) -> watch::Receiver<u64> {
		self.events.subscribe()
	}

	/// Returns the engine's status.
	pub fn status(&self) -> EngineStatus {
		let state = self.state.lock();
		EngineStatus {
			queue: state.queue.open(),
			..state.status.clone()
		}
	}

	/// Returns when there may be work to send.
	pub(super) async fn work_available(&self) {
		self.work.notified().await;
	}

	/// Returns the next work for the engine, if it has room.
	pub(super) fn next_work(&self) -> Option<(WorkId, Work)> {
		let mut state = self.state.lock();
		let next = state.queue.next()?;
		state.in_flight.insert(next.0, Instant::now());
		Some(next)
	}

	/// Returns the next work in flight that is no longer needed.
	pub(super) fn next_cancelled(&self) -> Option<WorkId> {
		self.state.lock().to_cancel.pop_front()
	}

	/// Begins a new round: there is a new best block, and a worker will poll what it still needs. What no worker has polled in
	/// a while is dropped: its job is over, or goes on without this node.
	pub fn new_best_block(&self) {
		let mut state = self.state.lock();
		let dropped = state.queue.next_round();
		if dropped.tasks == 0 {
			return;
		}
		log::debug!(target: LOG_TARGET, "Dropped {} tasks that are no longer needed", dropped.tasks);
		for key in dropped.running {
			state.in_flight.remove(&key);
			state.to_cancel.push_back(key);
		}
		self.metrics.open(state.queue.open());
		drop(state);
		self.work.notify_one();
	}

	/// Returns since when the engine has been busy with the oldest work in flight, if it is busy.
	pub(super) fn busy_since(&self) -> Option<Instant> {
		let state = self.state.lock();
		state
			.queue
			.running()
			.then(|| state.in_flight.values().min().copied())
			.flatten()
	}

	/// Records that the engine's program cannot be started.
	pub(super) fn engine_absent(&self, why: String) {
		let mut state = self.state.lock();
		state.status.state = EngineState::Absent;
		state.status.last_error = Some(why);
	}

	/// Records whether the engine is started on a GPU from now on.
	pub(super) fn engine_on_gpu(&self, on_gpu: bool) {
		self.metrics.engine_on_gpu(on_gpu);
	}

	/// Records a start of the engine.
	pub(super) fn engine_starting(&self, again: bool) {
		let mut state = self.state.lock();
		state.status.state = EngineState::Starting;
		if again {
			state.status.restarts = state.status.restarts.saturating_add(1);
			self.metrics.restarted();
		}
	}

	/// Records that the engine has passed its self-test and takes tasks.
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
		self.notify_worker();
	}

	/// Records an exit of the engine. What it was computing waits for the next one, or is given up.
	pub(super) fn engine_exited(&self, cause: ExitCause, why: String) {
		let mut state = self.state.lock();
		state.in_flight.clear();
		state.to_cancel.clear();
		let given_up = state.queue.engine_exited();
		state.status.state = EngineState::Restarting;
		state.status.models.clear();
		state.status.last_error = Some(why);
		self.metrics.engine_up(false);
		self.metrics.exited(cause);
		for item in given_up {
			self.record_abstained(
				&mut state,
				&item.waiters,
				"the engine crashed each time it computed this",
			);
		}
	}

	/// Takes a result in: journals an answer for each task that waits for it, then runs the worker. Waits for the disk.
	pub(super) fn done(&self, key: &WorkId, result: WorkResult) -> Result<(), ProtocolViolation> {
		let (item, took) = {
			let mut state = self.state.lock();
			let Some(item) = state.queue.finish(key) else {
				return if state.queue.cancelled(key) {
					Ok(())
				} else {
					Err(ProtocolViolation::UnknownWork)
				};
			};
			(
				item,
				state
					.in_flight
					.remove(key)
					.map_or(Duration::ZERO, |since| since.elapsed()),
			)
		};
		let WorkItem { waiters, work, .. } = item;
		let (role, made) = match (work.claim.is_some(), result) {
			(false, WorkResult::Executed { output, trace_root }) => {
				(TaskRole::Executor, Ok((Some(output), Vote::Confirm { trace_root })))
			}
			(true, WorkResult::Verified { vote }) => (TaskRole::Verifier, Ok((None, vote))),
			(claim, WorkResult::Abstained { reason }) => {
				(if claim { TaskRole::Verifier } else { TaskRole::Executor }, Err(reason))
			}
			_ => {
				self.abstain(&waiters, "the engine's result is of the other kind");
				return Err(ProtocolViolation::WrongKind);
			}
		};
		match made {
			Ok((output, vote)) => self.answer(role, &waiters, output, vote, took),
			Err(reason) => self.abstain(&waiters, &reason),
		}
		self.work.notify_one();
		self.notify_worker();
		Ok(())
	}

	fn answer(
		&self,
		role: TaskRole,
		waiters: &[Waiter],
		output: Option<assay_primitives::Output>,
		vote: Vote,
		took: Duration,
	) {
		let records: Vec<_> = waiters
			.iter()
			.map(|waiter| {
				let mut salt = [0u8; 32];
				OsRng.fill_bytes(&mut salt);
				let answer = Answer {
					output: output.clone(),
					vote,
					salt,
				};
				Record {
					task: waiter.task,
					job: waiter.job,
					attempt: waiter.attempt,
					answer,
				}
			})
			.collect();
		let Some(journal) = &self.journal else {
			return self.abstain(waiters, "there is no vote journal");
		};
		match journal.write(&records) {
			Ok(new) => {
				let mut state = self.state.lock();
				state.queue.close(waiters);
				state.status.done = state.status.done.saturating_add(waiters.len() as u64);
				self.metrics.open(state.queue.open());
				self.metrics.journaled(new);
				self.metrics.done(role, waiters.len(), took);
				for waiter in waiters {
					log::debug!(
						target: LOG_TARGET,
						"Job {} attempt {}: {role:?} done in {took:.1?}, vote on disk", waiter.job, waiter.attempt.saturating_add(1),
					);
				}
			}
			Err(e) => {
				log::error!(target: LOG_TARGET, "{e}");
				self.abstain(waiters, "its vote could not be put on disk");
			}
		}
	}

	fn abstain(&self, waiters: &[Waiter], why: &str) {
		let mut state = self.state.lock();
		state.queue.abstain(waiters);
		self.record_abstained(&mut state, waiters, why);
	}

	fn record_abstained(&self, state: &mut State, waiters: &[Waiter], why: &str) {
		state.status.abstained = state.status.abstained.saturating_add(waiters.len() as u64);
		state.status.last_error = Some(why.to_owned());
		self.metrics.abstained(waiters.len());
		self.metrics.open(state.queue.open());
		for waiter in waiters {
			log::warn!(target: LOG_TARGET, "Job {} attempt {}: abstained: {why}", waiter.job, waiter.attempt.saturating_add(1));
		}
	}

	fn notify_worker(&self) {
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
		match state.queue.poll(&id) {
			Some(TaskState::Open) => return EnqueueResult::Pending,
			Some(TaskState::Abstained) => return EnqueueResult::Abstained,
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
		match self.state.lock().queue.poll(task) {
			Some(TaskState::Open) => PollResult::Pending,
			Some(TaskState::Abstained) => PollResult::Abstained,
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
