//! The offchain worker: carries tasks to the engine and the engine's answers to the chain, and returns at once.
//!
//! It runs on each new best block and may run again for the same one; what it does depends only on chain state, on what the
//! engine says, and on a note of what it sent lately. A message counts as sent only when state shows its effect: until then it is
//! sent again at each block, with that block's number in it. So it is a new transaction to pools that refused the last one, as a peer
//! does that has not seen the block yet, and it outweighs and replaces the last one where that still waits.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	crypto::InferenceId,
	host::{self, Polled},
	limits::MAX_BATCH,
	task::Answer,
	traits::ProviderSet,
	Commitment, Hash32, JobId, Task, Work,
};
use codec::{Decode, Encode};
use frame_support::{traits::ConstU32, BoundedVec};
use frame_system::{offchain::SubmitTransaction, pallet_prelude::BlockNumberFor};
use sp_runtime::{
	offchain::storage::StorageValueRef,
	traits::{BlakeTwo256, Hash, UniqueSaturatedInto},
	RuntimeAppPublic,
};

/// Log target of the worker.
pub const LOG: &str = "assay::worker";

/// Jobs of one provider that one run looks at.
const MAX_JOBS_PER_RUN: usize = 64;
/// Models of one provider of which one must be loaded for a heartbeat.
const MAX_MODELS_PROBED: usize = 16;
/// Blocks after which a message without effect is sent again: a phase has few blocks, and each one lost delays a verdict.
const RESEND_AFTER: u32 = 1;
/// Blocks after which a sign of life without effect is sent again: nothing waits for it.
const HEARTBEAT_AGAIN_AFTER: u32 = 3;
/// Blocks after which a warning is repeated: an hour.
const WARN_AGAIN_AFTER: u32 = 1_200;
/// Notes that a provider's worker keeps.
const MAX_NOTES: usize = 512;

/// A provider's account in 32 bytes, as tasks name it.
pub fn voter_bytes<AccountId: Encode>(who: &AccountId) -> Hash32 {
	let bytes = who.encode();
	Hash32::try_from(bytes.as_slice()).unwrap_or_else(|_| BlakeTwo256::hash(&bytes).0)
}

/// Runs the worker for every provider whose inference key this node holds.
pub fn run<T: Config>(now: BlockNumberFor<T>) {
	for key in InferenceId::all() {
		if let Some(who) = T::Providers::owner_of(&key) {
			Worker::<T> {
				key,
				who,
				now,
				genesis: Pallet::<T>::genesis(),
			}
			.run();
		}
	}
}

struct Worker<T: Config> {
	key: InferenceId,
	who: T::AccountId,
	now: BlockNumberFor<T>,
	genesis: Hash32,
}

/// What a provider has to say.
struct Sayings<T: Config> {
	publications: Vec<PublicationOf<T>>,
	commits: Vec<CommitItem>,
	reveals: Vec<RevealItem>,
}

impl<T: Config> Worker<T> {
	fn run(&self) {
		let mut sayings = Sayings::<T> {
			publications: Vec::new(),
			commits: Vec::new(),
			reveals: Vec::new(),
		};
		for (id, ()) in Assignments::<T>::iter_prefix(&self.who).take(MAX_JOBS_PER_RUN) {
			if let Some(job) = Jobs::<T>::get(id) {
				self.attend(&id, &job, &mut sayings);
			}
		}
		if !self.say(sayings) {
			self.heartbeat();
		}
	}

