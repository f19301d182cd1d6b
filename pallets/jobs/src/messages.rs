//! The messages of providers: authorized in the pool, checked again in the block.
//!
//! One set of checks serves both, so that a message is refused with the same error in both places.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{crypto::InferenceSignature, digest::output_hash, traits::ProviderSet, Commitment, JobId};
use codec::Encode;
use frame_support::{dispatch::PostDispatchInfo, ensure, pallet_prelude::*};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{
	traits::{Saturating, UniqueSaturatedInto},
	RuntimeAppPublic,
};

/// Blocks for which a message stays valid.
pub(crate) const LONGEVITY: u32 = 16;

/// Priority of each tag of a message. Votes go before paid transactions: there are few, and a verdict waits for each.
///
/// A message that repeats others at a later block must outweigh all that it repeats, or the pool, which admits no two
/// messages with one tag, would keep the older ones; and those may be known, and banned, where they were refused.
/// So the priority of a message is (this + its block number) × its tags.
/// 2 × [`MAX_BATCH`](assay_primitives::limits::MAX_BATCH) of them fit a `u64`.
const PRIORITY_PER_TAG: TransactionPriority = 1 << 58;

/// The kind of a message, part of its tags: two messages with one tag exclude each other in the pool.
#[derive(Clone, Copy, PartialEq, Eq, Encode)]
pub(crate) enum Topic {
	/// A publication.
	Publish,
	/// A blinded vote.
	Commit,
	/// A revealed vote.
	Reveal,
	/// An empty batch.
	Heartbeat,
}

impl<T: Config> Pallet<T> {
	pub(crate) fn authorize_publish(
		_source: TransactionSource,
		publication: &PublicationOf<T>,
		signature: &InferenceSignature,
	) -> TransactionValidityWithRefund {
		Self::check_publication(publication)
			.and_then(|_| {
				Self::check_signature(
					&publication.voter,
					&publication.message(&T::GenesisHash::get()),
					signature,
				)
			})
			.map_err(refuse)?;
		let tag = (Topic::Publish, publication.job, publication.attempt, &publication.voter).encode();
		Ok((Self::valid(publication.at, [tag].into()), Weight::zero()))
	}

	pub(crate) fn authorize_vote(
		_source: TransactionSource,
		batch: &BatchOf<T>,
		signature: &InferenceSignature,
	) -> TransactionValidityWithRefund {
		let tags = Self::check_batch(batch).map_err(refuse)?;
		Self::check_signature(&batch.voter, &batch.message(&T::GenesisHash::get()), signature).map_err(refuse)?;
		Ok((Self::valid(batch.at, tags), Weight::zero()))
	}

	fn valid(at: BlockNumberFor<T>, provides: Vec<Vec<u8>>) -> ValidTransaction {
		let left = LONGEVITY.saturating_sub(Self::age(at));
		let made_at: u64 = at.unique_saturated_into();
		let priority = PRIORITY_PER_TAG
			.saturating_add(made_at)
			.saturating_mul(provides.len() as u64);
		let mut builder = ValidTransaction::with_tag_prefix("Assay")
			.priority(priority)
			.longevity(left.max(1).into())
			.propagate(true);
		for tag in provides {
			builder = builder.and_provides(tag);
		}
		builder.into()
	}

	fn age(at: BlockNumberFor<T>) -> u32 {
		frame_system::Pallet::<T>::block_number()
			.saturating_sub(at)
			.unique_saturated_into()
	}

	fn check_recent(at: BlockNumberFor<T>) -> Result<(), Error<T>> {
		ensure!(
			at <= frame_system::Pallet::<T>::block_number() && Self::age(at) <= LONGEVITY,
			Error::<T>::StaleBatch
		);
		Ok(())
	}

	fn check_signature(voter: &T::AccountId, message: &[u8], signature: &InferenceSignature) -> Result<(), Error<T>> {
		let key = T::Providers::key_of(voter).ok_or(Error::<T>::NoInferenceKey)?;
		ensure!(key.verify(&message, signature), Error::<T>::BadSignature);
		Ok(())
	}

