//! The consensus: who makes blocks, who finalizes them, and what an equivocation costs.
//!
//! The top providers by bond are the validators: [`ValidatorSelection`] queries the providers pallet at every session.
//! A BABE or GRANDPA equivocation goes through pallet-offences to [`PunishOffenders`].

use crate::{
	constants::{
		currency::deposit,
		time::{DAYS, EPOCH_DURATION, SLOT_DURATION},
	},
	AccountId, AuthorityDiscovery, Babe, Balance, Balances, Grandpa, Historical, Offences, Providers, Runtime,
	RuntimeEvent, Session, SessionKeys,
};
use alloc::vec::Vec;
use frame_support::{
	parameter_types,
	traits::{ConstU32, ConstU64, Contains},
	weights::Weight,
};
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
pub const MAX_AUTHORITIES: u32 = 128;
/// How long an equivocation can be reported: as long as a bond stays slashable.
pub const REPORT_LONGEVITY: u64 = DAYS as u64;
/// The same in sessions.
pub const REPORT_SESSIONS: u32 = DAYS / EPOCH_DURATION;

impl pallet_babe::Config for Runtime {
	type EpochDuration = ConstU64<{ EPOCH_DURATION as u64 }>;
	type ExpectedBlockTime = ConstU64<SLOT_DURATION>;
	type EpochChangeTrigger = pallet_babe::ExternalTrigger;
	type DisabledValidators = Session;
	type WeightInfo = ();
	type MaxAuthorities = ConstU32<MAX_AUTHORITIES>;
	type MaxNominators = ConstU32<0>;
	type KeyOwnerProof = MembershipProof;
	type EquivocationReportSystem =
		pallet_babe::EquivocationReportSystem<Self, Offences, Historical, ConstU64<REPORT_LONGEVITY>>;
}

impl pallet_grandpa::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = ();
	type MaxAuthorities = ConstU32<MAX_AUTHORITIES>;
	type MaxNominators = ConstU32<0>;
	type MaxSetIdSessionEntries = ConstU64<{ REPORT_SESSIONS as u64 }>;
	type KeyOwnerProof = MembershipProof;
	type EquivocationReportSystem =
		pallet_grandpa::EquivocationReportSystem<Self, Offences, Historical, ConstU64<REPORT_LONGEVITY>>;
}

impl pallet_authorship::Config for Runtime {
	type FindAuthor = pallet_session::FindAccountFromAuthorIndex<Self, Babe>;
	type EventHandler = ();
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
		// Sessions as old as this can no longer be reported.
		Historical::prune_up_to(index.saturating_sub(REPORT_SESSIONS));
	}
}

impl historical::SessionManager<AccountId, ()> for ValidatorSelection {
	fn new_session(index: SessionIndex) -> Option<Vec<(AccountId, ())>> {
		<Providers as historical::SessionManager<_, _>>::new_session(index)
	}

	fn start_session(index: SessionIndex) {
		<Self as pallet_session::SessionManager<_>>::start_session(index)
	}

	fn end_session(index: SessionIndex) {
		<Self as pallet_session::SessionManager<_>>::end_session(index)
	}
}

/// The accounts with session keys, which could make blocks.
pub struct HasSessionKeys;
impl Contains<AccountId> for HasSessionKeys {
	fn contains(who: &AccountId) -> bool {
		pallet_session::NextKeys::<Runtime>::contains_key(who)
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
