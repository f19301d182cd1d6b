//! The offchain worker: carries tasks to the engine and the engine's answers to the chain, and returns at once.
//!
//! It runs on each new best block and may run again for the same one; what it does depends only on chain state, on what
//! the engine returns, and on a log of what it sent lately. A message counts as sent only when state shows its effect:
//! until then it is sent again at each block, with that block's number in it. So it is a new transaction to pools that
//! refused the last one, as a peer does that has not imported the block yet, and it outweighs and replaces the last one
//! where that still waits.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	crypto::{InferenceId, InferenceSignature},
	host::{self, EnqueueResult, PollResult, ProbeResult},
	limits::MAX_BATCH,
	task::Answer,
	traits::ProviderSet,
	Commitment, Hash32, JobId, Task, TaskId, Work,
};
use codec::{Decode, Encode};
use frame_support::{
	traits::{ConstU32, Get},
	BoundedVec,
};
use frame_system::{offchain::SubmitTransaction, pallet_prelude::BlockNumberFor};
use sp_runtime::{
	offchain::storage::StorageValueRef,
	traits::{BlakeTwo256, Hash, UniqueSaturatedInto},
	RuntimeAppPublic,
};

const LOG_TARGET: &str = "assay::worker";

/// Jobs of one provider that one run processes.
const MAX_JOBS_PER_RUN: usize = 64;
/// Models of one provider of which one must be loaded for a heartbeat.
const MAX_MODELS_PROBED: usize = 16;
/// Blocks after which a message without effect is sent again: a phase has few blocks, and each one lost delays a
/// verdict.
const RESEND_AFTER: u32 = 1;
/// Blocks after which a heartbeat without effect is sent again: nothing waits for it.
const HEARTBEAT_RESEND_AFTER: u32 = 3;
/// Blocks after which a warning is repeated: an hour.
const WARN_AGAIN_AFTER: u32 = 1_200;
/// The most entries in the log of a provider's worker.
const MAX_SENT_LOG: usize = 512;

/// Runs the worker for every provider whose inference key this node holds.
pub(crate) fn run<T: Config>(now: BlockNumberFor<T>) {
	for key in InferenceId::all() {
		if let Some(who) = T::Providers::owner_of(&key) {
			Worker::<T> {
				key,
				who,
				now,
				genesis: T::GenesisHash::get(),
			}
			.run();
		}
	}
}

/// Returns a provider's account in 32 bytes, as tasks name it.
fn voter_bytes<AccountId: Encode>(who: &AccountId) -> [u8; 32] {
	let bytes = who.encode();
	<[u8; 32]>::try_from(bytes.as_slice()).unwrap_or_else(|_| BlakeTwo256::hash(&bytes).0)
}

/// One run for one provider.
struct Worker<T: Config> {
	key: InferenceId,
	who: T::AccountId,
	now: BlockNumberFor<T>,
	genesis: Hash32,
}

/// The messages of a provider that are due now, sent lately or not.
struct Outbox<T: Config> {
	publications: Vec<PublicationOf<T>>,
	commits: Vec<CommitItem>,
	reveals: Vec<RevealItem>,
}

impl<T: Config> Worker<T> {
	fn run(&self) {
		let mut outbox = Outbox::<T> {
			publications: Vec::new(),
			commits: Vec::new(),
			reveals: Vec::new(),
		};
		for (id, ()) in Assignments::<T>::iter_prefix(&self.who).take(MAX_JOBS_PER_RUN) {
			if let Some(job) = Jobs::<T>::get(id) {
				self.process_job(&id, &job, &mut outbox);
			}
		}
		if !self.send(outbox) {
			self.heartbeat();
		}
	}

