//! # Verification Pallet
//!
//! A claim from its publication to its settlement: who checks it, what they say, and what follows.
//!
//! ## Pallet API
//!
//! See the [`pallet`] module: its configuration, calls, storage, events and errors. Sources publish claims through
//! [`assay_primitives::traits::Claims`] and receive them back, closed, through
//! [`assay_primitives::traits::ClaimSource`].
//!
//! ## Overview
//!
//! A claim is a published result that says: this model, asked this, with this seed, generates this. Honest results are
//! equal bit for bit, so one honest "no" is a fact. Seats are drawn two blocks after the publication from stake that
//! was sealed long before; whoever lies bets blind. Every live seat must approve; a seat that does not vote lapses and
//! brings in two others; a rejection, or an objection with a bond, makes the whole electorate decide. What is settled
//! had a window for objections and, with a published probability, an audit.
//!
//! The states, and every step between them, are one table: [`assay_primitives::state::STEPS`]. The rules that decide
//! are pure functions in [`assay_primitives`]: `draw`, `rules`, `dispute`, `economics`.
//!
//! The pallet knows neither what a prompt means nor where a price comes from.
//!
//! ### Terminology
//!
//! * **Seat**: a drawn place among the verifiers of a claim; one provider may hold several.
//! * **Tranche**: seats drawn together. **Lapse**: a seat whose vote did not come in time.
//! * **Seal**: the executor's hash over its root. **Opening**: the root itself, told after the audit's lottery.
//! * **Audit**: a seat drawn later, by lottery or for certain. **Jury**: the electorate in a dispute.
//!
//! ## Examples
//!
//! A claim from its publication to its settlement:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_claim_is_checked_opened_and_settled)]
//!
//! A lie that one seat rejects:
//!
#![doc = docify::embed!("src/tests/examples.rs", one_rejection_overturns_a_lie)]
//!
//! ## Low Level / Implementation Details
//!
//! ### Messages of providers
//!
//! [`Call::submit`] and [`Call::open`] are authorized general transactions. A batch is signed inside by the inference
//! key over (purpose, genesis hash, batch), and each vote names the draw that it answers, so a message for one fork is
//! refused on another. An opening is signed by nobody: the seal is its check. What refuses a message before a block
//! refuses it in it: `InvalidTransaction::Custom(n)` carries the index *n* of the [`Error`] in this pallet's metadata.
//!
//! ### Bounds
//!
//! What is due in a block is a bounded list, handled in `on_finalize` with that block's beacon, its weight charged in
//! `on_initialize`. Messages never do anything heavy: what they bring about is due in the next block.
//!
//! ### The worker
//!
//! The offchain worker (`worker.rs`) recomputes what its providers' seats, audits and juries need, opens claims, and
//! objects to claims that the node's own result contradicts.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, rustdoc::broken_intra_doc_links)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

extern crate alloc;

/// The log target of everything but the worker.
pub(crate) const LOG_TARGET: &str = "assay::verification";

mod claims;
mod convictions;
mod dispute;
mod messages;
pub mod migrations;
mod schedule;
mod seats;
mod try_state;
mod types;
pub mod weights;
mod window;
mod worker;

