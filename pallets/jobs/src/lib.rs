//! # Jobs Pallet
//!
//! A job from request to verdict.
//!
//! ## Pallet API
//!
//! See the [`pallet`] module: its configuration, calls, storage, events and errors.
//!
//! ## Overview
//!
//! A user requests an answer of a model and sets the most it may cost. A committee of providers is drawn at random; its
//! first member computes the answer, the others recompute it and vote on the same 32 bytes, first blinded, then
//! revealed. A supermajority decides; the money is settled; a receipt stays.
//!
//! | phase | ends when | or at its deadline |
//! |---|---|---|
//! | drawing | enough providers are available | the job is refunded |
//! | executing | the executor has published | the executor is at fault, next attempt |
//! | committing | every verifier has committed | a supermajority has committed: reveal; else next attempt |
//! | revealing | every committed vote is revealed | the revealed votes are counted |
//!
//! A job gets at most [`MAX_ATTEMPTS`](assay_primitives::limits::MAX_ATTEMPTS) committees and ends in a receipt within
//! [`Pallet::t_max`] blocks, whatever anybody does.
//!
//! The requester never pays more than the fee ceiling quoted for the committee size it requested: if votes differ and
//! the next committee is larger, the same fee is split among more.
//!
//! ## Examples
//!
//! A job from its request to its receipt, with one message of each kind:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_job_from_request_to_receipt)]
//!
//! A requester that queries the price first, and is refused if it offers less:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_quote_is_what_a_request_must_offer)]
//!
//! ## Low Level / Implementation Details
//!
//! ### Messages of providers
//!
//! [`Call::publish`] and [`Call::vote`] are authorized general transactions: feeless, signed inside by the inference
//! key over (purpose, genesis hash, payload). What refuses them before a block refuses them in it:
//! `InvalidTransaction::Custom(n)` carries the index *n* of the [`Error`] in this pallet's metadata. One batch carries
//! all votes that a provider sends in a block; items that no longer apply are skipped, the rest counts.
//!
//! ### Bounds
//!
//! Deadlines are a map by block, read in order by a cursor; at most `max_due_per_block` are handled in a block and the
//! rest wait, so no block's work grows with the number of open jobs, and storing a deadline cannot fail. The draw reads
//! a queue in order; a job for which too few providers are available goes to the end of it.
//!
//! ### The worker
//!
//! The offchain worker (`worker.rs`) hands tasks to the engine, polls it, and sends its providers' messages. It returns
//! at once, remembers only what it sent lately, and trusts nothing but chain state: a message without effect there is
//! sent again.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, rustdoc::broken_intra_doc_links)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

extern crate alloc;

/// The log target of everything but the worker.
pub(crate) const LOG_TARGET: &str = "assay::jobs";

mod conclude;
mod deadlines;
mod draw;
mod messages;
mod prune;
mod request;
mod try_state;
mod types;
mod views;
pub mod weights;
mod worker;

