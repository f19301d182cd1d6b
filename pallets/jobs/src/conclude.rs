//! The end of a job: the money, and the receipt.

use crate::*;
use assay_primitives::{
	economics::{self, Shares},
	receipt::{ClaimRecord, RefundReason},
	state::Trigger,
	traits::{ClaimSource, ClaimStatus, Claims, Escrow},
	Balance, ClaimId, JobId, Output, Receipt, State, Verdict, Work,
};
use frame_support::traits::Get;
use frame_system::pallet_prelude::BlockNumberFor;

type StatusOf<T> = ClaimStatus<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
type RecordOf<T> = ClaimRecord<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;

/// What is known of the end of a job, final or not.
struct End<T: Config> {
	verdict: Verdict,
	verdict_at: BlockNumberFor<T>,
	state: State,
	closed_at: Option<BlockNumberFor<T>>,
	claim: Option<RecordOf<T>>,
	fee: Balance,
}

impl<T: Config> ClaimSource<T::AccountId, BlockNumberFor<T>> for Pallet<T> {
	fn work(origin: &JobId, check: bool) -> Option<Work> {
		let claim = if check { Some(Outputs::<T>::get(origin)?) } else { None };
		Self::work_of(origin, Jobs::<T>::get(origin)?, claim)
	}

	fn closed(origin: &JobId, claim: &ClaimId, status: StatusOf<T>, approvals: &[T::AccountId]) -> u32 {
		let now = frame_system::Pallet::<T>::block_number();
		let job = Jobs::<T>::get(origin).filter(|job| {
			let engagement = job.engagement.as_ref();
			engagement.is_some_and(|engagement| engagement.claim == *claim) && job.answer.is_some()
		});
		let Some(job) = job.filter(|_| status.state.is_final()) else {
			log::error!(target: LOG_TARGET, "Claim {claim} ended, and job {origin} does not wait for it");
			return 0;
		};
		let (fee, paid) = if status.state == State::Settled {
			Self::settle(origin, &job, &status.record, approvals)
		} else {
			Self::refund_fee(origin);
			(0, 0)
		};
		let end = End::<T> {
			verdict: status.verdict.unwrap_or(match status.state {
				State::Overturned => Verdict::Overturned,
				State::Settled => Verdict::Unverified,
				_ => Verdict::Refunded(RefundReason::Undecided),
			}),
			verdict_at: status.verdict_at.unwrap_or(now),
			state: status.state,
			closed_at: Some(now),
			claim: Some(status.record),
			fee,
		};
		Self::close(origin, job, end, now);
		paid
	}
}

impl<T: Config> Pallet<T> {
	/// Ends a job without an answer and gives everything back.
	pub(crate) fn refund(
		id: &JobId,
		mut job: JobOf<T>,
		trigger: Trigger,
		reason: RefundReason,
		now: BlockNumberFor<T>,
	) {
		if !job.step(trigger) {
			log::error!(target: LOG_TARGET, "Job {id}: {trigger:?} cannot happen in state {:?}", job.state);
			return;
		}
		Self::refund_fee(id);
		let end = End::<T> {
			verdict: Verdict::Refunded(reason),
			verdict_at: now,
			state: job.state,
			closed_at: Some(now),
			claim: None,
			fee: 0,
		};
		Self::close(id, job, end, now);
	}

	/// Returns the work item of a job's present attempt: to make its answer, or to check a claimed one.
	pub(crate) fn work_of(id: &JobId, job: JobOf<T>, claim: Option<Output>) -> Option<Work> {
		let execution = job.execution(T::GenesisHash::get(), id)?;
		Some(Work {
			model: job.model,
			input: Inputs::<T>::get(id)?,
			params: job.params,
			seed: execution.sampling_seed(),
			claim,
		})
	}

	fn refund_fee(id: &JobId) {
		if let Err(error) = T::Escrow::refund(id) {
			// Cannot happen while the escrow is consistent. Pruning the receipt gives back what is left.
			log::error!(target: LOG_TARGET, "Job {id}: the escrow could not refund: {error:?}");
		}
	}

	/// Returns the shares of a settled job with this many approvals.
	fn shares(job: &JobOf<T>, approvals: u32) -> Shares {
		let rates = T::Params::get().rates;
		let answer = job.answer.as_ref();
		let bill = answer
			.map(|answer| job.bill(&rates, &answer.record))
			.unwrap_or_default();
		economics::settle(
			&rates,
			job.fee_ceiling,
			&bill,
			job.verifiers,
			approvals,
			job.terms.royalty,
		)
	}

	/// Pays for an answer whose verdict stands. Returns what the requester pays, and how many seats were paid.
	fn settle(id: &JobId, job: &JobOf<T>, record: &RecordOf<T>, approvals: &[T::AccountId]) -> (Balance, u32) {
		let shares = Self::shares(job, u32::try_from(approvals.len()).unwrap_or(u32::MAX));
		let seats = approvals.get(..shares.seats as usize).unwrap_or(approvals);
		match T::Escrow::settle(id, &shares, &record.executor, seats, &job.terms.owner) {
			Ok(()) => (job.fee_ceiling.saturating_sub(shares.refund), shares.seats),
			Err(error) => {
				// Cannot happen while the escrow is consistent. The verdict stands, and nobody pays for it.
				log::error!(target: LOG_TARGET, "Job {id}: the escrow could not settle: {error:?}");
				Self::refund_fee(id);
				(0, 0)
			}
		}
	}

	/// Writes the receipt of a job that is final, appends it to the accumulator, and forgets the job.
	fn close(id: &JobId, job: JobOf<T>, end: End<T>, now: BlockNumberFor<T>) {
		Self::deposit_event(Event::Closed {
			job: *id,
			state: end.state,
			verdict: end.verdict,
			fee: end.fee,
		});
		Jobs::<T>::remove(id);
		Concluded::<T>::insert(now, id, ());
		let receipt = receipt_of::<T>(*id, job, end);
		Self::accumulate(id, &receipt);
		Receipts::<T>::insert(id, receipt);
	}

	/// Returns the receipt of a job that has a verdict. It may change until its state is final.
	pub fn receipt(id: JobId) -> Option<ReceiptOf<T>> {
		if let Some(receipt) = Receipts::<T>::get(id) {
			return Some(receipt);
		}
		let job = Jobs::<T>::get(id)?;
		let ClaimStatus {
			state,
			verdict,
			verdict_at,
			due: _,
			record,
		} = T::Claims::status(&job.engagement.as_ref()?.claim)?;
		let approvals = u32::try_from(record.approvals().count()).unwrap_or(u32::MAX);
		let shares = Self::shares(&job, approvals);
		let end = End::<T> {
			verdict: verdict?,
			verdict_at: verdict_at?,
			state,
			closed_at: None,
			claim: Some(record),
			fee: job.fee_ceiling.saturating_sub(shares.refund),
		};
		Some(receipt_of::<T>(id, job, end))
	}
}

fn receipt_of<T: Config>(id: JobId, job: JobOf<T>, end: End<T>) -> ReceiptOf<T> {
	Receipt {
		job: id,
		attempts: job.attempts(),
		model: job.model,
		listing: job.terms.listing,
		listing_named: job.listing_named,
		requester: job.requester,
		count: job.count,
		params: job.params,
		input_hash: job.input_hash,
		verdict: end.verdict,
		state: end.state,
		answer: job.answer.map(|answer| answer.record),
		claim: end.claim,
		fee: end.fee,
		requested_at: job.requested_at,
		verdict_at: end.verdict_at,
		closed_at: end.closed_at,
	}
}
