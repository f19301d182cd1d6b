//! What is true of the pallet's storage between any two blocks.

use crate::*;
use alloc::collections::BTreeSet;
use frame_support::ensure;

impl<T: Config> Pallet<T> {
	/// Checks that the maps tell one story.
	pub fn do_try_state() -> Result<(), sp_runtime::DispatchError> {
		let (first, end) = QueueEnds::<T>::get();
		let (mut jobs, mut waiting, mut seats) = (0u32, 0usize, 0usize);
		for (id, job) in Jobs::<T>::iter() {
			jobs = jobs.saturating_add(1);
			ensure!(Inputs::<T>::contains_key(id), "an open job has its prompt");
			ensure!(!Receipts::<T>::contains_key(id), "an open job has no receipt");
			ensure!(
				Deadlines::<T>::contains_key(job.deadline, id),
				"an open job has a deadline"
			);
			ensure!(
				job.deadline >= DueFrom::<T>::get(),
				"no deadline lies behind the cursor"
			);
			let has_output = matches!(job.phase, Phase::Committing | Phase::Revealing);
			ensure!(
				Outputs::<T>::contains_key(id) == has_output,
				"an open job has an output from its publication on"
			);
			if let Phase::Drawing { ticket } = job.phase {
				waiting = waiting.saturating_add(1);
				ensure!((first..end).contains(&ticket), "a waiting job's place is in the queue");
				ensure!(
					Queue::<T>::get(ticket).map(|w| w.job) == Some(id),
					"a waiting job is where it says"
				);
				continue;
			}
			ensure!(job.seed.is_some(), "a drawn job has a seed");
			ensure!(job.committee.len() as u32 == job.size, "a committee is complete");
			let sitting: BTreeSet<_> = job
				.committee
				.iter()
				.map(|seat| codec::Encode::encode(&seat.provider))
				.collect();
			ensure!(sitting.len() == job.committee.len(), "nobody sits twice");
			for seat in &job.committee {
				seats = seats.saturating_add(1);
				ensure!(
					Assignments::<T>::contains_key(&seat.provider, id),
					"a seat is an assignment"
				);
				ensure!(
					seat.vote.is_none() || seat.commitment.is_some(),
					"an open vote was blinded first"
				);
			}
		}
		ensure!(jobs == Jobs::<T>::count(), "open jobs are counted");
		ensure!(
			Queue::<T>::iter_keys().count() == waiting,
			"only waiting jobs are in the queue"
		);
		ensure!(
			Deadlines::<T>::iter_keys().count() == jobs as usize,
			"only open jobs have deadlines"
		);
		ensure!(
			Assignments::<T>::iter_keys().count() == seats,
			"only seats are assignments"
		);

		let mut receipts = 0usize;
		for (id, receipt) in Receipts::<T>::iter() {
			receipts = receipts.saturating_add(1);
			ensure!(receipt.job == id, "a receipt names its job");
			ensure!(Inputs::<T>::contains_key(id), "a receipt has its prompt");
			ensure!(
				Concluded::<T>::contains_key(receipt.concluded_at, id),
				"a receipt will expire"
			);
			ensure!(
				Outputs::<T>::contains_key(id) == receipt.answer.is_some(),
				"a receipt has an output if an answer was agreed on"
			);
		}
		ensure!(Concluded::<T>::iter_keys().count() == receipts, "only receipts expire");
		ensure!(
			Inputs::<T>::iter_keys().count() == (jobs as usize).saturating_add(receipts),
			"only jobs and receipts have prompts"
		);
		Ok(())
	}
}
