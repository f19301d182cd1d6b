//! The queues of jobs that wait for an executor, one for each model.
//!
//! Models with waiting jobs take turns, so that no model blocks another. A model whose first job finds nobody with a
//! free place is passed over for this block, and the job keeps its place.

use crate::*;
use alloc::{collections::VecDeque, vec::Vec};
use assay_primitives::{draw::Member, receipt::RefundReason, state::Trigger, JobId, ModelId};
use frame_support::{traits::Get, weights::Weight};
use frame_system::pallet_prelude::BlockNumberFor;

/// A model whose turn it is.
struct Turn<AccountId> {
	model: ModelId,
	line: Line,
	/// Read when it is needed first.
	electorate: Option<Vec<Member<AccountId>>>,
}

/// What became of the first job of a queue.
enum Outcome {
	/// It has left the queue.
	Left,
	/// It must wait: nobody has a free place, or it was requested in this block.
	Stays,
}

impl<T: Config> Pallet<T> {
	/// Puts a job at the end of its model's queue.
	pub(crate) fn enqueue(model: &ModelId, id: JobId) {
		let mut line = Self::line_for_one_more(model);
		Queue::<T>::insert(model, line.end, id);
		line.end = line.end.saturating_add(1);
		Lines::<T>::insert(model, line);
	}

	/// Puts a job that waits again at the head of its model's queue.
	///
	/// It waits no longer than the job behind it, so that deadlines stay in the order of the queue.
	pub(crate) fn enqueue_again(id: &JobId, job: &mut JobOf<T>) {
		let mut line = Self::line_for_one_more(&job.model);
		if let Some(behind) = Queue::<T>::get(job.model, line.first).and_then(Jobs::<T>::get) {
			job.deadline = job.deadline.min(behind.deadline);
		}
		line.first = line.first.saturating_sub(1);
		Queue::<T>::insert(job.model, line.first, id);
		Lines::<T>::insert(job.model, line);
	}

	/// Counts one more waiting job and returns its model's queue, which gets a turn if it had none.
	fn line_for_one_more(model: &ModelId) -> Line {
		let line = Lines::<T>::get(model);
		WaitingJobs::<T>::mutate(|waiting| {
			waiting.jobs = waiting.jobs.saturating_add(1);
			if line.is_none() {
				Turns::<T>::insert(waiting.end_turn, model);
				waiting.end_turn = waiting.end_turn.saturating_add(1);
			}
		});
		line.unwrap_or_default()
	}

	/// Returns how many jobs wait for a model.
	pub(crate) fn jobs_ahead(model: &ModelId) -> u32 {
		let waiting = Lines::<T>::get(model).unwrap_or_default().len();
		u32::try_from(waiting).unwrap_or(u32::MAX)
	}

	/// Returns what the draws of this block cost at most, seen from its beginning: jobs that are requested in it wait
	/// for the next.
	pub(crate) fn weight_of_draws() -> Weight {
		let waiting = WaitingJobs::<T>::get();
		let most = T::Params::get().max_draws_per_block;
		let turns = waiting.models().min(most.into());
		let draws = waiting.jobs.min(most).into();
		T::WeightInfo::turn()
			.saturating_mul(turns)
			.saturating_add(T::WeightInfo::draw().saturating_mul(draws))
	}

	/// Draws executors for waiting jobs, model by model in turns.
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
						Lines::<T>::remove(turn.model);
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

	/// Takes the models whose turn comes first, at most this many.
	fn take_turns(most: u32) -> VecDeque<Turn<T::AccountId>> {
		let mut waiting = WaitingJobs::<T>::get();
		let mut turns = VecDeque::new();
		for _ in 0..waiting.models().min(most.into()) {
			let model = Turns::<T>::take(waiting.first_turn);
			waiting.first_turn = waiting.first_turn.saturating_add(1);
			let Some(model) = model else { continue };
			let Some(line) = Lines::<T>::get(model) else { continue };
			turns.push_back(Turn {
				model,
				line,
				electorate: None,
			});
		}
		if !turns.is_empty() {
			WaitingJobs::<T>::put(waiting);
		}
		turns
	}

	/// Puts models that still have waiting jobs at the end of the turns.
	fn return_turns(turns: impl Iterator<Item = Turn<T::AccountId>>) {
		let mut turns = turns.peekable();
		if turns.peek().is_none() {
			return;
		}
		WaitingJobs::<T>::mutate(|waiting| {
			for turn in turns {
				Lines::<T>::insert(turn.model, turn.line);
				Turns::<T>::insert(waiting.end_turn, turn.model);
				waiting.end_turn = waiting.end_turn.saturating_add(1);
			}
		});
	}

	/// Draws an executor for the first job of a model's queue, or refunds the job if its time is over.
	fn serve_head(turn: &mut Turn<T::AccountId>, now: BlockNumberFor<T>) -> Outcome {
		let head = Queue::<T>::get(turn.model, turn.line.first);
		let Some((id, job)) = head.and_then(|id| Jobs::<T>::get(id).map(|job| (id, job))) else {
			// Cannot happen while the queue is consistent. The jobs behind it must not wait for it.
			log::error!(target: LOG_TARGET, "Model {}: no job at the head of the queue", turn.model);
			Self::leave_queue(turn);
			return Outcome::Left;
		};
		if job.requested_at >= now {
			return Outcome::Stays;
		}
		let deadline = job.deadline;
		let electorate = turn.electorate.get_or_insert_with(|| Self::electorate(&turn.model));
		if Self::draw_executor(&id, job, electorate.clone(), now) {
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
		Queue::<T>::remove(turn.model, turn.line.first);
		WaitingJobs::<T>::mutate(|waiting| waiting.jobs = waiting.jobs.saturating_sub(1));
	}
}
