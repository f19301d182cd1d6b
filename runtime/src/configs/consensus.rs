//! The consensus: who makes blocks, who finalizes them, and what an equivocation costs.
//!
//! Providers are the validators, by stake and by life: [`ValidatorSelection`] queries the providers pallet at every
//! session. A BABE or GRANDPA equivocation goes through pallet-offences to [`PunishOffenders`]. If finality stalls, the
//! finality pallet forces GRANDPA's next change through [`GrandpaSets`].

use crate::{
	constants::{
		currency::deposit,
		time::{EPOCH_DURATION, SLOT_DURATION},
	},
	AccountId, AuthorityDiscovery, Babe, Balance, Balances, BlockNumber, Finality, Grandpa, Historical, Offences,
	Providers, Runtime, RuntimeEvent, RuntimeOrigin, Session, SessionKeys, System,
};
use alloc::vec::Vec;
use assay_primitives::traits::{FinalityGadget, Validators};
use frame_support::{
	parameter_types,
	traits::{ConstU32, ConstU64, FindAuthor},
	weights::Weight,
};
use pallet_finality::FinalityParams;
use pallet_providers::UnitIdentification;
use pallet_session::{
	disabling::UpToLimitWithReEnablingDisablingStrategy,
	historical::{self, IdentificationTuple},
};
use sp_runtime::{
	traits::{ConvertInto, OpaqueKeys},
	Perbill,
};
use sp_session::MembershipProof;
use sp_staking::{
	offence::{OffenceDetails, OffenceSeverity, OnOffenceHandler},
	SessionIndex,
};

/// The most validators of the consensus pallets; the providers pallet chooses fewer.
pub const MAX_AUTHORITIES: u32 = pallet_finality::MAX_MEMBERS;

parameter_types! {
	/// Slots of a BABE epoch, which is also a session. The raw genesis of a test network may set a shorter one, encoded
	/// under twox128 of `:EpochDuration:`; it must never change later.
	pub storage EpochDuration: u64 = EPOCH_DURATION.into();
	/// Blocks in which an equivocation can be reported: as long as the bond stays slashable.
	pub ReportLongevity: u64 = Providers::unbonding_period().into();
	/// The same in sessions, and as many again: a session has fewer blocks than slots.
	pub ReportSessions: u64 = ReportLongevity::get().saturating_mul(2).div_ceil(EpochDuration::get().max(1));
	/// When finality has stalled: two sessions behind.
	pub FinalityLimits: FinalityParams<BlockNumber> = {
		let session = <SessionValidators as Validators<AccountId>>::session_slots();
		FinalityParams {
			window: session.saturating_mul(2),
			max_lag: session.saturating_mul(2),
			// Deeper than any fork where three fifths make blocks, and half of the blocks they make in a session.
			delay: session.div_ceil(4),
		}
	};
}

impl pallet_babe::Config for Runtime {
	type EpochDuration = EpochDuration;
	type ExpectedBlockTime = ConstU64<SLOT_DURATION>;
	type EpochChangeTrigger = pallet_babe::ExternalTrigger;
	type DisabledValidators = Session;
	type WeightInfo = ();
	type MaxAuthorities = ConstU32<MAX_AUTHORITIES>;
	type MaxNominators = ConstU32<0>;
	type KeyOwnerProof = MembershipProof;
	type EquivocationReportSystem = pallet_babe::EquivocationReportSystem<Self, Offences, Historical, ReportLongevity>;
}

impl pallet_grandpa::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = ();
	type MaxAuthorities = ConstU32<MAX_AUTHORITIES>;
	type MaxNominators = ConstU32<0>;
	type MaxSetIdSessionEntries = ReportSessions;
	type KeyOwnerProof = MembershipProof;
	type EquivocationReportSystem =
		pallet_grandpa::EquivocationReportSystem<Self, Offences, Historical, ReportLongevity>;
}

impl pallet_authorship::Config for Runtime {
	type FindAuthor = pallet_session::FindAccountFromAuthorIndex<Self, Babe>;
	type EventHandler = ();
}

impl pallet_finality::Config for Runtime {
	type Validators = SessionValidators;
	type Gadget = GrandpaSets;
	type Params = FinalityLimits;
	type WeightInfo = pallet_finality::weights::SubstrateWeight<Runtime>;
}

impl pallet_authority_discovery::Config for Runtime {
	type MaxAuthorities = ConstU32<MAX_AUTHORITIES>;
}

parameter_types! {
	/// Held for stored session keys: two items for each of the three keys.
	pub const KeyDeposit: Balance = deposit(6, 400);
}

impl pallet_session::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type ValidatorId = AccountId;
	// Anyone may store session keys; only a bond makes a validator.
	type ValidatorIdOf = ConvertInto;
	type ShouldEndSession = Babe;
	type NextSessionRotation = Babe;
	type SessionManager = historical::NoteHistoricalRoot<Self, ValidatorSelection>;
	type SessionHandler = <SessionKeys as OpaqueKeys>::KeyTypeIdProviders;
	type Keys = SessionKeys;
	// An offender stops at once, as long as at most a third of the validators are stopped.
	type DisablingStrategy = UpToLimitWithReEnablingDisablingStrategy;
	type WeightInfo = pallet_session::weights::SubstrateWeight<Runtime>;
	type Currency = Balances;
	type KeyDeposit = KeyDeposit;
}

