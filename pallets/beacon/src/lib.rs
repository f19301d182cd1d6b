//! # Beacon Pallet
//!
//! Randomness that no single author chooses: the accumulated VRF outputs of all block authors.
//!
//! ## Pallet API
//!
//! See the [`pallet`] module for storage. It has no calls. Other pallets read the beacon through
//! [`assay_primitives::traits::Beacon`].
//!
//! ## Overview
//!
//! Whenever a block is finalized, the value of the beacon becomes a hash of its last value, the number of the block and
//! the VRF output of the block's author ([`assay_primitives::draw::next_beacon`]). An author can neither choose its
//! output nor learn those of the authors between, so whoever wants to know a value some blocks ahead must make all of
//! these blocks. What it can do is withhold a block, or prefer another fork, which costs it the block's fees and
//! replaces the value by one that another author decides.
//!
//! The value of a block exists only after its last extrinsic. A draw that reads it in `on_finalize` cannot be changed
//! by anything in the block.
//!
//! ## Examples
//!
//! The value follows from every VRF output so far:
//!
#![doc = docify::embed!("src/tests.rs", the_value_follows_from_every_vrf_output)]
//!
//! ## Low Level / Implementation Details
//!
//! In `on_finalize(n)` the value includes block `n` for all pallets that the runtime declares after this one, and must
//! not for those before it. `Randomness` must be the VRF output of the block being finalized: BABE records it at the
//! start of its own `on_finalize`, so BABE comes first. The number of the block is hashed too, so that the value
//! changes in a block without a VRF output.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, rustdoc::broken_intra_doc_links)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

pub mod weights;

#[cfg(any(feature = "runtime-benchmarks", test))]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use weights::WeightInfo;

/// The pallet: configuration, storage and hooks.
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use assay_primitives::{draw::next_beacon, traits::Beacon, Hash32};
	use frame_support::pallet_prelude::*;
	use frame_system::pallet_prelude::*;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	/// The pallet.
	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	/// What the beacon accumulates.
	#[pallet::config]
	pub trait Config: frame_system::Config {
		/// The VRF output of the author of the block being finalized; none if the block has none.
		type Randomness: Get<Option<Hash32>>;
		/// The weight of the hook.
		type WeightInfo: WeightInfo;
	}

	/// The accumulated VRF outputs. Zero before block 1 is finalized.
	#[pallet::storage]
	pub type Accumulator<T: Config> = StorageValue<_, Hash32, ValueQuery>;

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		/// Reserves the weight of `on_finalize`.
		fn on_initialize(_: BlockNumberFor<T>) -> Weight {
			T::WeightInfo::accumulate()
		}

		fn on_finalize(n: BlockNumberFor<T>) {
			let vrf = T::Randomness::get();
			Accumulator::<T>::mutate(|value| *value = next_beacon(value, n, vrf.as_ref()));
		}
	}

	impl<T: Config> Beacon for Pallet<T> {
		fn value() -> Hash32 {
			Accumulator::<T>::get()
		}
	}
}
