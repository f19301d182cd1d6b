//! What must hold after every block.

use crate::*;
use alloc::collections::BTreeSet;
use assay_primitives::JobId;
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

/// Counts that the other maps must match.
#[derive(Default)]
struct Counts {
	jobs: u32,
	waiting: usize,
	seats: usize,
	receipts: usize,
}

impl<T: Config> Pallet<T> {
	/// Checks that all storage items agree with the open jobs and the receipts.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let mut counts = Counts::default();
		for (id, job) in Jobs::<T>::iter() {
			counts.jobs = counts.jobs.saturating_add(1);
			Self::check_job(&id, &job)?;
			if let Phase::Drawing { index } = job.phase {
				counts.waiting = counts.waiting.saturating_add(1);
				Self::check_waiting(&id, index)?;
			} else {
				counts.seats = counts.seats.saturating_add(job.committee.len());
				Self::check_committee(&id, &job)?;
			}
		}
		for (id, receipt) in Receipts::<T>::iter() {
			counts.receipts = counts.receipts.saturating_add(1);
			Self::check_receipt(&id, &receipt)?;
		}
		Self::check_counts(&counts)
	}

	fn check_job(id: &JobId, job: &JobOf<T>) -> Result<(), TryRuntimeError> {
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
		Ok(())
	}

	fn check_waiting(id: &JobId, index: u64) -> Result<(), TryRuntimeError> {
		let (first, end) = QueueEnds::<T>::get();
		ensure!(
			(first..end).contains(&index),
			"a waiting job's index is within the queue"
		);
		ensure!(
			Queue::<T>::get(index).is_some_and(|waiting| waiting.job == *id),
			"a waiting job is in the queue at its index"
		);
		Ok(())
	}

	fn check_committee(id: &JobId, job: &JobOf<T>) -> Result<(), TryRuntimeError> {
		ensure!(job.seed.is_some(), "a drawn job has a seed");
		ensure!(job.committee.len() as u32 == job.size, "a committee is complete");
		let members: BTreeSet<_> = job.committee.iter().map(|seat| &seat.provider).collect();
		ensure!(members.len() == job.committee.len(), "no provider has two seats");
		for seat in &job.committee {
			ensure!(
				Assignments::<T>::contains_key(&seat.provider, id),
				"a seat is an assignment"
			);
			ensure!(
				seat.vote.is_none() || seat.commitment.is_some(),
				"a revealed vote was committed first"
			);
		}
		Ok(())
	}

	fn check_receipt(id: &JobId, receipt: &ReceiptOf<T>) -> Result<(), TryRuntimeError> {
		ensure!(receipt.job == *id, "a receipt names its job");
		ensure!(Inputs::<T>::contains_key(id), "a receipt has its prompt");
		ensure!(
			Concluded::<T>::contains_key(receipt.concluded_at, id),
			"a receipt will expire"
		);
		ensure!(
			Outputs::<T>::contains_key(id) == receipt.answer.is_some(),
			"a receipt has an output if an answer was agreed on"
		);
		Ok(())
	}

	fn check_counts(counts: &Counts) -> Result<(), TryRuntimeError> {
		let jobs = counts.jobs as usize;
		ensure!(Jobs::<T>::count() == counts.jobs, "open jobs are counted");
		ensure!(
			Queue::<T>::iter_keys().count() == counts.waiting,
			"only waiting jobs are in the queue"
		);
		ensure!(
			Deadlines::<T>::iter_keys().count() == jobs,
			"only open jobs have deadlines"
		);
		ensure!(
			Assignments::<T>::iter_keys().count() == counts.seats,
			"only seats are assignments"
		);
		ensure!(
			Concluded::<T>::iter_keys().count() == counts.receipts,
			"only receipts expire"
		);
		ensure!(
			Inputs::<T>::iter_keys().count() == jobs.saturating_add(counts.receipts),
			"only jobs and receipts have prompts"
		);
		Ok(())
	}
}
