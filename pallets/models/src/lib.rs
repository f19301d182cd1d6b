//! # Models Pallet
//!
//! The catalog: which models may be requested, on whose terms.
//!
//! ## Pallet API
//!
//! See the [`pallet`] module for calls, storage, events and errors. Other pallets read it through
//! [`assay_primitives::traits::ModelCatalog`], clients through [`Pallet::view`] and [`Pallet::page`] behind the runtime
//! API.
//!
//! ## Overview
//!
//! A model is named by the root of its manifest, so an entry stands for exact bytes: providers check their files
//! against the name before they vote. Whoever registers it holds a deposit, sets the prices and receives the royalty.
//! The states of an entry are *registered → retired → removed*: a retired model takes no new jobs, but its entry stays
//! readable for a retention time, so that earlier jobs can still be settled. Then the owner removes it and gets the
//! deposit back.
//!
//! Names are not reserved: whoever registers a manifest root first owns its entry.
//!
//! ## Examples
//!
//! A registration holds a deposit and makes the model available:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_registration_holds_a_deposit)]
//!
//! An owner retires a model, and gets the deposit back after the retention time:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_retired_model_is_removed_after_the_retention)]
//!
//! ## Low Level / Implementation Details
//!
//! The chain can't check a manifest root: it never reads the weights. It checks that the numbers a job relies on are
//! within the chain's limits ([`ModelParams`]). The deposit counts the bytes of the encoded registration.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, rustdoc::broken_intra_doc_links)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

extern crate alloc;

mod calls;
mod catalog;
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
	use assay_primitives::{Balance, ModelId};
	use frame_support::{
		pallet_prelude::*,
		traits::fungible::{self, hold},
	};
	use frame_system::pallet_prelude::*;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

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
		/// The deposit of a catalog entry.
		Registration,
	}

	/// The catalog.
	// Blake2_128Concat: model ids are chosen by users.
	#[pallet::storage]
	pub type Models<T: Config> = StorageMap<_, Blake2_128Concat, ModelId, ModelRecord<T::AccountId, BlockNumberFor<T>>>;

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
				let registered = Pallet::<T>::do_register(owner.clone(), registration.clone());
				assert!(
					registered.is_ok(),
					"genesis model {} is refused: {registered:?}",
					registration.id
				);
			}
		}
	}

	/// Events of the catalog.
	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A model can be requested from now on.
		Registered {
			/// The model.
			model: ModelId,
			/// The owner of the entry, who receives the royalty.
			owner: T::AccountId,
			/// Held from the owner until the entry is removed.
			deposit: Balance,
		},
		/// A model has new prices for jobs requested from now on.
		PriceUpdated {
			/// The model.
			model: ModelId,
			/// Price of one prompt token.
			price_in: Balance,
			/// Price of one generated token.
			price_out: Balance,
		},
		/// A model takes no new jobs.
		Retired {
			/// The model.
			model: ModelId,
			/// First block in which the entry can be removed.
			removable_at: BlockNumberFor<T>,
		},
		/// An entry was removed.
		Removed {
			/// The model.
			model: ModelId,
			/// The owner of the entry.
			owner: T::AccountId,
			/// The deposit given back to the owner.
			deposit: Balance,
		},
	}

	/// Reasons of refusal. Nothing has changed then.
	#[pallet::error]
	pub enum Error<T> {
		/// This manifest root is in the catalog already.
		#[codec(index = 0)]
		AlreadyRegistered,
		/// No such model is in the catalog.
		#[codec(index = 1)]
		UnknownModel,
		/// Only the owner of the entry may do this.
		#[codec(index = 2)]
		NotOwner,
		/// The model is retired.
		#[codec(index = 3)]
		Retired,
		/// The model is not retired: retire it first.
		#[codec(index = 4)]
		NotRetired,
		/// Jobs requested before the retirement may still need the entry: try again after the retention time.
		#[codec(index = 5)]
		StillRetained,
		/// The name must be UTF-8 text without control characters, neither empty nor padded with spaces.
		#[codec(index = 6)]
		BadName,
		/// The architecture must be lower-case ASCII letters, digits, `-`, `_` or `.`, and not empty.
		#[codec(index = 7)]
		BadArchitecture,
		/// Parameter count and weight size must be above zero.
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
		/// The parent model is not in the catalog: register it first, or name none.
		#[codec(index = 13)]
		UnknownParent,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Registers a model, so that it can be served and requested.
		///
		/// ## Dispatch Origin
		///
		/// Signed; the signer becomes the owner of the entry.
		///
		/// ## Details
		///
		/// Holds a deposit from the owner until the entry is removed: a base and a price per byte of `registration`.
		///
		/// ## Errors
		///
		/// [`Error::AlreadyRegistered`], [`Error::BadName`], [`Error::BadArchitecture`], [`Error::ZeroSize`],
		/// [`Error::RoyaltyTooHigh`], [`Error::ZeroContext`], [`Error::ContextTooLong`], [`Error::OverheadTooLong`],
		/// [`Error::UnknownParent`]; the currency's errors if the deposit can't be held.
		///
		/// ## Events
		///
		/// [`Event::Registered`].
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::register())]
		pub fn register(origin: OriginFor<T>, registration: Registration) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_register(who, registration)
		}

		/// Sets new prices.
		///
		/// ## Dispatch Origin
		///
		/// Signed by the owner of the entry.
		///
		/// ## Details
		///
		/// They apply to jobs requested from now on.
		///
		/// ## Errors
		///
		/// [`Error::UnknownModel`], [`Error::NotOwner`], [`Error::Retired`].
		///
		/// ## Events
		///
		/// [`Event::PriceUpdated`].
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::update_price())]
		pub fn update_price(
			origin: OriginFor<T>,
			model: ModelId,
			price_in: Balance,
			price_out: Balance,
		) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_update_price(who, model, price_in, price_out)
		}

		/// Retires a model: it takes no new jobs, forever.
		///
		/// ## Dispatch Origin
		///
		/// Signed by the owner of the entry.
		///
		/// ## Details
		///
		/// Earlier jobs are answered and paid. The entry stays readable until it is removed.
		///
		/// ## Errors
		///
		/// [`Error::UnknownModel`], [`Error::NotOwner`], [`Error::Retired`].
		///
		/// ## Events
		///
		/// [`Event::Retired`].
		#[pallet::call_index(2)]
		#[pallet::weight(T::WeightInfo::retire())]
		pub fn retire(origin: OriginFor<T>, model: ModelId) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_retire(who, model)
		}

		/// Removes a retired model's entry and gives the deposit back.
		///
		/// ## Dispatch Origin
		///
		/// Signed by the owner of the entry.
		///
		/// ## Details
		///
		/// Possible once the retention time since the retirement is over. The manifest root can be registered again
		/// then.
		///
		/// ## Errors
		///
		/// [`Error::UnknownModel`], [`Error::NotOwner`], [`Error::NotRetired`], [`Error::StillRetained`].
		///
		/// ## Events
		///
		/// [`Event::Removed`].
		#[pallet::call_index(3)]
		#[pallet::weight(T::WeightInfo::remove())]
		pub fn remove(origin: OriginFor<T>, model: ModelId) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_remove(who, model)
		}
	}
}
