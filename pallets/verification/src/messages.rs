//! The messages of providers: authorized in the pool, checked again in the block.
//!
//! One set of checks serves both, so that a message is refused with the same error in both places. What needs only
//! storage comes before the signature.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	claim::AUDIT,
	crypto::InferenceSignature,
	limits::MAX_BATCH,
	message::{self, refusal},
	traits::{Penalties, Pool, ProviderSet},
	vote::JuryVote,
	BoundRoot, ClaimId, Commitment, ModelId, State,
};
use codec::Encode;
use frame_support::{
	dispatch::PostDispatchInfo,
	ensure,
	pallet_prelude::*,
	storage::{with_transaction, TransactionOutcome},
	traits::Get,
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{
	traits::{One, Saturating, UniqueSaturatedInto},
	RuntimeAppPublic,
};

/// Priority of each tag of a batch. Votes go before paid transactions: there are few, and a verdict waits for each.
///
/// A batch that repeats others at a later block must outweigh all that it repeats, or the pool, which admits no two
/// transactions with one tag, would keep the older ones; and those may be known, and banned, where they were refused.
/// So the priority of a batch is (this + its block number) × its tags.
/// [`MAX_BATCH`](assay_primitives::limits::MAX_BATCH) of them fit a `u64`.
const PRIORITY_PER_TAG: TransactionPriority = 1 << 58;

impl<T: Config> Pallet<T> {
	pub(crate) fn authorize_submit(
		_source: TransactionSource,
		batch: &BatchOf<T>,
		signature: &InferenceSignature,
	) -> TransactionValidityWithRefund {
		let provides = Self::check_batch(batch).map_err(refusal)?;
		let key = T::Providers::key_of(&batch.voter).ok_or_else(|| refusal(Error::<T>::NoInferenceKey))?;
		let message = batch.message(&T::GenesisHash::get());
		if !key.verify(&message, signature) {
			return Err(refusal(Error::<T>::BadSignature));
		}
		// Batches are feeless: one of which nothing would apply must not get into a block.
		let applies =
			|message| Self::check_message(&batch.voter, message).is_ok() && Self::has_bond(&batch.voter, message);
		if !batch.messages.is_empty() && !batch.messages.iter().any(applies) {
			return Err(refusal(Error::<T>::MayNotObject));
		}
		Ok((Self::valid(batch.at, provides), Weight::zero()))
	}

	/// Returns whether the bond that a message needs can be held.
	fn has_bond(voter: &T::AccountId, message: &Message) -> bool {
		let Message::Object { claim, .. } = message else {
			return true;
		};
		let Some(bond) = Self::objection_bond(*claim) else {
			return false;
		};
		let held: DispatchResult =
			with_transaction(|| TransactionOutcome::Rollback(T::Pool::hold_objection(claim, voter, bond)));
		held.is_ok()
	}

	/// Returns what authorizing a batch costs at most.
	pub(crate) fn weight_of_authorize(batch: &BatchOf<T>) -> Weight {
		let objections = batch
			.messages
			.iter()
			.filter(|message| matches!(message, Message::Object { .. }));
		let bonds = T::WeightInfo::object().saturating_mul(objections.count() as u64);
		T::WeightInfo::authorize_submit(batch.messages.len() as u32).saturating_add(bonds)
	}

	pub(crate) fn authorize_open(
		_source: TransactionSource,
		claim: &ClaimId,
		root: &BoundRoot,
	) -> TransactionValidityWithRefund {
		Self::check_opening(claim, root).map_err(refusal)?;
		let tag = (b"open", T::GenesisHash::get(), claim).encode();
		Ok((Self::valid(Self::now(), [tag].into()), Weight::zero()))
	}

	fn valid(at: BlockNumberFor<T>, provides: Vec<Vec<u8>>) -> ValidTransaction {
		let left = message::blocks_left(Self::now(), at).unwrap_or(0);
		let made_at: u64 = at.unique_saturated_into();
		let priority = PRIORITY_PER_TAG
			.saturating_add(made_at)
			.saturating_mul(provides.len() as u64);
		message::valid("AssayVerification", priority, left, provides)
	}

	/// Checks what needs no storage.
	fn check_form(batch: &BatchOf<T>) -> Result<(), Error<T>> {
		let left = message::blocks_left(Self::now(), batch.at);
		ensure!(left.is_some(), Error::<T>::StaleBatch);
		ensure!(batch.messages.len() <= MAX_BATCH as usize, Error::<T>::TooManyMessages);
		Ok(())
	}

	/// Returns the tags of the messages that still apply, or the first error if none does.
	fn check_batch(batch: &BatchOf<T>) -> Result<Vec<Vec<u8>>, Error<T>> {
		Self::check_form(batch)?;
		let voter = &batch.voter;
		if batch.messages.is_empty() {
			ensure!(T::Providers::key_of(voter).is_some(), Error::<T>::NoInferenceKey);
			ensure!(T::Providers::heartbeat_due(voter), Error::<T>::NoHeartbeatDue);
			return Ok([(b"alive", voter).encode()].into());
		}
		let mut first = None;
		let mut tags: Vec<Vec<u8>> = Vec::new();
		for message in &batch.messages {
			match Self::check_message(voter, message) {
				Ok(()) => {
					let tag = (T::GenesisHash::get(), message.tag(), voter).encode();
					if !tags.contains(&tag) {
						tags.push(tag);
					}
				}
				Err(error) => first = first.or(Some(error)),
			}
		}
		match first {
			Some(error) if tags.is_empty() => Err(error),
			_ => Ok(tags),
		}
	}

	fn check_message(voter: &T::AccountId, message: &Message) -> Result<(), Error<T>> {
		match message {
			Message::Vote(item) => Self::check_vote(voter, item).map(drop),
			Message::JuryCommit { claim, round, .. } => Self::check_juror(voter, claim, *round, false).map(drop),
			Message::JuryReveal {
				claim,
				round,
				vote,
				salt,
			} => Self::check_reveal(voter, claim, *round, vote, salt).map(drop),
			Message::Object { claim, output_hash } => Self::check_objection(voter, claim, output_hash).map(drop),
			Message::SignOfLife => {
				ensure!(T::Providers::key_of(voter).is_some(), Error::<T>::NoInferenceKey);
				ensure!(T::Providers::sign_of_life_due(voter), Error::<T>::NoHeartbeatDue);
				Ok(())
			}
			Message::Outage { model, over } => Self::check_outage(voter, model, *over),
		}
	}

	fn check_outage(voter: &T::AccountId, model: &ModelId, over: bool) -> Result<(), Error<T>> {
		ensure!(T::Providers::key_of(voter).is_some(), Error::<T>::NoInferenceKey);
		ensure!(T::Providers::outage_due(voter, model, over), Error::<T>::NoOutageDue);
		Ok(())
	}

	/// Checks the vote of a seat or of an auditor.
	fn check_vote(voter: &T::AccountId, item: &VoteItem) -> Result<ClaimOf<T>, Error<T>> {
		let claim = Claims::<T>::get(item.claim).ok_or(Error::<T>::UnknownClaim)?;
		let record = &claim.record;
		ensure!(record.draw(item.tranche).is_some(), Error::<T>::WrongDraw);
		let own = || {
			record
				.seats
				.iter()
				.filter(|seat| seat.tranche == item.tranche && seat.provider == *voter)
		};
		ensure!(own().next().is_some(), Error::<T>::NoSeat);
		ensure!(own().any(|seat| seat.vote.is_none()), Error::<T>::AlreadyVoted);
		let rejects = item.vote.rejects();
		// Who is late may still warn, but no longer approve.
		ensure!(
			own().any(|seat| seat.vote.is_none() && (seat.fault.is_none() || rejects)),
			Error::<T>::Lapsed
		);
		ensure!(!rejects || record.dispute.is_none(), Error::<T>::AlreadyDisputed);
		let allowed = match (item.tranche >= AUDIT, rejects) {
			(true, false) => claim.state == State::Auditing,
			(false, false) => matches!(claim.state, State::Voting | State::Lapsed),
			(_, true) => matches!(
				claim.state,
				State::Voting | State::Lapsed | State::Window | State::Auditing
			),
		};
		ensure!(allowed, Error::<T>::WrongState);
		ensure!(
			record.draw_id(item.claim, item.tranche) == Some(item.draw),
			Error::<T>::WrongDraw
		);
		Ok(claim)
	}

	/// Checks that a provider sits in the jury of a dispute that is in this round and phase, and has not sent this yet.
	fn check_juror(
		who: &T::AccountId,
		id: &ClaimId,
		round: u8,
		revealing: bool,
	) -> Result<(ClaimOf<T>, JuryOf<T>, usize), Error<T>> {
		let claim = Claims::<T>::get(id).ok_or(Error::<T>::UnknownClaim)?;
		let jury = Juries::<T>::get(id).ok_or(Error::<T>::NoDispute)?;
		let current = claim.record.dispute.as_ref().map_or(0, |dispute| dispute.round);
		ensure!(current == round, Error::<T>::WrongRound);
		ensure!(!claim.is_party(who), Error::<T>::IsParty);
		ensure!(!T::Providers::is_suspended(who), Error::<T>::Suspended);
		let index = jury.members.iter().position(|juror| juror.who == *who);
		let index = index.ok_or(Error::<T>::NoSeat)?;
		let juror = jury.members.get(index).ok_or(Error::<T>::NoSeat)?;
		ensure!(juror.vote.is_none(), Error::<T>::AlreadyVoted);
		ensure!(jury.revealing == revealing, Error::<T>::WrongState);
		ensure!(revealing || juror.commitment.is_none(), Error::<T>::AlreadyVoted);
		ensure!(!revealing || juror.commitment.is_some(), Error::<T>::NotCommitted);
		Ok((claim, jury, index))
	}

	fn check_reveal(
		who: &T::AccountId,
		id: &ClaimId,
		round: u8,
		vote: &JuryVote,
		salt: &assay_primitives::vote::Salt,
	) -> Result<(ClaimOf<T>, JuryOf<T>, usize), Error<T>> {
		let (claim, jury, index) = Self::check_juror(who, id, round, true)?;
		let opened = id.dispute().commitment(round, who, vote, salt);
		let commitment = jury.members.get(index).and_then(|juror| juror.commitment);
		ensure!(commitment == Some(opened), Error::<T>::BadOpening);
		Ok((claim, jury, index))
	}

	/// Returns what a batch costs at most.
	pub(crate) fn weight_of_batch(batch: &BatchOf<T>) -> Weight {
		let base = T::WeightInfo::submit(0);
		batch.messages.iter().fold(base, |sum, message| {
			sum.saturating_add(match message {
				// A jury's record is read and written besides the claim's.
				Message::JuryCommit { .. } | Message::JuryReveal { .. } => {
					T::WeightInfo::submit(2).saturating_sub(base)
				}
				Message::Vote(_) | Message::SignOfLife | Message::Outage { .. } => {
					T::WeightInfo::submit(1).saturating_sub(base)
				}
				Message::Object { .. } => T::WeightInfo::object(),
			})
		})
	}

	pub(crate) fn do_submit(batch: BatchOf<T>) -> DispatchResultWithPostInfo {
		Self::check_form(&batch)?;
		let voter = &batch.voter;
		if batch.messages.is_empty() {
			ensure!(T::Providers::heartbeat_due(voter), Error::<T>::NoHeartbeatDue);
		}
		let mut applied = batch.messages.is_empty();
		// Whether it shows that the engine works, and not only the node.
		let mut works = applied;
		let mut first: Option<DispatchError> = None;
		for message in &batch.messages {
			match Self::apply(voter, message) {
				Ok(()) => {
					applied = true;
					works |= !matches!(message, Message::SignOfLife | Message::Outage { over: false, .. });
				}
				Err(error) => first = first.or(Some(error)),
			}
		}
		match first {
			Some(error) if !applied => return Err(error.into()),
			// A vote is not written down twice: only who would soon be left out is marked as alive.
			_ if works && T::Providers::heartbeat_due(voter) => T::Providers::mark_alive(voter),
			_ => (),
		}
		Ok(PostDispatchInfo {
			actual_weight: None,
			pays_fee: Pays::No,
		})
	}

	fn apply(voter: &T::AccountId, message: &Message) -> DispatchResult {
		let now = Self::now();
		match message {
			Message::Vote(item) => {
				let claim = Self::check_vote(voter, item)?;
				Self::vote_of_seat(voter, item, claim, now);
			}
			Message::JuryCommit {
				claim,
				round,
				commitment,
			} => Self::commit(voter, *claim, *round, *commitment, now)?,
			Message::JuryReveal {
				claim,
				round,
				vote,
				salt,
			} => {
				let (record, jury, index) = Self::check_reveal(voter, claim, *round, vote, salt)?;
				Self::reveal(*claim, record, jury, index, *vote, now);
			}
			Message::Object { claim, output_hash } => Self::do_object(voter.clone(), *claim, *output_hash)?,
			Message::SignOfLife => {
				ensure!(T::Providers::sign_of_life_due(voter), Error::<T>::NoHeartbeatDue);
				T::Providers::note_sign_of_life(voter);
			}
			Message::Outage { model, over } => {
				Self::check_outage(voter, model, *over)?;
				T::Providers::note_outage(voter, model, *over);
			}
		}
		Ok(())
	}

	fn commit(
		voter: &T::AccountId,
		id: ClaimId,
		round: u8,
		commitment: Commitment,
		now: BlockNumberFor<T>,
	) -> DispatchResult {
		let (mut claim, mut jury, index) = Self::check_juror(voter, &id, round, false)?;
		if let Some(juror) = jury.members.get_mut(index) {
			juror.commitment = Some(commitment);
		}
		let waits = jury
			.members
			.iter()
			.any(|juror| juror.commitment.is_none() && juror.vote.is_none() && !claim.is_party(&juror.who));
		if !waits {
			Self::schedule(id, &mut claim, now.saturating_add(One::one()));
			Claims::<T>::insert(id, claim);
		}
		Juries::<T>::insert(id, jury);
		Ok(())
	}

	fn reveal(
		id: ClaimId,
		mut claim: ClaimOf<T>,
		mut jury: JuryOf<T>,
		index: usize,
		vote: JuryVote,
		now: BlockNumberFor<T>,
	) {
		if let Some(juror) = jury.members.get_mut(index) {
			juror.vote = Some(vote);
			Self::deposit_event(Event::JurorVoted {
				claim: id,
				juror: juror.who.clone(),
				vote,
			});
		}
		let waits = jury
			.members
			.iter()
			.any(|juror| juror.commitment.is_some() && juror.vote.is_none());
		if !waits {
			Self::schedule(id, &mut claim, now.saturating_add(One::one()));
			Claims::<T>::insert(id, claim);
		}
		Juries::<T>::insert(id, jury);
	}
}
