//! # Jobs Pallet
//!
//! A job from request to receipt.
//!
//! ## Pallet API
//!
//! See the [`pallet`] module: its configuration, calls, storage, events and errors.
//!
//! ## Overview
//!
//! A user requests an answer of a model, or of one of its listings, and sets the most it may cost. A job that names the
//! model gets the listing at which it costs least. It waits in the queue of its listing until an executor is drawn at
//! random who executes at the listing's prices and has a free place. The executor computes and publishes the answer with
//! a seal over its root. From then on the answer is a claim, which is verified elsewhere, behind
//! [`Claims`](assay_primitives::traits::Claims). When the claim ends, the money is settled or refunded, and a receipt
//! stays.
//!
//! | state | ends when | or at its deadline |
//! |---|---|---|
//! | waiting | an executor is drawn | the job is refunded |
//! | executing | the executor has published | the executor is fined, next attempt |
//! | from then on | the claim ends | the claim has deadlines of its own |
//!
//! A job gets at most [`MAX_ATTEMPTS`](assay_primitives::limits::MAX_ATTEMPTS) executors, each with a sampling seed of
//! its own, and ends in a receipt within the blocks that its quote states, whatever anybody does.
//!
//! ## Examples
//!
//! A job from its request to its receipt:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_job_from_request_to_receipt)]
//!
//! A requester that queries the price first, and is refused if it offers less:
//!
#![doc = docify::embed!("src/tests/examples.rs", a_quote_is_what_a_request_must_offer)]
//!
//! ## Low Level / Implementation Details
//!
//! ### Messages of executors
//!
//! [`Call::publish`] is an authorized general transaction: feeless, signed inside by the inference key over (purpose,
//! genesis hash, publication). The publication names the claim, which follows from the executor's draw: one that was made
//! for the draw of another fork is refused and costs nobody anything. What refuses it before a block refuses it in it:
//! `InvalidTransaction::Custom(n)` carries the index *n* of the [`Error`] in this pallet's metadata.
//!
//! ### Queues
//!
//! Each listing has a queue, first come, first served. Listings with waiting jobs take turns, so none blocks another; a
//! job whose executor failed waits at the head. The draw happens at the end of a block, with the randomness of that block
//! and for jobs that were requested in earlier ones.
//!
//! ### Bounds
//!
//! At most `max_draws_per_block` draws and `max_due_per_block` deadlines are handled in a block, and the rest wait.
//! Deadlines of executors are lists by block. A publication leaves its entry there, which is ignored when its block
//! comes. The lists are also where the worker finds what its provider must execute.
//!
//! ### Receipts
//!
//! A receipt is stored when its job is final, and at that moment its hash is appended to an accumulator, of which the
//! state has only the peaks. A receipt can be pruned once its block is finalized; the accumulator still shows that it
//! was there. The inner nodes that a proof needs are not in the state: where offchain indexing is on, they are written
//! to the offchain database.
//!
//! ### The worker
//!
//! The offchain worker (`worker.rs`) hands work to the engine, polls it, and publishes answers. It returns at once,
//! remembers only what it sent lately, and trusts nothing but chain state: a message without effect there is sent again.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, rustdoc::broken_intra_doc_links)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

extern crate alloc;

/// The log target of everything but the worker.
pub(crate) const LOG_TARGET: &str = "assay::jobs";

mod accumulate;
mod conclude;
mod deadlines;
mod draw;
mod errors;
pub mod migrations;
mod prune;
mod publish;
mod queue;
mod request;
mod try_state;
mod types;
mod views;
pub mod weights;
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

use frame_support::pallet_macros::import_section;

