//! A small chain with a council of six, a scheduler and money. The council is `pallet-collective`, as in the runtime.

use crate as pallet_governance;
use crate::GovernanceParams;
use frame_support::{
	derive_impl, parameter_types,
	traits::{
		fungible::HoldConsideration, ConstU128, ConstU32, EitherOf, EqualPrivilegeOnly, Hooks, LinearStoragePrice,
		NeverEnsureOrigin,
	},
	weights::Weight,
};
use frame_system::EnsureRoot;
use pallet_collective::EnsureProportionAtLeast;
use sp_runtime::{BuildStorage, DispatchResult};

#[frame_support::runtime]
mod runtime {
	#[runtime::runtime]
	#[runtime::derive(
		RuntimeCall,
		RuntimeEvent,
		RuntimeError,
		RuntimeOrigin,
		RuntimeHoldReason,
		RuntimeFreezeReason,
		RuntimeTask
	)]
	pub struct Test;

	#[runtime::pallet_index(0)]
	pub type System = frame_system;
	#[runtime::pallet_index(1)]
	pub type Balances = pallet_balances;
	#[runtime::pallet_index(2)]
	pub type Utility = pallet_utility;
	#[runtime::pallet_index(3)]
	pub type Preimage = pallet_preimage;
	#[runtime::pallet_index(4)]
	pub type Scheduler = pallet_scheduler;
	#[runtime::pallet_index(5)]
	pub type Council = pallet_collective;
	#[runtime::pallet_index(6)]
	pub type Governance = pallet_governance;
}

/// Blocks from a decision to its dispatch.
pub(crate) const DELAY: u64 = 100;
/// Members of the council.
pub(crate) const MEMBERS: [u64; 6] = [1, 2, 3, 4, 5, 6];
/// An account that is no member.
pub(crate) const STRANGER: u64 = 7;
/// What everybody has.
pub(crate) const MONEY: u128 = 100_000;

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlock<Test>;
	type AccountData = pallet_balances::AccountData<u128>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
	type Balance = u128;
	type ExistentialDeposit = ConstU128<10>;
	type AccountStore = System;
}

impl pallet_utility::Config for Test {
	type RuntimeEvent = RuntimeEvent;
	type RuntimeCall = RuntimeCall;
	type PalletsOrigin = OriginCaller;
	type WeightInfo = ();
}

parameter_types! {
	pub const PreimageHold: RuntimeHoldReason = RuntimeHoldReason::Preimage(pallet_preimage::HoldReason::Preimage);
	pub const Base: u128 = 10;
	pub const PerByte: u128 = 1;
	pub MaximumSchedulerWeight: Weight = Weight::from_parts(800_000_000_000, u64::MAX);
	pub const MaxProposalWeight: Weight = Weight::MAX;
	pub const Limits: GovernanceParams<u64> = GovernanceParams {
		delay: DELAY,
		max_weight: Weight::from_parts(250_000_000_000, u64::MAX),
		max_bytes: 65_536,
	};
}

impl pallet_preimage::Config for Test {
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = ();
	type Currency = Balances;
	type ManagerOrigin = EnsureRoot<u64>;
	type Consideration = HoldConsideration<u64, Balances, PreimageHold, LinearStoragePrice<Base, PerByte, u128>>;
}

impl pallet_scheduler::Config for Test {
	type RuntimeEvent = RuntimeEvent;
	type RuntimeOrigin = RuntimeOrigin;
	type PalletsOrigin = OriginCaller;
	type RuntimeCall = RuntimeCall;
	type MaximumWeight = MaximumSchedulerWeight;
	type ScheduleOrigin = EnsureRoot<u64>;
	type OriginPrivilegeCmp = EqualPrivilegeOnly;
	type MaxScheduledPerBlock = ConstU32<10>;
	type WeightInfo = ();
	type Preimages = Preimage;
	type BlockNumberProvider = System;
}

