//! The node's side of the host function: a queue in front of the engine and a journal behind it.
//!
//! `enqueue` and `poll` touch memory and at most one short read of the journal; they never wait for the engine or for a
//! sync. An answer becomes known only after [`ResultJournal::write`] has put it on disk.

use super::{
	journal::{Record, ResultJournal},
	log_target::LOG_TARGET,
	metrics::{ExitCause, Metrics, Role},
	queue::{WorkQueue, WorkState},
	streams::Streams,
	watched_share::WatchedShare,
};
use assay_primitives::{
	host::{EnqueueResult, InferenceBackend, PollResult, ProbeResult},
	stream::{StreamToken, MAX_CHUNK_TOKENS},
	task::Answer,
	Finding, ModelId, Output, WorkId,
};
use assay_protocol::{SandboxStatus, ServedModel, Work, WorkResult};
use parking_lot::{Mutex, MutexGuard};
use rand::{rngs::OsRng, RngCore};
use serde::{Deserialize, Serialize};
use std::{
	collections::{HashMap, VecDeque},
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::sync::{watch, Notify};

/// The state of the engine's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
	/// Switched off, or its program is missing.
	Absent,
	/// Started; loads and tests the models that it found, and takes work for those that it has.
	Starting,
	/// Takes work.
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
	/// The models it serves.
	pub models: Vec<ServedModel>,
	/// The model directories that it does not serve.
	pub refused: Vec<RefusedDirectory>,
	/// What confines the engine that was last ready; none before the first.
	pub sandbox: Option<SandboxStatus>,
	/// Work items queued or being computed.
	pub queue: usize,
	/// Work items answered since the node started.
	pub done: u64,
	/// Work items given up since the node started.
	pub abstained: u64,
	/// Times the engine was started again.
	pub restarts: u64,
	/// Why it last exited or could not be started.
	pub last_error: Option<String>,
}

/// A model directory that the engine does not serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedDirectory {
	/// Its name in the directory of models.
	pub directory: String,
	/// Why, and what to do about it.
	pub reason: String,
}

/// Longest reason of a refusal that is kept, in characters.
const MAX_REASON: usize = 1_000;

struct State {
	queue: WorkQueue,
	/// Work that the engine has not answered, and when it was sent.
	in_flight: HashMap<WorkId, Instant>,
	/// Work whose cancellation has not been sent yet.
	to_cancel: VecDeque<WorkId>,
	status: EngineStatus,
}

/// Why a result is no answer to what was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolViolation {
	/// That work is not in flight.
	UnknownWork,
	/// The engine made what it was to check, or checked what it was to make.
	WrongKind,
	/// A report of progress has no tokens, or more than one may have.
	ProgressSize,
}

/// Answers the host function's calls, and feeds the engine.
pub struct Backend {
	journal: Option<ResultJournal>,
	watched: WatchedShare,
	/// The drafts that the engine makes; none if this node streams none.
	streams: Option<Arc<Streams>>,
	state: Mutex<State>,
	metrics: Metrics,
	/// Wakes the connection when there may be work to send.
	work: Notify,
	/// Counts the engine's events for the worker.
	events: watch::Sender<u64>,
}

impl Backend {
	/// Makes a backend over a journal. Without one, because it is damaged or in use, the node abstains from everything.
	/// The worker learns from it what share of the claims to watch.
	pub fn new(journal: Option<ResultJournal>, watched: WatchedShare, metrics: Metrics) -> Self {
		let status = EngineStatus {
			state: EngineState::Absent,
			models: Vec::new(),
			refused: Vec::new(),
			sandbox: None,
			queue: 0,
			done: 0,
			abstained: 0,
			restarts: 0,
			last_error: None,
		};
		let state = State {
			queue: WorkQueue::default(),
			in_flight: HashMap::new(),
			to_cancel: VecDeque::new(),
			status,
		};
		Self {
			journal,
			watched,
			streams: Some(Arc::default()),
			state: Mutex::new(state),
			metrics,
			work: Notify::new(),
			events: watch::Sender::new(0),
		}
	}

	/// Returns the same backend, which keeps no drafts.
	pub fn without_streams(self) -> Self {
		Self { streams: None, ..self }
	}

	/// Returns the drafts of this node's own answers; none if it keeps none.
	pub fn streams(&self) -> Option<Arc<Streams>> {
		self.streams.clone()
	}

	/// Returns the metrics of inference.
	pub fn metrics(&self) -> &Metrics {
		&self.metrics
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
		let State { queue, status, .. } = &mut *state;
		let (id, work) = queue.next(|model| status.serves(model))?;
		state.in_flight.insert(id, Instant::now());
		drop(state);
		if let Some(streams) = self.streams.as_ref().filter(|_| work.claim.is_none()) {
			streams.begin(&id, &work.params);
		}
		Some((id, work))
	}

