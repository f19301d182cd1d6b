//! The quote of a job, and its request.

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
	Balance, JobId, ModelId, SamplingParams,
};
use frame_support::{ensure, pallet_prelude::*, traits::Get};

/// The least that tokenizers average on plain text. A prompt with more bytes than this for each token of the context
/// hardly fits and is refused at once; one that passes and does not fit ends as `Failed(PromptTooLong)`.
const BYTES_PER_CONTEXT_TOKEN: u32 = 4;

/// Stored bytes of one generated token: its id and, on average, its text.
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
			Self::price(&model, input.len() as u32, params.max_tokens, committee_size).map_err(Error::<T>::from)?;
		ensure!(core::str::from_utf8(&input).is_ok(), Error::<T>::InputNotUtf8);
		ensure!(max_fee >= quote.fee_ceiling, Error::<T>::FeeTooLow);
		ensure!(Jobs::<T>::count() < limits.max_open_jobs, Error::<T>::TooManyJobs);

		let now = frame_system::Pallet::<T>::block_number();
		let hash = input_hash(&input);
		let count = JobCount::<T>::mutate(&requester, |count| {
			*count = count.saturating_add(1);
			*count
		});
		let id = JobId::derive(&T::GenesisHash::get(), &requester, count, &model, &hash);
		T::Escrow::hold(id, &requester, quote.fee_ceiling, quote.deposit)?;

		let mut job = Job {
			requester: requester.clone(),
			model,
			terms,
			params,
			input_hash: hash,
			input_ceiling: quote.input_tokens,
			fee_ceiling: quote.fee_ceiling,
			requested_size: committee_size,
			size: committee_size,
			enlarge: false,
			attempt: 0,
			phase: Phase::Drawing { index: 0 },
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
			fee_ceiling: quote.fee_ceiling,
			committee_size,
		});
		Ok(())
	}

	/// Returns the price of a job before it is requested, or the error that its request would meet.
	pub fn quote(model: ModelId, input_bytes: u32, max_tokens: u32, committee_size: u32) -> Result<Quote, QuoteError> {
		Self::price(&model, input_bytes, max_tokens, committee_size).map(|(_, quote)| quote)
	}

	fn price(
		model: &ModelId,
		input_bytes: u32,
		max_tokens: u32,
		committee_size: u32,
	) -> Result<(ModelTerms<T::AccountId>, Quote), QuoteError> {
		let params = T::Params::get();
		let terms = T::Catalog::terms(model).ok_or(QuoteError::UnknownModel)?;
		ensure!(!terms.retired, QuoteError::RetiredModel);
		ensure!(input_bytes > 0, QuoteError::EmptyInput);
		let context_bytes = terms
			.context_length
			.saturating_sub(terms.prompt_overhead)
			.saturating_mul(BYTES_PER_CONTEXT_TOKEN);
		ensure!(
			input_bytes <= context_bytes.min(MAX_INPUT_BYTES),
			QuoteError::InputTooLong
		);
		ensure!((1..=MAX_OUTPUT_TOKENS).contains(&max_tokens), QuoteError::BadParams);
		ensure!(
			is_committee_size(committee_size) && committee_size <= params.max_committee,
			QuoteError::BadCommitteeSize
		);
		let candidates = Self::candidates(model).len() as u32;
		ensure!(candidates >= committee_size, QuoteError::TooFewProviders);

		let input_tokens = terms.input_ceiling(input_bytes);
		let output_tokens = max_tokens.min(terms.context_length);
		let fee_ceiling = economics::fee(
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
			fee_ceiling,
			deposit,
			input_tokens,
			output_tokens,
			candidates,
			t_max: Self::t_max(),
		};
		Ok((terms, quote))
	}

	/// Returns the providers of a model that can be drawn now.
	pub(crate) fn candidates(model: &ModelId) -> Vec<Candidate<T::AccountId>> {
		let mut candidates = T::Providers::candidates(model);
		candidates.retain(|candidate| candidate.weight > 0);
		candidates
	}
}
