//! The calls behind the surface in `lib.rs`.

use crate::{active::Joined, *};
use alloc::vec::Vec;
use assay_primitives::{
	crypto::{possession_message, InferenceId, InferenceSignature},
	endpoint::{self, EndpointError},
	limits::MAX_ENDPOINT_BYTES,
	model::Prices,
	traits::ModelCatalog,
	Balance, ModelId,
};
use frame_support::{
	ensure,
	traits::{fungible::hold::Mutate as _, tokens::Precision, ConstU32, Get},
	BoundedVec,
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_application_crypto::RuntimeAppPublic;
use sp_runtime::{
	traits::{Saturating, UniqueSaturatedInto, Zero},
	DispatchError, DispatchResult,
};

type RecordOf<T> = ProviderRecord<BlockNumberFor<T>>;

impl<T: Config> Pallet<T> {
	pub(crate) fn do_bond(who: T::AccountId, amount: Balance) -> Result<Joined, DispatchError> {
		ensure!(!Providers::<T>::contains_key(&who), Error::<T>::AlreadyBonded);
		ensure!(amount >= T::Params::get().min_bond, Error::<T>::BondTooSmall);
		let joined = Self::join_active(&who, amount)?;
		T::Currency::hold(&HoldReason::Bond.into(), &who, amount)?;
		Providers::<T>::insert(&who, RecordOf::<T>::new(amount));
		TotalBond::<T>::mutate(|total| *total = total.saturating_add(amount));
		Self::deposit_event(Event::Bonded {
			provider: who,
			amount,
			bond: amount,
		});
		Ok(joined)
	}

	pub(crate) fn do_bond_extra(who: T::AccountId, amount: Balance) -> Result<Joined, DispatchError> {
		let mut record = Self::record(&who)?;
		ensure!(amount > 0, Error::<T>::ZeroAmount);
		record.add_bond(amount);
		ensure!(record.bond >= T::Params::get().min_bond, Error::<T>::BondTooSmall);
		let joined = Self::join_active(&who, record.bond)?;
		T::Currency::hold(&HoldReason::Bond.into(), &who, amount)?;
		TotalBond::<T>::mutate(|total| *total = total.saturating_add(amount));
		Self::deposit_event(Event::Bonded {
			provider: who.clone(),
			amount,
			bond: record.bond,
		});
		Providers::<T>::insert(&who, record);
		Ok(joined)
	}

	pub(crate) fn do_unbond(who: T::AccountId, amount: Balance) -> DispatchResult {
		let params = T::Params::get();
		let mut record = Self::record(&who)?;
		ensure!(!record.is_suspended(), Error::<T>::Suspended);
		ensure!(amount > 0, Error::<T>::ZeroAmount);
		let left = record.bond.checked_sub(amount).ok_or(Error::<T>::NotEnoughBond)?;
		ensure!(left == 0 || left >= params.min_bond, Error::<T>::BondTooSmall);
		let withdrawable_at = Self::now().saturating_add(Self::unbonding_period());
		ensure!(record.unlock(amount, withdrawable_at), Error::<T>::TooManyChunks);
		if left == 0 {
			for model in core::mem::take(&mut record.models) {
				Self::leave_model(&who, model);
			}
			Self::leave_active(&who);
		}
		Providers::<T>::insert(&who, record);
		TotalBond::<T>::mutate(|total| *total = total.saturating_sub(amount));
		Self::deposit_event(Event::Unbonded {
			provider: who,
			amount,
			withdrawable_at,
		});
		Ok(())
	}

	pub(crate) fn do_withdraw(who: T::AccountId) -> DispatchResult {
		let now = Self::now();
		let mut record = Self::record(&who)?;
		ensure!(!record.is_suspended(), Error::<T>::Suspended);
		let amount = record.withdraw(now);
		// After a total slash nothing is left to withdraw, but the empty record can be removed.
		let empty = record.slashable().is_zero();
		ensure!(amount > 0 || empty, Error::<T>::NothingToWithdraw);
		if empty {
			ensure!(record.load == 0, Error::<T>::JobsRunning);
			ensure!(
				record.jailed_until.is_none_or(|until| until <= now),
				Error::<T>::StillJailed
			);
		}
		T::Currency::release(&HoldReason::Bond.into(), &who, amount, Precision::Exact)?;
		if amount > 0 {
			Self::deposit_event(Event::Withdrawn {
				provider: who.clone(),
				amount,
			});
		}
		if empty {
			for model in record.models {
				Self::leave_model(&who, model);
			}
			if let Some(key) = record.key {
				KeyOwners::<T>::remove(key);
			}
			Self::leave_active(&who);
			Endpoints::<T>::remove(&who);
			SignsOfLife::<T>::remove(&who);
			AbsentSince::<T>::remove(&who);
			Providers::<T>::remove(&who);
			Self::deposit_event(Event::Left { provider: who });
		} else {
			Providers::<T>::insert(&who, record);
		}
		Ok(())
	}

	pub(crate) fn do_set_inference_key(
		who: T::AccountId,
		key: InferenceId,
		proof: InferenceSignature,
	) -> DispatchResult {
		let mut record = Self::record(&who)?;
		ensure!(
			KeyOwners::<T>::get(&key).is_none_or(|owner| owner == who),
			Error::<T>::KeyTaken
		);
		let message = possession_message(&T::GenesisHash::get(), &who);
		ensure!(key.verify(&message, &proof), Error::<T>::BadProof);
		Self::set_key(&who, &mut record, key.clone());
		Providers::<T>::insert(&who, record);
		Self::deposit_event(Event::InferenceKeySet { provider: who, key });
		Ok(())
	}

	pub(crate) fn do_serve(who: T::AccountId, model: ModelId, least: Prices) -> DispatchResult {
		let mut record = Self::record(&who)?;
		// The list of a model is bounded: only bonds that can be sealed may take a place.
		ensure!(record.bond >= T::Params::get().min_bond, Error::<T>::BondTooSmall);
		let listings = T::Catalog::listings(&model).ok_or(Error::<T>::UnknownModel)?;
		ensure!(!listings.is_empty(), Error::<T>::RetiredModel);
		ensure!(!record.models.contains(&model), Error::<T>::AlreadyServing);
		record.models.try_push(model).map_err(|_| Error::<T>::TooManyModels)?;
		Self::join_model(&who, record.bond, model)?;
		AbsentSince::<T>::remove(&who);
		Providers::<T>::insert(&who, record);
		Self::store_least_price(who.clone(), model, least)?;
		Self::deposit_event(Event::ServingStarted { provider: who, model });
		Ok(())
	}

	pub(crate) fn do_set_least_price(who: T::AccountId, model: ModelId, least: Prices) -> DispatchResult {
		let record = Self::record(&who)?;
		ensure!(record.models.contains(&model), Error::<T>::NotServing);
		Self::store_least_price(who, model, least)
	}

	/// Stores the least price of a provider that serves the model. That of who executes at any price is not stored.
	fn store_least_price(who: T::AccountId, model: ModelId, least: Prices) -> DispatchResult {
		LeastPrices::<T>::try_mutate_exists(model, |stored| {
			let mut all = stored.take().unwrap_or_default();
			if least == Prices::default() {
				all.remove(&who);
			} else {
				all.try_insert(who.clone(), least)
					.map_err(|_| Error::<T>::TooManyForModel)?;
			}
			*stored = Some(all).filter(|all| !all.is_empty());
			Ok::<_, Error<T>>(())
		})?;
		Self::deposit_event(Event::LeastPriceSet {
			provider: who,
			model,
			least,
		});
		Ok(())
	}

	/// Lists a provider of a model. In a full list it takes the place of the smallest bond, if its own is larger:
	/// otherwise small bonds could keep a large one out.
	fn join_model(who: &T::AccountId, bond: Balance, model: ModelId) -> DispatchResult {
		let mut serving = Serving::<T>::get(model);
		if serving.try_push(who.clone()).is_err() {
			let smallest = Self::bonds_of(&serving)
				.min()
				.filter(|(least, _)| *least < bond)
				.map(|(_, other)| other)
				.ok_or(Error::<T>::TooManyForModel)?;
			Self::do_stop_serving(smallest, model)?;
			serving = Serving::<T>::get(model);
			serving.try_push(who.clone()).map_err(|_| Error::<T>::TooManyForModel)?;
		}
		Serving::<T>::insert(model, serving);
		if !Electorates::<T>::contains_key(model) {
			Electorates::<T>::insert(model, Electorate::new(Self::block()));
		}
		Ok(())
	}

	fn bonds_of(serving: &[T::AccountId]) -> impl Iterator<Item = (Balance, T::AccountId)> + '_ {
		let bond = |who: &T::AccountId| Providers::<T>::get(who).map_or(0, |record| record.bond);
		serving.iter().map(move |who| (bond(who), who.clone()))
	}

	pub(crate) fn do_stop_serving(who: T::AccountId, model: ModelId) -> DispatchResult {
		let mut record = Self::record(&who)?;
		ensure!(record.models.contains(&model), Error::<T>::NotServing);
		record.models.retain(|served| *served != model);
		Providers::<T>::insert(&who, record);
		Self::leave_model(&who, model);
		Ok(())
	}

	pub(crate) fn do_set_capacity(who: T::AccountId, capacity: u32) -> DispatchResult {
		let mut record = Self::record(&who)?;
		ensure!(capacity <= MAX_CAPACITY, Error::<T>::CapacityTooHigh);
		record.capacity = capacity;
		Providers::<T>::insert(&who, record);
		Self::deposit_event(Event::CapacitySet {
			provider: who,
			capacity,
		});
		Ok(())
	}

	pub(crate) fn do_set_endpoint(who: T::AccountId, endpoint: Vec<u8>) -> DispatchResult {
		ensure!(Providers::<T>::contains_key(&who), Error::<T>::NotBonded);
		if endpoint.is_empty() {
			Endpoints::<T>::remove(&who);
		} else {
			endpoint::check(&endpoint).map_err(|error| match error {
				EndpointError::TooLong => Error::<T>::EndpointTooLong,
				_ => Error::<T>::BadEndpoint,
			})?;
			let bounded = BoundedVec::<_, ConstU32<MAX_ENDPOINT_BYTES>>::try_from(endpoint.clone())
				.map_err(|_| Error::<T>::EndpointTooLong)?;
			Endpoints::<T>::insert(&who, bounded);
		}
		Self::deposit_event(Event::EndpointSet {
			provider: who,
			endpoint,
		});
		Ok(())
	}

	pub(crate) fn do_unjail(who: T::AccountId) -> DispatchResult {
		let mut record = Self::record(&who)?;
		let until = record.jailed_until.ok_or(Error::<T>::NotJailed)?;
		ensure!(until <= Self::now(), Error::<T>::StillJailed);
		record.jailed_until = None;
		Providers::<T>::insert(&who, record);
		Self::deposit_event(Event::Unjailed { provider: who });
		Ok(())
	}

	pub(crate) fn do_ready(who: T::AccountId) -> DispatchResult {
		let mut record = Self::record(&who)?;
		ensure!(!record.is_suspended(), Error::<T>::Suspended);
		ensure!(!record.ready, Error::<T>::AlreadyReady);
		record.ready = true;
		Providers::<T>::insert(&who, record);
		Self::deposit_event(Event::Ready { provider: who });
		Ok(())
	}

	/// Builds a provider of the genesis block: bonded, keyed, serving, alive. No proof of possession: whoever writes
	/// the genesis is trusted with more than that.
	pub(crate) fn build_provider(provider: &GenesisProvider<T::AccountId>) -> DispatchResult {
		let GenesisProvider {
			account,
			bond,
			inference_key,
			models,
			capacity,
		} = provider;
		Self::do_bond(account.clone(), *bond)?;
		Self::do_set_capacity(account.clone(), *capacity)?;
		for model in models {
			Self::do_serve(account.clone(), *model, Prices::default())?;
		}
		ensure!(!KeyOwners::<T>::contains_key(inference_key), Error::<T>::KeyTaken);
		let mut record = Self::record(account)?;
		Self::set_key(account, &mut record, inference_key.clone());
		record.last_seen = Some(Self::now());
		Providers::<T>::insert(account, record);
		Ok(())
	}

	fn set_key(who: &T::AccountId, record: &mut RecordOf<T>, key: InferenceId) {
		if let Some(before) = record.key.replace(key.clone()) {
			KeyOwners::<T>::remove(before);
		}
		KeyOwners::<T>::insert(key, who);
	}

	pub(crate) fn leave_model(who: &T::AccountId, model: ModelId) {
		Serving::<T>::mutate_exists(model, |serving| {
			if let Some(list) = serving {
				list.retain(|other| other != who);
				if list.is_empty() {
					*serving = None;
				}
			}
		});
		LeastPrices::<T>::mutate_exists(model, |least| {
			*least = least.take().and_then(|mut all| {
				all.remove(who);
				Some(all).filter(|all| !all.is_empty())
			});
		});
		Self::forget_outage(who, model);
		Self::deposit_event(Event::ServingStopped {
			provider: who.clone(),
			model,
		});
	}

	fn record(who: &T::AccountId) -> Result<RecordOf<T>, Error<T>> {
		Providers::<T>::get(who).ok_or(Error::<T>::NotBonded)
	}

	pub(crate) fn now() -> BlockNumberFor<T> {
		frame_system::Pallet::<T>::block_number()
	}

	/// Returns the block number as the rules count it.
	pub(crate) fn block() -> u32 {
		Self::now().unique_saturated_into()
	}
}
