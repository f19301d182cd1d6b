//! The verdict as it follows from seats, audit and dispute; the state that goes with it; and the order of blocks.

use super::{
	ensure,
	seats::{has_lapsed, is_of_audit},
	Claim, Mismatch,
};
use crate::{ChainReceipt, ReceiptFile};
use assay_primitives::{
	dispute::{Decision, Tally},
	economics::Fault,
	receipt::{Audit, DisputeRecord, RefundReason},
	rules::{replacements, DRAW_DELAY, REPLACEMENTS, WINDOW},
	State, Verdict,
};

/// Rounds of a dispute.
const ROUNDS: u8 = 2;

/// Checks that the state goes with the verdict, the end with the state, and the fee with the end.
pub(super) fn check_state(receipt: &ChainReceipt) -> Result<(), Mismatch> {
	let fits = match receipt.verdict {
		Verdict::Overturned => receipt.state == State::Overturned,
		Verdict::Refunded(_) => receipt.state == State::Refunded,
		Verdict::Confirmed | Verdict::Unchecked | Verdict::Unverified => matches!(
			receipt.state,
			State::Window | State::Auditing | State::Disputed | State::Settled
		),
	};
	ensure(fits, Mismatch::State)?;
	ensure(
		receipt.closed_at.is_some() == receipt.state.is_final(),
		Mismatch::Closed,
	)?;
	let refunded = matches!(receipt.verdict, Verdict::Overturned | Verdict::Refunded(_));
	ensure(!refunded || receipt.fee == 0, Mismatch::Fee)
}

/// Returns whether the electorate upheld the claim.
pub(super) fn is_upheld(claim: &Claim) -> bool {
	decision(claim) == Some(Decision::Upheld)
}

fn decision(claim: &Claim) -> Option<Decision> {
	claim.dispute.as_ref().and_then(|dispute| dispute.decision)
}

/// Checks that a dispute has a cause, and that its decision follows from its stakes.
pub(super) fn check_dispute(receipt: &ChainReceipt, claim: &Claim) -> Result<(), Mismatch> {
	let rejected = claim.seats.iter().any(|seat| seat.rejects());
	let disputed = receipt.state == State::Disputed;
	let Some(dispute) = &claim.dispute else {
		return ensure(!rejected && !disputed, Mismatch::Dispute);
	};
	// An objection is possible only before any rejection, and ends the time for one.
	ensure(rejected != dispute.objector.is_some(), Mismatch::Dispute)?;
	ensure(dispute.objector != Some(claim.executor), Mismatch::Dispute)?;
	ensure(dispute.round <= ROUNDS, Mismatch::Dispute)?;
	if disputed {
		return ensure(dispute.decision.is_none(), Mismatch::Dispute);
	}
	check_decision(dispute)
}

fn check_decision(dispute: &DisputeRecord<crate::Account>) -> Result<(), Mismatch> {
	let tally = Tally {
		approve: dispute.approve,
		reject: dispute.reject,
		..Tally::default()
	};
	let voted = dispute.approve.saturating_add(dispute.reject);
	let rounds_done = match dispute.decision {
		Some(_) => dispute.round >= 1,
		None => dispute.round == ROUNDS,
	};
	ensure(
		voted <= dispute.stake && tally.decision(dispute.stake) == dispute.decision && rounds_done,
		Mismatch::Dispute,
	)
}

/// Checks that what became of the audit goes with the auditors' seats and with the state.
pub(super) fn check_audit(receipt: &ChainReceipt, claim: &Claim) -> Result<(), Mismatch> {
	let last = claim.audits.len().checked_sub(1);
	let auditor = last.and_then(|last| claim.seats.iter().find(|seat| is_of_audit(seat, last)));
	let approves = auditor.is_some_and(|seat| seat.approves());
	let silent = auditor.is_some_and(|seat| seat.vote.is_none());
	let disputed = claim.dispute.is_some();
	let fits = match claim.audit {
		Audit::Undecided => claim.audits.is_empty(),
		// After a dispute no audit is left to do.
		Audit::Spared => claim.audits.is_empty() || disputed,
		Audit::Due => !approves || receipt.state == State::Window,
		Audit::Open => silent,
		Audit::Approved => approves,
		Audit::Rejected => claim.seats.iter().any(|seat| seat.rejects()),
		Audit::NotDone => silent,
		Audit::Nobody => last.is_none() || auditor.is_none(),
	};
	// A claim that is being audited, and one that is to be, does not settle.
	let fits_state = match receipt.state {
		State::Auditing => matches!(claim.audit, Audit::Open | Audit::Due),
		State::Window => claim.audit != Audit::Open,
		State::Settled => !matches!(claim.audit, Audit::Undecided | Audit::Due | Audit::Open),
		_ => true,
	};
	// An answer that too few checked is audited for certain.
	let certain = receipt.verdict == Verdict::Unverified && !disputed;
	let skipped = matches!(claim.audit, Audit::Undecided | Audit::Spared);
	ensure(fits && fits_state && !(certain && skipped), Mismatch::Audit)
}

