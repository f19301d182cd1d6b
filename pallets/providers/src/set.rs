//! The providers as other pallets draw them and give them work, and as clients see them.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	api::ProviderView,
	crypto::InferenceId,
	draw::SealedMember,
	rules::{work_blocks, WorkUnits},
	traits::ProviderSet,
	Balance, ModelId,
};
use frame_support::{traits::Get, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;

impl<T: Config> ProviderSet<T::AccountId> for Pallet<T> {
	fn sealed(model: &ModelId) -> Vec<SealedMember<T::AccountId>> {
		Self::seal_in_force(model).map(Seal::sealed_members).unwrap_or_default()
	}

	fn chain_stake() -> Balance {
		TotalBond::<T>::get()
	}

	fn has_free_place(who: &T::AccountId, model: &ModelId) -> bool {
		Providers::<T>::get(who)
			.is_some_and(|record| record.models.contains(model) && record.is_available(&T::Params::get(), Self::now()))
			&& !Self::has_outage(who, model)
	}

	fn engage(who: &T::AccountId, work: WorkUnits) -> u32 {
		Self::change(who, |record| {
			record.load = record.load.saturating_add(1);
			Self::add_work(record, work)
		})
		.unwrap_or_else(|| Self::blocks_for(work))
	}

	fn release(who: &T::AccountId, unused: WorkUnits) {
		Self::change(who, |record| {
			record.load = record.load.saturating_sub(1);
			record
				.backlog
				.take_off(Self::block(), unused, T::Params::get().least_speed);
		});
	}

	fn give_work(who: &T::AccountId, work: WorkUnits) -> u32 {
		Self::change(who, |record| Self::add_work(record, work)).unwrap_or_else(|| Self::blocks_for(work))
	}

	fn blocks_for(work: WorkUnits) -> u32 {
		work_blocks(0, work, T::Params::get().least_speed)
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

	fn sign_of_life_due(who: &T::AccountId) -> bool {
		Self::is_sign_of_life_due(who)
	}

	fn note_sign_of_life(who: &T::AccountId) {
		Self::do_note_sign_of_life(who);
	}

	fn outage_due(who: &T::AccountId, model: &ModelId, over: bool) -> bool {
		Self::is_outage_due(who, model, over)
	}

	fn note_outage(who: &T::AccountId, model: &ModelId, over: bool) {
		Self::do_note_outage(who, *model, over);
	}
}

impl<T: Config> Pallet<T> {
	/// Returns the providers that serve a model, for clients.
	pub fn providers_of(model: ModelId) -> Vec<ProviderView<T::AccountId>> {
		let (params, now) = (T::Params::get(), Self::now());
		let serving = Serving::<T>::get(model);
		let next = Self::seal_of(&model, &serving);
		let least = LeastPrices::<T>::get(model);
		let outages = Outages::<T>::get(model);
		let sealed = Self::seal_in_force(&model);
		Self::records(&serving)
			.map(|(provider, record)| ProviderView {
				bond: record.bond,
				capacity: record.capacity,
				load: record.load,
				sealed: sealed.as_ref().and_then(|seal| seal.stake_of(&provider)).unwrap_or(0),
				ready: next.stake_of(&provider).is_some(),
				available: record.is_available(&params, now) && !outages.contains_key(&provider),
				least: least.get(&provider).copied().unwrap_or_default(),
				endpoint: Self::endpoint_of(&provider),
				provider,
			})
			.collect()
	}

	/// Returns where a provider's node serves the streams of its drafts.
	pub fn endpoint_of(who: &T::AccountId) -> Option<Vec<u8>> {
		Endpoints::<T>::get(who).map(BoundedVec::into_inner)
	}

	fn add_work(record: &mut ProviderRecord<BlockNumberFor<T>>, work: WorkUnits) -> u32 {
		record.backlog.add(Self::block(), work, T::Params::get().least_speed)
	}

	/// Changes a provider's record, if there is one.
	pub(crate) fn change<R>(
		who: &T::AccountId,
		change: impl FnOnce(&mut ProviderRecord<BlockNumberFor<T>>) -> R,
	) -> Option<R> {
		Providers::<T>::mutate_exists(who, |record| record.as_mut().map(change))
	}
}
