//! # Governance Pallet
//!
//! Root behind a delay: what the council decides becomes a root call half a day later, and anybody can see it coming.
//!
//! ## Pallet API
//!
//! See the [`pallet`] module for calls, storage, events and errors.
//!
//! ## Overview
//!
//! The council itself (members, motions, votes) is `pallet-collective`'s. A motion of the council is a call, and what a
//! motion may do follows from the share of the council that voted for it:
//!
//! - [`enact`](Call::enact): a large share schedules any call with root, to be dispatched [`GovernanceParams::delay`]
//!   blocks later. Nothing shortens the delay: nobody else can schedule a call with root, except such a call itself.
//! - [`cancel`](Call::cancel): a smaller share, or root, takes a scheduled call back until it is dispatched: a veto.
//! - [`enact_now`](Call::enact_now): the large share dispatches a call with root at once, if it is one of the few that
//!   are urgent and bounded ([`Config::Urgent`]). The call itself must be one of them: a batch of them is refused.
//!
//! ## Examples
//!
//! A decision waits for its delay, and is root's then:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_decision_is_dispatched_with_root_after_the_delay)]
//!
//! A third of the council takes it back:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_third_of_the_council_cancels_it)]
//!
//! ## Low Level / Implementation Details
//!
//! The scheduler dispatches the call and reports the result in its event `Dispatched`, under the name that
//! [`Pallet::task_name`] makes of the enactment's number. A call that fails changes nothing, and is not tried again. A
//! call that is due in a block without room waits for one that has it. So that there is one,
//! [`enact`](Call::enact) refuses a call heavier than [`GovernanceParams::max_weight`], which must leave room beside
//! what the runtime's hooks before the scheduler reserve.
//!
//! A call of more than 128 bytes is stored as a preimage without a deposit until it was dispatched or canceled.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, rustdoc::broken_intra_doc_links)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

extern crate alloc;

mod calls;
mod try_state;
pub mod weights;

#[cfg(any(feature = "runtime-benchmarks", test))]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use weights::WeightInfo;

use codec::{Decode, Encode, MaxEncodedLen};
use frame_support::weights::Weight;
use scale_info::TypeInfo;

/// Enactments that may wait for their delay at once.
pub const MAX_WAITING: u32 = 64;

/// The numbers of governance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GovernanceParams<BlockNumber> {
	/// Blocks from the council's decision to its dispatch.
	pub delay: BlockNumber,
	/// The most that a scheduled call may weigh.
	pub max_weight: Weight,
	/// The most bytes of a call.
	pub max_bytes: u32,
}

/// An enactment that waits for its delay.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Enactment<Hash, BlockNumber> {
	/// Its number.
	pub id: u32,
	/// The hash of the call.
	pub call_hash: Hash,
	/// The block at whose beginning it is dispatched.
	pub at: BlockNumber,
	/// Whether the call is stored as a preimage.
	pub is_stored: bool,
}

