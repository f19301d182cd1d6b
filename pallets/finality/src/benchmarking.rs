//! Benchmarks: the worst case of the call and of a session's end.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::traits::{FinalityGadget, Validators};
use frame_benchmarking::v2::*;
use frame_support::{traits::Get, BoundedVec};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use sp_runtime::traits::{One, Saturating};

#[benchmarks]
mod benches {
	use super::*;

	#[benchmark]
	fn report() {
		let now = frame_system::Pallet::<T>::block_number().max(One::one());
		frame_system::Pallet::<T>::set_block_number(now);
		// Where the block has no author, the call is refused after as much work.
		let authored = T::Validators::author().is_some();
		let result;
		#[block]
		{
			result = Pallet::<T>::report(RawOrigin::None.into(), 0u32.into());
		}
		assert_eq!(result.is_ok(), authored);
	}

	#[benchmark]
	fn end_session(n: Linear<0, { MAX_REPORTS }>) {
		let params = T::Params::get();
		let now = params.max_lag.saturating_add(params.window).saturating_add(One::one());
		frame_system::Pallet::<T>::set_block_number(now);
		let finalized: BlockNumberFor<T> = 0u32.into();
		let reporters: Vec<T::AccountId> = (0..n).map(|i| account("author", i, 0)).collect();
		for who in &reporters {
			Reports::<T>::insert(who, Report { at: now, finalized });
		}
		// As many sets as there can be, of the same members: the first ones that reported.
		let first_id = T::Gadget::set_id();
		let sets: Vec<_> = (1..MAX_SETS)
			.map(|i| AuthoritySet {
				// The one in force first.
				id: first_id.saturating_add(i.into()),
				since: i.saturating_sub(1).into(),
				members: BoundedVec::truncate_from(reporters.clone()),
			})
			.collect();
		Sets::<T>::put(BoundedVec::truncate_from(sets));
		#[block]
		{
			Pallet::<T>::end_session();
		}
		assert!(Sets::<T>::get().len() <= MAX_SETS as usize);
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
