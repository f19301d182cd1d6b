//! The queue of jobs that wait for a committee, and the draw.
//!
//! A place in the queue is a number. Places that a deadline emptied are stepped over; a job for which too few providers are free
//! takes a new place at the end. Whoever took its place in this block waits for the next: the randomness of a draw is never known
//! to those who ask for it.

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
	/// Lets a job wait for its committee from now on. The caller stores the job.
	pub(crate) fn enter_queue(id: &JobId, job: &mut JobOf<T>, now: BlockNumberFor<T>) {
		let phase = Phase::Drawing {
			ticket: Self::take_place(id, now),
		};
		Self::enter_phase(id, job, phase, now);
	}

	fn take_place(id: &JobId, now: BlockNumberFor<T>) -> u64 {
		let ticket = QueueEnds::<T>::mutate(|(_, end)| {
			let ticket = *end;
			*end = end.saturating_add(1);
			ticket
		});
		Queue::<T>::insert(ticket, Waiting { job: *id, since: now });
		ticket
	}

	/// What the draws of this block cost at most, seen from its beginning.
	pub(crate) fn weight_of_draws() -> Weight {
		let params = T::Params::get();
		let (first, end) = QueueEnds::<T>::get();
		let waiting = end.saturating_sub(first);
		T::WeightInfo::draw(MAX_PROVIDERS_PER_MODEL, params.max_committee)
			.saturating_mul(waiting.min(params.max_draws_per_block.into()))
			.saturating_add(T::WeightInfo::look().saturating_mul(waiting.min(params.max_due_per_block.into())))
	}

	/// Draws committees for the jobs that have waited longest.
	pub(crate) fn draw_waiting(now: BlockNumberFor<T>) {
		let (mut first, end) = QueueEnds::<T>::get();
		if first == end {
			return;
		}
		let Some(randomness) = T::Randomness::get() else { return };
		let params = T::Params::get();
		let (mut draws, mut gaps) = (params.max_draws_per_block, params.max_due_per_block);
		while first < end {
			let Some(waiting) = Queue::<T>::get(first) else {
				// A place whose job ran out of time. As many arise in a block at most as are stepped over in one.
				let Some(left) = gaps.checked_sub(1) else { break };
				gaps = left;
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

	pub(crate) fn draw_one(id: &JobId, randomness: &Hash32, now: BlockNumberFor<T>) {
		let Some(mut job) = Jobs::<T>::get(id) else { return };
		let candidates = Self::candidates(&job.model);
		let able = candidates.len() as u32;
		let wanted = if job.enlarge {
			next_committee_size(job.size, T::Params::get().max_committee)
		} else {
			job.size
		};
		let size = if able >= wanted { wanted } else { job.size };
		let drawn = if able >= size {
			draw(&draw_seed(id, job.attempt, randomness), candidates, size)
		} else {
			None
		};
		let Some(mut drawn) = drawn else {
			job.phase = Phase::Drawing {
				ticket: Self::take_place(id, now),
			};
			Jobs::<T>::insert(id, job);
			return;
		};
		spare_failed(&mut drawn, &job.failed);
		drawn.iter().for_each(|who| {
			T::Providers::engage(who);
			Assignments::<T>::insert(who, id, ());
		});
		let seats: Vec<_> = drawn
			.iter()
			.map(|who| Seat {
				provider: who.clone(),
				commitment: None,
				vote: None,
				fault: None,
			})
			.collect();
		job.committee = BoundedVec::truncate_from(seats);
		job.size = size;
		job.enlarge = false;
		job.seed.get_or_insert_with(|| Seed {
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

/// Lets the first who has not failed as this job's executor execute it; if all have, the order stays.
fn spare_failed<AccountId: PartialEq>(drawn: &mut [AccountId], failed: &[AccountId]) {
	if let Some(fresh) = drawn.iter().position(|who| !failed.contains(who)) {
		drawn.swap(0, fresh);
	}
}
