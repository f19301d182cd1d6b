//! Draws, votes and faults of the seats.

use super::{count, ensure, Claim, Mismatch};
use crate::Account;
use alloc::vec::Vec;
use assay_primitives::{
	claim::AUDIT,
	dispute::Decision,
	economics::Fault,
	receipt::{SeatRecord, SeatVote},
	rules::{MAX_SEATS, REPLACEMENTS},
	ClaimId, Vote,
};

type Seat = SeatRecord<Account>;

/// Returns the number of different providers in some seats.
pub(super) fn different<'a>(seats: impl Iterator<Item = &'a Seat>) -> u32 {
	let mut providers: Vec<Account> = seats.map(|seat| seat.provider).collect();
	providers.sort_unstable();
	providers.dedup();
	count(providers.len())
}

/// Returns whether a verifier's seat lapsed: it was late, and others replace it. A claim that nobody opened marks its
/// approvals with the same fault.
pub(super) fn has_lapsed(seat: &Seat) -> bool {
	!seat.is_auditor() && !seat.approves() && seat.fault.is_some()
}

/// Checks that the seats are those of the draws, in their order, and none of them the executor's.
pub(super) fn check_draws(claim: &Claim) -> Result<(), Mismatch> {
	let mut last = 0;
	for (i, seat) in claim.seats.iter().enumerate() {
		let i = count(i);
		ensure(
			seat.tranche >= last && claim.draw(seat.tranche).is_some(),
			Mismatch::Seat(i),
		)?;
		ensure(seat.provider != claim.executor, Mismatch::Executor(i))?;
		// An auditor is drawn alone, and among those who have not approved.
		let approved = |other: &Seat| {
			let party = other.approves() && matches!(other.fault, None | Some(Fault::FalseClaim));
			!other.is_auditor() && other.provider == seat.provider && party
		};
		let free = || seat.tranche != last && !claim.seats.iter().any(approved);
		ensure(!seat.is_auditor() || free(), Mismatch::Auditor(i))?;
		last = seat.tranche;
	}
	check_numbers(claim)
}

/// Checks the number of seats in each tranche: as many as were asked for, then two for each that lapsed. A draw from
/// an empty electorate has none.
fn check_numbers(claim: &Claim) -> Result<(), Mismatch> {
	let mut replaced = 0u32;
	let mut all = 0u32;
	for tranche in (1..=MAX_TRANCHE).take(claim.tranches.len()) {
		let of_tranche = count(claim.seats.iter().filter(|seat| seat.tranche == tranche).count());
		all = all.saturating_add(of_tranche);
		let fits = match tranche {
			1 => of_tranche == u32::from(claim.verifiers) || of_tranche == 0,
			_ => {
				replaced = replaced.saturating_add(of_tranche.div_ceil(REPLACEMENTS));
				let earlier = claim.seats.iter().filter(|seat| seat.tranche < tranche);
				let lapsed = count(earlier.filter(|seat| has_lapsed(seat)).count());
				of_tranche.is_multiple_of(REPLACEMENTS) && replaced <= lapsed
			}
		};
		ensure(fits && all <= MAX_SEATS, Mismatch::Tranche(tranche))?;
	}
	// No draw without somebody to draw, and no seat that was not asked for.
	let asked = claim.verifiers > 0;
	ensure(asked || claim.tranches.is_empty(), Mismatch::Tranche(1))
}

/// The last tranche's number.
const MAX_TRANCHE: u8 = assay_primitives::rules::MAX_TRANCHES;

/// Checks that every vote is one that its provider could give, and that every approval fits the opened root unless it
/// is marked.
pub(super) fn check_votes(claim: &Claim, id: ClaimId) -> Result<(), Mismatch> {
	for (i, seat) in claim.seats.iter().enumerate() {
		let Some(vote) = &seat.vote else { continue };
		let i = count(i);
		let seated = |other: &&Seat| other.provider == seat.provider && other.tranche == vote.tranche;
		// Who is late may still reject, as the holder of any later seat.
		let early_enough = vote.tranche <= seat.tranche || seat.rejects();
		let of_auditor = seat.is_auditor() && seat.approves();
		ensure(
			claim.seats.iter().any(|other| seated(&other))
				&& early_enough
				&& (!of_auditor || vote.tranche == seat.tranche),
			Mismatch::Vote(i),
		)?;
		let twice = |other: &Seat| {
			let same_draw = |cast: &SeatVote| cast.tranche == vote.tranche && cast != vote;
			other.provider == seat.provider && other.vote.as_ref().is_some_and(same_draw)
		};
		ensure(!claim.seats.iter().any(twice), Mismatch::Vote(i))?;
		let Some(root) = &claim.root else { continue };
		let fits = claim.fits(id, &seat.provider, vote, root);
		match seat.fault {
			None => ensure(fits, Mismatch::Approval(i))?,
			Some(Fault::FalseApproval) => ensure(!fits, Mismatch::Fault(i))?,
			Some(_) => {}
		}
	}
	Ok(())
}

/// Checks that every fault follows from the vote and from the dispute, and that none is missing.
pub(super) fn check_faults(claim: &Claim) -> Result<(), Mismatch> {
	let decision = claim.dispute.as_ref().and_then(|dispute| dispute.decision);
	for (i, seat) in claim.seats.iter().enumerate() {
		let fits = match (seat.vote.map(|cast| cast.vote), seat.fault) {
			(Some(Vote::Approve(_)), None) => decision != Some(Decision::Overturned),
			(Some(Vote::Approve(_)), Some(Fault::FalseClaim)) => decision == Some(Decision::Overturned),
			(Some(Vote::Approve(_)), Some(Fault::FalseApproval)) => claim.root.is_some(),
			(Some(Vote::Reject { .. }), Some(Fault::FalseRejection)) => decision == Some(Decision::Upheld),
			(Some(Vote::Reject { .. }), None) => decision != Some(Decision::Upheld),
			(_, Some(Fault::Lapse)) | (None, None) => true,
			_ => false,
		};
		ensure(fits, Mismatch::Fault(count(i)))?;
	}
	Ok(())
}

/// Returns whether a seat is of an auditor of this draw.
pub(super) fn is_of_audit(seat: &Seat, index: usize) -> bool {
	usize::from(seat.tranche).checked_sub(AUDIT.into()) == Some(index)
}
