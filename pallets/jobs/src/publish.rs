//! The message of executors: authorized in the pool, checked again in the block.
//!
//! One set of checks serves both, so that a message is refused with the same error in both places.

use crate::*;
use assay_primitives::{
	crypto::InferenceSignature,
	digest::output_hash,
	receipt::AnswerRecord,
	rules::check_work,
	state::Trigger,
	traits::{Claims, NewClaim, ProviderSet},
};
use codec::Encode;
use frame_support::{ensure, pallet_prelude::*};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{
	traits::{Saturating, UniqueSaturatedInto},
	RuntimeAppPublic,
};

/// Blocks for which a message stays valid.
pub(crate) const LONGEVITY: u32 = 16;

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
			.map_err(refuse)?;
		let made_at: u64 = publication.at.unique_saturated_into();
		let left = LONGEVITY.saturating_sub(Self::age(publication.at));
		let valid = ValidTransaction::with_tag_prefix("AssayPublish")
			.priority(PRIORITY.saturating_add(made_at))
			.longevity(left.max(1).into())
			.and_provides((T::GenesisHash::get(), publication.claim))
			.propagate(true)
			.into();
		Ok((valid, Weight::zero()))
	}

	fn age(at: BlockNumberFor<T>) -> u32 {
		frame_system::Pallet::<T>::block_number()
			.saturating_sub(at)
			.unique_saturated_into()
	}

	/// Checks everything but the signature, what costs least first. Returns the job.
	fn check_publication(publication: &PublicationOf<T>) -> Result<JobOf<T>, Error<T>> {
		ensure!(
			publication.at <= frame_system::Pallet::<T>::block_number() && Self::age(publication.at) <= LONGEVITY,
			Error::<T>::StaleMessage
		);
		let job = Jobs::<T>::get(publication.job).ok_or(Error::<T>::UnknownJob)?;
		let engagement = job.engagement.as_ref().ok_or(Error::<T>::WrongClaim)?;
		ensure!(engagement.claim == publication.claim, Error::<T>::WrongClaim);
		ensure!(engagement.executor == publication.executor, Error::<T>::NotExecutor);
		ensure!(job.answer.is_none(), Error::<T>::AlreadyPublished);
		ensure!(
			publication.output.tokens.len() <= job.params.max_tokens as usize,
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
		let drawn = job.engagement.as_ref().ok_or(Error::<T>::WrongClaim)?.drawn;
		let trigger = if job.verifiers == 0 {
			Trigger::PublishedUnchecked
		} else {
			Trigger::Published
		};
		ensure!(job.step(trigger), Error::<T>::AlreadyPublished);

		T::Providers::release(&executor);
		if T::Providers::heartbeat_due(&executor) {
			T::Providers::mark_alive(&executor);
		}
		let record = AnswerRecord {
			input_tokens: output.input_tokens.min(job.input_ceiling),
			output_tokens: (output.tokens.len() as u32).min(job.output_ceiling),
			finish: output.finish,
		};
		let output_hash = output_hash(&output);
		let bill = job.bill(&T::Params::get().rates, record.input_tokens, record.output_tokens);
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
			seat_fee: bill.seat,
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

/// Returns the pool's refusal that carries an error's index.
fn refuse<T: Config>(error: Error<T>) -> TransactionValidityError {
	InvalidTransaction::Custom(error.encode().first().copied().unwrap_or(u8::MAX)).into()
}
