//! The calls behind the surface in `lib.rs`.

use crate::*;
use assay_primitives::{Balance, ModelId};
use codec::Encode;
use frame_support::{
	ensure,
	traits::{fungible::hold::Mutate as _, tokens::Precision, Get},
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{traits::Saturating, DispatchResult};

impl<T: Config> Pallet<T> {
	pub(crate) fn do_register(owner: T::AccountId, registration: Registration) -> DispatchResult {
		Self::check(&registration)?;
		let model = registration.id;
		let deposit = Self::deposit_of(&registration);
		T::Currency::hold(&HoldReason::Registration.into(), &owner, deposit)?;
		let now = frame_system::Pallet::<T>::block_number();
		Models::<T>::insert(model, ModelRecord::new(registration, owner.clone(), deposit, now));
		Self::deposit_event(Event::Registered { model, owner, deposit });
		Ok(())
	}

	pub(crate) fn do_update_price(
		who: T::AccountId,
		model: ModelId,
		price_in: Balance,
		price_out: Balance,
	) -> DispatchResult {
		let mut record = Self::owned(&who, &model)?;
		ensure!(!record.terms.retired, Error::<T>::Retired);
		record.terms.price_in = price_in;
		record.terms.price_out = price_out;
		Models::<T>::insert(model, record);
		Self::deposit_event(Event::PriceUpdated {
			model,
			price_in,
			price_out,
		});
		Ok(())
	}

	pub(crate) fn do_retire(who: T::AccountId, model: ModelId) -> DispatchResult {
		let mut record = Self::owned(&who, &model)?;
		ensure!(!record.terms.retired, Error::<T>::Retired);
		let now = frame_system::Pallet::<T>::block_number();
		record.terms.retired = true;
		record.retired_at = Some(now);
		Models::<T>::insert(model, record);
		let removable_at = now.saturating_add(T::Params::get().retention);
		Self::deposit_event(Event::Retired { model, removable_at });
		Ok(())
	}

	pub(crate) fn do_remove(who: T::AccountId, model: ModelId) -> DispatchResult {
		let record = Self::owned(&who, &model)?;
		let retired_at = record.retired_at.ok_or(Error::<T>::NotRetired)?;
		let removable_at = retired_at.saturating_add(T::Params::get().retention);
		ensure!(
			frame_system::Pallet::<T>::block_number() >= removable_at,
			Error::<T>::StillRetained
		);
		let owner = record.terms.owner;
		T::Currency::release(
			&HoldReason::Registration.into(),
			&owner,
			record.deposit,
			Precision::Exact,
		)?;
		Models::<T>::remove(model);
		Self::deposit_event(Event::Removed {
			model,
			owner,
			deposit: record.deposit,
		});
		Ok(())
	}

	/// Returns the deposit of a registration.
	pub fn deposit_of(registration: &Registration) -> Balance {
		let params = T::Params::get();
		let bytes = Balance::try_from(registration.encoded_size()).unwrap_or(Balance::MAX);
		params
			.deposit_base
			.saturating_add(params.deposit_per_byte.saturating_mul(bytes))
	}

	/// Checks everything about a registration but its deposit.
	fn check(registration: &Registration) -> DispatchResult {
		let params = T::Params::get();
		let Registration {
			id,
			name,
			architecture,
			context_length,
			prompt_overhead,
			parent,
			..
		} = registration;
		ensure!(!Models::<T>::contains_key(id), Error::<T>::AlreadyRegistered);
		ensure!(is_name(name), Error::<T>::BadName);
		ensure!(is_architecture(architecture), Error::<T>::BadArchitecture);
		ensure!(
			registration.parameters > 0 && registration.weight_bytes > 0,
			Error::<T>::ZeroSize
		);
		ensure!(registration.royalty <= params.royalty_max, Error::<T>::RoyaltyTooHigh);
		ensure!(*context_length > 0, Error::<T>::ZeroContext);
		ensure!(*context_length <= params.max_context, Error::<T>::ContextTooLong);
		ensure!(prompt_overhead < context_length, Error::<T>::OverheadTooLong);
		ensure!(parent.is_none_or(Models::<T>::contains_key), Error::<T>::UnknownParent);
		Ok(())
	}

	/// Returns the entry of a model that `who` owns.
	fn owned(who: &T::AccountId, model: &ModelId) -> Result<ModelRecord<T::AccountId, BlockNumberFor<T>>, Error<T>> {
		let record = Models::<T>::get(model).ok_or(Error::<T>::UnknownModel)?;
		ensure!(record.terms.owner == *who, Error::<T>::NotOwner);
		Ok(record)
	}
}
