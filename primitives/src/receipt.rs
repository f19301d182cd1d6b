//! The outcome of a job, with everything it takes to recompute its hashes from prompt and answer.

use crate::{
	claim::{Execution, SeatDraw, AUDIT},
	digest::derive,
	dispute::Decision,
	economics::Fault,
	hash::{BoundRoot, ClaimId, DrawId, ExecutionId, Hash32, InputHash, JobId, LeafHash, ModelId, OutputHash, Seal},
	limits::*,
	model::ListingId,
	state::State,
	vote::Vote,
	Balance, FinishReason, SamplingParams,
};
use alloc::vec::Vec;
use bounded_collections::{BoundedVec, ConstU32};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// The context of a receipt's hash. A receipt that is encoded otherwise gets another.
const RECEIPT: &str = "assay/v1/receipt";

/// What is known of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Verdict {
	/// Every live seat recomputed the answer and approved, or the electorate upheld it.
	#[codec(index = 0)]
	Confirmed,
	/// No verifier was asked for: nobody checked the answer.
	#[codec(index = 1)]
	Unchecked,
	/// Verifiers were asked for, and too few voted, or nobody opened the claim.
	#[codec(index = 2)]
	Unverified,
	/// The electorate found the answer false; the requester was refunded.
	#[codec(index = 3)]
	Overturned,
	/// There is no answer; the requester was refunded.
	#[codec(index = 4)]
	Refunded(RefundReason),
}

/// Why a job was refunded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum RefundReason {
	/// No provider had a free place within the quoted time.
	#[codec(index = 0)]
	QueueTimeOver,
	/// No executor published an output in time.
	#[codec(index = 1)]
	NoOutput,
	/// A verifier rejected the output, and the electorate did not decide.
	#[codec(index = 2)]
	Undecided,
}

/// The electorate that a claim's seats were drawn from, in numbers.
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ElectorateSummary {
	/// Members, the executor included.
	pub members: u32,
	/// The stake of all members.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub stake: Balance,
	/// The largest stake of one member.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub largest: Balance,
	/// The executor's stake.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub executor: Balance,
	/// The active bonds of all providers of the chain.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub chain: Balance,
}

/// The draw of a tranche or of an auditor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DrawRecord<BlockNumber> {
	/// The block of the draw.
	pub block: BlockNumber,
	/// The beacon in that block.
	#[cfg_attr(feature = "serde", serde(with = "crate::hash::hex32"))]
	pub beacon: Hash32,
}

/// A drawn seat.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SeatRecord<AccountId> {
	/// The provider. One provider may hold several seats.
	pub provider: AccountId,
	/// The tranche, from 1; [`AUDIT`] and above for auditors.
	pub tranche: u8,
	/// Its vote. A provider that voted for an earlier tranche fills its later seats with that vote.
	pub vote: Option<SeatVote>,
	/// The fault for which it is fined or slashed, if any.
	pub fault: Option<Fault>,
}

/// The vote of a seat and the tranche that it is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SeatVote {
	/// The tranche whose draw it names.
	pub tranche: u8,
	/// The vote.
	pub vote: Vote,
}

impl<AccountId> SeatRecord<AccountId> {
	/// Returns whether the seat approved.
	pub fn approves(&self) -> bool {
		matches!(
			self.vote,
			Some(SeatVote {
				vote: Vote::Approve(_),
				..
			})
		)
	}

	/// Returns whether the seat rejected.
	pub fn rejects(&self) -> bool {
		matches!(
			self.vote,
			Some(SeatVote {
				vote: Vote::Reject { .. },
				..
			})
		)
	}

	/// Returns whether an auditor sits here.
	pub fn is_auditor(&self) -> bool {
		self.tranche >= AUDIT
	}
}

