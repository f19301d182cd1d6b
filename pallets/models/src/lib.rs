//! # Models Pallet
//!
//! The catalog: which models may be requested, and on whose terms.
//!
//! ## Pallet API
//!
//! See the [`pallet`] module for calls, storage, events and errors. Other pallets read it through
//! [`assay_primitives::traits::ModelCatalog`], clients through [`Pallet::view`], [`Pallet::listing_view`] and
//! [`Pallet::page`] behind the runtime API.
//!
//! ## Overview
//!
//! A model is its manifest: its name is the manifest's hash, and what a job needs to know of its size and its context is
//! read from the manifest's bytes when it is registered. So a model has no owner, and nobody's statement is trusted.
//! Providers check their files against the name before they vote.
//!
//! A listing offers a model on its owner's terms, who holds a deposit, sets the prices and receives the royalty. Anybody
//! lists any model; nobody can keep others from it. The states of a listing are *listed → retired → removed*: a retired
//! one takes no new jobs, but stays readable for a retention time. Then the owner removes it and gets the deposit back.
//! With its last listing a model leaves the catalog.
//!
//! New prices are in force after a delay, and each at most doubles or halves. A job pays the prices that were in force
//! when it was requested.
//!
//! A model has at most [`MAX_LISTINGS`](assay_primitives::limits::MAX_LISTINGS) listings that take jobs. In a full list,
//! a new one takes the place of the smallest deposit, for at least twice as much.
//!
//! ## Examples
//!
//! A registration proves a model and lists it:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_registration_proves_a_model_and_lists_it)]
//!
//! Somebody else lists the same model on other terms:
//!
#![doc = docify::embed!("src/tests/examples.rs", anybody_lists_a_registered_model)]
//!
//! An owner retires a listing, and gets the deposit back after the retention time:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_retired_listing_is_removed_after_the_retention)]
//!
//! ## Low Level / Implementation Details
//!
//! The chain reads a manifest and never the weights. That tensors are those that the hyperparameters need, and files
//! those that the manifest names, is checked by every engine before it loads a model. The least deposit counts the bytes
//! that are stored of a listing and of its model.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, rustdoc::broken_intra_doc_links)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

extern crate alloc;

mod calls;
mod catalog;
pub mod migrations;
mod try_state;
mod types;
pub mod weights;

#[cfg(any(feature = "runtime-benchmarks", test))]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use catalog::MAX_PAGE;
pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