impl pallet_collective::Config for Test {
	type RuntimeOrigin = RuntimeOrigin;
	type Proposal = RuntimeCall;
	type RuntimeEvent = RuntimeEvent;
	type MotionDuration = frame_support::traits::ConstU64<1_000>;
	type MaxProposals = ConstU32<10>;
	type MaxMembers = ConstU32<10>;
	type DefaultVote = pallet_collective::PrimeDefaultVote;
	type WeightInfo = ();
	type SetMembersOrigin = NeverEnsureOrigin<()>;
	type MaxProposalWeight = MaxProposalWeight;
	type DisapproveOrigin = EnsureRoot<u64>;
	type KillOrigin = NeverEnsureOrigin<()>;
	type Consideration = ();
}

/// Two thirds of the council.
pub(crate) type TwoThirds = EnsureProportionAtLeast<u64, (), 2, 3>;

/// Only remarks of one byte are urgent, and nothing that contains one.
pub struct ShortRemarks;
impl frame_support::traits::Contains<RuntimeCall> for ShortRemarks {
	fn contains(call: &RuntimeCall) -> bool {
		matches!(call, RuntimeCall::System(frame_system::Call::remark_with_event { remark }) if remark.len() == 1)
			|| matches!(
				call,
				RuntimeCall::Balances(pallet_balances::Call::force_set_balance { new_free: 0, .. })
			)
	}
}

impl pallet_governance::Config for Test {
	type PalletsOrigin = OriginCaller;
	type Scheduler = Scheduler;
	type Preimages = Preimage;
	type EnactOrigin = TwoThirds;
	type CancelOrigin = EitherOf<EnsureRoot<u64>, EnsureProportionAtLeast<u64, (), 1, 3>>;
	type Urgent = ShortRemarks;
	type Params = Limits;
	type WeightInfo = ();
}

/// Returns the chain at block 1.
pub(crate) fn new_test_ext() -> sp_io::TestExternalities {
	let genesis = RuntimeGenesisConfig {
		balances: pallet_balances::GenesisConfig {
			balances: MEMBERS.into_iter().chain([STRANGER]).map(|who| (who, MONEY)).collect(),
			..Default::default()
		},
		council: pallet_collective::GenesisConfig {
			members: MEMBERS.to_vec(),
			..Default::default()
		},
		..Default::default()
	};
	let mut ext: sp_io::TestExternalities = genesis.build_storage().expect("a good genesis").into();
	ext.execute_with(|| System::set_block_number(1));
	ext
}

/// Begins blocks until `block` has begun: the scheduler dispatches what is due.
pub(crate) fn run_to(block: u64) {
	while System::block_number() < block {
		System::set_block_number(System::block_number() + 1);
		System::reset_events();
		// A block begins empty.
		frame_system::BlockWeight::<Test>::kill();
		Scheduler::on_initialize(System::block_number());
		Governance::do_try_state().expect("a consistent state");
	}
}

/// Returns the origin of a motion that this many of the six voted for.
pub(crate) fn votes(ayes: u32) -> RuntimeOrigin {
	pallet_collective::RawOrigin::Members(ayes, MEMBERS.len() as u32).into()
}

/// Returns the call that gives the stranger this balance, which only root may.
pub(crate) fn set_balance(new_free: u128) -> RuntimeCall {
	pallet_balances::Call::force_set_balance {
		who: STRANGER,
		new_free,
	}
	.into()
}

/// Returns the call that enacts another one.
pub(crate) fn enact(call: RuntimeCall) -> RuntimeCall {
	pallet_governance::Call::enact { call: Box::new(call) }.into()
}

/// Returns what the stranger has.
pub(crate) fn balance() -> u128 {
	Balances::free_balance(STRANGER)
}

/// Returns the results of the calls that were dispatched in this block by the scheduler.
pub(crate) fn dispatched() -> Vec<DispatchResult> {
	let results = System::events().into_iter().filter_map(|record| match record.event {
		RuntimeEvent::Scheduler(pallet_scheduler::Event::Dispatched { result, .. }) => Some(result),
		_ => None,
	});
	results.collect()
}
