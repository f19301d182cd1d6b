//! A runtime of system, balances and this pallet. The pallets it meets are mocks whose state is in storage and whose
//! money is real.

mod actions;
mod pallets;

pub(crate) use actions::*;
pub(crate) use pallets::*;

use crate as pallet_verification;
use crate::*;
use assay_primitives::{crypto::InferencePair, economics::Rates, traits::Beacon, Balance, Hash32, ModelId};
use codec::Encode;
use frame_support::{
	derive_impl, parameter_types,
	traits::{OnFinalize, OnInitialize},
};
use frame_system::{offchain, EnsureRoot};
use sp_core::Pair;
use sp_runtime::{
	generic,
	traits::{BlakeTwo256, Hash},
	AccountId32, BuildStorage, MultiSignature,
};

pub(crate) type AccountId = AccountId32;
pub(crate) type TxExtension = (frame_system::AuthorizeCall<Test>,);
pub(crate) type Extrinsic = generic::UncheckedExtrinsic<AccountId, RuntimeCall, MultiSignature, TxExtension>;
type Block = generic::Block<generic::Header<u64, BlakeTwo256>, Extrinsic>;

#[frame_support::runtime]
mod runtime {
	#[runtime::runtime]
	#[runtime::derive(
		RuntimeCall,
		RuntimeEvent,
		RuntimeError,
		RuntimeOrigin,
		RuntimeFreezeReason,
		RuntimeHoldReason,
		RuntimeSlashReason,
		RuntimeLockId,
		RuntimeTask
	)]
	pub struct Test;

	#[runtime::pallet_index(0)]
	pub type System = frame_system::Pallet<Test>;
	#[runtime::pallet_index(1)]
	pub type Balances = pallet_balances::Pallet<Test>;
	#[runtime::pallet_index(2)]
	pub type Verification = pallet_verification::Pallet<Test>;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = Block;
	type AccountId = AccountId;
	type Lookup = sp_runtime::traits::IdentityLookup<AccountId>;
	type AccountData = pallet_balances::AccountData<Balance>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
	type Balance = Balance;
	type ExistentialDeposit = frame_support::traits::ConstU128<1>;
	type AccountStore = System;
}

parameter_types! {
	pub static Params: VerificationParams<u64> = VerificationParams {
		least_speed: 100,
		slash_delay: 300,
		max_due_per_block: 64,
		rates: Rates {
			objection: 1_000,
			..Rates::DEFAULT
		},
	};
	pub static Acc: Hash32 = [0; 32];
	pub const Genesis: Hash32 = GENESIS;
}

#[allow(unreachable_pub)]
pub struct MockBeacon;
impl Beacon for MockBeacon {
	fn value() -> Hash32 {
		Acc::get()
	}
}

impl pallet_verification::Config for Test {
	type Providers = MockProviders;
	type Pool = MockPool;
	type Source = MockSource;
	type Beacon = MockBeacon;
	type AdminOrigin = EnsureRoot<AccountId>;
	type GenesisHash = Genesis;
	type Params = Params;
	type WeightInfo = ();
	#[cfg(any(feature = "runtime-benchmarks", test))]
	type BenchmarkHelper = MockProviders;
}

impl<C> offchain::CreateTransactionBase<C> for Test
where
	RuntimeCall: From<C>,
{
	type Extrinsic = Extrinsic;
	type RuntimeCall = RuntimeCall;
}

impl<C> offchain::CreateTransaction<C> for Test
where
	RuntimeCall: From<C>,
{
	type Extension = TxExtension;
	fn create_transaction(call: RuntimeCall, extension: TxExtension) -> Extrinsic {
		Extrinsic::new_transaction(call, extension)
	}
}

impl<C> offchain::CreateAuthorizedTransaction<C> for Test
where
	RuntimeCall: From<C>,
{
	fn create_extension() -> TxExtension {
		(frame_system::AuthorizeCall::new(),)
	}
}

/// Open claims.
pub(crate) type OpenClaims = crate::Claims<Test>;

pub(crate) fn account(n: u8) -> AccountId {
	AccountId::new([n; 32])
}

/// Who asks.
pub(crate) fn requester() -> AccountId {
	account(100)
}
/// The pool's account.
pub(crate) fn pool() -> AccountId {
	account(101)
}
/// The treasury's account.
pub(crate) fn treasury() -> AccountId {
	account(102)
}
/// Keeps the bonds of objections.
pub(crate) fn bonds() -> AccountId {
	account(103)
}

/// Returns the inference key of a provider.
pub(crate) fn pair(who: &AccountId) -> InferencePair {
	InferencePair::from_seed(who.as_ref())
}

/// Hash of block 0.
pub(crate) const GENESIS: Hash32 = [9; 32];
pub(crate) const MODEL: ModelId = ModelId([1; 32]);
/// What each provider has at stake.
pub(crate) const BOND: Balance = 1_000_000;
pub(crate) const FUNDS: Balance = 1_000_000_000;
/// What a check is paid.
pub(crate) const FEE: Balance = 100;

/// A chain at block 1 whose electorate has members with these stakes: providers 1, 2, 3 …
pub(crate) struct TestExt {
	stakes: Vec<Balance>,
}

impl TestExt {
	/// Equal members.
	pub(crate) fn providers(n: u8) -> Self {
		Self {
			stakes: vec![BOND; n.into()],
		}
	}

	pub(crate) fn stakes(stakes: &[Balance]) -> Self {
		Self {
			stakes: stakes.to_vec(),
		}
	}

	pub(crate) fn build(self) -> sp_io::TestExternalities {
		let providers: Vec<_> = (1u8..).map(account).zip(self.stakes).collect();
		let mut balances = providers.clone();
		balances.extend([(requester(), FUNDS), (pool(), FUNDS), (treasury(), 1_000), (bonds(), 1)]);
		let mut storage = frame_system::GenesisConfig::<Test>::default()
			.build_storage()
			.expect("a genesis");
		pallet_balances::GenesisConfig::<Test> {
			balances,
			..Default::default()
		}
		.assimilate_storage(&mut storage)
		.expect("a genesis");
		let mut ext = sp_io::TestExternalities::from(storage);
		ext.execute_with(|| {
			seal_electorate(&providers);
			Acc::set([0; 32]);
			System::set_block_number(1);
		});
		ext
	}

	/// Runs a test, then checks that the pallet's storage is consistent and that no money was created or destroyed.
	pub(crate) fn build_and_execute(self, test: impl FnOnce()) {
		self.build().execute_with(|| {
			let issued = Balances::total_issuance();
			test();
			assert_consistent();
			assert_eq!(Balances::total_issuance(), issued, "money is conserved");
		})
	}
}

/// Checks the pallet's storage, and that every bond of an objection belongs to an open dispute.
pub(crate) fn assert_consistent() {
	Verification::do_try_state().expect("a consistent state");
	for (claim, _) in Objections::iter() {
		assert!(OpenClaims::contains_key(claim), "a bond is held for an open claim only");
	}
}

/// Ends this block and begins the next.
pub(crate) fn next_block() {
	let now = System::block_number();
	System::reset_events();
	Acc::set(BlakeTwo256::hash(&(Acc::get(), now).encode()).0);
	Verification::on_finalize(now);
	System::set_block_number(now + 1);
	Verification::on_initialize(now + 1);
	assert_consistent();
}

pub(crate) fn run_to(block: u64) {
	while System::block_number() < block {
		next_block();
	}
}