	/// Takes in what the engine reports of an answer that it makes. Returns whether work in flight goes on.
	pub(super) fn progress(
		&self,
		id: &WorkId,
		first: u32,
		tokens: Vec<StreamToken>,
	) -> Result<bool, ProtocolViolation> {
		if !(1..=MAX_CHUNK_TOKENS).contains(&tokens.len()) {
			return Err(ProtocolViolation::ProgressSize);
		}
		match self.state.lock().queue.in_flight(id).map(|work| work.claim.is_some()) {
			Some(false) => {}
			Some(true) => return Err(ProtocolViolation::WrongKind),
			// It was sent before the engine received that the work is no longer needed.
			None => return Ok(false),
		}
		if let Some(streams) = &self.streams {
			streams.progress(id, first, tokens);
		}
		Ok(true)
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
		if dropped.items == 0 {
			return;
		}
		log::debug!(target: LOG_TARGET, "Dropped {} work items that are no longer needed", dropped.items);
		for id in dropped.running {
			state.in_flight.remove(&id);
			state.to_cancel.push_back(id);
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

	/// Records that the engine takes work, for which models already, and what confines it.
	pub(super) fn engine_connected(&self, models: Vec<ServedModel>, sandbox: SandboxStatus) {
		let mut state = self.state.lock();
		// Once, not at each start.
		if state.status.sandbox.replace(sandbox) != Some(sandbox) {
			log_sandbox(&sandbox);
			self.metrics.engine_sandbox(&sandbox);
		}
		models.iter().for_each(log_served);
		state.status.models = models;
		self.metrics.engine_up(true);
		self.models_changed(state);
	}

	/// Records that the engine has tried all models that were there when it was started, and returns those that it serves.
	pub(super) fn engine_ready(&self) -> Vec<ServedModel> {
		let mut state = self.state.lock();
		state.status.state = EngineState::Ready;
		let models = state.status.models.clone();
		self.models_changed(state);
		models
	}

	/// Records that the engine serves the model of a directory from now on.
	pub(super) fn model_served(&self, directory: &str, model: ServedModel) {
		log_served(&model);
		let mut state = self.state.lock();
		let EngineStatus { models, refused, .. } = &mut state.status;
		models.retain(|other| other.id != model.id);
		models.push(model);
		refused.retain(|other| other.directory != directory);
		self.models_changed(state);
	}

	/// Records that the engine serves the model of a directory no longer.
	pub(super) fn model_gone(&self, directory: &str, model: &ModelId) {
		log::info!(target: LOG_TARGET, "Serving {model} no longer: its directory {directory} is gone or has changed");
		let mut state = self.state.lock();
		state.status.models.retain(|other| other.id != *model);
		self.models_changed(state);
	}

	/// Records that the engine does not serve a directory, and logs the reason if it is not known yet.
	pub(super) fn model_refused(&self, directory: String, reason: &str) {
		let reason: String = reason.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect();
		let mut state = self.state.lock();
		let refused = &mut state.status.refused;
		let before = refused.iter().position(|other| other.directory == directory);
		let before = before.map(|at| refused.remove(at).reason);
		if before.as_ref() != Some(&reason) {
			log::error!(target: LOG_TARGET, "{directory}: not served: {reason}");
		}
		refused.push(RefusedDirectory { directory, reason });
		self.models_changed(state);
	}

	/// Forgets the refusals of directories that are gone.
	pub(super) fn forget_refused(&self, is_there: impl Fn(&str) -> bool) {
		let mut state = self.state.lock();
		state.status.refused.retain(|refused| is_there(&refused.directory));
		self.metrics.models(&state.status);
	}

	/// Draws the conclusions from a change of what the engine serves.
	fn models_changed(&self, mut state: MutexGuard<'_, State>) {
		self.metrics.models(&state.status);
		let State { queue, status, .. } = &mut *state;
		// Until then those that are missing may come.
		if status.state == EngineState::Ready {
			let forgotten = queue.forget_unserved(|model| status.serves(model));
			if forgotten > 0 {
				log::warn!(target: LOG_TARGET, "{forgotten} work items are for models that the engine does not serve");
			}
		}
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
		self.metrics.models(&state.status);
		self.metrics.exited(cause);
		for id in given_up {
			self.record_abstained(&mut state, &id, "the engine crashed each time it computed this");
		}
	}

	/// Takes a result in: journals it as the work's answer, then runs the worker. Waits for the disk.
	pub(super) fn done(&self, id: &WorkId, result: WorkResult) -> Result<(), ProtocolViolation> {
		let (work, took) = {
			let mut state = self.state.lock();
			let Some(work) = state.queue.finish(id) else {
				return if state.queue.cancelled(id) {
					Ok(())
				} else {
					Err(ProtocolViolation::UnknownWork)
				};
			};
			let took = state
				.in_flight
				.remove(id)
				.map_or(Duration::ZERO, |since| since.elapsed());
			(work, took)
		};
		match (work.claim.is_some(), result) {
			(false, WorkResult::Executed { output, trace_root }) => {
				self.answer(id, Role::Executor, Some(output), Finding::Confirm { trace_root }, took);
			}
			(true, WorkResult::Verified { finding }) => self.answer(id, Role::Verifier, None, finding, took),
			(_, WorkResult::Abstained { reason }) => self.abstain(id, &reason),
			_ => {
				self.abstain(id, "the engine's result is of the other kind");
				return Err(ProtocolViolation::WrongKind);
			}
		}
		self.work.notify_one();
		self.notify_worker();
		Ok(())
	}

	fn answer(&self, id: &WorkId, role: Role, output: Option<Output>, finding: Finding, took: Duration) {
		let Some(journal) = &self.journal else {
			return self.abstain(id, "there is no result journal");
		};
		let mut secret = [0u8; 32];
		if let Err(e) = OsRng.try_fill_bytes(&mut secret) {
			log::error!(target: LOG_TARGET, "The operating system gives no random bytes: {e}");
			return self.abstain(id, "there are no random bytes for its secret");
		}
		let record = Record {
			work: *id,
			answer: Answer {
				output,
				finding,
				secret,
			},
		};
		match journal.write(&record) {
			Ok(new) => {
				if let (Some(streams), Some(output)) = (&self.streams, &record.answer.output) {
					streams.complete(id, output);
				}
				let mut state = self.state.lock();
				state.queue.close(id);
				state.status.done = state.status.done.saturating_add(1);
				self.metrics.open(state.queue.open());
				if new {
					self.metrics.journaled();
				}
				self.metrics.done(role, took);
				log::debug!(target: LOG_TARGET, "Work {id}: {role:?} done in {took:.1?}, result on disk");
			}
			Err(e) => {
				log::error!(target: LOG_TARGET, "{e}");
				self.abstain(id, "its result could not be put on disk");
			}
		}
	}

	fn abstain(&self, id: &WorkId, why: &str) {
		let mut state = self.state.lock();
		state.queue.abstain(id);
		self.record_abstained(&mut state, id, why);
	}

	fn record_abstained(&self, state: &mut State, id: &WorkId, why: &str) {
		if let Some(streams) = &self.streams {
			streams.give_up(id);
		}
		state.status.abstained = state.status.abstained.saturating_add(1);
		state.status.last_error = Some(why.to_owned());
		self.metrics.abstained();
		self.metrics.open(state.queue.open());
		log::warn!(target: LOG_TARGET, "Work {id}: abstained: {why}");
	}

	fn notify_worker(&self) {
		self.events.send_modify(|n| *n = n.wrapping_add(1));
	}
}

impl EngineStatus {
	fn serves(&self, model: &ModelId) -> bool {
		self.models.iter().any(|served| served.id == *model)
	}
}

fn log_served(model: &ServedModel) {
	log::info!(
		target: LOG_TARGET,
		"Serving {} {} ({} parameters, loaded and tested in {} ms)", model.name, model.id, model.parameters, model.load_ms,
	);
}

fn log_sandbox(sandbox: &SandboxStatus) {
	if sandbox.is_confined() {
		log::info!(
			target: LOG_TARGET,
			"The engine is confined (Landlock {:?}, seccomp {:?})", sandbox.landlock, sandbox.seccomp,
		);
	} else {
		log::warn!(
			target: LOG_TARGET,
			"The engine is not confined: {} not in force. A fault in it could reach this node's keys and journal; \
			 docs/operator.md tells what the sandbox needs, and `--engine-sandbox require` accepts no engine without it",
			sandbox.missing(),
		);
	}
}

impl InferenceBackend for Backend {
	fn enqueue(&self, work: Work) -> EnqueueResult {
		let id = work.id();
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
			EngineState::Ready if !state.status.serves(&work.model) => return EnqueueResult::Abstained,
			_ => {}
		}
		// Another worker thread may have brought it, or the engine answered it, since the poll above.
		match state.queue.poll(&id) {
			Some(WorkState::Open) => return EnqueueResult::Pending,
			Some(WorkState::Abstained) => return EnqueueResult::Abstained,
			None if self.journal.as_ref().is_some_and(|j| j.contains(&id)) => return EnqueueResult::Pending,
			None => {}
		}
		if !state.queue.push(id, work) {
			return EnqueueResult::Busy;
		}
		self.metrics.open(state.queue.open());
		drop(state);
		self.work.notify_one();
		EnqueueResult::Pending
	}

	fn poll(&self, work: &WorkId) -> PollResult {
		let Some(journal) = &self.journal else {
			return PollResult::Abstained;
		};
		match journal.get(work) {
			Ok(Some(answer)) => return PollResult::Ready(answer),
			Ok(None) => {}
			Err(e) => {
				log::error!(target: LOG_TARGET, "{e}");
				return PollResult::Abstained;
			}
		}
		match self.state.lock().queue.poll(work) {
			Some(WorkState::Open) => PollResult::Pending,
			Some(WorkState::Abstained) => PollResult::Abstained,
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
			_ if state.status.serves(model) => ProbeResult::Serving,
			EngineState::Starting | EngineState::Restarting => ProbeResult::Pending,
			EngineState::Ready => ProbeResult::Abstained,
		}
	}

	fn watch_permille(&self) -> u32 {
		self.watched.permille()
	}
}

#[cfg(test)]
mod tests;
