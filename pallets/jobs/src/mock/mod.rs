//! A runtime of system, balances and this pallet. The pallets it meets are mocks whose state is in storage and whose
//! money is real.

mod actions;

pub(crate) use actions::*;

use crate as pallet_jobs;
use crate::*;
use assay_primitives::{
	crypto::{InferenceId, InferencePair},
	draw::Candidate,
	economics::{restitution, Fault, Rates, Shares},
	limits::MAX_PROVIDERS_PER_MODEL,
	model::ModelTerms,
	traits::{Escrow, ModelCatalog, ProviderSet},
	Balance, Hash32, JobId, ModelId,
};
use frame_support::{
	derive_impl, parameter_types, storage_alias,
	traits::{
		fungible::{Balanced, Credit, Inspect, Mutate},
		tokens::{Fortitude, Precision, Preservation},
		Imbalance, OnFinalize, OnIdle, OnInitialize,
	},
	weights::Weight,
	Identity, Twox64Concat,
};
use frame_system::offchain;
use sp_core::Pair;
use sp_runtime::{
	generic,
	traits::{BlakeTwo256, Hash},
	AccountId32, BuildStorage, DispatchError, DispatchResult, MultiSignature, Permill,
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
		draw_blocks: 5,
		execute_blocks: 10,
		commit_blocks: 10,
		reveal_blocks: 5,
		max_committee: 7,
		max_open_jobs: 40,
		max_due_per_block: 8,
		max_draws_per_block: 4,
		retention: 50,
		deposit_base: 500,
		deposit_per_byte: 1,
		rates: Rates::DEFAULT,
	};
	pub static Vrf: Option<Hash32> = None;
	pub const Genesis: Hash32 = GENESIS;
}

