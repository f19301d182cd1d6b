//! Reading the catalog: the jobs pallet through its trait, clients through views.

use crate::*;
use alloc::{string::String, vec::Vec};
use assay_primitives::{api::ModelView, model::ModelTerms, traits::ModelCatalog, ModelId};

/// The most entries on one page.
pub const MAX_PAGE: u32 = 100;

impl<T: Config> ModelCatalog<T::AccountId> for Pallet<T> {
	fn terms(model: &ModelId) -> Option<ModelTerms<T::AccountId>> {
		Models::<T>::get(model).map(|record| record.terms)
	}
}

impl<T: Config> Pallet<T> {
	/// Returns one entry for clients. Its count of providers is zero: this pallet doesn't know the electorates, the
	/// runtime does.
	pub fn view(id: &ModelId) -> Option<ModelView<T::AccountId>> {
		Models::<T>::get(id).map(|record| to_view(*id, record))
	}

	/// Returns entries for clients, in the order of storage: those after `start` (which may have been removed since),
	/// at most `limit` and [`MAX_PAGE`].
	pub fn page(start: Option<ModelId>, limit: u32) -> Vec<ModelView<T::AccountId>> {
		let entries = match start {
			Some(id) => Models::<T>::iter_from(Models::<T>::hashed_key_for(id)),
			None => Models::<T>::iter(),
		};
		entries
			.take(limit.min(MAX_PAGE) as usize)
			.map(|(id, record)| to_view(id, record))
			.collect()
	}
}

fn to_view<AccountId, BlockNumber>(id: ModelId, record: ModelRecord<AccountId, BlockNumber>) -> ModelView<AccountId> {
	let ModelRecord {
		terms,
		name,
		architecture,
		profile,
		weight_bytes,
		parent,
		..
	} = record;
	let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
	ModelView {
		id,
		name: text(&name),
		architecture: text(&architecture),
		profile,
		weight_bytes,
		parent,
		terms,
		providers: 0,
	}
}
