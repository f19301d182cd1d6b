//! What the pallet stores of a claim, and the messages of providers.

use alloc::vec::Vec;
use assay_primitives::{
	economics::{Fault, Rates},
	limits::{MAX_MEMBERS, MAX_SEAT_RECORDS},
	receipt::{ClaimRecord, SeatRecord},
	rules::WorkUnits,
	traits::ClaimStatus,
	vote::{JuryVote, Salt},
	Balance, ClaimId, Commitment, DrawId, Hash32, JobId, ModelId, State, Verdict, Vote,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;

/// The most accounts that one conviction names in one role: every seat and every member.
pub const MAX_NAMED: u32 = MAX_SEAT_RECORDS + MAX_MEMBERS;

/// The chain's parameters of verification, in one struct.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct VerificationParams<BlockNumber> {
	/// The least speed of a provider, in units of work a block.
	pub least_speed: u32,
	/// Blocks from a conviction until its slash is taken, unless it is canceled.
	pub slash_delay: BlockNumber,
	/// Claims and slashes that are due in one block at most; others wait for the next.
	pub max_due_per_block: u32,
	/// Who pays whom, and what faults cost.
	pub rates: Rates,
}

/// An open claim.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Claim<AccountId, BlockNumber> {
	/// What it answers, as its source names it.
	pub origin: JobId,
	/// Who asked.
	pub requester: AccountId,
	/// The model.
	pub model: ModelId,
	/// Its state.
	pub state: State,
	/// The verdict, once there is one.
	pub verdict: Option<Verdict>,
	/// The block of the verdict.
	pub verdict_at: Option<BlockNumber>,
	/// The block in which something is due next; other entries of the list of due claims are stale.
	pub due: BlockNumber,
	/// The first block in which it may settle, once there is a verdict.
	pub settle_at: BlockNumber,
	/// The block from which a certain audit is drawn.
	pub audit_at: BlockNumber,
	/// Auditors drawn for the present audit.
	pub auditors: u8,
	/// Whether a conviction of its executor or of an approver has reopened it already.
	pub reopened: bool,
	/// The work of one check.
	pub work: WorkUnits,
	/// What one check is paid.
	pub seat_fee: Balance,
	/// Seats of the next tranche.
	pub next_seats: u32,
	/// The last block of each seat, in the order of the record's seats.
	pub deadlines: BoundedVec<BlockNumber, ConstU32<MAX_SEAT_RECORDS>>,
	/// What a receipt shows.
	pub record: ClaimRecord<AccountId, BlockNumber>,
}

impl<AccountId: PartialEq, BlockNumber: Copy + PartialOrd> Claim<AccountId, BlockNumber> {
	/// Returns the seats of verifiers that have not lapsed.
	pub(crate) fn live_seats(&self) -> impl Iterator<Item = &SeatRecord<AccountId>> {
		self.record
			.seats
			.iter()
			.filter(|seat| !seat.is_auditor() && seat.fault.is_none())
	}

	/// Returns the seats that wait for a vote, each with its index and its last block.
	pub(crate) fn waiting_seats(&self) -> impl Iterator<Item = (usize, &SeatRecord<AccountId>, BlockNumber)> {
		let seats = self.record.seats.iter().zip(self.deadlines.iter()).enumerate();
		seats
			.filter(|(_, (seat, _))| seat.vote.is_none() && seat.fault.is_none())
			.map(|(index, (seat, deadline))| (index, seat, *deadline))
	}

	/// Returns the first block in which a waiting seat is late.
	pub(crate) fn first_deadline(&self) -> Option<BlockNumber> {
		self.waiting_seats()
			.map(|(.., deadline)| deadline)
			.reduce(|a, b| if b < a { b } else { a })
	}

	/// Returns whether a provider has approved the claim, as a seat or as an auditor.
	pub(crate) fn has_approved(&self, who: &AccountId) -> bool {
		self.record
			.seats
			.iter()
			.any(|seat| seat.provider == *who && seat.approves() && seat.fault.is_none())
	}

	/// Returns whether a provider has rejected the claim.
	pub(crate) fn has_rejected(&self, who: &AccountId) -> bool {
		self.record
			.seats
			.iter()
			.any(|seat| seat.provider == *who && seat.rejects())
	}

	/// Returns whether a provider stands on one side already: it executed, approved, rejected or objected.
	pub(crate) fn is_party(&self, who: &AccountId) -> bool {
		let objects = self
			.record
			.dispute
			.as_ref()
			.is_some_and(|dispute| dispute.objector.as_ref() == Some(who));
		self.record.executor == *who || self.has_approved(who) || self.has_rejected(who) || objects
	}

	/// Returns whether it may be opened now: the audit's lottery is past, and no auditor is at work.
	pub(crate) fn may_be_opened(&self) -> bool {
		use assay_primitives::receipt::Audit::{Due, Open, Undecided};
		self.state == State::Window && !matches!(self.record.audit, Undecided | Due | Open)
	}

	/// Returns the claim's standing.
	pub(crate) fn status(self) -> ClaimStatus<AccountId, BlockNumber> {
		ClaimStatus {
			state: self.state,
			verdict: self.verdict,
			verdict_at: self.verdict_at,
			due: self.due,
			record: self.record,
		}
	}
}

