//! Reading the catalog: the jobs pallet through its trait, clients through views.

use crate::*;
use alloc::{string::String, vec::Vec};
use assay_primitives::{
	api::{ListingView, ModelView},
	model::ModelTerms,
	traits::ModelCatalog,
	ListingId, ModelId,
};
use frame_system::pallet_prelude::BlockNumberFor;

/// The most models on one page.
pub const MAX_PAGE: u32 = 100;

type ModelViewOf<T> = ModelView<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
type ListingViewOf<T> = ListingView<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;

impl<T: Config> ModelCatalog<T::AccountId> for Pallet<T> {
	fn listing(id: ListingId) -> Option<(ModelId, ModelTerms<T::AccountId>)> {
		let listing = Listings::<T>::get(id)?;
		let model = listing.model;
		let record = Models::<T>::get(model)?;
		Some((model, listing.terms(id, &record.facts, &Self::now())))
	}

	fn listings(model: &ModelId) -> Option<Vec<ModelTerms<T::AccountId>>> {
		let ModelRecord { facts, active, .. } = Models::<T>::get(model)?;
		let now = Self::now();
		let terms = active
			.iter()
			.filter_map(|id| Some(Listings::<T>::get(id)?.terms(*id, &facts, &now)));
		Some(terms.collect())
	}
}

impl<T: Config> Pallet<T> {
	/// Returns one model for clients. What follows from its electorate is zero: this pallet doesn't know the
	/// electorates, the runtime does.
	pub fn view(id: &ModelId) -> Option<ModelViewOf<T>> {
		Models::<T>::get(id).map(|record| Self::to_view(*id, record))
	}

	/// Returns one listing for clients, as [`Self::view`] does.
	pub fn listing_view(id: ListingId) -> Option<ListingViewOf<T>> {
		let listing = Listings::<T>::get(id)?;
		let now = Self::now();
		Some(ListingView {
			listing: id,
			model: listing.model,
			prices: listing.prices_at(&now),
			next_prices: listing.pending(&now),
			royalty: listing.royalty,
			deposit: listing.deposit,
			listed_at: listing.listed_at,
			retired_at: listing.retired_at,
			owner: listing.owner,
			willing: 0,
			takes_checked_jobs: false,
		})
	}

	/// Returns models for clients, in the order of storage: those after `start` (which may have been removed since), at
	/// most `limit` and [`MAX_PAGE`].
	pub fn page(start: Option<ModelId>, limit: u32) -> Vec<ModelViewOf<T>> {
		let entries = match start {
			Some(id) => Models::<T>::iter_from(Models::<T>::hashed_key_for(id)),
			None => Models::<T>::iter(),
		};
		entries
			.take(limit.min(MAX_PAGE) as usize)
			.map(|(id, record)| Self::to_view(id, record))
			.collect()
	}

	fn to_view(id: ModelId, record: ModelRecord) -> ModelViewOf<T> {
		let ModelRecord { facts, active, .. } = record;
		let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
		ModelView {
			id,
			name: text(&facts.name),
			architecture: text(&facts.architecture),
			profile: facts.profile,
			parameters: facts.parameters,
			weight_bytes: facts.weight_bytes,
			context_length: facts.context_length,
			prompt_overhead: facts.prompt_overhead,
			parent: facts.parent,
			providers: 0,
			stake: 0,
			listings: active.into_iter().filter_map(Self::listing_view).collect(),
		}
	}
}
