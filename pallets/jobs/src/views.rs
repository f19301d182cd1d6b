//! A job, and its execution, as the runtime API shows them.

use crate::*;
use assay_primitives::{
	api::{ExecutionView, JobView},
	traits::{Claims, ProviderSet},
	JobId,
};
use frame_support::traits::Get;
use frame_system::pallet_prelude::BlockNumberFor;

type JobViewOf<T> = JobView<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;

impl<T: Config> Pallet<T> {
	/// Returns a job, open or closed and not yet pruned.
	pub fn view(id: JobId) -> Option<JobViewOf<T>> {
		match Jobs::<T>::get(id) {
			Some(job) => Self::view_open(id, job),
			None => Self::view_closed(id, Receipts::<T>::get(id)?),
		}
	}

	/// Returns who makes a job's draft; none before an executor is drawn and once the job is closed. Only its provider
	/// knows the endpoint, which is none here.
	pub fn execution(id: JobId) -> Option<ExecutionView<T::AccountId>> {
		let job = Jobs::<T>::get(id)?;
		let (attempt, published) = (job.attempts(), job.answer.is_some());
		let Engagement { executor, claim, .. } = job.engagement.clone()?;
		let key = T::Providers::key_of(&executor);
		Some(ExecutionView {
			attempt,
			key: key.and_then(|key| AsRef::<[u8]>::as_ref(&key).try_into().ok()),
			executor,
			claim,
			work: Self::work_of(&id, job, None)?.id(),
			endpoint: None,
			published,
		})
	}

	fn view_open(id: JobId, job: JobOf<T>) -> Option<JobViewOf<T>> {
		let attempt = job.attempts();
		let (executor, claim) = match job.engagement {
			Some(engagement) => (Some(engagement.executor), Some(engagement.claim)),
			None => (None, None),
		};
		let mut view = JobView {
			id,
			requester: job.requester,
			model: job.model,
			listing: job.terms.listing,
			params: job.params,
			verifiers: job.verifiers,
			state: job.state,
			verdict: None,
			verdict_at: None,
			attempt,
			executor,
			claim,
			seats: Default::default(),
			deadline: Some(job.deadline),
			input: Inputs::<T>::get(id)?.into(),
			output: Outputs::<T>::get(id),
			requested_at: job.requested_at,
			genesis: T::GenesisHash::get(),
		};
		// From the publication on, the claim knows better.
		let status = claim
			.filter(|_| job.answer.is_some())
			.and_then(|claim| T::Claims::status(&claim));
		if let Some(status) = status {
			view.state = status.state;
			view.verdict = status.verdict;
			view.verdict_at = status.verdict_at;
			view.deadline = Some(status.due);
			view.seats = status.record.seats;
		}
		Some(view)
	}

	fn view_closed(id: JobId, receipt: ReceiptOf<T>) -> Option<JobViewOf<T>> {
		let genesis = T::GenesisHash::get();
		let record = receipt.claim;
		let claim = record
			.as_ref()
			.map(|record| record.execution(genesis, id, receipt.model).claim());
		let (verifiers, executor, seats) = match record {
			Some(record) => (record.verifiers, Some(record.executor), record.seats),
			None => (0, None, Default::default()),
		};
		Some(JobView {
			id,
			requester: receipt.requester,
			model: receipt.model,
			listing: receipt.listing,
			params: receipt.params,
			verifiers,
			state: receipt.state,
			verdict: Some(receipt.verdict),
			verdict_at: Some(receipt.verdict_at),
			attempt: receipt.attempts,
			executor,
			claim,
			seats,
			deadline: None,
			input: Inputs::<T>::get(id)?.into(),
			output: Outputs::<T>::get(id),
			requested_at: receipt.requested_at,
			genesis,
		})
	}
}
