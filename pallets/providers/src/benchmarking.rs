//! Benchmarks: the worst case of each call, of eviction, of sealing, of validators and of an offence.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	crypto::{possession_message, InferenceId},
	limits::{MAX_ENDPOINT_BYTES, MAX_MEMBERS, MAX_PROVIDERS_PER_MODEL},
	model::Prices,
	traits::Validators,
	Balance, ModelId,
};
use codec::Decode;
use frame_benchmarking::v2::*;
use frame_support::traits::{fungible::Mutate, Get};
use frame_system::RawOrigin;
use sp_application_crypto::RuntimeAppPublic;
use sp_runtime::{traits::Saturating, Perbill};
use sp_staking::offence::{OffenceDetails, OnOffenceHandler};

/// What benchmarks need of the catalog.
pub trait BenchmarkHelper {
	/// Registers a model that can be served.
	fn model() -> ModelId;
}

const PRICES: Prices = Prices {
	price_in: 1,
	price_out: 2,
};

#[benchmarks(where T::Currency: Mutate<T::AccountId>)]
mod benches {
	use super::*;

	fn min<T: Config>() -> Balance {
		T::Params::get().min_bond
	}

	fn rich<T: Config>(index: u32) -> T::AccountId
	where
		T::Currency: Mutate<T::AccountId>,
	{
		let who = account("provider", index, 0);
		T::Currency::set_balance(&who, min::<T>().saturating_mul(1_000));
		who
	}

	fn bonded<T: Config>(index: u32) -> T::AccountId
	where
		T::Currency: Mutate<T::AccountId>,
	{
		let who = rich::<T>(index);
		Pallet::<T>::do_bond(who.clone(), min::<T>().saturating_mul(100)).expect("it is rich; qed");
		who
	}

	/// Returns a least price of each provider.
	fn least_prices<T: Config>(serving: &[T::AccountId]) -> LeastPricesOf<T::AccountId> {
		let mut all = LeastPricesOf::new();
		for who in serving {
			all.try_insert(who.clone(), PRICES)
				.expect("there are no more than serve a model; qed");
		}
		all
	}

	/// Makes `who` the last of a full list of a model.
	fn fill_model<T: Config>(who: &T::AccountId, model: ModelId) {
		let mut list: Vec<T::AccountId> = (1..MAX_PROVIDERS_PER_MODEL).map(|i| account("other", i, 0)).collect();
		list.push(who.clone());
		LeastPrices::<T>::insert(model, least_prices::<T>(&list));
		Serving::<T>::insert(model, frame_support::BoundedVec::truncate_from(list));
		Providers::<T>::mutate(who, |record| {
			let record = record.as_mut().expect("it is bonded; qed");
			record.models.try_push(model).expect("there is room; qed");
		});
	}

	/// Lists `n` providers of a model that are eligible with the least bond.
	fn eligible<T: Config>(model: ModelId, n: u32) {
		let now = Pallet::<T>::now();
		let serving: Vec<T::AccountId> = (1..=n).map(|i| account("other", i, 0)).collect();
		for (i, who) in (0u8..).zip(&serving) {
			let mut record = ProviderRecord::new(min::<T>());
			record.key = InferenceId::decode(&mut &[i; 32][..]).ok();
			record.last_seen = Some(now);
			record.models.try_push(model).expect("it is the first; qed");
			Providers::<T>::insert(who, record);
		}
		LeastPrices::<T>::insert(model, least_prices::<T>(&serving));
		Serving::<T>::insert(model, frame_support::BoundedVec::truncate_from(serving));
		Electorates::<T>::insert(model, Electorate::new(Pallet::<T>::block()));
	}

	/// Fills the list of active providers with providers that are alive, each with a larger bond than the last.
	fn fill_active<T: Config>(n: u32) {
		let mut active = Vec::new();
		for i in 0..n {
			let who: T::AccountId = account("provider", i, 0);
			let mut record = ProviderRecord::new(min::<T>().saturating_add(i.into()));
			record.last_seen = Some(Pallet::<T>::now());
			Providers::<T>::insert(&who, record);
			active.push(who);
		}
		ActiveProviders::<T>::put(frame_support::BoundedVec::truncate_from(active));
	}

