//! A runtime of system, balances, payments and this pallet. Providers and claims are mocks whose state is in storage.

mod actions;
mod claims;
mod providers;

pub(crate) use actions::*;
pub(crate) use claims::*;
pub(crate) use providers::*;

use crate as pallet_jobs;
use crate::*;
use assay_primitives::{
	crypto::InferencePair,
	economics::Rates,
	model::{ModelTerms, Prices},
	traits::{Beacon, FinalizedBlock, ModelCatalog},
	Balance, Hash32, ListingId, ModelId, State,
};
use frame_support::{
	derive_impl, parameter_types,
	traits::{fungible::Inspect, OnFinalize, OnIdle, OnInitialize},
	weights::Weight,
};
use frame_system::offchain;
use sp_core::Pair;
use sp_runtime::{
	generic,
	traits::{BlakeTwo256, Hash},
	AccountId32, BuildStorage, MultiSignature, Permill,
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
	pub type Payments = pallet_payments::Pallet<Test>;
	#[runtime::pallet_index(3)]
	pub type Jobs = pallet_jobs::Pallet<Test>;
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
	pub static Params: JobParams<u64> = JobParams {
		queue_blocks: 20,
		backlog_blocks: 100,
		max_waiting_jobs: 200,
		max_due_per_block: 16,
		max_draws_per_block: 8,
		retention: 50,
		deposit_base: 500,
		deposit_per_byte: 1,
		rates: RATES,
	};
	pub static BeaconValue: Hash32 = [0; 32];
	/// The last finalized block: every block is, unless a test says otherwise.
	pub static Finalized: u32 = u32::MAX;
	/// Listings: id, model, price in, price out. The id of a model's first is the byte of its name.
	pub static Listed: Vec<(u32, ModelId, Balance, Balance)> = first_listings();
	pub const Genesis: Hash32 = GENESIS;
	pub TreasuryAccount: AccountId = treasury();
	pub PoolAccount: AccountId = pool();
}

/// Low prices for few tokens.
pub(crate) const RATES: Rates = Rates {
	minimum_fee: 100,
	check_price: 1,
	..Rates::DEFAULT
};

#[allow(unreachable_pub)]
pub struct MockBeacon;
impl Beacon for MockBeacon {
	fn value() -> Hash32 {
		BeaconValue::get()
	}
}

#[allow(unreachable_pub)]
pub struct MockFinality;
impl FinalizedBlock for MockFinality {
	fn finalized() -> u32 {
		Finalized::get()
	}
}

impl pallet_payments::Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Treasury = TreasuryAccount;
	type PoolAccount = PoolAccount;
	type WeightInfo = ();
}

