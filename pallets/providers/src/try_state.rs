//! What must hold after every block.

use crate::*;
use assay_primitives::{endpoint, Balance};
use frame_support::{ensure, traits::fungible::hold::Inspect as _};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks that holds equal the records, that the lists by key and by model agree with them, and that electorates are
	/// well-formed.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let (mut keys, mut served, mut bonds) = (0usize, 0usize, Balance::default());
		let active = ActiveProviders::<T>::get();
		for (who, record) in Providers::<T>::iter() {
			let held = T::Currency::balance_on_hold(&HoldReason::Bond.into(), &who);
			ensure!(held == record.slashable(), "the hold is the record's slashable bond");
			ensure!(record.capacity <= MAX_CAPACITY, "capacities keep to the limit");
			ensure!(
				!(record.ready && record.is_suspended()),
				"no suspended provider is ready"
			);
			bonds = bonds.saturating_add(record.bond);
			let listed_active = active.iter().filter(|other| **other == who).count();
			ensure!(listed_active <= 1, "a provider is among the active ones once");
			ensure!(
				listed_active == 1 || record.bond == 0,
				"a provider with an active bond is among the active ones"
			);
			ensure!(
				record.unlocking.iter().all(|chunk| chunk.amount > 0),
				"no unbonding chunk is empty"
			);
			if let Some(key) = &record.key {
				ensure!(
					KeyOwners::<T>::get(key).as_ref() == Some(&who),
					"a provider's key is listed as its own"
				);
				keys = keys.saturating_add(1);
			}
			for model in &record.models {
				let listed = Serving::<T>::get(model).iter().filter(|other| **other == who).count();
				ensure!(listed == 1, "a provider is listed once for each model it serves");
				served = served.saturating_add(1);
			}
		}
		ensure!(
			KeyOwners::<T>::iter_keys().count() == keys,
			"every listed key is a provider's"
		);
		ensure!(
			active.iter().all(Providers::<T>::contains_key),
			"everybody among the active ones is a provider"
		);
		ensure!(
			Endpoints::<T>::iter().all(|(who, url)| Providers::<T>::contains_key(who) && endpoint::check(&url).is_ok()),
			"endpoints are URLs of providers"
		);
		ensure!(
			SignsOfLife::<T>::iter_keys().all(Providers::<T>::contains_key),
			"signs of life are of providers"
		);
		ensure!(
			AbsentSince::<T>::iter_keys().all(Providers::<T>::contains_key),
			"whoever is absent is a provider"
		);
		let listed = Serving::<T>::iter_values().fold(0usize, |sum, list| sum.saturating_add(list.len()));
		ensure!(listed == served, "every listed provider serves the model");
		for (model, least) in LeastPrices::<T>::iter() {
			let serving = Serving::<T>::get(model);
			ensure!(
				!least.is_empty() && least.keys().all(|who| serving.contains(who)),
				"only providers of a model have least prices for it"
			);
		}
		for (model, outages) in Outages::<T>::iter() {
			let serving = Serving::<T>::get(model);
			ensure!(
				!outages.is_empty() && outages.keys().all(|who| serving.contains(who)),
				"only providers of a model have outages of it"
			);
		}
		ensure!(
			TotalBond::<T>::get() == bonds,
			"the total is the sum of all active bonds"
		);
		ensure!(
			Serving::<T>::iter_keys().all(Electorates::<T>::contains_key),
			"every served model has an electorate"
		);
		for electorate in Electorates::<T>::iter_values() {
			let Electorate { in_force, next } = electorate;
			ensure!(
				next.as_ref().is_none_or(|next| in_force.sealed_at <= next.sealed_at),
				"seals are in the order of their blocks"
			);
			ensure!(
				in_force.is_sorted() && next.is_none_or(|next| next.is_sorted()),
				"seals are sorted"
			);
		}
		Ok(())
	}
}
