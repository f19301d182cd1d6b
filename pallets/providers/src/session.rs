//! The choice of validators: the providers with the largest bonds. Implements the session pallet's `SessionManager`.

use crate::*;
use alloc::vec::Vec;
use core::{cmp::Reverse, marker::PhantomData};
use frame_support::{
	dispatch::DispatchClass,
	traits::{Contains, Get},
};
use sp_runtime::traits::Convert;
use sp_staking::SessionIndex;

impl<T: Config> Pallet<T> {
	/// Returns the validators of the next session, the largest bond first, equal bonds by account: bonded, with session
	/// keys, not jailed, at most `max_validators`.
	///
	/// What faults in inference took of an active bond counts as if it were there, and suspensions do not matter: only an
	/// offence against the consensus or the provider itself ends its time as a validator.
	pub fn validators() -> Vec<T::AccountId> {
		let params = T::Params::get();
		let mut able: Vec<_> = Providers::<T>::iter()
			.filter(|(_, record)| record.seat_weight() >= params.min_bond && record.jailed_until.is_none())
			.filter(|(who, _)| T::SessionKeys::contains(who))
			.map(|(who, record)| (Reverse(record.seat_weight()), who))
			.collect();
		able.sort_unstable();
		able.truncate(params.max_validators as usize);
		able.into_iter().map(|(_, who)| who).collect()
	}

	/// Returns the validators of the next session, or `None`, which keeps those of the last: a chain without validators
	/// stops forever.
	fn next_validators() -> Option<Vec<T::AccountId>> {
		let weight = T::WeightInfo::validators(Providers::<T>::count());
		frame_system::Pallet::<T>::register_extra_weight_unchecked(weight, DispatchClass::Mandatory);
		Some(Self::validators()).filter(|validators| !validators.is_empty())
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
