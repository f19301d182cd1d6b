//! What must hold after every block.

use crate::*;
use alloc::collections::BTreeSet;
use assay_primitives::{digest::input_hash, traits::Claims, InputHash, JobId, State};
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

/// Counts that the other maps must match.
#[derive(Default)]
struct Counts {
	jobs: usize,
	waiting: usize,
	receipts: usize,
	outputs: usize,
}

impl<T: Config> Pallet<T> {
	/// Checks that all storage items agree with the open jobs and the receipts.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let mut counts = Counts::default();
		for (id, job) in Jobs::<T>::iter() {
			counts.jobs = counts.jobs.saturating_add(1);
			counts.outputs = counts.outputs.saturating_add(job.answer.is_some().into());
			Self::check_stored_input(&id, &job.input_hash)?;
			ensure!(!Receipts::<T>::contains_key(id), "an open job has no receipt");
			ensure!(
				Outputs::<T>::contains_key(id) == job.answer.is_some(),
				"a job has an output from its publication on"
			);
			match job.state {
				State::Waiting => {
					counts.waiting = counts.waiting.saturating_add(1);
					ensure!(job.engagement.is_none(), "a waiting job has no executor");
				}
				State::Executing => Self::check_executing(&id, &job)?,
				State::Published | State::Window => Self::check_published(&job)?,
				_ => return Err("a job has a state up to its publication, then its claim has".into()),
			}
		}
		for (id, receipt) in Receipts::<T>::iter() {
			counts.receipts = counts.receipts.saturating_add(1);
			counts.outputs = counts.outputs.saturating_add(receipt.answer.is_some().into());
			Self::check_receipt(&id, &receipt)?;
		}
		Self::check_queues(counts.waiting)?;
		Self::check_accumulator()?;
		Self::check_counts(&counts)
	}

	fn check_stored_input(id: &JobId, hash: &InputHash) -> Result<(), TryRuntimeError> {
		let input = Inputs::<T>::get(id).ok_or("a job has its prompt until its receipt is pruned")?;
		ensure!(input_hash(&input) == *hash, "a stored prompt is the one that was asked");
		Ok(())
	}

	fn check_executing(id: &JobId, job: &JobOf<T>) -> Result<(), TryRuntimeError> {
		let executor = job.executor().ok_or("an executing job has an executor")?;
		ensure!(job.answer.is_none(), "an executing job has no answer");
		let due = Due::<T>::get(job.deadline);
		ensure!(
			due.iter().any(|duty| duty.job == *id && duty.executor == *executor),
			"an executor has a deadline"
		);
		ensure!(
			job.deadline >= DueFrom::<T>::get(),
			"no deadline lies behind the cursor"
		);
		Ok(())
	}

	fn check_published(job: &JobOf<T>) -> Result<(), TryRuntimeError> {
		let engagement = job.engagement.as_ref().ok_or("a published job has an executor")?;
		ensure!(job.answer.is_some(), "a published job has an answer");
		ensure!(
			T::Claims::status(&engagement.claim).is_some(),
			"a published job has an open claim"
		);
		Ok(())
	}

	fn check_receipt(id: &JobId, receipt: &ReceiptOf<T>) -> Result<(), TryRuntimeError> {
		ensure!(receipt.job == *id, "a receipt names its job");
		ensure!(receipt.state.is_final(), "a stored receipt is final");
		Self::check_stored_input(id, &receipt.input_hash)?;
		ensure!(
			receipt.closed_at.is_some_and(|at| Concluded::<T>::contains_key(at, id)),
			"a receipt will expire"
		);
		ensure!(
			Outputs::<T>::contains_key(id) == receipt.answer.is_some(),
			"a receipt has an output if there was an answer"
		);
		Ok(())
	}

	/// Checks that each waiting job is in its listing's queue, and that each listing with waiting jobs has a turn.
	fn check_queues(jobs: usize) -> Result<(), TryRuntimeError> {
		let waiting = WaitingJobs::<T>::get();
		let mut sum = 0u64;
		for (listing, line) in Lines::<T>::iter() {
			ensure!(!line.is_empty(), "a listing without waiting jobs has no queue");
			sum = sum.saturating_add(line.len());
			for index in line.first..line.end {
				let id = Queue::<T>::get(listing, index).ok_or("a queue has no holes")?;
				let job = Jobs::<T>::get(id).ok_or("a job in a queue is open")?;
				ensure!(job.state == State::Waiting, "a job in a queue waits");
				ensure!(job.terms.listing == listing, "a job is in the queue of its listing");
			}
			ensure!(
				Turns::<T>::iter_values().filter(|turn| *turn == listing).count() == 1,
				"a listing with waiting jobs has one turn"
			);
		}
		ensure!(sum == jobs as u64, "only waiting jobs are in queues, and all are");
		ensure!(
			Queue::<T>::iter_keys().count() == jobs,
			"nothing is in a queue beyond its ends"
		);
		ensure!(waiting.jobs as usize == jobs, "waiting jobs are counted");
		ensure!(
			Turns::<T>::iter_keys().all(|index| (waiting.first_turn..waiting.end_turn).contains(&index)),
			"turns lie within their ends"
		);
		ensure!(
			Turns::<T>::iter_keys().count() as u64 == waiting.listings(),
			"turns have no holes"
		);
		ensure!(
			Lines::<T>::iter_keys().count() as u64 == waiting.listings(),
			"every turn is that of a queue"
		);
		Ok(())
	}

	/// Checks the shape of the accumulator, and that receipts have leaves of their own in it.
	fn check_accumulator() -> Result<(), TryRuntimeError> {
		let accumulator = ReceiptAccumulator::<T>::get();
		ensure!(
			accumulator.is_consistent(),
			"the accumulator has a peak for each bit of its number of leaves"
		);
		let mut taken = BTreeSet::new();
		for (id, index) in Leaves::<T>::iter() {
			ensure!(Receipts::<T>::contains_key(id), "only receipts have leaves");
			ensure!(index < accumulator.leaves, "a leaf is in the accumulator");
			ensure!(taken.insert(index), "no two receipts have one leaf");
		}
		Ok(())
	}

	fn check_counts(counts: &Counts) -> Result<(), TryRuntimeError> {
		ensure!(
			Concluded::<T>::iter_keys().count() == counts.receipts,
			"only receipts expire"
		);
		ensure!(
			Inputs::<T>::iter_keys().count() == counts.jobs.saturating_add(counts.receipts),
			"only jobs and receipts have prompts"
		);
		ensure!(
			Outputs::<T>::iter_keys().count() == counts.outputs,
			"only jobs and receipts have outputs"
		);
		Ok(())
	}
}
