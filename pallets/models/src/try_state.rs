//! What must hold after every block.

use crate::*;
use alloc::collections::BTreeMap;
use assay_primitives::{Balance, ModelId};
use frame_support::{ensure, traits::fungible::hold::Inspect as _};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks that models and listings agree, and that every owner's hold is the sum of its deposits.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let mut deposits = BTreeMap::<T::AccountId, Balance>::new();
		let mut counts = BTreeMap::<ModelId, (u32, usize)>::new();
		for (id, listing) in Listings::<T>::iter() {
			ensure!(id < NextListing::<T>::get(), "the next listing gets a name of its own");
			let (all, active) = counts.entry(listing.model).or_default();
			*all = all.saturating_add(1);
			*active = active.saturating_add(listing.retired_at.is_none().into());
			let sum = deposits.entry(listing.owner).or_default();
			*sum = sum.saturating_add(listing.deposit);
		}
		for (id, record) in Models::<T>::iter() {
			let (all, active) = counts.remove(&id).unwrap_or_default();
			ensure!(
				all > 0 && record.listings == all,
				"a model has as many listings as it counts"
			);
			ensure!(
				record.active.len() == active,
				"a model's list has every listing that takes jobs"
			);
			ensure!(
				record.active.is_sorted_by(|a, b| a < b),
				"the oldest listing comes first"
			);
			for listing in &record.active {
				let listing = Listings::<T>::get(listing).ok_or("a listing in a model's list exists")?;
				ensure!(
					listing.model == id && listing.retired_at.is_none(),
					"a model's list has its own listings that take jobs"
				);
			}
			ensure!(record.facts.context_length > 0, "every model has a context");
			ensure!(record.facts.parameters > 0, "every model has a size");
		}
		ensure!(counts.is_empty(), "every listing is of a registered model");
		for (owner, deposit) in deposits {
			let held = T::Currency::balance_on_hold(&HoldReason::Listing.into(), &owner);
			ensure!(held == deposit, "an owner's hold is the sum of its deposits");
		}
		Ok(())
	}
}