	/// Does what one job asks of this provider now.
	fn attend(&self, id: &JobId, job: &JobOf<T>, sayings: &mut Sayings<T>) {
		let Some(seat) = job.seat(&self.who) else { return };
		let executes = job.executor() == Some(&self.who);
		let owes_word = match job.phase {
			Phase::Drawing { .. } => false,
			Phase::Executing => executes,
			Phase::Committing => seat.commitment.is_none(),
			Phase::Revealing => seat.commitment.is_some() && seat.vote.is_none(),
		};
		if !owes_word {
			return;
		}
		let Some(task) = self.task(id, job, executes) else {
			return;
		};
		let Some(answer) = self.ask(&task) else { return };
		let commitment = Commitment::new(&self.genesis, id, job.attempt, &self.who, &answer.vote, &answer.salt);
		let (job_id, attempt) = (*id, job.attempt);
		match (job.phase, answer.output) {
			(Phase::Executing, Some(output)) => sayings.publications.push(Publication {
				voter: self.who.clone(),
				job: job_id,
				attempt,
				output,
				commitment,
				at: self.now,
			}),
			(Phase::Committing, _) => sayings.commits.push(CommitItem {
				job: job_id,
				attempt,
				commitment,
			}),
			(Phase::Revealing, _) if seat.commitment == Some(commitment) => sayings.reveals.push(RevealItem {
				job: job_id,
				attempt,
				vote: answer.vote,
				salt: answer.salt,
			}),
			(Phase::Revealing, _) if self.may_say((b"opening", id, attempt).encode(), WARN_AGAIN_AFTER) => log::warn!(
				target: LOG,
				"job {id}: the engine's answer does not open the commitment on chain. Was its journal lost, or does another \
				node use this inference key?"
			),
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

	/// The engine's answer, if it has one; else hands it the task, if it is new.
	fn ask(&self, task: &Task) -> Option<Answer> {
		let task_id = task.id();
		let polled = match host::poll(&task_id) {
			Polled::Unknown => host::enqueue(task),
			known => known,
		};
		match polled {
			// The engine had it before it was asked: the answer is on disk.
			Polled::Ready(answer) => return Some(answer),
			Polled::Abstained if self.may_say((b"abstained", task_id).encode(), WARN_AGAIN_AFTER) => log::warn!(
				target: LOG,
				"job {}: the engine abstains, so this provider does not vote. Its log says why; is model {} installed?",
				task.job,
				task.work.model
			),
			Polled::NotAvailable if self.may_say(b"no engine".encode(), WARN_AGAIN_AFTER) => {
				log::warn!(target: LOG, "job {}: this node has no engine, so this provider does not vote", task.job)
			}
			_ => (),
		}
		None
	}

	/// Sends what was not sent lately. Returns whether a sign of life is under way.
	fn say(&self, sayings: Sayings<T>) -> bool {
		let Sayings {
			publications,
			commits,
			reveals,
		} = sayings;
		let talks = !(publications.is_empty() && commits.is_empty() && reveals.is_empty());
		for publication in publications {
			if self.may_say(
				(b"publish", publication.job, publication.attempt).encode(),
				RESEND_AFTER,
			) {
				let message = publication.message(&self.genesis);
				let job = publication.job;
				self.submit(&message, "publication", |signature| Call::publish {
					publication,
					signature,
				});
				log::info!(target: LOG, "job {job}: published an answer");
			}
		}
		let commitments = self.fresh(commits, |item| (b"commit", item.job, item.attempt).encode());
		let reveals = self.fresh(reveals, |item| (b"reveal", item.job, item.attempt).encode());
		if !(commitments.is_empty() && reveals.is_empty()) {
			self.submit_batch(Batch {
				voter: self.who.clone(),
				at: self.now,
				commitments,
				reveals,
			});
		}
		talks
	}

	/// The items that were not sent lately, as many as fit a batch.
	fn fresh<Item>(&self, items: Vec<Item>, name: impl Fn(&Item) -> Vec<u8>) -> BoundedVec<Item, ConstU32<MAX_BATCH>> {
		let mut fresh = BoundedVec::new();
		for item in items {
			if fresh.is_full() {
				break;
			}
			if self.may_say(name(&item), RESEND_AFTER) {
				let _ = fresh.try_push(item);
			}
		}
		fresh
	}

	/// Says "I am alive" if the chain would like to hear it and the engine can work.
	fn heartbeat(&self) {
		if !T::Providers::heartbeat_due(&self.who) {
			return;
		}
		let models = T::Providers::serves(&self.who);
		let serving = models
			.iter()
			.take(MAX_MODELS_PROBED)
			.any(|model| host::probe(model) == Polled::Serving);
		if serving && self.may_say(b"alive".encode(), HEARTBEAT_AGAIN_AFTER) {
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
			target: LOG,
			"{:?}: {} commitments, {} reveals at block {:?}",
			batch.voter,
			batch.commitments.len(),
			batch.reveals.len(),
			batch.at
		);
		let message = batch.message(&self.genesis);
		self.submit(&message, "batch of votes", |signature| Call::vote { batch, signature });
	}

	fn submit(
		&self,
		message: &[u8],
		what: &str,
		call: impl FnOnce(assay_primitives::crypto::InferenceSignature) -> Call<T>,
	) {
		let Some(signature) = self.key.sign(&message) else {
			log::error!(target: LOG, "the keystore could not sign a {what} with inference key {:?}", self.key);
			return;
		};
		let transaction = T::create_authorized_transaction(call(signature).into());
		if SubmitTransaction::<T, Call<T>>::submit_transaction(transaction).is_err() {
			log::warn!(target: LOG, "the pool refused a {what}; if it still applies it is sent again");
		}
	}

	/// Whether this was not said in the last `pause` blocks; notes that it is said now.
	///
	/// Runs may overlap: only the one that writes the note may speak.
	fn may_say(&self, what: Vec<u8>, pause: u32) -> bool {
		let name = BlakeTwo256::hash(&what).0;
		let now: u32 = self.now.unique_saturated_into();
		let key = (b"assay/worker", self.genesis, &self.who).encode();
		StorageValueRef::persistent(&key)
			.mutate::<Notes, (), _>(|stored| {
				stored
					.ok()
					.flatten()
					.unwrap_or_default()
					.note(name, now, pause)
					.ok_or(())
			})
			.is_ok()
	}
}

/// What was said, and at which block.
#[derive(Default, Encode, Decode)]
struct Notes(Vec<(Hash32, u32)>);

impl Notes {
	/// The notes with a new one, or none if the same was said less than `pause` blocks ago.
	///
	/// A note from a later block was made on a fork that is gone.
	fn note(mut self, name: Hash32, now: u32, pause: u32) -> Option<Self> {
		let said_lately = |at: u32, pause: u32| now.checked_sub(at).is_some_and(|age| age < pause);
		if self.0.iter().any(|(said, at)| *said == name && said_lately(*at, pause)) {
			return None;
		}
		self.0
			.retain(|(said, at)| *said != name && said_lately(*at, WARN_AGAIN_AFTER));
		let surplus = self.0.len().saturating_add(1).saturating_sub(MAX_NOTES);
		self.0.drain(..surplus.min(self.0.len()));
		self.0.push((name, now));
		Some(self)
	}
}
