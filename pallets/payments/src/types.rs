//! What is remembered of a job's money.

use assay_primitives::Balance;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// What is held for a job.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct EscrowRecord<AccountId> {
	/// From whom.
	pub payer: AccountId,
	/// What is left of the fee ceiling: all of it until the job is settled or refunded, nothing afterwards.
	pub fee: Balance,
	/// The storage deposit, until the job is closed.
	pub deposit: Balance,
}

/// What a payment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Purpose {
	/// Running the job.
	#[codec(index = 0)]
	Execution,
	/// Checking it.
	#[codec(index = 1)]
	Verification,
	/// The model.
	#[codec(index = 2)]
	Royalty,
	/// The treasury's own part of a fee.
	#[codec(index = 3)]
	Treasury,
	/// What is left of slashed money once the requester is whole.
	#[codec(index = 4)]
	Slash,
}
