//! From the verdict to the settlement: the audit, the opening, and the close.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	claim::AUDIT,
	draw::{audit_hits, audit_seed, draw_seats},
	economics::Fault,
	receipt::{Audit, DrawRecord, SeatRecord},
	rules::{DRAW_DELAY, MAX_AUDITORS, OPEN_UNTIL, SETTLE_AFTER},
	state::Trigger,
	traits::{Beacon, ClaimSource, Penalties, Pool, ProviderSet},
	BoundRoot, ClaimId, State, Verdict,
};
use frame_support::{
	dispatch::{DispatchResultWithPostInfo, Pays, PostDispatchInfo},
	ensure,
	traits::Get,
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::{One, Saturating, UniqueSaturatedInto};

impl<T: Config> Pallet<T> {
	/// Does what is due between a verdict and its settlement.
	pub(crate) fn pass_window(id: ClaimId, mut claim: ClaimOf<T>, now: BlockNumberFor<T>) {
		if claim.record.audit == Audit::Undecided && now >= claim.audit_at {
			let hit = audit_hits(&audit_seed(&id, &T::Beacon::value()), T::Params::get().rates.audit);
			claim.record.audit = if hit { Audit::Due } else { Audit::Spared };
		}
		if claim.record.audit == Audit::Due && now >= claim.audit_at {
			claim.auditors = 0;
			return Self::draw_auditor(id, claim, now);
		}
		if Self::is_left_unopened(&claim, now) {
			Self::withdraw_verdict(id, &mut claim, now);
		} else if now >= claim.settle_at {
			if claim.reopened || !Self::names_a_convict(&claim) {
				return Self::settle(id, claim, now);
			}
			claim.reopened = true;
			Self::require_audit(&mut claim, now);
		}
		Self::await_window(id, &mut claim);
		Claims::<T>::insert(id, claim);
	}

	/// Waits for what comes next: the audit, the end of the time for an opening, or the settlement.
	pub(crate) fn await_window(id: ClaimId, claim: &mut ClaimOf<T>) {
		let mut at = claim.settle_at;
		if matches!(claim.record.audit, Audit::Undecided | Audit::Due) {
			at = at.min(claim.audit_at);
		} else if Self::must_be_opened(claim) {
			at = at.min(Self::open_until(claim));
		}
		Self::schedule(id, claim, at);
	}

	fn must_be_opened(claim: &ClaimOf<T>) -> bool {
		// What the electorate upheld needs no opening.
		let upheld = claim
			.record
			.dispute
			.as_ref()
			.is_some_and(|dispute| dispute.decision.is_some());
		claim.verdict == Some(Verdict::Confirmed) && claim.record.root.is_none() && !upheld
	}

	pub(crate) fn open_until(claim: &ClaimOf<T>) -> BlockNumberFor<T> {
		let verdict_at = claim.verdict_at.unwrap_or_default();
		verdict_at.saturating_add(OPEN_UNTIL.into())
	}

	fn is_left_unopened(claim: &ClaimOf<T>, now: BlockNumberFor<T>) -> bool {
		Self::must_be_opened(claim) && now >= Self::open_until(claim)
	}

	/// Nobody opened the claim, so nobody can tell what its approvals were made of.
	fn withdraw_verdict(id: ClaimId, claim: &mut ClaimOf<T>, now: BlockNumberFor<T>) {
		let approvals: Vec<usize> = claim
			.record
			.seats
			.iter()
			.enumerate()
			.filter(|(_, seat)| seat.approves() && seat.fault.is_none())
			.map(|(index, _)| index)
			.collect();
		for index in approvals {
			Self::lapse(id, claim, index);
		}
		claim.verdict = Some(Verdict::Unverified);
		Self::deposit_event(Event::VerdictReached {
			claim: id,
			verdict: Verdict::Unverified,
		});
		Self::require_audit(claim, now);
	}

	/// Makes an audit certain. The claim does not settle before it.
	pub(crate) fn require_audit(claim: &mut ClaimOf<T>, now: BlockNumberFor<T>) {
		claim.record.audit = Audit::Due;
		claim.audit_at = now.saturating_add(DRAW_DELAY.into());
		claim.settle_at = claim.settle_at.max(claim.audit_at.saturating_add(SETTLE_AFTER.into()));
	}

	/// Returns whether the executor or somebody who approved was convicted since the publication.
	fn names_a_convict(claim: &ClaimOf<T>) -> bool {
		let since: u32 = claim.record.published_at.unique_saturated_into();
		let approvers = claim
			.record
			.seats
			.iter()
			.filter(|seat| seat.approves())
			.map(|seat| &seat.provider);
		approvers
			.chain([&claim.record.executor])
			.any(|who| T::Providers::was_suspended_since(who, since))
	}

	/// Draws an auditor among those who have not said anything of the claim yet.
	fn draw_auditor(id: ClaimId, mut claim: ClaimOf<T>, now: BlockNumberFor<T>) {
		let mut electorate = T::Providers::electorate(&claim.model);
		electorate.retain(|member| {
			let audited = claim
				.record
				.seats
				.iter()
				.any(|seat| seat.is_auditor() && seat.provider == member.who);
			!audited && !claim.is_party(&member.who)
		});
		let beacon = T::Beacon::value();
		let drawn = draw_seats(&audit_seed(&id, &beacon), &electorate, 1);
		let room = claim.record.audits.try_push(DrawRecord { block: now, beacon }).is_ok();
		// A claim that was disputed before has been recomputed by everybody.
		let who = drawn.first().filter(|_| room && claim.record.dispute.is_none());
		let Some(who) = who else {
			return Self::end_audit(id, claim, Audit::Nobody, now);
		};
		if claim.state == State::Window && !Self::step(&id, &mut claim, Trigger::AuditDrawn) {
			return;
		}
		let deadline = if T::Providers::is_suspended(who) {
			now.saturating_add(One::one())
		} else {
			now.saturating_add(T::Providers::give_work(who, claim.work).into())
		};
		let tranche = AUDIT.saturating_add((claim.record.audits.len() as u8).saturating_sub(1));
		let seat = SeatRecord {
			provider: who.clone(),
			tranche,
			vote: None,
			fault: None,
		};
		if claim.record.seats.try_push(seat).is_ok() {
			let _ = claim.deadlines.try_push(deadline);
		}
		claim.auditors = claim.auditors.saturating_add(1);
		claim.record.audit = Audit::Open;
		Self::deposit_event(Event::AuditorDrawn {
			claim: id,
			auditor: who.clone(),
		});
		Self::schedule(id, &mut claim, deadline);
		Claims::<T>::insert(id, claim);
	}

	/// Lets a late auditor lapse: another is drawn, or the audit is given up.
	pub(crate) fn end_auditing(id: ClaimId, mut claim: ClaimOf<T>, now: BlockNumberFor<T>) {
		if claim.record.audit == Audit::Due {
			return Self::draw_auditor(id, claim, now);
		}
		let late = claim
			.waiting_seats()
			.find(|(_, seat, _)| seat.is_auditor())
			.map(|(index, ..)| index);
		if let Some(index) = late {
			Self::lapse(id, &mut claim, index);
		}
		if claim.auditors >= MAX_AUDITORS {
			return Self::end_audit(id, claim, Audit::NotDone, now);
		}
		claim.record.audit = Audit::Due;
		claim.audit_at = now.saturating_add(DRAW_DELAY.into());
		let at = claim.audit_at;
		Self::schedule(id, &mut claim, at);
		Claims::<T>::insert(id, claim);
	}

	/// Goes back to the window without an auditor's vote.
	fn end_audit(id: ClaimId, mut claim: ClaimOf<T>, audit: Audit, now: BlockNumberFor<T>) {
		claim.record.audit = audit;
		if claim.state == State::Auditing && !Self::step(&id, &mut claim, Trigger::AuditNotDone) {
			return;
		}
		Self::delay_settlement(&mut claim, now);
		Self::await_window(id, &mut claim);
		Claims::<T>::insert(id, claim);
	}

	/// Goes back to the window with an auditor's approval. The caller stores the claim.
	pub(crate) fn approve_audit(id: ClaimId, claim: &mut ClaimOf<T>, now: BlockNumberFor<T>) {
		if Self::step(&id, claim, Trigger::AuditApproved) {
			claim.record.audit = Audit::Approved;
			Self::delay_settlement(claim, now);
			Self::await_window(id, claim);
		}
	}

	/// Leaves time for an opening and an objection after an audit or a dispute.
	pub(crate) fn delay_settlement(claim: &mut ClaimOf<T>, now: BlockNumberFor<T>) {
		claim.settle_at = claim.settle_at.max(now.saturating_add(SETTLE_AFTER.into()));
	}

	/// Checks that a root opens a claim now.
	pub(crate) fn check_opening(id: &ClaimId, root: &BoundRoot) -> Result<ClaimOf<T>, Error<T>> {
		let claim = Claims::<T>::get(id).ok_or(Error::<T>::UnknownClaim)?;
		ensure!(claim.record.root.is_none(), Error::<T>::AlreadyOpened);
		ensure!(claim.may_be_opened(), Error::<T>::WrongState);
		ensure!(
			id.seal(&claim.record.executor, root) == claim.record.seal,
			Error::<T>::BadOpening
		);
		Ok(claim)
	}

	/// Opens a claim: from now on every approval can be held against its root.
	pub(crate) fn do_open(id: ClaimId, root: BoundRoot) -> DispatchResultWithPostInfo {
		let mut claim = Self::check_opening(&id, &root)?;
		let now = Self::now();
		claim.record.root = Some(root);
		Self::deposit_event(Event::Opened { claim: id, root });
		let record = &claim.record;
		let misfits: Vec<usize> = record
			.seats
			.iter()
			.enumerate()
			.filter(|(_, seat)| seat.fault.is_none())
			.filter(|(_, seat)| {
				seat.vote
					.is_some_and(|vote| !record.fits(id, &seat.provider, &vote, &root))
			})
			.map(|(index, _)| index)
			.collect();
		if !misfits.is_empty() {
			Self::convict_misfits(id, &mut claim, &misfits);
			if claim.verdict == Some(Verdict::Confirmed) && claim.record.approvals().next().is_none() {
				claim.verdict = Some(Verdict::Unverified);
				Self::deposit_event(Event::VerdictReached {
					claim: id,
					verdict: Verdict::Unverified,
				});
			}
			Self::require_audit(&mut claim, now);
		}
		Self::await_window(id, &mut claim);
		Claims::<T>::insert(id, claim);
		Ok(PostDispatchInfo {
			actual_weight: Some(T::WeightInfo::open(misfits.len() as u32)),
			pays_fee: Pays::No,
		})
	}

	/// Convicts those whose approval was not made of the opened root.
	fn convict_misfits(id: ClaimId, claim: &mut ClaimOf<T>, misfits: &[usize]) {
		let mut offenders = Vec::new();
		for index in misfits {
			let Some(seat) = claim.record.seats.get_mut(*index) else {
				continue;
			};
			seat.fault = Some(Fault::FalseApproval);
			if !offenders.contains(&seat.provider) {
				offenders.push(seat.provider.clone());
			}
		}
		Self::convict(
			id,
			Fault::FalseApproval,
			offenders,
			Vec::new(),
			Vec::new(),
			claim.seat_fee,
		);
	}

	/// Settles a claim: its source pays, and the pool pays what the source does not.
	fn settle(id: ClaimId, mut claim: ClaimOf<T>, now: BlockNumberFor<T>) {
		if !Self::step(&id, &mut claim, Trigger::WindowClosed) {
			return;
		}
		let opened = claim.record.root.is_some();
		let approvals: Vec<_> = claim
			.record
			.approvals()
			.filter(|_| opened)
			.map(|seat| seat.provider.clone())
			.collect();
		let auditors = claim
			.record
			.seats
			.iter()
			.filter(|seat| seat.is_auditor() && seat.approves());
		let auditors: Vec<_> = auditors
			.filter(|seat| seat.fault.is_none())
			.map(|seat| seat.provider.clone())
			.collect();
		let fee = claim.seat_fee;
		let paid = Self::close(id, claim, &approvals, now);
		// Seats beyond those that were asked for replaced others, whose fines are in the pool.
		for who in approvals.iter().skip(paid as usize).chain(&auditors) {
			T::Pool::pay(who, fee);
		}
	}

	/// Removes a claim and hands it to its source. Returns how many approvals the source has paid.
	pub(crate) fn close(id: ClaimId, claim: ClaimOf<T>, approvals: &[T::AccountId], now: BlockNumberFor<T>) -> u32 {
		Claims::<T>::remove(id);
		ClaimCount::<T>::mutate_exists(&claim.record.executor, |open| {
			*open = open.and_then(|n| n.checked_sub(1)).filter(|n| *n > 0);
		});
		let origin = claim.origin;
		Self::deposit_event(Event::Closed {
			claim: id,
			state: claim.state,
			verdict: claim.verdict,
		});
		let mut status = claim.status();
		status.due = now;
		T::Source::closed(&origin, &id, status, approvals)
	}
}
