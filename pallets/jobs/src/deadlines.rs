//! Deadlines of executors: lists by block, never changed when a publication comes in time.

use crate::*;
use assay_primitives::{
	economics::Fault,
	limits::MAX_ATTEMPTS,
	receipt::RefundReason,
	rules::WorkUnits,
	state::Trigger,
	traits::{Claims, Penalties, Pool, ProviderSet},
	JobId, State,
};
use frame_support::{traits::Get, weights::Weight};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{
	traits::{One, Saturating, UniqueSaturatedInto},
	DispatchError,
};

/// Blocks that are tried after a deadline whose list is full.
const MAX_OVERFLOW: u32 = 64;
/// Blocks of which one block reads the lists at most: how fast a delay is made up for.
const MAX_LISTS_PER_BLOCK: u32 = 8;

impl<T: Config> Pallet<T> {
	/// Records that an executor must publish until a block. Returns that block, or a later one if its list is full.
	pub(crate) fn add_duty(
		deadline: BlockNumberFor<T>,
		duty: Duty<T::AccountId>,
	) -> Result<BlockNumberFor<T>, DispatchError> {
		let mut at = deadline;
		for _ in 0..MAX_OVERFLOW {
			if Due::<T>::try_append(at, duty.clone()).is_ok() {
				return Ok(at);
			}
			at.saturating_inc();
		}
		Err(DispatchError::Exhausted)
	}

	/// Returns the most blocks from a request with this work to its final state.
	///
	/// The queue time runs once. Each attempt lasts as long as an executor may have for the work and for what it has to do
	/// before, and then its end is noticed; its job waits at the head of a queue until its model has its turn. In the end
	/// the claim runs its course.
	pub fn t_max(generation: WorkUnits, check: WorkUnits) -> u32 {
		let params = T::Params::get();
		let draws = params.max_draws_per_block.max(1);
		let queue_blocks: u32 = params.queue_blocks.unique_saturated_into();
		let execution = T::Providers::blocks_for(generation).saturating_add(params.backlog_blocks);
		// All jobs might be of different models, or be due at once.
		let waiting = params.max_waiting_jobs.saturating_mul(2).div_ceil(draws);
		let noticed = MAX_OVERFLOW.saturating_add(params.max_waiting_jobs.div_ceil(params.max_due_per_block.max(1)));
		execution
			.saturating_add(noticed)
			.saturating_add(waiting)
			.saturating_mul(MAX_ATTEMPTS)
			.saturating_add(queue_blocks)
			.saturating_add(T::Claims::longest(check))
	}

	/// Ends the attempts of executors whose last block is over.
	pub(crate) fn handle_due(now: BlockNumberFor<T>) -> Weight {
		let mut left = T::Params::get().max_due_per_block;
		let before = DueFrom::<T>::get();
		let mut cursor = before;
		let mut weight = T::WeightInfo::idle_block();
		for _ in 0..MAX_LISTS_PER_BLOCK {
			if cursor >= now {
				break;
			}
			weight = weight.saturating_add(T::WeightInfo::scan());
			let mut due = Due::<T>::take(cursor).into_inner();
			let late = due.split_off(due.len().min(left as usize));
			left = left.saturating_sub(due.len() as u32);
			for duty in due {
				weight = weight.saturating_add(Self::check_duty(&duty.job, cursor, now));
			}
			if !late.is_empty() {
				Due::<T>::insert(cursor, frame_support::BoundedVec::truncate_from(late));
				break;
			}
			cursor.saturating_inc();
		}
		if cursor != before {
			DueFrom::<T>::put(cursor);
		}
		weight
	}

	/// Ends an attempt if this was its deadline.
	fn check_duty(id: &JobId, deadline: BlockNumberFor<T>, now: BlockNumberFor<T>) -> Weight {
		match Jobs::<T>::get(id) {
			Some(job) if job.state == State::Executing && job.deadline == deadline => {
				Self::fail_attempt(id, job, now);
				T::WeightInfo::no_output()
			}
			_ => T::WeightInfo::scan(),
		}
	}

	/// Fines an executor that published nothing; its job waits for another, or is refunded.
	pub(crate) fn fail_attempt(id: &JobId, mut job: JobOf<T>, now: BlockNumberFor<T>) {
		let Some(executor) = job.executor().cloned() else {
			return;
		};
		T::Providers::release(&executor, 0);
		let fine = job.bill_at_most(&T::Params::get().rates).no_output_fine();
		let taken = T::Providers::fine(&executor, Fault::NoOutput, &job.model, fine);
		Self::deposit_event(Event::AttemptFailed {
			job: *id,
			attempt: job.attempt,
			executor: executor.clone(),
			fine: T::Escrow::amount(&taken),
		});
		T::Escrow::collect(taken);
		// Bounded by the attempts.
		let _ = job.failed.try_push(executor);
		if u32::from(job.attempts()) >= MAX_ATTEMPTS {
			return Self::refund(id, job, Trigger::AttemptsSpent, RefundReason::NoOutput, now);
		}
		if !job.step(Trigger::NoOutput) {
			return;
		}
		job.attempt = job.attempt.saturating_add(1);
		job.engagement = None;
		job.deadline = job
			.requested_at
			.saturating_add(T::Params::get().queue_blocks)
			.max(now.saturating_add(One::one()));
		Self::enqueue_again(id, &mut job);
		Jobs::<T>::insert(id, job);
	}
}