#[cfg(any(feature = "runtime-benchmarks", test))]
pub mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use assay_primitives::{
		crypto::InferenceSignature,
		dispute::Decision,
		economics::Fault,
		limits::MAX_SEAT_RECORDS,
		traits::{Beacon, ClaimSource, Penalties, Pool, ProviderSet},
		vote::JuryVote,
		Balance, BoundRoot, ClaimId, Hash32, ModelId, OutputHash, State, Verdict, Vote,
	};
	use frame_support::{pallet_prelude::*, traits::Imbalance};
	use frame_system::{offchain::CreateAuthorizedTransaction, pallet_prelude::*};

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(2);

	/// A claim as this chain stores it.
	pub type ClaimOf<T> = Claim<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
	/// A jury as this chain stores it.
	pub type JuryOf<T> = Jury<<T as frame_system::Config>::AccountId>;
	/// A batch as this chain reads it.
	pub type BatchOf<T> = Batch<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
	/// Money taken from a bond.
	pub type CreditOf<T> = <<T as Config>::Providers as Penalties<<T as frame_system::Config>::AccountId>>::Credit;

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	#[pallet::without_storage_info]
	pub struct Pallet<T>(_);

	/// The pallets this one meets, and its parameters.
	#[pallet::config]
	pub trait Config:
		CreateAuthorizedTransaction<Call<Self>> + frame_system::Config<RuntimeEvent: From<Event<Self>>>
	{
		/// The providers that may check, and what faults cost them.
		type Providers: ProviderSet<Self::AccountId> + Penalties<Self::AccountId, Credit: Imbalance<Balance>>;

		/// The pool that pays audits and juries, and the bonds of objections.
		type Pool: Pool<Self::AccountId, Credit = CreditOf<Self>>;

		/// Where claims come from, and where they go when they are closed.
		type Source: ClaimSource<Self::AccountId, BlockNumberFor<Self>>;

		/// The randomness that seats are drawn by.
		type Beacon: Beacon;

		/// Who may cancel a slash that is decided and not taken yet.
		type AdminOrigin: EnsureOrigin<Self::RuntimeOrigin>;

		/// The hash of block 0, which binds messages to this chain.
		type GenesisHash: Get<Hash32>;

		/// The chain's parameters of verification.
		#[pallet::constant]
		type Params: Get<VerificationParams<BlockNumberFor<Self>>>;

		/// The weights of calls and hooks.
		type WeightInfo: WeightInfo;

		/// Prepares what benchmarks need of other pallets.
		#[cfg(any(feature = "runtime-benchmarks", test))]
		type BenchmarkHelper: benchmarking::BenchmarkHelper<Self>;
	}

	/// Open claims.
	// Identity: a claim's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Claims<T: Config> = CountedStorageMap<_, Identity, ClaimId, ClaimOf<T>>;

	/// The number of open claims of an executor, so that nobody has to count them.
	// Blake2_128Concat: accounts are chosen by users.
	#[pallet::storage]
	pub type ClaimCount<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

	/// The juries of open disputes.
	// Identity: a claim's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Juries<T: Config> = StorageMap<_, Identity, ClaimId, JuryOf<T>>;

	/// The number of disputes of a model whose jury is called.
	// Blake2_128Concat: model ids are chosen by users.
	#[pallet::storage]
	pub type OpenDisputes<T: Config> = StorageMap<_, Blake2_128Concat, ModelId, u32, ValueQuery>;

	/// Slashes that are decided and not taken yet.
	// Twox64Concat: the chain counts the indices itself.
	#[pallet::storage]
	pub type Convictions<T: Config> = CountedStorageMap<_, Twox64Concat, u32, Conviction<T::AccountId>>;

	/// The index of the next conviction.
	#[pallet::storage]
	pub type NextConviction<T: Config> = StorageValue<_, u32, ValueQuery>;

	/// What is due in a block. A claim whose time has changed leaves a stale entry behind.
	// Twox64Concat: block numbers come from the chain.
	#[pallet::storage]
	pub type DueAt<T: Config> = StorageMap<_, Twox64Concat, BlockNumberFor<T>, alloc::vec::Vec<Due>, ValueQuery>;

	/// Events of claims.
	#[pallet::event]
	#[pallet::generate_deposit(pub(crate) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A claim was published. It is not checked yet.
		Published {
			/// The claim.
			claim: ClaimId,
			/// Who computed it.
			executor: T::AccountId,
			/// Hash of the output.
			output_hash: OutputHash,
		},
		/// A tranche of seats was drawn.
		SeatsDrawn {
			/// The claim.
			claim: ClaimId,
			/// The tranche, from 1.
			tranche: u8,
			/// Who was drawn, in order.
			seats: alloc::vec::Vec<T::AccountId>,
		},
		/// A seat or an auditor voted.
		Voted {
			/// The claim.
			claim: ClaimId,
			/// The provider.
			voter: T::AccountId,
			/// The tranche of its seat.
			tranche: u8,
			/// The vote.
			vote: Vote,
		},
		/// A seat or an auditor did not vote in time, or nobody opened what it approved.
		Lapsed {
			/// The claim.
			claim: ClaimId,
			/// The provider.
			provider: T::AccountId,
		},
		/// There is a verdict, or another than before.
		VerdictReached {
			/// The claim.
			claim: ClaimId,
			/// The verdict.
			verdict: Verdict,
		},
		/// An auditor was drawn.
		AuditorDrawn {
			/// The claim.
			claim: ClaimId,
			/// The provider.
			auditor: T::AccountId,
		},
		/// A claim was opened.
		Opened {
			/// The claim.
			claim: ClaimId,
			/// Its root.
			root: BoundRoot,
		},
		/// A dispute began.
		DisputeOpened {
			/// The claim.
			claim: ClaimId,
			/// Who objected; none if a rejection opened it.
			objector: Option<T::AccountId>,
		},
		/// The electorate may commit votes.
		JuryCalled {
			/// The claim.
			claim: ClaimId,
			/// The round, from 1.
			round: u8,
		},
		/// Jurors may reveal votes.
		RevealStarted {
			/// The claim.
			claim: ClaimId,
			/// The round, from 1.
			round: u8,
		},
		/// A juror revealed its vote.
		JurorVoted {
			/// The claim.
			claim: ClaimId,
			/// The provider.
			juror: T::AccountId,
			/// The vote.
			vote: JuryVote,
		},
		/// A dispute ended; none: undecided.
		DisputeClosed {
			/// The claim.
			claim: ClaimId,
			/// What the electorate decided.
			decision: Option<Decision>,
		},
		/// A provider is convicted and suspended; its slash is taken later.
		Convicted {
			/// The claim.
			claim: ClaimId,
			/// The provider.
			provider: T::AccountId,
			/// The fault.
			fault: Fault,
			/// The index of the conviction.
			conviction: u32,
		},
		/// The slash of a conviction was taken and paid out.
		SlashTaken {
			/// The index of the conviction.
			conviction: u32,
			/// What was taken from all offenders together.
			amount: Balance,
		},
		/// The slash of a conviction was canceled.
		SlashCanceled {
			/// The index of the conviction.
			conviction: u32,
		},
		/// A claim has ended.
		Closed {
			/// The claim.
			claim: ClaimId,
			/// Its final state.
			state: State,
			/// Its final verdict.
			verdict: Option<Verdict>,
		},
	}

	/// Reasons of refusal. Nothing has changed then.
	///
	/// The index of an error is also the code *n* of `InvalidTransaction::Custom(n)` with which the pool refuses a
	/// message.
	#[pallet::error]
	#[derive(PartialEq, Eq)]
	pub enum Error<T> {
		/// No such claim is open.
		#[codec(index = 0)]
		UnknownClaim,
		/// A claim of this name is open already.
		#[codec(index = 1)]
		AlreadyPublished,
		/// More verifiers than the chain allows.
		#[codec(index = 2)]
		TooManyVerifiers,
		/// The claim is in another state.
		#[codec(index = 3)]
		WrongState,
		/// The vote names a draw that this chain did not make.
		#[codec(index = 4)]
		WrongDraw,
		/// The sender holds no such seat.
		#[codec(index = 5)]
		NoSeat,
		/// The sender has voted already.
		#[codec(index = 6)]
		AlreadyVoted,
		/// The seat has lapsed: it may reject the claim, and no longer approve it.
		#[codec(index = 7)]
		Lapsed,
		/// The claim was disputed already.
		#[codec(index = 8)]
		AlreadyDisputed,
		/// The claim is not disputed, or its jury is not called yet.
		#[codec(index = 9)]
		NoDispute,
		/// The dispute is in another round.
		#[codec(index = 10)]
		WrongRound,
		/// The juror has not committed, so there is nothing to reveal.
		#[codec(index = 11)]
		NotCommitted,
		/// The root does not open the seal, or the vote and its salt do not open the commitment.
		#[codec(index = 12)]
		BadOpening,
		/// The claim is open already.
		#[codec(index = 13)]
		AlreadyOpened,
		/// The sender has executed, approved or rejected this claim, or objected to it.
		#[codec(index = 14)]
		IsParty,
		/// Only providers with a bond, and whoever asked, may object.
		#[codec(index = 15)]
		MayNotObject,
		/// The objection is to another output than this claim's.
		#[codec(index = 16)]
		OtherOutput,
		/// The time for objections is over.
		#[codec(index = 17)]
		WindowClosed,
		/// The sender's inference key did not sign this message for this chain.
		#[codec(index = 18)]
		BadSignature,
		/// The sender has no inference key. Set one first.
		#[codec(index = 19)]
		NoInferenceKey,
		/// The message was made more than 16 blocks ago, or at a block that is not here yet.
		#[codec(index = 20)]
		StaleBatch,
		/// The batch is empty and no heartbeat is due, or it holds a sign of life and none is due.
		#[codec(index = 21)]
		NoHeartbeatDue,
		/// No such slash waits to be taken.
		#[codec(index = 22)]
		UnknownConviction,
		/// The sender is suspended: its stake counts as absent in a jury.
		#[codec(index = 23)]
		Suspended,
		/// The batch has more than 16 messages. Send the others in another.
		#[codec(index = 24)]
		TooManyMessages,
		/// The sender does not serve the model, or what the message reports of its engine is known; an outage that began
		/// less than a period ago cannot end yet.
		#[codec(index = 25)]
		NoOutageDue,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(now: BlockNumberFor<T>) -> Weight {
			// What is due in a block was put on its list in earlier ones.
			Self::weight_of_due(now)
		}

		fn on_finalize(now: BlockNumberFor<T>) {
			Self::handle_due(now);
		}

		fn offchain_worker(now: BlockNumberFor<T>) {
			worker::run::<T>(now);
		}

		fn integrity_test() {
			let params = T::Params::get();
			assert!(params.max_due_per_block > 0, "a chain must make progress");
			assert!(params.least_speed > 0, "work must end");
			let heaviest = T::WeightInfo::due_list()
				.saturating_add(T::WeightInfo::pass_claim(0).saturating_mul(params.max_due_per_block.into()));
			assert!(
				heaviest.all_lte(T::BlockWeights::get().max_block),
				"what is due in one block must fit into it: {heaviest:?}"
			);
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Sends the votes of a provider: of seats, of auditors, of jurors; and its objections. An empty batch is a
		/// heartbeat.
		///
		/// ## Dispatch Origin
		///
		/// Authorized: signed inside by the provider's inference key. Feeless.
		///
		/// ## Details
		///
		/// Messages that no longer apply are skipped, as long as one applies. An empty batch counts only if a heartbeat
		/// is due. A sign of life shows that the node runs, not that its engine does: it is no heartbeat. Whose engine has
		/// lost a model reports the outage: it is not drawn to execute for that model any more, nor sealed into its
		/// electorates, until it reports that the outage is over.
		///
		/// ## Errors
		///
		/// [`Error::StaleBatch`], [`Error::TooManyMessages`], [`Error::NoHeartbeatDue`], [`Error::NoInferenceKey`],
		/// [`Error::BadSignature`]; and if no message applies, the error of the first: [`Error::UnknownClaim`], [`Error::WrongState`],
		/// [`Error::WrongDraw`], [`Error::NoSeat`], [`Error::AlreadyVoted`], [`Error::Lapsed`],
		/// [`Error::AlreadyDisputed`], [`Error::NoDispute`], [`Error::WrongRound`], [`Error::NotCommitted`],
		/// [`Error::BadOpening`], [`Error::Suspended`], [`Error::NoOutageDue`], those of [`Call::object`].
		///
		/// ## Events
		///
		/// [`Event::Voted`], [`Event::VerdictReached`], [`Event::DisputeOpened`], [`Event::JurorVoted`].
		#[pallet::call_index(0)]
		#[pallet::weight((Pallet::<T>::weight_of_batch(batch), DispatchClass::Operational, Pays::No))]
		#[pallet::authorize(Self::authorize_submit)]
		#[pallet::weight_of_authorize(Pallet::<T>::weight_of_authorize(batch))]
		pub fn submit(
			origin: OriginFor<T>,
			batch: BatchOf<T>,
			signature: InferenceSignature,
		) -> DispatchResultWithPostInfo {
			ensure_authorized(origin)?;
			let _ = signature; // checked by `authorize_submit`
			Self::do_submit(batch)
		}

		/// Opens a claim: publishes the root that its seal was made of.
		///
		/// ## Dispatch Origin
		///
		/// Authorized: by the seal, which only this root fits. Feeless; anyone who computed the claim can send it.
		///
		/// ## Details
		///
		/// Accepted once the audit's lottery is past and no auditor is at work. Every approval is held against the root;
		/// one that does not fit is a false statement and convicts who made it.
		///
		/// ## Errors
		///
		/// [`Error::UnknownClaim`], [`Error::AlreadyOpened`], [`Error::WrongState`], [`Error::BadOpening`].
		///
		/// ## Events
		///
		/// [`Event::Opened`]; [`Event::Convicted`], [`Event::VerdictReached`].
		#[pallet::call_index(1)]
		#[pallet::weight((T::WeightInfo::open(MAX_SEAT_RECORDS), DispatchClass::Operational, Pays::No))]
		#[pallet::authorize(Self::authorize_open)]
		#[pallet::weight_of_authorize(T::WeightInfo::authorize_open())]
		pub fn open(origin: OriginFor<T>, claim: ClaimId, root: BoundRoot) -> DispatchResultWithPostInfo {
			ensure_authorized(origin)?;
			Self::do_open(claim, root)
		}

		/// Objects to a claim: the whole electorate decides.
		///
		/// ## Dispatch Origin
		///
		/// Signed: by a provider with a bond, or by whoever asked.
		///
		/// ## Details
		///
		/// Holds a bond that pays the jury: one check for each member of the electorate, and 10 ASY. It comes back if
		/// the claim is overturned; the rest of it if the electorate does not decide; if the claim is upheld it is lost.
		/// Nothing else of the objector is at stake. `output_hash` names the output that is said to be false, so that an
		/// objection cannot be carried over to another one.
		///
		/// ## Errors
		///
		/// [`Error::UnknownClaim`], [`Error::OtherOutput`], [`Error::AlreadyDisputed`], [`Error::WrongState`],
		/// [`Error::WindowClosed`], [`Error::IsParty`], [`Error::MayNotObject`]; the currency's errors if the bond
		/// cannot be held.
		///
		/// ## Events
		///
		/// [`Event::DisputeOpened`].
		#[pallet::call_index(2)]
		#[pallet::weight(T::WeightInfo::object())]
		pub fn object(origin: OriginFor<T>, claim: ClaimId, output_hash: OutputHash) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_object(who, claim, output_hash)
		}

		/// Cancels the slash of a conviction that is not taken yet, and lifts the suspensions.
		///
		/// ## Dispatch Origin
		///
		/// [`Config::AdminOrigin`].
		///
		/// ## Errors
		///
		/// [`Error::UnknownConviction`].
		///
		/// ## Events
		///
		/// [`Event::SlashCanceled`].
		#[pallet::call_index(3)]
		#[pallet::weight(T::WeightInfo::slash(MAX_NAMED.saturating_mul(3)))]
		pub fn cancel_slash(origin: OriginFor<T>, conviction: u32) -> DispatchResult {
			T::AdminOrigin::ensure_origin(origin)?;
			Self::do_cancel_slash(conviction)
		}
	}
}
