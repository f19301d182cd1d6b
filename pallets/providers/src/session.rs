//! The choice of validators, by [`assay_primitives::validators`]. Implements the session pallet's `SessionManager`.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	traits::Validators,
	validators::{next_validators, Candidate, SetLimits},
};
use core::marker::PhantomData;
use frame_support::{dispatch::DispatchClass, traits::Get};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::Convert;
use sp_staking::SessionIndex;

impl<T: Config> Pallet<T> {
	/// Returns the accounts that could validate, with their signs of life since a block: bonded, with session keys, not
	/// jailed. Those that sit are among them whatever is left of their bond.
	///
	/// What faults in inference took of an active bond counts as if it were there, and suspensions do not matter: only an
	/// offence against the consensus or the provider itself ends its time as a validator.
	fn candidates(sitting: &[T::AccountId], since: BlockNumberFor<T>) -> Vec<Candidate<T::AccountId>> {
		let params = T::Params::get();
		let mut accounts = ActiveProviders::<T>::get().into_inner();
		// Whoever has unbonded everything is not among the active ones, but leaves with the others that should.
		let unbonded = sitting.iter().filter(|who| !accounts.contains(who));
		let unbonded: Vec<_> = unbonded.cloned().collect();
		accounts.extend(unbonded);
		Self::records(&accounts)
			.filter(|(who, record)| record.jailed_until.is_none() && T::Session::has_keys(who))
			.filter(|(who, record)| record.may_validate(&params) || sitting.contains(who))
			.map(|(who, record)| Candidate {
				weight: record.seat_weight(),
				alive: Self::is_alive_since(&who, &record, since),
				who,
			})
			.collect()
	}

	/// Returns the validators of the session after this one, which begins now, or `None` if they stay the same. So
	/// GRANDPA's set changes only when somebody enters or leaves.
	fn next_validators() -> Option<Vec<T::AccountId>> {
		let bonded = ActiveProviders::<T>::decode_len().unwrap_or(0);
		let weight = T::WeightInfo::validators(u32::try_from(bonded).unwrap_or(u32::MAX));
		frame_system::Pallet::<T>::register_extra_weight_unchecked(weight, DispatchClass::Mandatory);
		let params = T::Params::get();
		let sitting = T::Session::sitting();
		let candidates = Self::candidates(&sitting, SessionStart::<T>::get());
		SessionStart::<T>::put(Self::now());
		let limits = SetLimits {
			min_bond: params.min_bond,
			max_validators: params.max_validators,
		};
		next_validators(candidates, &sitting, &limits)
	}
}

impl<T: Config> pallet_session::SessionManager<T::AccountId> for Pallet<T> {
	fn new_session(_: SessionIndex) -> Option<Vec<T::AccountId>> {
		Self::next_validators()
	}

	fn start_session(_: SessionIndex) {}

	fn end_session(_: SessionIndex) {}
}

impl<T: Config> pallet_session::historical::SessionManager<T::AccountId, ()> for Pallet<T> {
	fn new_session(_: SessionIndex) -> Option<Vec<(T::AccountId, ())>> {
		Self::next_validators().map(|all| all.into_iter().map(|who| (who, ())).collect())
	}

	fn start_session(_: SessionIndex) {}

	fn end_session(_: SessionIndex) {}
}

/// The empty full identification of a validator, for `historical::Config::FullIdentificationOf`.
pub struct UnitIdentification<T>(PhantomData<T>);

impl<T: Config> Convert<T::AccountId, Option<()>> for UnitIdentification<T> {
	fn convert(_: T::AccountId) -> Option<()> {
		Some(())
	}
}
