//! The events of the pallet.

use frame_support::pallet_macros::pallet_section;

/// The events of the pallet.
#[pallet_section]
mod events {
	/// Events of providers.
	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// Money was bonded.
		#[codec(index = 0)]
		Bonded {
			/// The provider.
			provider: T::AccountId,
			/// The amount.
			amount: Balance,
			/// The active bond now.
			bond: Balance,
		},
		/// A part of a bond is unbonding.
		#[codec(index = 1)]
		Unbonded {
			/// The provider.
			provider: T::AccountId,
			/// The amount.
			amount: Balance,
			/// First block in which it can be withdrawn.
			withdrawable_at: BlockNumberFor<T>,
		},
		/// Unbonded money was withdrawn.
		#[codec(index = 2)]
		Withdrawn {
			/// The provider.
			provider: T::AccountId,
			/// The amount.
			amount: Balance,
		},
		/// An account is no longer a provider: nothing of its bond is left.
		#[codec(index = 3)]
		Left {
			/// The provider.
			provider: T::AccountId,
		},
		/// A provider's votes are signed by this key from now on.
		#[codec(index = 4)]
		InferenceKeySet {
			/// The provider.
			provider: T::AccountId,
			/// The key.
			key: InferenceId,
		},
		/// A provider serves a model.
		#[codec(index = 5)]
		ServingStarted {
			/// The provider.
			provider: T::AccountId,
			/// The model.
			model: ModelId,
		},
		/// A provider no longer serves a model.
		#[codec(index = 6)]
		ServingStopped {
			/// The provider.
			provider: T::AccountId,
			/// The model.
			model: ModelId,
		},
		/// A provider executes at most this many jobs at once from now on.
		#[codec(index = 7)]
		CapacitySet {
			/// The provider.
			provider: T::AccountId,
			/// The number of jobs; zero: it only verifies.
			capacity: u32,
		},
		/// A provider lost bond for a fault in inference.
		#[codec(index = 8)]
		Slashed {
			/// The provider.
			provider: T::AccountId,
			/// The fault.
			fault: Fault,
			/// The amount it lost.
			amount: Balance,
		},
		/// A validator lost bond for an offence against the consensus.
		#[codec(index = 9)]
		OffenceSlashed {
			/// The provider.
			provider: T::AccountId,
			/// The part of the bond that the offence costs.
			fraction: Perbill,
			/// The amount it lost.
			amount: Balance,
		},
		/// A provider is in jail: neither sealed into electorates nor chosen as a validator.
		#[codec(index = 10)]
		Jailed {
			/// The provider.
			provider: T::AccountId,
			/// First block in which it may leave.
			until: BlockNumberFor<T>,
		},
		/// A provider left jail.
		#[codec(index = 11)]
		Unjailed {
			/// The provider.
			provider: T::AccountId,
		},
		/// A provider was fined.
		#[codec(index = 12)]
		Fined {
			/// The provider.
			provider: T::AccountId,
			/// The fault.
			fault: Fault,
			/// The amount it lost; less than the fine if that exceeds the cap of the session.
			amount: Balance,
		},
		/// A provider lapsed too often: it is not sealed into electorates until it calls `ready`.
		#[codec(index = 13)]
		NotReady {
			/// The provider.
			provider: T::AccountId,
		},
		/// A provider may be sealed into electorates again.
		#[codec(index = 14)]
		Ready {
			/// The provider.
			provider: T::AccountId,
		},
		/// A provider is suspended: it is not drawn, and its bond is frozen.
		#[codec(index = 15)]
		Suspended {
			/// The provider.
			provider: T::AccountId,
		},
		/// A suspension was lifted.
		#[codec(index = 16)]
		SuspensionLifted {
			/// The provider.
			provider: T::AccountId,
			/// Suspensions that remain.
			remaining: u32,
		},
		/// A provider made way for another: its bond is unbonding, and stays slashable until it can be withdrawn.
		#[codec(index = 17)]
		Evicted {
			/// The provider.
			provider: T::AccountId,
			/// For whom it made way.
			by: T::AccountId,
		},
		/// A provider executes jobs of a model only at these prices or higher ones, from the next seals on.
		#[codec(index = 18)]
		LeastPriceSet {
			/// The provider.
			provider: T::AccountId,
			/// The model.
			model: ModelId,
			/// The least prices.
			least: Prices,
		},
		/// A provider's engine does not serve a model: the provider takes no jobs of it, and is not sealed into its
		/// electorates, until the outage is over.
		#[codec(index = 19)]
		OutageBegan {
			/// The provider.
			provider: T::AccountId,
			/// The model.
			model: ModelId,
		},
		/// A provider's engine serves a model again.
		#[codec(index = 20)]
		OutageEnded {
			/// The provider.
			provider: T::AccountId,
			/// The model.
			model: ModelId,
		},
		/// A provider's node serves the streams of its drafts there from now on.
		#[codec(index = 21)]
		EndpointSet {
			/// The provider.
			provider: T::AccountId,
			/// The URL; empty if there is none any more.
			endpoint: Vec<u8>,
		},
	}
}