	#[benchmark]
	fn bond() {
		let who = rich::<T>(0);
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()), min::<T>());
		assert!(Providers::<T>::contains_key(who));
	}

	#[benchmark]
	fn bond_extra() {
		let who = bonded::<T>(0);
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()), min::<T>());
		assert_eq!(
			Providers::<T>::get(who).map(|r| r.bond),
			Some(min::<T>().saturating_mul(101))
		);
	}

	#[benchmark]
	fn unbond() {
		let who = bonded::<T>(0);
		(0..MAX_MODELS).for_each(|i| fill_model::<T>(&who, ModelId([i as u8; 32])));
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()), min::<T>().saturating_mul(100));
		assert_eq!(Providers::<T>::get(who).map(|r| r.models.len()), Some(0));
	}

	#[benchmark]
	fn withdraw() {
		let who = bonded::<T>(0);
		Pallet::<T>::do_unbond(who.clone(), min::<T>().saturating_mul(100)).expect("it is bonded; qed");
		let later = Pallet::<T>::now().saturating_add(T::Params::get().unbonding_period);
		frame_system::Pallet::<T>::set_block_number(later);
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()));
		assert!(!Providers::<T>::contains_key(who));
	}

	#[benchmark]
	fn set_inference_key() {
		let who = bonded::<T>(0);
		let before = InferenceId::generate_pair(None);
		KeyOwners::<T>::insert(&before, &who);
		Providers::<T>::mutate(&who, |record| {
			record.as_mut().expect("it is bonded; qed").key = Some(before);
		});
		let key = InferenceId::generate_pair(None);
		let message = possession_message(&T::GenesisHash::get(), &who);
		let proof = key.sign(&message).expect("the key is in the keystore; qed");
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()), key.clone(), proof);
		assert_eq!(KeyOwners::<T>::get(key), Some(who));
	}

	#[benchmark]
	fn serve() {
		let who = bonded::<T>(0);
		let model = T::BenchmarkHelper::model();
		eligible::<T>(model, MAX_PROVIDERS_PER_MODEL);
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()), model, PRICES);
		assert_eq!(Providers::<T>::get(who).map(|r| r.models.len()), Some(1));
	}

	#[benchmark]
	fn set_least_price() {
		let who = bonded::<T>(0);
		let model = T::BenchmarkHelper::model();
		fill_model::<T>(&who, model);
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()), model, PRICES);
		assert_eq!(LeastPrices::<T>::get(model).get(&who), Some(&PRICES));
	}

	#[benchmark]
	fn stop_serving() {
		let who = bonded::<T>(0);
		let model = ModelId([7; 32]);
		fill_model::<T>(&who, model);
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()), model);
		assert_eq!(Providers::<T>::get(who).map(|r| r.models.len()), Some(0));
	}

	#[benchmark]
	fn set_capacity() {
		let who = bonded::<T>(0);
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()), MAX_CAPACITY);
		assert_eq!(Providers::<T>::get(who).map(|r| r.capacity), Some(MAX_CAPACITY));
	}

	#[benchmark]
	fn set_endpoint() {
		let who = bonded::<T>(0);
		let mut endpoint = b"wss://a/".to_vec();
		endpoint.resize(MAX_ENDPOINT_BYTES as usize, b'a');
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()), endpoint.clone());
		assert_eq!(Pallet::<T>::endpoint_of(&who), Some(endpoint));
	}

	#[benchmark]
	fn unjail() {
		let who = bonded::<T>(0);
		Providers::<T>::mutate(&who, |record| {
			record.as_mut().expect("it is bonded; qed").jailed_until = Some(Pallet::<T>::now());
		});
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()));
		assert_eq!(Providers::<T>::get(who).and_then(|r| r.jailed_until), None);
	}

	#[benchmark]
	fn ready() {
		let who = bonded::<T>(0);
		Providers::<T>::mutate(&who, |record| {
			record.as_mut().expect("it is bonded; qed").ready = false;
		});
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()));
		assert_eq!(Providers::<T>::get(who).map(|r| r.ready), Some(true));
	}

	#[benchmark]
	fn find_electorate() {
		let model = ModelId([7; 32]);
		eligible::<T>(model, MAX_PROVIDERS_PER_MODEL);
		// The second seal waits until the first is in force.
		Pallet::<T>::seal_due();
		let before = Electorates::<T>::get(model);
		#[block]
		{
			Pallet::<T>::seal_due();
		}
		assert_eq!(Electorates::<T>::get(model), before);
	}

	#[benchmark]
	fn seal(n: Linear<0, { MAX_PROVIDERS_PER_MODEL }>) {
		let model = ModelId([7; 32]);
		eligible::<T>(model, n);
		#[block]
		{
			Pallet::<T>::seal_due();
		}
		let next = Electorates::<T>::get(model).and_then(|electorate| electorate.next);
		let members = next.map_or(0, |next| next.members.len());
		assert_eq!(members, n.min(MAX_MEMBERS) as usize);
	}

	#[benchmark]
	fn validators(n: Linear<0, { MAX_PROVIDERS }>) {
		fill_active::<T>(n);
		let chosen;
		#[block]
		{
			chosen = <Pallet<T> as pallet_session::SessionManager<T::AccountId>>::new_session(1);
		}
		let seats = chosen.map_or(0, |chosen| chosen.len());
		assert!(seats <= T::Params::get().max_validators as usize && (seats > 0 || n == 0));
	}

	#[benchmark]
	fn note_author() {
		let who = bonded::<T>(0);
		let author = T::Session::author();
		#[block]
		{
			Pallet::<T>::note_author();
			// Where the block has no author, what is done for one.
			Pallet::<T>::do_note_sign_of_life(&who);
		}
		assert!(SignsOfLife::<T>::contains_key(who));
		assert!(author
			.is_none_or(|author| !Providers::<T>::contains_key(&author) || SignsOfLife::<T>::contains_key(author)));
	}

	#[benchmark]
	fn evict() {
		fill_active::<T>(MAX_PROVIDERS);
		let smallest: T::AccountId = account("provider", 0, 0);
		(0..MAX_MODELS).for_each(|i| fill_model::<T>(&smallest, ModelId([i as u8; 32])));
		let who: T::AccountId = account("larger", 0, 0);
		#[block]
		{
			Pallet::<T>::join_active(&who, min::<T>().saturating_add(1)).expect("one has a smaller bond; qed");
		}
		assert!(ActiveProviders::<T>::get().contains(&who) && !ActiveProviders::<T>::get().contains(&smallest));
	}

	#[benchmark]
	fn offence() {
		let who = bonded::<T>(0);
		let details = OffenceDetails::<(), _> {
			offender: (who.clone(), ()),
			reporters: Vec::new(),
		};
		#[block]
		{
			Pallet::<T>::on_offence(&[details], &[Perbill::from_percent(50)], 0);
		}
		assert!(Providers::<T>::get(who).is_some_and(|r| r.jailed_until.is_some()));
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
