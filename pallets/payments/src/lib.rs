//! # Payments Pallet
//!
//! Money: what a job costs is held, then paid out or given back. The only pallet that pays.
//!
//! ## Pallet API
//!
//! See the [`pallet`] module for storage, events and errors. There are no calls: the jobs pallet moves money through
//! [`assay_primitives::traits::Escrow`].
//!
//! ## Overview
//!
//! When a job is requested, its fee ceiling and a storage deposit are held in the requester's own account. When it is
//! concluded, the shares are paid from the hold and the rest goes back; if there is no answer, everything goes back. Of
//! the money taken from the bonds of faulty providers the requester gets what is due first, the treasury takes the
//! rest. The deposit goes back when the job's receipt leaves the chain.
//!
//! Who is paid how much is decided elsewhere: shares come from [`assay_primitives::economics`], verdicts from the jobs
//! pallet. This pallet guarantees that money is conserved: every step leaves the total issuance as it was, and the
//! holds equal the records.
//!
//! ## Examples
//!
//! A job from its request to the removal of its receipt:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_job_is_held_settled_and_closed)]
//!
//! A job without an answer, paid for by the provider at fault:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_job_without_an_answer_is_refunded)]
//!
//! ## Low Level / Implementation Details
//!
//! A payment never fails a settlement. An account that can't receive (it doesn't exist and is paid less than the
//! existential deposit) loses its part to the treasury; if not even the treasury can receive, the money stays with the
//! payer. The events name the account that got it. Each step is all or nothing, also outside of an extrinsic.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, rustdoc::broken_intra_doc_links)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

extern crate alloc;

mod escrow;
mod try_state;
mod types;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use escrow::CreditOf;
pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

/// The pallet: configuration, storage, events and errors.
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use assay_primitives::{Balance, JobId};
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

	/// The pallets and parameters that payments need.
	#[pallet::config]
	pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
		/// The money of the chain.
		type Currency: fungible::Inspect<Self::AccountId, Balance = Balance>
			+ hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>
			+ fungible::Balanced<Self::AccountId>;
		/// The runtime's hold reasons.
		type RuntimeHoldReason: From<HoldReason>;
		/// Receives the treasury's part of fees and what is left of slashes.
		type Treasury: Get<Self::AccountId>;
		/// The weights of the steps.
		type WeightInfo: WeightInfo;
	}

	/// Reasons for which this pallet holds money.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// Fee ceilings of open jobs.
		Fee,
		/// Storage deposits of jobs that are not closed.
		Deposit,
	}

	/// The records of jobs that are not closed.
	// Blake2_128Concat: a requester chooses what is hashed into a job's name.
	#[pallet::storage]
	pub type Escrows<T: Config> = StorageMap<_, Blake2_128Concat, JobId, EscrowRecord<T::AccountId>>;

	/// Movements of money.
	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A job's money is held.
		Held {
			/// The job.
			job: JobId,
			/// The account in which it is held.
			payer: T::AccountId,
			/// The most that the job can cost.
			fee_ceiling: Balance,
			/// The storage deposit.
			deposit: Balance,
		},
		/// Someone was paid for a job.
		Paid {
			/// The job.
			job: JobId,
			/// The account that got the money.
			to: T::AccountId,
			/// The amount.
			amount: Balance,
			/// What the payment is for.
			purpose: Purpose,
		},
		/// The payer got back the rest of the fee ceiling.
		Refunded {
			/// The job.
			job: JobId,
			/// The payer.
			to: T::AccountId,
			/// The amount.
			amount: Balance,
		},
		/// The payer got money of a faulty provider.
		Restituted {
			/// The job.
			job: JobId,
			/// The payer.
			to: T::AccountId,
			/// The amount.
			amount: Balance,
		},
		/// A job's record was removed and its deposit given back.
		Closed {
			/// The job.
			job: JobId,
			/// The payer.
			payer: T::AccountId,
			/// The storage deposit.
			deposit: Balance,
		},
	}

	/// Reasons of refusal. Nothing has changed then.
	#[pallet::error]
	pub enum Error<T> {
		/// Money is held for this job already.
		#[codec(index = 0)]
		AlreadyHeld,
		/// No money is held for this job.
		#[codec(index = 1)]
		UnknownJob,
		/// The shares exceed the rest of the fee ceiling.
		#[codec(index = 2)]
		Overdrawn,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}
}
