//! # Providers Pallet
//!
//! Stake: who may answer, who makes blocks, what faults cost.
//!
//! ## Pallet API
//!
//! See the [`pallet`] module for calls, storage, events and errors. The jobs pallet draws, engages and punishes
//! providers through [`assay_primitives::traits::ProviderSet`]; the session pallet gets validators through its
//! `SessionManager`; the offences pallet reports equivocations through `OnOffenceHandler`; clients read
//! [`Pallet::providers_of`] behind the runtime API.
//!
//! ## Overview
//!
//! A provider is an account with a bond. To be drawn for jobs it registers an inference key, which its node signs votes
//! with, sets which models it serves and how many jobs it holds at once, and sends heartbeats. The providers with the
//! largest bonds and session keys are the chain's validators.
//!
//! Faults cost bond at published rates; too many within a window lead to jail, where a provider is neither drawn nor
//! chosen as a validator until it calls [`Call::unjail`]. Leaving takes an unbonding period, during which the money
//! stays slashable.
//!
//! ### Terminology
//!
//! * **Active bond**: the weight in draws and elections. **Slashable**: the active bond and what is unbonding.
//! * **Ready**: enough active bond, a key, a model, a capacity, not jailed. **Available**: ready, alive, with free
//!   capacity.
//!
//! ## Examples
//!
//! An account becomes a provider that can be drawn:
//!
#![doc = docify::embed!("src/tests/examples.rs", an_account_becomes_a_provider)]
//!
//! A provider leaves, and is slashed for a fault while its bond unbonds:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_provider_leaves_after_the_unbonding_period)]
//!
//! ## Low Level / Implementation Details
//!
//! A slash takes the active bond first, then what would be withdrawn last. All of a provider's jobs count against one
//! capacity. Everything that is iterated is bounded: providers ([`MAX_PROVIDERS`]), models of a provider
//! ([`MAX_MODELS`]), providers of a model ([`assay_primitives::limits::MAX_PROVIDERS_PER_MODEL`]). Money taken from a
//! bond is never burned here: for a job's fault it is handed to the caller, for an offence to `OnSlash`.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, rustdoc::broken_intra_doc_links)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

extern crate alloc;

mod calls;
mod offences;
mod session;
mod set;
mod try_state;
mod types;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

#[cfg(feature = "runtime-benchmarks")]
pub use benchmarking::BenchmarkHelper;
pub use pallet::*;
pub use session::UnitIdentification;
pub use set::CreditOf;
pub use types::*;
pub use weights::WeightInfo;

