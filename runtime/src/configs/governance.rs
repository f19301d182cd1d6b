//! Governance: who can be root, and when.
//!
//! The council is the validators of the session, one vote each: about in proportion to stake, because places among the
//! validators are. There is no other membership.
//!
//! | share of the council | may | when |
//! |---|---|---|
//! | two thirds | any call with root: upgrades, the treasury, sessions, … | [`GovernanceLimits`]`.delay` later |
//! | two thirds | cancel a slash that is not taken yet; note that finality is stalled; close a motion unheard | at once |
//! | a third | take back what waits for its delay | until it is dispatched |
//!
//! So a third blocks and two thirds decide. With up to a third silent the rest still decides, if it is of one mind.

use super::consensus::MAX_AUTHORITIES;
use crate::{
	constants::{
		block,
		currency::{deposit, ASY, MICRO_ASY},
		time::{DAYS, HOURS},
	},
	AccountId, Balance, Balances, BlockNumber, Council, OriginCaller, Preimage, Runtime, RuntimeCall, RuntimeEvent,
	RuntimeHoldReason, RuntimeOrigin, Scheduler, System,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{
	dispatch::DispatchClass,
	ensure, parameter_types,
	traits::{
		fungible::{HoldConsideration, InspectHold, MutateHold},
		tokens::Precision,
		ChangeMembers, Consideration, ConstU32, Contains, EitherOf, EqualPrivilegeOnly, LinearStoragePrice,
		MaybeConsideration, NeverEnsureOrigin,
	},
	weights::Weight,
};
use frame_system::EnsureRoot;
use pallet_collective::{EnsureProportionAtLeast, PrimeDefaultVote};
use pallet_governance::GovernanceParams;
use scale_info::TypeInfo;
use sp_runtime::{DispatchError, Perbill};

/// Two thirds of the council, or more.
pub type TwoThirds = EnsureProportionAtLeast<AccountId, (), 2, 3>;
/// A third of the council, or more.
pub type OneThird = EnsureProportionAtLeast<AccountId, (), 1, 3>;

/// Motions that may be open at once. Each member has one, so whoever fills them all is more than a third of the largest
/// council, and could veto everything anyway.
pub const MAX_MOTIONS: u32 = 48;
/// Held while a member's motion is stored. More than the deposit for the bytes of the longest one, a whole block.
pub const MOTION_DEPOSIT: Balance = 100 * ASY;
/// The blocks that a forced change of GRANDPA's authorities may wait: long enough that the block that signals it stays,
/// and short enough that the wait itself stops nothing for long.
pub const STALL_DELAY: core::ops::RangeInclusive<BlockNumber> = 100..=2 * HOURS;

parameter_types! {
	/// How long a decision waits, and what it may be.
	pub GovernanceLimits: GovernanceParams<BlockNumber> = GovernanceParams {
		// Long enough that everyone who must veto or upgrade a node is awake once; short enough that a wrong slash, which
		// is taken after a day, and a bug can still be met.
		delay: 12 * HOURS,
		// The scheduler runs before all hooks that reserve more than a few milliseconds, so this always fits.
		max_weight: Perbill::from_percent(25) * block::MAXIMUM_WEIGHT,
		// An upgrade is authorized by its hash and uploaded by anybody afterwards.
		max_bytes: 64 * 1024,
	};
	/// What the scheduler may use of a block.
	pub MaximumSchedulerWeight: Weight = Perbill::from_percent(50) * block::MAXIMUM_WEIGHT;
	/// What the call of a motion may weigh: `close` dispatches it, and must fit in a block.
	pub MaxProposalWeight: Weight = Perbill::from_percent(50) * block::MAXIMUM_WEIGHT;
	/// How long members may vote. Who has not voted by then counts as against it.
	pub const MotionDuration: BlockNumber = 3 * DAYS;
	/// Held for a stored preimage.
	pub const PreimageBase: Balance = deposit(2, 64);
	/// The same, for each of its bytes.
	pub const PreimagePerByte: Balance = 10 * MICRO_ASY;
	/// Why a preimage's deposit is held.
	pub const PreimageHold: RuntimeHoldReason = RuntimeHoldReason::Preimage(pallet_preimage::HoldReason::Preimage);
	/// Why a motion's deposit is held.
	pub const MotionHold: RuntimeHoldReason =
		RuntimeHoldReason::Council(pallet_collective::HoldReason::ProposalSubmission);
}

impl pallet_governance::Config for Runtime {
	type PalletsOrigin = OriginCaller;
	type Scheduler = Scheduler;
	type Preimages = Preimage;
	type EnactOrigin = TwoThirds;
	type CancelOrigin = EitherOf<EnsureRoot<AccountId>, OneThird>;
	type Urgent = UrgentCalls;
	type Params = GovernanceLimits;
	type WeightInfo = pallet_governance::weights::SubstrateWeight<Runtime>;
}

impl pallet_collective::Config for Runtime {
	type RuntimeOrigin = RuntimeOrigin;
	type Proposal = RuntimeCall;
	type RuntimeEvent = RuntimeEvent;
	type MotionDuration = MotionDuration;
	type MaxProposals = ConstU32<MAX_MOTIONS>;
	type MaxMembers = ConstU32<MAX_AUTHORITIES>;
	// There is no prime member, so silence is a no.
	type DefaultVote = PrimeDefaultVote;
	type WeightInfo = pallet_collective::weights::SubstrateWeight<Runtime>;
	// Only `set_council` sets them.
	type SetMembersOrigin = NeverEnsureOrigin<()>;
	type MaxProposalWeight = MaxProposalWeight;
	type DisapproveOrigin = EitherOf<EnsureRoot<AccountId>, TwoThirds>;
	// Nobody burns another member's deposit.
	type KillOrigin = NeverEnsureOrigin<()>;
	type Consideration = MotionDeposit;
}

impl pallet_scheduler::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type RuntimeOrigin = RuntimeOrigin;
	type PalletsOrigin = OriginCaller;
	type RuntimeCall = RuntimeCall;
	type MaximumWeight = MaximumSchedulerWeight;
	type ScheduleOrigin = EnsureRoot<AccountId>;
	type OriginPrivilegeCmp = EqualPrivilegeOnly;
	type MaxScheduledPerBlock = ConstU32<50>;
	type WeightInfo = pallet_scheduler::weights::SubstrateWeight<Runtime>;
	type Preimages = Preimage;
	type BlockNumberProvider = System;
}