/// What became of the audit of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Audit {
	/// Its lottery is not drawn yet.
	#[codec(index = 0)]
	Undecided,
	/// The lottery spared it.
	#[codec(index = 1)]
	Spared,
	/// It will be audited for certain, and no auditor is drawn yet.
	#[codec(index = 2)]
	Due,
	/// An auditor recomputes.
	#[codec(index = 3)]
	Open,
	/// The auditor approved.
	#[codec(index = 4)]
	Approved,
	/// The auditor rejected.
	#[codec(index = 5)]
	Rejected,
	/// Nobody voted in time.
	#[codec(index = 6)]
	NotDone,
	/// Nobody could be drawn who had not voted already.
	#[codec(index = 7)]
	Nobody,
}

/// The dispute of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DisputeRecord<AccountId> {
	/// Who objected; none if a rejection opened it.
	pub objector: Option<AccountId>,
	/// The round, from 1; 0 while it waits for a place.
	pub round: u8,
	/// The stake of the whole electorate.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub stake: Balance,
	/// The stake that was for the claim.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub approve: Balance,
	/// The stake that was against it.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub reject: Balance,
	/// The decision; none while it is open, or if it stayed undecided.
	pub decision: Option<Decision>,
}

/// Everything about a claim that a receipt shows.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClaimRecord<AccountId, BlockNumber> {
	/// The attempt that published it, from 0.
	pub attempt: u8,
	/// The executor.
	pub executor: AccountId,
	/// The executor's draw.
	pub drawn: DrawRecord<BlockNumber>,
	/// [`crate::digest::output_hash`] of the output.
	pub output_hash: OutputHash,
	/// The executor's hash over its root.
	pub seal: Seal,
	/// The root, once somebody has opened the seal.
	pub root: Option<BoundRoot>,
	/// The block of the publication.
	pub published_at: BlockNumber,
	/// How many verifiers were asked for.
	pub verifiers: u8,
	/// The draws of tranches, in order.
	pub tranches: BoundedVec<DrawRecord<BlockNumber>, ConstU32<{ MAX_TRANCHES as u32 }>>,
	/// The draws of auditors, in order.
	pub audits: BoundedVec<DrawRecord<BlockNumber>, ConstU32<MAX_AUDIT_DRAWS>>,
	/// All seats, in the order drawn.
	pub seats: BoundedVec<SeatRecord<AccountId>, ConstU32<MAX_SEAT_RECORDS>>,
	/// What became of the audit.
	pub audit: Audit,
	/// The dispute, if there was one.
	pub dispute: Option<DisputeRecord<AccountId>>,
	/// The electorate in numbers, when the first tranche was drawn; when it was published, if nobody was asked to check.
	pub electorate: ElectorateSummary,
	/// What the executor could lose then: its active bond and what is unbonding.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub slashable: Balance,
	/// Other claims of the executor that were not settled then.
	pub open_claims: u32,
}

impl<AccountId: Encode + Clone, BlockNumber: Encode + Clone> ClaimRecord<AccountId, BlockNumber> {
	/// Returns the name of the attempt.
	pub fn execution(&self, genesis: Hash32, job: JobId, model: ModelId) -> ExecutionId {
		Execution {
			genesis,
			job,
			attempt: self.attempt,
			block: self.drawn.block.clone(),
			beacon: self.drawn.beacon,
			executor: &self.executor,
			model,
		}
		.id()
	}

	/// Returns the draw of a tranche or an auditor; none if it was not drawn.
	pub fn draw(&self, tranche: u8) -> Option<&DrawRecord<BlockNumber>> {
		match tranche.checked_sub(AUDIT) {
			Some(auditor) => self.audits.get(usize::from(auditor)),
			None => self.tranches.get(usize::from(tranche.checked_sub(1)?)),
		}
	}

	/// Returns the name of the draw that a vote of this tranche has to name.
	pub fn draw_id(&self, claim: ClaimId, tranche: u8) -> Option<DrawId> {
		let draw = self.draw(tranche)?;
		let seats: Vec<AccountId> = self
			.seats
			.iter()
			.filter(|seat| seat.tranche == tranche)
			.map(|seat| seat.provider.clone())
			.collect();
		let draw = SeatDraw {
			claim,
			tranche,
			block: draw.block.clone(),
			beacon: draw.beacon,
			output_hash: self.output_hash,
			seal: self.seal,
			seats: &seats,
		};
		Some(draw.id())
	}

