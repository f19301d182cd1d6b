//! The tally of an attempt, and what follows: the faults, the money, the receipt, or another attempt.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	digest::{output_hash, Subject},
	economics::{self, Fault, Shares},
	limits::{MAX_ATTEMPTS, MAX_COMMITTEE},
	quorum,
	receipt::{AnswerRecord, RefundReason, SeatRecord},
	traits::{Escrow, ProviderSet},
	Balance, Hash32, JobId, Output, Receipt, TraceRoot, Verdict, Vote,
};
use frame_support::{traits::Get, weights::Weight, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;

/// Returns the most that the conclusion of one attempt can cost.
pub(crate) fn heaviest_conclusion<W: WeightInfo>() -> Weight {
	W::conclude(MAX_COMMITTEE)
}

/// What a job costs and who is paid for it.
struct Settlement<AccountId> {
	shares: Shares,
	/// Confirming verifiers, who get a verifier's share each.
	verifiers: Vec<AccountId>,
	/// What the requester pays in the end.
	paid: Balance,
}

impl<T: Config> Pallet<T> {
	/// Counts the revealed votes of a committee and acts on the result.
	pub(crate) fn conclude(id: &JobId, mut job: JobOf<T>, now: BlockNumberFor<T>) {
		let votes: Vec<Vote> = job.committee.iter().filter_map(|seat| seat.vote).collect();
		let won = quorum::tally(job.size, votes.iter());
		// With an agreed answer nothing more is due to the requester: what dissenters lose goes to the treasury.
		let mut due = if matches!(won, Some(Vote::Confirm { .. })) {
			0
		} else {
			Self::restitution_due(&job)
		};
		let faults: Vec<_> = job
			.committee
			.iter()
			.enumerate()
			.filter_map(|(index, seat)| fault_of(index, seat, won.as_ref()).map(|fault| (index, fault)))
			.collect();
		for (index, fault) in faults {
			Self::slash(id, &mut job, index, fault, &mut due);
		}
		match (won, Outputs::<T>::get(id)) {
			(Some(Vote::Confirm { trace_root }), Some(output)) => Self::settle(id, job, output, trace_root, now),
			(Some(Vote::Reject { .. }), _) => Self::fail_attempt(id, job, RefundReason::Rejected, now),
			_ => Self::fail_attempt(id, job, RefundReason::NoSupermajority, now),
		}
	}

	/// Returns what is due to the requester for an attempt that fails by a provider's fault.
	pub(crate) fn restitution_due(job: &JobOf<T>) -> Balance {
		T::Params::get().rates.restitution.mul_floor(job.fee_ceiling)
	}

	/// Slashes the provider of a seat for a fault and pays the requester from it, up to `due`, which shrinks by as
	/// much.
	pub(crate) fn slash(id: &JobId, job: &mut JobOf<T>, index: usize, fault: Fault, due: &mut Balance) {
		let Some(seat) = job.committee.get_mut(index) else {
			return;
		};
		seat.fault = Some(fault);
		let slashed = T::Providers::punish(&seat.provider, fault);
		let restitution = T::Escrow::restitute(id, slashed, *due);
		*due = due.saturating_sub(restitution);
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
		Self::release_committee(id, &job);
		Outputs::<T>::remove(id);
		let next = job.attempt.saturating_add(1);
		if u32::from(next) >= MAX_ATTEMPTS {
			return Self::refund(id, job, reason, now);
		}
		if let Some(executor) = job.executor().cloned() {
			// Bounded by the attempts.
			let _ = job.failed.try_push(executor);
		}
		// A requester who wanted no check gets none by a larger committee.
		job.enlarge = reason == RefundReason::NoSupermajority && job.size > 1;
		job.attempt = next;
		Self::enter_queue(id, &mut job, now);
		Jobs::<T>::insert(id, job);
	}

	/// Pays for an agreed answer and writes its receipt.
	fn settle(id: &JobId, job: JobOf<T>, output: Output, trace_root: TraceRoot, now: BlockNumberFor<T>) {
		Self::release_committee(id, &job);
		let answer = answer_record(id, &job, &output, trace_root);
		let Settlement {
			shares,
			verifiers,
			mut paid,
		} = Self::settlement(&job, &answer);
		let executor = job.executor().unwrap_or(&job.requester);
		if let Err(error) = T::Escrow::settle(id, &shares, executor, &verifiers, &job.terms.owner) {
			// Cannot happen while the escrow is consistent. An agreed answer stays agreed, and nobody pays for it.
			log::error!(target: LOG_TARGET, "Job {id}: the escrow could not settle: {error:?}");
			Self::refund_fee(id);
			paid = 0;
		}
		let verdict = if job.size == 1 {
			Verdict::Unchecked
		} else {
			Verdict::Confirmed
		};
		Self::write_receipt(id, job, verdict, Some(answer), paid, now);
	}

	/// Returns what an agreed answer costs and who is paid for it.
	fn settlement(job: &JobOf<T>, answer: &AnswerRecord) -> Settlement<T::AccountId> {
		let rates = T::Params::get().rates;
		let won = Some(Vote::Confirm {
			trace_root: answer.trace_root,
		});
		let fee = economics::fee(
			&rates,
			job.terms.price_in,
			job.terms.price_out,
			answer.input_tokens,
			answer.output_tokens,
			job.requested_size,
		)
		.min(job.fee_ceiling);
		let verifiers: Vec<_> = job
			.committee
			.iter()
			.skip(1)
			.filter(|seat| seat.vote == won)
			.map(|seat| seat.provider.clone())
			.collect();
		let mut shares = economics::split(&rates, fee, job.size, verifiers.len() as u32, job.terms.royalty);
		if job.committee.first().is_none_or(|seat| seat.vote != won) {
			// The executor's answer was right, but it did not confirm it.
			shares.refund = shares.refund.saturating_add(shares.executor);
			shares.executor = 0;
		}
		Settlement {
			paid: fee.saturating_sub(shares.refund),
			shares,
			verifiers,
		}
	}

	/// Gives the money back for a job without an agreed answer and writes its receipt.
	pub(crate) fn refund(id: &JobId, job: JobOf<T>, reason: RefundReason, now: BlockNumberFor<T>) {
		Self::refund_fee(id);
		Self::write_receipt(id, job, Verdict::Refunded(reason), None, 0, now);
	}

	fn refund_fee(id: &JobId) {
		if let Err(error) = T::Escrow::refund(id) {
			log::error!(target: LOG_TARGET, "Job {id}: the escrow could not refund: {error:?}");
		}
	}

	/// Gives the committee's capacity back and removes its assignments.
	fn release_committee(id: &JobId, job: &JobOf<T>) {
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
			seed: seed_of(job.seed.as_ref()),
			fee,
			requested_at: job.requested_at,
			concluded_at: now,
		};
		Receipts::<T>::insert(id, receipt);
		Concluded::<T>::insert(now, id, ());
		Self::deposit_event(Event::Concluded { job: *id, verdict, fee });
	}
}

