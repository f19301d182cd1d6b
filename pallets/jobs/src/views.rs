//! A job as the runtime API shows it.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	api::{JobPhase, JobView, SeatView},
	economics::Fault,
	JobId,
};
use frame_support::{traits::Get, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;

impl From<Phase> for JobPhase {
	fn from(phase: Phase) -> Self {
		match phase {
			Phase::Drawing { .. } => Self::Drawing,
			Phase::Executing => Self::Executing,
			Phase::Committing => Self::Committing,
			Phase::Revealing => Self::Revealing,
		}
	}
}

impl<T: Config> Pallet<T> {
	/// Returns a job, open or concluded and not yet pruned.
	pub fn view(id: JobId) -> Option<JobView<T::AccountId, BlockNumberFor<T>>> {
		let input = Inputs::<T>::get(id)?.into_inner();
		let output = Outputs::<T>::get(id);
		let genesis = T::GenesisHash::get();
		if let Some(job) = Jobs::<T>::get(id) {
			let at_work = job.is_at_work();
			let seats: Vec<_> = job
				.committee
				.into_iter()
				.filter(|_| at_work)
				.map(|seat| SeatView {
					provider: seat.provider,
					committed: seat.commitment.is_some(),
					revealed: seat.vote.is_some(),
				})
				.collect();
			return Some(JobView {
				id,
				requester: job.requester,
				model: job.model,
				params: job.params,
				phase: job.phase.into(),
				attempt: job.attempt.saturating_add(1),
				committee: BoundedVec::truncate_from(seats),
				deadline: Some(job.deadline),
				input,
				output,
				requested_at: job.requested_at,
				genesis,
			});
		}
		let receipt = Receipts::<T>::get(id)?;
		let seats: Vec<_> = receipt
			.committee
			.into_iter()
			.map(|seat| SeatView {
				provider: seat.provider,
				committed: seat.vote.is_some() || seat.fault == Some(Fault::NoReveal),
				revealed: seat.vote.is_some(),
			})
			.collect();
		Some(JobView {
			id,
			requester: receipt.requester,
			model: receipt.model,
			params: receipt.params,
			phase: JobPhase::Concluded,
			attempt: receipt.attempts,
			committee: BoundedVec::truncate_from(seats),
			deadline: None,
			input,
			output,
			requested_at: receipt.requested_at,
			genesis,
		})
	}
}
