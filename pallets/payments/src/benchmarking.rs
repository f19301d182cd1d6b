//! Benchmarks: the worst case of each step.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{economics::Shares, limits::MAX_COMMITTEE, traits::Escrow, Balance, JobId};
use frame_benchmarking::v2::*;
use frame_support::traits::{
	fungible::{Balanced, Inspect, Mutate},
	Get,
};

const JOB: JobId = JobId([7; 32]);

#[benchmarks(where T::Currency: Mutate<T::AccountId>)]
mod benches {
	use super::*;

	fn unit<T: Config>() -> Balance {
		T::Currency::minimum_balance().max(1).saturating_mul(1_000)
	}

	fn rich<T: Config>(name: &'static str, index: u32) -> T::AccountId
	where
		T::Currency: Mutate<T::AccountId>,
	{
		let who = account(name, index, 0);
		T::Currency::set_balance(&who, unit::<T>().saturating_mul(1_000));
		who
	}

	fn held<T: Config>() -> T::AccountId
	where
		T::Currency: Mutate<T::AccountId>,
	{
		let payer = rich::<T>("payer", 0);
		<Pallet<T> as Escrow<_>>::hold(JOB, &payer, unit::<T>().saturating_mul(100), unit::<T>())
			.expect("the payer is rich; qed");
		payer
	}

	#[benchmark]
	fn hold() {
		let payer = rich::<T>("payer", 0);
		let fee_ceiling = unit::<T>();
		#[block]
		{
			<Pallet<T> as Escrow<_>>::hold(JOB, &payer, fee_ceiling, fee_ceiling).expect("the payer is rich; qed");
		}
		assert!(Escrows::<T>::contains_key(JOB));
	}

	#[benchmark]
	fn settle(v: Linear<0, { MAX_COMMITTEE - 1 }>) {
		held::<T>();
		let (executor, owner) = (rich::<T>("executor", 0), rich::<T>("owner", 0));
		let verifiers: Vec<_> = (0..v).map(|i| rich::<T>("verifier", i)).collect();
		let unit = unit::<T>();
		let shares = Shares {
			executor: unit,
			verifier: unit,
			royalty: unit,
			treasury: unit,
			refund: 0,
		};
		#[block]
		{
			<Pallet<T> as Escrow<_>>::settle(&JOB, &shares, &executor, &verifiers, &owner).expect("it is held; qed");
		}
		assert_eq!(Escrows::<T>::get(JOB).map(|record| record.fee_ceiling), Some(0));
	}

	#[benchmark]
	fn refund() {
		held::<T>();
		#[block]
		{
			<Pallet<T> as Escrow<_>>::refund(&JOB).expect("it is held; qed");
		}
		assert_eq!(Escrows::<T>::get(JOB).map(|record| record.fee_ceiling), Some(0));
	}

	#[benchmark]
	fn restitute() {
		let payer = held::<T>();
		T::Currency::set_balance(&T::Treasury::get(), unit::<T>());
		let before = T::Currency::total_balance(&payer);
		let slashed = T::Currency::issue(unit::<T>().saturating_mul(2));
		#[block]
		{
			<Pallet<T> as Escrow<_>>::restitute(&JOB, slashed, unit::<T>());
		}
		assert_eq!(T::Currency::total_balance(&payer), before.saturating_add(unit::<T>()));
	}

	#[benchmark]
	fn close() {
		held::<T>();
		<Pallet<T> as Escrow<_>>::refund(&JOB).expect("it is held; qed");
		#[block]
		{
			<Pallet<T> as Escrow<_>>::close(&JOB).expect("it is held; qed");
		}
		assert!(!Escrows::<T>::contains_key(JOB));
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
