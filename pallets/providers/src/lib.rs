//! # Providers Pallet
//!
//! Stake: who may answer, who makes blocks, what faults cost.
//!
//! ## Pallet API
//!
//! See the [`pallet`] module for calls, storage, events and errors. Other pallets read electorates and give work
//! through [`assay_primitives::traits::ProviderSet`], and fine, slash and suspend through
//! [`assay_primitives::traits::Penalties`]; the session pallet gets validators through its `SessionManager`; the
//! offences pallet reports equivocations through `OnOffenceHandler`; clients read [`Pallet::providers_of`] behind the
//! runtime API.
//!
//! ## Overview
//!
//! A provider is an account with a bond. To be drawn it registers an inference key, which its node signs votes with,
//! sets which models it serves and how many jobs it executes at once, and sends heartbeats.
//!
//! Providers with session keys can be the chain's validators. [`assay_primitives::validators`] has the rule: a seat needs a
//! bond near those of the others and a sign of life in the last session, which is a block or a message by the inference
//! key, and only a part of the set changes in a session.
//!
//! Each model has an electorate: the providers that are drawn for its jobs, with their bonds. It is sealed once a
//! [period](assay_primitives::rules::PERIOD), and the seal is in force a period later, so that no bond, key or
//! heartbeat of the last period changes a draw. Nothing but the next seal changes an electorate.
//!
//! Lapses and missing outputs are fined, up to a cap in each session; a provider that lapses too often is not sealed
//! until it calls [`Call::ready`]. Other faults cost a part of the bond at published rates; a provider that is
//! suspended for one can neither be drawn nor move its bond. An offence against the consensus leads to jail, until the
//! provider calls [`Call::unjail`]. Leaving takes an unbonding period, during which the money stays slashable.
//!
//! ### Terminology
//!
//! * **Active bond**: the weight in electorates and in the choice of validators. **Slashable**: the active bond and
//!   what is unbonding.
//! * **Active provider**: one with an active bond. There are at most [`MAX_PROVIDERS`]; then a larger bond evicts the
//!   smallest that neither validates nor works.
//! * **Eligible**: enough active bond, a key, a recent message, ready, neither suspended nor jailed. **Available**:
//!   eligible, with a free place.
//! * **Outage**: that a provider's engine does not serve a model that the provider serves. Its node reports it, and the
//!   provider is neither sealed nor drawn to execute for that model until it is over.
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
//! Seals are made in turn, a few models a block: a cursor walks all electorates and waits where the last seal is not in
//! force yet. A model that nobody serves is sealed empty, and removed when no seal has members. Sealing also takes those
//! off a model's list who were not eligible for a day.
//!
//! A slash takes the active bond first, then what would be withdrawn last. Faults in inference never change the
//! validators: what they took of the active bond counts as if it were there, until the provider unbonds or offends
//! against the consensus. Otherwise the jury of one model, which its own people can make up, would decide who makes
//! blocks.
//!
//! Everything that is iterated is bounded: active providers ([`MAX_PROVIDERS`]), models of a provider ([`MAX_MODELS`]),
//! providers of a model ([`assay_primitives::limits::MAX_PROVIDERS_PER_MODEL`], among whom a larger bond replaces the
//! smallest). Money taken from a bond is never burned here: for a fault it is handed to the caller, for an offence to
//! `OnSlash`.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, rustdoc::broken_intra_doc_links)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

extern crate alloc;

mod active;
mod calls;
mod electorate;
mod errors;
mod events;
mod genesis;
mod life;
pub mod migrations;
mod offences;
mod outages;
mod penalties;
mod session;
mod set;
mod try_state;
mod types;
pub mod weights;

#[cfg(any(feature = "runtime-benchmarks", test))]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

#[cfg(any(feature = "runtime-benchmarks", test))]
pub use benchmarking::BenchmarkHelper;
pub use offences::LEAST_OFFENCE_SLASH;
pub use pallet::*;
pub use penalties::CreditOf;
pub use session::UnitIdentification;
pub use types::*;
pub use weights::WeightInfo;

use frame_support::pallet_macros::import_section;

