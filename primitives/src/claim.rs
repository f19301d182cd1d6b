//! What binds a claim: its names, its seal, and what a vote on it is made of.
//!
//! A claim is the published result of one attempt. Its name follows from the draw of its executor, so messages for one
//! fork are nothing on another; nothing in it is chosen by the executor, so the draws that are seeded with it cannot be
//! ground. Roots are bound before anybody sees them: `docs/spec/c2.md` defines the bare root over the rows.

use crate::{
	digest::derive,
	hash::{
		Approval, BoundRoot, ClaimId, Commitment, DisputeId, DrawId, ExecutionId, Hash32, JobId, ModelId, OutputHash,
		Seal, TraceRoot,
	},
	vote::{JuryVote, Salt},
};
use codec::Encode;
use sp_crypto_hashing::blake2_256;

const ROOT: &str = "assay/v2/root";

/// One attempt: who computes which job, and by which draw.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct Execution<'a, AccountId, BlockNumber> {
	/// The hash of block 0.
	pub genesis: Hash32,
	/// The job.
	pub job: JobId,
	/// The attempt, from 0.
	pub attempt: u8,
	/// The block of the executor's draw.
	pub block: BlockNumber,
	/// The beacon in that block.
	pub beacon: Hash32,
	/// Who was drawn.
	pub executor: &'a AccountId,
	/// The model.
	pub model: ModelId,
}

impl<AccountId: Encode, BlockNumber: Encode> Execution<'_, AccountId, BlockNumber> {
	/// Returns the attempt's name.
	pub fn id(&self) -> ExecutionId {
		ExecutionId(blake2_256(&(b"assay/v2/execution", self).encode()))
	}
}

impl ExecutionId {
	/// Returns the name of the claim that this attempt publishes.
	pub fn claim(&self) -> ClaimId {
		ClaimId(blake2_256(&(b"assay/v2/claim", self).encode()))
	}

	/// Returns the sampling seed of this attempt.
	pub fn sampling_seed(&self) -> Hash32 {
		blake2_256(&(b"assay/v2/seed", self).encode())
	}
}

impl ClaimId {
	/// Returns the root over the rows, bound to this claim.
	pub fn bind(&self, root: &TraceRoot) -> BoundRoot {
		BoundRoot(derive(ROOT, &(self, root).encode()))
	}

	/// Returns what the executor publishes instead of its root. There is no salt: whoever computed the claim can open
	/// it.
	pub fn seal<AccountId: Encode>(&self, executor: &AccountId, root: &BoundRoot) -> Seal {
		Seal(blake2_256(&(b"assay/v2/seal", self, executor, root).encode()))
	}

	/// Returns the name of this claim's dispute.
	pub fn dispute(&self) -> DisputeId {
		DisputeId(blake2_256(&(b"assay/v2/dispute", self).encode()))
	}
}

/// A draw of seats, with what they are to check.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct SeatDraw<'a, AccountId, BlockNumber> {
	/// The claim.
	pub claim: ClaimId,
	/// The tranche, from 1; [`AUDIT`] and above for audits.
	pub tranche: u8,
	/// The block of the draw.
	pub block: BlockNumber,
	/// The beacon in that block.
	pub beacon: Hash32,
	/// The published output.
	pub output_hash: OutputHash,
	/// The executor's seal.
	pub seal: Seal,
	/// Who was drawn, in order.
	pub seats: &'a [AccountId],
}

/// The tranche number of a claim's first audit seat; each later audit seat has the next number.
pub const AUDIT: u8 = 128;

impl<AccountId: Encode, BlockNumber: Encode> SeatDraw<'_, AccountId, BlockNumber> {
	/// Returns the draw's name.
	pub fn id(&self) -> DrawId {
		DrawId(blake2_256(&(b"assay/v2/seats", self).encode()))
	}
}

impl DrawId {
	/// Returns the approval of a voter that computed this root. It is keyed by the voter: there is nothing to copy.
	pub fn approval<AccountId: Encode>(&self, voter: &AccountId, root: &BoundRoot) -> Approval {
		Approval(blake2_256(&(b"assay/v2/vote", self, voter, root).encode()))
	}
}

impl DisputeId {
	/// Returns the root over the rows, bound to one round of this dispute: an opened claim is no answer sheet for it.
	pub fn bind(&self, round: u8, root: &TraceRoot) -> BoundRoot {
		BoundRoot(derive(ROOT, &(self, round, root).encode()))
	}

