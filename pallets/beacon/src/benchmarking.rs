//! The benchmark of the hook.

use crate::*;
use frame_benchmarking::v2::*;
use frame_support::traits::Hooks;

#[benchmarks]
mod benches {
	use super::*;

	#[benchmark]
	fn accumulate() {
		let (before, now) = (Accumulator::<T>::get(), frame_system::Pallet::<T>::block_number());
		#[block]
		{
			Pallet::<T>::on_finalize(now);
		}
		assert_ne!(Accumulator::<T>::get(), before);
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
