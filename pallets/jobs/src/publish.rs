//! The message of executors: authorized in the pool, checked again in the block.
//!
//! One set of checks serves both, so that a message is refused with the same error in both places.

use crate::*;
use assay_primitives::{
	crypto::InferenceSignature,
	digest::output_hash,
	message::{self, refusal},
	rules::{check_work, generation_work},
	state::Trigger,
	traits::{Claims, NewClaim, ProviderSet},
};
use frame_support::{ensure, pallet_prelude::*};
use sp_runtime::{traits::UniqueSaturatedInto, RuntimeAppPublic};

/// Priority of a publication that was made at block 0; at block n it is n more. Publications go before paid
/// transactions: there are few, and a verdict waits for each. One that repeats another at a later block must outweigh
/// it, or the pool, which admits no two messages with one tag, would keep the older one; and that may be known, and
/// banned, where it was refused.
const PRIORITY: TransactionPriority = 1 << 58;

impl<T: Config> Pallet<T> {
	pub(crate) fn authorize_publish(
		_source: TransactionSource,
		publication: &PublicationOf<T>,
		signature: &InferenceSignature,
	) -> TransactionValidityWithRefund {
		Self::check_publication(publication)
			.and_then(|_| Self::check_signature(publication, signature))
			.map_err(refusal)?;
		let made_at: u64 = publication.at.unique_saturated_into();
		let left = Self::blocks_left(publication).unwrap_or(0);
		let tag = (T::GenesisHash::get(), publication.claim);
		let valid = message::valid("AssayPublish", PRIORITY.saturating_add(made_at), left, [tag]);
		Ok((valid, Weight::zero()))
	}

	fn blocks_left(publication: &PublicationOf<T>) -> Option<u32> {
		message::blocks_left(frame_system::Pallet::<T>::block_number(), publication.at)
	}

	/// Checks everything but the signature, what costs least first. Returns the job.
	fn check_publication(publication: &PublicationOf<T>) -> Result<JobOf<T>, Error<T>> {
		ensure!(Self::blocks_left(publication).is_some(), Error::<T>::StaleMessage);
		let job = Jobs::<T>::get(publication.job).ok_or(Error::<T>::UnknownJob)?;
		let engagement = job.engagement.as_ref().ok_or(Error::<T>::WrongClaim)?;
		ensure!(engagement.claim == publication.claim, Error::<T>::WrongClaim);
		ensure!(engagement.executor == publication.executor, Error::<T>::NotExecutor);
		ensure!(job.answer.is_none(), Error::<T>::AlreadyPublished);
		ensure!(
			publication.output.tokens.len() <= job.params.max_tokens as usize
				&& publication.output.text.len() <= job.params.max_text_bytes() as usize,
			Error::<T>::OutputTooLong
		);
		ensure!(
			core::str::from_utf8(&publication.output.text).is_ok(),
			Error::<T>::OutputNotUtf8
		);
		Ok(job)
	}

	fn check_signature(publication: &PublicationOf<T>, signature: &InferenceSignature) -> Result<(), Error<T>> {
		let key = T::Providers::key_of(&publication.executor).ok_or(Error::<T>::NoInferenceKey)?;
		let message = publication.message(&T::GenesisHash::get());
		ensure!(key.verify(&message, signature), Error::<T>::BadSignature);
		Ok(())
	}

	pub(crate) fn do_publish(publication: PublicationOf<T>) -> DispatchResult {
		let mut job = Self::check_publication(&publication)?;
		let Publication {
			executor,
			claim,
			job: id,
			output,
			seal,
			at: _,
		} = publication;
		let output = output.bounded().ok_or(Error::<T>::OutputTooLong)?;
		let drawn = job.engagement.as_ref().ok_or(Error::<T>::WrongClaim)?.drawn;
		let trigger = if job.verifiers == 0 {
			Trigger::PublishedUnchecked
		} else {
			Trigger::Published
		};
		ensure!(job.step(trigger), Error::<T>::AlreadyPublished);

		let record = job.record(&output);
		let reckoned = generation_work(job.input_ceiling, job.output_ceiling);
		let needed = generation_work(record.input_tokens, record.output_tokens);
		T::Providers::release(&executor, reckoned.saturating_sub(needed));
		if T::Providers::heartbeat_due(&executor) {
			T::Providers::mark_alive(&executor);
		}
		let output_hash = output_hash(&output);
		T::Claims::publish(NewClaim {
			id: claim,
			origin: id,
			requester: job.requester.clone(),
			model: job.model,
			attempt: job.attempt,
			executor: executor.clone(),
			drawn,
			output_hash,
			seal,
			verifiers: job.verifiers,
			work: check_work(record.input_tokens, record.output_tokens),
			seat_fee: job.check_fee(&T::Params::get().rates, &record),
		})?;
		Outputs::<T>::insert(id, output);
		job.answer = Some(Answer { output_hash, record });
		Self::deposit_event(Event::Published {
			job: id,
			claim,
			executor,
			output_hash,
		});
		Jobs::<T>::insert(id, job);
		Ok(())
	}
}