/// The pallet: configuration, storage, calls, events and errors.
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use alloc::boxed::Box;
	use frame_support::{
		dispatch::{PostDispatchInfo, RawOrigin},
		pallet_prelude::*,
		traits::{schedule, Contains, StorePreimage},
	};
	use frame_system::pallet_prelude::*;
	use sp_runtime::traits::Dispatchable;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	/// The pallet.
	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	/// Who decides, and what carries the decision out.
	#[pallet::config]
	pub trait Config:
		frame_system::Config<RuntimeEvent: From<Event<Self>>, RuntimeCall: Dispatchable<PostInfo = PostDispatchInfo>>
	{
		/// The origin of the runtime's pallets, of which root is one.
		type PalletsOrigin: From<RawOrigin<Self::AccountId>>;
		/// Dispatches what is due.
		type Scheduler: schedule::v3::Named<
			BlockNumberFor<Self>,
			<Self as frame_system::Config>::RuntimeCall,
			Self::PalletsOrigin,
			Hasher = Self::Hashing,
		>;
		/// Stores calls that do not fit in the scheduler's agenda.
		type Preimages: StorePreimage<H = Self::Hashing>;
		/// The share of the council that decides.
		type EnactOrigin: EnsureOrigin<Self::RuntimeOrigin>;
		/// The share of the council that takes a decision back, or root.
		type CancelOrigin: EnsureOrigin<Self::RuntimeOrigin>;
		/// The calls that the council may dispatch with root at once: bounded in what they can do, and useless later.
		type Urgent: Contains<<Self as frame_system::Config>::RuntimeCall>;
		/// Delay and limits.
		type Params: Get<GovernanceParams<BlockNumberFor<Self>>>;
		/// The weights of the calls.
		type WeightInfo: WeightInfo;
	}

	/// Number of the next enactment.
	#[pallet::storage]
	pub type NextEnactment<T: Config> = StorageValue<_, u32, ValueQuery>;

	/// What waits for its delay, the oldest first. Those whose block has come are removed with the next change.
	#[pallet::storage]
	pub type Waiting<T: Config> =
		StorageValue<_, BoundedVec<Enactment<T::Hash, BlockNumberFor<T>>, ConstU32<MAX_WAITING>>, ValueQuery>;

	/// What happened to decisions. The scheduler's `Dispatched` has the result of a scheduled call.
	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// The council has decided: a call will be dispatched with root.
		#[codec(index = 0)]
		Scheduled {
			/// The enactment's number, by which it can be canceled.
			id: u32,
			/// The hash of the call.
			call_hash: T::Hash,
			/// The block at whose beginning it is dispatched.
			at: BlockNumberFor<T>,
		},
		/// A scheduled call was taken back.
		#[codec(index = 1)]
		Canceled {
			/// The enactment's number.
			id: u32,
		},
		/// An urgent call was dispatched with root.
		#[codec(index = 2)]
		Enacted {
			/// The hash of the call.
			call_hash: T::Hash,
		},
	}

	/// Reasons of refusal. Nothing has changed then.
	#[pallet::error]
	pub enum Error<T> {
		/// The call has more bytes than an enactment may have. A runtime upgrade is authorized by its hash.
		#[codec(index = 0)]
		TooLong,
		/// The call weighs more than a scheduled call may, so it might never be dispatched.
		#[codec(index = 1)]
		TooHeavy,
		/// The call is none that may be dispatched at once. Schedule it with `enact`.
		#[codec(index = 2)]
		NotUrgent,
		/// No call is scheduled under this number: it was dispatched, canceled, or never decided.
		#[codec(index = 3)]
		NotScheduled,
		/// As many enactments wait as may. Cancel one, or wait until one is dispatched.
		#[codec(index = 4)]
		TooManyWaiting,
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
		/// Schedules a call to be dispatched with root after the delay.
		///
		/// ## Dispatch Origin
		///
		/// [`Config::EnactOrigin`].
		///
		/// ## Errors
		///
		/// - [`Error::TooLong`], [`Error::TooHeavy`]: the call exceeds a limit.
		/// - [`Error::TooManyWaiting`]: [`MAX_WAITING`] enactments wait.
		/// - The scheduler's, if the block in which the call would be due is full.
		///
		/// ## Events
		///
		/// [`Event::Scheduled`].
		#[pallet::call_index(0)]
		#[pallet::weight((T::WeightInfo::enact(call.encoded_size() as u32), DispatchClass::Operational))]
		pub fn enact(origin: OriginFor<T>, call: Box<<T as frame_system::Config>::RuntimeCall>) -> DispatchResult {
			T::EnactOrigin::ensure_origin(origin)?;
			Self::do_enact(*call)
		}

		/// Dispatches an urgent call with root at once.
		///
		/// ## Dispatch Origin
		///
		/// [`Config::EnactOrigin`].
		///
		/// ## Errors
		///
		/// - [`Error::NotUrgent`]: the call is not in [`Config::Urgent`].
		/// - The call's own.
		///
		/// ## Events
		///
		/// [`Event::Enacted`].
		#[pallet::call_index(1)]
		#[pallet::weight((
			T::WeightInfo::enact_now(call.encoded_size() as u32).saturating_add(call.get_dispatch_info().call_weight),
			DispatchClass::Operational
		))]
		pub fn enact_now(origin: OriginFor<T>, call: Box<<T as frame_system::Config>::RuntimeCall>) -> DispatchResult {
			T::EnactOrigin::ensure_origin(origin)?;
			Self::do_enact_now(*call)
		}

		/// Takes a scheduled call back.
		///
		/// ## Dispatch Origin
		///
		/// [`Config::CancelOrigin`].
		///
		/// ## Errors
		///
		/// - [`Error::NotScheduled`]: it was dispatched, canceled, or never decided.
		///
		/// ## Events
		///
		/// [`Event::Canceled`].
		#[pallet::call_index(2)]
		#[pallet::weight((T::WeightInfo::cancel(), DispatchClass::Operational))]
		pub fn cancel(origin: OriginFor<T>, id: u32) -> DispatchResult {
			T::CancelOrigin::ensure_origin(origin)?;
			Self::do_cancel(id)
		}
	}
}
