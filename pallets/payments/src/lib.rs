//! # Payments Pallet
//!
//! Money: what a job costs is held, then paid out or given back; a pool pays for audits and juries. The only pallet that
//! pays.
//!
//! ## Pallet API
//!
//! See the [`pallet`] module for storage, events and errors. There are no calls: other pallets move money through
//! [`assay_primitives::traits::Escrow`] and [`assay_primitives::traits::Pool`].
//!
//! ## Overview
//!
//! When a job is requested, its fee ceiling and a storage deposit are held in the requester's own account. When it is
//! settled, the shares are paid from the hold and the rest goes back; if there is no answer, everything goes back. The
//! deposit goes back when the job's receipt leaves the chain.
//!
//! Each settled job pays a levy into the pool, an account of the chain, as do fines. The pool pays audits, juries and
//! replaced seats as far as it reaches. The bond of an objection is held in the objector's own account; it pays the jury
//! and what is left of it goes back, or to the treasury if the objection was wrong.
//!
//! Who is paid how much is decided elsewhere: shares come from [`assay_primitives::economics`], verdicts from the
//! verification pallet. This pallet guarantees that money is conserved: every step leaves the total issuance as it was,
//! and the holds equal the records.
//!
//! ## Examples
//!
//! A job from its request to the removal of its receipt:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_job_is_held_settled_and_closed)]
//!
//! A fine that pays an audit by way of the pool:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_fine_pays_an_audit)]
//!
//! ## Low Level / Implementation Details
//!
//! A payment never fails a settlement. An account that can't receive (it doesn't exist and is paid less than the
//! existential deposit) loses its part to the treasury; if not even the treasury can receive, the money stays with the
//! payer. The events name the account that got it. Each step is all or nothing, also outside of an extrinsic. The pool
//! keeps its existential deposit, whatever it is asked to pay.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, rustdoc::broken_intra_doc_links)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

extern crate alloc;

mod escrow;
mod pool;
mod try_state;
mod types;
pub mod weights;

#[cfg(any(feature = "runtime-benchmarks", test))]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use pool::CreditOf;
pub use types::*;
pub use weights::WeightInfo;

pub(crate) const LOG_TARGET: &str = "assay::payments";

/// The pallet: configuration, storage, events and errors.
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use assay_primitives::{Balance, ClaimId, JobId};
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
			+ fungible::Mutate<Self::AccountId>
			+ hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>
			+ fungible::Balanced<Self::AccountId>;
		/// The runtime's hold reasons.
		type RuntimeHoldReason: From<HoldReason>;
		/// Receives the treasury's part of fees, and what is left of slashes and of the bonds of wrong objections.
		type Treasury: Get<Self::AccountId>;
		/// The pool that pays audits, juries and replaced seats. Endowed at genesis.
		type PoolAccount: Get<Self::AccountId>;
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
		/// Bonds of objections that are not decided.
		Objection,
	}

	/// The records of jobs that are not closed.
	// Blake2_128Concat: a requester chooses what is hashed into a job's name.
	#[pallet::storage]
	pub type Escrows<T: Config> = StorageMap<_, Blake2_128Concat, JobId, EscrowRecord<T::AccountId>>;

	/// The bonds of objections, each under the claim objected to.
	// Identity: a claim's name is a BLAKE2b hash over the beacon.
	#[pallet::storage]
	pub type Objections<T: Config> = StorageMap<_, Identity, ClaimId, ObjectionRecord<T::AccountId>>;

	/// Movements of money.
	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A job's money is held.
		#[codec(index = 0)]
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
		#[codec(index = 1)]
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
		/// Nobody is paid for the job: there is no answer, or none that stands. The payer got the whole fee ceiling back.
		#[codec(index = 2)]
		Refunded {
			/// The job.
			job: JobId,
			/// The payer.
			to: T::AccountId,
			/// The amount.
			amount: Balance,
		},
		/// A job's record was removed and its deposit given back.
		#[codec(index = 3)]
		Closed {
			/// The job.
			job: JobId,
			/// The payer.
			payer: T::AccountId,
			/// The storage deposit.
			deposit: Balance,
		},
		/// Money taken from a bond went to the pool.
		#[codec(index = 4)]
		Collected {
			/// The account that got the money: the pool.
			to: T::AccountId,
			/// The amount.
			amount: Balance,
		},
		/// Someone was paid for an audit, a jury or a replaced seat, or got a bounty.
		#[codec(index = 5)]
		Rewarded {
			/// The account that got the money.
			to: T::AccountId,
			/// The amount.
			amount: Balance,
			/// Where it comes from.
			source: Source,
		},
		/// The treasury got what was left of a slash or of the bond of a wrong objection.
		#[codec(index = 6)]
		Forfeited {
			/// The account that got the money: the treasury, or the pool if the treasury could not receive it.
			to: T::AccountId,
			/// The amount.
			amount: Balance,
			/// Where it comes from.
			source: Source,
		},
		/// The bond of an objection is held.
		#[codec(index = 7)]
		ObjectionHeld {
			/// The claim objected to.
			claim: ClaimId,
			/// The account in which it is held.
			objector: T::AccountId,
			/// The amount.
			bond: Balance,
		},
		/// An objector got its bond back, or what was left of it.
		#[codec(index = 8)]
		ObjectionReturned {
			/// The claim objected to.
			claim: ClaimId,
			/// The objector.
			objector: T::AccountId,
			/// The amount.
			amount: Balance,
		},
		/// A job's answer stands and is paid. Its fee is what it cost; the rest of the fee ceiling is the payer's again.
		#[codec(index = 9)]
		Settled {
			/// The job.
			job: JobId,
			/// The payer.
			payer: T::AccountId,
			/// What the job cost: the sum of what was paid for it.
			fee: Balance,
			/// What came back of the fee ceiling.
			returned: Balance,
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
		/// Somebody has objected to this claim already.
		#[codec(index = 3)]
		AlreadyObjected,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}
}
