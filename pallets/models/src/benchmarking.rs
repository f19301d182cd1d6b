//! Benchmarks: the worst case of each call.

use crate::*;
use alloc::vec;
use assay_primitives::{model::Profile, ModelId};
use frame_benchmarking::v2::*;
use frame_support::traits::{fungible::Mutate, Get};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use sp_runtime::{traits::Saturating, Permill};

fn registration(id: u8, parent: Option<ModelId>) -> Registration {
	Registration {
		id: ModelId([id; 32]),
		name: vec![b'n'; MAX_NAME_BYTES as usize]
			.try_into()
			.expect("the longest name is no longer; qed"),
		architecture: vec![b'a'; MAX_ARCHITECTURE_BYTES as usize]
			.try_into()
			.expect("no longer; qed"),
		profile: Profile::C1W8,
		parameters: 1,
		weight_bytes: 1,
		price_in: 1,
		price_out: 1,
		royalty: Permill::zero(),
		context_length: 2,
		prompt_overhead: 1,
		parent,
	}
}

#[benchmarks(where T::Currency: Mutate<T::AccountId>)]
mod benches {
	use super::*;

	fn funded<T: Config>() -> T::AccountId
	where
		T::Currency: Mutate<T::AccountId>,
	{
		let owner = whitelisted_caller();
		let deposit = Pallet::<T>::deposit_of(&registration(1, Some(ModelId::default())));
		T::Currency::set_balance(&owner, deposit.saturating_mul(1_000).saturating_add(1 << 60));
		owner
	}

	fn registered<T: Config>() -> (T::AccountId, ModelId)
	where
		T::Currency: Mutate<T::AccountId>,
	{
		let owner = funded::<T>();
		let model = registration(1, None);
		Pallet::<T>::do_register(owner.clone(), model.clone()).expect("a good registration by a rich owner; qed");
		(owner, model.id)
	}

	#[benchmark]
	fn register() {
		let (owner, parent) = registered::<T>();
		let model = registration(2, Some(parent));
		let id = model.id;
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), model);
		assert!(Models::<T>::contains_key(id));
	}

	#[benchmark]
	fn update_price() {
		let (owner, model) = registered::<T>();
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), model, 7, 8);
		assert_eq!(Models::<T>::get(model).map(|m| m.terms.price_out), Some(8));
	}

	#[benchmark]
	fn retire() {
		let (owner, model) = registered::<T>();
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), model);
		assert_eq!(Models::<T>::get(model).map(|m| m.terms.retired), Some(true));
	}

	#[benchmark]
	fn remove() {
		let (owner, model) = registered::<T>();
		Pallet::<T>::do_retire(owner.clone(), model).expect("just registered; qed");
		let now: BlockNumberFor<T> = frame_system::Pallet::<T>::block_number();
		frame_system::Pallet::<T>::set_block_number(now.saturating_add(T::Params::get().retention));
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), model);
		assert!(!Models::<T>::contains_key(model));
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
