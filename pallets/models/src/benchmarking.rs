//! Benchmarks: the worst case of each call.

use crate::*;
use alloc::{format, vec, vec::Vec};
use assay_primitives::{
	limits::MAX_LISTINGS,
	manifest::{model_id, test_utils::TestManifest},
	model::Prices,
	ListingId, ModelId,
};
use frame_benchmarking::v2::*;
use frame_support::traits::{fungible::Mutate, Get};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use sp_runtime::{traits::Saturating, Permill};

const FIRST: ListingId = ListingId(0);
/// Tensors of about a hundred bytes each.
const TENSORS: u32 = 4_000;

/// Returns a manifest with this many more tensors.
fn manifest(name: &str, tensors: u32, parent: Option<ModelId>) -> Vec<u8> {
	let mut manifest = TestManifest {
		parent,
		..TestManifest::new(name)
	};
	let more = (0..tensors).map(|n| (format!("{:060}", n), 0, vec![1, 1]));
	manifest.tensors.splice(0..0, more);
	manifest.encode()
}

fn terms() -> ListingTerms {
	ListingTerms {
		prices: Prices {
			price_in: 1,
			price_out: 1,
		},
		royalty: Permill::zero(),
	}
}

#[benchmarks(where T::Currency: Mutate<T::AccountId>)]
mod benches {
	use super::*;

	/// Registers a model by an account that can pay any deposit.
	fn registered<T: Config>() -> (T::AccountId, ModelId)
	where
		T::Currency: Mutate<T::AccountId>,
	{
		let owner: T::AccountId = whitelisted_caller();
		T::Currency::set_balance(&owner, 1 << 90);
		let manifest = manifest("parent", 0, None);
		Pallet::<T>::do_register(owner.clone(), &manifest, terms()).expect("a good manifest of a rich owner; qed");
		(owner, model_id(&manifest))
	}

	#[benchmark]
	fn register(n: Linear<0, TENSORS>) {
		let (owner, parent) = registered::<T>();
		let manifest = manifest("child", n, Some(parent));
		let id = model_id(&manifest);
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), manifest, terms());
		assert!(Models::<T>::contains_key(id));
	}

	#[benchmark]
	fn list() {
		let (owner, model) = registered::<T>();
		for _ in 1..MAX_LISTINGS {
			Pallet::<T>::do_list(owner.clone(), model, terms(), 0).expect("there is room; qed");
		}
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), model, terms(), 1 << 80);
		assert!(Listings::<T>::contains_key(ListingId(MAX_LISTINGS)));
	}

	#[benchmark]
	fn update_price() {
		let (owner, _) = registered::<T>();
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), FIRST, 2, 2);
		assert!(Listings::<T>::get(FIRST).is_some_and(|listing| listing.next_prices.is_some()));
	}

	#[benchmark]
	fn retire() {
		let (owner, _) = registered::<T>();
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), FIRST);
		assert!(Listings::<T>::get(FIRST).is_some_and(|listing| listing.retired_at.is_some()));
	}

	#[benchmark]
	fn remove() {
		let (owner, model) = registered::<T>();
		Pallet::<T>::do_retire(owner.clone(), FIRST).expect("just listed; qed");
		let now: BlockNumberFor<T> = frame_system::Pallet::<T>::block_number();
		frame_system::Pallet::<T>::set_block_number(now.saturating_add(T::Params::get().retention));
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), FIRST);
		assert!(!Models::<T>::contains_key(model));
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