impl pallet_jobs::Config for Test {
	type Catalog = MockCatalog;
	type Providers = MockProviders;
	type Escrow = MockEscrow;
	type Randomness = Vrf;
	type GenesisHash = Genesis;
	type Params = Params;
	type WeightInfo = ();
	#[cfg(feature = "runtime-benchmarks")]
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
/// Returns the account that keeps what [`MockEscrow`] holds.
pub(crate) fn escrow_account() -> AccountId {
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
pub(crate) const BOND: Balance = 1_000_000;
pub(crate) const FUNDS: Balance = 1_000_000_000;

// ── the catalog ──────────────────────────────────────────────────────────────

#[allow(unreachable_pub)]
pub struct MockCatalog;
impl ModelCatalog<AccountId> for MockCatalog {
	fn terms(model: &ModelId) -> Option<ModelTerms<AccountId>> {
		[MODEL, RETIRED, LONG_CONTEXT].contains(model).then(|| ModelTerms {
			owner: owner(),
			price_in: 10,
			price_out: 20,
			royalty: Permill::from_percent(5),
			context_length: if *model == LONG_CONTEXT { 8192 } else { 256 },
			prompt_overhead: 16,
			retired: *model == RETIRED,
		})
	}
}

// ── the providers ────────────────────────────────────────────────────────────

/// The load of each provider, and its inference key.
#[storage_alias]
pub(crate) type Load = StorageMap<MockProviders, Identity, AccountId, (u32, InferenceId)>;
/// Providers that cannot be drawn.
#[storage_alias]
pub(crate) type Jailed = StorageMap<MockProviders, Identity, AccountId, ()>;
/// Providers whose heartbeat is due.
#[storage_alias]
pub(crate) type HeartbeatDue = StorageMap<MockProviders, Identity, AccountId, ()>;
/// Faults, in order.
#[storage_alias]
pub(crate) type Faults =
	StorageValue<MockProviders, Vec<(AccountId, Fault)>, frame_support::pallet_prelude::ValueQuery>;

parameter_types! {
	/// Jobs that a provider may hold at once.
	pub static Capacity: u32 = 4;
}

#[allow(unreachable_pub)]
pub struct MockProviders;
impl ProviderSet<AccountId> for MockProviders {
	type Credit = Credit<AccountId, Balances>;

	fn candidates(model: &ModelId) -> Vec<Candidate<AccountId>> {
		if ![MODEL, LONG_CONTEXT].contains(model) {
			return Vec::new();
		}
		Load::iter()
			.filter(|(who, (load, _))| *load < Capacity::get() && !Jailed::contains_key(who))
			.map(|(who, _)| Candidate {
				weight: Balances::balance(&who),
				who,
			})
			.take(MAX_PROVIDERS_PER_MODEL as usize)
			.collect()
	}
	fn engage(who: &AccountId) {
		Load::mutate(who, |load| load.as_mut().expect("a provider").0 += 1);
	}
	fn release(who: &AccountId) {
		Load::mutate(who, |load| {
			let load = &mut load.as_mut().expect("a provider").0;
			*load = load.checked_sub(1).expect("released no more often than engaged");
		});
	}
	fn key_of(who: &AccountId) -> Option<InferenceId> {
		Load::get(who).map(|(_, key)| key)
	}
	fn owner_of(key: &InferenceId) -> Option<AccountId> {
		Load::iter().find(|(_, (_, own))| own == key).map(|(who, _)| who)
	}
	fn serves(_: &AccountId) -> Vec<ModelId> {
		vec![MODEL]
	}
	fn heartbeat_due(who: &AccountId) -> bool {
		HeartbeatDue::contains_key(who)
	}
	fn mark_alive(who: &AccountId) {
		HeartbeatDue::remove(who);
	}
	fn punish(who: &AccountId, fault: Fault) -> Self::Credit {
		Faults::append((who, fault));
		let amount = Params::get().rates.slash(fault) * Balances::balance(who);
		Balances::withdraw(
			who,
			amount,
			Precision::BestEffort,
			Preservation::Preserve,
			Fortitude::Force,
		)
		.unwrap_or_else(|_| Credit::<AccountId, Balances>::zero())
	}
}

#[cfg(feature = "runtime-benchmarks")]
impl crate::benchmarking::BenchmarkHelper<AccountId> for MockProviders {
	fn providers(keys: &[InferenceId]) -> (ModelId, Vec<AccountId>) {
		Capacity::set(50);
		let accounts: Vec<_> = (0..keys.len()).map(|n| AccountId::new([n as u8 | 128; 32])).collect();
		for (who, key) in accounts.iter().zip(keys) {
			Balances::set_balance(who, BOND);
			Load::insert(who, (0, key.clone()));
		}
		(LONG_CONTEXT, accounts)
	}
	fn requester() -> AccountId {
		requester()
	}
}

/// Returns externalities in which benchmarks run as tests: no providers yet, and a keystore for their keys.
#[cfg(feature = "runtime-benchmarks")]
pub(crate) fn benchmark_ext() -> sp_io::TestExternalities {
	let mut ext = TestExt::providers(0).build();
	ext.register_extension(sp_keystore::KeystoreExt::new(
		sp_keystore::testing::MemoryKeystore::new(),
	));
	ext
}

// ── the money ────────────────────────────────────────────────────────────────

/// The payer, the rest of the fee ceiling, and the deposit of each job.
#[storage_alias]
pub(crate) type Held = StorageMap<MockEscrow, Twox64Concat, JobId, (AccountId, Balance, Balance)>;

#[allow(unreachable_pub)]
pub struct MockEscrow;
impl MockEscrow {
	fn pay(to: &AccountId, amount: Balance) {
		if amount > 0 {
			Balances::transfer(&escrow_account(), to, amount, Preservation::Expendable).expect("what is held is there");
		}
	}
}
impl Escrow<AccountId> for MockEscrow {
	type Credit = Credit<AccountId, Balances>;

	fn hold(job: JobId, payer: &AccountId, fee_ceiling: Balance, deposit: Balance) -> DispatchResult {
		Balances::transfer(payer, &escrow_account(), fee_ceiling + deposit, Preservation::Preserve)?;
		Held::insert(job, (payer, fee_ceiling, deposit));
		Ok(())
	}
	fn settle(
		job: &JobId,
		shares: &Shares,
		executor: &AccountId,
		verifiers: &[AccountId],
		owner: &AccountId,
	) -> Result<(), DispatchError> {
		let (payer, fee_ceiling, deposit) = Held::get(job).ok_or(DispatchError::CannotLookup)?;
		let out = shares.executor + shares.verifier * verifiers.len() as u128 + shares.royalty + shares.treasury;
		let rest = fee_ceiling
			.checked_sub(out)
			.ok_or(DispatchError::Arithmetic(sp_runtime::ArithmeticError::Underflow))?;
		Self::pay(executor, shares.executor);
		verifiers.iter().for_each(|who| Self::pay(who, shares.verifier));
		Self::pay(owner, shares.royalty);
		Self::pay(&treasury(), shares.treasury);
		Self::pay(&payer, rest);
		Held::insert(job, (payer, 0, deposit));
		Ok(())
	}
	fn refund(job: &JobId) -> DispatchResult {
		let (payer, fee_ceiling, deposit) = Held::get(job).ok_or(DispatchError::CannotLookup)?;
		Self::pay(&payer, fee_ceiling);
		Held::insert(job, (payer, 0, deposit));
		Ok(())
	}
	fn restitute(job: &JobId, slashed: Self::Credit, due: Balance) -> Balance {
		let (payer, ..) = Held::get(job).expect("an open job");
		let (requester, _) = restitution(slashed.peek(), due);
		let (to_payer, to_treasury) = slashed.split(requester);
		assert!(Balances::resolve(&payer, to_payer).is_ok() && Balances::resolve(&treasury(), to_treasury).is_ok());
		requester
	}
	fn close(job: &JobId) -> DispatchResult {
		let (payer, fee_ceiling, deposit) = Held::take(job).ok_or(DispatchError::CannotLookup)?;
		Self::pay(&payer, fee_ceiling + deposit);
		Ok(())
	}
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
		let mut balances: Vec<_> = (1..=self.providers).map(|n| (account(n), BOND)).collect();
		balances.extend([
			(requester(), FUNDS),
			(owner(), 1_000),
			(treasury(), 1_000),
			(escrow_account(), 1),
		]);
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

/// Checks the pallet's storage, and that the escrow holds what open jobs and receipts require.
pub(crate) fn assert_consistent() {
	Jobs::do_try_state().expect("a consistent state");
	let mut held = 1;
	for (id, (_, fee_ceiling, deposit)) in Held::iter() {
		held += fee_ceiling + deposit;
		match OpenJobs::get(id) {
			Some(job) => assert_eq!(fee_ceiling, job.fee_ceiling),
			None => {
				assert!(Receipts::<Test>::contains_key(id));
				assert_eq!(fee_ceiling, 0, "only the deposit stays held");
			}
		}
	}
	assert_eq!(Balances::balance(&escrow_account()), held);
	for (who, (load, _)) in Load::iter() {
		assert_eq!(
			Assignments::<Test>::iter_prefix(&who).count(),
			load as usize,
			"every engagement has its job"
		);
	}
}

/// Ends this block and begins the next.
pub(crate) fn next_block() {
	let now = System::block_number();
	System::reset_events();
	Jobs::on_idle(now, Weight::MAX);
	Vrf::set(Some(BlakeTwo256::hash(&now.to_le_bytes()).0));
	Jobs::on_finalize(now);
	Vrf::set(None);
	System::set_block_number(now + 1);
	Jobs::on_initialize(now + 1);
	assert_consistent();
}

pub(crate) fn run_to(block: u64) {
	while System::block_number() < block {
		next_block();
	}
}

/// Makes blocks until the job leaves the phase it is in.
pub(crate) fn run_out(id: JobId) {
	let phase = job(id).phase;
	let deadline = job(id).deadline;
	while OpenJobs::get(id).is_some_and(|job| job.phase == phase && job.deadline == deadline) {
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
