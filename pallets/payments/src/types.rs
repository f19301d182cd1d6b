//! The records of jobs' money, and the purposes of payments.

use assay_primitives::Balance;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// The money held for a job.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct EscrowRecord<AccountId> {
	/// The account in which it is held.
	pub payer: AccountId,
	/// The rest of the fee ceiling: all of it until the job is settled or refunded, zero afterwards.
	pub fee_ceiling: Balance,
	/// The storage deposit, until the job is closed.
	pub deposit: Balance,
}

/// What a payment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Purpose {
	/// The executor's work.
	#[codec(index = 0)]
	Execution,
	/// A verifier's work.
	#[codec(index = 1)]
	Verification,
	/// The owner's part for the model.
	#[codec(index = 2)]
	Royalty,
	/// The treasury's own part of a fee.
	#[codec(index = 3)]
	Treasury,
	/// The rest of slashed money after the requester got what was due.
	#[codec(index = 4)]
	Slash,
}
