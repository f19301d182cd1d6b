//! Active providers, those with an active bond: who joins them, and who makes way for a larger one.

use crate::*;
use assay_primitives::{traits::Validators, Balance};
use frame_support::{traits::Get, weights::Weight};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::Saturating;

/// How a provider joined the active ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
	/// There was room, or it was there already.
	Room,
	/// Another provider made way.
	Evicted,
}

impl Joined {
	/// Returns the weight of joining, besides that of the call.
	pub(crate) fn weight<T: Config>(self) -> Weight {
		match self {
			Self::Room => Weight::zero(),
			Self::Evicted => T::WeightInfo::evict(),
		}
	}
}

impl<T: Config> Pallet<T> {
	/// Puts a provider with this active bond among the active ones, if it is not there. If the list is full, another one
	/// makes way.
	///
	/// Bonds change with every fine, and a full list is joined seldom. So the smallest bond is searched for then, rather
	/// than the list sorted again whenever a bond changes.
	pub(crate) fn join_active(who: &T::AccountId, bond: Balance) -> Result<Joined, Error<T>> {
		let mut active = ActiveProviders::<T>::get();
		if active.contains(who) {
			return Ok(Joined::Room);
		}
		let mut joined = Joined::Room;
		if active.try_push(who.clone()).is_err() {
			let evicted = Self::evictable(&active, bond).ok_or(Error::<T>::TooManyProviders)?;
			Self::evict(evicted.clone(), who);
			active.retain(|other| *other != evicted);
			active.try_push(who.clone()).map_err(|_| Error::<T>::TooManyProviders)?;
			joined = Joined::Evicted;
		}
		ActiveProviders::<T>::put(active);
		Ok(joined)
	}

	/// Takes a provider off the list of active ones.
	pub(crate) fn leave_active(who: &T::AccountId) {
		ActiveProviders::<T>::mutate(|active| active.retain(|other| other != who));
	}

	/// Returns who makes way for this bond: whoever was absent too long, or else has a smaller bond, the smallest of them
	/// first, equal bonds by account. Nobody makes way who validates, is suspended, executes a job, or was given work that it
	/// may not have done yet.
	fn evictable(active: &[T::AccountId], bond: Balance) -> Option<T::AccountId> {
		let params = T::Params::get();
		let sitting = T::Session::sitting();
		Self::records(active)
			.filter(|(who, record)| !sitting.contains(who) && record.is_idle(Self::block(), &params))
			.map(|(who, record)| (!Self::is_absent(&who, &params), record.bond, who))
			.filter(|(present, other, _)| !*present || *other < bond)
			.min()
			.map(|(_, _, who)| who)
	}

	/// Starts unbonding all of a provider's bond, as if it left. The caller changes the list.
	pub(crate) fn evict(who: T::AccountId, by: &T::AccountId) {
		let Some(mut record) = Providers::<T>::get(&who) else {
			return;
		};
		let withdrawable_at = Self::now().saturating_add(Self::unbonding_period());
		let amount = record.unlock_all(withdrawable_at);
		for model in core::mem::take(&mut record.models) {
			Self::leave_model(&who, model);
		}
		Providers::<T>::insert(&who, record);
		Endpoints::<T>::remove(&who);
		TotalBond::<T>::mutate(|total| *total = total.saturating_sub(amount));
		Self::deposit_event(Event::Evicted {
			provider: who.clone(),
			by: by.clone(),
		});
		if amount > 0 {
			Self::deposit_event(Event::Unbonded {
				provider: who,
				amount,
				withdrawable_at,
			});
		}
	}

	/// Returns whether a provider was not eligible for so long that it loses its places in lists.
	pub(crate) fn is_absent(who: &T::AccountId, params: &ProviderParams<BlockNumberFor<T>>) -> bool {
		AbsentSince::<T>::get(who).is_some_and(|since| Self::now().saturating_sub(since) >= params.absence_limit)
	}

	/// Returns the blocks between unbonding and withdrawing.
	pub fn unbonding_period() -> BlockNumberFor<T> {
		UnbondingPeriod::<T>::get().unwrap_or_else(|| T::Params::get().unbonding_period)
	}
}
