//! What a job may cost, and taking it in.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	api::{Quote, QuoteError},
	digest::input_hash,
	draw::Candidate,
	economics,
	job::Input,
	limits::{MAX_INPUT_BYTES, MAX_OUTPUT_TOKENS},
	model::ModelTerms,
	quorum::is_committee_size,
	traits::{Escrow, ModelCatalog, ProviderSet},
	Balance, Hash32, JobId, ModelId, SamplingParams,
};
use frame_support::{ensure, pallet_prelude::*, traits::Get};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::Zero;

/// What tokenizers average on plain text, at the least. A prompt with more bytes than this for each token of the context hardly
/// fits and is refused at once; one that passes and does not fit ends as `Failed(PromptTooLong)`.
const BYTES_PER_CONTEXT_TOKEN: u32 = 4;

/// Bytes that one answered token is stored in: its id and, on average, its text.
const BYTES_PER_ANSWER_TOKEN: u32 = 8;

impl<T: Config> From<QuoteError> for Error<T> {
	fn from(error: QuoteError) -> Self {
		match error {
			QuoteError::UnknownModel => Self::UnknownModel,
			QuoteError::RetiredModel => Self::RetiredModel,
			QuoteError::EmptyInput => Self::EmptyInput,
			QuoteError::InputTooLong => Self::InputTooLong,
			QuoteError::BadParams => Self::BadParams,
			QuoteError::BadCommitteeSize => Self::BadCommitteeSize,
			QuoteError::TooFewProviders => Self::TooFewProviders,
		}
	}
}

impl<T: Config> Pallet<T> {
	pub(crate) fn do_request(
		requester: T::AccountId,
		model: ModelId,
		input: Input,
		params: SamplingParams,
		committee_size: u32,
		max_fee: Balance,
	) -> DispatchResult {
		let limits = T::Params::get();
		ensure!(params.is_valid(), Error::<T>::BadParams);
		let (terms, quote) =
			Self::priced(&model, input.len() as u32, params.max_tokens, committee_size).map_err(Error::<T>::from)?;
		ensure!(core::str::from_utf8(&input).is_ok(), Error::<T>::InputNotUtf8);
		ensure!(max_fee >= quote.max_fee, Error::<T>::FeeTooLow);
		ensure!(Jobs::<T>::count() < limits.max_open_jobs, Error::<T>::TooManyJobs);

		let now = frame_system::Pallet::<T>::block_number();
		let hash = input_hash(&input);
		let count = JobCount::<T>::mutate(&requester, |count| {
			*count = count.saturating_add(1);
			*count
		});
		let id = JobId::derive(&Self::genesis(), &requester, count, &model, &hash);
		T::Escrow::hold(id, &requester, quote.max_fee, quote.deposit)?;

		let mut job = Job {
			requester: requester.clone(),
			model,
			terms,
			params,
			input_hash: hash,
			input_ceiling: quote.input_tokens,
			ceiling: quote.max_fee,
			asked: committee_size,
			size: committee_size,
			enlarge: false,
			attempt: 0,
			phase: Phase::Drawing { ticket: 0 },
			deadline: now,
			requested_at: now,
			seed: None,
			committee: Default::default(),
			failed: Default::default(),
		};
		Inputs::<T>::insert(id, input);
		Self::enter_queue(&id, &mut job, now);
		Jobs::<T>::insert(id, job);
		Self::deposit_event(Event::Requested {
			job: id,
			requester,
			model,
			ceiling: quote.max_fee,
			committee_size,
		});
		Ok(())
	}

	/// The price of a job before it is asked, or the error that its request would meet.
	pub fn quote(model: ModelId, input_bytes: u32, max_tokens: u32, committee_size: u32) -> Result<Quote, QuoteError> {
		Self::priced(&model, input_bytes, max_tokens, committee_size).map(|(_, quote)| quote)
	}

	fn priced(
		model: &ModelId,
		input_bytes: u32,
		max_tokens: u32,
		committee_size: u32,
	) -> Result<(ModelTerms<T::AccountId>, Quote), QuoteError> {
		let params = T::Params::get();
		let terms = T::Catalog::terms(model).ok_or(QuoteError::UnknownModel)?;
		ensure!(!terms.retired, QuoteError::RetiredModel);
		ensure!(input_bytes > 0, QuoteError::EmptyInput);
		let room = terms
			.context_length
			.saturating_sub(terms.prompt_overhead)
			.saturating_mul(BYTES_PER_CONTEXT_TOKEN);
		ensure!(input_bytes <= room.min(MAX_INPUT_BYTES), QuoteError::InputTooLong);
		ensure!((1..=MAX_OUTPUT_TOKENS).contains(&max_tokens), QuoteError::BadParams);
		ensure!(
			is_committee_size(committee_size) && committee_size <= params.max_committee,
			QuoteError::BadCommitteeSize
		);
		let candidates = Self::candidates(model).len() as u32;
		ensure!(candidates >= committee_size, QuoteError::TooFewProviders);

		let input_tokens = terms.input_ceiling(input_bytes);
		let output_tokens = max_tokens.min(terms.context_length);
		let max_fee = economics::fee(
			&params.rates,
			terms.price_in,
			terms.price_out,
			input_tokens,
			output_tokens,
			committee_size,
		);
		let bytes = input_bytes.saturating_add(output_tokens.saturating_mul(BYTES_PER_ANSWER_TOKEN));
		let deposit = params
			.deposit_base
			.saturating_add(params.deposit_per_byte.saturating_mul(bytes.into()));
		let quote = Quote {
			max_fee,
			deposit,
			input_tokens,
			output_tokens,
			candidates,
			t_max: Self::t_max(),
		};
		Ok((terms, quote))
	}

	/// Providers of a model that can be drawn now.
	pub(crate) fn candidates(model: &ModelId) -> Vec<Candidate<T::AccountId>> {
		let mut candidates = T::Providers::candidates(model);
		candidates.retain(|candidate| candidate.weight > 0);
		candidates
	}

	/// Hash of block 0: what makes a message of this chain no message of another.
	pub fn genesis() -> Hash32 {
		let mut genesis = Hash32::default();
		let hash = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
		genesis.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
		genesis
	}
}