/// Checks that the verdict is the one that follows from seats and dispute.
pub(super) fn check_verdict(receipt: &ChainReceipt, claim: &Claim) -> Result<(), Mismatch> {
	let overturned = decision(claim) == Some(Decision::Overturned);
	ensure(
		overturned == (receipt.verdict == Verdict::Overturned),
		Mismatch::Verdict,
	)?;
	let unopened = claim.root.is_none();
	let settled = receipt.state == State::Settled;
	let fits = match receipt.verdict {
		Verdict::Confirmed => {
			ensure(!settled || !unopened, Mismatch::Unopened)?;
			is_upheld(claim) || (claim.verifiers > 0 && is_complete(claim))
		}
		Verdict::Unchecked => claim.verifiers == 0 && !is_upheld(claim),
		Verdict::Unverified if is_upheld(claim) => unopened,
		Verdict::Unverified => claim.verifiers > 0 && (is_given_up(claim) || is_withdrawn(claim)),
		Verdict::Overturned => true,
		Verdict::Refunded(RefundReason::Undecided) => claim
			.dispute
			.as_ref()
			.is_some_and(|dispute| dispute.objector.is_none() && dispute.decision.is_none()),
		Verdict::Refunded(_) => return Err(Mismatch::Answer),
	};
	// A rejection that the electorate did not decide leaves nothing to pay for.
	let void = settled && decision(claim).is_none() && claim.seats.iter().any(|seat| seat.rejects());
	ensure(fits && !void, Mismatch::Verdict)
}

/// Returns whether every seat that has not lapsed approved, and every one that has was replaced.
fn is_complete(claim: &Claim) -> bool {
	let verifiers = || claim.seats.iter().filter(|seat| !seat.is_auditor());
	let live = || verifiers().filter(|seat| !has_lapsed(seat));
	let kept = |fault| matches!(fault, None | Some(Fault::FalseApproval));
	let approved = live().all(|seat| seat.approves() && kept(seat.fault));
	approved && live().next().is_some() && (is_replaced(claim) || ends_in_an_empty_draw(claim))
}

/// Returns whether two seats were drawn for every one that lapsed.
fn is_replaced(claim: &Claim) -> bool {
	let lapsed = claim.seats.iter().filter(|seat| has_lapsed(seat)).count();
	let later = claim.seats.iter().filter(|seat| !seat.is_auditor() && seat.tranche > 1);
	later.count() == lapsed.saturating_mul(REPLACEMENTS as usize)
}

fn ends_in_an_empty_draw(claim: &Claim) -> bool {
	let last = claim.tranches.len();
	last > 0 && !claim.seats.iter().any(|seat| usize::from(seat.tranche) == last)
}

/// Returns whether seats lapsed that no tranche was left for, or nobody could be drawn.
fn is_given_up(claim: &Claim) -> bool {
	let last = u8::try_from(claim.tranches.len()).unwrap_or(u8::MAX);
	let seats = claim.seats.iter().filter(|seat| !seat.is_auditor());
	let all = super::count(seats.clone().count());
	let lapsed = super::count(seats.filter(|seat| has_lapsed(seat)).count());
	let replaced = all.saturating_sub(claim.verifiers.into()) / REPLACEMENTS;
	let left = lapsed.saturating_sub(replaced);
	let spent = left > 0 && replacements(last, all, left).is_none();
	spent || ends_in_an_empty_draw(claim)
}

/// Returns whether the verdict of complete seats was taken back: nobody opened the claim, or no approval fits its root.
fn is_withdrawn(claim: &Claim) -> bool {
	let mut approvals = claim.seats.iter().filter(|seat| !seat.is_auditor() && seat.approves());
	approvals.clone().next().is_some() && approvals.all(|seat| seat.fault.is_some())
}

/// Checks that the blocks are in the order in which a job goes through them.
pub(super) fn check_blocks(file: &ReceiptFile) -> Result<(), Mismatch> {
	let receipt = &file.receipt;
	let mut ordered = receipt.requested_at < receipt.verdict_at && receipt.verdict_at <= file.read_at.number;
	if let Some(closed) = receipt.closed_at {
		ordered &= receipt.verdict_at <= closed && closed <= file.read_at.number;
		if receipt.state == State::Settled {
			ordered &= closed >= receipt.verdict_at.saturating_add(WINDOW);
		}
	}
	if let Some(claim) = &receipt.claim {
		ordered &= are_in_order(receipt, claim);
	}
	ensure(ordered, Mismatch::Blocks)
}

fn are_in_order(receipt: &ChainReceipt, claim: &Claim) -> bool {
	let mut ordered = receipt.requested_at < claim.drawn.block && claim.drawn.block < claim.published_at;
	// Nobody knew a draw of seats before the publication, or before others had lapsed.
	let mut last = claim.published_at;
	for tranche in &claim.tranches {
		ordered &= tranche.block >= last.saturating_add(DRAW_DELAY);
		last = tranche.block;
	}
	ordered &= receipt.verdict_at >= last;
	if receipt.verdict == Verdict::Unchecked {
		ordered &= receipt.verdict_at == claim.published_at;
	}
	let mut last = receipt.verdict_at;
	for audit in &claim.audits {
		ordered &= audit.block >= last.saturating_add(DRAW_DELAY);
		last = audit.block;
	}
	ordered && receipt.closed_at.is_none_or(|closed| last <= closed)
}
