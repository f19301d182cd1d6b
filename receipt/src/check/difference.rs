//! What differs between a claimed receipt and the one that a chain stores.

use super::Claim;
use crate::ChainReceipt;
use alloc::vec::Vec;

/// Returns the fields in which a claimed receipt differs from the one that a chain stores. A receipt that was read
/// before its state was final may have gone on since: of it, only what cannot change any more is compared.
pub fn differences(claimed: &ChainReceipt, stored: &ChainReceipt) -> Vec<&'static str> {
	let settled = claimed.is_settled();
	let fields = [
		("job", claimed.job == stored.job),
		("model", claimed.model == stored.model),
		("listing", claimed.listing == stored.listing),
		("listing_named", claimed.listing_named == stored.listing_named),
		("requester", claimed.requester == stored.requester),
		("count", claimed.count == stored.count),
		("params", claimed.params == stored.params),
		("input_hash", claimed.input_hash == stored.input_hash),
		("answer", claimed.answer == stored.answer),
		("attempts", claimed.attempts == stored.attempts),
		("requested_at", claimed.requested_at == stored.requested_at),
		("verdict_at", claimed.verdict_at == stored.verdict_at),
		("claim", same_claim(claimed, stored)),
		("verdict", !settled || claimed.verdict == stored.verdict),
		("state", !settled || claimed.state == stored.state),
		("fee", !settled || claimed.fee == stored.fee),
		("closed_at", !settled || claimed.closed_at == stored.closed_at),
	];
	fields.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect()
}

fn same_claim(claimed: &ChainReceipt, stored: &ChainReceipt) -> bool {
	match (&claimed.claim, &stored.claim) {
		(Some(claimed_claim), Some(stored)) if !claimed.is_settled() => continues(claimed_claim, stored),
		(one, other) => one == other,
	}
}

/// Returns whether a claim can have become the other one: its draws and votes stay, others follow.
fn continues(earlier: &Claim, later: &Claim) -> bool {
	let fixed = |claim: &Claim| {
		(
			claim.attempt,
			claim.executor,
			claim.drawn,
			claim.output_hash,
			claim.seal,
			claim.published_at,
			claim.verifiers,
			claim.electorate,
			claim.slashable,
		)
	};
	let seats = earlier.seats.iter().zip(&later.seats).all(|(one, other)| {
		let place = one.provider == other.provider && one.tranche == other.tranche;
		place && (one.vote.is_none() || one.vote == other.vote)
	});
	fixed(earlier) == fixed(later)
		&& (earlier.root.is_none() || earlier.root == later.root)
		&& later.tranches == earlier.tranches
		&& later.audits.starts_with(&earlier.audits)
		&& later.seats.len() >= earlier.seats.len()
		&& seats
}
