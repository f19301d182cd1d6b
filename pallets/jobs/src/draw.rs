//! The queue of jobs that wait for a committee, and the draw.
//!
//! A job has an index in the queue. Indices that a deadline emptied are holes, which are skipped; a job for which too
//! few providers are available is enqueued again at the end. A job that was enqueued in this block waits for the next:
//! the randomness of a draw is never known to those who request it.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	draw::{draw, draw_seed, sampling_seed},
	limits::MAX_PROVIDERS_PER_MODEL,
	quorum::next_committee_size,
	traits::ProviderSet,
	Hash32, JobId,
};
use frame_support::{traits::Get, weights::Weight, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;

impl<T: Config> Pallet<T> {
	/// Puts a job into the queue and its phase of drawing. The caller stores the job.
	pub(crate) fn enter_queue(id: &JobId, job: &mut JobOf<T>, now: BlockNumberFor<T>) {
		let phase = Phase::Drawing {
			index: Self::enqueue(id, now),
		};
		Self::enter_phase(id, job, phase, now);
	}

	/// Appends a job to the queue and returns its index.
	fn enqueue(id: &JobId, now: BlockNumberFor<T>) -> u64 {
		let index = QueueEnds::<T>::mutate(|(_, end)| {
			let index = *end;
			*end = end.saturating_add(1);
			index
		});
		Queue::<T>::insert(index, Waiting { job: *id, since: now });
		index
	}

	/// Returns what the draws of this block cost at most, seen from its beginning.
	pub(crate) fn weight_of_draws() -> Weight {
		let params = T::Params::get();
		let (first, end) = QueueEnds::<T>::get();
		let waiting = end.saturating_sub(first);
		T::WeightInfo::draw(MAX_PROVIDERS_PER_MODEL, params.max_committee)
			.saturating_mul(waiting.min(params.max_draws_per_block.into()))
			.saturating_add(T::WeightInfo::scan().saturating_mul(waiting.min(params.max_due_per_block.into())))
	}

	/// Draws committees for the jobs that have waited longest.
	pub(crate) fn draw_waiting(now: BlockNumberFor<T>) {
		let (mut first, end) = QueueEnds::<T>::get();
		if first == end {
			return;
		}
		let Some(randomness) = T::Randomness::get() else { return };
		let params = T::Params::get();
		let (mut draws, mut holes) = (params.max_draws_per_block, params.max_due_per_block);
		while first < end {
			let Some(waiting) = Queue::<T>::get(first) else {
				// The index of a job that ran out of time. At most as many holes arise in a block as are skipped in
				// one.
				let Some(left) = holes.checked_sub(1) else { break };
				holes = left;
				first = first.saturating_add(1);
				continue;
			};
			if waiting.since >= now {
				break;
			}
			let Some(left) = draws.checked_sub(1) else { break };
			draws = left;
			Queue::<T>::remove(first);
			first = first.saturating_add(1);
			Self::draw_one(&waiting.job, &randomness, now);
		}
		// Jobs that found no committee have moved the end.
		QueueEnds::<T>::mutate(|ends| ends.0 = first);
	}

	/// Draws the committee of one job; enqueues it again if too few providers are available.
	pub(crate) fn draw_one(id: &JobId, randomness: &Hash32, now: BlockNumberFor<T>) {
		let Some(mut job) = Jobs::<T>::get(id) else { return };
		let candidates = Self::candidates(&job.model);
		let available = candidates.len() as u32;
		let wanted = if job.enlarge {
			next_committee_size(job.size, T::Params::get().max_committee)
		} else {
			job.size
		};
		let size = if available >= wanted { wanted } else { job.size };
		let drawn = if available >= size {
			draw(&draw_seed(id, job.attempt, randomness), candidates, size)
		} else {
			None
		};
		let Some(mut drawn) = drawn else {
			job.phase = Phase::Drawing {
				index: Self::enqueue(id, now),
			};
			Jobs::<T>::insert(id, job);
			return;
		};
		prefer_fresh_executor(&mut drawn, &job.failed);
		drawn.iter().for_each(|who| {
			T::Providers::engage(who);
			Assignments::<T>::insert(who, id, ());
		});
		let seats: Vec<_> = drawn.iter().cloned().map(Seat::new).collect();
		job.committee = BoundedVec::truncate_from(seats);
		job.size = size;
		job.enlarge = false;
		job.seed.get_or_insert_with(|| JobSeed {
			block: now,
			value: sampling_seed(id, randomness),
		});
		Self::deposit_event(Event::Drawn {
			job: *id,
			attempt: job.attempt,
			committee: drawn,
		});
		Self::enter_phase(id, &mut job, Phase::Executing, now);
		Jobs::<T>::insert(id, job);
	}
}

/// Moves the first provider that has not failed as this job's executor to the executor's seat; if all have, the order
/// stays.
fn prefer_fresh_executor<AccountId: PartialEq>(drawn: &mut [AccountId], failed: &[AccountId]) {
	if let Some(fresh) = drawn.iter().position(|who| !failed.contains(who)) {
		drawn.swap(0, fresh);
	}
}
