//! Votes on a claim: of seats and auditors, and of a jury.

use crate::hash::{Approval, BoundRoot};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// What blinds a juror's vote until it is revealed.
pub type Salt = [u8; 32];

/// What is wrong with a claim.
#[derive(
	Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Defect {
	/// The output differs from what the model generates, from this position on, counted in generated tokens; the number
	/// of tokens if only ending, length or text is wrong.
	#[codec(index = 0)]
	Output(u32),
	/// The output is right, and the seal does not open to its root.
	#[codec(index = 1)]
	Seal,
}

/// The vote of a seat or an auditor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Vote {
	/// The model generates exactly this output, and the seal opens to the root of its rows.
	#[codec(index = 0)]
	Approve(Approval),
	/// The claim is false.
	#[codec(index = 1)]
	Reject {
		/// What is wrong.
		defect: Defect,
		/// Root over the rows up to the defect, bound to the claim.
		root: BoundRoot,
	},
}

impl Vote {
	/// Returns whether it is a rejection.
	pub fn rejects(&self) -> bool {
		matches!(self, Self::Reject { .. })
	}
}

/// The vote of a juror.
#[derive(
	Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum JuryVote {
	/// The claim is true.
	#[codec(index = 0)]
	Approve {
		/// Root over all rows, bound to the round.
		root: BoundRoot,
	},
	/// The claim is false.
	#[codec(index = 1)]
	Reject {
		/// What is wrong.
		defect: Defect,
		/// Root over the rows up to the defect, bound to the round.
		root: BoundRoot,
	},
}