/// The pallet: configuration, storage, calls, events and errors.
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use alloc::vec::Vec;
	use assay_primitives::{
		crypto::{InferenceId, InferenceSignature},
		economics::Fault,
		limits::MAX_PROVIDERS_PER_MODEL,
		traits::ModelCatalog,
		Balance, Hash32, ModelId,
	};
	use frame_support::{
		pallet_prelude::*,
		traits::{
			fungible::{self, hold},
			Contains, OnUnbalanced,
		},
	};
	use frame_system::pallet_prelude::*;
	use sp_runtime::Perbill;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	/// The pallet.
	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	/// The pallets and parameters that providers need.
	#[pallet::config]
	pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
		/// Holds bonds.
		type Currency: fungible::Inspect<Self::AccountId, Balance = Balance>
			+ hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>
			+ hold::Balanced<Self::AccountId>;
		/// The runtime's hold reasons.
		type RuntimeHoldReason: From<HoldReason>;
		/// The models that can be served.
		type Catalog: ModelCatalog<Self::AccountId>;
		/// Accounts with session keys: only they can be validators.
		type SessionKeys: Contains<Self::AccountId>;
		/// Receives what an equivocation costs.
		type OnSlash: OnUnbalanced<CreditOf<Self>>;
		/// The hash of block 0, which binds proofs of possession to this chain.
		type GenesisHash: Get<Hash32>;
		/// The chain's parameters.
		type Params: Get<ProviderParams<BlockNumberFor<Self>>>;
		/// The weights of the calls.
		type WeightInfo: WeightInfo;
		/// Prepares what benchmarks need of the catalog.
		#[cfg(feature = "runtime-benchmarks")]
		type BenchmarkHelper: BenchmarkHelper;
	}

	/// Reasons for which this pallet holds money.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// Bonds, active or unbonding.
		Bond,
	}

	/// The providers: every account with a bond.
	// Twox64Concat: an entry costs its account a bond, and account ids are hashes or keys.
	#[pallet::storage]
	pub type Providers<T: Config> = CountedStorageMap<_, Twox64Concat, T::AccountId, ProviderRecord<BlockNumberFor<T>>>;

	/// The provider that registered an inference key.
	// Blake2_128Concat: keys are chosen by users.
	#[pallet::storage]
	pub type KeyOwners<T: Config> = StorageMap<_, Blake2_128Concat, InferenceId, T::AccountId>;

	/// The providers that serve a model.
	// Blake2_128Concat: model ids are chosen by users.
	#[pallet::storage]
	pub type Serving<T: Config> = StorageMap<
		_,
		Blake2_128Concat,
		ModelId,
		BoundedVec<T::AccountId, ConstU32<MAX_PROVIDERS_PER_MODEL>>,
		ValueQuery,
	>;

	/// Providers that exist from the start.
	#[pallet::genesis_config]
	#[derive(frame_support::DefaultNoBound)]
	pub struct GenesisConfig<T: Config> {
		/// The providers, alive at block 0. Their models must be in the catalog already.
		pub providers: Vec<GenesisProvider<T::AccountId>>,
	}

	#[pallet::genesis_build]
	impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
		fn build(&self) {
			for provider in &self.providers {
				let built = Pallet::<T>::build_provider(provider);
				assert!(
					built.is_ok(),
					"genesis provider {:?} is refused: {built:?}",
					provider.account
				);
			}
		}
	}

	/// Events of providers.
	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// Money was bonded.
		Bonded {
			/// The provider.
			provider: T::AccountId,
			/// The amount.
			amount: Balance,
			/// The active bond now.
			bond: Balance,
		},
		/// A part of a bond is unbonding.
		Unbonded {
			/// The provider.
			provider: T::AccountId,
			/// The amount.
			amount: Balance,
			/// First block in which it can be withdrawn.
			withdrawable_at: BlockNumberFor<T>,
		},
		/// Unbonded money was withdrawn.
		Withdrawn {
			/// The provider.
			provider: T::AccountId,
			/// The amount.
			amount: Balance,
		},
		/// An account is no longer a provider: nothing of its bond is left.
		Left {
			/// The provider.
			provider: T::AccountId,
		},
		/// A provider's votes are signed by this key from now on.
		InferenceKeySet {
			/// The provider.
			provider: T::AccountId,
			/// The key.
			key: InferenceId,
		},
		/// A provider serves a model.
		ServingStarted {
			/// The provider.
			provider: T::AccountId,
			/// The model.
			model: ModelId,
		},
		/// A provider no longer serves a model.
		ServingStopped {
			/// The provider.
			provider: T::AccountId,
			/// The model.
			model: ModelId,
		},
		/// A provider holds at most this many jobs at once from now on.
		CapacitySet {
			/// The provider.
			provider: T::AccountId,
			/// The number of jobs; zero: it is not drawn.
			capacity: u32,
		},
		/// A provider lost bond for a fault in a job.
		Punished {
			/// The provider.
			provider: T::AccountId,
			/// The fault.
			fault: Fault,
			/// The amount it lost.
			amount: Balance,
		},
		/// A validator lost bond for an offence against the consensus.
		OffenceSlashed {
			/// The provider.
			provider: T::AccountId,
			/// The part of the bond that the offence costs.
			fraction: Perbill,
			/// The amount it lost.
			amount: Balance,
		},
		/// A provider is in jail: neither drawn nor chosen as a validator.
		Jailed {
			/// The provider.
			provider: T::AccountId,
			/// First block in which it may leave.
			until: BlockNumberFor<T>,
		},
		/// A provider left jail.
		Unjailed {
			/// The provider.
			provider: T::AccountId,
		},
	}

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
		/// The chain has as many providers as it can have.
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
		/// The last of a bond stays while jobs are running: try again when they are concluded.
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
		/// The model has as many providers as it can have.
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
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		#[cfg(feature = "std")]
		fn integrity_test() {
			let params = T::Params::get();
			assert!(params.min_bond > 0, "min_bond must be above zero");
			assert!(
				(1..=MAX_FAULTS).contains(&params.faults_to_jail),
				"faults_to_jail is outside 1..=MAX_FAULTS"
			);
			assert!(
				params.heartbeat_interval < params.offline_after,
				"heartbeat_interval must be below offline_after"
			);
			assert!(params.max_validators > 0, "max_validators must be above zero");
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Makes the signer a provider.
		///
		/// ## Dispatch Origin
		///
		/// Signed.
		///
		/// ## Details
		///
		/// Holds `amount` in the signer's own account. A new provider holds one job at a time, serves nothing and has
		/// no key.
		///
		/// ## Errors
		///
		/// [`Error::AlreadyBonded`], [`Error::BondTooSmall`], [`Error::TooManyProviders`]; the currency's errors if the
		/// amount can't be held.
		///
		/// ## Events
		///
		/// [`Event::Bonded`].
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::bond())]
		pub fn bond(origin: OriginFor<T>, amount: Balance) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_bond(who, amount)
		}

		/// Adds to the active bond.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// Also for a provider that was slashed below the minimum or has unbonded everything and not withdrawn it yet.
		///
		/// ## Errors
		///
		/// [`Error::NotBonded`], [`Error::ZeroAmount`], [`Error::BondTooSmall`]; the currency's errors if the amount
		/// can't be held.
		///
		/// ## Events
		///
		/// [`Event::Bonded`].
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::bond_extra())]
		pub fn bond_extra(origin: OriginFor<T>, amount: Balance) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_bond_extra(who, amount)
		}

		/// Takes a part of the active bond, or all of it, out of service.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// The money can be withdrawn after the unbonding period and stays slashable until then. A provider that
		/// unbonds everything stops serving.
		///
		/// ## Errors
		///
		/// [`Error::NotBonded`], [`Error::ZeroAmount`], [`Error::NotEnoughBond`], [`Error::BondTooSmall`],
		/// [`Error::TooManyChunks`].
		///
		/// ## Events
		///
		/// [`Event::Unbonded`]; [`Event::ServingStopped`] for each model if nothing stays bonded.
		#[pallet::call_index(2)]
		#[pallet::weight(T::WeightInfo::unbond())]
		pub fn unbond(origin: OriginFor<T>, amount: Balance) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_unbond(who, amount)
		}

		/// Withdraws what has completed its unbonding period.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// A provider that withdraws the last of its bond is no longer a provider, and its key can be registered by
		/// others.
		///
		/// ## Errors
		///
		/// [`Error::NotBonded`], [`Error::NothingToWithdraw`]; if nothing would be left: [`Error::JobsRunning`],
		/// [`Error::StillJailed`].
		///
		/// ## Events
		///
		/// [`Event::Withdrawn`], [`Event::Left`].
		#[pallet::call_index(3)]
		#[pallet::weight(T::WeightInfo::withdraw())]
		pub fn withdraw(origin: OriginFor<T>) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_withdraw(who)
		}

		/// Registers the key that the provider's node signs votes with.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// `proof` is the key's signature over [`assay_primitives::crypto::possession_message`] of this chain's genesis
		/// hash and the signer: nobody can register a key that another holds. Replaces the previous key, whose
		/// signatures are no longer valid.
		///
		/// ## Errors
		///
		/// [`Error::NotBonded`], [`Error::KeyTaken`], [`Error::BadProof`].
		///
		/// ## Events
		///
		/// [`Event::InferenceKeySet`].
		#[pallet::call_index(4)]
		#[pallet::weight(T::WeightInfo::set_inference_key())]
		pub fn set_inference_key(origin: OriginFor<T>, key: InferenceId, proof: InferenceSignature) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_set_inference_key(who, key, proof)
		}

		/// Starts serving a model.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// The provider is drawn for the model's jobs while it is available. Its node must have the model's files.
		///
		/// ## Errors
		///
		/// [`Error::NotBonded`], [`Error::BondTooSmall`], [`Error::UnknownModel`], [`Error::RetiredModel`],
		/// [`Error::AlreadyServing`], [`Error::TooManyModels`], [`Error::TooManyForModel`].
		///
		/// ## Events
		///
		/// [`Event::ServingStarted`].
		#[pallet::call_index(5)]
		#[pallet::weight(T::WeightInfo::serve())]
		pub fn serve(origin: OriginFor<T>, model: ModelId) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_serve(who, model)
		}

		/// Stops serving a model.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// Jobs it was drawn for must still be done.
		///
		/// ## Errors
		///
		/// [`Error::NotBonded`], [`Error::NotServing`].
		///
		/// ## Events
		///
		/// [`Event::ServingStopped`].
		#[pallet::call_index(6)]
		#[pallet::weight(T::WeightInfo::stop_serving())]
		pub fn stop_serving(origin: OriginFor<T>, model: ModelId) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_stop_serving(who, model)
		}

		/// Sets how many jobs the provider holds at once, over all its models.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// Zero pauses: it is not drawn. Jobs it was drawn for must still be done.
		///
		/// ## Errors
		///
		/// [`Error::NotBonded`], [`Error::CapacityTooHigh`].
		///
		/// ## Events
		///
		/// [`Event::CapacitySet`].
		#[pallet::call_index(7)]
		#[pallet::weight(T::WeightInfo::set_capacity())]
		pub fn set_capacity(origin: OriginFor<T>, capacity: u32) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_set_capacity(who, capacity)
		}

		/// Leaves jail.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// Possible once its time is over. The provider still needs enough bond to be drawn.
		///
		/// ## Errors
		///
		/// [`Error::NotBonded`], [`Error::NotJailed`], [`Error::StillJailed`].
		///
		/// ## Events
		///
		/// [`Event::Unjailed`].
		#[pallet::call_index(8)]
		#[pallet::weight(T::WeightInfo::unjail())]
		pub fn unjail(origin: OriginFor<T>) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_unjail(who)
		}
	}
}
