//! Migrations of the catalog's storage.

use crate::*;
use alloc::vec;
use assay_primitives::{
	model::{Architecture, ModelFacts, ModelName, Prices, Profile},
	Balance, ListingId, ModelId,
};
use codec::{Decode, Encode};
use core::marker::PhantomData;
use frame_support::{
	migrations::VersionedMigration,
	traits::{Get, UncheckedOnRuntimeUpgrade},
	weights::Weight,
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{traits::Convert, Permill};

/// From one entry a model to listings: what was stated of a model becomes its facts, and its terms become one listing.
pub type V1ToV2<T> = VersionedMigration<1, 2, V1ToV2Unchecked<T>, Pallet<T>, <T as frame_system::Config>::DbWeight>;

/// [`V1ToV2`] without the check of the version.
pub struct V1ToV2Unchecked<T>(PhantomData<T>);

/// The terms of an entry in version 1.
#[derive(Encode, Decode)]
pub(crate) struct OldTerms<AccountId> {
	pub(crate) owner: AccountId,
	pub(crate) parameters: u64,
	pub(crate) price_in: Balance,
	pub(crate) price_out: Balance,
	pub(crate) royalty: Permill,
	pub(crate) context_length: u32,
	pub(crate) prompt_overhead: u32,
	pub(crate) retired: bool,
}

/// An entry in version 1.
#[derive(Encode, Decode)]
pub(crate) struct OldRecord<AccountId, BlockNumber> {
	pub(crate) terms: OldTerms<AccountId>,
	pub(crate) name: ModelName,
	pub(crate) architecture: Architecture,
	pub(crate) profile: Profile,
	pub(crate) weight_bytes: u64,
	pub(crate) parent: Option<ModelId>,
	pub(crate) deposit: Balance,
	pub(crate) registered_at: BlockNumber,
	pub(crate) retired_at: Option<BlockNumber>,
}

impl<T: Config> UncheckedOnRuntimeUpgrade for V1ToV2Unchecked<T> {
	fn on_runtime_upgrade() -> Weight {
		let mut next = NextListing::<T>::get();
		let mut models = 0u64;
		Models::<T>::translate(|model, old: OldRecord<T::AccountId, BlockNumberFor<T>>| {
			let id = next;
			next = ListingId(next.0.saturating_add(1));
			models = models.saturating_add(1);
			let OldRecord { terms, .. } = old;
			let active = if terms.retired { vec![] } else { vec![id] };
			let listing = Listing {
				model,
				owner: terms.owner,
				prices: Prices {
					price_in: terms.price_in,
					price_out: terms.price_out,
				},
				next_prices: None,
				royalty: terms.royalty,
				deposit: old.deposit,
				listed_at: old.registered_at,
				retired_at: old.retired_at,
			};
			Listings::<T>::insert(id, listing);
			Some(ModelRecord {
				facts: ModelFacts {
					name: old.name,
					architecture: old.architecture,
					profile: old.profile,
					parameters: terms.parameters,
					weight_bytes: old.weight_bytes,
					context_length: terms.context_length,
					prompt_overhead: terms.prompt_overhead,
					parent: old.parent,
				},
				active: active.try_into().unwrap_or_default(),
				listings: 1,
			})
		});
		NextListing::<T>::put(next);
		let (reads, writes) = (models.saturating_add(1), models.saturating_mul(2).saturating_add(1));
		T::DbWeight::get().reads_writes(reads, writes)
	}
}

/// Finds the oldest listing of a model: the one that took the place of its entry in version 1. It reads all listings, so it
/// is for migrations only.
pub struct OldestListing<T>(PhantomData<T>);

impl<T: Config> Convert<ModelId, Option<ListingId>> for OldestListing<T> {
	fn convert(model: ModelId) -> Option<ListingId> {
		let of_model = Listings::<T>::iter().filter(|(_, listing)| listing.model == model);
		of_model.map(|(id, _)| id).min()
	}
}
