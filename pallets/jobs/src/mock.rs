//! A runtime of system, balances and this pallet. The pallets it meets are small stand-ins whose state is in storage and whose
//! money is real.

use crate as pallet_jobs;
use crate::*;
use assay_primitives::{
	crypto::{InferenceId, InferencePair, InferenceSignature},
	draw::Candidate,
	economics::{restitution, Fault, Rates, Shares},
	job::Input,
	limits::MAX_PROVIDERS_PER_MODEL,
	model::ModelTerms,
	traits::{Escrow, ModelCatalog, ProviderSet},
	Balance, Commitment, FinishReason, Hash32, JobId, ModelId, Output, SamplingParams, Vote,
};
use codec::Encode;
use frame_support::{
	derive_impl,
	dispatch::{DispatchInfo, GetDispatchInfo},
	parameter_types, storage_alias,
	traits::{
		fungible::{Balanced, Credit, Inspect, Mutate},
		tokens::{Fortitude, Precision, Preservation},
		Imbalance, OnFinalize, OnIdle, OnInitialize,
	},
	weights::Weight,
	BoundedVec, Identity, Twox64Concat,
};
use frame_system::{offchain, RawOrigin};
use sp_core::Pair;
use sp_runtime::{
	generic,
	traits::{Applyable, BlakeTwo256, Checkable, Hash},
	transaction_validity::{TransactionSource, TransactionValidity, TransactionValidityError},
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
}

impl pallet_jobs::Config for Test {
	type Catalog = Shelf;
	type Providers = Crowd;
	type Escrow = Till;
	type Randomness = Vrf;
	type Params = Params;
	type WeightInfo = ();
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = Crowd;
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
pub(crate) type Open = crate::Jobs<Test>;

// ── who is who ───────────────────────────────────────────────────────────────

pub(crate) fn account(n: u8) -> AccountId {
	AccountId::new([n; 32])
}

pub(crate) fn asker() -> AccountId {
	account(100)
}
pub(crate) fn owner() -> AccountId {
	account(101)
}
pub(crate) fn treasury() -> AccountId {
	account(102)
}
/// Where the till keeps what it holds.
pub(crate) fn till() -> AccountId {
	account(103)
}

/// The inference key of a provider.
pub(crate) fn pair(who: &AccountId) -> InferencePair {
	InferencePair::from_seed(who.as_ref())
}

pub(crate) const MODEL: ModelId = ModelId([1; 32]);
pub(crate) const RETIRED: ModelId = ModelId([2; 32]);
/// Its context is longer than any prompt.
pub(crate) const ROOMY: ModelId = ModelId([3; 32]);
pub(crate) const BOND: Balance = 1_000_000;
pub(crate) const FUNDS: Balance = 1_000_000_000;

// ── the catalogue ────────────────────────────────────────────────────────────

#[allow(unreachable_pub)]
pub struct Shelf;
impl ModelCatalog<AccountId> for Shelf {
	fn terms(model: &ModelId) -> Option<ModelTerms<AccountId>> {
		[MODEL, RETIRED, ROOMY].contains(model).then(|| ModelTerms {
			owner: owner(),
			price_in: 10,
			price_out: 20,
			royalty: Permill::from_percent(5),
			context_length: if *model == ROOMY { 8192 } else { 256 },
			prompt_overhead: 16,
			retired: *model == RETIRED,
		})
	}
}

// ── the providers ────────────────────────────────────────────────────────────

/// How often a provider is engaged, and its inference key.
#[storage_alias]
pub(crate) type Load = StorageMap<Crowd, Identity, AccountId, (u32, InferenceId)>;
/// Providers that never can be drawn.
#[storage_alias]
pub(crate) type Jailed = StorageMap<Crowd, Identity, AccountId, ()>;
/// Providers that should show a sign of life.
#[storage_alias]
pub(crate) type Quiet = StorageMap<Crowd, Identity, AccountId, ()>;
/// Faults, in order.
#[storage_alias]
pub(crate) type Faults = StorageValue<Crowd, Vec<(AccountId, Fault)>, frame_support::pallet_prelude::ValueQuery>;

parameter_types! {
	/// Jobs that a provider may hold at once.
	pub static Capacity: u32 = 4;
}

#[allow(unreachable_pub)]
pub struct Crowd;
impl ProviderSet<AccountId> for Crowd {
	type Credit = Credit<AccountId, Balances>;

