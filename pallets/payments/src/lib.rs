//! # Payments
//!
//! Money: what a job costs is held, then paid out or given back. The only room that pays.
//!
//! ## Pallet API
//!
//! See the [`pallet`] module for storage, events and errors. There are no calls: the jobs pallet moves money through
//! [`assay_primitives::traits::Escrow`].
//!
//! ## Overview
//!
//! When a job is asked, its fee ceiling and a storage deposit are held in the requester's own account. When it is
//! concluded, the shares are paid from the hold and the rest goes back; if nobody answered, everything goes back. Money
//! taken from the bonds of faulty providers makes the requester whole first, the treasury takes the rest. The deposit goes
//! back when the job's receipt leaves the chain.
//!
//! Who asks for what is decided elsewhere: shares come from [`assay_primitives::economics`], verdicts from the jobs
//! pallet. What this room vouches for is that money is conserved: every step leaves the total issuance as it was, and the
//! holds equal the records.
//!
//! ## Low Level / Implementation Details
//!
//! A payment never fails a settlement. Who can't receive (an account that doesn't exist, paid less than the existential
//! deposit) loses its part to the treasury; if not even the treasury can receive, the money stays with the payer. The events
//! name who really got it. Each step is all or nothing, also outside of an extrinsic.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, rustdoc::broken_intra_doc_links)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

extern crate alloc;

mod escrow;
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

	/// What payments need of their chain.
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
		/// Weights of the moves of money.
		type WeightInfo: WeightInfo;
	}

	/// Why this pallet holds money.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// Fee ceilings of open jobs.
		Fee,
		/// Storage deposits of jobs that are not closed.
		Deposit,
	}

	/// What is held for each job that is not closed.
	// Blake2_128Concat: a requester chooses what is hashed into a job's name.
	#[pallet::storage]
	pub type Escrows<T: Config> = StorageMap<_, Blake2_128Concat, JobId, EscrowRecord<T::AccountId>>;

	/// Where money went.
	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A job's money is held.
		Held {
			/// The job.
			job: JobId,
			/// From whom.
			payer: T::AccountId,
			/// The fee ceiling.
			fee: Balance,
			/// The storage deposit.
			deposit: Balance,
		},
		/// Someone was paid for a job.
		Paid {
			/// The job.
			job: JobId,
			/// Who got the money.
			to: T::AccountId,
			/// How much.
			amount: Balance,
			/// What for.
			purpose: Purpose,
		},
		/// The payer got back what was left of the fee ceiling.
		Refunded {
			/// The job.
			job: JobId,
			/// The payer.
			to: T::AccountId,
			/// How much.
			amount: Balance,
		},
		/// The payer got money of a faulty provider.
		Restituted {
			/// The job.
			job: JobId,
			/// The payer.
			to: T::AccountId,
			/// How much.
			amount: Balance,
		},
		/// A job is forgotten, its deposit given back.
		Closed {
			/// The job.
			job: JobId,
			/// The payer.
			payer: T::AccountId,
			/// The storage deposit.
			deposit: Balance,
		},
	}

	/// Why a step is refused. Nothing has changed then.
	#[pallet::error]
	pub enum Error<T> {
		/// Money is held for this job already.
		AlreadyHeld,
		/// No money is held for this job.
		UnknownJob,
		/// The shares are more than what is left of the fee ceiling.
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
