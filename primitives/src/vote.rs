//! A vote on an answer: first blinded, then revealed.

use crate::hash::{Commitment, Hash32, JobId, TraceRoot};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// The vote of one committee member. The trace root cannot be derived from the published tokens, so equal votes mean
/// equal work.
///
/// The chain derives the job's digest from a confirmed trace root ([`crate::digest::Subject::digest`]); votes on one
/// answer are equal exactly if their digests are.
#[derive(
	Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Vote {
	/// The model generates exactly these tokens.
	#[codec(index = 0)]
	Confirm {
		/// Root over every row of the residual stream, prompt and answer.
		trace_root: TraceRoot,
	},
	/// The model generates something else.
	#[codec(index = 1)]
	Reject {
		/// First wrong position, counted in generated tokens; the number of tokens if only ending, length or text is
		/// wrong.
		position: u32,
		/// Root of the trace over the prompt and the tokens before `position`.
		prefix_root: TraceRoot,
	},
}

/// What blinds a vote until everyone has voted.
pub type Salt = [u8; 32];

impl Commitment {
	/// Returns `blake2_256(domain ‖ genesis ‖ job ‖ attempt ‖ voter ‖ vote ‖ salt)`, which opens only for this chain,
	/// job, attempt and voter.
	pub fn new<AccountId: Encode>(
		genesis: &Hash32,
		job: &JobId,
		attempt: u8,
		voter: &AccountId,
		vote: &Vote,
		salt: &Salt,
	) -> Self {
		let preimage = (b"assay/v1/commitment", genesis, job, attempt, voter, vote, salt);
		Self(sp_crypto_hashing::blake2_256(&preimage.encode()))
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_commitment_opens_only_for_what_it_was_made_of() {
		let vote = Vote::Confirm {
			trace_root: TraceRoot([1; 32]),
		};
		let make = |genesis: u8, job: u8, attempt, voter: u8, vote: &Vote, salt: u8| {
			Commitment::new(
				&[genesis; 32],
				&JobId([job; 32]),
				attempt,
				&[voter; 32],
				vote,
				&[salt; 32],
			)
		};
		let base = make(0, 0, 0, 0, &vote, 0);
		assert_eq!(base, make(0, 0, 0, 0, &vote, 0));
		let other = Vote::Reject {
			position: 0,
			prefix_root: TraceRoot([1; 32]),
		};
		for changed in [
			make(1, 0, 0, 0, &vote, 0),
			make(0, 1, 0, 0, &vote, 0),
			make(0, 0, 1, 0, &vote, 0),
			make(0, 0, 0, 1, &vote, 0),
			make(0, 0, 0, 0, &other, 0),
			make(0, 0, 0, 0, &vote, 1),
		] {
			assert_ne!(base, changed);
		}
	}
}
