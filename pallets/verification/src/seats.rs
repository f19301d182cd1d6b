//! From the publication to the verdict: tranches of seats, their votes, and their lapses.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	draw::{draw_seats, seats_seed, Member},
	economics::Fault,
	receipt::{Audit, DrawRecord, SeatRecord, SeatVote},
	rules::{replacements, AUDIT_AFTER, DRAW_DELAY, WINDOW},
	state::Trigger,
	traits::{summarize, Beacon, Penalties, Pool, ProviderSet},
	ClaimId, State, Verdict, Vote,
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::{One, Saturating};

impl<T: Config> Pallet<T> {
	/// Draws the next tranche of seats.
	pub(crate) fn draw_tranche(id: ClaimId, mut claim: ClaimOf<T>, now: BlockNumberFor<T>) {
		let electorate = T::Providers::electorate(&claim.model);
		if claim.record.tranches.is_empty() {
			let executor = claim.record.executor.clone();
			claim.record.electorate = summarize(&electorate, Some(&executor), T::Providers::chain_stake());
			claim.record.slashable = T::Providers::slashable(&executor);
		}
		let voters = Self::without_executor(electorate, &claim);
		let tranche = (claim.record.tranches.len() as u8).saturating_add(1);
		let beacon = T::Beacon::value();
		let drawn = draw_seats(&seats_seed(&id, tranche, &beacon), &voters, claim.next_seats);
		// Room for the draw of the last tranche is in the type.
		let _ = claim.record.tranches.try_push(DrawRecord { block: now, beacon });
		for who in &drawn {
			Self::add_seat(&mut claim, who, tranche, now);
		}
		Self::deposit_event(Event::SeatsDrawn {
			claim: id,
			tranche,
			seats: drawn,
		});
		if !Self::step(&id, &mut claim, Trigger::SeatsDrawn) {
			return;
		}
		if claim.live_seats().next().is_none() {
			// Everybody but the executor has left.
			return Self::give_up_seats(id, claim, now);
		}
		if !Self::confirm_if_complete(&id, &mut claim, now) {
			Self::await_votes(id, &mut claim, now);
		}
		Claims::<T>::insert(id, claim);
	}

	fn without_executor(mut electorate: Vec<Member<T::AccountId>>, claim: &ClaimOf<T>) -> Vec<Member<T::AccountId>> {
		electorate.retain(|member| member.who != claim.record.executor);
		electorate
	}

	/// Gives a provider a seat. Who has approved already fills it at once; who is suspended leaves it to others in the
	/// next block.
	fn add_seat(claim: &mut ClaimOf<T>, who: &T::AccountId, tranche: u8, now: BlockNumberFor<T>) {
		let seats = || {
			claim
				.record
				.seats
				.iter()
				.filter(|seat| seat.provider == *who && seat.fault.is_none())
		};
		let vote = seats().find_map(|seat| seat.vote);
		let at_work = seats().zip(&claim.deadlines).any(|(seat, _)| seat.tranche == tranche);
		let deadline = if vote.is_some() {
			now
		} else if T::Providers::is_suspended(who) {
			now.saturating_add(One::one())
		} else if at_work {
			// One computation fills all seats of a provider.
			let of_first = claim.waiting_seats().find(|(_, seat, _)| seat.provider == *who);
			of_first.map_or(now, |(_, _, deadline)| deadline)
		} else {
			now.saturating_add(T::Providers::give_work(who, claim.work).into())
		};
		let seat = SeatRecord {
			provider: who.clone(),
			tranche,
			vote,
			fault: None,
		};
		// The rules of tranches leave room for every seat.
		if claim.record.seats.try_push(seat).is_ok() {
			let _ = claim.deadlines.try_push(deadline);
		}
	}

	/// Waits for the next seat that is late.
	pub(crate) fn await_votes(id: ClaimId, claim: &mut ClaimOf<T>, now: BlockNumberFor<T>) {
		let at = claim.first_deadline().unwrap_or(now);
		Self::schedule(id, claim, at);
	}

