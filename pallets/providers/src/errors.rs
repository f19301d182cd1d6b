//! The errors of the pallet.

use frame_support::pallet_macros::pallet_section;

/// The errors of the pallet.
#[pallet_section]
mod errors {
	/// Reasons of refusal. Nothing has changed then.
	#[pallet::error]
	pub enum Error<T> {
		/// This account is a provider already: use `bond_extra`.
		#[codec(index = 0)]
		AlreadyBonded,
		/// This account is not a provider: use `bond` first.
		#[codec(index = 1)]
		NotBonded,
		/// The active bond would be above zero and below the chain's minimum.
		#[codec(index = 2)]
		BondTooSmall,
		/// The chain has as many providers as it can have, and none of those with a smaller bond can make way now.
		#[codec(index = 3)]
		TooManyProviders,
		/// The amount must be above zero.
		#[codec(index = 4)]
		ZeroAmount,
		/// The active bond is smaller than that.
		#[codec(index = 5)]
		NotEnoughBond,
		/// Too many withdrawals are pending: withdraw, or wait until you can.
		#[codec(index = 6)]
		TooManyChunks,
		/// Nothing has completed its unbonding period yet.
		#[codec(index = 7)]
		NothingToWithdraw,
		/// The last of a bond stays while jobs are running: try again when they are done.
		#[codec(index = 8)]
		JobsRunning,
		/// Another provider has registered this inference key.
		#[codec(index = 9)]
		KeyTaken,
		/// The proof doesn't show that this account holds the key on this chain.
		#[codec(index = 10)]
		BadProof,
		/// No such model is in the catalog.
		#[codec(index = 11)]
		UnknownModel,
		/// The model is retired.
		#[codec(index = 12)]
		RetiredModel,
		/// The provider serves this model already.
		#[codec(index = 13)]
		AlreadyServing,
		/// The provider doesn't serve this model.
		#[codec(index = 14)]
		NotServing,
		/// The provider serves as many models as it may: stop serving one first.
		#[codec(index = 15)]
		TooManyModels,
		/// The model has as many providers as it can have, and none of them has a smaller bond.
		#[codec(index = 16)]
		TooManyForModel,
		/// The capacity is above the limit.
		#[codec(index = 17)]
		CapacityTooHigh,
		/// The provider is not in jail.
		#[codec(index = 18)]
		NotJailed,
		/// The provider must stay in jail until its time is over.
		#[codec(index = 19)]
		StillJailed,
		/// The provider is suspended: wait until the suspension is lifted.
		#[codec(index = 20)]
		Suspended,
		/// The provider is ready already.
		#[codec(index = 21)]
		AlreadyReady,
		/// The endpoint has more than 256 bytes: give the node a shorter name or path.
		#[codec(index = 22)]
		EndpointTooLong,
		/// The endpoint is not the URL of a WebSocket server, such as `wss://provider.example:9944`: it begins with
		/// `ws://` or `wss://`, has a host, and neither spaces nor user info, query or fragment.
		#[codec(index = 23)]
		BadEndpoint,
	}
}
