//! Electorates: who is sealed, when, and which seal is in force.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{draw::Member, ModelId};
use frame_support::{traits::Get, weights::Weight};
use frame_system::pallet_prelude::BlockNumberFor;

/// Providers whose absence one seal records, or ends, or that it takes off the model's list. Others have their turn at the
/// model's next seal.
pub(crate) const MAX_SWEPT: usize = 16;

impl<T: Config> Pallet<T> {
	/// Seals the electorates that are due, in the order of storage, at most `max_seals_per_block` of them. Returns the
	/// weight.
	///
	/// It waits at the first one that is not due: those behind it were sealed after it. So every electorate is sealed as
	/// soon as its last seal is in force, or as soon as all others had their turn.
	pub(crate) fn seal_due() -> Weight {
		let now = Self::block();
		let mut weight = Weight::zero();
		for _ in 0..T::Params::get().max_seals_per_block {
			weight = weight.saturating_add(T::WeightInfo::find_electorate());
			let due = Self::next_electorate().filter(|(_, electorate)| electorate.may_seal(now));
			let Some((model, electorate)) = due else { break };
			let listed = Serving::<T>::decode_len(model).unwrap_or(0);
			let heads = u32::try_from(listed).unwrap_or(u32::MAX);
			weight = weight.saturating_add(T::WeightInfo::seal(heads));
			let serving = Self::sweep(model);
			let sealed = electorate.seal(Self::seal_of(&model, &serving));
			if serving.is_empty() && sealed.is_empty() {
				Electorates::<T>::remove(model);
			} else {
				Electorates::<T>::insert(model, sealed);
			}
			LastSealed::<T>::put(model);
		}
		weight
	}

	/// Takes those off a model's list who were not eligible for too long, whenever one of their models was sealed. Returns
	/// those that stay. Whoever was taken off serves the model again by the call.
	fn sweep(model: ModelId) -> Vec<T::AccountId> {
		let (params, now) = (T::Params::get(), Self::now());
		let mut serving = Serving::<T>::get(model).into_inner();
		let news: Vec<_> = Self::records(&serving)
			.filter_map(|(who, record)| {
				let present = record.is_eligible(&params, now);
				let known_absent = AbsentSince::<T>::contains_key(&who);
				(present == known_absent || (known_absent && Self::is_absent(&who, &params))).then_some((who, present))
			})
			.take(MAX_SWEPT)
			.collect();
		for (who, present) in news {
			if present {
				AbsentSince::<T>::remove(&who);
			} else if Self::is_absent(&who, &params) {
				serving.retain(|other| *other != who);
				Self::change(&who, |record| record.models.retain(|served| *served != model));
				Self::leave_model(&who, model);
			} else {
				AbsentSince::<T>::insert(&who, now);
			}
		}
		serving
	}

	/// Seals the electorates of the genesis block, which are in force at once.
	pub(crate) fn seal_genesis() {
		for (model, serving) in Serving::<T>::iter() {
			let in_force = Self::seal_of(&model, &serving);
			Electorates::<T>::insert(model, Electorate { in_force, next: None });
		}
	}

	/// Returns the seal of a model that is in force now.
	pub(crate) fn seal_in_force(model: &ModelId) -> Option<Seal<T::AccountId>> {
		Electorates::<T>::get(model).map(|electorate| electorate.in_force(Self::block()))
	}

	/// Returns the electorate whose turn is next.
	fn next_electorate() -> Option<(ModelId, Electorate<T::AccountId>)> {
		let after = LastSealed::<T>::get()
			.and_then(|last| Electorates::<T>::iter_from(Electorates::<T>::hashed_key_for(last)).next());
		after.or_else(|| Electorates::<T>::iter().next())
	}

	/// Seals those of a model's providers that are eligible now and whose engines serve it, with their least prices.
	pub(crate) fn seal_of(model: &ModelId, serving: &[T::AccountId]) -> Seal<T::AccountId> {
		let (params, now) = (T::Params::get(), Self::now());
		let outages = Outages::<T>::get(model);
		let eligible = Self::records(serving)
			.filter(|(who, record)| record.is_eligible(&params, now) && !outages.contains_key(who))
			.map(|(who, record)| Member {
				who,
				stake: record.bond,
			})
			.collect();
		Seal::new(Self::block(), eligible).at_least(LeastPrices::<T>::get(model))
	}

	/// Returns the records of a model's providers.
	pub(crate) fn records(
		serving: &[T::AccountId],
	) -> impl Iterator<Item = (T::AccountId, ProviderRecord<BlockNumberFor<T>>)> + '_ {
		serving
			.iter()
			.filter_map(|who| Providers::<T>::get(who).map(|record| (who.clone(), record)))
	}
}
