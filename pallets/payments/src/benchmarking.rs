//! Benchmarks: the worst case of each step.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	economics::Shares,
	limits::{MAX_MEMBERS, MAX_VERIFIERS},
	traits::{Escrow, Pool},
	Balance, ClaimId, JobId,
};
use frame_benchmarking::v2::*;
use frame_support::traits::{
	fungible::{Balanced, Inspect, Mutate},
	Get,
};

const JOB: JobId = JobId([7; 32]);
const CLAIM: ClaimId = ClaimId([8; 32]);

#[benchmarks]
mod benches {
	use super::*;

	fn unit<T: Config>() -> Balance {
		T::Currency::minimum_balance().max(1).saturating_mul(1_000)
	}

	fn rich<T: Config>(name: &'static str, index: u32) -> T::AccountId {
		let who = account(name, index, 0);
		T::Currency::set_balance(&who, unit::<T>().saturating_mul(1_000));
		who
	}

	fn held<T: Config>() -> T::AccountId {
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
	fn settle(v: Linear<0, { MAX_VERIFIERS as u32 }>) {
		held::<T>();
		let (executor, owner) = (rich::<T>("executor", 0), rich::<T>("owner", 0));
		let seats: Vec<_> = (0..v).map(|i| rich::<T>("seat", i)).collect();
		T::Currency::set_balance(&T::PoolAccount::get(), unit::<T>());
		let unit = unit::<T>();
		let shares = Shares {
			executor: unit,
			seat: unit,
			seats: v,
			royalty: unit,
			treasury: unit,
			pool: unit,
			refund: 0,
		};
		#[block]
		{
			<Pallet<T> as Escrow<_>>::settle(&JOB, &shares, &executor, &seats, &owner).expect("it is held; qed");
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
	fn collect() {
		let pool = T::PoolAccount::get();
		T::Currency::set_balance(&pool, unit::<T>());
		let credit = T::Currency::issue(unit::<T>());
		#[block]
		{
			<Pallet<T> as Pool<_>>::collect(credit);
		}
		assert_eq!(T::Currency::balance(&pool), unit::<T>().saturating_mul(2));
	}

	#[benchmark]
	fn pay() {
		T::Currency::set_balance(&T::PoolAccount::get(), unit::<T>().saturating_mul(3));
		let who = rich::<T>("juror", 0);
		let paid;
		#[block]
		{
			paid = <Pallet<T> as Pool<_>>::pay(&who, unit::<T>());
		}
		assert_eq!(paid, unit::<T>());
	}

	#[benchmark]
	fn distribute(n: Linear<0, MAX_MEMBERS>) {
		let payments: Vec<_> = (0..n).map(|i| (rich::<T>("juror", i), unit::<T>())).collect();
		T::Currency::set_balance(&T::Treasury::get(), unit::<T>());
		let credit = T::Currency::issue(unit::<T>().saturating_mul(u128::from(n).saturating_add(1)));
		#[block]
		{
			<Pallet<T> as Pool<_>>::distribute(credit, &payments);
		}
		assert_eq!(T::Currency::balance(&T::Treasury::get()), unit::<T>().saturating_mul(2));
	}

	#[benchmark]
	fn hold_objection() {
		let who = rich::<T>("objector", 0);
		#[block]
		{
			<Pallet<T> as Pool<_>>::hold_objection(&CLAIM, &who, unit::<T>()).expect("the objector is rich; qed");
		}
		assert!(Objections::<T>::contains_key(CLAIM));
	}

	#[benchmark]
	fn spend_objection(n: Linear<0, MAX_MEMBERS>) {
		let payments: Vec<_> = (0..n).map(|i| (rich::<T>("juror", i), unit::<T>())).collect();
		T::Currency::set_balance(&T::Treasury::get(), unit::<T>());
		let bond = unit::<T>().saturating_mul(u128::from(n).saturating_add(1));
		<Pallet<T> as Pool<_>>::hold_objection(&CLAIM, &rich::<T>("objector", 0), bond)
			.expect("the objector is rich; qed");
		#[block]
		{
			<Pallet<T> as Pool<_>>::spend_objection(&CLAIM, &payments, true);
		}
		assert!(!Objections::<T>::contains_key(CLAIM));
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
