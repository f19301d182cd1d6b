//! The benchmarks of the calls.

use crate::*;
use alloc::{boxed::Box, vec};
use frame_benchmarking::v2::*;
use frame_support::traits::{Contains, Get};
use frame_system::Call as SystemCall;

#[benchmarks]
mod benches {
	use super::*;

	/// A call of about as many bytes.
	fn remark<T: Config>(bytes: u32) -> Box<<T as frame_system::Config>::RuntimeCall> {
		Box::new(
			SystemCall::remark {
				remark: vec![1; bytes as usize],
			}
			.into(),
		)
	}

	#[benchmark]
	fn enact(b: Linear<1, 60_000>) -> Result<(), BenchmarkError> {
		let call = remark::<T>(b);
		// Not through the origin, of which only a chain knows what makes it.
		#[block]
		{
			Pallet::<T>::do_enact(*call)?;
		}
		assert_eq!(NextEnactment::<T>::get(), 1);
		Ok(())
	}

	/// The check of a call that is not urgent costs as much: which calls are is the runtime's to say.
	#[benchmark]
	fn enact_now(b: Linear<1, 60_000>) -> Result<(), BenchmarkError> {
		let call = remark::<T>(b);
		let refused = !T::Urgent::contains(&call);
		let result;
		#[block]
		{
			result = Pallet::<T>::do_enact_now(*call);
		}
		assert_eq!(result.is_err(), refused);
		Ok(())
	}

	#[benchmark]
	fn cancel() -> Result<(), BenchmarkError> {
		Pallet::<T>::do_enact(*remark::<T>(T::Params::get().max_bytes.min(60_000)))?;
		#[block]
		{
			Pallet::<T>::do_cancel(0)?;
		}
		assert!(Pallet::<T>::do_cancel(0).is_err());
		Ok(())
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