impl pallet_jobs::Config for Test {
	type Catalog = MockCatalog;
	type Providers = MockProviders;
	type Escrow = Payments;
	type Claims = MockClaims;
	type Beacon = MockBeacon;
	type Finality = MockFinality;
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

/// Open jobs.
pub(crate) type OpenJobs = crate::Jobs<Test>;

// ── accounts, models and constants ───────────────────────────────────────────

pub(crate) fn account(n: u8) -> AccountId {
	AccountId::new([n; 32])
}

pub(crate) fn requester() -> AccountId {
	account(100)
}
pub(crate) fn owner() -> AccountId {
	account(101)
}
pub(crate) fn treasury() -> AccountId {
	account(102)
}
pub(crate) fn pool() -> AccountId {
	account(103)
}

/// Returns the inference key of a provider.
pub(crate) fn pair(who: &AccountId) -> InferencePair {
	InferencePair::from_seed(who.as_ref())
}

/// Hash of block 0.
pub(crate) const GENESIS: Hash32 = [9; 32];
pub(crate) const MODEL: ModelId = ModelId([1; 32]);
pub(crate) const RETIRED: ModelId = ModelId([2; 32]);
/// A model whose context is longer than any prompt.
pub(crate) const LONG_CONTEXT: ModelId = ModelId([3; 32]);
/// A model whose prices are zero.
pub(crate) const FREE: ModelId = ModelId([4; 32]);
pub(crate) const MODELS: [ModelId; 4] = [MODEL, RETIRED, LONG_CONTEXT, FREE];
pub(crate) const BOND: Balance = 1_000_000;
pub(crate) const FUNDS: Balance = 1_000_000_000;
/// What treasury, pool and owner have at genesis.
pub(crate) const ENDOWMENT: Balance = 1_000;

// ── the catalog ──────────────────────────────────────────────────────────────

#[allow(unreachable_pub)]
pub struct MockCatalog;
impl ModelCatalog<AccountId> for MockCatalog {
	fn listing(id: ListingId) -> Option<(ModelId, ModelTerms<AccountId>)> {
		let (listing, model, price_in, price_out) = Listed::get().into_iter().find(|listed| listed.0 == id.0)?;
		let terms = ModelTerms {
			listing: ListingId(listing),
			owner: owner(),
			parameters: 5_000_000,
			prices: Prices { price_in, price_out },
			royalty: Permill::from_percent(5),
			context_length: if model == LONG_CONTEXT { 131_072 } else { 256 },
			prompt_overhead: 16,
			retired: model == RETIRED,
		};
		Some((model, terms))
	}
	fn listings(model: &ModelId) -> Option<Vec<ModelTerms<AccountId>>> {
		let listings = Listed::get().into_iter();
		let terms = listings.filter_map(|listed| Self::listing(ListingId(listed.0)));
		let of_model = terms.filter(|(of, terms)| of == model && !terms.retired);
		MODELS
			.contains(model)
			.then(|| of_model.map(|(_, terms)| terms).collect())
	}
}

fn first_listings() -> Vec<(u32, ModelId, Balance, Balance)> {
	vec![
		(1, MODEL, 10, 20),
		(2, RETIRED, 10, 20),
		(3, LONG_CONTEXT, 10, 20),
		(4, FREE, 0, 0),
	]
}

/// Lists a model at these prices.
pub(crate) fn list(id: u32, model: ModelId, price_in: Balance, price_out: Balance) -> ListingId {
	Listed::mutate(|listed| listed.push((id, model, price_in, price_out)));
	ListingId(id)
}

// ── blocks ───────────────────────────────────────────────────────────────────

/// A chain at block 1 with this many providers.
pub(crate) struct TestExt {
	providers: u8,
}

impl TestExt {
	pub(crate) fn providers(providers: u8) -> Self {
		Self { providers }
	}

	pub(crate) fn build(self) -> sp_io::TestExternalities {
		Listed::set(first_listings());
		let mut balances: Vec<_> = (1..=self.providers).map(|n| (account(n), BOND)).collect();
		balances.push((requester(), FUNDS));
		balances.extend([owner(), treasury(), pool()].map(|who| (who, ENDOWMENT)));
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
			for who in (1..=self.providers).map(account) {
				Load::insert(&who, (0, pair(&who).public()));
			}
			let everybody: Vec<_> = (1..=self.providers).map(|n| (account(n), BOND)).collect();
			MODELS.iter().for_each(|model| seal(model, everybody.clone()));
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

/// Checks the storage of jobs and payments, and that money and places are those of the open jobs.
pub(crate) fn assert_consistent() {
	Jobs::do_try_state().expect("a consistent state");
	Payments::do_try_state().expect("a consistent state");
	for (id, record) in pallet_payments::Escrows::<Test>::iter() {
		let expected = OpenJobs::get(id).map_or(0, |job| job.fee_ceiling);
		assert_eq!(record.fee_ceiling, expected, "the fee of open jobs is held");
		assert!(OpenJobs::contains_key(id) || Receipts::<Test>::contains_key(id));
	}
	let executing: Vec<_> = OpenJobs::iter_values()
		.filter(|job| job.state == State::Executing)
		.filter_map(|job| job.executor().cloned())
		.collect();
	for (who, (load, _)) in Load::iter() {
		let jobs = executing.iter().filter(|executor| **executor == who).count();
		assert_eq!(jobs, load as usize, "every place that is taken has its job");
	}
}

/// Ends this block and begins the next.
pub(crate) fn next_block() {
	let now = System::block_number();
	System::reset_events();
	Jobs::on_idle(now, Weight::MAX);
	BeaconValue::set(BlakeTwo256::hash(&now.to_le_bytes()).0);
	Jobs::on_finalize(now);
	System::set_block_number(now + 1);
	Jobs::on_initialize(now + 1);
	assert_consistent();
}

pub(crate) fn run_to(block: u64) {
	while System::block_number() < block {
		next_block();
	}
}

pub(crate) fn events() -> Vec<Event<Test>> {
	System::events()
		.into_iter()
		.filter_map(|record| match record.event {
			RuntimeEvent::Jobs(event) => Some(event),
			_ => None,
		})
		.collect()
}
