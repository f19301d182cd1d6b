//! Migrations of the pallet's storage.

use crate::*;
use alloc::{collections::BTreeMap, vec::Vec};
use assay_primitives::{
	limits::MAX_ATTEMPTS,
	model::{ModelTerms, Prices},
	receipt::{AnswerRecord, ClaimRecord},
	Balance, InputHash, JobId, ListingId, ModelId, Receipt, SamplingParams, State, UncheckedInput, Verdict,
};
use codec::{Decode, Encode};
use core::marker::PhantomData;
use frame_support::{
	migrations::VersionedMigration,
	storage_alias,
	traits::{ConstU32, Get, UncheckedOnRuntimeUpgrade},
	weights::Weight,
	Blake2_128Concat, BoundedVec, Twox64Concat,
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{traits::Convert, Permill};

/// From one entry a model to listings: jobs and receipts name the listing that took the place of their model's entry, and
/// queues are those of listings. `ListingOf` finds it; the migration of the catalog comes first.
pub type V1ToV2<T, ListingOf> =
	VersionedMigration<1, 2, V1ToV2Unchecked<T, ListingOf>, Pallet<T>, <T as frame_system::Config>::DbWeight>;

/// From prompts, which were texts, to inputs, which are texts or conversations.
pub type V2ToV3<T> = VersionedMigration<2, 3, V2ToV3Unchecked<T>, Pallet<T>, <T as frame_system::Config>::DbWeight>;

/// [`V2ToV3`] without the check of the version.
pub struct V2ToV3Unchecked<T>(PhantomData<T>);

/// The longest prompt of version 2, in bytes.
const OLD_MAX_INPUT_BYTES: u32 = 8 * 1024;

/// A prompt in version 2.
pub(crate) type OldInput = BoundedVec<u8, ConstU32<OLD_MAX_INPUT_BYTES>>;

impl<T: Config> UncheckedOnRuntimeUpgrade for V2ToV3Unchecked<T> {
	fn on_runtime_upgrade() -> Weight {
		let mut entries = 0u64;
		Inputs::<T>::translate_values(|old: OldInput| {
			entries = entries.saturating_add(1);
			UncheckedInput::Text(old.into_inner()).bounded()
		});
		T::DbWeight::get().reads_writes(entries.saturating_add(1), entries)
	}

	#[cfg(feature = "try-runtime")]
	fn post_upgrade(_: Vec<u8>) -> Result<(), sp_runtime::TryRuntimeError> {
		Pallet::<T>::do_try_state()
	}
}

/// [`V1ToV2`] without the check of the version.
pub struct V1ToV2Unchecked<T, ListingOf>(PhantomData<(T, ListingOf)>);

/// A listing that stands in receipts of models that have left the catalog.
pub const GONE: ListingId = ListingId(u32::MAX);

/// The terms of a job in version 1.
#[derive(Encode, Decode)]
pub(crate) struct OldTerms<AccountId> {
	pub(crate) owner: AccountId,
	pub(crate) parameters: u64,
	pub(crate) price_in: Balance,
	pub(crate) price_out: Balance,
	pub(crate) royalty: Permill,
	pub(crate) context_length: u32,
	pub(crate) prompt_overhead: u32,
	pub(crate) retired: bool,
}

/// A job in version 1.
#[derive(Encode, Decode)]
pub(crate) struct OldJob<AccountId, BlockNumber> {
	pub(crate) requester: AccountId,
	pub(crate) count: u64,
	pub(crate) model: ModelId,
	pub(crate) terms: OldTerms<AccountId>,
	pub(crate) params: SamplingParams,
	pub(crate) input_hash: InputHash,
	pub(crate) input_ceiling: u32,
	pub(crate) output_ceiling: u32,
	pub(crate) fee_ceiling: Balance,
	pub(crate) verifiers: u8,
	pub(crate) requested_at: BlockNumber,
	pub(crate) state: State,
	pub(crate) attempt: u8,
	pub(crate) deadline: BlockNumber,
	pub(crate) engagement: Option<Engagement<AccountId, BlockNumber>>,
	pub(crate) answer: Option<Answer>,
	pub(crate) failed: BoundedVec<AccountId, ConstU32<MAX_ATTEMPTS>>,
}

/// A receipt in version 1.
#[derive(Encode, Decode)]
pub(crate) struct OldReceipt<AccountId, BlockNumber> {
	pub(crate) job: JobId,
	pub(crate) model: ModelId,
	pub(crate) requester: AccountId,
	pub(crate) count: u64,
	pub(crate) params: SamplingParams,
	pub(crate) input_hash: InputHash,
	pub(crate) verdict: Verdict,
	pub(crate) state: State,
	pub(crate) answer: Option<AnswerRecord>,
	pub(crate) claim: Option<ClaimRecord<AccountId, BlockNumber>>,
	pub(crate) attempts: u8,
	pub(crate) fee: Balance,
	pub(crate) requested_at: BlockNumber,
	pub(crate) verdict_at: BlockNumber,
	pub(crate) closed_at: Option<BlockNumber>,
}

/// The queues of version 1.
pub(crate) mod old {
	use super::*;

	#[storage_alias]
	pub(crate) type Queue<T: Config> = StorageDoubleMap<Pallet<T>, Blake2_128Concat, ModelId, Twox64Concat, u64, JobId>;
	#[storage_alias]
	pub(crate) type Lines<T: Config> = StorageMap<Pallet<T>, Blake2_128Concat, ModelId, Line>;
	#[storage_alias]
	pub(crate) type Turns<T: Config> = StorageMap<Pallet<T>, Twox64Concat, u64, ModelId>;
}

impl<AccountId, BlockNumber> OldJob<AccountId, BlockNumber> {
	fn with(self, listing: ListingId) -> Job<AccountId, BlockNumber> {
		let OldTerms {
			owner,
			parameters,
			price_in,
			price_out,
			royalty,
			context_length,
			prompt_overhead,
			retired,
		} = self.terms;
		Job {
			requester: self.requester,
			count: self.count,
			model: self.model,
			terms: ModelTerms {
				listing,
				owner,
				parameters,
				prices: Prices { price_in, price_out },
				royalty,
				context_length,
				prompt_overhead,
				retired,
			},
			listing_named: false,
			params: self.params,
			input_hash: self.input_hash,
			input_ceiling: self.input_ceiling,
			output_ceiling: self.output_ceiling,
			fee_ceiling: self.fee_ceiling,
			verifiers: self.verifiers,
			requested_at: self.requested_at,
			state: self.state,
			attempt: self.attempt,
			deadline: self.deadline,
			engagement: self.engagement,
			answer: self.answer,
			failed: self.failed,
		}
	}
}

impl<AccountId, BlockNumber> OldReceipt<AccountId, BlockNumber> {
	fn with(self, listing: ListingId) -> Receipt<AccountId, BlockNumber> {
		Receipt {
			job: self.job,
			model: self.model,
			listing,
			listing_named: false,
			requester: self.requester,
			count: self.count,
			params: self.params,
			input_hash: self.input_hash,
			verdict: self.verdict,
			state: self.state,
			answer: self.answer,
			claim: self.claim,
			attempts: self.attempts,
			fee: self.fee,
			requested_at: self.requested_at,
			verdict_at: self.verdict_at,
			closed_at: self.closed_at,
		}
	}
}

impl<T: Config, ListingOf: Convert<ModelId, Option<ListingId>>> UncheckedOnRuntimeUpgrade
	for V1ToV2Unchecked<T, ListingOf>
{
	fn on_runtime_upgrade() -> Weight {
		let mut known = BTreeMap::new();
		let mut listing_of = |model: ModelId| {
			*known
				.entry(model)
				.or_insert_with(|| ListingOf::convert(model).unwrap_or(GONE))
		};
		let mut entries = 0u64;
		let mut count = || entries = entries.saturating_add(1);

		Jobs::<T>::translate_values(|job: OldJob<T::AccountId, BlockNumberFor<T>>| {
			count();
			let listing = listing_of(job.model);
			Some(job.with(listing))
		});
		Receipts::<T>::translate_values(|receipt: OldReceipt<T::AccountId, BlockNumberFor<T>>| {
			count();
			let listing = listing_of(receipt.model);
			Some(receipt.with(listing))
		});
		// Drained before anything is written under the same prefix.
		let queued: Vec<_> = old::Queue::<T>::drain().collect();
		for (model, index, job) in queued {
			count();
			Queue::<T>::insert(listing_of(model), index, job);
		}
		let lines: Vec<_> = old::Lines::<T>::drain().collect();
		for (model, line) in lines {
			count();
			Lines::<T>::insert(listing_of(model), line);
		}
		let turns: Vec<_> = old::Turns::<T>::drain().collect();
		for (index, model) in turns {
			count();
			Turns::<T>::insert(index, listing_of(model));
		}
		// An entry that moves is read and written, and its old key removed; a model's listing is found once.
		let (reads, writes) = (entries.saturating_add(known.len() as u64), entries.saturating_mul(2));
		T::DbWeight::get().reads_writes(reads, writes)
	}
}