/// The pallet: configuration, storage, calls, events and errors.
#[import_section(events::events)]
#[import_section(errors::errors)]
#[import_section(genesis::genesis)]
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use alloc::vec::Vec;
	use assay_primitives::{
		crypto::{InferenceId, InferenceSignature},
		economics::Fault,
		limits::{MAX_ENDPOINT_BYTES, MAX_PROVIDERS_PER_MODEL},
		model::Prices,
		rules::HEARTBEAT_AGE,
		traits::{ModelCatalog, Validators},
		Balance, Hash32, ModelId,
	};
	use frame_support::{
		pallet_prelude::*,
		traits::{
			fungible::{self, hold},
			OnUnbalanced,
		},
	};
	use frame_system::pallet_prelude::*;
	use sp_runtime::Perbill;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(3);

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
		/// The session's validators, and who has the keys to be one.
		type Session: Validators<Self::AccountId>;
		/// Receives what an equivocation costs.
		type OnSlash: OnUnbalanced<CreditOf<Self>>;
		/// The hash of block 0, which binds proofs of possession to this chain.
		type GenesisHash: Get<Hash32>;
		/// The chain's parameters.
		type Params: Get<ProviderParams<BlockNumberFor<Self>>>;
		/// The weights of the calls.
		type WeightInfo: WeightInfo;
		/// Prepares what benchmarks need of the catalog.
		#[cfg(any(feature = "runtime-benchmarks", test))]
		type BenchmarkHelper: BenchmarkHelper;
	}

	/// Reasons for which this pallet holds money.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// Bonds, active or unbonding.
		Bond,
	}

	/// The providers: every account with a bond, active or unbonding.
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

	/// The least prices at which providers of a model execute, for the next seal.
	// Blake2_128Concat: model ids are chosen by users.
	#[pallet::storage]
	pub type LeastPrices<T: Config> = StorageMap<_, Blake2_128Concat, ModelId, LeastPricesOf<T::AccountId>, ValueQuery>;

	/// The providers of a model whose engines do not serve it, and since which block.
	// Blake2_128Concat: model ids are chosen by users.
	#[pallet::storage]
	pub type Outages<T: Config> = StorageMap<_, Blake2_128Concat, ModelId, OutagesOf<T::AccountId>, ValueQuery>;

	/// The electorate of each model that is served, or was until the last seals.
	// Blake2_128Concat: model ids are chosen by users.
	#[pallet::storage]
	pub type Electorates<T: Config> = StorageMap<_, Blake2_128Concat, ModelId, Electorate<T::AccountId>>;

	/// Where providers' nodes serve the streams of their drafts: URLs that [`assay_primitives::endpoint`] accepts.
	// Twox64Concat: only providers have entries.
	#[pallet::storage]
	pub type Endpoints<T: Config> =
		StorageMap<_, Twox64Concat, T::AccountId, BoundedVec<u8, ConstU32<MAX_ENDPOINT_BYTES>>>;

	/// The model whose electorate was sealed last.
	#[pallet::storage]
	pub type LastSealed<T: Config> = StorageValue<_, ModelId>;

	/// The sum of all active bonds.
	#[pallet::storage]
	pub type TotalBond<T: Config> = StorageValue<_, Balance, ValueQuery>;

	/// The active providers.
	#[pallet::storage]
	pub type ActiveProviders<T: Config> =
		StorageValue<_, BoundedVec<T::AccountId, ConstU32<MAX_PROVIDERS>>, ValueQuery>;

	/// The first block of this session.
	#[pallet::storage]
	pub type SessionStart<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

	/// The block in which a provider last showed that its node runs: by a block of its own, the first in a session, or by
	/// a message that is about nothing else.
	// Twox64Concat: only providers have entries.
	#[pallet::storage]
	pub type SignsOfLife<T: Config> = StorageMap<_, Twox64Concat, T::AccountId, BlockNumberFor<T>>;

	/// The block since which a provider was not eligible whenever a model that it serves was sealed.
	// Twox64Concat: only providers have entries.
	#[pallet::storage]
	pub type AbsentSince<T: Config> = StorageMap<_, Twox64Concat, T::AccountId, BlockNumberFor<T>>;

	/// The blocks between unbonding and withdrawing, if the genesis sets them.
	#[pallet::storage]
	pub type UnbondingPeriod<T: Config> = StorageValue<_, BlockNumberFor<T>>;

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		/// Seals the electorates that are due, and reserves the weight of `on_finalize`.
		fn on_initialize(_: BlockNumberFor<T>) -> Weight {
			Self::seal_due().saturating_add(T::WeightInfo::note_author())
		}

		/// Notes the block's author. Not earlier: a block that begins a session belongs to a validator of that one.
		fn on_finalize(_: BlockNumberFor<T>) {
			Self::note_author();
		}

		#[cfg(feature = "std")]
		fn integrity_test() {
			let params = T::Params::get();
			assert!(params.min_bond > 0, "min_bond must be above zero");
			assert!(
				params.heartbeat_interval < HEARTBEAT_AGE.into(),
				"heartbeat_interval must be below HEARTBEAT_AGE"
			);
			assert!(params.max_seals_per_block > 0, "max_seals_per_block must be above zero");
			assert!(params.least_speed > 0, "least_speed must be above zero");
			assert!(params.session_blocks > 0, "session_blocks must be above zero");
			assert!(params.max_validators > 0, "max_validators must be above zero");
			assert!(
				params.unbonding_period >= params.min_unbonding_period,
				"unbonding_period must be at least min_unbonding_period"
			);
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
		/// Holds `amount` in the signer's own account. A new provider executes one job at a time, serves nothing and
		/// has no key. If the chain has as many providers as it can have, one makes way whose bond is smaller, or who was
		/// not eligible for a day: its bond is unbonding from then on.
		///
		/// ## Errors
		///
		/// [`Error::AlreadyBonded`], [`Error::BondTooSmall`], [`Error::TooManyProviders`]; the currency's errors if the
		/// amount can't be held.
		///
		/// ## Events
		///
		/// [`Event::Bonded`]; [`Event::Evicted`] and [`Event::Unbonded`] if another provider makes way, and
		/// [`Event::ServingStopped`] for each model that it served.
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::bond().saturating_add(T::WeightInfo::evict()))]
		pub fn bond(origin: OriginFor<T>, amount: Balance) -> DispatchResultWithPostInfo {
			let who = ensure_signed(origin)?;
			let joined = Self::do_bond(who, amount)?;
			Ok(Some(T::WeightInfo::bond().saturating_add(joined.weight::<T>())).into())
		}

		/// Adds to the active bond.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// Also for a provider that is suspended, was slashed below the minimum, or has unbonded everything and not
		/// withdrawn it yet. The last joins the others again, as `bond` does.
		///
		/// ## Errors
		///
		/// [`Error::NotBonded`], [`Error::ZeroAmount`], [`Error::BondTooSmall`], [`Error::TooManyProviders`]; the currency's
		/// errors if the amount can't be held.
		///
		/// ## Events
		///
		/// [`Event::Bonded`]; the events of `bond` if another provider makes way.
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::bond_extra().saturating_add(T::WeightInfo::evict()))]
		pub fn bond_extra(origin: OriginFor<T>, amount: Balance) -> DispatchResultWithPostInfo {
			let who = ensure_signed(origin)?;
			let joined = Self::do_bond_extra(who, amount)?;
			Ok(Some(T::WeightInfo::bond_extra().saturating_add(joined.weight::<T>())).into())
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
		/// [`Error::TooManyChunks`], [`Error::Suspended`].
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
		/// [`Error::NotBonded`], [`Error::Suspended`], [`Error::NothingToWithdraw`]; if nothing would be left:
		/// [`Error::JobsRunning`], [`Error::StillJailed`].
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
		/// The provider is a member of the model's electorates as long as it is eligible and its bond is among the largest.
		/// Its node must have the model's files. If the model has as many providers as it can have, the one with the
		/// smallest bond makes way for a larger one.
		///
		/// The provider is drawn to execute only at prices that are at least `least_price`; with zero, at any price. It is
		/// drawn to check at any price: a check is paid what it costs at least.
		///
		/// ## Errors
		///
		/// [`Error::NotBonded`], [`Error::BondTooSmall`], [`Error::UnknownModel`], [`Error::RetiredModel`],
		/// [`Error::AlreadyServing`], [`Error::TooManyModels`], [`Error::TooManyForModel`].
		///
		/// ## Events
		///
		/// [`Event::ServingStarted`], [`Event::LeastPriceSet`]; [`Event::ServingStopped`] if another provider makes way.
		#[pallet::call_index(5)]
		#[pallet::weight(T::WeightInfo::serve())]
		pub fn serve(origin: OriginFor<T>, model: ModelId, least_price: Prices) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_serve(who, model, least_price)
		}

		/// Stops serving a model.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// It is drawn until the electorates of which it is a member are no longer in force, and must do what it is drawn
		/// for.
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

		/// Sets how many jobs the provider executes at once, over all its models.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// With zero it only verifies. Jobs it was drawn for must still be done.
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

		/// Leaves jail, to which an offence against the consensus led.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// Possible once its time is over. The provider still needs enough bond.
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

		/// Declares that the provider is ready for work again.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// After too many lapses in a session, or after the last suspension was lifted. The provider can be sealed into
		/// electorates from the next block on.
		///
		/// ## Errors
		///
		/// [`Error::NotBonded`], [`Error::Suspended`], [`Error::AlreadyReady`].
		///
		/// ## Events
		///
		/// [`Event::Ready`].
		#[pallet::call_index(9)]
		#[pallet::weight(T::WeightInfo::ready())]
		pub fn ready(origin: OriginFor<T>) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_ready(who)
		}

		/// Sets the least prices at which the provider executes jobs of a model.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// They are sealed with the model's electorate: draws read them from the next seal on, a period after it.
		///
		/// ## Errors
		///
		/// [`Error::NotBonded`], [`Error::NotServing`].
		///
		/// ## Events
		///
		/// [`Event::LeastPriceSet`].
		#[pallet::call_index(10)]
		#[pallet::weight(T::WeightInfo::set_least_price())]
		pub fn set_least_price(origin: OriginFor<T>, model: ModelId, least_price: Prices) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_set_least_price(who, model, least_price)
		}

		/// Publishes where the provider's node serves the streams of its drafts, or removes that.
		///
		/// ## Dispatch Origin
		///
		/// Signed by a provider.
		///
		/// ## Details
		///
		/// `endpoint` is the URL of a WebSocket server, as `wss://provider.example:9944`; if it is empty, there is none any
		/// more. No deposit: the bond pays for at most 256 bytes, which go when the provider leaves or makes way.
		///
		/// ## Errors
		///
		/// [`Error::NotBonded`], [`Error::EndpointTooLong`], [`Error::BadEndpoint`].
		///
		/// ## Events
		///
		/// [`Event::EndpointSet`].
		#[pallet::call_index(11)]
		#[pallet::weight(T::WeightInfo::set_endpoint())]
		pub fn set_endpoint(origin: OriginFor<T>, endpoint: Vec<u8>) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_set_endpoint(who, endpoint)
		}
	}
}