impl historical::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type FullIdentification = ();
	type FullIdentificationOf = UnitIdentification<Self>;
}

impl pallet_offences::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type IdentificationTuple = IdentificationTuple<Self>;
	type OnOffenceHandler = PunishOffenders;
}

/// The validators of each session, chosen by the providers pallet. Historical sessions are pruned here.
pub struct ValidatorSelection;

impl pallet_session::SessionManager<AccountId> for ValidatorSelection {
	fn new_session(index: SessionIndex) -> Option<Vec<AccountId>> {
		<Providers as pallet_session::SessionManager<_>>::new_session(index)
	}

	fn start_session(index: SessionIndex) {
		<Providers as pallet_session::SessionManager<_>>::start_session(index);
		super::governance::set_council(Session::validators());
	}

	fn end_session(index: SessionIndex) {
		<Providers as pallet_session::SessionManager<_>>::end_session(index);
		Finality::end_session();
		// Sessions as old as this can no longer be reported.
		let reportable = u32::try_from(ReportSessions::get()).unwrap_or(u32::MAX);
		Historical::prune_up_to(index.saturating_sub(reportable));
	}
}

impl historical::SessionManager<AccountId, ()> for ValidatorSelection {
	fn new_session(index: SessionIndex) -> Option<Vec<(AccountId, ())>> {
		let next = <Providers as historical::SessionManager<_, _>>::new_session(index);
		// The root by which equivocations are proved has the keys: with new ones, the set is not the same.
		next.or_else(|| keys_changed().then(|| Session::validators().into_iter().map(|who| (who, ())).collect()))
	}

	fn start_session(index: SessionIndex) {
		<Self as pallet_session::SessionManager<_>>::start_session(index)
	}

	fn end_session(index: SessionIndex) {
		<Self as pallet_session::SessionManager<_>>::end_session(index)
	}
}

/// Returns whether a validator has other keys in the next session than in this one.
fn keys_changed() -> bool {
	let queued = pallet_session::QueuedKeys::<Runtime>::get();
	queued
		.into_iter()
		.any(|(who, keys)| pallet_session::NextKeys::<Runtime>::get(who) != Some(keys))
}

/// The validators as session pallet and BABE have them.
pub struct SessionValidators;

impl Validators<AccountId> for SessionValidators {
	fn has_keys(who: &AccountId) -> bool {
		pallet_session::NextKeys::<Runtime>::contains_key(who)
	}

	fn sitting() -> Vec<AccountId> {
		Session::validators()
	}

	fn author() -> Option<AccountId> {
		// Not the authorship pallet's: that searches the author of a session's first block in the session before.
		let digest = System::digest();
		let index = Babe::find_author(digest.logs.iter().filter_map(|log| log.as_pre_runtime()))?;
		Session::validators().get(index as usize).cloned()
	}

	fn session_slots() -> u32 {
		u32::try_from(EpochDuration::get()).unwrap_or(u32::MAX)
	}
}

/// GRANDPA's sets.
pub struct GrandpaSets;

impl FinalityGadget<BlockNumber> for GrandpaSets {
	fn set_id() -> u64 {
		Grandpa::current_set_id()
	}

	fn can_force_change() -> bool {
		let next = Grandpa::next_forced();
		!pallet_grandpa::PendingChange::<Runtime>::exists() && next.is_none_or(|next| next <= System::block_number())
	}

	fn force_change(delay: BlockNumber, finalized: BlockNumber, set_id: u64) {
		pallet_grandpa::CurrentSetId::<Runtime>::put(set_id);
		// The only error is another origin.
		let _ = Grandpa::note_stalled(RuntimeOrigin::root(), delay, finalized);
	}
}

/// The handler of equivocations: the providers pallet slashes and jails the offender, and the session pallet disables
/// it at once.
pub struct PunishOffenders;

impl OnOffenceHandler<AccountId, IdentificationTuple<Runtime>, Weight> for PunishOffenders {
	fn on_offence(
		offenders: &[OffenceDetails<AccountId, IdentificationTuple<Runtime>>],
		slash_fraction: &[Perbill],
		session: SessionIndex,
	) -> Weight {
		for (details, fraction) in offenders.iter().zip(slash_fraction) {
			Session::report_offence(details.offender.0.clone(), OffenceSeverity(*fraction));
		}
		<Providers as OnOffenceHandler<_, _, _>>::on_offence(offenders, slash_fraction, session)
	}
}

// The session handler's tuple and the struct of keys must name the same pallets in the same order.
const _: fn() = || {
	fn same<T: OpaqueKeys<KeyTypeIdProviders = (Babe, Grandpa, AuthorityDiscovery)>>() {}
	same::<SessionKeys>();
};