/// What is due in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum Due {
	/// A lottery, an auditor's draw, a lapse, or a wait that goes on; and how many providers may be fined.
	Claim(ClaimId, u8),
	/// The draw of a claim's seats, and how many.
	Draw(ClaimId, u8),
	/// A claim's settlement, and how many seats it may pay.
	Settle(ClaimId, u8),
	/// A step of a claim's dispute.
	Dispute(ClaimId),
	/// The slash of a conviction, and how many accounts it names.
	Slash(u32, u16),
}

impl Due {
	/// Returns the claim that it is about.
	pub(crate) fn claim(&self) -> Option<ClaimId> {
		match self {
			Self::Claim(id, _) | Self::Draw(id, _) | Self::Settle(id, _) | Self::Dispute(id) => Some(*id),
			Self::Slash(..) => None,
		}
	}
}

/// A member of a jury.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Juror<AccountId> {
	/// The provider.
	pub who: AccountId,
	/// Its stake when the dispute began.
	pub stake: Balance,
	/// Its blinded vote, of this round.
	pub commitment: Option<Commitment>,
	/// Its vote, once revealed, of any round.
	pub vote: Option<JuryVote>,
}

/// The electorate that decides a dispute.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Jury<AccountId> {
	/// The members, parties included.
	pub members: BoundedVec<Juror<AccountId>, ConstU32<MAX_MEMBERS>>,
	/// Whether votes are being revealed; otherwise they are being committed.
	pub revealing: bool,
}

/// Accounts that a conviction names.
pub type Named<AccountId> = BoundedVec<AccountId, ConstU32<MAX_NAMED>>;

/// A slash that is decided and not taken yet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Conviction<AccountId> {
	/// The claim.
	pub claim: ClaimId,
	/// The fault.
	pub fault: Fault,
	/// Who is slashed for it; suspended until then.
	pub offenders: Named<AccountId>,
	/// Who is paid for a check from it.
	pub workers: Named<AccountId>,
	/// Who shares the bounty.
	pub finders: Named<AccountId>,
	/// What a check is paid.
	pub seat_fee: Balance,
}

/// The vote of a seat or of an auditor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct VoteItem {
	/// The claim.
	pub claim: ClaimId,
	/// The tranche that the seat was drawn for.
	pub tranche: u8,
	/// The name of that draw: a vote for another fork's draw is refused.
	pub draw: DrawId,
	/// The vote.
	pub vote: Vote,
}

/// One message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Message {
	/// The vote of a seat or of an auditor.
	#[codec(index = 0)]
	Vote(VoteItem),
	/// A juror's blinded vote.
	#[codec(index = 1)]
	JuryCommit {
		/// The disputed claim.
		claim: ClaimId,
		/// The round, from 1.
		round: u8,
		/// The blinded vote.
		commitment: Commitment,
	},
	/// A juror's vote.
	#[codec(index = 2)]
	JuryReveal {
		/// The disputed claim.
		claim: ClaimId,
		/// The round, from 1.
		round: u8,
		/// The vote.
		vote: JuryVote,
		/// What blinded it.
		salt: Salt,
	},
	/// The sender's objection to a claim; its bond is held from the sender's account.
	#[codec(index = 3)]
	Object {
		/// The claim.
		claim: ClaimId,
		/// The output that is said to be false.
		output_hash: assay_primitives::OutputHash,
	},
	/// The sender's node runs, whatever its engine does: what a validator needs to keep its seat.
	#[codec(index = 4)]
	SignOfLife,
	/// The sender's engine does not serve a model that the sender serves, or serves it again.
	#[codec(index = 5)]
	Outage {
		/// The model.
		model: ModelId,
		/// Whether it is served again.
		over: bool,
	},
}

impl Message {
	/// Returns what two messages of one sender may not have in common in the pool.
	pub(crate) fn tag(&self) -> (u8, Hash32, u8) {
		match self {
			Self::Vote(item) => (0, item.draw.0, 0),
			Self::JuryCommit { claim, round, .. } => (1, claim.0, *round),
			Self::JuryReveal { claim, round, .. } => (2, claim.0, *round),
			Self::Object { claim, .. } => (3, claim.0, 0),
			Self::SignOfLife => (4, Hash32::default(), 0),
			Self::Outage { model, over } => (5, model.0, (*over).into()),
		}
	}
}

/// All messages that a provider sends in one block. An empty batch is a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Batch<AccountId, BlockNumber> {
	/// The provider, who sends it.
	pub voter: AccountId,
	/// The block that the worker saw.
	pub at: BlockNumber,
	/// The messages, at most [`MAX_BATCH`](assay_primitives::limits::MAX_BATCH).
	pub messages: Vec<Message>,
}

impl<AccountId: Encode, BlockNumber: Encode> Batch<AccountId, BlockNumber> {
	/// Returns the bytes that the inference key signs.
	pub fn message(&self, genesis: &Hash32) -> Vec<u8> {
		(b"assay/v2/batch", genesis, self).encode()
	}
}
