//! The providers as the jobs pallet draws, engages and punishes them, and as clients see them.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	api::ProviderView, crypto::InferenceId, draw::Candidate, economics::Fault, traits::ProviderSet, Balance, ModelId,
};
use frame_support::traits::{
	fungible::{hold::Balanced as _, Credit},
	Get, Imbalance,
};
use frame_system::pallet_prelude::BlockNumberFor;

/// Money taken from a bond.
pub type CreditOf<T> = Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

impl<T: Config> ProviderSet<T::AccountId> for Pallet<T> {
	type Credit = CreditOf<T>;

	fn candidates(model: &ModelId) -> Vec<Candidate<T::AccountId>> {
		let (params, now) = (T::Params::get(), Self::now());
		Self::serving(model)
			.filter(|(_, record)| record.is_available(&params, now))
			.map(|(who, record)| Candidate {
				who,
				weight: record.bond,
			})
			.collect()
	}

	fn engage(who: &T::AccountId) {
		Self::change(who, |record| record.load = record.load.saturating_add(1));
	}

	fn release(who: &T::AccountId) {
		Self::change(who, |record| record.load = record.load.saturating_sub(1));
	}

	fn key_of(who: &T::AccountId) -> Option<InferenceId> {
		Providers::<T>::get(who)?.key
	}

	fn owner_of(key: &InferenceId) -> Option<T::AccountId> {
		KeyOwners::<T>::get(key)
	}

	fn serves(who: &T::AccountId) -> Vec<ModelId> {
		Providers::<T>::get(who)
			.map(|record| record.models.into_inner())
			.unwrap_or_default()
	}

	fn heartbeat_due(who: &T::AccountId) -> bool {
		Providers::<T>::get(who).is_some_and(|record| record.is_heartbeat_due(&T::Params::get(), Self::now()))
	}

	fn mark_alive(who: &T::AccountId) {
		Self::change(who, |record| record.last_seen = Some(Self::now()));
	}

	fn punish(who: &T::AccountId, fault: Fault) -> Self::Credit {
		let params = T::Params::get();
		let Some(mut record) = Providers::<T>::get(who) else {
			return CreditOf::<T>::zero();
		};
		let amount = params.rates.slash(fault).mul_floor(record.slashable());
		let credit = Self::slash(who, &mut record, amount);
		Self::deposit_event(Event::Punished {
			provider: who.clone(),
			fault,
			amount: credit.peek(),
		});
		let now = Self::now();
		if record.record_fault(&params, now) {
			let until = record.jail(&params, now);
			Self::deposit_event(Event::Jailed {
				provider: who.clone(),
				until,
			});
		}
		Providers::<T>::insert(who, record);
		credit
	}
}

impl<T: Config> Pallet<T> {
	/// Returns the providers that serve a model, for clients.
	pub fn providers_of(model: ModelId) -> Vec<ProviderView<T::AccountId>> {
		let (params, now) = (T::Params::get(), Self::now());
		Self::serving(&model)
			.map(|(provider, record)| ProviderView {
				provider,
				bond: record.bond,
				capacity: record.capacity,
				load: record.load,
				available: record.is_available(&params, now),
			})
			.collect()
	}

	/// Takes money from a bond. The caller stores the record.
	pub(crate) fn slash(
		who: &T::AccountId,
		record: &mut ProviderRecord<BlockNumberFor<T>>,
		amount: Balance,
	) -> CreditOf<T> {
		let (credit, _) = T::Currency::slash(&HoldReason::Bond.into(), who, amount);
		record.slash(credit.peek());
		credit
	}

	fn change(who: &T::AccountId, change: impl FnOnce(&mut ProviderRecord<BlockNumberFor<T>>)) {
		Providers::<T>::mutate_exists(who, |record| {
			if let Some(record) = record {
				change(record);
			}
		});
	}

	fn serving(model: &ModelId) -> impl Iterator<Item = (T::AccountId, ProviderRecord<BlockNumberFor<T>>)> {
		Serving::<T>::get(model)
			.into_iter()
			.filter_map(|who| Providers::<T>::get(&who).map(|record| (who, record)))
	}
}
