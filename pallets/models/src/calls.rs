//! The calls behind the surface in `lib.rs`.

use crate::*;
use assay_primitives::{
	manifest::{self, ManifestError},
	model::{ModelFacts, PriceChange, Prices},
	Balance, ListingId, ModelId,
};
use codec::{Encode, MaxEncodedLen};
use frame_support::{
	ensure,
	traits::{fungible::hold::Mutate as _, tokens::Precision, Get},
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{traits::Saturating, DispatchError, DispatchResult};

/// A listing takes the place of another in a full list for at least this many times its deposit.
const DISPLACEMENT_FACTOR: Balance = 2;

impl<T: Config> From<ManifestError> for Error<T> {
	fn from(error: ManifestError) -> Self {
		match error {
			ManifestError::TooLong => Self::ManifestTooLong,
			ManifestError::Malformed => Self::ManifestMalformed,
			ManifestError::TrailingBytes => Self::ManifestTrailingBytes,
			ManifestError::UnknownSchema => Self::UnknownSchema,
			ManifestError::UnknownProfile => Self::UnknownProfile,
			ManifestError::BadName => Self::BadName,
			ManifestError::BadArchitecture => Self::BadArchitecture,
			ManifestError::TooManyTensors => Self::TooManyTensors,
			ManifestError::BadTensor => Self::BadTensor,
			ManifestError::Unsorted => Self::ManifestUnsorted,
			ManifestError::Overflow => Self::SizeOverflow,
		}
	}
}

impl<T: Config> Pallet<T> {
	pub(crate) fn do_register(owner: T::AccountId, manifest: &[u8], terms: ListingTerms) -> DispatchResult {
		let (model, facts) = manifest::read(manifest).map_err(Error::<T>::from)?;
		ensure!(!Models::<T>::contains_key(model), Error::<T>::AlreadyRegistered);
		Self::check_facts(&facts)?;
		Self::check_terms(&terms)?;
		let record = ModelRecord {
			facts,
			active: Default::default(),
			listings: 0,
		};
		let deposit = Self::least_deposit(&record.facts);
		Self::deposit_event(Event::Registered { model });
		Self::add_listing(owner, model, record, terms, deposit)
	}

	pub(crate) fn do_list(
		owner: T::AccountId,
		model: ModelId,
		terms: ListingTerms,
		deposit: Balance,
	) -> DispatchResult {
		let mut record = Models::<T>::get(model).ok_or(Error::<T>::UnknownModel)?;
		Self::check_terms(&terms)?;
		let deposit = deposit.max(Self::least_deposit(&record.facts));
		if record.active.is_full() {
			Self::displace(&mut record, deposit)?;
		}
		Self::add_listing(owner, model, record, terms, deposit)
	}

	/// Stores a listing of a model whose list has room.
	fn add_listing(
		owner: T::AccountId,
		model: ModelId,
		mut record: ModelRecord,
		terms: ListingTerms,
		deposit: Balance,
	) -> DispatchResult {
		T::Currency::hold(&HoldReason::Listing.into(), &owner, deposit)?;
		let id = NextListing::<T>::get();
		let next = id.0.checked_add(1).ok_or(Error::<T>::TooManyListings)?;
		NextListing::<T>::put(ListingId(next));
		record.active.try_push(id).map_err(|_| Error::<T>::TooManyListings)?;
		record.listings = record.listings.checked_add(1).ok_or(Error::<T>::TooManyListings)?;
		Models::<T>::insert(model, record);
		let listing = Listing {
			model,
			owner: owner.clone(),
			prices: terms.prices,
			next_prices: None,
			royalty: terms.royalty,
			deposit,
			listed_at: Self::now(),
			retired_at: None,
		};
		Listings::<T>::insert(id, listing);
		Self::deposit_event(Event::Listed {
			listing: id,
			model,
			owner,
			prices: terms.prices,
			deposit,
		});
		Ok(())
	}

	/// Retires the listing with the smallest deposit, the youngest of several, for one with a deposit that is larger by
	/// [`DISPLACEMENT_FACTOR`]. A list that was filled to keep others out would cost as much as all its places, and one
	/// place costs twice the cheapest.
	fn displace(record: &mut ModelRecord, deposit: Balance) -> DispatchResult {
		let listings = record.active.iter().rev();
		let smallest = listings
			.filter_map(|id| Listings::<T>::get(id).map(|listing| (*id, listing)))
			.min_by_key(|(_, listing)| listing.deposit);
		let (id, listing) = smallest.ok_or(Error::<T>::TooManyListings)?;
		ensure!(
			deposit >= listing.deposit.saturating_mul(DISPLACEMENT_FACTOR),
			Error::<T>::DepositTooSmall
		);
		Self::set_retired(record, id, listing);
		Ok(())
	}

	pub(crate) fn do_update_price(who: T::AccountId, id: ListingId, prices: Prices) -> DispatchResult {
		let mut listing = Self::owned(&who, id)?;
		ensure!(listing.retired_at.is_none(), Error::<T>::Retired);
		let (params, now) = (T::Params::get(), Self::now());
		let in_force = listing.prices_at(&now);
		ensure!(params.prices.contain(&prices), Error::<T>::PriceTooHigh);
		ensure!(params.prices.allow(&in_force, &prices), Error::<T>::PriceStepTooLarge);
		let at = now.saturating_add(params.price_delay);
		listing.prices = in_force;
		listing.next_prices = Some(PriceChange { prices, at });
		Listings::<T>::insert(id, listing);
		Self::deposit_event(Event::PriceUpdated {
			listing: id,
			prices,
			at,
		});
		Ok(())
	}

	pub(crate) fn do_retire(who: T::AccountId, id: ListingId) -> DispatchResult {
		let listing = Self::owned(&who, id)?;
		ensure!(listing.retired_at.is_none(), Error::<T>::Retired);
		let model = listing.model;
		let mut record = Models::<T>::get(model).ok_or(Error::<T>::UnknownModel)?;
		Self::set_retired(&mut record, id, listing);
		Models::<T>::insert(model, record);
		Ok(())
	}

	/// Retires a listing of a model whose record the caller stores.
	fn set_retired(record: &mut ModelRecord, id: ListingId, mut listing: ListingOf<T>) {
		let (now, model) = (Self::now(), listing.model);
		record.active.retain(|other| *other != id);
		listing.retired_at = Some(now);
		Listings::<T>::insert(id, listing);
		Self::deposit_event(Event::Retired {
			listing: id,
			model,
			removable_at: now.saturating_add(T::Params::get().retention),
		});
	}

	pub(crate) fn do_remove(who: T::AccountId, id: ListingId) -> DispatchResult {
		let listing = Self::owned(&who, id)?;
		let retired_at = listing.retired_at.ok_or(Error::<T>::NotRetired)?;
		let removable_at = retired_at.saturating_add(T::Params::get().retention);
		ensure!(Self::now() >= removable_at, Error::<T>::StillRetained);
		let Listing {
			model, owner, deposit, ..
		} = listing;
		T::Currency::release(&HoldReason::Listing.into(), &owner, deposit, Precision::Exact)?;
		Listings::<T>::remove(id);
		Models::<T>::mutate_exists(model, |record| {
			*record = record.take().and_then(|mut record| {
				record.listings = record.listings.saturating_sub(1);
				(record.listings > 0).then_some(record)
			});
		});
		Self::deposit_event(Event::Removed {
			listing: id,
			model,
			owner,
			deposit,
		});
		Ok(())
	}

	/// Returns the least deposit of a listing of a model: for what is stored of both.
	pub fn least_deposit(facts: &ModelFacts) -> Balance {
		let params = T::Params::get();
		let bytes = facts.encoded_size().saturating_add(ListingOf::<T>::max_encoded_len());
		let bytes = Balance::try_from(bytes).unwrap_or(Balance::MAX);
		params
			.deposit_base
			.saturating_add(params.deposit_per_byte.saturating_mul(bytes))
	}

	/// Checks that a model is within the chain's limits.
	fn check_facts(facts: &ModelFacts) -> DispatchResult {
		ensure!(is_unpadded(&facts.name), Error::<T>::BadName);
		ensure!(facts.parameters > 0 && facts.weight_bytes > 0, Error::<T>::ZeroSize);
		ensure!(facts.context_length > 0, Error::<T>::ZeroContext);
		ensure!(
			facts.context_length <= T::Params::get().max_context,
			Error::<T>::ContextTooLong
		);
		ensure!(
			facts.prompt_overhead < facts.context_length,
			Error::<T>::OverheadTooLong
		);
		ensure!(
			facts.parent.is_none_or(Models::<T>::contains_key),
			Error::<T>::UnknownParent
		);
		Ok(())
	}

	fn check_terms(terms: &ListingTerms) -> DispatchResult {
		let params = T::Params::get();
		ensure!(terms.royalty <= params.royalty_max, Error::<T>::RoyaltyTooHigh);
		ensure!(params.prices.contain(&terms.prices), Error::<T>::PriceTooHigh);
		Ok(())
	}

	/// Returns a listing that `who` owns.
	fn owned(who: &T::AccountId, id: ListingId) -> Result<ListingOf<T>, DispatchError> {
		let listing = Listings::<T>::get(id).ok_or(Error::<T>::UnknownListing)?;
		ensure!(listing.owner == *who, Error::<T>::NotOwner);
		Ok(listing)
	}

	pub(crate) fn now() -> BlockNumberFor<T> {
		frame_system::Pallet::<T>::block_number()
	}
}

/// Returns whether a name is text that neither begins nor ends with a space.
pub(crate) fn is_unpadded(name: &[u8]) -> bool {
	core::str::from_utf8(name).is_ok_and(|text| text.trim() == text)
}