	fn candidates(model: &ModelId) -> Vec<Candidate<AccountId>> {
		if ![MODEL, ROOMY].contains(model) {
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
		Quiet::contains_key(who)
	}
	fn alive(who: &AccountId) {
		Quiet::remove(who);
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
impl crate::benchmarking::BenchmarkHelper<AccountId> for Crowd {
	fn providers(keys: &[InferenceId]) -> (ModelId, Vec<AccountId>) {
		Capacity::set(50);
		let accounts: Vec<_> = (0..keys.len()).map(|n| AccountId::new([n as u8 | 128; 32])).collect();
		for (who, key) in accounts.iter().zip(keys) {
			Balances::set_balance(who, BOND);
			Load::insert(who, (0, key.clone()));
		}
		(ROOMY, accounts)
	}
	fn requester() -> AccountId {
		asker()
	}
}

/// Where benchmarks run as tests: no providers yet, and a keystore for their keys.
#[cfg(feature = "runtime-benchmarks")]
pub(crate) fn benchmark_ext() -> sp_io::TestExternalities {
	let mut ext = TestExt::providers(0).build();
	ext.register_extension(sp_keystore::KeystoreExt::new(
		sp_keystore::testing::MemoryKeystore::new(),
	));
	ext
}

// ── the money ────────────────────────────────────────────────────────────────

/// Payer, what is left of the ceiling, and the deposit.
#[storage_alias]
pub(crate) type Held = StorageMap<Till, Twox64Concat, JobId, (AccountId, Balance, Balance)>;

#[allow(unreachable_pub)]
pub struct Till;
impl Till {
	fn pay(to: &AccountId, amount: Balance) {
		if amount > 0 {
			Balances::transfer(&till(), to, amount, Preservation::Expendable).expect("what is held is there");
		}
	}
}
impl Escrow<AccountId> for Till {
	type Credit = Credit<AccountId, Balances>;

	fn hold(job: JobId, payer: &AccountId, ceiling: Balance, deposit: Balance) -> DispatchResult {
		Balances::transfer(payer, &till(), ceiling + deposit, Preservation::Preserve)?;
		Held::insert(job, (payer, ceiling, deposit));
		Ok(())
	}
	fn settle(
		job: &JobId,
		shares: &Shares,
		executor: &AccountId,
		verifiers: &[AccountId],
		owner: &AccountId,
	) -> Result<(), DispatchError> {
		let (payer, ceiling, deposit) = Held::get(job).ok_or(DispatchError::CannotLookup)?;
		let out = shares.executor + shares.verifier * verifiers.len() as u128 + shares.royalty + shares.treasury;
		let rest = ceiling
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
		let (payer, ceiling, deposit) = Held::get(job).ok_or(DispatchError::CannotLookup)?;
		Self::pay(&payer, ceiling);
		Held::insert(job, (payer, 0, deposit));
		Ok(())
	}
	fn restitute(job: &JobId, slashed: Self::Credit, owed: Balance) -> Balance {
		let (payer, ..) = Held::get(job).expect("an open job");
		let (requester, _) = restitution(slashed.peek(), owed);
		let (to_payer, to_treasury) = slashed.split(requester);
		assert!(Balances::resolve(&payer, to_payer).is_ok() && Balances::resolve(&treasury(), to_treasury).is_ok());
		requester
	}
	fn close(job: &JobId) -> DispatchResult {
		let (payer, ceiling, deposit) = Held::take(job).ok_or(DispatchError::CannotLookup)?;
		Self::pay(&payer, ceiling + deposit);
		Ok(())
	}
}

// ── the stage ────────────────────────────────────────────────────────────────

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
		balances.extend([(asker(), FUNDS), (owner(), 1_000), (treasury(), 1_000), (till(), 1)]);
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
			frame_system::BlockHash::<Test>::insert(0, sp_core::H256([9; 32]));
			for who in (1..=self.providers).map(account) {
				Load::insert(&who, (0, pair(&who).public()));
			}
			System::set_block_number(1);
		});
		ext
	}

	/// Tells a story; in the end the pallet's storage is sound and no token has appeared or gone.
	pub(crate) fn execute_with(self, story: impl FnOnce()) {
		self.build().execute_with(|| {
			let issued = Balances::total_issuance();
			story();
			assert_sound();
			assert_eq!(Balances::total_issuance(), issued, "money is conserved");
		})
	}
}