	/// Does what one job requires of this provider now.
	fn process_job(&self, id: &JobId, job: &JobOf<T>, outbox: &mut Outbox<T>) {
		let Some(seat) = job.seat(&self.who) else { return };
		let executes = job.executor() == Some(&self.who);
		let must_act = match job.phase {
			Phase::Drawing { .. } => false,
			Phase::Executing => executes,
			Phase::Committing => seat.commitment.is_none(),
			Phase::Revealing => seat.commitment.is_some() && seat.vote.is_none(),
		};
		if !must_act {
			return;
		}
		let Some(task) = self.task(id, job, executes) else {
			return;
		};
		let Some(answer) = self.poll_engine(&task) else { return };
		let commitment = Commitment::new(&self.genesis, id, job.attempt, &self.who, &answer.vote, &answer.salt);
		let (job_id, attempt) = (*id, job.attempt);
		match (job.phase, answer.output) {
			(Phase::Executing, Some(output)) => outbox.publications.push(Publication {
				voter: self.who.clone(),
				job: job_id,
				attempt,
				output,
				commitment,
				at: self.now,
			}),
			(Phase::Committing, _) => outbox.commits.push(CommitItem {
				job: job_id,
				attempt,
				commitment,
			}),
			(Phase::Revealing, _) if seat.commitment == Some(commitment) => outbox.reveals.push(RevealItem {
				job: job_id,
				attempt,
				vote: answer.vote,
				salt: answer.salt,
			}),
			(Phase::Revealing, _) if self.should_send((b"opening", id, attempt).encode(), WARN_AGAIN_AFTER) => {
				log::warn!(
					target: LOG_TARGET,
					"Job {id}: the engine's answer does not open the commitment on chain. Was its journal lost, or does another \
					node use this inference key?"
				)
			}
			_ => (),
		}
	}

	fn task(&self, id: &JobId, job: &JobOf<T>, executes: bool) -> Option<Task> {
		Some(Task {
			genesis: self.genesis,
			job: *id,
			attempt: job.attempt,
			voter: voter_bytes(&self.who),
			work: Work {
				model: job.model,
				input: Inputs::<T>::get(id)?,
				params: job.params.clone(),
				seed: job.seed.as_ref()?.value,
				claim: if executes { None } else { Some(Outputs::<T>::get(id)?) },
			},
		})
	}

	/// Returns the engine's answer, if it has one. Hands over the task if it is new.
	fn poll_engine(&self, task: &Task) -> Option<Answer> {
		let id = task.id();
		match host::poll(&id) {
			PollResult::Ready(answer) => return Some(answer),
			PollResult::Unknown => match host::enqueue(task) {
				EnqueueResult::Abstained => self.warn_of_abstention(task, &id),
				EnqueueResult::NotAvailable => self.warn_of_missing_engine(task),
				EnqueueResult::Pending | EnqueueResult::Busy | EnqueueResult::Done => (),
			},
			PollResult::Abstained => self.warn_of_abstention(task, &id),
			PollResult::NotAvailable => self.warn_of_missing_engine(task),
			PollResult::Pending => (),
		}
		None
	}

	fn warn_of_abstention(&self, task: &Task, id: &TaskId) {
		if self.should_send((b"abstained", id).encode(), WARN_AGAIN_AFTER) {
			log::warn!(
				target: LOG_TARGET,
				"Job {}: the engine abstains, so this provider does not vote. Its log has the reason; is model {} \
				 installed?",
				task.job,
				task.work.model
			);
		}
	}

	fn warn_of_missing_engine(&self, task: &Task) {
		if self.should_send(b"no engine".encode(), WARN_AGAIN_AFTER) {
			log::warn!(target: LOG_TARGET, "Job {}: this node has no engine, so this provider does not vote", task.job);
		}
	}

	/// Sends what was not sent lately. Returns whether there is any message, which makes a heartbeat unnecessary.
	fn send(&self, outbox: Outbox<T>) -> bool {
		let Outbox {
			publications,
			commits,
			reveals,
		} = outbox;
		let has_messages = !(publications.is_empty() && commits.is_empty() && reveals.is_empty());
		for publication in publications {
			if self.should_send(
				(b"publish", publication.job, publication.attempt).encode(),
				RESEND_AFTER,
			) {
				let message = publication.message(&self.genesis);
				let job = publication.job;
				self.submit(&message, "publication", |signature| Call::publish {
					publication,
					signature,
				});
				log::info!(target: LOG_TARGET, "Job {job}: published an answer");
			}
		}
		let commitments = self.unsent(commits, |item| (b"commit", item.job, item.attempt).encode());
		let reveals = self.unsent(reveals, |item| (b"reveal", item.job, item.attempt).encode());
		if !(commitments.is_empty() && reveals.is_empty()) {
			self.submit_batch(Batch {
				voter: self.who.clone(),
				at: self.now,
				commitments,
				reveals,
			});
		}
		has_messages
	}

