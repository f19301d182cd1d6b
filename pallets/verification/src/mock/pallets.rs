//! The pallets that this one meets.

use super::*;
use assay_primitives::{
	crypto::InferenceId,
	draw::{Member, SealedMember},
	economics::Fault,
	rules::{work_blocks, WorkUnits},
	traits::{ClaimSource, ClaimStatus, Penalties, Pool, ProviderSet},
	Balance, ClaimId, JobId, ModelId, State, Verdict, Work,
};
use frame_support::{
	pallet_prelude::ValueQuery,
	storage_alias,
	traits::{
		fungible::{Balanced, Credit, Inspect, Mutate},
		tokens::{Fortitude, Precision, Preservation},
		Imbalance,
	},
	Identity,
};
use sp_runtime::DispatchResult;

/// The electorate in force.
#[storage_alias]
pub(crate) type Electorate = StorageValue<MockProviders, Vec<Member<AccountId>>, ValueQuery>;
/// Suspensions that are not lifted, and the block of the last one.
#[storage_alias]
pub(crate) type Suspended = StorageMap<MockProviders, Identity, AccountId, (u32, u32), ValueQuery>;
/// Faults, in order.
#[storage_alias]
pub(crate) type Faults = StorageValue<MockProviders, Vec<(AccountId, Fault)>, ValueQuery>;
/// Inference keys that do not follow from their accounts.
#[storage_alias]
pub(crate) type Keys = StorageMap<MockProviders, Identity, AccountId, InferenceId>;
/// Providers whose heartbeat is due.
#[storage_alias]
pub(crate) type HeartbeatDue = StorageMap<MockProviders, Identity, AccountId, ()>;
/// Providers whose sign of life is due.
#[storage_alias]
pub(crate) type SignOfLifeDue = StorageMap<MockProviders, Identity, AccountId, ()>;
/// Providers whose engine does not serve the model.
#[frame_support::storage_alias]
pub(crate) type InOutage = StorageMap<MockProviders, Identity, AccountId, ()>;
/// The objector and its bond.
#[storage_alias]
pub(crate) type Objections = StorageMap<MockPool, Identity, ClaimId, (AccountId, Balance)>;
/// Claims that were closed, and the approvals that were paid.
#[storage_alias]
pub(crate) type Closed = StorageMap<MockSource, Identity, ClaimId, (State, Option<Verdict>, Vec<AccountId>)>;
/// The work of a claim's origin.
#[storage_alias]
pub(crate) type Works = StorageMap<MockSource, Identity, JobId, (Work, assay_primitives::Output)>;

pub(crate) fn seal_electorate(members: &[(AccountId, Balance)]) {
	let members = members.iter().map(|(who, stake)| Member {
		who: who.clone(),
		stake: *stake,
	});
	Electorate::put(members.collect::<Vec<_>>());
}

#[allow(unreachable_pub)]
pub struct MockProviders;