	/// Lets late seats lapse, each for two others in the next tranche.
	pub(crate) fn end_voting(id: ClaimId, mut claim: ClaimOf<T>, now: BlockNumberFor<T>) {
		let late: Vec<usize> = claim
			.waiting_seats()
			.filter(|(_, seat, deadline)| !seat.is_auditor() && *deadline <= now)
			.map(|(index, ..)| index)
			.collect();
		if late.is_empty() {
			Self::await_votes(id, &mut claim, now);
			return Claims::<T>::insert(id, claim);
		}
		for index in &late {
			Self::lapse(id, &mut claim, *index);
		}
		let tranche = claim.record.tranches.len() as u8;
		let seats = claim.record.seats.len() as u32;
		match replacements(tranche, seats, late.len() as u32) {
			Some(next) if Self::step(&id, &mut claim, Trigger::SeatsLapsed) => {
				claim.next_seats = next;
				Self::schedule(id, &mut claim, now.saturating_add(DRAW_DELAY.into()));
				Claims::<T>::insert(id, claim);
			}
			_ => Self::give_up_seats(id, claim, now),
		}
	}

	/// Marks a seat as lapsed and fines its provider; a suspended one could not vote.
	pub(crate) fn lapse(id: ClaimId, claim: &mut ClaimOf<T>, index: usize) {
		let fee = claim.seat_fee;
		let Some(seat) = claim.record.seats.get_mut(index) else {
			return;
		};
		seat.fault = Some(Fault::Lapse);
		let provider = seat.provider.clone();
		if !T::Providers::is_suspended(&provider) {
			T::Pool::collect(T::Providers::fine(&provider, Fault::Lapse, &claim.model, fee));
		}
		Self::deposit_event(Event::Lapsed { claim: id, provider });
	}

	/// Ends the search for seats: the answer stays unverified, and an audit is certain.
	fn give_up_seats(id: ClaimId, mut claim: ClaimOf<T>, now: BlockNumberFor<T>) {
		if Self::step(&id, &mut claim, Trigger::TranchesSpent) {
			Self::reach_verdict(id, &mut claim, Verdict::Unverified, now);
			Claims::<T>::insert(id, claim);
		}
	}

	/// Records the vote of a seat. The caller has checked that it waits for it.
	pub(crate) fn vote_of_seat(voter: &T::AccountId, item: &VoteItem, mut claim: ClaimOf<T>, now: BlockNumberFor<T>) {
		let vote = SeatVote {
			tranche: item.tranche,
			vote: item.vote,
		};
		for seat in claim.record.seats.iter_mut() {
			let waits = seat.vote.is_none() && (seat.fault.is_none() || item.vote.rejects());
			if seat.provider == *voter && waits {
				seat.vote = Some(vote);
			}
		}
		Self::deposit_event(Event::Voted {
			claim: item.claim,
			voter: voter.clone(),
			tranche: item.tranche,
			vote: item.vote,
		});
		match item.vote {
			Vote::Reject { .. } => Self::begin_dispute(item.claim, &mut claim, Trigger::Rejected, None, now),
			Vote::Approve(_) if item.tranche >= assay_primitives::claim::AUDIT => {
				Self::approve_audit(item.claim, &mut claim, now)
			}
			Vote::Approve(_) => {
				Self::confirm_if_complete(&item.claim, &mut claim, now);
			}
		}
		Claims::<T>::insert(item.claim, claim);
	}

	/// Confirms a claim whose every live seat has approved. The caller stores the claim.
	fn confirm_if_complete(id: &ClaimId, claim: &mut ClaimOf<T>, now: BlockNumberFor<T>) -> bool {
		let complete = claim.state == State::Voting && claim.live_seats().all(SeatRecord::approves);
		if complete && Self::step(id, claim, Trigger::Approved) {
			Self::reach_verdict(*id, claim, Verdict::Confirmed, now);
		}
		complete
	}

	/// Records the verdict, and when the audit is. The caller stores the claim.
	pub(crate) fn reach_verdict(id: ClaimId, claim: &mut ClaimOf<T>, verdict: Verdict, now: BlockNumberFor<T>) {
		claim.verdict = Some(verdict);
		claim.verdict_at = Some(now);
		claim.settle_at = now.saturating_add(WINDOW.into());
		let wait = if verdict == Verdict::Unverified {
			claim.record.audit = Audit::Due;
			DRAW_DELAY
		} else {
			AUDIT_AFTER
		};
		claim.audit_at = now.saturating_add(wait.into());
		Self::deposit_event(Event::VerdictReached { claim: id, verdict });
		let at = claim.audit_at;
		Self::schedule(id, claim, at);
	}
}
