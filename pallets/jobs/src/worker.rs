//! The offchain worker: carries executors' work to the engine and its answers to the chain, and returns at once.
//!
//! It runs on each new best block and may run again for the same one; what it does depends only on chain state, on what
//! the engine returns, and on a log of what it sent lately. A publication counts as sent only when state shows its
//! effect: until then it is sent again at each block, with that block's number in it. So it is a new transaction to pools
//! that refused the last one, as a peer does that has not imported the block yet, and it outweighs and replaces the last
//! one where that still waits.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	crypto::InferenceId,
	offchain::{ask_engine, EngineReply, SentLog, RESEND_AFTER, WARN_AGAIN_AFTER},
	task::Answer,
	traits::{ClaimSource, ProviderSet},
	ClaimId, Finding, Hash32, JobId, State, Work,
};
use codec::Encode;
use frame_support::traits::Get;
use frame_system::{offchain::SubmitTransaction, pallet_prelude::BlockNumberFor};
use sp_runtime::{traits::UniqueSaturatedInto, RuntimeAppPublic};

const LOG_TARGET: &str = "assay::worker";

/// Jobs of one provider that one run processes.
const MAX_JOBS_PER_RUN: usize = 64;

/// Runs the worker for every provider whose inference key this node holds.
pub(crate) fn run<T: Config>(now: BlockNumberFor<T>) {
	let workers: Vec<_> = InferenceId::all()
		.into_iter()
		.filter_map(|key| T::Providers::owner_of(&key).map(|who| (key, who)))
		.collect();
	if workers.is_empty() {
		return;
	}
	let duties: Vec<_> = Due::<T>::iter_values().flatten().collect();
	for (key, who) in workers {
		let mine = duties.iter().filter(|duty| duty.executor == who).map(|duty| duty.job);
		let genesis = T::GenesisHash::get();
		let log = (b"assay/worker/jobs", genesis, &who).encode();
		let worker = Worker::<T> {
			key,
			who: who.clone(),
			now,
			genesis,
			log,
		};
		mine.take(MAX_JOBS_PER_RUN).for_each(|id| worker.process(&id));
	}
}

/// One run for one provider.
struct Worker<T: Config> {
	key: InferenceId,
	who: T::AccountId,
	now: BlockNumberFor<T>,
	genesis: Hash32,
	/// The name of the log of what was sent lately.
	log: Vec<u8>,
}

impl<T: Config> Worker<T> {
	/// Does what one job requires of this provider now.
	fn process(&self, id: &JobId) {
		let Some(job) = Jobs::<T>::get(id).filter(|job| job.state == State::Executing) else {
			return;
		};
		let Some(engagement) = job.engagement.filter(|engagement| engagement.executor == self.who) else {
			return;
		};
		let Some(work) = <Pallet<T> as ClaimSource<_, _>>::work(id, false) else {
			return;
		};
		if let Some(answer) = self.ask(id, &work) {
			self.publish(id, engagement.claim, answer);
		}
	}

	/// Returns the engine's answer, if it has one.
	fn ask(&self, id: &JobId, work: &Work) -> Option<Answer> {
		match ask_engine(work) {
			EngineReply::Ready(answer) => return Some(answer),
			EngineReply::Pending => (),
			EngineReply::Abstained if self.should_send((b"abstained", id), WARN_AGAIN_AFTER) => log::warn!(
				target: LOG_TARGET,
				"Job {id}: the engine abstains, so this provider publishes nothing and will be fined. Its log has the \
				 reason; is model {} installed?",
				work.model
			),
			EngineReply::Missing if self.should_send(b"no engine", WARN_AGAIN_AFTER) => log::warn!(
				target: LOG_TARGET,
				"Job {id}: this node has no engine, so this provider publishes nothing and will be fined"
			),
			EngineReply::Abstained | EngineReply::Missing => (),
		}
		None
	}

	fn publish(&self, id: &JobId, claim: ClaimId, answer: Answer) {
		let (Some(output), Finding::Confirm { trace_root }) = (answer.output, answer.finding) else {
			if self.should_send((b"no output", id), WARN_AGAIN_AFTER) {
				log::warn!(target: LOG_TARGET, "Job {id}: the engine's result is not an executor's");
			}
			return;
		};
		if !self.should_send((b"publish", claim), RESEND_AFTER) {
			return;
		}
		let publication = Publication {
			executor: self.who.clone(),
			claim,
			job: *id,
			output: output.into(),
			seal: claim.seal(&self.who, &claim.bind(&trace_root)),
			at: self.now,
		};
		let Some(signature) = self.key.sign(&publication.message(&self.genesis)) else {
			log::error!(target: LOG_TARGET, "The keystore could not sign with inference key {:?}", self.key);
			return;
		};
		let call = Call::publish { publication, signature };
		let transaction = T::create_authorized_transaction(call.into());
		if SubmitTransaction::<T, Call<T>>::submit_transaction(transaction).is_ok() {
			log::info!(target: LOG_TARGET, "Job {id}: published an answer");
		} else {
			log::warn!(target: LOG_TARGET, "Job {id}: the pool refused the answer; if it still applies it is sent again");
		}
	}

	/// Returns whether this was not sent (or logged) in the last `pause` blocks, and records it as sent now.
	fn should_send(&self, what: impl Encode, pause: u32) -> bool {
		SentLog::should_send(&self.log, &what, self.now.unique_saturated_into(), pause)
	}
}
