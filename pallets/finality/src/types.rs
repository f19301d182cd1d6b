//! What the pallet stores of reports and sets.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;

/// The most members of a set.
pub const MAX_MEMBERS: u32 = 128;
/// The most sets that wait for their finalization, the set in force among them.
pub const MAX_SETS: u32 = 32;
/// The most reports that one session's end looks at.
pub const MAX_REPORTS: u32 = 1_024;

/// The parameters of a chain, in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalityParams<BlockNumber> {
	/// How long a report counts. Long enough that nearly every validator makes a block in it.
	pub window: BlockNumber,
	/// How far the finalized block may be behind before finality has stalled. Longer than `window` is old, because the
	/// median report is about half as old.
	pub max_lag: BlockNumber,
	/// How long after it was signaled a forced change takes effect. So many blocks must not be replaced by another fork;
	/// less than a session has at its slowest.
	pub delay: BlockNumber,
}

/// What an author states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Report<BlockNumber> {
	/// Its block.
	pub at: BlockNumber,
	/// The last block that it saw finalized.
	pub finalized: BlockNumber,
}

/// A set that the chain has signaled to the finality gadget.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct AuthoritySet<AccountId, BlockNumber> {
	/// Its id.
	pub id: u64,
	/// The block with whose finalization it is in force; zero: it is already.
	pub since: BlockNumber,
	/// Its members.
	pub members: BoundedVec<AccountId, ConstU32<MAX_MEMBERS>>,
}

/// Sets, oldest first.
pub type Signaled<AccountId, BlockNumber> = BoundedVec<AuthoritySet<AccountId, BlockNumber>, ConstU32<MAX_SETS>>;
