//! The queues of jobs that wait for an executor, one for each listing.
//!
//! Listings with waiting jobs take turns, so that none blocks another: neither that of another model, nor that of the
//! same model at a price at which nobody has a free place. A listing whose first job finds nobody is passed over for this
//! block, and the job keeps its place.

use crate::*;
use alloc::{collections::VecDeque, vec::Vec};
use assay_primitives::{
	draw::{willing, SealedMember},
	receipt::RefundReason,
	state::Trigger,
	JobId, ListingId,
};
use frame_support::{traits::Get, weights::Weight};
use frame_system::pallet_prelude::BlockNumberFor;

/// A listing whose turn it is.
struct Turn<AccountId> {
	listing: ListingId,
	line: Line,
	/// Read when it is needed first.
	electorate: Option<Vec<SealedMember<AccountId>>>,
}

/// What became of the first job of a queue.
enum Outcome {
	/// It has left the queue.
	Left,
	/// It must wait: nobody has a free place, or it was requested in this block.
	Stays,
}

impl<T: Config> Pallet<T> {
	/// Puts a job at the end of its listing's queue.
	pub(crate) fn enqueue(listing: ListingId, id: JobId) {
		let mut line = Self::line_for_one_more(listing);
		Queue::<T>::insert(listing, line.end, id);
		line.end = line.end.saturating_add(1);
		Lines::<T>::insert(listing, line);
	}

	/// Puts a job that waits again at the head of its listing's queue.
	///
	/// It waits no longer than the job behind it, so that deadlines stay in the order of the queue.
	pub(crate) fn enqueue_again(id: &JobId, job: &mut JobOf<T>) {
		let listing = job.terms.listing;
		let mut line = Self::line_for_one_more(listing);
		if let Some(behind) = Queue::<T>::get(listing, line.first).and_then(Jobs::<T>::get) {
			job.deadline = job.deadline.min(behind.deadline);
		}
		line.first = line.first.saturating_sub(1);
		Queue::<T>::insert(listing, line.first, id);
		Lines::<T>::insert(listing, line);
	}

	/// Counts one more waiting job and returns its listing's queue, which gets a turn if it had none.
	fn line_for_one_more(listing: ListingId) -> Line {
		let line = Lines::<T>::get(listing);
		WaitingJobs::<T>::mutate(|waiting| {
			waiting.jobs = waiting.jobs.saturating_add(1);
			if line.is_none() {
				Turns::<T>::insert(waiting.end_turn, listing);
				waiting.end_turn = waiting.end_turn.saturating_add(1);
			}
		});
		line.unwrap_or_default()
	}

	/// Returns how many jobs of a listing wait.
	pub(crate) fn jobs_ahead(listing: ListingId) -> u32 {
		let waiting = Lines::<T>::get(listing).unwrap_or_default().len();
		u32::try_from(waiting).unwrap_or(u32::MAX)
	}

	/// Returns what the draws of this block cost at most, seen from its beginning: jobs that are requested in it wait
	/// for the next.
	pub(crate) fn weight_of_draws() -> Weight {
		let waiting = WaitingJobs::<T>::get();
		let most = T::Params::get().max_draws_per_block;
		let turns = waiting.listings().min(most.into());
		let draws = waiting.jobs.min(most).into();
		T::WeightInfo::turn()
			.saturating_mul(turns)
			.saturating_add(T::WeightInfo::draw().saturating_mul(draws))
	}

	/// Draws executors for waiting jobs, listing by listing in turns.
	pub(crate) fn draw_waiting(now: BlockNumberFor<T>) {
		let mut left = T::Params::get().max_draws_per_block;
		let mut turns = Self::take_turns(left);
		let mut passed = Vec::new();
		while let Some(mut turn) = turns.pop_front() {
			let Some(rest) = left.checked_sub(1) else {
				turns.push_front(turn);
				break;
			};
			left = rest;
			match Self::serve_head(&mut turn, now) {
				Outcome::Left => {
					turn.line.first = turn.line.first.saturating_add(1);
					if turn.line.is_empty() {
						Lines::<T>::remove(turn.listing);
					} else {
						turns.push_back(turn);
					}
				}
				Outcome::Stays => passed.push(turn),
			}
		}
		// Whose turn has not come goes first in the next block.
		Self::return_turns(turns.into_iter().chain(passed));
	}

	/// Takes the listings whose turn comes first, at most this many.
	fn take_turns(most: u32) -> VecDeque<Turn<T::AccountId>> {
		let mut waiting = WaitingJobs::<T>::get();
		let mut turns = VecDeque::new();
		for _ in 0..waiting.listings().min(most.into()) {
			let listing = Turns::<T>::take(waiting.first_turn);
			waiting.first_turn = waiting.first_turn.saturating_add(1);
			let Some(listing) = listing else { continue };
			let Some(line) = Lines::<T>::get(listing) else { continue };
			turns.push_back(Turn {
				listing,
				line,
				electorate: None,
			});
		}
		if !turns.is_empty() {
			WaitingJobs::<T>::put(waiting);
		}
		turns
	}

	/// Puts listings that still have waiting jobs at the end of the turns.
	fn return_turns(turns: impl Iterator<Item = Turn<T::AccountId>>) {
		let mut turns = turns.peekable();
		if turns.peek().is_none() {
			return;
		}
		WaitingJobs::<T>::mutate(|waiting| {
			for turn in turns {
				Lines::<T>::insert(turn.listing, turn.line);
				Turns::<T>::insert(waiting.end_turn, turn.listing);
				waiting.end_turn = waiting.end_turn.saturating_add(1);
			}
		});
	}

	/// Draws an executor for the first job of a listing's queue, or refunds the job if its time is over.
	fn serve_head(turn: &mut Turn<T::AccountId>, now: BlockNumberFor<T>) -> Outcome {
		let head = Queue::<T>::get(turn.listing, turn.line.first);
		let Some((id, job)) = head.and_then(|id| Jobs::<T>::get(id).map(|job| (id, job))) else {
			// Cannot happen while the queue is consistent. The jobs behind it must not wait for it.
			log::error!(target: LOG_TARGET, "Listing {}: no job at the head of the queue", turn.listing);
			Self::leave_queue(turn);
			return Outcome::Left;
		};
		if job.requested_at >= now {
			return Outcome::Stays;
		}
		let deadline = job.deadline;
		let electorate = turn.electorate.get_or_insert_with(|| Self::sealed(&job.model));
		let members = willing(electorate, &job.terms.prices).cloned().collect();
		if Self::draw_executor(&id, job, members, now) {
			Self::leave_queue(turn);
			return Outcome::Left;
		}
		if deadline > now {
			return Outcome::Stays;
		}
		Self::leave_queue(turn);
		if let Some(job) = Jobs::<T>::get(id) {
			Self::refund(&id, job, Trigger::QueueTimeOver, RefundReason::QueueTimeOver, now);
		}
		Outcome::Left
	}

	/// Removes the first job of a queue. The caller moves the queue's head.
	fn leave_queue(turn: &Turn<T::AccountId>) {
		Queue::<T>::remove(turn.listing, turn.line.first);
		WaitingJobs::<T>::mutate(|waiting| waiting.jobs = waiting.jobs.saturating_sub(1));
	}
}