#[cfg(feature = "runtime-benchmarks")]
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
		economics::Fault,
		job::Input,
		limits::MAX_PROVIDERS_PER_MODEL,
		receipt::RefundReason,
		traits::{Escrow, ModelCatalog, ProviderSet},
		Balance, Hash32, JobId, ModelId, Output, OutputHash, Receipt, SamplingParams, Verdict, Vote,
	};
	use frame_support::pallet_prelude::*;
	use frame_system::{offchain::CreateAuthorizedTransaction, pallet_prelude::*};

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	/// A job as this chain stores it.
	pub type JobOf<T> = Job<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
	/// A receipt as this chain stores it.
	pub type ReceiptOf<T> = Receipt<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
	/// A publication as this chain reads it.
	pub type PublicationOf<T> = Publication<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
	/// A batch as this chain reads it.
	pub type BatchOf<T> = Batch<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	/// The pallets this one meets, and its parameters.
	#[pallet::config]
	pub trait Config:
		CreateAuthorizedTransaction<Call<Self>> + frame_system::Config<RuntimeEvent: From<Event<Self>>>
	{
		/// The models that may be requested.
		type Catalog: ModelCatalog<Self::AccountId>;

		/// The providers that may answer.
		type Providers: ProviderSet<Self::AccountId>;

		/// The requester's money.
		type Escrow: Escrow<Self::AccountId, Credit = <Self::Providers as ProviderSet<Self::AccountId>>::Credit>;

		/// The VRF output of the block being finalized, if it has one.
		type Randomness: Get<Option<Hash32>>;

		/// The hash of block 0, which binds messages to this chain.
		type GenesisHash: Get<Hash32>;

		/// The chain's parameters of a job.
		#[pallet::constant]
		type Params: Get<JobParams<BlockNumberFor<Self>>>;

		/// The weights of calls and hooks.
		type WeightInfo: WeightInfo;

		/// Prepares what benchmarks need of other pallets.
		#[cfg(feature = "runtime-benchmarks")]
		type BenchmarkHelper: benchmarking::BenchmarkHelper<Self::AccountId>;
	}

	/// Open jobs.
	// Identity: a job's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Jobs<T: Config> = CountedStorageMap<_, Identity, JobId, JobOf<T>>;

	/// Prompts of open jobs and of receipts.
	// Identity: a job's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Inputs<T: Config> = StorageMap<_, Identity, JobId, Input>;

	/// Published answers: of open jobs from their publication on, and those that receipts confirm.
	// Identity: a job's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Outputs<T: Config> = StorageMap<_, Identity, JobId, Output>;

	/// Outcomes of concluded jobs, until they are pruned.
	// Identity: a job's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Receipts<T: Config> = StorageMap<_, Identity, JobId, ReceiptOf<T>>;

	/// The number of jobs an account has requested.
	// Blake2_128Concat: account ids are chosen by users.
	#[pallet::storage]
	pub type JobCount<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u64, ValueQuery>;

	/// The jobs on whose committee a provider has a seat.
	// Blake2_128Concat: account ids are chosen by users. Identity: a job's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Assignments<T: Config> =
		StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, JobId, (), OptionQuery>;

	/// Jobs that wait for a committee, in the order in which they are drawn.
	// Twox64Concat: the chain counts the indices itself.
	#[pallet::storage]
	pub type Queue<T: Config> = StorageMap<_, Twox64Concat, u64, Waiting<BlockNumberFor<T>>>;

	/// The first index of the queue that may be occupied, and the next to be given out.
	#[pallet::storage]
	pub type QueueEnds<T: Config> = StorageValue<_, (u64, u64), ValueQuery>;

	/// Each open job under the last block of its phase.
	// Twox64Concat: block numbers come from the chain. Identity: a job's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Deadlines<T: Config> =
		StorageDoubleMap<_, Twox64Concat, BlockNumberFor<T>, Identity, JobId, (), OptionQuery>;

	/// The first block whose deadlines may not all be handled.
	#[pallet::storage]
	pub type DueFrom<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

	/// Each receipt under the block of its verdict.
	// Twox64Concat: block numbers come from the chain. Identity: a job's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Concluded<T: Config> =
		StorageDoubleMap<_, Twox64Concat, BlockNumberFor<T>, Identity, JobId, (), OptionQuery>;

	/// The first block whose receipts may not all be pruned.
	#[pallet::storage]
	pub type PruneFrom<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

	/// Events of jobs. Attempts are counted from 0, as in the messages of providers.
	#[pallet::event]
	#[pallet::generate_deposit(pub(crate) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A job was requested and its fee ceiling is held.
		Requested {
			/// The job.
			job: JobId,
			/// The account that pays.
			requester: T::AccountId,
			/// The requested model.
			model: ModelId,
			/// The most that the job can cost.
			fee_ceiling: Balance,
			/// The requested committee size.
			committee_size: u32,
		},
		/// A committee was drawn.
		Drawn {
			/// The job.
			job: JobId,
			/// The attempt.
			attempt: u8,
			/// The committee, the executor first.
			committee: alloc::vec::Vec<T::AccountId>,
		},
		/// The executor published an answer. It is not checked yet.
		Published {
			/// The job.
			job: JobId,
			/// The attempt.
			attempt: u8,
			/// The executor.
			executor: T::AccountId,
			/// Hash of the output.
			output_hash: OutputHash,
		},
		/// A verifier sent its blinded vote.
		Committed {
			/// The job.
			job: JobId,
			/// The attempt.
			attempt: u8,
			/// The verifier.
			voter: T::AccountId,
		},
		/// Votes may be revealed now.
		RevealStarted {
			/// The job.
			job: JobId,
			/// The attempt.
			attempt: u8,
		},
		/// A vote was revealed.
		Revealed {
			/// The job.
			job: JobId,
			/// The attempt.
			attempt: u8,
			/// The voter.
			voter: T::AccountId,
			/// The vote.
			vote: Vote,
		},
		/// A provider was found at fault.
		Faulted {
			/// The job.
			job: JobId,
			/// The attempt.
			attempt: u8,
			/// The provider.
			provider: T::AccountId,
			/// The fault.
			fault: Fault,
			/// The part of the slash that the requester got.
			restitution: Balance,
		},
		/// An attempt brought no agreed answer.
		AttemptFailed {
			/// The job.
			job: JobId,
			/// The attempt.
			attempt: u8,
			/// The reason.
			reason: RefundReason,
		},
		/// The job has a receipt.
		Concluded {
			/// The job.
			job: JobId,
			/// How it ended.
			verdict: Verdict,
			/// What the requester paid.
			fee: Balance,
		},
		/// A receipt was removed and its deposit given back.
		Pruned {
			/// The job.
			job: JobId,
		},
	}

	/// Reasons of refusal. Nothing has changed then.
	///
	/// The index of an error is also the code *n* of `InvalidTransaction::Custom(n)` with which the pool refuses a
	/// message.
	#[pallet::error]
	#[derive(PartialEq, Eq)]
	pub enum Error<T> {
		/// No such model is registered. List them with the runtime API's `models`.
		#[codec(index = 0)]
		UnknownModel,
		/// The model takes no new jobs. Choose another.
		#[codec(index = 1)]
		RetiredModel,
		/// The prompt is empty.
		#[codec(index = 2)]
		EmptyInput,
		/// The prompt is not UTF-8 text.
		#[codec(index = 3)]
		InputNotUtf8,
		/// The prompt is too long for the model's context. Shorten it.
		#[codec(index = 4)]
		InputTooLong,
		/// A sampling parameter is out of range: 1 to 1024 tokens, temperature at most 16, min-p at most 1, stops not
		/// empty.
		#[codec(index = 5)]
		BadParams,
		/// The committee size is not 1, 4, 7, 10 … up to the chain's limit.
		#[codec(index = 6)]
		BadCommitteeSize,
		/// `max_fee` does not cover what the job may cost. Get a quote from the runtime API's `quote`.
		#[codec(index = 7)]
		FeeTooLow,
		/// Fewer providers of the model are available than the committee needs. Request a smaller committee, or try
		/// later.
		#[codec(index = 8)]
		TooFewProviders,
		/// As many jobs are open as the chain takes. Try again in a few blocks.
		#[codec(index = 9)]
		TooManyJobs,
		/// No such job is open.
		#[codec(index = 10)]
		UnknownJob,
		/// The message is for another attempt of the job.
		#[codec(index = 11)]
		WrongAttempt,
		/// The job is in another phase.
		#[codec(index = 12)]
		WrongPhase,
		/// The sender has no seat in the job's committee, or is not its executor.
		#[codec(index = 13)]
		NotInCommittee,
		/// The sender has committed already.
		#[codec(index = 14)]
		AlreadyCommitted,
		/// The sender has not committed, so there is nothing to reveal.
		#[codec(index = 15)]
		NotCommitted,
		/// The commitment was made from another vote or another salt.
		#[codec(index = 16)]
		BadOpening,
		/// The sender has revealed already.
		#[codec(index = 17)]
		AlreadyRevealed,
		/// The sender's inference key did not sign this message for this chain.
		#[codec(index = 18)]
		BadSignature,
		/// The sender has no inference key. Set one first.
		#[codec(index = 19)]
		NoInferenceKey,
		/// The output has more tokens than the request allows.
		#[codec(index = 20)]
		OutputTooLong,
		/// The output's text is not UTF-8.
		#[codec(index = 21)]
		OutputNotUtf8,
		/// The message was made more than 16 blocks ago, or at a block that is not here yet.
		#[codec(index = 22)]
		StaleBatch,
		/// The batch is empty and no heartbeat is due.
		#[codec(index = 23)]
		NoHeartbeatDue,
		/// No such job has a receipt.
		#[codec(index = 24)]
		UnknownReceipt,
		/// Only the requester may prune the receipt now; later anyone may.
		#[codec(index = 25)]
		StillRetained,
	}

	#[pallet::extra_constants]
	impl<T: Config> Pallet<T> {
		/// The most blocks from a request to its receipt, whatever anybody does.
		#[pallet::constant_name(TMax)]
		fn published_t_max() -> u32 {
			Self::t_max()
		}
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(now: BlockNumberFor<T>) -> Weight {
			// Jobs that a deadline sends back to the queue are drawn in a later block, so the draws of this one are
			// known now.
			let draws = Self::weight_of_draws();
			Self::handle_due(now).saturating_add(draws)
		}

		fn on_idle(now: BlockNumberFor<T>, remaining: Weight) -> Weight {
			Self::prune_expired(now, remaining)
		}

		fn on_finalize(now: BlockNumberFor<T>) {
			Self::draw_waiting(now);
		}

		fn offchain_worker(now: BlockNumberFor<T>) {
			worker::run::<T>(now);
		}

		fn integrity_test() {
			let params = T::Params::get();
			assert!(
				assay_primitives::quorum::is_committee_size(params.max_committee),
				"max_committee must be 1, 4, 7, 10 or 13"
			);
			assert!(
				params.max_due_per_block > 0 && params.max_draws_per_block > 0,
				"a chain must make progress"
			);
			assert!(Self::t_max() < u32::MAX, "T_max must be a number of blocks");
			let heaviest = T::WeightInfo::draw(MAX_PROVIDERS_PER_MODEL, params.max_committee)
				.saturating_mul(params.max_draws_per_block.into())
				.saturating_add(
					conclude::heaviest_conclusion::<T::WeightInfo>().saturating_mul(params.max_due_per_block.into()),
				);
			assert!(
				heaviest.all_lte(T::BlockWeights::get().max_block),
				"the draws and deadlines of one block must fit into it: {heaviest:?}"
			);
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Requests an answer of a model.
		///
		/// ## Dispatch Origin
		///
		/// Signed.
		///
		/// ## Details
		///
		/// Holds what the job may cost at most and a deposit for its storage. The committee is drawn at the end of the
		/// next block. A committee of one is the cheapest, and nobody checks its answer.
		///
		/// ## Errors
		///
		/// [`Error::UnknownModel`], [`Error::RetiredModel`], [`Error::EmptyInput`], [`Error::InputNotUtf8`],
		/// [`Error::InputTooLong`], [`Error::BadParams`], [`Error::BadCommitteeSize`], [`Error::FeeTooLow`],
		/// [`Error::TooFewProviders`], [`Error::TooManyJobs`], and the escrow's errors if the money cannot be held.
		///
		/// ## Events
		///
		/// [`Event::Requested`].
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::request(input.len() as u32))]
		pub fn request(
			origin: OriginFor<T>,
			model: ModelId,
			input: Input,
			params: SamplingParams,
			committee_size: u32,
			max_fee: Balance,
		) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_request(who, model, input, params, committee_size, max_fee)
		}

		/// Publishes an answer together with the executor's own blinded vote.
		///
		/// ## Dispatch Origin
		///
		/// Authorized: signed inside by the executor's inference key. Feeless.
		///
		/// ## Details
		///
		/// Verifiers may commit from the next block on. In a committee of one the vote may be revealed at once.
		///
		/// ## Errors
		///
		/// [`Error::StaleBatch`], [`Error::UnknownJob`], [`Error::WrongAttempt`], [`Error::WrongPhase`],
		/// [`Error::NotInCommittee`], [`Error::AlreadyCommitted`], [`Error::OutputTooLong`], [`Error::OutputNotUtf8`],
		/// [`Error::NoInferenceKey`], [`Error::BadSignature`].
		///
		/// ## Events
		///
		/// [`Event::Published`], and [`Event::RevealStarted`] in a committee of one.
		#[pallet::call_index(1)]
		#[pallet::weight((T::WeightInfo::publish(publication.encoded_size() as u32), DispatchClass::Operational, Pays::No))]
		#[pallet::authorize(Self::authorize_publish)]
		#[pallet::weight_of_authorize(T::WeightInfo::authorize_publish(publication.encoded_size() as u32))]
		pub fn publish(
			origin: OriginFor<T>,
			publication: PublicationOf<T>,
			signature: InferenceSignature,
		) -> DispatchResult {
			ensure_authorized(origin)?;
			let _ = signature; // checked by `authorize_publish`
			Self::do_publish(publication)
		}

		/// Commits blinded votes and reveals others; without either it is a heartbeat.
		///
		/// ## Dispatch Origin
		///
		/// Authorized: signed inside by the voter's inference key. Feeless.
		///
		/// ## Details
		///
		/// Items that no longer apply are skipped, as long as one applies. An empty batch counts only if a heartbeat is
		/// due. The reveal that completes a committee concludes the attempt.
		///
		/// ## Errors
		///
		/// [`Error::StaleBatch`], [`Error::NoHeartbeatDue`], [`Error::NoInferenceKey`], [`Error::BadSignature`]; and if
		/// no item applies, the error of the first: [`Error::UnknownJob`], [`Error::WrongAttempt`],
		/// [`Error::WrongPhase`], [`Error::NotInCommittee`], [`Error::AlreadyCommitted`], [`Error::NotCommitted`],
		/// [`Error::AlreadyRevealed`], [`Error::BadOpening`].
		///
		/// ## Events
		///
		/// [`Event::Committed`], [`Event::RevealStarted`], [`Event::Revealed`], [`Event::Faulted`],
		/// [`Event::AttemptFailed`], [`Event::Concluded`].
		#[pallet::call_index(2)]
		#[pallet::weight((Pallet::<T>::weight_of_vote(batch), DispatchClass::Operational, Pays::No))]
		#[pallet::authorize(Self::authorize_vote)]
		#[pallet::weight_of_authorize(T::WeightInfo::authorize_vote(
			batch.commitments.len() as u32,
			batch.reveals.len() as u32,
		))]
		pub fn vote(
			origin: OriginFor<T>,
			batch: BatchOf<T>,
			signature: InferenceSignature,
		) -> DispatchResultWithPostInfo {
			ensure_authorized(origin)?;
			let _ = signature; // checked by `authorize_vote`
			Self::do_vote(batch)
		}

		/// Removes a receipt with its prompt and answer, and gives the requester its deposit back.
		///
		/// ## Dispatch Origin
		///
		/// Signed: by the requester at any time, by anyone once the chain's retention is over.
		///
		/// ## Details
		///
		/// Save the receipt first: what is pruned can be proved only from a saved copy.
		///
		/// ## Errors
		///
		/// [`Error::UnknownReceipt`], [`Error::StillRetained`], and the escrow's errors.
		///
		/// ## Events
		///
		/// [`Event::Pruned`].
		#[pallet::call_index(3)]
		#[pallet::weight(T::WeightInfo::prune())]
		pub fn prune(origin: OriginFor<T>, job: JobId) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_prune(who, job)
		}
	}
}