impl pallet_preimage::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = pallet_preimage::weights::SubstrateWeight<Runtime>;
	type Currency = Balances;
	type ManagerOrigin = EnsureRoot<AccountId>;
	type Consideration = HoldConsideration<
		AccountId,
		Balances,
		PreimageHold,
		LinearStoragePrice<PreimageBase, PreimagePerByte, Balance>,
	>;
}

/// The calls that two thirds of the council dispatch with root at once.
///
/// Only one: noting that finality is stalled, so that the next session's validators become GRANDPA's authorities without
/// the old ones' votes. If more than a third of those are gone, nothing else helps. It cannot choose the authorities.
pub struct UrgentCalls;

impl Contains<RuntimeCall> for UrgentCalls {
	fn contains(call: &RuntimeCall) -> bool {
		match call {
			RuntimeCall::Grandpa(pallet_grandpa::Call::note_stalled {
				delay,
				best_finalized_block_number,
			}) => STALL_DELAY.contains(delay) && *best_finalized_block_number < System::block_number(),
			_ => false,
		}
	}
}

/// Makes these validators the council. Who is no longer a member loses its votes on open motions too.
pub fn set_council(mut validators: Vec<AccountId>) {
	validators.sort_unstable();
	let members = pallet_collective::Members::<Runtime>::get();
	if members == validators {
		return;
	}
	// Each motion's votes are read, filtered and written: two microseconds a vote are several times what it takes.
	let motions = u64::from(MAX_MOTIONS);
	let votes = motions.saturating_mul(MAX_AUTHORITIES.into());
	let weight = Weight::from_parts(votes.saturating_mul(2_000_000), 0).saturating_add(
		<Runtime as frame_system::Config>::DbWeight::get()
			.reads_writes(motions.saturating_add(3), motions.saturating_add(2)),
	);
	System::register_extra_weight_unchecked(weight, DispatchClass::Mandatory);
	<Council as ChangeMembers<AccountId>>::set_members_sorted(&validators, &members);
}

/// The deposit of a motion, of which a member has one at a time: otherwise one member could keep all others from making
/// motions. Anybody may release the deposit of a closed one (`release_proposal_cost`).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct MotionDeposit(Balance);

impl Consideration<AccountId, u32> for MotionDeposit {
	fn new(who: &AccountId, _: u32) -> Result<Self, DispatchError> {
		let held = Balances::balance_on_hold(&MotionHold::get(), who);
		ensure!(held == 0, pallet_collective::Error::<Runtime>::TooManyProposals);
		Balances::hold(&MotionHold::get(), who, MOTION_DEPOSIT)?;
		Ok(Self(MOTION_DEPOSIT))
	}

	fn update(self, _: &AccountId, _: u32) -> Result<Self, DispatchError> {
		Ok(self)
	}

	fn drop(self, who: &AccountId) -> Result<(), DispatchError> {
		Balances::release(&MotionHold::get(), who, self.0, Precision::BestEffort).map(|_| ())
	}

	#[cfg(feature = "runtime-benchmarks")]
	fn ensure_successful(who: &AccountId, _: u32) {
		use frame_support::traits::fungible::Mutate;
		let endowment = MOTION_DEPOSIT.saturating_add(crate::constants::currency::EXISTENTIAL_DEPOSIT);
		Balances::set_balance(who, endowment);
	}
}

impl MaybeConsideration<AccountId, u32> for MotionDeposit {
	fn is_none(&self) -> bool {
		self.0 == 0
	}
}
