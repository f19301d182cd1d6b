//! When something is due, and what happens then.
//!
//! Lists by block are never searched: a claim whose time has changed leaves a stale entry behind, which is skipped. A
//! list that is full passes what is due on to the next block.

use crate::*;
use assay_primitives::{state::Trigger, ClaimId, State};
use frame_support::{traits::Get, weights::Weight};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::{One, Saturating};

/// Blocks that a full list is passed on at most before something is due all the same.
const MAX_SHIFTS: u32 = 64;

impl<T: Config> Pallet<T> {
	/// Sets the next block in which something of a claim is due: at the earliest the next one. The caller stores the
	/// claim.
	pub(crate) fn schedule(id: ClaimId, claim: &mut ClaimOf<T>, at: BlockNumberFor<T>) {
		let due = match claim.state {
			State::Published | State::Lapsed => Due::Draw(id, claim.next_seats as u8),
			State::Disputed => Due::Dispute(id),
			State::Window if at >= claim.settle_at => Due::Settle(id, claim.record.seats.len() as u8),
			// Whoever is late by then is fined, and whoever approved what nobody has opened.
			State::Window if at == Self::open_until(claim) => Due::Claim(id, claim.record.seats.len() as u8),
			_ => Due::Claim(id, claim.waiting_seats().count() as u8),
		};
		claim.due = Self::put_due(due, at);
	}

	/// Puts something on the list of a block, or of the first one after it that has room. Returns that block.
	pub(crate) fn put_due(due: Due, at: BlockNumberFor<T>) -> BlockNumberFor<T> {
		let mut at = at.max(Self::now().saturating_add(One::one()));
		let room = T::Params::get().max_due_per_block as usize;
		for _ in 0..MAX_SHIFTS {
			if DueAt::<T>::decode_len(at).unwrap_or(0) < room {
				break;
			}
			at.saturating_inc();
		}
		DueAt::<T>::append(at, due);
		at
	}

	/// Returns what this block's due list costs at most, seen from its beginning.
	pub(crate) fn weight_of_due(now: BlockNumberFor<T>) -> Weight {
		let due = DueAt::<T>::get(now);
		due.iter().fold(T::WeightInfo::due_list(), |sum, due| {
			sum.saturating_add(match due {
				Due::Claim(_, n) => T::WeightInfo::pass_claim((*n).into()),
				Due::Draw(_, n) => T::WeightInfo::draw_seats((*n).into()),
				Due::Settle(_, n) => T::WeightInfo::settle((*n).into()),
				Due::Dispute(_) => T::WeightInfo::dispute(),
				Due::Slash(_, n) => T::WeightInfo::slash((*n).into()),
			})
		})
	}

	/// Handles what is due in this block, with its beacon.
	pub(crate) fn handle_due(now: BlockNumberFor<T>) {
		for due in DueAt::<T>::take(now) {
			match (due.claim(), due) {
				(Some(id), _) => Self::handle_claim(id, now),
				(None, Due::Slash(index, _)) => Self::take_slash(index),
				(None, _) => (),
			}
		}
	}

	fn handle_claim(id: ClaimId, now: BlockNumberFor<T>) {
		let Some(claim) = Claims::<T>::get(id) else { return };
		if claim.due != now {
			return;
		}
		match claim.state {
			State::Published | State::Lapsed => Self::draw_tranche(id, claim, now),
			State::Voting => Self::end_voting(id, claim, now),
			State::Window => Self::pass_window(id, claim, now),
			State::Auditing => Self::end_auditing(id, claim, now),
			State::Disputed => Self::pass_dispute(id, claim, now),
			State::Waiting | State::Executing | State::Settled | State::Overturned | State::Refunded => (),
		}
	}

	/// Returns the present block.
	pub(crate) fn now() -> BlockNumberFor<T> {
		frame_system::Pallet::<T>::block_number()
	}

	/// Moves a claim to the state that a trigger leads to; false, with an error logged, if that is no step of the
	/// protocol.
	pub(crate) fn step(id: &ClaimId, claim: &mut ClaimOf<T>, trigger: Trigger) -> bool {
		let Some(next) = claim.state.after(trigger) else {
			log::error!(target: LOG_TARGET, "Claim {id}: {trigger:?} cannot happen in {:?}", claim.state);
			return false;
		};
		claim.state = next;
		true
	}
}
