//! Why a file is not final: names that do not change, and sentences that say what to do next.

use super::Outcome;
use crate::Mismatch;
use core::fmt;

macro_rules! reasons {
	($($(#[$doc:meta])* $Name:ident = $name:literal, $Outcome:ident, $text:literal;)+) => {
		/// Why a file is not final.
		#[derive(Clone, Copy, Debug, PartialEq, Eq)]
		#[non_exhaustive]
		pub enum Reason {
			/// The receipt contradicts itself, the prompt or the answer.
			Inconsistent(Mismatch),
			$($(#[$doc])* $Name,)+
		}

		impl Reason {
			/// The name of every reason.
			pub const NAMES: &'static [&'static str] = &["inconsistent", $($name),+];

			/// Returns the name, in snake case. It does not change.
			pub fn name(&self) -> &'static str {
				match self {
					Self::Inconsistent(_) => "inconsistent",
					$(Self::$Name => $name,)+
				}
			}

			/// Returns the outcome of a file for this reason.
			pub fn outcome(&self) -> Outcome {
				match self {
					Self::Inconsistent(_) => Outcome::Unverifiable,
					$(Self::$Name => Outcome::$Outcome,)+
				}
			}
		}

		impl fmt::Display for Reason {
			fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
				match self {
					Self::Inconsistent(mismatch) => write!(
						f,
						"The receipt is inconsistent: {mismatch}. The file was changed or made up; ask a node for the receipt."
					),
					$(Self::$Name => f.write_str($text),)+
				}
			}
		}
	};
}

reasons! {
	/// Longer than a file may be.
	TooLong = "too_long", Unverifiable, "The file is longer than a receipt can be. Check that it is the right one.";
	/// Not strict JSON.
	NotJson = "not_json", Unverifiable, "The file is not the JSON of a receipt. Check that it is the right one, and whole.";
	/// Of an unknown format.
	Format = "format", Unverifiable, "The file has a format that this program does not read. Take a newer program.";
	/// Not the form of a receipt.
	Malformed = "malformed", Unverifiable,
		"The file is not written as a receipt is. Check that it is the right one, and that nobody has edited it.";
	/// Nobody was asked to check the answer.
	Unchecked = "unchecked", NotFinal,
		"Nobody was asked to check this answer. Ask again, with verifiers, if it matters.";
	/// Too few verifiers checked the answer.
	Unverified = "unverified", NotFinal,
		"Too few verifiers checked this answer. Ask again if it matters.";
	/// The answer was found false.
	Overturned = "overturned", NotFinal, "The electorate found this answer false. Do not use it.";
	/// There is no answer.
	Refunded = "refunded", NotFinal, "There is no answer, and the requester was refunded. Ask again.";
	/// The answer is disputed.
	Disputed = "disputed", NotFinal,
		"The answer is disputed now. Save the receipt again when the dispute is decided.";
	/// An objection stayed undecided.
	Contested = "contested", NotFinal,
		"An objection to this answer stayed undecided. Ask again if it matters.";
	/// There is no evidence of finality.
	NoEvidence = "no_evidence", NotFinal,
		"The file has no evidence that a finalized block stores the receipt. Save it again from a node, once it is final.";
	/// There is no anchor.
	NoAnchor = "no_anchor", Unverifiable,
		"There is no anchor to begin at. Name one: a chain specification from a source that you trust, or an anchor file.";
	/// The anchor is of another chain.
	OtherChain = "other_chain", Unverifiable,
		"The receipt is of another chain than the anchor. Take that chain's anchor, if you trust it.";
	/// The anchor is too old.
	OldAnchor = "old_anchor", Unverifiable,
		"The anchor is too old: its validators may have withdrawn their bonds. Get a new one from a node that you trust.";
	/// The evidence begins after the anchor's set.
	Gap = "gap", Unverifiable,
		"The evidence begins after the set of the anchor. Save the receipt again with all handovers, or take a newer anchor.";
	/// The evidence ends before the anchor.
	BeforeAnchor = "before_anchor", Unverifiable,
		"The evidence ends before the anchor. Save the receipt again from a node, or take an older anchor.";
	/// A header does not decode.
	BadHeader = "bad_header", Unverifiable, "A header of the evidence is unreadable. Save the receipt again from another node.";
	/// The blocks of the evidence are not in order.
	BadOrder = "bad_order", Unverifiable,
		"The blocks of the evidence are not in order. Save the receipt again from another node.";
	/// A block that should hand over to another set does not.
	NoChange = "no_change", Unverifiable,
		"A block of the evidence that should change the set of validators at once does not. Save the receipt again from \
		 another node.";
	/// A change of the set that no set has finalized.
	ForcedChange = "forced_change", Unverifiable,
		"The set of validators was changed by force, which no evidence bridges. Take an anchor from after the change.";
	/// A set that cannot be one.
	BadAuthorities = "bad_authorities", Unverifiable,
		"A set of validators is empty, too large, or has a validator twice or without weight. Save the receipt again from \
		 another node, or take another anchor.";
	/// A justification does not decode.
	BadJustification = "bad_justification", Unverifiable,
		"A justification of the evidence is unreadable. Save the receipt again from another node.";
	/// A justification is for another block.
	WrongBlock = "wrong_block", Unverifiable,
		"A justification is for another block than its header. Save the receipt again from another node.";
	/// A vote of somebody outside the set.
	UnknownVoter = "unknown_voter", Unverifiable,
		"A vote is from outside the set of validators. Save the receipt again from another node, and check the anchor.";
	/// Two votes of one validator.
	DuplicateVote = "duplicate_vote", Unverifiable,
		"A validator's vote is there twice. Save the receipt again from another node.";
	/// A signature that does not hold.
	BadSignature = "bad_signature", Unverifiable,
		"A vote is not signed by its validator, for this block and this set. Save the receipt again from another node.";
	/// A vote for a block that does not descend from the finalized one.
	NotDescendant = "not_descendant", Unverifiable,
		"A vote is for a block that is not shown to descend from the finalized one. Save the receipt again from another node.";
	/// A header that no vote needs.
	UnusedAncestry = "unused_ancestry", Unverifiable,
		"A justification has a header that no vote needs. Save the receipt again from another node.";
	/// Not enough votes.
	TooFewVotes = "too_few_votes", Unverifiable,
		"Too few validators voted for a block of the evidence. Save the receipt again from another node.";
	/// The file names another block.
	ReadAt = "read_at", Unverifiable,
		"The file was read at another block than the one that its evidence finalizes. Save the receipt again from a node.";
	/// The trie nodes prove nothing, or more than is asked.
	BadState = "bad_state", Unverifiable,
		"The proof of storage has a node too few, too many or twice. Save the receipt again from another node.";
	/// The chain does not store it.
	NotStored = "not_stored", Unverifiable,
		"The finalized block does not store this receipt. Save it again from a node; if it was pruned, with the proof in \
		 the accumulator.";
	/// The chain stores something else.
	OtherReceipt = "other_receipt", Unverifiable,
		"The finalized block stores another receipt for this job. The file was changed or made up; ask a node for it.";
	/// Not settled, and that was asked for.
	NotSettled = "not_settled", NotFinal,
		"The receipt is not settled yet. Save it again when it is, or do without that demand.";
}

#[cfg(feature = "std")]
impl serde::Serialize for Reason {
	fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
		s.serialize_str(self.name())
	}
}

impl core::error::Error for Reason {}