	/// Returns the items that were not sent lately, as many as fit a batch.
	fn unsent<Item>(&self, items: Vec<Item>, name: impl Fn(&Item) -> Vec<u8>) -> BoundedVec<Item, ConstU32<MAX_BATCH>> {
		let mut unsent = BoundedVec::new();
		for item in items {
			if unsent.is_full() {
				break;
			}
			if self.should_send(name(&item), RESEND_AFTER) {
				let _ = unsent.try_push(item);
			}
		}
		unsent
	}

	/// Sends an empty batch if a heartbeat is due and the engine can work.
	fn heartbeat(&self) {
		if !T::Providers::heartbeat_due(&self.who) {
			return;
		}
		let models = T::Providers::serves(&self.who);
		let serving = models
			.iter()
			.take(MAX_MODELS_PROBED)
			.any(|model| host::probe(model) == ProbeResult::Serving);
		if serving && self.should_send(b"alive".encode(), HEARTBEAT_RESEND_AFTER) {
			let (commitments, reveals) = Default::default();
			self.submit_batch(Batch {
				voter: self.who.clone(),
				at: self.now,
				commitments,
				reveals,
			});
		}
	}

	fn submit_batch(&self, batch: BatchOf<T>) {
		log::debug!(
			target: LOG_TARGET,
			"{:?}: {} commitments, {} reveals at block {:?}",
			batch.voter,
			batch.commitments.len(),
			batch.reveals.len(),
			batch.at
		);
		let message = batch.message(&self.genesis);
		self.submit(&message, "batch of votes", |signature| Call::vote { batch, signature });
	}

	fn submit(&self, message: &[u8], what: &str, call: impl FnOnce(InferenceSignature) -> Call<T>) {
		let Some(signature) = self.key.sign(&message) else {
			log::error!(target: LOG_TARGET, "The keystore could not sign a {what} with inference key {:?}", self.key);
			return;
		};
		let transaction = T::create_authorized_transaction(call(signature).into());
		if SubmitTransaction::<T, Call<T>>::submit_transaction(transaction).is_err() {
			log::warn!(target: LOG_TARGET, "The pool refused a {what}; if it still applies it is sent again");
		}
	}

	/// Returns whether this was not sent (or logged) in the last `pause` blocks, and records it as sent now.
	///
	/// Runs may overlap: only the one that writes the record may send.
	fn should_send(&self, what: Vec<u8>, pause: u32) -> bool {
		let name = BlakeTwo256::hash(&what).0;
		let now: u32 = self.now.unique_saturated_into();
		let key = (b"assay/worker", self.genesis, &self.who).encode();
		StorageValueRef::persistent(&key)
			.mutate::<SentLog, (), _>(|stored| {
				stored
					.ok()
					.flatten()
					.unwrap_or_default()
					.record(name, now, pause)
					.ok_or(())
			})
			.is_ok()
	}
}

/// Hashes of what was sent, each with its block.
#[derive(Default, Encode, Decode)]
struct SentLog(Vec<(Hash32, u32)>);

impl SentLog {
	/// Returns the log with a new entry, or `None` if the same was sent less than `pause` blocks ago.
	///
	/// An entry from a later block was made on a fork that is gone.
	fn record(mut self, name: Hash32, now: u32, pause: u32) -> Option<Self> {
		let sent_lately = |at: u32, pause: u32| now.checked_sub(at).is_some_and(|age| age < pause);
		if self.0.iter().any(|(sent, at)| *sent == name && sent_lately(*at, pause)) {
			return None;
		}
		self.0
			.retain(|(sent, at)| *sent != name && sent_lately(*at, WARN_AGAIN_AFTER));
		let surplus = self.0.len().saturating_add(1).saturating_sub(MAX_SENT_LOG);
		self.0.drain(..surplus.min(self.0.len()));
		self.0.push((name, now));
		Some(self)
	}
}