/// The pallet: configuration, storage, calls, events and errors.
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use alloc::vec::Vec;
	use assay_primitives::{model::Prices, Balance, ListingId, ModelId};
	use frame_support::{
		pallet_prelude::*,
		traits::fungible::{self, hold},
	};
	use frame_system::pallet_prelude::*;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(2);

	/// A listing as this chain stores it.
	pub type ListingOf<T> = Listing<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;

	/// The pallet.
	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	/// The pallets and parameters that the catalog needs.
	#[pallet::config]
	pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
		/// Holds deposits.
		type Currency: fungible::Inspect<Self::AccountId, Balance = Balance>
			+ hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>;
		/// The runtime's hold reasons.
		type RuntimeHoldReason: From<HoldReason>;
		/// The chain's parameters.
		type Params: Get<ModelParams<BlockNumberFor<Self>>>;
		/// The weights of the calls.
		type WeightInfo: WeightInfo;
	}

	/// Reasons for which this pallet holds money.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// The deposit of a listing.
		Listing,
	}

	/// The models of the catalog.
	// Blake2_128Concat: model ids are chosen by users.
	#[pallet::storage]
	pub type Models<T: Config> = StorageMap<_, Blake2_128Concat, ModelId, ModelRecord>;

	/// The listings.
	// Twox64Concat: the chain counts the ids itself.
	#[pallet::storage]
	pub type Listings<T: Config> = StorageMap<_, Twox64Concat, ListingId, ListingOf<T>>;

	/// The name that the next listing gets.
	#[pallet::storage]
	pub type NextListing<T: Config> = StorageValue<_, ListingId, ValueQuery>;

	/// Models that exist from the start.
	#[pallet::genesis_config]
	#[derive(frame_support::DefaultNoBound)]
	pub struct GenesisConfig<T: Config> {
		/// Owners and their registrations. The deposits are held from them like in a call.
		pub models: Vec<(T::AccountId, Registration)>,
	}

	#[pallet::genesis_build]
	impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
		fn build(&self) {
			for (owner, registration) in &self.models {
				let Registration { manifest, terms } = registration;
				let registered = Pallet::<T>::do_register(owner.clone(), manifest, *terms);
				assert!(
					registered.is_ok(),
					"genesis model {} is refused: {registered:?}",
					assay_primitives::manifest::model_id(manifest)
				);
			}
		}
	}

	/// Events of the catalog.
	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A model is in the catalog from now on.
		#[codec(index = 0)]
		Registered {
			/// The model.
			model: ModelId,
		},
		/// A listing takes jobs from now on.
		#[codec(index = 1)]
		Listed {
			/// The listing.
			listing: ListingId,
			/// The model.
			model: ModelId,
			/// The owner, who receives the royalty.
			owner: T::AccountId,
			/// The prices.
			prices: Prices,
			/// Held from the owner until the listing is removed.
			deposit: Balance,
		},
		/// A listing will have new prices.
		#[codec(index = 2)]
		PriceUpdated {
			/// The listing.
			listing: ListingId,
			/// The prices.
			prices: Prices,
			/// The first block whose requests they apply to.
			at: BlockNumberFor<T>,
		},
		/// A listing takes no new jobs.
		#[codec(index = 3)]
		Retired {
			/// The listing.
			listing: ListingId,
			/// The model.
			model: ModelId,
			/// First block in which the listing can be removed.
			removable_at: BlockNumberFor<T>,
		},
		/// A listing was removed.
		#[codec(index = 4)]
		Removed {
			/// The listing.
			listing: ListingId,
			/// The model.
			model: ModelId,
			/// The owner.
			owner: T::AccountId,
			/// The deposit given back to the owner.
			deposit: Balance,
		},
	}

	/// Reasons of refusal. Nothing has changed then.
	#[pallet::error]
	pub enum Error<T> {
		/// The model is in the catalog already: list it.
		#[codec(index = 0)]
		AlreadyRegistered,
		/// No such model is in the catalog: register it first.
		#[codec(index = 1)]
		UnknownModel,
		/// Only the owner of the listing may do this.
		#[codec(index = 2)]
		NotOwner,
		/// The listing is retired.
		#[codec(index = 3)]
		Retired,
		/// The listing is not retired: retire it first.
		#[codec(index = 4)]
		NotRetired,
		/// Jobs requested before the retirement may still need the listing: try again after the retention time.
		#[codec(index = 5)]
		StillRetained,
		/// The model's name must be 1 to 64 bytes of UTF-8 text without control characters, not padded with spaces.
		#[codec(index = 6)]
		BadName,
		/// The architecture must be lower-case ASCII letters, digits, `-`, `_` or `.`, and not empty.
		#[codec(index = 7)]
		BadArchitecture,
		/// The model has no weights.
		#[codec(index = 8)]
		ZeroSize,
		/// The royalty is above the chain's limit.
		#[codec(index = 9)]
		RoyaltyTooHigh,
		/// The context length must be above zero.
		#[codec(index = 10)]
		ZeroContext,
		/// The context length is above the chain's limit.
		#[codec(index = 11)]
		ContextTooLong,
		/// The chat template fills the whole context and leaves nothing for a prompt.
		#[codec(index = 12)]
		OverheadTooLong,
		/// The parent model is not in the catalog: register it first.
		#[codec(index = 13)]
		UnknownParent,
		/// There is no such listing.
		#[codec(index = 14)]
		UnknownListing,
		/// A price is above the most that a token may cost.
		#[codec(index = 15)]
		PriceTooHigh,
		/// A price may at most double or halve in one change: change it again when this change is in force.
		#[codec(index = 16)]
		PriceStepTooLarge,
		/// The model's list is full, and the deposit is not twice the smallest in it: offer more.
		#[codec(index = 17)]
		DepositTooSmall,
		/// No more listings can be counted.
		#[codec(index = 18)]
		TooManyListings,
		/// The manifest has more bytes than the chain reads.
		#[codec(index = 19)]
		ManifestTooLong,
		/// The manifest ends early, or a field has no such value or is not in its shortest form.
		#[codec(index = 20)]
		ManifestMalformed,
		/// Bytes follow the manifest's last field.
		#[codec(index = 21)]
		ManifestTrailingBytes,
		/// The manifest has a schema that the chain does not know.
		#[codec(index = 22)]
		UnknownSchema,
		/// The manifest has a numeric profile that the chain does not know.
		#[codec(index = 23)]
		UnknownProfile,
		/// The manifest lists more tensors than the chain reads.
		#[codec(index = 24)]
		TooManyTensors,
		/// A tensor of the manifest has a name, an element type or dimensions that weights do not have.
		#[codec(index = 25)]
		BadTensor,
		/// The manifest's tensors, or the tokens that end an answer, are not in their order, each once.
		#[codec(index = 26)]
		ManifestUnsorted,
		/// The model is larger than 64 bits count.
		#[codec(index = 27)]
		SizeOverflow,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		#[cfg(feature = "std")]
		fn integrity_test() {
			let params = T::Params::get();
			assert!(
				params.prices.step > 0 && params.prices.step <= params.prices.most,
				"a price of 0 must be able to rise"
			);
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Registers a model by its manifest and lists it.
		///
		/// ## Dispatch Origin
		///
		/// Signed; the signer becomes the owner of the listing.
		///
		/// ## Details
		///
		/// `manifest` is the SCALE encoding that the model's id hashes. What it proves is stored, the rest is not. Holds the
		/// least deposit from the owner until the listing is removed: a base and a price per byte of what is stored.
		///
		/// ## Errors
		///
		/// [`Error::AlreadyRegistered`]; of the manifest: [`Error::ManifestTooLong`], [`Error::ManifestMalformed`],
		/// [`Error::ManifestTrailingBytes`], [`Error::UnknownSchema`], [`Error::UnknownProfile`], [`Error::BadName`],
		/// [`Error::BadArchitecture`], [`Error::TooManyTensors`], [`Error::BadTensor`], [`Error::ManifestUnsorted`],
		/// [`Error::SizeOverflow`], [`Error::ZeroSize`], [`Error::ZeroContext`], [`Error::ContextTooLong`],
		/// [`Error::OverheadTooLong`], [`Error::UnknownParent`]; of the terms: [`Error::RoyaltyTooHigh`],
		/// [`Error::PriceTooHigh`]; the currency's errors if the deposit can't be held.
		///
		/// ## Events
		///
		/// [`Event::Registered`], [`Event::Listed`].
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::register(manifest.len() as u32))]
		pub fn register(origin: OriginFor<T>, manifest: Vec<u8>, terms: ListingTerms) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_register(who, &manifest, terms)
		}

		/// Lists a registered model on other terms.
		///
		/// ## Dispatch Origin
		///
		/// Signed; the signer becomes the owner of the listing.
		///
		/// ## Details
		///
		/// Holds `deposit`, or the least deposit if that is more, until the listing is removed. If as many listings of the
		/// model take jobs as can, the one with the smallest deposit is retired; `deposit` must be at least twice as large.
		///
		/// ## Errors
		///
		/// [`Error::UnknownModel`], [`Error::RoyaltyTooHigh`], [`Error::PriceTooHigh`], [`Error::DepositTooSmall`]; the
		/// currency's errors if the deposit can't be held.
		///
		/// ## Events
		///
		/// [`Event::Listed`]; [`Event::Retired`] if another listing makes way.
		#[pallet::call_index(4)]
		#[pallet::weight(T::WeightInfo::list())]
		pub fn list(origin: OriginFor<T>, model: ModelId, terms: ListingTerms, deposit: Balance) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_list(who, model, terms, deposit)
		}

		/// Sets new prices, which are in force after the chain's delay.
		///
		/// ## Dispatch Origin
		///
		/// Signed by the owner of the listing.
		///
		/// ## Details
		///
		/// They apply to jobs requested from then on. Each price at most doubles or halves. A change that is not in force yet
		/// is replaced, and the delay begins again.
		///
		/// ## Errors
		///
		/// [`Error::UnknownListing`], [`Error::NotOwner`], [`Error::Retired`], [`Error::PriceTooHigh`],
		/// [`Error::PriceStepTooLarge`].
		///
		/// ## Events
		///
		/// [`Event::PriceUpdated`].
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::update_price())]
		pub fn update_price(
			origin: OriginFor<T>,
			listing: ListingId,
			price_in: Balance,
			price_out: Balance,
		) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_update_price(who, listing, Prices { price_in, price_out })
		}

		/// Retires a listing: it takes no new jobs, forever. Other listings of the model still do.
		///
		/// ## Dispatch Origin
		///
		/// Signed by the owner of the listing.
		///
		/// ## Details
		///
		/// Earlier jobs are answered and paid. The listing stays readable until it is removed.
		///
		/// ## Errors
		///
		/// [`Error::UnknownListing`], [`Error::NotOwner`], [`Error::Retired`].
		///
		/// ## Events
		///
		/// [`Event::Retired`].
		#[pallet::call_index(2)]
		#[pallet::weight(T::WeightInfo::retire())]
		pub fn retire(origin: OriginFor<T>, listing: ListingId) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_retire(who, listing)
		}

		/// Removes a retired listing and gives the deposit back.
		///
		/// ## Dispatch Origin
		///
		/// Signed by the owner of the listing.
		///
		/// ## Details
		///
		/// Possible once the retention time since the retirement is over. The model leaves the catalog with its last
		/// listing, and can be registered again.
		///
		/// ## Errors
		///
		/// [`Error::UnknownListing`], [`Error::NotOwner`], [`Error::NotRetired`], [`Error::StillRetained`].
		///
		/// ## Events
		///
		/// [`Event::Removed`].
		#[pallet::call_index(3)]
		#[pallet::weight(T::WeightInfo::remove())]
		pub fn remove(origin: OriginFor<T>, listing: ListingId) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_remove(who, listing)
		}
	}
}
