//! Phases and their deadlines: no job waits forever.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	economics::Fault, limits::MAX_ATTEMPTS, quorum::supermajority_threshold, receipt::RefundReason, JobId,
};
use frame_support::{traits::Get, weights::Weight};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::{Saturating, UniqueSaturatedInto};

impl<T: Config> Pallet<T> {
	/// Moves a job to a phase that begins now. The caller stores the job.
	pub(crate) fn enter_phase(id: &JobId, job: &mut JobOf<T>, phase: Phase, now: BlockNumberFor<T>) {
		let params = T::Params::get();
		let blocks = match phase {
			Phase::Drawing { .. } => params.draw_blocks,
			Phase::Executing => params.execute_blocks,
			Phase::Committing => params.commit_blocks,
			Phase::Revealing => params.reveal_blocks,
		};
		Deadlines::<T>::remove(job.deadline, id);
		job.phase = phase;
		job.deadline = now.saturating_add(blocks);
		Deadlines::<T>::insert(job.deadline, id, ());
		if phase == Phase::Revealing {
			Self::deposit_event(Event::RevealStarted {
				job: *id,
				attempt: job.attempt,
			});
		}
	}

	/// Returns the most blocks from a request to its receipt.
	///
	/// Each phase lasts its blocks and one more, in which its end is noticed. If all open jobs were due at once, the
	/// last would be handled `max_open_jobs / max_due_per_block` blocks late, and the cursor would need at most as many
	/// to catch up.
	pub fn t_max() -> u32 {
		let params = T::Params::get();
		let phases = [
			params.draw_blocks,
			params.execute_blocks,
			params.commit_blocks,
			params.reveal_blocks,
		];
		let late = params
			.max_open_jobs
			.div_ceil(params.max_due_per_block.max(1))
			.saturating_mul(2)
			.saturating_add(1);
		let attempt = phases.into_iter().fold(0u32, |sum, blocks| {
			sum.saturating_add(UniqueSaturatedInto::<u32>::unique_saturated_into(blocks))
				.saturating_add(late)
		});
		attempt.saturating_mul(MAX_ATTEMPTS)
	}

	/// Ends the phases whose last block is over, in the order of their deadlines.
	pub(crate) fn handle_due(now: BlockNumberFor<T>) -> Weight {
		let most = T::Params::get().max_due_per_block.max(1);
		let mut left = most;
		let mut cursor = DueFrom::<T>::get();
		let mut weight = T::WeightInfo::idle_block();
		for _ in 0..=most {
			if cursor >= now {
				break;
			}
			let due: Vec<JobId> = Deadlines::<T>::iter_key_prefix(cursor).take(left as usize).collect();
			weight = weight.saturating_add(T::WeightInfo::scan());
			for id in &due {
				weight = weight.saturating_add(Self::end_phase(id, cursor, now));
			}
			left = left.saturating_sub(due.len() as u32);
			if left == 0 {
				// There may be more at this block.
				break;
			}
			cursor.saturating_inc();
		}
		DueFrom::<T>::put(cursor);
		weight
	}

	fn end_phase(id: &JobId, deadline: BlockNumberFor<T>, now: BlockNumberFor<T>) -> Weight {
		let Some(mut job) = Jobs::<T>::get(id) else {
			Deadlines::<T>::remove(deadline, id);
			return T::WeightInfo::scan();
		};
		let weight = T::WeightInfo::conclude(job.committee.len() as u32);
		match job.phase {
			Phase::Drawing { index } => {
				Queue::<T>::remove(index);
				Self::refund(id, job, RefundReason::NoCommittee, now);
			}
			Phase::Executing => {
				let mut due = Self::restitution_due(&job);
				Self::slash(id, &mut job, 0, Fault::NoOutput, &mut due);
				Self::fail_attempt(id, job, RefundReason::NoOutput, now);
			}
			Phase::Committing => {
				let committed = job.committee.iter().filter(|seat| seat.commitment.is_some()).count() as u32;
				if committed >= supermajority_threshold(job.size) {
					Self::enter_phase(id, &mut job, Phase::Revealing, now);
					Jobs::<T>::insert(id, job);
				} else {
					Self::fail_attempt(id, job, RefundReason::NoSupermajority, now);
				}
			}
			Phase::Revealing => Self::conclude(id, job, now),
		}
		weight
	}
}
