//! Providers with a load each. Electorates are what tests seal.

use super::*;
use assay_primitives::{
	crypto::InferenceId,
	draw::{Member, SealedMember},
	economics::Fault,
	rules::{work_blocks, WorkUnits},
	traits::{Penalties, ProviderSet},
};
use frame_support::{
	pallet_prelude::ValueQuery,
	storage_alias,
	traits::{
		fungible::{Balanced, Credit},
		tokens::{Fortitude, Precision, Preservation},
	},
	Identity,
};

/// The load of each provider, and its inference key.
#[storage_alias]
pub(crate) type Load = StorageMap<MockProviders, Identity, AccountId, (u32, InferenceId)>;
/// Work that all were given, less what they said was not needed.
#[storage_alias]
pub(crate) type Reckoned = StorageValue<MockProviders, WorkUnits, ValueQuery>;
/// The sealed electorate of each model.
#[storage_alias]
pub(crate) type Sealed = StorageMap<MockProviders, Identity, ModelId, Vec<Member<AccountId>>, ValueQuery>;
/// The sealed least prices.
#[storage_alias]
pub(crate) type Least = StorageMap<MockProviders, Identity, AccountId, Prices, ValueQuery>;
/// Providers that are not alive.
#[storage_alias]
pub(crate) type Offline = StorageMap<MockProviders, Identity, AccountId, ()>;
/// Providers that have more to do than any execution may last.
#[storage_alias]
pub(crate) type Overloaded = StorageMap<MockProviders, Identity, AccountId, ()>;
/// Providers whose heartbeat is due.
#[storage_alias]
pub(crate) type HeartbeatDue = StorageMap<MockProviders, Identity, AccountId, ()>;
/// Faults, in order.
#[storage_alias]
pub(crate) type Faults = StorageValue<MockProviders, Vec<(AccountId, Fault)>, ValueQuery>;

parameter_types! {
	/// Jobs that a provider may hold at once.
	pub static Capacity: u32 = 4;
	/// Blocks that an executor gets.
	pub static ExecutionBlocks: u32 = 10;
}

/// Makes these the members of a model's electorate.
pub(crate) fn seal(model: &ModelId, members: Vec<(AccountId, Balance)>) {
	let members = members.into_iter().map(|(who, stake)| Member { who, stake });
	Sealed::insert(model, members.collect::<Vec<_>>());
}

#[allow(unreachable_pub)]
pub struct MockProviders;

impl ProviderSet<AccountId> for MockProviders {
	fn sealed(model: &ModelId) -> Vec<SealedMember<AccountId>> {
		let sealed = |member: Member<AccountId>| SealedMember {
			least: Least::get(&member.who),
			member,
		};
		Sealed::get(model).into_iter().map(sealed).collect()
	}
	fn chain_stake() -> Balance {
		Load::iter_keys().map(|who| Balances::balance(&who)).sum()
	}
	fn has_free_place(who: &AccountId, _: &ModelId) -> bool {
		Load::get(who).is_some_and(|(load, _)| load < Capacity::get()) && !Offline::contains_key(who)
	}
	fn engage(who: &AccountId, work: WorkUnits) -> u32 {
		Reckoned::mutate(|reckoned| *reckoned += work);
		Load::mutate(who, |load| load.as_mut().expect("a provider").0 += 1);
		if Overloaded::contains_key(who) {
			u32::MAX
		} else {
			ExecutionBlocks::get()
		}
	}
	fn release(who: &AccountId, unused: WorkUnits) {
		Reckoned::mutate(|reckoned| *reckoned = reckoned.checked_sub(unused).expect("no more than was given"));
		Load::mutate(who, |load| {
			let load = &mut load.as_mut().expect("a provider").0;
			*load = load.checked_sub(1).expect("released no more often than engaged");
		});
	}
	fn give_work(_: &AccountId, work: WorkUnits) -> u32 {
		Self::blocks_for(work)
	}
	fn blocks_for(work: WorkUnits) -> u32 {
		work_blocks(0, work, 300)
	}
	fn key_of(who: &AccountId) -> Option<InferenceId> {
		Load::get(who).map(|(_, key)| key)
	}
	fn owner_of(key: &InferenceId) -> Option<AccountId> {
		Load::iter().find(|(_, (_, own))| own == key).map(|(who, _)| who)
	}
	fn serves(who: &AccountId) -> Vec<ModelId> {
		let mut models = MODELS.to_vec();
		models.retain(|model| Sealed::get(model).iter().any(|member| member.who == *who));
		models
	}
	fn heartbeat_due(who: &AccountId) -> bool {
		HeartbeatDue::contains_key(who)
	}
	fn mark_alive(who: &AccountId) {
		HeartbeatDue::remove(who);
	}
	fn sign_of_life_due(_: &AccountId) -> bool {
		false
	}
	fn note_sign_of_life(_: &AccountId) {}
	fn outage_due(_: &AccountId, _: &ModelId, _: bool) -> bool {
		false
	}
	fn note_outage(_: &AccountId, _: &ModelId, _: bool) {}
}

impl Penalties<AccountId> for MockProviders {
	type Credit = Credit<AccountId, Balances>;

	fn is_bonded(who: &AccountId) -> bool {
		Load::contains_key(who)
	}
	fn slashable(who: &AccountId) -> Balance {
		Balances::balance(who)
	}
	fn fine(who: &AccountId, fault: Fault, _: &ModelId, amount: Balance) -> Self::Credit {
		Faults::append((who, fault));
		Balances::withdraw(
			who,
			amount,
			Precision::BestEffort,
			Preservation::Preserve,
			Fortitude::Force,
		)
		.unwrap_or_default()
	}
	fn suspend(who: &AccountId) {
		Offline::insert(who, ());
	}
	fn lift(who: &AccountId) {
		Offline::remove(who);
	}
	fn is_suspended(who: &AccountId) -> bool {
		Offline::contains_key(who)
	}
	fn was_suspended_since(who: &AccountId, _: u32) -> bool {
		Self::is_suspended(who)
	}
	fn slash(who: &AccountId, fault: Fault) -> Self::Credit {
		let part = RATES.slash(fault).unwrap_or_default();
		Self::fine(who, fault, &MODEL, part * Balances::balance(who))
	}
}

#[cfg(any(feature = "runtime-benchmarks", test))]
impl crate::benchmarking::BenchmarkHelper<AccountId> for MockProviders {
	fn providers(keys: &[InferenceId]) -> (ModelId, Vec<AccountId>) {
		use frame_support::traits::fungible::Mutate;
		Capacity::set(50);
		let accounts: Vec<_> = (0..keys.len()).map(|n| AccountId::new([n as u8 | 128; 32])).collect();
		for (who, key) in accounts.iter().zip(keys) {
			Balances::set_balance(who, BOND);
			Load::insert(who, (0, key.clone()));
		}
		seal(&LONG_CONTEXT, accounts.iter().map(|who| (who.clone(), BOND)).collect());
		(LONG_CONTEXT, accounts)
	}
	fn requester() -> AccountId {
		requester()
	}
	fn finalize(block: u32) {
		Finalized::set(block);
	}
}

/// Returns externalities in which benchmarks run as tests: no providers yet, and a keystore for their keys.
#[cfg(any(feature = "runtime-benchmarks", test))]
pub(crate) fn benchmark_ext() -> sp_io::TestExternalities {
	let mut ext = TestExt::providers(0).build();
	ext.register_extension(sp_keystore::KeystoreExt::new(
		sp_keystore::testing::MemoryKeystore::new(),
	));
	ext
}