	/// Returns a juror's blinded vote.
	pub fn commitment<AccountId: Encode>(
		&self,
		round: u8,
		juror: &AccountId,
		vote: &JuryVote,
		salt: &Salt,
	) -> Commitment {
		Commitment(blake2_256(&(b"assay/v2/jury", self, round, juror, vote, salt).encode()))
	}

	/// Returns the salt of a juror in one round, from a secret that the juror's node keeps with its result.
	pub fn salt<AccountId: Encode>(&self, round: u8, juror: &AccountId, secret: &Salt) -> Salt {
		blake2_256(&(b"assay/v2/salt", self, round, juror, secret).encode())
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn execution(executor: &u64) -> Execution<'_, u64, u32> {
		Execution {
			genesis: [1; 32],
			job: JobId([2; 32]),
			attempt: 0,
			block: 7,
			beacon: [3; 32],
			executor,
			model: ModelId([4; 32]),
		}
	}

	#[test]
	fn every_part_of_an_attempt_changes_its_claim_and_its_seed() {
		let base = execution(&5);
		let others = [
			Execution {
				genesis: [9; 32],
				..base.clone()
			},
			Execution {
				job: JobId([9; 32]),
				..base.clone()
			},
			Execution {
				attempt: 1,
				..base.clone()
			},
			Execution {
				block: 8,
				..base.clone()
			},
			Execution {
				beacon: [9; 32],
				..base.clone()
			},
			Execution {
				executor: &9,
				..base.clone()
			},
			Execution {
				model: ModelId([9; 32]),
				..base.clone()
			},
		];
		for other in others {
			assert_ne!(other.id().claim(), base.id().claim());
			assert_ne!(other.id().sampling_seed(), base.id().sampling_seed());
		}
		assert_ne!(base.id().claim().0, base.id().sampling_seed());
	}

	#[test]
	fn a_root_of_one_claim_or_round_is_nothing_in_another() {
		let (claim, root) = (execution(&5).id().claim(), TraceRoot([6; 32]));
		let other = execution(&6).id().claim();
		let dispute = claim.dispute();
		let roots = [
			claim.bind(&root),
			other.bind(&root),
			dispute.bind(1, &root),
			dispute.bind(2, &root),
		];
		for (i, one) in roots.iter().enumerate() {
			assert!(roots.iter().skip(i + 1).all(|two| one != two));
		}
		assert_ne!(claim.seal(&1u64, &roots[0]), claim.seal(&2u64, &roots[0]));
	}

	#[test]
	fn an_approval_is_of_one_voter_and_one_draw() {
		let claim = execution(&5).id().claim();
		let root = claim.bind(&TraceRoot([6; 32]));
		let draw = SeatDraw {
			claim,
			tranche: 1,
			block: 9u32,
			beacon: [7; 32],
			output_hash: OutputHash([8; 32]),
			seal: claim.seal(&5u64, &root),
			seats: &[1u64, 2],
		};
		let base = draw.id().approval(&1u64, &root);
		assert_ne!(base, draw.id().approval(&2u64, &root));
		let others = [
			SeatDraw {
				claim: ClaimId([9; 32]),
				..draw.clone()
			},
			SeatDraw {
				tranche: 2,
				..draw.clone()
			},
			SeatDraw {
				block: 10,
				..draw.clone()
			},
			SeatDraw {
				beacon: [9; 32],
				..draw.clone()
			},
			SeatDraw {
				output_hash: OutputHash([9; 32]),
				..draw.clone()
			},
			SeatDraw {
				seal: Seal([9; 32]),
				..draw.clone()
			},
			SeatDraw {
				seats: &[2, 1],
				..draw.clone()
			},
		];
		for other in others {
			assert_ne!(base, other.id().approval(&1u64, &root));
		}
	}

	#[test]
	fn a_jury_commitment_opens_only_for_its_dispute_round_juror_vote_and_salt() {
		let dispute = ClaimId([1; 32]).dispute();
		let vote = JuryVote::Approve {
			root: BoundRoot([2; 32]),
		};
		let base = dispute.commitment(1, &3u64, &vote, &[4; 32]);
		let other = JuryVote::Approve {
			root: BoundRoot([9; 32]),
		};
		for changed in [
			ClaimId([9; 32]).dispute().commitment(1, &3u64, &vote, &[4; 32]),
			dispute.commitment(2, &3u64, &vote, &[4; 32]),
			dispute.commitment(1, &9u64, &vote, &[4; 32]),
			dispute.commitment(1, &3u64, &other, &[4; 32]),
			dispute.commitment(1, &3u64, &vote, &[9; 32]),
		] {
			assert_ne!(base, changed);
		}
	}
}