/// The pallet: configuration, storage, calls, events and errors.
#[import_section(errors::errors)]
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use assay_primitives::{
		accumulator::Accumulator,
		crypto::InferenceSignature,
		job::Input,
		limits::{MAX_INPUT_BYTES, MAX_OUTPUT_TOKENS},
		rules::{check_work, generation_work, MAX_DEADLINE_BLOCKS},
		traits::{Beacon, Claims, Escrow, FinalizedBlock, ModelCatalog, Penalties, Pool, ProviderSet},
		Balance, ClaimId, Hash32, JobId, LeafHash, ListingId, ModelId, Output, OutputHash, Receipt, State, Target,
		UncheckedInput, UncheckedParams, Verdict,
	};
	use frame_support::pallet_prelude::*;
	use frame_system::{offchain::CreateAuthorizedTransaction, pallet_prelude::*};

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(3);

	/// A job as this chain stores it.
	pub type JobOf<T> = Job<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
	/// A receipt as this chain stores it.
	pub type ReceiptOf<T> = Receipt<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
	/// A publication as this chain reads it.
	pub type PublicationOf<T> = Publication<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;

	/// Most executors whose deadline is one block; that of others is a later one.
	pub const MAX_DUE: u32 = 256;
	/// The most tokens, of prompt and answer, that a job can have: no tokenizer makes more of a text than its bytes.
	pub(crate) const MAX_WORK: (u32, u32) = (MAX_INPUT_BYTES, MAX_OUTPUT_TOKENS);

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

		/// The providers that may execute, and what it costs them if they do not.
		type Providers: ProviderSet<Self::AccountId> + Penalties<Self::AccountId>;

		/// The requester's money, and the pool that fines go to.
		type Escrow: Escrow<Self::AccountId>
			+ Pool<Self::AccountId, Credit = <Self::Providers as Penalties<Self::AccountId>>::Credit>;

		/// The verification of published answers.
		type Claims: Claims<Self::AccountId, BlockNumberFor<Self>>;

		/// The randomness of executors' draws.
		type Beacon: Beacon;

		/// What the chain knows of its finality: a receipt is pruned only when its block is finalized.
		type Finality: FinalizedBlock;

		/// The hash of block 0, which binds names and messages to this chain.
		type GenesisHash: Get<Hash32>;

		/// The chain's parameters of a job.
		#[pallet::constant]
		type Params: Get<JobParams<BlockNumberFor<Self>>>;

		/// The weights of calls and hooks.
		type WeightInfo: WeightInfo;

		/// Prepares what benchmarks need of other pallets.
		#[cfg(any(feature = "runtime-benchmarks", test))]
		type BenchmarkHelper: benchmarking::BenchmarkHelper<Self::AccountId>;
	}

	/// Jobs that are not final.
	// Identity: a job's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Jobs<T: Config> = StorageMap<_, Identity, JobId, JobOf<T>>;

	/// What jobs ask, until their receipts are pruned.
	// Identity: a job's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Inputs<T: Config> = StorageMap<_, Identity, JobId, Input>;

	/// Published answers, until their receipts are pruned.
	// Identity: a job's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Outputs<T: Config> = StorageMap<_, Identity, JobId, Output>;

	/// Outcomes of jobs that are final, until they are pruned.
	// Identity: a job's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Receipts<T: Config> = StorageMap<_, Identity, JobId, ReceiptOf<T>>;

	/// The number of jobs an account has requested.
	// Blake2_128Concat: account ids are chosen by users.
	#[pallet::storage]
	pub type JobCount<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u64, ValueQuery>;

	/// The waiting jobs of each listing, in the order in which they are drawn.
	// Twox64Concat: the chain counts listings and indices itself.
	#[pallet::storage]
	pub type Queue<T: Config> = StorageDoubleMap<_, Twox64Concat, ListingId, Twox64Concat, u64, JobId>;

	/// The ends of each listing's queue. There is none if no job waits.
	// Twox64Concat: the chain counts the listings itself.
	#[pallet::storage]
	pub type Lines<T: Config> = StorageMap<_, Twox64Concat, ListingId, Line>;

	/// The listings with waiting jobs, in the order of their turns.
	// Twox64Concat: the chain counts the indices itself.
	#[pallet::storage]
	pub type Turns<T: Config> = StorageMap<_, Twox64Concat, u64, ListingId>;

	/// How many jobs wait, and where the turns begin and end.
	#[pallet::storage]
	pub type WaitingJobs<T: Config> = StorageValue<_, Waiting, ValueQuery>;

	/// The executors that must publish, under the last block in which they may. An entry stays until that block is over,
	/// also if its executor has published.
	// Twox64Concat: block numbers come from the chain.
	#[pallet::storage]
	pub type Due<T: Config> =
		StorageMap<_, Twox64Concat, BlockNumberFor<T>, BoundedVec<Duty<T::AccountId>, ConstU32<MAX_DUE>>, ValueQuery>;

	/// The first block whose deadlines may not all be handled.
	#[pallet::storage]
	pub type DueFrom<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

	/// Each receipt under the block in which its job became final.
	// Twox64Concat: block numbers come from the chain. Identity: a job's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Concluded<T: Config> =
		StorageDoubleMap<_, Twox64Concat, BlockNumberFor<T>, Identity, JobId, (), OptionQuery>;

	/// The first block whose receipts may not all be pruned.
	#[pallet::storage]
	pub type PruneFrom<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

	/// All receipts that ever became final: a number and a few hashes, against which a receipt file is held when its
	/// receipt is pruned.
	#[pallet::storage]
	pub type ReceiptAccumulator<T: Config> = StorageValue<_, Accumulator, ValueQuery>;

	/// The index of each receipt's leaf in the accumulator, until it is pruned.
	// Identity: a job's name is a BLAKE2b hash.
	#[pallet::storage]
	pub type Leaves<T: Config> = StorageMap<_, Identity, JobId, u64>;

	/// Events of jobs. Attempts are counted from 0.
	#[pallet::event]
	#[pallet::generate_deposit(pub(crate) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A job was requested and its fee ceiling is held.
		#[codec(index = 0)]
		Requested {
			/// The job.
			job: JobId,
			/// The account that pays.
			requester: T::AccountId,
			/// The model that answers.
			model: ModelId,
			/// The listing on whose terms it answers.
			listing: ListingId,
			/// How many verifiers were asked for.
			verifiers: u8,
			/// The most that the job can cost.
			fee_ceiling: Balance,
		},
		/// An executor was drawn.
		#[codec(index = 1)]
		Drawn {
			/// The job.
			job: JobId,
			/// The attempt.
			attempt: u8,
			/// The executor.
			executor: T::AccountId,
			/// The claim that it will publish.
			claim: ClaimId,
			/// The last block in which it may.
			deadline: BlockNumberFor<T>,
		},
		/// An executor published nothing in time.
		#[codec(index = 2)]
		AttemptFailed {
			/// The job.
			job: JobId,
			/// The attempt.
			attempt: u8,
			/// The executor.
			executor: T::AccountId,
			/// What it was fined.
			fine: Balance,
		},
		/// The executor published an answer. It is not checked yet.
		#[codec(index = 3)]
		Published {
			/// The job.
			job: JobId,
			/// The claim.
			claim: ClaimId,
			/// The executor.
			executor: T::AccountId,
			/// Hash of the output.
			output_hash: OutputHash,
		},
		/// The job is final and has a receipt.
		#[codec(index = 4)]
		Closed {
			/// The job.
			job: JobId,
			/// Its final state.
			state: State,
			/// What is known of the answer.
			verdict: Verdict,
			/// What the requester paid.
			fee: Balance,
		},
		/// A receipt was removed and its deposit given back.
		#[codec(index = 5)]
		Pruned {
			/// The job.
			job: JobId,
		},
		/// The job's receipt was appended to the accumulator.
		#[codec(index = 6)]
		Accumulated {
			/// The job.
			job: JobId,
			/// The index of its leaf, from 0.
			index: u64,
			/// The leaf: the hash of the receipt.
			leaf: LeafHash,
		},
	}

	#[pallet::extra_constants]
	impl<T: Config> Pallet<T> {
		/// The most blocks from any request to its final state, whatever anybody does.
		#[pallet::constant_name(TMax)]
		fn longest_job() -> u32 {
			let (tokens_in, tokens_out) = MAX_WORK;
			Self::t_max(
				generation_work(tokens_in, tokens_out),
				check_work(tokens_in, tokens_out),
			)
		}
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(now: BlockNumberFor<T>) -> Weight {
			// Deadlines come first: their jobs may be drawn again at the end of this block.
			let due = Self::handle_due(now);
			due.saturating_add(Self::weight_of_draws())
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
				params.max_draws_per_block > 0 && params.max_due_per_block >= params.max_draws_per_block,
				"as many deadlines must be handled in a block as are made"
			);
			assert!(Self::longest_job() < u32::MAX, "T_max must be a number of blocks");
			let (tokens_in, tokens_out) = MAX_WORK;
			let largest = T::Providers::blocks_for(generation_work(tokens_in, tokens_out));
			assert!(
				largest.saturating_add(params.backlog_blocks) <= MAX_DEADLINE_BLOCKS,
				"an executor must have time for the largest job behind the longest backlog"
			);
			let draw = T::WeightInfo::turn().saturating_add(T::WeightInfo::draw());
			let heaviest = draw
				.saturating_mul(params.max_draws_per_block.into())
				.saturating_add(T::WeightInfo::no_output().saturating_mul(params.max_due_per_block.into()));
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
		/// Holds what the job may cost at most and a deposit for its storage. The executor is drawn at the end of the next
		/// block, or of the first in which the job's turn has come and somebody has a free place. Then that many verifiers
		/// check the answer; without any, nobody does.
		///
		/// `input` is the text of one user message, or a conversation as JSON: OpenAI's `messages`, `tools`, `tool_choice`
		/// and `response_format`. A conversation is read here as the engines read it. Its bytes are what the job's name and
		/// its receipt bind.
		///
		/// ## Errors
		///
		/// [`Error::UnknownModel`], [`Error::RetiredModel`], [`Error::EmptyInput`], [`Error::InputNotUtf8`],
		/// [`Error::InputTooLong`], [`Error::BadParams`], [`Error::TooManyVerifiers`], [`Error::FeeTooLow`],
		/// [`Error::NoProvider`], [`Error::NoVerifier`], [`Error::UnknownListing`], [`Error::RetiredListing`],
		/// [`Error::NobodyWilling`], [`Error::TooFewWilling`], [`Error::TooManyJobs`], [`Error::BadChat`], and the escrow's
		/// errors if the money cannot be held.
		///
		/// ## Events
		///
		/// [`Event::Requested`].
		#[pallet::call_index(0)]
		#[pallet::weight(
			T::WeightInfo::request(input.bytes().len() as u32, crate::request::most_listings(target))
				.saturating_add(crate::request::weight_of_parsing::<T>(input))
		)]
		pub fn request(
			origin: OriginFor<T>,
			target: Target,
			input: UncheckedInput,
			params: UncheckedParams,
			verifiers: u8,
			max_fee: Balance,
		) -> DispatchResultWithPostInfo {
			let who = ensure_signed(origin)?;
			let bytes = input.bytes().len() as u32;
			let parsing = crate::request::weight_of_parsing::<T>(&input);
			let compared = Self::do_request(who, target, input, params, verifiers, max_fee)?;
			Ok(Some(T::WeightInfo::request(bytes, compared).saturating_add(parsing)).into())
		}

		/// Publishes an answer with the executor's seal over its root.
		///
		/// ## Dispatch Origin
		///
		/// Authorized: signed inside by the executor's inference key. Feeless.
		///
		/// ## Details
		///
		/// Gives the executor its place back. Seats that check the answer are drawn two blocks later.
		///
		/// ## Errors
		///
		/// [`Error::StaleMessage`], [`Error::UnknownJob`], [`Error::WrongClaim`], [`Error::NotExecutor`],
		/// [`Error::AlreadyPublished`], [`Error::OutputTooLong`], [`Error::OutputNotUtf8`], [`Error::NoInferenceKey`],
		/// [`Error::BadSignature`].
		///
		/// ## Events
		///
		/// [`Event::Published`].
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

		/// Removes a receipt with its prompt and answer, and gives the requester its deposit back.
		///
		/// ## Dispatch Origin
		///
		/// Signed: by the requester once the job is final and so is the block in which it became so, by anyone once the
		/// chain's retention is over too.
		///
		/// ## Details
		///
		/// Save the receipt first: what is pruned can be proved only from a saved copy. Its leaf stays in the
		/// accumulator.
		///
		/// ## Errors
		///
		/// [`Error::UnknownReceipt`], [`Error::NotFinal`], [`Error::StillRetained`], [`Error::NotFinalized`], and the
		/// escrow's errors.
		///
		/// ## Events
		///
		/// [`Event::Pruned`].
		#[pallet::call_index(2)]
		#[pallet::weight(T::WeightInfo::prune())]
		pub fn prune(origin: OriginFor<T>, job: JobId) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_prune(who, job)
		}
	}
}
