//! Counting the votes, and what follows: the faults, the money, the receipt, or another attempt.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	digest::{output_hash, Subject},
	economics::{self, Fault},
	limits::MAX_ATTEMPTS,
	quorum,
	receipt::{AnswerRecord, RefundReason, SeatRecord},
	traits::{Escrow, ProviderSet},
	Balance, Hash32, JobId, Output, Receipt, TraceRoot, Verdict, Vote,
};
use frame_support::{traits::Get, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;

const LOG: &str = "assay::jobs";

impl<T: Config> Pallet<T> {
	/// Counts the open votes of a committee and acts on the result.
	pub(crate) fn conclude(id: &JobId, mut job: JobOf<T>, now: BlockNumberFor<T>) {
		let votes: Vec<Vote> = job.committee.iter().filter_map(|seat| seat.vote).collect();
		let won = quorum::tally(job.size, votes.iter());
		// An agreed answer owes the requester nothing more: what dissenters lose goes to the treasury.
		let mut owed = if matches!(won, Some(Vote::Confirm { .. })) {
			0
		} else {
			Self::owed(&job)
		};
		let faults: Vec<_> = job
			.committee
			.iter()
			.enumerate()
			.filter_map(|(index, seat)| fault_of(index, seat, won.as_ref()).map(|fault| (index, fault)))
			.collect();
		for (index, fault) in faults {
			Self::blame(id, &mut job, index, fault, &mut owed);
		}
		match (won, Outputs::<T>::get(id)) {
			(Some(Vote::Confirm { trace_root }), Some(output)) => Self::settle(id, job, output, trace_root, now),
			(Some(Vote::Reject { .. }), _) => Self::fail_attempt(id, job, RefundReason::Rejected, now),
			_ => Self::fail_attempt(id, job, RefundReason::NoSupermajority, now),
		}
	}

	/// What the requester is owed for an attempt that fails by a provider's fault.
	pub(crate) fn owed(job: &JobOf<T>) -> Balance {
		T::Params::get().rates.restitution.mul_floor(job.ceiling)
	}

	/// Finds a seat at fault: slashes its provider and makes the requester whole from it, up to `owed`.
	pub(crate) fn blame(id: &JobId, job: &mut JobOf<T>, index: usize, fault: Fault, owed: &mut Balance) {
		let Some(seat) = job.committee.get_mut(index) else {
			return;
		};
		seat.fault = Some(fault);
		let slashed = T::Providers::punish(&seat.provider, fault);
		let restitution = T::Escrow::restitute(id, slashed, *owed);
		*owed = owed.saturating_sub(restitution);
		let provider = seat.provider.clone();
		Self::deposit_event(Event::Faulted {
			job: *id,
			attempt: job.attempt,
			provider,
			fault,
			restitution,
		});
	}

	/// Ends an attempt without an agreed answer: another committee, or the money back.
	pub(crate) fn fail_attempt(id: &JobId, mut job: JobOf<T>, reason: RefundReason, now: BlockNumberFor<T>) {
		Self::deposit_event(Event::AttemptFailed {
			job: *id,
			attempt: job.attempt,
			reason,
		});
		Self::disband(id, &job);
		Outputs::<T>::remove(id);
		let next = job.attempt.saturating_add(1);
		if u32::from(next) >= MAX_ATTEMPTS {
			return Self::refund(id, job, reason, now);
		}
		if let Some(executor) = job.executor().cloned() {
			// Bounded by the attempts.
			let _ = job.failed.try_push(executor);
		}
		// Who asked for no check gets none by a larger committee.
		job.enlarge = reason == RefundReason::NoSupermajority && job.size > 1;
		job.attempt = next;
		Self::enter_queue(id, &mut job, now);
		Jobs::<T>::insert(id, job);
	}

	/// Pays for an agreed answer.
	fn settle(id: &JobId, job: JobOf<T>, output: Output, trace_root: TraceRoot, now: BlockNumberFor<T>) {
		Self::disband(id, &job);
		let rates = T::Params::get().rates;
		let won = Some(Vote::Confirm { trace_root });
		let input_tokens = output.input_tokens.min(job.input_ceiling);
		let output_tokens = output.tokens.len() as u32;
		let terms = &job.terms;
		let fee = economics::fee(
			&rates,
			terms.price_in,
			terms.price_out,
			input_tokens,
			output_tokens,
			job.asked,
		)
		.min(job.ceiling);
		let verifiers: Vec<_> = job
			.committee
			.iter()
			.skip(1)
			.filter(|seat| seat.vote == won)
			.map(|seat| seat.provider.clone())
			.collect();
		let mut shares = economics::split(&rates, fee, job.size, verifiers.len() as u32, terms.royalty);
		let executor = job.committee.first();
		if executor.is_none_or(|seat| seat.vote != won) {
			// Its answer was right, but it did not stand by it.
			shares.refund = shares.refund.saturating_add(shares.executor);
			shares.executor = 0;
		}
		let mut paid = fee.saturating_sub(shares.refund);
		let executor = executor.map_or(&job.requester, |seat| &seat.provider);
		if let Err(error) = T::Escrow::settle(id, &shares, executor, &verifiers, &terms.owner) {
			// Cannot happen while the escrow keeps its word. An agreed answer stays agreed, and nobody pays for it.
			log::error!(target: LOG, "job {id}: the escrow could not settle: {error:?}");
			Self::give_back(id);
			paid = 0;
		}

		let hash = output_hash(&output);
		let subject = Subject {
			job: *id,
			model: job.model,
			input_hash: job.input_hash,
			params: &job.params,
			seed: job.seed.map_or_else(Hash32::default, |seed| seed.value),
			output_hash: hash,
		};
		let answer = AnswerRecord {
			output_hash: hash,
			trace_root,
			digest: subject.digest(&trace_root),
			input_tokens,
			output_tokens,
			finish: output.finish,
		};
		let verdict = if job.size == 1 {
			Verdict::Unchecked
		} else {
			Verdict::Confirmed
		};
		Self::write_receipt(id, job, verdict, Some(answer), paid, now);
	}

	/// Gives the money back for a job without an agreed answer.
	pub(crate) fn refund(id: &JobId, job: JobOf<T>, reason: RefundReason, now: BlockNumberFor<T>) {
		Self::give_back(id);
		Self::write_receipt(id, job, Verdict::Refunded(reason), None, 0, now);
	}

	fn give_back(id: &JobId) {
		if let Err(error) = T::Escrow::refund(id) {
			log::error!(target: LOG, "job {id}: the escrow could not refund: {error:?}");
		}
	}

	/// Frees the committee's places.
	fn disband(id: &JobId, job: &JobOf<T>) {
		for seat in &job.committee {
			T::Providers::release(&seat.provider);
			Assignments::<T>::remove(&seat.provider, id);
		}
	}

	fn write_receipt(
		id: &JobId,
		job: JobOf<T>,
		verdict: Verdict,
		answer: Option<AnswerRecord>,
		fee: Balance,
		now: BlockNumberFor<T>,
	) {
		Jobs::<T>::remove(id);
		Deadlines::<T>::remove(job.deadline, id);
		let seats: Vec<_> = job
			.committee
			.into_iter()
			.map(|seat| SeatRecord {
				provider: seat.provider,
				vote: seat.vote,
				fault: seat.fault,
			})
			.collect();
		let receipt = Receipt {
			job: *id,
			model: job.model,
			requester: job.requester,
			params: job.params,
			input_hash: job.input_hash,
			verdict,
			answer,
			committee: BoundedVec::truncate_from(seats),
			attempts: job.attempt.saturating_add(1),
			seed_block: job.seed.map(|seed| seed.block),
			seed: job.seed.map_or_else(Hash32::default, |seed| seed.value),
			fee,
			requested_at: job.requested_at,
			concluded_at: now,
		};
		Receipts::<T>::insert(id, receipt);
		Concluded::<T>::insert(now, id, ());
		Self::deposit_event(Event::Concluded { job: *id, verdict, fee });
	}
}

/// What a seat is guilty of, given the vote that won, if any. Nobody is guilty of a vote without a supermajority against it.
fn fault_of<AccountId>(index: usize, seat: &Seat<AccountId>, won: Option<&Vote>) -> Option<Fault> {
	match (won, &seat.vote) {
		(Some(Vote::Reject { .. }), _) if index == 0 => Some(Fault::Rejected),
		(Some(won), Some(vote)) if won != vote => Some(Fault::Dissent),
		(_, None) if seat.commitment.is_some() => Some(Fault::NoReveal),
		_ => None,
	}
}
