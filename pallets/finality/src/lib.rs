//! # Finality Pallet
//!
//! Notices that blocks are no longer finalized, and lets the validators of the next session finalize instead.
//!
//! ## Pallet API
//!
//! See the [`pallet`] module for the call, storage, events and errors. The runtime calls [`Pallet::end_session`] before
//! the session pallet begins a session. The pallet reads validators through [`assay_primitives::traits::Validators`], and
//! changes the set that finalizes through [`assay_primitives::traits::FinalityGadget`].
//!
//! ## Overview
//!
//! GRANDPA needs more than two thirds of its set. If a third is silent, they lose their seats session by session, but a
//! change of the set takes effect only where its block is finalized, which is what cannot happen. A *forced* change needs
//! no finalized block. By hand, root would note the stall; here the chain does.
//!
//! Each author states in its block the number of the last block that it sees finalized. At the end of a session, the
//! chain knows the *set in force*: the validators whose change was finalized last, who should be finalizing. If the
//! median of what they state is more than `max_lag` blocks behind, and three fifths of them made blocks on this fork
//! lately, the change of the session that begins is forced, even if its validators are those of the last session.
//!
//! ### Terminology
//!
//! * **Report**: what an author states, its last one.
//! * **Set in force**: of the sets that the chain has signaled to GRANDPA, the last one that the finalized block has.
//!
//! ## Examples
//!
//! A third of the validators goes silent, and finality returns:
//!
#![doc = docify::embed!("src/tests.rs", when_a_third_is_silent_a_change_is_forced)]
//!
//! ## Low Level / Implementation Details
//!
//! [`assay_primitives::finality`] has the rule, and why two sides of a partition cannot both follow it. It must count
//! members of one set: those of this session differ between forks, because each side drops the other.
//!
//! Only reports count, not other signs of life: a block commits its author to this fork, a message is valid on any.
//!
//! Clients count a forced change as one change of the set that they have. Changes that the chain signaled since the
//! finalized block are forgotten, so the set's id is set back to that of the set in force, whose successor the new one
//! is: otherwise equivocations could not be reported, and new nodes not verify finality.
//!
//! At most [`MAX_SETS`] sets wait for their finalization. If there are more, those between the oldest and the newest are
//! forgotten one by one, and no change is forced where the set in force may be one of them.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, rustdoc::broken_intra_doc_links)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

extern crate alloc;

mod stall;
mod types;
pub mod weights;

#[cfg(any(feature = "runtime-benchmarks", test))]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

/// The pallet: configuration, storage, call, event and errors.
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use assay_primitives::{
		finality::INHERENT_IDENTIFIER,
		traits::{FinalityGadget, Validators},
	};
	use frame_support::{inherent::ProvideInherent, pallet_prelude::*};
	use frame_system::pallet_prelude::*;
	use sp_inherents::{InherentData, InherentIdentifier, MakeFatalError};

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	/// The pallet.
	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	/// Who makes blocks, and what finalizes them.
	#[pallet::config]
	pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
		/// The validators of this session, and the author of the block.
		type Validators: Validators<Self::AccountId>;
		/// What finalizes blocks.
		type Gadget: FinalityGadget<BlockNumberFor<Self>>;
		/// The chain's parameters.
		type Params: Get<FinalityParams<BlockNumberFor<Self>>>;
		/// The weights of the call and of a session's end.
		type WeightInfo: WeightInfo;
	}

	/// What each author stated last.
	// Twox64Concat: only validators have entries.
	#[pallet::storage]
	pub type Reports<T: Config> = StorageMap<_, Twox64Concat, T::AccountId, Report<BlockNumberFor<T>>>;

	/// The last block that the chain knows to be finalized.
	#[pallet::storage]
	pub type Finalized<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

	/// The set in force, and those that wait for their finalization, oldest first.
	#[pallet::storage]
	pub type Sets<T: Config> = StorageValue<_, Signaled<T::AccountId, BlockNumberFor<T>>, ValueQuery>;

	/// The block in which the validators of this session became the set of the finality gadget: the session's first one, or
	/// zero if the change was forced, which needs no finalized block.
	#[pallet::storage]
	pub type SessionSince<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

	/// Events of finality.
	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// Finality has stalled: the change of the session that begins is forced.
		#[codec(index = 0)]
		Stalled {
			/// The last finalized block.
			finalized: BlockNumberFor<T>,
			/// The first block in which the new set finalizes.
			at: BlockNumberFor<T>,
		},
	}

	/// Reasons of refusal. Nothing has changed then.
	#[pallet::error]
	pub enum Error<T> {
		/// The block has stated this already.
		#[codec(index = 0)]
		AlreadyReported,
		/// No block can see itself, or one after it, as finalized.
		#[codec(index = 1)]
		NotYetMade,
		/// The block's author is unknown.
		#[codec(index = 2)]
		UnknownAuthor,
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
		/// States the last block that the author of this one sees finalized.
		///
		/// ## Dispatch Origin
		///
		/// None: an inherent, at most one in a block. A block without it is valid.
		///
		/// ## Errors
		///
		/// [`Error::AlreadyReported`], [`Error::NotYetMade`], [`Error::UnknownAuthor`]. A block with an inherent that fails
		/// is invalid.
		#[pallet::call_index(0)]
		#[pallet::weight((T::WeightInfo::report(), DispatchClass::Mandatory))]
		pub fn report(origin: OriginFor<T>, #[pallet::compact] finalized: BlockNumberFor<T>) -> DispatchResult {
			ensure_none(origin)?;
			Self::do_report(finalized)
		}
	}

	#[pallet::inherent]
	impl<T: Config> ProvideInherent for Pallet<T> {
		type Call = Call<T>;
		type Error = MakeFatalError<()>;

		const INHERENT_IDENTIFIER: InherentIdentifier = INHERENT_IDENTIFIER;

		fn create_inherent(data: &InherentData) -> Option<Self::Call> {
			let finalized = data.get_data(&INHERENT_IDENTIFIER).ok()??;
			Some(Call::report { finalized })
		}

		fn is_inherent(call: &Self::Call) -> bool {
			matches!(call, Call::report { .. })
		}
	}
}