	/// Returns whether a vote is what its voter had to say of this root.
	pub fn fits(&self, claim: ClaimId, voter: &AccountId, vote: &SeatVote, root: &BoundRoot) -> bool {
		let Vote::Approve(approval) = vote.vote else {
			return true;
		};
		self.draw_id(claim, vote.tranche)
			.is_some_and(|draw| draw.approval(voter, root) == approval)
	}
}

impl<AccountId, BlockNumber> ClaimRecord<AccountId, BlockNumber> {
	/// Returns the seats of verifiers that approved and are not at fault.
	pub fn approvals(&self) -> impl Iterator<Item = &SeatRecord<AccountId>> {
		self.seats
			.iter()
			.filter(|seat| !seat.is_auditor() && seat.approves() && seat.fault.is_none())
	}
}

/// The outcome of a job.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Receipt<AccountId, BlockNumber> {
	/// The job.
	pub job: JobId,
	/// The requested model.
	pub model: ModelId,
	/// The listing on whose terms it was answered.
	pub listing: ListingId,
	/// Whether the request named that listing. If not, it named the model, and the chain chose the listing.
	pub listing_named: bool,
	/// Who requested the job and paid for it.
	pub requester: AccountId,
	/// Which of the requester's jobs it is, from 1.
	pub count: u64,
	/// How tokens were sampled.
	pub params: SamplingParams,
	/// [`crate::digest::input_hash`] of the prompt.
	pub input_hash: InputHash,
	/// What is known of the answer.
	pub verdict: Verdict,
	/// The state of the job: the verdict may change until it is final.
	pub state: State,
	/// The answer's facts; none if it was never published.
	pub answer: Option<AnswerRecord>,
	/// The claim that was verified; none if nothing was published.
	pub claim: Option<ClaimRecord<AccountId, BlockNumber>>,
	/// Attempts used, counted from 1; 0 if no executor was drawn.
	pub attempts: u8,
	/// What the requester pays, in base units.
	#[cfg_attr(feature = "serde", serde(with = "crate::decimal"))]
	pub fee: Balance,
	/// Block of the request.
	pub requested_at: BlockNumber,
	/// Block of the verdict.
	pub verdict_at: BlockNumber,
	/// Block of the final state, once it is reached.
	pub closed_at: Option<BlockNumber>,
}

/// What was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AnswerRecord {
	/// Prompt tokens paid for.
	pub input_tokens: u32,
	/// Generated tokens paid for.
	pub output_tokens: u32,
	/// Why the answer ended.
	pub finish: FinishReason,
}

impl AnswerRecord {
	/// Returns whether the model ran, so that the answer is paid for: a grammar may leave no token also after many, which
	/// were computed, and which whoever streams the draft has read.
	pub fn model_ran(&self) -> bool {
		self.finish.model_ran() || self.output_tokens > 0
	}
}

impl<AccountId: Encode, BlockNumber: Encode> Receipt<AccountId, BlockNumber> {
	/// Returns the leaf of a final receipt in the accumulator. The job, which the receipt names, binds the chain.
	pub fn leaf(&self) -> LeafHash {
		LeafHash(derive(RECEIPT, &self.encode()))
	}
}

impl<AccountId, BlockNumber> Receipt<AccountId, BlockNumber> {
	/// Returns the listing that the request named; none if it named the model.
	pub fn named_listing(&self) -> Option<ListingId> {
		self.listing_named.then_some(self.listing)
	}

	/// Returns whether nothing about it can change any more.
	pub fn is_settled(&self) -> bool {
		self.state.is_final()
	}

	/// Returns whether an objection left the dispute undecided, so that the verdict stands contested.
	pub fn is_contested(&self) -> bool {
		let dispute = self.claim.as_ref().and_then(|claim| claim.dispute.as_ref());
		dispute.is_some_and(|dispute| {
			dispute.objector.is_some() && dispute.decision.is_none() && self.state != State::Disputed
		})
	}
}
