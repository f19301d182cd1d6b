//! The records of held money, and the purposes of payments.

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

/// The bond of an objection.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ObjectionRecord<AccountId> {
	/// The objector, in whose account it is held.
	pub objector: AccountId,
	/// The amount.
	pub bond: Balance,
}

/// What a payment for a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Purpose {
	/// The executor's work.
	#[codec(index = 0)]
	Execution,
	/// A seat's check.
	#[codec(index = 1)]
	Verification,
	/// The owner's part for the model.
	#[codec(index = 2)]
	Royalty,
	/// The treasury's part of the execution fee.
	#[codec(index = 3)]
	Treasury,
	/// The pool's part, for audits and juries.
	#[codec(index = 4)]
	Levy,
}

/// Where money comes from that is paid for audits, juries, replaced seats and bounties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Source {
	/// The pool.
	#[codec(index = 0)]
	Pool,
	/// A provider's bond: a fine or a slash.
	#[codec(index = 1)]
	Bond,
	/// The bond of an objection.
	#[codec(index = 2)]
	Objection,
}