/// Returns the record of an agreed answer. Prompt tokens over the quoted number are not paid.
fn answer_record<AccountId, BlockNumber>(
	id: &JobId,
	job: &Job<AccountId, BlockNumber>,
	output: &Output,
	trace_root: TraceRoot,
) -> AnswerRecord {
	let output_hash = output_hash(output);
	let subject = Subject {
		job: *id,
		model: job.model,
		input_hash: job.input_hash,
		params: &job.params,
		seed: seed_of(job.seed.as_ref()),
		output_hash,
	};
	AnswerRecord {
		output_hash,
		trace_root,
		digest: subject.digest(&trace_root),
		input_tokens: output.input_tokens.min(job.input_ceiling),
		output_tokens: output.tokens.len() as u32,
		finish: output.finish,
	}
}

/// Returns the sampling seed; zeros if no committee was ever drawn.
fn seed_of<BlockNumber>(seed: Option<&JobSeed<BlockNumber>>) -> Hash32 {
	seed.map_or_else(Hash32::default, |seed| seed.value)
}

/// Returns the fault of a seat, given the vote that won, if any. A vote is a fault only against a supermajority.
fn fault_of<AccountId>(index: usize, seat: &Seat<AccountId>, won: Option<&Vote>) -> Option<Fault> {
	match (won, &seat.vote) {
		(Some(Vote::Reject { .. }), _) if index == 0 => Some(Fault::Rejected),
		(Some(won), Some(vote)) if won != vote => Some(Fault::Dissent),
		(_, None) if seat.commitment.is_some() => Some(Fault::NoReveal),
		_ => None,
	}
}
