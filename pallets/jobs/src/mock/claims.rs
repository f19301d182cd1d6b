//! Claims that do nothing by themselves: tests give them verdicts and end them.

use super::{Jobs, *};
use assay_primitives::{
	receipt::{Audit, ClaimRecord, SeatRecord, SeatVote},
	rules::WorkUnits,
	traits::{ClaimSource, ClaimStatus, Claims, NewClaim},
	Approval, ClaimId, JobId, Verdict, Vote,
};
use codec::{Decode, Encode};
use frame_support::{ensure, storage_alias, BoundedVec, Identity};
use sp_runtime::{DispatchError, DispatchResult};

/// A published claim.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct OpenClaim {
	pub(crate) origin: JobId,
	pub(crate) seat_fee: Balance,
	pub(crate) work: WorkUnits,
	pub(crate) state: State,
	pub(crate) verdict: Option<(Verdict, u64)>,
	pub(crate) record: ClaimRecord<AccountId, u64>,
}

/// Claims that have not ended.
#[storage_alias]
pub(crate) type OpenClaims = StorageMap<MockClaims, Identity, ClaimId, OpenClaim>;

#[allow(unreachable_pub)]
pub struct MockClaims;

impl Claims<AccountId, u64> for MockClaims {
	fn publish(claim: NewClaim<AccountId, u64>) -> DispatchResult {
		ensure!(!OpenClaims::contains_key(claim.id), DispatchError::Other("name taken"));
		let now = System::block_number();
		let record = ClaimRecord {
			attempt: claim.attempt,
			executor: claim.executor,
			drawn: claim.drawn,
			output_hash: claim.output_hash,
			seal: claim.seal,
			root: None,
			published_at: now,
			verifiers: claim.verifiers,
			tranches: Default::default(),
			audits: Default::default(),
			seats: Default::default(),
			audit: Audit::Undecided,
			dispute: None,
			electorate: Default::default(),
			slashable: 0,
			open_claims: 0,
		};
		let unchecked = claim.verifiers == 0;
		let open = OpenClaim {
			origin: claim.origin,
			seat_fee: claim.seat_fee,
			work: claim.work,
			state: if unchecked { State::Window } else { State::Published },
			verdict: unchecked.then_some((Verdict::Unchecked, now)),
			record,
		};
		OpenClaims::insert(claim.id, open);
		Ok(())
	}

	fn status(claim: &ClaimId) -> Option<ClaimStatus<AccountId, u64>> {
		OpenClaims::get(claim).map(status_of)
	}

	fn longest(work: WorkUnits) -> u32 {
		400 + work as u32
	}
}

fn status_of(claim: OpenClaim) -> ClaimStatus<AccountId, u64> {
	ClaimStatus {
		state: claim.state,
		verdict: claim.verdict.map(|(verdict, _)| verdict),
		verdict_at: claim.verdict.map(|(_, at)| at),
		due: System::block_number() + 5,
		record: claim.record,
	}
}

/// Returns the claim of a job's present attempt.
pub(crate) fn claim_of(id: JobId) -> ClaimId {
	job(id).engagement.expect("an executor").claim
}

/// Lets these providers approve a published claim, and gives it a verdict that stands for now.
pub(crate) fn confirm(id: JobId, approvals: &[AccountId]) {
	let now = System::block_number();
	OpenClaims::mutate(claim_of(id), |claim| {
		let claim = claim.as_mut().expect("an open claim");
		claim.state = State::Window;
		claim.verdict = Some((Verdict::Confirmed, now));
		let seats = approvals.iter().map(|provider| SeatRecord {
			provider: provider.clone(),
			tranche: 1,
			vote: Some(SeatVote {
				tranche: 1,
				vote: Vote::Approve(Approval([7; 32])),
			}),
			fault: None,
		});
		claim.record.seats = BoundedVec::truncate_from(seats.collect());
	});
}

/// Ends a published claim in this state. Returns how many approvals were paid from the escrow.
pub(crate) fn end_claim(id: JobId, state: State, verdict: Verdict) -> u32 {
	let name = claim_of(id);
	let mut claim = OpenClaims::take(name).expect("an open claim");
	let at = claim.verdict.map_or(System::block_number(), |(_, at)| at);
	claim.state = state;
	claim.verdict = Some((verdict, at));
	let approvals: Vec<_> = claim.record.approvals().map(|seat| seat.provider.clone()).collect();
	Jobs::closed(&id, &name, status_of(claim), &approvals)
}

/// Confirms and settles a published claim.
pub(crate) fn settle(id: JobId, approvals: &[AccountId]) -> u32 {
	confirm(id, approvals);
	end_claim(id, State::Settled, Verdict::Confirmed)
}