	/// Returns the job, if this attempt's committee is at work on it.
	fn at_work(id: &JobId, attempt: u8) -> Result<JobOf<T>, Error<T>> {
		let job = Jobs::<T>::get(id).ok_or(Error::<T>::UnknownJob)?;
		ensure!(job.attempt == attempt, Error::<T>::WrongAttempt);
		ensure!(job.is_at_work(), Error::<T>::WrongPhase);
		Ok(job)
	}

	fn check_publication(publication: &PublicationOf<T>) -> Result<JobOf<T>, Error<T>> {
		Self::check_recent(publication.at)?;
		let job = Self::at_work(&publication.job, publication.attempt)?;
		let seat = job.seat(&publication.voter).ok_or(Error::<T>::NotInCommittee)?;
		ensure!(job.executor() == Some(&publication.voter), Error::<T>::NotInCommittee);
		ensure!(seat.commitment.is_none(), Error::<T>::AlreadyCommitted);
		ensure!(job.phase == Phase::Executing, Error::<T>::WrongPhase);
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

	fn check_commit(voter: &T::AccountId, item: &CommitItem) -> Result<JobOf<T>, Error<T>> {
		let job = Self::at_work(&item.job, item.attempt)?;
		let seat = job.seat(voter).ok_or(Error::<T>::NotInCommittee)?;
		ensure!(seat.commitment.is_none(), Error::<T>::AlreadyCommitted);
		ensure!(job.phase == Phase::Committing, Error::<T>::WrongPhase);
		Ok(job)
	}

	fn check_reveal(voter: &T::AccountId, item: &RevealItem) -> Result<JobOf<T>, Error<T>> {
		let job = Self::at_work(&item.job, item.attempt)?;
		let seat = job.seat(voter).ok_or(Error::<T>::NotInCommittee)?;
		ensure!(job.phase == Phase::Revealing, Error::<T>::WrongPhase);
		let commitment = seat.commitment.ok_or(Error::<T>::NotCommitted)?;
		ensure!(seat.vote.is_none(), Error::<T>::AlreadyRevealed);
		let opened = Commitment::new(
			&T::GenesisHash::get(),
			&item.job,
			item.attempt,
			voter,
			&item.vote,
			&item.salt,
		);
		ensure!(opened == commitment, Error::<T>::BadOpening);
		Ok(job)
	}

	/// Returns the tags of the items of a batch that still apply, or the first error if none does.
	fn check_batch(batch: &BatchOf<T>) -> Result<Vec<Vec<u8>>, Error<T>> {
		Self::check_recent(batch.at)?;
		let voter = &batch.voter;
		if batch.is_heartbeat() {
			ensure!(T::Providers::key_of(voter).is_some(), Error::<T>::NoInferenceKey);
			ensure!(T::Providers::heartbeat_due(voter), Error::<T>::NoHeartbeatDue);
			return Ok([(Topic::Heartbeat, voter).encode()].into());
		}
		let mut first = None;
		let mut tags: Vec<Vec<u8>> = Vec::new();
		let commits = batch.commitments.iter().map(|item| {
			(
				Self::check_commit(voter, item),
				(Topic::Commit, item.job, item.attempt, voter).encode(),
			)
		});
		let reveals = batch.reveals.iter().map(|item| {
			(
				Self::check_reveal(voter, item),
				(Topic::Reveal, item.job, item.attempt, voter).encode(),
			)
		});
		for (checked, tag) in commits.chain(reveals) {
			match checked {
				Ok(_) if tags.contains(&tag) => (),
				Ok(_) => tags.push(tag),
				Err(error) => first = first.or(Some(error)),
			}
		}
		match first {
			Some(error) if tags.is_empty() => Err(error),
			_ => Ok(tags),
		}
	}

	pub(crate) fn do_publish(publication: PublicationOf<T>) -> DispatchResult {
		let mut job = Self::check_publication(&publication)?;
		let now = frame_system::Pallet::<T>::block_number();
		let Publication {
			voter,
			job: id,
			attempt,
			output,
			commitment,
			at: _,
		} = publication;
		let seat = job.seat_mut(&voter).ok_or(Error::<T>::NotInCommittee)?;
		seat.commitment = Some(commitment);
		let output_hash = output_hash(&output);
		Outputs::<T>::insert(id, output);
		T::Providers::mark_alive(&voter);
		Self::deposit_event(Event::Published {
			job: id,
			attempt,
			executor: voter,
			output_hash,
		});
		// A committee of one has committed with the publication.
		let next = if job.size == 1 {
			Phase::Revealing
		} else {
			Phase::Committing
		};
		Self::enter_phase(&id, &mut job, next, now);
		Jobs::<T>::insert(id, job);
		Ok(())
	}

	pub(crate) fn do_vote(batch: BatchOf<T>) -> DispatchResultWithPostInfo {
		Self::check_recent(batch.at)?;
		let now = frame_system::Pallet::<T>::block_number();
		let voter = &batch.voter;
		if batch.is_heartbeat() {
			ensure!(T::Providers::heartbeat_due(voter), Error::<T>::NoHeartbeatDue);
		}
		let mut weight = T::WeightInfo::vote(batch.commitments.len() as u32, batch.reveals.len() as u32);
		let mut applied = batch.is_heartbeat();
		let mut first = None;
		for item in &batch.commitments {
			match Self::check_commit(voter, item) {
				Ok(job) => {
					Self::commit(voter, item, job, now);
					applied = true;
				}
				Err(error) => first = first.or(Some(error)),
			}
		}
		for item in &batch.reveals {
			match Self::check_reveal(voter, item) {
				Ok(job) => {
					weight = weight.saturating_add(Self::reveal(voter, item, job, now));
					applied = true;
				}
				Err(error) => first = first.or(Some(error)),
			}
		}
		match first {
			Some(error) if !applied => return Err(error.into()),
			_ => T::Providers::mark_alive(voter),
		}
		Ok(PostDispatchInfo {
			actual_weight: Some(weight),
			pays_fee: Pays::No,
		})
	}

	/// Returns what a batch costs if every reveal in it concludes a job.
	pub(crate) fn weight_of_vote(batch: &BatchOf<T>) -> Weight {
		T::WeightInfo::vote(batch.commitments.len() as u32, batch.reveals.len() as u32)
			.saturating_add(conclude::heaviest_conclusion::<T::WeightInfo>().saturating_mul(batch.reveals.len() as u64))
	}

	fn commit(voter: &T::AccountId, item: &CommitItem, mut job: JobOf<T>, now: BlockNumberFor<T>) {
		if let Some(seat) = job.seat_mut(voter) {
			seat.commitment = Some(item.commitment);
		}
		Self::deposit_event(Event::Committed {
			job: item.job,
			attempt: item.attempt,
			voter: voter.clone(),
		});
		if job.committee.iter().all(|seat| seat.commitment.is_some()) {
			Self::enter_phase(&item.job, &mut job, Phase::Revealing, now);
		}
		Jobs::<T>::insert(item.job, job);
	}

	/// Reveals a vote. Returns the weight of the conclusion it brings.
	fn reveal(voter: &T::AccountId, item: &RevealItem, mut job: JobOf<T>, now: BlockNumberFor<T>) -> Weight {
		if let Some(seat) = job.seat_mut(voter) {
			seat.vote = Some(item.vote);
		}
		let (id, attempt) = (item.job, item.attempt);
		Self::deposit_event(Event::Revealed {
			job: id,
			attempt,
			voter: voter.clone(),
			vote: item.vote,
		});
		if job
			.committee
			.iter()
			.all(|seat| seat.commitment.is_none() || seat.vote.is_some())
		{
			let weight = T::WeightInfo::conclude(job.committee.len() as u32);
			Self::conclude(&id, job, now);
			weight
		} else {
			Jobs::<T>::insert(id, job);
			Weight::zero()
		}
	}
}

/// Returns the pool's refusal that carries an error's index.
fn refuse<T: Config>(error: Error<T>) -> TransactionValidityError {
	InvalidTransaction::Custom(error.encode().first().copied().unwrap_or(u8::MAX)).into()
}