/// The pallet's storage tells one story, and the till holds what open jobs and receipts say.
pub(crate) fn assert_sound() {
	Jobs::do_try_state().expect("a sound state");
	let mut held = 1;
	for (id, (_, ceiling, deposit)) in Held::iter() {
		held += ceiling + deposit;
		match Open::get(id) {
			Some(job) => assert_eq!(ceiling, job.ceiling),
			None => {
				assert!(Receipts::<Test>::contains_key(id));
				assert_eq!(ceiling, 0, "only the deposit stays held");
			}
		}
	}
	assert_eq!(Balances::balance(&till()), held);
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
	assert_sound();
}

pub(crate) fn run_to(block: u64) {
	while System::block_number() < block {
		next_block();
	}
}

/// Goes on until the job leaves the phase it is in.
pub(crate) fn run_out(id: JobId) {
	let phase = job(id).phase;
	let deadline = job(id).deadline;
	while Open::get(id).is_some_and(|job| job.phase == phase && job.deadline == deadline) {
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

// ── what people do ───────────────────────────────────────────────────────────

pub(crate) fn input() -> Input {
	BoundedVec::truncate_from(b"What is a receipt?".to_vec())
}

pub(crate) fn try_request(committee_size: u32) -> DispatchResult {
	Jobs::request(
		RawOrigin::Signed(asker()).into(),
		MODEL,
		input(),
		SamplingParams::greedy(8),
		committee_size,
		FUNDS,
	)
}

/// Asks for a committee of this size; the job's name.
pub(crate) fn request(committee_size: u32) -> JobId {
	try_request(committee_size).expect("a request");
	match events().last() {
		Some(Event::Requested { job, .. }) => *job,
		other => panic!("no request: {other:?}"),
	}
}

pub(crate) fn job(id: JobId) -> JobOf<Test> {
	Open::get(id).expect("an open job")
}

pub(crate) fn receipt(id: JobId) -> ReceiptOf<Test> {
	Receipts::<Test>::get(id).expect("a receipt")
}

/// A job whose committee is drawn.
pub(crate) fn drawn(committee_size: u32) -> JobId {
	let id = request(committee_size);
	next_block();
	next_block();
	assert_eq!(job(id).phase, Phase::Executing);
	id
}

/// The providers of a committee, the executor first.
pub(crate) fn committee(id: JobId) -> Vec<AccountId> {
	job(id).committee.iter().map(|seat| seat.provider.clone()).collect()
}

pub(crate) fn output() -> Output {
	Output {
		input_tokens: 12,
		tokens: BoundedVec::truncate_from(vec![5, 6, 7]),
		text: BoundedVec::truncate_from(b"A proof.".to_vec()),
		finish: FinishReason::Eos,
	}
}

pub(crate) const CONFIRM: Vote = Vote::Confirm { trace_root: [3; 32] };
pub(crate) const LIE: Vote = Vote::Confirm { trace_root: [4; 32] };
pub(crate) const REJECT: Vote = Vote::Reject {
	position: 1,
	prefix_root: [5; 32],
};
pub(crate) const SALT: [u8; 32] = [8; 32];

pub(crate) fn commitment(id: JobId, attempt: u8, who: &AccountId, vote: Vote) -> Commitment {
	Commitment::new(&Jobs::genesis(), &id, attempt, who, &vote, &SALT)
}

/// A signature that nobody looks at: calls that are dispatched directly were authorised before.
pub(crate) fn no_signature() -> InferenceSignature {
	sp_core::sr25519::Signature::default().into()
}

pub(crate) fn publication(id: JobId, attempt: u8, who: &AccountId, vote: Vote) -> PublicationOf<Test> {
	Publication {
		voter: who.clone(),
		job: id,
		attempt,
		output: output(),
		commitment: commitment(id, attempt, who, vote),
		at: System::block_number(),
	}
}

pub(crate) fn commits(who: &AccountId, items: Vec<(JobId, u8, Vote)>) -> BatchOf<Test> {
	let items = items
		.into_iter()
		.map(|(job, attempt, vote)| CommitItem {
			job,
			attempt,
			commitment: commitment(job, attempt, who, vote),
		})
		.collect();
	Batch {
		voter: who.clone(),
		at: System::block_number(),
		commitments: BoundedVec::truncate_from(items),
		reveals: Default::default(),
	}
}

pub(crate) fn reveals(who: &AccountId, items: Vec<(JobId, u8, Vote)>) -> BatchOf<Test> {
	let items = items
		.into_iter()
		.map(|(job, attempt, vote)| RevealItem {
			job,
			attempt,
			vote,
			salt: SALT,
		})
		.collect();
	Batch {
		voter: who.clone(),
		at: System::block_number(),
		commitments: Default::default(),
		reveals: BoundedVec::truncate_from(items),
	}
}

pub(crate) fn publish(publication: PublicationOf<Test>) -> DispatchResult {
	Jobs::publish(RawOrigin::Authorized.into(), publication, no_signature())
}

pub(crate) fn vote(batch: BatchOf<Test>) -> DispatchResult {
	Jobs::vote(RawOrigin::Authorized.into(), batch, no_signature())
		.map(|_| ())
		.map_err(|error| error.error)
}

/// Commits a vote on the job's attempt of now.
pub(crate) fn commit(id: JobId, who: &AccountId, word: Vote) -> DispatchResult {
	vote(commits(who, vec![(id, job(id).attempt, word)]))
}

/// Opens a vote on the job's attempt of now.
pub(crate) fn reveal(id: JobId, who: &AccountId, word: Vote) -> DispatchResult {
	vote(reveals(who, vec![(id, job(id).attempt, word)]))
}

/// The executor publishes and the committee commits these votes, seat by seat; `None` stays silent.
pub(crate) fn publish_and_commit(id: JobId, votes: &[Option<Vote>]) -> Vec<AccountId> {
	let seats = committee(id);
	let attempt = job(id).attempt;
	for (index, who) in seats.iter().enumerate() {
		match votes[index] {
			Some(word) if index == 0 => publish(publication(id, attempt, who, word)).expect("a publication"),
			Some(word) => commit(id, who, word).expect("a commitment"),
			None => (),
		}
	}
	seats
}

/// The whole attempt with these votes, all committed and all revealed.
pub(crate) fn play(id: JobId, votes: &[Vote]) -> Vec<AccountId> {
	let words: Vec<_> = votes.iter().copied().map(Some).collect();
	let seats = publish_and_commit(id, &words);
	for (who, word) in seats.iter().zip(votes) {
		reveal(id, who, *word).expect("a reveal");
	}
	seats
}

pub(crate) fn balance(who: &AccountId) -> Balance {
	Balances::balance(who)
}

// ── the way a transaction really takes ───────────────────────────────────────

/// Signs with the inference key that `who` was given at genesis.
pub(crate) fn signed_by(who: &AccountId, message: &[u8]) -> InferenceSignature {
	pair(who).sign(message)
}

pub(crate) fn signed_publication(publication: PublicationOf<Test>) -> Call<Test> {
	let signature = signed_by(&publication.voter, &publication.message(&Jobs::genesis()));
	Call::publish { publication, signature }
}

pub(crate) fn signed_batch(batch: BatchOf<Test>) -> Call<Test> {
	let signature = signed_by(&batch.voter, &batch.message(&Jobs::genesis()));
	Call::vote { batch, signature }
}

fn checked(
	transaction: Extrinsic,
) -> (
	<Extrinsic as Checkable<frame_system::ChainContext<Test>>>::Checked,
	DispatchInfo,
	usize,
) {
	let (info, len) = (transaction.get_dispatch_info(), transaction.encoded_size());
	(
		transaction
			.check(&frame_system::ChainContext::<Test>::default())
			.expect("a general transaction"),
		info,
		len,
	)
}

/// What the pool would say.
pub(crate) fn validate(transaction: Extrinsic) -> TransactionValidity {
	let (checked, info, len) = checked(transaction);
	checked.validate::<Test>(TransactionSource::External, &info, len)
}

/// Takes a transaction into the block.
pub(crate) fn apply(transaction: Extrinsic) -> Result<DispatchResult, TransactionValidityError> {
	let (checked, info, len) = checked(transaction);
	checked
		.apply::<Test>(&info, len)
		.map(|result| result.map(|_| ()).map_err(|error| error.error))
}

pub(crate) fn transaction(call: Call<Test>) -> Extrinsic {
	<Test as offchain::CreateAuthorizedTransaction<Call<Test>>>::create_authorized_transaction(call.into())
}
