//! Disputes: a rejection or an objection opens one, and the whole electorate decides it.
//!
//! Parties count as they voted. Everybody else recomputes, against a root bound to the round, first blinded, then
//! revealed.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	dispute::{tally, Decision, Say, Tally},
	economics::Fault,
	receipt::{Audit, DisputeRecord, RefundReason},
	rules::{jury_commit_blocks, jury_reveal_blocks, MAX_DISPUTES},
	state::Trigger,
	traits::{Penalties, Pool, ProviderSet},
	Balance, ClaimId, Verdict,
};
use frame_support::{traits::Get, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::{One, Saturating};

/// Blocks after which a dispute that found no place asks again.
const ASK_AGAIN: u32 = 10;
/// Rounds of a dispute.
const ROUNDS: u8 = 2;

impl<T: Config> Pallet<T> {
	/// Opens the dispute of a claim; its jury is called in the next block. The caller stores the claim.
	pub(crate) fn begin_dispute(
		id: ClaimId,
		claim: &mut ClaimOf<T>,
		trigger: Trigger,
		objector: Option<T::AccountId>,
		now: BlockNumberFor<T>,
	) {
		if !Self::step(&id, claim, trigger) {
			return;
		}
		if claim.record.audit == Audit::Open {
			let mut seats = claim.record.seats.iter();
			claim.record.audit = if seats.any(|seat| seat.is_auditor() && seat.rejects()) {
				Audit::Rejected
			} else {
				Audit::NotDone
			};
		}
		Self::deposit_event(Event::DisputeOpened {
			claim: id,
			objector: objector.clone(),
		});
		claim.record.dispute = Some(DisputeRecord {
			objector,
			round: 0,
			stake: 0,
			approve: 0,
			reject: 0,
			decision: None,
		});
		Self::schedule(id, claim, now.saturating_add(One::one()));
	}

	/// Does what is due in a dispute.
	pub(crate) fn pass_dispute(id: ClaimId, mut claim: ClaimOf<T>, now: BlockNumberFor<T>) {
		let Some(mut jury) = Juries::<T>::get(id) else {
			return Self::call_jury(id, claim, now);
		};
		let round = claim.record.dispute.as_ref().map_or(1, |dispute| dispute.round);
		let committed = jury.members.iter().any(|juror| juror.commitment.is_some());
		if !jury.revealing && committed {
			jury.revealing = true;
			Juries::<T>::insert(id, jury);
			Self::deposit_event(Event::RevealStarted { claim: id, round });
			Self::schedule(id, &mut claim, now.saturating_add(jury_reveal_blocks(round).into()));
			return Claims::<T>::insert(id, claim);
		}
		let tally = Self::count(&claim, &jury);
		let total = jury
			.members
			.iter()
			.map(|juror| juror.stake)
			.fold(0, Balance::saturating_add);
		let decision = tally.decision(total);
		if let Some(dispute) = claim.record.dispute.as_mut() {
			(dispute.stake, dispute.approve, dispute.reject) = (total, tally.approve, tally.reject);
			dispute.decision = decision;
		}
		match decision {
			Some(decision) => Self::decide(id, claim, &jury, &tally, decision, now),
			None if round < ROUNDS => Self::begin_round(id, claim, jury, round.saturating_add(1), now),
			None => Self::leave_undecided(id, claim, &jury, now),
		}
	}

	/// Calls the jury, if the model has a place for one more dispute.
	fn call_jury(id: ClaimId, mut claim: ClaimOf<T>, now: BlockNumberFor<T>) {
		let open = OpenDisputes::<T>::get(claim.model);
		if open >= MAX_DISPUTES {
			Self::schedule(id, &mut claim, now.saturating_add(ASK_AGAIN.into()));
			return Claims::<T>::insert(id, claim);
		}
		OpenDisputes::<T>::insert(claim.model, open.saturating_add(1));
		let members: Vec<_> = T::Providers::electorate(&claim.model)
			.into_iter()
			.map(|member| Juror {
				who: member.who,
				stake: member.stake,
				commitment: None,
				vote: None,
			})
			.collect();
		let jury = Jury {
			members: BoundedVec::truncate_from(members),
			revealing: false,
		};
		Self::begin_round(id, claim, jury, 1, now);
	}

	/// Begins a round, for those who have not revealed a vote.
	fn begin_round(id: ClaimId, mut claim: ClaimOf<T>, mut jury: JuryOf<T>, round: u8, now: BlockNumberFor<T>) {
		if round > 1 && !Self::step(&id, &mut claim, Trigger::SecondRound) {
			return;
		}
		jury.revealing = false;
		jury.members.iter_mut().for_each(|juror| juror.commitment = None);
		if let Some(dispute) = claim.record.dispute.as_mut() {
			dispute.round = round;
		}
		Juries::<T>::insert(id, jury);
		Self::deposit_event(Event::JuryCalled { claim: id, round });
		let blocks = jury_commit_blocks(round, claim.work, T::Params::get().least_speed);
		Self::schedule(id, &mut claim, now.saturating_add(blocks.into()));
		Claims::<T>::insert(id, claim);
	}

	/// Counts what each member says that says anything.
	fn count(claim: &ClaimOf<T>, jury: &JuryOf<T>) -> Tally {
		let says: Vec<_> = jury
			.members
			.iter()
			.filter_map(|juror| Some((juror.stake, Self::say_of(claim, juror)?)))
			.collect();
		tally(&says)
	}

	fn say_of(claim: &ClaimOf<T>, juror: &Juror<T::AccountId>) -> Option<Say> {
		let who = &juror.who;
		if claim.record.executor == *who || claim.has_approved(who) {
			Some(Say::ForClaim)
		} else if claim.is_party(who) {
			Some(Say::AgainstClaim)
		} else {
			juror.vote.map(Say::Juror)
		}
	}

	/// Ends a dispute with a decision.
	fn decide(
		id: ClaimId,
		claim: ClaimOf<T>,
		jury: &JuryOf<T>,
		tally: &Tally,
		decision: Decision,
		now: BlockNumberFor<T>,
	) {
		let right = match decision {
			Decision::Overturned => tally.rejection,
			Decision::Upheld => tally.approval,
		};
		let mut workers = Vec::new();
		for juror in jury.members.iter().filter(|juror| juror.vote.is_some()) {
			if juror.vote == right {
				workers.push(juror.who.clone());
			} else {
				T::Pool::collect(T::Providers::slash(&juror.who, Fault::WrongJuror));
			}
		}
		Self::fine_absent(&claim, jury);
		Self::dismiss(&id, &claim, Some(decision));
		match decision {
			Decision::Overturned => Self::overturn(id, claim, workers, now),
			Decision::Upheld => Self::uphold(id, claim, workers, now),
		}
	}

	/// Fines jurors who were called and did not vote; the suspended ones could not.
	fn fine_absent(claim: &ClaimOf<T>, jury: &JuryOf<T>) {
		for juror in jury.members.iter() {
			if Self::say_of(claim, juror).is_none() && !T::Providers::is_suspended(&juror.who) {
				T::Pool::collect(T::Providers::fine(
					&juror.who,
					Fault::Lapse,
					&claim.model,
					claim.seat_fee,
				));
			}
		}
	}

	fn dismiss(id: &ClaimId, claim: &ClaimOf<T>, decision: Option<Decision>) {
		Juries::<T>::remove(id);
		OpenDisputes::<T>::mutate_exists(claim.model, |open| {
			*open = open.and_then(|n| n.checked_sub(1)).filter(|n| *n > 0);
		});
		Self::deposit_event(Event::DisputeClosed { claim: *id, decision });
	}

	/// The claim was false: its parties are convicted, and the requester gets everything back at once.
	fn overturn(id: ClaimId, mut claim: ClaimOf<T>, mut workers: Vec<T::AccountId>, now: BlockNumberFor<T>) {
		if !Self::step(&id, &mut claim, Trigger::Overturned) {
			return;
		}
		claim.verdict = Some(Verdict::Overturned);
		claim.verdict_at.get_or_insert(now);
		let mut offenders = alloc::vec![claim.record.executor.clone()];
		let mut finders = Vec::new();
		for seat in claim.record.seats.iter_mut() {
			if seat.rejects() {
				if !finders.contains(&seat.provider) {
					finders.push(seat.provider.clone());
				}
			} else if seat.approves() && seat.fault.is_none() {
				seat.fault = Some(Fault::FalseClaim);
				if !offenders.contains(&seat.provider) {
					offenders.push(seat.provider.clone());
				}
			}
		}
		workers.extend(finders.iter().cloned());
		if let Some(objector) = claim
			.record
			.dispute
			.as_ref()
			.and_then(|dispute| dispute.objector.clone())
		{
			T::Pool::return_objection(&id);
			// Whoever asked has its money back, and earns nothing by it.
			if objector != claim.requester {
				finders.push(objector);
			}
		}
		Self::convict(id, Fault::FalseClaim, offenders, workers, finders, claim.seat_fee);
		Self::close(id, claim, &[], now);
	}

	/// The claim was true: who rejected it is convicted, or the objector pays.
	fn uphold(id: ClaimId, mut claim: ClaimOf<T>, workers: Vec<T::AccountId>, now: BlockNumberFor<T>) {
		if !Self::step(&id, &mut claim, Trigger::Upheld) {
			return;
		}
		let mut offenders = Vec::new();
		for seat in claim.record.seats.iter_mut().filter(|seat| seat.rejects()) {
			seat.fault = Some(Fault::FalseRejection);
			if !offenders.contains(&seat.provider) {
				offenders.push(seat.provider.clone());
			}
		}
		let fee = claim.seat_fee;
		if offenders.is_empty() {
			let payments: Vec<_> = workers.into_iter().map(|who| (who, fee)).collect();
			T::Pool::spend_objection(&id, &payments, true);
		} else {
			Self::convict(id, Fault::FalseRejection, offenders, workers, Vec::new(), fee);
		}
		claim.verdict = Some(Verdict::Confirmed);
		Self::deposit_event(Event::VerdictReached {
			claim: id,
			verdict: Verdict::Confirmed,
		});
		Self::return_to_window(id, claim, now);
	}

	/// Ends a dispute that the electorate did not decide.
	fn leave_undecided(id: ClaimId, mut claim: ClaimOf<T>, jury: &JuryOf<T>, now: BlockNumberFor<T>) {
		let fee = claim.seat_fee;
		let voted = jury.members.iter().filter(|juror| juror.vote.is_some());
		let payments: Vec<_> = voted.map(|juror| (juror.who.clone(), fee)).collect();
		Self::fine_absent(&claim, jury);
		Self::dismiss(&id, &claim, None);
		let objected = claim
			.record
			.dispute
			.as_ref()
			.is_some_and(|dispute| dispute.objector.is_some());
		if objected {
			T::Pool::spend_objection(&id, &payments, false);
			if Self::step(&id, &mut claim, Trigger::Contested) {
				Self::return_to_window(id, claim, now);
			}
		} else {
			for (who, amount) in &payments {
				T::Pool::pay(who, *amount);
			}
			if Self::step(&id, &mut claim, Trigger::Void) {
				claim.verdict = Some(Verdict::Refunded(RefundReason::Undecided));
				claim.verdict_at.get_or_insert(now);
				Self::close(id, claim, &[], now);
			}
		}
	}

	/// Goes on to the settlement after a dispute. The electorate has recomputed the claim: no audit is left to do.
	fn return_to_window(id: ClaimId, mut claim: ClaimOf<T>, now: BlockNumberFor<T>) {
		if claim.verdict_at.is_none() {
			claim.verdict_at = Some(now);
			claim.settle_at = now.saturating_add(assay_primitives::rules::WINDOW.into());
		}
		if matches!(claim.record.audit, Audit::Undecided | Audit::Due) {
			claim.record.audit = Audit::Spared;
		}
		Self::delay_settlement(&mut claim, now);
		Self::await_window(id, &mut claim);
		Claims::<T>::insert(id, claim);
	}
}