impl ProviderSet<AccountId> for MockProviders {
	fn sealed(_: &ModelId) -> Vec<SealedMember<AccountId>> {
		let sealed = |member| SealedMember {
			member,
			least: Default::default(),
		};
		Electorate::get().into_iter().map(sealed).collect()
	}
	fn chain_stake() -> Balance {
		Electorate::get().iter().map(|member| member.stake).sum()
	}
	fn has_free_place(_: &AccountId, _: &ModelId) -> bool {
		true
	}
	fn engage(_: &AccountId, work: WorkUnits) -> u32 {
		Self::blocks_for(work)
	}
	fn release(_: &AccountId, _: WorkUnits) {}
	fn give_work(_: &AccountId, work: WorkUnits) -> u32 {
		Self::blocks_for(work)
	}
	fn blocks_for(work: WorkUnits) -> u32 {
		work_blocks(0, work, Params::get().least_speed)
	}
	fn key_of(who: &AccountId) -> Option<InferenceId> {
		Keys::get(who).or_else(|| Self::is_bonded(who).then(|| pair(who).public()))
	}
	fn owner_of(key: &InferenceId) -> Option<AccountId> {
		Electorate::get()
			.into_iter()
			.map(|member| member.who)
			.find(|who| pair(who).public() == *key)
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
	fn sign_of_life_due(who: &AccountId) -> bool {
		SignOfLifeDue::contains_key(who)
	}
	fn note_sign_of_life(who: &AccountId) {
		SignOfLifeDue::remove(who);
	}
	fn outage_due(who: &AccountId, model: &ModelId, over: bool) -> bool {
		*model == MODEL && InOutage::contains_key(who) == over
	}
	fn note_outage(who: &AccountId, _: &ModelId, over: bool) {
		if over {
			InOutage::remove(who);
		} else {
			InOutage::insert(who, ());
		}
	}
}

impl MockProviders {
	fn take(who: &AccountId, amount: Balance) -> Credit<AccountId, Balances> {
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

impl Penalties<AccountId> for MockProviders {
	type Credit = Credit<AccountId, Balances>;

	fn is_bonded(who: &AccountId) -> bool {
		Electorate::get().iter().any(|member| member.who == *who) || *who == account(99)
	}
	fn slashable(who: &AccountId) -> Balance {
		Balances::balance(who)
	}
	fn fine(who: &AccountId, fault: Fault, _: &ModelId, amount: Balance) -> Self::Credit {
		Faults::append((who, fault));
		Self::take(who, amount)
	}
	fn suspend(who: &AccountId) {
		let now = System::block_number() as u32;
		Suspended::mutate(who, |(count, since)| {
			*count += 1;
			*since = now;
		});
	}
	fn lift(who: &AccountId) {
		Suspended::mutate(who, |(count, _)| {
			*count = count.checked_sub(1).expect("suspended before")
		});
	}
	fn is_suspended(who: &AccountId) -> bool {
		Suspended::get(who).0 > 0
	}
	fn was_suspended_since(who: &AccountId, block: u32) -> bool {
		let (count, since) = Suspended::get(who);
		count > 0 || (since > 0 && since >= block)
	}
	fn slash(who: &AccountId, fault: Fault) -> Self::Credit {
		Faults::append((who, fault));
		let part = Params::get()
			.rates
			.slash(fault)
			.expect("a fault that costs a part of the bond");
		Self::take(who, part.mul_floor(Balances::balance(who)))
	}
}

#[allow(unreachable_pub)]
pub struct MockPool;

impl MockPool {
	fn transfer(from: &AccountId, to: &AccountId, amount: Balance) {
		Balances::transfer(from, to, amount, Preservation::Expendable).expect("what is held is there");
	}
}

impl Pool<AccountId> for MockPool {
	type Credit = Credit<AccountId, Balances>;

	fn collect(credit: Self::Credit) {
		assert!(Balances::resolve(&pool(), credit).is_ok());
	}
	fn pay(who: &AccountId, amount: Balance) -> Balance {
		Self::transfer(&pool(), who, amount);
		amount
	}
	fn amount(credit: &Self::Credit) -> Balance {
		credit.peek()
	}
	fn distribute(mut credit: Self::Credit, payments: &[(AccountId, Balance)]) {
		for (who, amount) in payments {
			let part = credit.extract(*amount);
			assert_eq!(part.peek(), *amount, "no more is paid than was taken");
			assert!(Balances::resolve(who, part).is_ok());
		}
		assert!(Balances::resolve(&treasury(), credit).is_ok());
	}
	fn hold_objection(claim: &ClaimId, who: &AccountId, bond: Balance) -> DispatchResult {
		Balances::transfer(who, &bonds(), bond, Preservation::Preserve)?;
		Objections::insert(claim, (who, bond));
		Ok(())
	}
	fn return_objection(claim: &ClaimId) {
		let (who, bond) = Objections::take(claim).expect("an objection");
		Self::transfer(&bonds(), &who, bond);
	}
	fn spend_objection(claim: &ClaimId, payments: &[(AccountId, Balance)], lost: bool) {
		let (objector, mut bond) = Objections::take(claim).expect("an objection");
		for (who, amount) in payments {
			Self::transfer(&bonds(), who, *amount);
			bond -= amount;
		}
		let rest_to = if lost { treasury() } else { objector };
		Self::transfer(&bonds(), &rest_to, bond);
	}
}

#[allow(unreachable_pub)]
pub struct MockSource;

impl ClaimSource<AccountId, u64> for MockSource {
	fn work(origin: &JobId, check: bool) -> Option<Work> {
		let (work, output) = Works::get(origin)?;
		Some(Work {
			claim: check.then_some(output),
			..work
		})
	}
	fn closed(_: &JobId, claim: &ClaimId, status: ClaimStatus<AccountId, u64>, approvals: &[AccountId]) -> u32 {
		let paid = approvals.len().min(status.record.verifiers.into());
		Closed::insert(claim, (status.state, status.verdict, approvals[..paid].to_vec()));
		paid as u32
	}
}

#[cfg(any(feature = "runtime-benchmarks", test))]
impl crate::benchmarking::BenchmarkHelper<Test> for MockProviders {
	fn electorate(keys: &[InferenceId]) -> (ModelId, Vec<AccountId>) {
		let accounts: Vec<_> = (0..keys.len()).map(|n| AccountId::new([n as u8 | 128; 32])).collect();
		let members: Vec<_> = accounts.iter().map(|who| (who.clone(), BOND)).collect();
		for (who, key) in accounts.iter().zip(keys) {
			Balances::set_balance(who, BOND);
			Keys::insert(who, key);
			HeartbeatDue::insert(who, ());
		}
		seal_electorate(&members);
		(MODEL, accounts)
	}
	fn publish(_: &ModelId, verifiers: u8, root: &assay_primitives::TraceRoot) -> ClaimId {
		use assay_primitives::traits::Claims as _;
		let number = OpenClaims::count() as u8 + 1;
		let executor = Electorate::get().swap_remove(usize::from(number) % 8).who;
		let claim = new_claim(number, executor, verifiers, *root);
		let id = claim.id;
		Verification::publish(claim).expect("a claim");
		id
	}
}

/// Returns externalities in which benchmarks run as tests: no electorate yet, and a keystore for its keys.
#[cfg(any(feature = "runtime-benchmarks", test))]
pub(crate) fn benchmark_ext() -> sp_io::TestExternalities {
	let mut ext = TestExt::providers(0).build();
	ext.register_extension(sp_keystore::KeystoreExt::new(
		sp_keystore::testing::MemoryKeystore::new(),
	));
	ext
}
